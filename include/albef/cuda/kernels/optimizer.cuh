// Device code of the optimizer: AdamW with moving average and cast, norms, clamping.
#pragma once

#include <cmath>

#include "albef/core/primitives/optimizer.hpp"
#include "albef/cuda/kernels/reduce.cuh"

namespace albef::detail {

inline constexpr int flat_threads = 256;
inline constexpr int flat_width = 4;  // values a thread moves at a time

/// Calls f.template apply<N>(i) for N = 4 values from element i, or N = 1 for each of the rest.
/// `vectors`: all arrays are aligned for it.
template <class F>
__global__ void __launch_bounds__(flat_threads) flat_kernel(std::int64_t size, bool vectors, F f) {
  const std::int64_t first = (std::int64_t{blockIdx.x} * flat_threads + threadIdx.x) * flat_width;
  if (vectors && first + flat_width <= size) {
    f.template apply<flat_width>(first);
  } else {
    for (std::int64_t i = first; i < size && i < first + flat_width; ++i) f.template apply<1>(i);
  }
}

template <class T>
struct EmaElements {  // ema = keep * ema + blend * param
  T* ema;
  const T* param;
  T keep, blend;
  const double* square_norm;
  template <int N>
  __device__ __forceinline__ void apply(std::int64_t i) const {
    if (square_norm && *square_norm - *square_norm != 0) return;
    auto e = load<N>(ema + i);
    const auto p = load<N>(param + i);
#pragma unroll
    for (int k = 0; k < N; ++k) e[k] = e[k] * keep + p[k] * blend;
    store(ema + i, e);
  }
};

template <class T>
struct ClampElements {  // x = min(max(x, low), high)
  T* x;
  T low, high;
  template <int N>
  __device__ __forceinline__ void apply(std::int64_t i) const {
    auto v = load<N>(x + i);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      v[k] = v[k] < low ? low : v[k];
      v[k] = high < v[k] ? high : v[k];
    }
    store(x + i, v);
  }
};

/// partial[block] = sum of squares of its elements.
template <class T>
__global__ void __launch_bounds__(flat_threads)
    squares_kernel(const T* x, std::int64_t size, bool vectors, double* partial) {
  double sum = 0;
  const std::int64_t stride = std::int64_t{gridDim.x} * flat_threads * flat_width;
  for (std::int64_t first = (std::int64_t{blockIdx.x} * flat_threads + threadIdx.x) * flat_width;
       first < size; first += stride) {
    Values<accumulator_t<T>, flat_width> v = {};
    if (vectors && first + flat_width <= size) {
      v = load<flat_width>(x + first);
    } else {
#pragma unroll
      for (int k = 0; k < flat_width; ++k)
        if (first + k < size) v[k] = static_cast<accumulator_t<T>>(x[first + k]);
    }
    accumulator_t<T> squares = 0;
#pragma unroll
    for (int k = 0; k < flat_width; ++k) squares += v[k] * v[k];
    sum += static_cast<double>(squares);
  }
  sum = block_reduce<flat_threads>(sum, 0.0, Plus{});
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/// *out = sum of partial[0..blocks) + beta * *out. One block.
template <class = void>
__global__ void __launch_bounds__(flat_threads)
    squares_total_kernel(const double* partial, int blocks, double* out, double beta) {
  double sum = 0;
  for (int b = static_cast<int>(threadIdx.x); b < blocks; b += flat_threads) sum += partial[b];
  sum = block_reduce<flat_threads>(sum, 0.0, Plus{});
  if (threadIdx.x == 0) store_with_beta(out, sum, beta);
}

/// One part of SquaredNorms as the kernels need it: its blocks are those from first_block on.
struct SquaresPart {
  std::int64_t begin, size;
  int first_block;
};
inline constexpr int squares_parts = 128;       // a launch takes: they travel as a kernel argument
inline constexpr int squares_values = 1 << 15;  // elements per block

template <class T>
struct SquaresLaunch {
  const T* x;
  double *partial, *out;
  int parts;
  SquaresPart part[squares_parts + 1];  // behind the last: where its blocks end
};

/// partial[block] = sum of squares of its elements.
template <class T>
__global__ void __launch_bounds__(flat_threads)
    part_squares_kernel(const __grid_constant__ SquaresLaunch<T> a) {
  using A = accumulator_t<T>;
  const int block = static_cast<int>(blockIdx.x);
  int low = 0, high = a.parts;  // the last part that starts at or before this block
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (a.part[middle].first_block <= block ? low : high) = middle;
  }
  const SquaresPart& part = a.part[low];
  const std::int64_t begin = std::int64_t{block - part.first_block} * squares_values;
  const std::int64_t end = part.size < begin + squares_values ? part.size : begin + squares_values;
  double sum = 0;
  for (std::int64_t i = begin + static_cast<int>(threadIdx.x); i < end; i += 4 * flat_threads) {
    A squares = 0;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const std::int64_t at = i + std::int64_t{k} * flat_threads;
      const A v = at < end ? static_cast<A>(a.x[part.begin + at]) : A(0);
      squares += v * v;
    }
    sum += static_cast<double>(squares);
  }
  sum = block_reduce<flat_threads>(sum, 0.0, Plus{});
  if (threadIdx.x == 0) a.partial[block] = sum;
}

