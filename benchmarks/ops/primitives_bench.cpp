// Times every primitive of the CPU backend in float on all threads (ALBEF_THREADS: on so many);
// --benchmark_filter=LayerNorm chooses. Convert moves memory and does little else: compare with it.
#include "albef/cpu.hpp"

namespace {

albef::Cpu& test_device() {
  static albef::Cpu device;
  return device;
}
void wait_for(albef::Cpu&) {}

}  // namespace

#include "time_primitives.hpp"

namespace {
const bool registered = cases::register_primitives(albef::Primitives<float>{});
}
