// Times every primitive of the CUDA backend in bfloat16, one call at a time (launch and wait
// included; cuda_ops_bench measures throughput at the sizes of a base step).
#include "albef/cuda.hpp"

namespace {

albef::Cuda& test_device() {
  static albef::Cuda device;
  return device;
}
void wait_for(albef::Cuda& device) { device.synchronize(); }

}  // namespace

#include "time_primitives.hpp"

namespace {
const bool registered = cases::register_primitives(albef::Primitives<albef::bfloat16>{});
}
