// Memory primitives of the CUDA backend that are kernels: constant values and conversions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "albef/core/bfloat16.hpp"
#include "albef/cuda/device.cuh"
#include "albef/cuda/launch.cuh"
#include "albef/cuda/memory.hpp"

namespace albef {

namespace detail {

template <class T>
__global__ void fill_kernel(T* x, T value, std::int64_t n) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += stride)
    x[i] = value;
}

/// Eight values a thread and turn: 16 bytes of the narrower type.
template <class From, class To>
__global__ void convert_kernel(const From* from, To* to, std::int64_t n) {
  constexpr int width = 8;
  struct alignas(width * sizeof(From)) FromPack {
    From v[width];
  };
  struct alignas(width * sizeof(To)) ToPack {
    To v[width];
  };
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  const std::int64_t thread = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const bool aligned = reinterpret_cast<std::uintptr_t>(from) % alignof(FromPack) == 0 &&
                       reinterpret_cast<std::uintptr_t>(to) % alignof(ToPack) == 0;
  const std::int64_t packs = aligned ? n / width : 0;
  for (std::int64_t i = thread; i < packs; i += stride) {
    const FromPack in = reinterpret_cast<const FromPack*>(from)[i];
    ToPack out;
#pragma unroll
    for (int k = 0; k < width; ++k) out.v[k] = static_cast<To>(in.v[k]);
    reinterpret_cast<ToPack*>(to)[i] = out;
  }
  for (std::int64_t i = packs * width + thread; i < n; i += stride)
    to[i] = static_cast<To>(from[i]);
}

/// Blocks of 256 threads for n items: enough to fill the GPU, which then loop.
inline unsigned flat_blocks(const Cuda& cuda, std::int64_t n) {
  return static_cast<unsigned>(
      std::min<std::int64_t>((n + 255) / 256, std::int64_t{8} * cuda.sm_count()));
}

}  // namespace detail

/// x[0, n) = value
template <class T>
void fill(Cuda& cuda, T* x, T value, std::int64_t n) {
  detail::launch(cuda, "[fill]", detail::fill_kernel<T>, dim3(detail::flat_blocks(cuda, n)),
                 dim3(256), 0, x, value, n);
}
/// to[i] = from[i] in the type of `to`.
template <class From, class To>
void convert(Cuda& cuda, const From* from, To* to, std::int64_t n) {
  detail::launch(cuda, "[convert]", detail::convert_kernel<From, To>,
                 dim3(detail::flat_blocks(cuda, (n + 7) / 8)), dim3(256), 0, from, to, n);
}

}  // namespace albef
