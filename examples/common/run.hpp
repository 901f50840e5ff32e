// From options to a model: training runs from the choice of their types to the last line, and
// trained models loaded as the types they were trained as.
#pragma once

#include <cstdio>
#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>

#include "albef/train/fit.hpp"
#include "albef/viz/loss_curves.hpp"
#include "common/config_dispatch.hpp"
#include "common/options.hpp"

namespace examples {

/// Calls f.operator()<C, Precision>(device) with the configuration of the checkpoint to start from
/// or, without one, of --config.
template <class Settings, class F>
int with_training(const Run<Settings>& run, F&& f) {
  const auto on_device = [&]<class C>() {
    return with_device_and_precision(
        run.compute, [&]<class P>(auto& device) { return f.template operator()<C, P>(device); });
  };
  const std::string start = run.start();
  albef::require(!run.resume || std::filesystem::exists(start), start,
                 ": there is nothing to resume from");
  if (start.empty()) return with_config(run.config.empty() ? "tiny" : run.config, on_device);
  return with_config(start, albef::checkpoint_info(start), run.config, on_device);
}

/// Trains an objective over a loader by fit() and writes curves and vocabulary beside the
/// checkpoint; returns the exit status. validate(session), unless null, is the validation after each
/// epoch, of a session that cuts texts after `evaluated_length` tokens (0: as in training).
template <class Precision, class Objective, class Settings, class Device, class LoaderT,
          class Validate = std::nullptr_t>
int train(const std::string& title, Settings settings, Device& device, const Objective& objective,
          LoaderT& loader, const albef::WordPiece& tokenizer, albef::CheckpointInfo extra = {},
          [[maybe_unused]] Validate&& validate = nullptr, int evaluated_length = 0) {
  using namespace albef;
  using T = Training<Objective, Device, Precision>;
  loader.next();  // an error now, before the run leaves files, if the pictures are elsewhere
  loader.seek({});
  settings.training.groups = groups_for<typename T::Model>(settings.groups);
  T training(device, settings.training, objective);
  extra.insert({"task", title});
  extra.merge(settings.metadata(tokenizer));
  Trainer trainer(training, loader, settings.train, extra);
  if (!settings.resume && !settings.init.empty())
    std::fprintf(stderr, "%s: %s\n", settings.init.c_str(),
                 training.start_from(settings.init, settings.start_options).text().c_str());
  const int length = evaluated_length > 0 ? evaluated_length : settings.max_text_length;
  Session session(training, tokenizer, {.max_length = length, .add_sep = false});
  if constexpr (!std::is_null_pointer_v<std::remove_cvref_t<Validate>>)
    trainer.validate([&] { return validate(session); });
  std::fprintf(stderr, "%s: %.1f M parameters, vocabulary %d, %lld steps of %d x %d examples, %s\n",
               title.c_str(), static_cast<double>(training.store().size()) * 1e-6, tokenizer.size(),
               static_cast<long long>(trainer.total_steps()), settings.train.accumulate,
               settings.batch_size, describe(device).c_str());
  const TrainSummary summary = [&] {
    try {
      return trainer.run();
    } catch (const OutOfMemory& error) {
      std::string advice = concat("use a --batch-size below ", settings.batch_size);
      if constexpr (requires { training.fitting_examples(loader.next()); }) {
        const int fitting = training.fitting_examples(loader.next());
        advice = fitting > 0 ? concat("use --batch-size ", fitting)
                             : "not even two examples fit: choose a smaller --config";
      }
      fail(error.what(), "; ", advice, ", with --accumulate for the same steps, or --checkpointing");
    }
  }();
  tokenizer.save(trainer.folder().file("vocab.txt"));
  write_loss_curves(trainer.folder().file("losses.png"), title, trainer.history(),
                    training.plateaus(settings.batch_size));
  const std::string best = trainer.best().text();
  std::fprintf(stderr, "%s after %lld steps: %.0f s, %.1f pairs/s; %s%s%s\n",
               summary.finished ? "finished" : "stopped", static_cast<long long>(summary.steps),
               summary.seconds, summary.pairs_per_second(), trainer.checkpoint_path().c_str(),
               best.empty() ? "" : "; ", best.c_str());
  return summary.signal ? 128 + summary.signal : 0;
}

/// Loads the checkpoint and returns f(session), where session is a Session of the model Model<C>,
/// e.g. AlbefVqa, in the checkpoint's configuration C.
template <template <class> class Model, class F>
int with_model(const ModelArguments& args, F&& f) {
  using namespace albef;
  const auto info = checkpoint_info(args.checkpoint);
  return with_config(args.checkpoint, info, args.config, [&]<class C>() {
    return with_device(args.compute, [&](auto& device) {
      using Device = std::remove_reference_t<decltype(device)>;
      const auto load = [&] {
        try {
          return Session<Model<C>, Device>(device, args.checkpoint, args.session);
        } catch (const Error& error) {
          const auto task = info.find("task");
          if (task == info.end()) throw;
          fail(error.what(), " (the checkpoint is of the task '", task->second, "')");
        }
      };
      auto session = load();
      std::fprintf(stderr, "%s: %s model, %s\n", args.checkpoint.c_str(), config_name<C>,
                   session.report().text().c_str());
      return f(session);
    });
  });
}

}  // namespace examples
