// Sums and maxima over the lanes of a warp and the threads of a block, in a fixed order.
#pragma once

#include "albef/cuda/kernels/vector.cuh"

namespace albef::gpu {

template <class A>
__device__ __forceinline__ A shuffle_xor(A x, int distance) {
  return __shfl_xor_sync(all_lanes, x, distance);
}

struct Plus {
  template <class A>
  __device__ __forceinline__ A operator()(A a, A b) const {
    return a + b;
  }
};

/// combine over all lanes of the warp, in every lane.
template <class A, class F>
__device__ __forceinline__ A warp_reduce(A x, F combine) {
#pragma unroll
  for (int d = warp_size / 2; d > 0; d /= 2) x = combine(x, shuffle_xor(x, d));
  return x;
}
template <class A>
__device__ __forceinline__ A warp_sum(A x) {
  return warp_reduce(x, Plus{});
}

/// combine(a, b) over the x of all `Threads` threads of the block, in every thread; `none` leaves
/// its partner unchanged. Every thread must call it; calls may follow each other directly.
template <int Threads, class A, class F>
__device__ __forceinline__ A block_reduce(A x, A none, F combine) {
  constexpr int warps = Threads / warp_size;
  static_assert(Threads % warp_size == 0 && warps <= warp_size);
  __shared__ A parts[warps];
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const int warp = static_cast<int>(threadIdx.x) / warp_size;
  x = warp_reduce(x, combine);
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  x = lane < warps ? parts[lane] : none;
  x = warp_reduce(x, combine);
  __syncthreads();
  return x;
}

}  // namespace albef::gpu
