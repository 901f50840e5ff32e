// expect: albef needs infinities and NaN (__FINITE_MATH_ONLY__ is set): add -fno-finite-math-only
// flags: -ffast-math
#include "albef/checkpoint/safetensors.hpp"
