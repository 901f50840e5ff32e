// Starts a model for a downstream task from a checkpoint of another one, by parameter names.
#pragma once

#include <string>

#include "albef/checkpoint/checkpoint.hpp"

namespace albef {

/// The rule M::pretrained_names, if M has one.
template <class M>
NameRule name_rule() {
  if constexpr (requires { M::pretrained_names(std::string()); })
    return [](const std::string& name) { return M::pretrained_names(name); };
  else
    return {};
}

/// Error if a load left a parameter out that model M cannot do without: all but what
/// M::dispensable(name) names and, for a training that starts, M::fresh(name).
template <class M>
void check_missing(const std::string& path, const LoadReport& report, bool starts_training) {
  for (const auto& name : report.missing) {
    bool may = false;
    if constexpr (requires { M::dispensable(name); }) may = M::dispensable(name);
    if constexpr (requires { M::fresh(name); }) may = may || (starts_training && M::fresh(name));
    require(may, path, ": tensor '", name, "' of the model is not in the file");
  }
}

/// Loads a pre-training checkpoint (or one of the task itself) into a store for model M, whose
/// configuration it must have; with `resize_positions` the image size may be another one. M says
/// how the names correspond (M::pretrained_names, after the official fine-tuning scripts) and which
/// of its parameters may be missing and keep their initial values (see check_missing()). Momentum
/// weights the file does not have become copies of the online ones. Throws Error if anything else
/// is missing, left over or of another shape. The report tells what was loaded, left fresh
/// (`missing`) and not needed (`unused`).
template <class M, class Device, class Precision>
LoadReport load_pretrained(ParamStore<Device, Precision>& store, const std::string& path,
                           bool resize_positions = false) {
  LoadOptions options{
      .allow_missing = true, .resize_positions = resize_positions, .complete_momentum = true};
  options.names = name_rule<M>();
  check_config<config_of<M>>(path, SafeTensors::open(path).metadata(), resize_positions);
  LoadReport report = Checkpoint(store).load(path, options);
  check_missing<M>(path, report, true);
  return report;
}

}  // namespace albef
