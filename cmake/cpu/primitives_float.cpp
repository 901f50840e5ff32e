// The CPU backend compiled for activations of type float.
#include "albef/cpu/compiled.hpp"

namespace albef {
ALBEF_CPU_PRIMITIVES(template, float)
}  // namespace albef
