// Starts a model for a downstream task from a checkpoint of another one, by parameter names.
#pragma once

#include <string>
#include <string_view>

#include "albef/checkpoint/checkpoint.hpp"

namespace albef {

/// How checkpoints of model M itself call its tensors, where that is not its own names: the rule
/// M::checkpoint_names, if M has one.
template <class M>
NameRule checkpoint_rule() {
  if constexpr (requires { M::checkpoint_names(std::string()); })
    return [](const std::string& name) { return M::checkpoint_names(name); };
  else
    return {};
}
/// The rule of a training that starts, also from a checkpoint of another task: M::pretrained_names,
/// if M has one, else that of its own checkpoints.
template <class M>
NameRule pretrained_rule() {
  if constexpr (requires { M::pretrained_names(std::string()); })
    return [](const std::string& name) { return M::pretrained_names(name); };
  else
    return checkpoint_rule<M>();
}

/// What model M can do without: what M::dispensable(name) names and, in a training that starts,
/// M::fresh(name).
template <class M>
bool may_miss(std::string_view name, bool starts_training) {
  bool may = false;
  if constexpr (requires { M::dispensable(name); }) may = M::dispensable(name);
  if constexpr (requires { M::fresh(name); }) may = may || (starts_training && M::fresh(name));
  return may;
}

/// How a training starts from a checkpoint.
struct StartOptions {
  bool resize_positions = false;  ///< the image size may be another one
  bool by_module = false;  ///< the file may lack whole modules, and have others; see LoadOptions
};

/// Loads a pre-training checkpoint (or one of the task itself) into a store for model M, whose
/// configuration it must have, as far as the options say. M says how the names correspond
/// (M::pretrained_names, after the official fine-tuning scripts) and which of its parameters may be
/// missing and keep their initial values (see may_miss()). Momentum weights the file does not have
/// become copies of the online ones. Throws Error if anything else is missing, left over or of
/// another shape; the store is then as before. The report tells what was loaded, left fresh
/// (`missing`) and not needed (`unused`).
template <class M, class Device, class Precision>
LoadReport load_pretrained(ParamStore<Device, Precision>& store, const std::string& path,
                           const StartOptions& start = {}) {
  LoadOptions options{.dispensable = [](std::string_view name) { return may_miss<M>(name, true); },
                      .by_module = start.by_module,
                      .allow_unexpected = start.by_module,
                      .resize_positions = start.resize_positions,
                      .complete_momentum = true,
                      .names = pretrained_rule<M>()};
  check_config<config_of<M>>(path, SafeTensors::open(path).metadata(), start.resize_positions);
  return Checkpoint(store).load(path, options);
}

}  // namespace albef
