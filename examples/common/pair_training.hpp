// Fine-tuning on pairs of pictures and texts (RetrievalTask), for retrieval and grounding: options,
// start from a pre-trained model, validation after each epoch, the best weights kept.
#pragma once

#include <functional>
#include <string>

#include "albef/train/pretrain_task.hpp"
#include "albef/train/task_model.hpp"
#include "common/program.hpp"
#include "common/train_options.hpp"
#include "common/training_run.hpp"

namespace examples {

/// Fine-tuning for retrieval: tiny's numbers from trials on generated scenes and the emoji data,
/// the others from the paper (configs/Retrieval_flickr.yaml).
inline const RunDefaults pairs_tiny{.epochs = 20,
                                    .alpha_epochs = RunDefaults::whole_run,
                                    .lr = 2.5e-4,
                                    .min_lr = 1e-5,
                                    .new_model_lr = 5e-4};
inline const RunDefaults pairs_paper{.lr = 1e-5};

struct PairTrainArguments : TrainArguments {
  PairTrainArguments() {
    data.clear();
    mask_probability = 0;
  }
  void add_to(Command& app);
  albef::PretrainOptions objective_options() const;
};

/// Reads every picture of a validation set once, so that one that cannot be read is reported (as an
/// Error) before the training and not after its first epoch.
void check_pictures(const albef::Source& source);

/// Fine-tunes on `source` and writes the run's files. validate(model) returns the Validation of
/// the weights so far, for a TaskModel; it is not called unless `validates`. Evaluations cut texts
/// after `evaluated_length` tokens.
template <class C, class Precision, class Device, class Validate>
int train_pairs(const std::string& title, const PairTrainArguments& args, Device& device,
                const albef::SourcePtr& source, bool validates, int evaluated_length,
                Validate&& validate) {
  using namespace albef;
  using Task = RetrievalTask<C, Device, Precision>;
  const WordPiece tokenizer = args.tokenizer(clean_captions(*source), C::vocab_size);
  Loader loader = args.loader(source, tokenizer, C::image_res);
  Task task(device, args.train.seed, args.queue_size, args.objective_options());
  TaskModel<Task> model(task, tokenizer, {.max_length = evaluated_length, .add_sep = false});
  std::function<Validation()> validate_now;
  if (validates)
    validate_now = [&] {
      Validation found = validate(model);
      task.store().clear_gradients();
      return found;
    };
  return run_training(title, args, task, loader, tokenizer,
                      {{"max_text_length", concat(evaluated_length)}}, validate_now);
}

}  // namespace examples
