// A training run that ends with a picture of its losses.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "albef/tasks/run.hpp"
#include "albef/viz/loss_curves.hpp"

namespace albef {

/// run_training() with curves of the losses, losses.png in the run's folder; returns what a program
/// ends with, see FinishedRun::status().
template <class Precision, class Objective, class Settings, class Device, class LoaderT,
          class Tokenizer, class Validate = std::nullptr_t>
int train_with_curves(const std::string& title, const Settings& settings, Device& device,
                      const Objective& objective, LoaderT& loader, const Tokenizer& tokenizer,
                      CheckpointInfo extra = {}, Validate&& validate = nullptr,
                      int evaluated_length = 0) {
  const FinishedRun run =
      run_training<Precision>(title, settings, device, objective, loader, tokenizer,
                              std::move(extra), std::forward<Validate>(validate), evaluated_length);
  write_loss_curves(run.folder.file(RunFolder::losses), title, run.history, run.plateaus);
  return run.status();
}

}  // namespace albef
