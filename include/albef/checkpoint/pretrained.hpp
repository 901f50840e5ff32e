// Starts a model for a downstream task from a checkpoint of another one, by parameter names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "albef/checkpoint/checkpoint.hpp"

namespace albef {

/// Loads a pre-training checkpoint (or one of the task itself) into a store for model M, whose
/// configuration it must have; with `resize_positions` the image size may be another one. M says
/// how the names correspond (M::pretrained_names, after the official fine-tuning scripts) and which
/// of its parameters may be missing and keep their initial values (M::fresh). Momentum weights the
/// file does not have become copies of the online ones. Throws Error if anything else is missing,
/// left over or of another shape. The report tells what was loaded, left fresh (`missing`) and not
/// needed (`unused`).
template <class M, class Device, class Precision>
LoadReport load_pretrained(ParamStore<Device, Precision>& store, const std::string& path,
                           bool resize_positions = false) {
  LoadOptions options{
      .allow_missing = true, .resize_positions = resize_positions, .complete_momentum = true};
  if constexpr (requires { M::pretrained_names; }) options.names = M::pretrained_names;
  check_config<typename M::Config>(path, SafeTensors::open(path).metadata(), resize_positions);
  LoadReport report = Checkpoint(store).load(path, options);
  for (const auto& name : report.missing)
    require(M::fresh(name), path, ": tensor '", name, "' of the model is not in the file");
  return report;
}

/// Fills queues with the features of a checkpoint's, of unknown identity; false and unchanged if it
/// has none of their size.
template <class Device, class Real>
bool load_queue_features(FeatureQueue<Device, Real>& queue, Device& device,
                         const std::string& path) {
  const auto file = SafeTensors::open(path);
  const auto* image = file.find("image_queue");
  const auto* text = file.find("text_queue");
  const std::vector<std::int64_t> shape{queue.width(), queue.size()};
  if (!image || !text || image->shape != shape || text->shape != shape) return false;
  load_transposed(device, file.template read<Real>(*image), queue.image());
  load_transposed(device, file.template read<Real>(*text), queue.text());
  return true;
}

}  // namespace albef
