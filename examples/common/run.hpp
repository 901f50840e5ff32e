// From options to types: training runs and trained models.
#pragma once

#include "albef/tasks/run.hpp"
#include "albef/viz/training_report.hpp"
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
  return albef::with_run_config(run, on_device, configs);
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
