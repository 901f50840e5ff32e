// From options to types: training runs and trained models.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "albef/tasks/run.hpp"
#include "albef/viz/loss_curves.hpp"
#include "common/configs.hpp"
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
  if (start.empty())
    return albef::with_config(run.config.empty() ? "tiny" : run.config, on_device, configs);
  return albef::with_config(start, albef::checkpoint_info(start), run.config, on_device, configs);
}

/// run_training() of the library, with curves of the losses; returns the exit status.
template <class Precision, class Objective, class Settings, class Device, class LoaderT,
          class Validate = std::nullptr_t>
int train(const std::string& title, const Settings& settings, Device& device,
          const Objective& objective, LoaderT& loader, const albef::WordPiece& tokenizer,
          albef::CheckpointInfo extra = {}, Validate&& validate = nullptr, int length = 0) {
  const auto run =
      albef::run_training<Precision>(title, settings, device, objective, loader, tokenizer,
                                     std::move(extra), std::forward<Validate>(validate), length);
  albef::write_loss_curves(run.folder.file("losses.png"), title, run.history, run.plateaus);
  return run.status();
}

/// Returns f(session) for the checkpoint of the options; see with_session().
template <template <class> class Model, class F>
int with_model(const ModelArguments& args, F&& f) {
  return with_device(args.compute, [&](auto& device) {
    return albef::with_session<Model>(device, args.checkpoint, args.config, args.session, configs,
                                      f);
  });
}

}  // namespace examples
