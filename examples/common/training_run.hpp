// A training run of the programs, from the choice of its types to its last line.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/core/error.hpp"
#include "albef/text/wordpiece.hpp"
#include "albef/train/metrics.hpp"
#include "albef/train/plateau.hpp"
#include "albef/train/trainer.hpp"
#include "common/best_epoch.hpp"
#include "common/config_dispatch.hpp"
#include "common/device.hpp"
#include "common/run_options.hpp"

namespace examples {

/// Calls f.operator()<C, Precision>(device) with the configuration of the checkpoint to start from
/// or, without one, of --config.
template <class F>
int with_training(const RunArguments& args, F&& f) {
  const auto on_device = [&]<class C>() {
    return with_device_and_precision(
        args.compute, [&]<class P>(auto& device) { return f.template operator()<C, P>(device); });
  };
  const std::string start = args.start();
  albef::require(!args.resume || std::filesystem::exists(start), start,
                 ": there is nothing to resume from");
  if (start.empty()) return with_config(args.config.empty() ? "tiny" : args.config, on_device);
  return with_config(start, checkpoint_info(start), args.config, on_device);
}

/// Draws the losses of a run with the levels at which nothing is learned.
void write_loss_curves(const std::string& path, const std::string& title,
                       const albef::MetricHistory& history,
                       const std::vector<albef::PlateauRule>& plateaus);

/// Error now, before a run leaves files or at the end of its first epoch, if the pictures of a data
/// set are elsewhere.
template <class LoaderT>
void check_first_batch(LoaderT& loader) {
  loader.next();
  loader.seek({});
}

/// Loads a task's weights from a file and says how it went.
using StartFrom = std::function<albef::LoadReport(const std::string&)>;

/// Trains a task to the end, or to a signal, writes what belongs into the folder beside the
/// checkpoint, and returns the exit status. `validate`, unless empty, is called after each epoch;
/// the weights of the best one are kept. `extra` is kept in the checkpoints beside
/// args.metadata(). `start`: what --init does, unless it is task.start_from().
template <class Task, class LoaderT>
int run_training(const std::string& title, const RunArguments& args, Task& task, LoaderT& loader,
                 const albef::WordPiece& tokenizer, albef::CheckpointInfo extra = {},
                 const std::function<Validation()>& validate = {}, StartFrom start = {}) {
  using namespace albef;
  require(args.resume || args.overwrite ||
              !std::filesystem::exists(args.train.output + "/checkpoint.safetensors"),
          args.train.output,
          ": there is a run already; --resume continues it, --overwrite replaces it");
  check_first_batch(loader);
  task.context().set_checkpointing(args.checkpointing);
  extra.insert({"task", title});
  extra.merge(args.metadata(tokenizer));
  Trainer trainer(task, loader, args.train, extra);
  if (args.resume) {
    require(trainer.resume(), args.start(), ": there is nothing to resume from");
  } else if (!args.init.empty()) {
    if (!start) start = [&](const std::string& path) { return task.start_from(path, true); };
    std::fprintf(stderr, "%s: %s\n", args.init.c_str(), start(args.init).text().c_str());
  }

  const std::int64_t next_step =
      args.resume ? loader.position().epoch * trainer.steps_per_epoch() + 1 : 0;
  BestEpoch best(args.train.output, next_step, static_cast<bool>(validate));
  if (validate)
    trainer.after_epoch([&](int epoch) {
      const Validation validation = validate();
      CheckpointInfo info = task.info();
      info.insert(extra.begin(), extra.end());
      best.keep(epoch, epoch * trainer.steps_per_epoch(), validation, Checkpoint(task.store()),
                std::move(info));
    });

  std::fprintf(stderr, "%s: %.1f M parameters, vocabulary %d, %lld steps of %d x %d examples, %s\n",
               title.c_str(), static_cast<double>(task.store().size()) * 1e-6, tokenizer.size(),
               static_cast<long long>(trainer.total_steps()), args.train.accumulate,
               args.batch_size, describe(task.store().device()).c_str());
  const TrainSummary summary = [&] {
    try {
      return trainer.run();
    } catch (const OutOfMemory& error) {
      std::string smaller = concat("use a --batch-size below ", args.batch_size);
      if constexpr (requires { task.fitting_pairs(loader.next()); })
        smaller = concat("use --batch-size ", std::max(2, task.fitting_pairs(loader.next())));
      fail(error.what(), "; ", smaller,
           ", with --accumulate for the same steps, or --checkpointing");
    }
  }();
  tokenizer.save(args.train.output + "/vocab.txt");
  write_loss_curves(args.train.output + "/losses.png", title, trainer.history(),
                    task.plateaus(args.batch_size));
  std::fprintf(stderr, "%s after %lld steps: %.0f s, %.1f pairs/s; %s%s%s\n",
               summary.finished ? "finished" : "stopped", static_cast<long long>(summary.steps),
               summary.seconds, summary.pairs_per_second(), trainer.checkpoint_path().c_str(),
               best.text().empty() ? "" : "; ", best.text().c_str());
  return summary.signal ? 128 + summary.signal : 0;
}

}  // namespace examples
