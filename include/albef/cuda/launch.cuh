// Kernel launches: grid sizes, dynamic shared memory, and the check of every launch.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "albef/core/error.hpp"
#include "albef/cuda/device.cuh"

namespace albef::gpu {

/// Enqueues kernel<<<grid, block, shared>>>(args...) on the device's stream; `name` is for error
/// messages. An empty grid is no launch.
template <class... Params, class... Args>
void launch(Cuda& cuda, const char* name, void (*kernel)(Params...), dim3 grid, dim3 block,
            std::size_t shared, const Args&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  constexpr std::size_t default_limit = 48 * 1024;
  if (shared > default_limit)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared)),
          name);
  kernel<<<grid, block, shared, cuda.stream()>>>(args...);
  check(cudaGetLastError(), name);
}

/// The dynamic shared memory of a block, 16-byte aligned.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[];
  return reinterpret_cast<T*>(dynamic_shared_bytes);
}

}  // namespace albef::gpu
