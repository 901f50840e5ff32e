// What of the CUDA device only nvcc can compile: the question whether there is code for the GPU.
#pragma once

#include "albef/cuda/device.hpp"

namespace albef::detail {

template <class>
__global__ void probe_kernel() {}

template <class T>
cudaError_t probe_code() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, probe_kernel<T>);
}

}  // namespace albef::detail
