// A training run from settings to its last line, and a trained model as the type it was trained as:
// what every program of a task does.
#pragma once

#include <cstdio>
#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/tasks/config_list.hpp"
#include "albef/tasks/settings.hpp"
#include "albef/train/fit.hpp"
#include "albef/train/session.hpp"

namespace albef {

/// Calls f.template operator()<C>() with the configuration of the checkpoint that a run starts from
/// or goes on with or, without one, of the settings ("tiny" where they name none).
template <class F, class List>
auto with_run_config(const RunSettings& settings, F&& f, List list) {
  const std::string start = settings.start();
  require(!settings.resume || std::filesystem::exists(start), start,
          ": there is nothing to resume from");
  if (!start.empty()) return with_config(start, checkpoint_info(start), settings.config, f, list);
  return with_config(settings.config.empty() ? "tiny" : settings.config, f, list);
}

/// A training run that ended.
struct FinishedRun {
  TrainSummary summary;
  RunFolder folder;
  MetricHistory history;
  std::vector<PlateauRule> plateaus;
  /// What a program ends with: 0, or 128 and the signal that stopped it.
  int status() const { return summary.signal ? 128 + summary.signal : 0; }
};

/// Trains an objective over a loader by fit(), told on stderr, and writes the tokenizer, unless it
/// is NoTexts, (vocab.txt or, where that does not say everything, tokenizer.json) beside the
/// checkpoint. `title` is what
/// checkpoints call the task; they also keep `extra` and settings.metadata(tokenizer).
/// validate(session), unless null, is the validation after each epoch, of a session that cuts texts
/// after `evaluated_length` tokens (0: as in training). Error before the run leaves files if the
/// first pictures cannot be read or settings.init does not fit.
template <class Precision, class Objective, class Settings, class Device, class LoaderT,
          class Tokenizer, class Validate = std::nullptr_t>
FinishedRun run_training(const std::string& title, Settings settings, Device& device,
                         const Objective& objective, LoaderT& loader, const Tokenizer& tokenizer,
                         CheckpointInfo extra = {}, [[maybe_unused]] Validate&& validate = nullptr,
                         int evaluated_length = 0) {
  using T = Training<Objective, Device, Precision>;
  loader.next();
  loader.seek({});
  settings.training.groups = groups_for<typename T::Model>(settings.groups);
  T training(device, settings.training, objective);
  if (!settings.resume && !settings.init.empty())
    std::fprintf(stderr, "%s: %s\n", settings.init.c_str(),
                 training.start_from(settings.init, settings.start_options).text().c_str());
  if constexpr (requires { settings.start_encoders(training.store()); })
    if (!settings.resume) settings.start_encoders(training.store());
  extra.insert({"task", title});
  extra.merge(settings.metadata(tokenizer));
  Trainer trainer(training, loader, settings.train, extra);
  [[maybe_unused]] const int length =
      evaluated_length > 0 ? evaluated_length : settings.max_text_length;
  constexpr bool texts = !std::is_same_v<Tokenizer, NoTexts>;
  auto session = [&] {
    if constexpr (texts)
      return Session(training, tokenizer, {.max_length = length, .add_sep = false});
    else
      return Session(training);
  }();
  std::string vocabulary;
  if constexpr (texts) vocabulary = concat("vocabulary ", tokenizer.size(), ", ");
  if constexpr (!std::is_null_pointer_v<std::remove_cvref_t<Validate>>)
    trainer.validate([&] { return validate(session); });
  std::fprintf(stderr, "%s: %s M parameters, %s%lld steps of %d x %d examples, %s\n", title.c_str(),
               fixed(static_cast<double>(training.store().size()) * 1e-6, 1).c_str(),
               vocabulary.c_str(), static_cast<long long>(trainer.total_steps()),
               settings.train.accumulate, settings.batch_size, describe(device).c_str());
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
      fail(error.what(), "; ", advice,
           ", with --accumulate for the same steps, or --checkpointing");
    }
  }();
  if constexpr (texts) save_wordpiece(tokenizer, trainer.folder().path());
  const std::string best = trainer.best().text();
  std::fprintf(stderr, "%s after %lld steps: %s s, %s pairs/s; %s%s%s\n",
               summary.finished ? "finished" : "stopped", static_cast<long long>(summary.steps),
               fixed(summary.seconds, 0).c_str(), fixed(summary.pairs_per_second(), 1).c_str(),
               trainer.checkpoint_path().c_str(), best.empty() ? "" : "; ", best.c_str());
  return {summary, trainer.folder(), trainer.history(), training.plateaus(settings.batch_size)};
}

/// Loads a checkpoint and returns f(session), where session is a Session of Model<C>, e.g.
/// AlbefVqa, in the configuration C of the list that the checkpoint says it has, or that is called
/// `config`. What was loaded is told on stderr.
template <template <class> class Model, class Device, class List, class F>
auto with_session(Device& device, const std::string& path, const std::string& config,
                  const SessionOptions& options, List configs, F&& f) {
  const auto info = checkpoint_info(path);
  return with_config(
      path, info, config,
      [&]<class C>() {
        const auto load = [&] {
          try {
            return Session<Model<C>, Device>(device, path, options);
          } catch (const Error& error) {
            const auto task = info.find("task");
            if (task == info.end()) throw;
            fail(error.what(), " (the checkpoint is of the task '", task->second, "')");
          }
        };
        auto session = load();
        std::fprintf(stderr, "%s: %s model, %s\n", path.c_str(), config_name<C>,
                     session.report().text().c_str());
        return f(session);
      },
      configs);
}

}  // namespace albef
