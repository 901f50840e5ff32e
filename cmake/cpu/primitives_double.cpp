// The CPU backend compiled for activations of type double.
#include "albef/cpu/compiled.hpp"

namespace albef {
ALBEF_CPU_PRIMITIVES(template, double)
}  // namespace albef
