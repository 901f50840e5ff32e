// The primitives of the CUDA backend for plain C++: layers and models compile with any compiler,
// the kernels once, in the library of component `cuda_compiled`.
//
// A CUDA source that includes albef/cuda.cuh finds the same primitives there as templates.
#pragma once

#include "albef/core/bfloat16.hpp"
#include "albef/core/compiled_primitives.hpp"
#include "albef/cuda/device.hpp"
#include "albef/cuda/memory.hpp"

#if !defined(__CUDACC__)
namespace albef {

template <class P>
requires CompiledFor<P, float, double, bfloat16> primitive_result_t<P> run(Cuda& cuda,
                                                                           const P& arguments) {
  return Compiled<Cuda, P>::call(cuda, arguments);
}

}  // namespace albef
#endif
