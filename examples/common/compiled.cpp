#include "common/compiled.hpp"

#include "common/load_model.hpp"

template class albef::Checkpoint<albef::Cpu, albef::Fp32>;
template class albef::TrainingLoop<albef::PassLosses>;
template class albef::InferenceParts<albef::Cpu>;

namespace examples {

albef::CheckpointInfo checkpoint_info(const std::string& path) {
  return albef::SafeTensors::open(path).metadata();
}

}  // namespace examples
