// Parts of the programs that are the same for every model on the CPU: compiled once, in
// compiled.cpp, and only declared for the rest.
#pragma once

#include <string>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/cpu.hpp"
#include "albef/train/pass_losses.hpp"
#include "albef/train/training_loop.hpp"

extern template class albef::Checkpoint<albef::Cpu, albef::Fp32>;
extern template class albef::TrainingLoop<albef::PassLosses>;

namespace examples {

/// What the checkpoint `path` says of itself.
albef::CheckpointInfo checkpoint_info(const std::string& path);

}  // namespace examples
