// Fine-tuning on pairs of pictures and texts (RetrievalTask), for retrieval and grounding: options,
// start from a pre-trained model, validation after each epoch, the best weights kept.
#pragma once

#include <functional>
#include <string>

#include "albef/train/finetune_task.hpp"
#include "albef/train/task_model.hpp"
#include "albef/train/trainer.hpp"
#include "common/program.hpp"
#include "common/train_options.hpp"
#include "common/training_run.hpp"

namespace examples {

struct PairTrainArguments : TrainArguments {
  bool no_distill = false;

  PairTrainArguments();
  void add_to(Command& app);
  /// The numbers for fine-tuning where none were given: tiny's from a short trial on the emoji
  /// data, those of the others from the paper (configs/Retrieval_flickr.yaml).
  void complete(bool tiny, int model_vocabulary, int model_queue, int model_positions);

  /// The given vocabulary, that of the model to start from, or one learned from the texts.
  albef::WordPiece tokenizer(const albef::Source& source, int model_vocabulary) const;
};

/// Reads every picture of a validation set once, so that one that cannot be read is reported (as an
/// Error) before the training and not after its first epoch.
void check_pictures(const albef::Source& source);

/// Fine-tunes on `source` and writes the run's files. validate(model) returns the Validation of
/// the weights so far, for a TaskModel; it is not called unless `validates`.
template <class C, class Precision, class Device, class Validate>
int train_pairs(const PairTrainArguments& args, Device& device, const albef::SourcePtr& source,
                bool validates, Validate&& validate) {
  using namespace albef;
  using Task = RetrievalTask<C, Device, Precision>;
  const WordPiece tokenizer = args.tokenizer(*source, C::vocab_size);
  Loader loader = args.loader(source, tokenizer, C::image_res);
  Task task(device, args.train.seed, args.queue_size, args.objective_options());
  task.context().set_checkpointing(args.checkpointing);
  const CheckpointInfo extra{{"vocab", vocabulary_text(tokenizer)},
                             {"max_text_length", concat(args.max_text_length)}};
  Trainer trainer(task, loader, args.train, extra);
  begin(args, trainer, [&](const std::string& path) { return task.start_from(path, true); });
  TaskModel<Task> model(task, tokenizer, {.max_length = args.max_text_length, .add_sep = false});
  std::function<Validation()> validate_now;
  if (validates)
    validate_now = [&] {
      Validation found = validate(model);
      task.store().clear_gradients();
      return found;
    };
  return run_to_end("fine-tuning", args, task, trainer, loader, tokenizer, extra, validate_now);
}

}  // namespace examples
