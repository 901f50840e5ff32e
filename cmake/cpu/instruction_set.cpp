// What the library of the CPU backend was compiled for.
#include "albef/core/instruction_set.hpp"

ALBEF_IS_LIBRARY(albef_cpu_compiled)
