// Fine-tuning on pairs of pictures and texts (RetrievalTask), for retrieval and grounding: options,
// start from a pre-trained model, validation after each epoch, the best weights kept.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include "albef/train/finetune_task.hpp"
#include "albef/train/task_model.hpp"
#include "albef/train/trainer.hpp"
#include "common/best_epoch.hpp"
#include "common/config_dispatch.hpp"
#include "common/device.hpp"
#include "common/program.hpp"
#include "common/train_options.hpp"

namespace examples {

struct PairTrainArguments : TrainArguments {
  std::string config, init;
  bool resume = false, no_distill = false;

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

/// Returns f.operator()<C>() for the configuration of the model to start from, or the one chosen.
template <class F>
int with_start_config(const PairTrainArguments& args, F&& f) {
  if (args.init.empty()) return with_config(args.config.empty() ? "tiny" : args.config, f);
  const auto info = checkpoint_info(args.init);
  return with_config(args.init, info, args.config, f);
}

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
  if (args.resume)
    require(trainer.resume(), trainer.checkpoint_path(), ": nothing to resume from");
  else if (!args.init.empty())
    std::fprintf(stderr, "%s: %s\n", args.init.c_str(), task.start_from(args.init).text().c_str());

  const std::int64_t next_step =
      args.resume ? loader.position().epoch * trainer.steps_per_epoch() + 1 : 0;
  BestEpoch best(args.train.output, next_step, validates);
  TaskModel<Task> model(task, tokenizer, {.max_length = args.max_text_length, .add_sep = false});
  if (validates)
    trainer.after_epoch([&](int epoch) {
      const Validation validation = validate(model);
      task.store().clear_gradients();
      CheckpointInfo info = task.info();
      info.insert(extra.begin(), extra.end());
      best.keep(epoch, epoch * trainer.steps_per_epoch(), validation,
                Checkpoint<Device, Precision>(task.store()), std::move(info));
    });

  std::fprintf(stderr, "%s model, %zu records, vocabulary %d, %lld steps of %d x %d pairs, %s\n",
               config_name<C>, source->size(), tokenizer.size(),
               static_cast<long long>(trainer.total_steps()), args.train.accumulate,
               args.batch_size, describe(device).c_str());
  const TrainSummary summary = [&] {
    try {
      return trainer.run();
    } catch (const OutOfMemory& error) {
      const int pairs = task.fitting_pairs(loader.next());
      fail(error.what(), "; a batch of ", args.batch_size, " does not fit, one of ", pairs,
           " does. Use --batch-size ", std::max(2, pairs),
           ", with --accumulate for the same steps, or --checkpointing");
    }
  }();
  tokenizer.save(args.train.output + "/vocab.txt");
  write_loss_curves(args.train.output + "/losses.png", trainer.history(),
                    task.plateaus(args.batch_size), "Fine-tuning losses");
  std::fprintf(stderr, "%s after %lld steps: %.0f s, %.1f pairs/s; %s%s%s\n",
               summary.finished ? "finished" : "stopped", static_cast<long long>(summary.steps),
               summary.seconds, summary.pairs_per_second(), trainer.checkpoint_path().c_str(),
               best.text().empty() ? "" : "; ", best.text().c_str());
  return summary.signal ? 128 + summary.signal : 0;
}

}  // namespace examples
