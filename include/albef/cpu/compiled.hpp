// The primitives of the CPU backend from albef::cpu_compiled, a library compiled for the same
// instruction set as everything else in the program. Linking it defines ALBEF_CPU_COMPILED.
#pragma once

#include "albef/core/compiled_primitives.hpp"
#include "albef/core/instruction_set.hpp"
#include "albef/cpu/device.hpp"

ALBEF_NEEDS_LIBRARY(albef_cpu_compiled)

namespace albef {

template <class P>
requires CompiledFor<P, float, double> primitive_result_t<P> run(Cpu& cpu, const P& arguments) {
  return Compiled<Cpu, P>::call(cpu, arguments);
}

}  // namespace albef