/// out[p] = sum of the blocks of part p = blockIdx.x.
template <class T>
__global__ void __launch_bounds__(flat_threads)
    part_totals_kernel(const __grid_constant__ SquaresLaunch<T> a) {
  const int p = static_cast<int>(blockIdx.x);
  double sum = 0;
  for (int b = a.part[p].first_block + static_cast<int>(threadIdx.x); b < a.part[p + 1].first_block;
       b += flat_threads)
    sum += a.partial[b];
  sum = block_reduce<flat_threads>(sum, 0.0, Plus{});
  if (threadIdx.x == 0) a.out[p] = sum;
}

// ---- AdamW
// ---------------------------------------------------------------------------------------

inline constexpr int adamw_runs = 64;  // runs one launch takes: they travel as a kernel argument
inline constexpr int adamw_clips = 8;  // kinds of clipping those runs may have
inline constexpr int adamw_values = 2048;  // elements per block

/// A run as the kernel needs it. Its blocks are those from first_block on; they cover whole groups
/// of 4 elements counted from the start of the buffer, so that accesses are aligned wherever the
/// run begins.
template <class T>
struct AdamWDeviceRun {
  std::int64_t begin, end;
  int first_block;
  int shift;            // in units of 64 elements
  T decay, step, root;  // 1 - lr * weight decay, lr / correction1, 1 / sqrt(correction2)
  bool touched;
  signed char clip;  // -1: not clipped
  short word;        // the norm, counted from that of the clipping
};
struct AdamWClip {
  const double* square_norm;
  double max_norm;
};

template <class T, class C>
struct AdamWLaunch {
  T *param, *exp_avg, *exp_avg_sq, *ema;
  const T* grad;
  C *copy, *ema_copy;
  T b1, c1, b2, c2, eps, keep, blend;
  double grad_scale;
  const double* square_norm;
  bool vectors;
  int runs, clips;
  AdamWClip clip[adamw_clips];
  AdamWDeviceRun<T> run[adamw_runs];
};
static_assert(sizeof(AdamWLaunch<double, double>) <= 4096, "a kernel argument is too large");

template <int N, class T, class C>
__device__ __forceinline__ void adamw_elements(const AdamWLaunch<T, C>& a,
                                               const AdamWDeviceRun<T>& run, T scale,
                                               std::int64_t i) {
  auto p = load<N>(a.param + i);
  if (run.touched) {
    const std::int64_t s = i - std::int64_t{run.shift} * 64;
    auto m = load<N>(a.exp_avg + s), v = load<N>(a.exp_avg_sq + s);
    const auto grad = load<N>(a.grad + s);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const T g = grad[k] * scale;
      m[k] = m[k] * a.b1 + g * a.c1;
      v[k] = v[k] * a.b2 + g * g * a.c2;
      p[k] = p[k] * run.decay - m[k] * run.step / (std::sqrt(v[k]) * run.root + a.eps);
    }
    store(a.exp_avg + s, m);
    store(a.exp_avg_sq + s, v);
    store(a.param + i, p);
  }
  if (a.copy) store(a.copy + i, p);
  if (a.ema) {
    auto e = load<N>(a.ema + i);
#pragma unroll
    for (int k = 0; k < N; ++k) e[k] = e[k] * a.keep + p[k] * a.blend;
    store(a.ema + i, e);
    if (a.ema_copy) store(a.ema_copy + i, e);
  }
}

template <class T, class C>
__global__ void __launch_bounds__(flat_threads)
    adamw_kernel(const __grid_constant__ AdamWLaunch<T, C> a) {
  __shared__ T shared_scale;
  __shared__ bool shared_finite;
  int low = 0, high = a.runs;  // the last run that starts at or before this block
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (a.run[middle].first_block <= static_cast<int>(blockIdx.x))
      low = middle;
    else
      high = middle;
  }
  const AdamWDeviceRun<T>& run = a.run[low];
  if (threadIdx.x == 0) {
    shared_finite = !a.square_norm || *a.square_norm - *a.square_norm == 0;
    double scale = a.grad_scale;
    if (run.clip >= 0) {  // torch.nn.utils.clip_grad_norm_: never scales up
      const AdamWClip& clip = a.clip[run.clip];
      const double factor =
          clip.max_norm / (a.grad_scale * std::sqrt(clip.square_norm[run.word]) + 1e-6);
      if (factor < 1) scale *= factor;
    }
    shared_scale = static_cast<T>(scale);
  }
  __syncthreads();
  if (!shared_finite) return;
  const T scale = shared_scale;
  const std::int64_t base =
      run.begin / flat_width * flat_width +
      std::int64_t{static_cast<int>(blockIdx.x) - run.first_block} * adamw_values;
#pragma unroll
  for (int part = 0; part < adamw_values / (flat_threads * flat_width); ++part) {
    const std::int64_t first =
        base + (part * flat_threads + static_cast<int>(threadIdx.x)) * flat_width;
    if (a.vectors && first >= run.begin && first + flat_width <= run.end) {
      adamw_elements<flat_width>(a, run, scale, first);
    } else {
      for (std::int64_t i = first; i < first + flat_width; ++i)
        if (i >= run.begin && i < run.end) adamw_elements<1>(a, run, scale, i);
    }
  }
}

}  // namespace albef::detail
