// Device code of convolution and pooling: what windows see, and its transpose.
#pragma once

#include "albef/core/primitives/convolution.hpp"
#include "albef/cuda/kernels/reduce.cuh"

namespace albef::detail {

inline constexpr int argmax_threads = 256;

/// A value and its place; the larger wins, NaN before all, then the earlier place.
template <class A>
struct Candidate {
  A value;
  int at;  ///< -1: none
};
template <class A>
__device__ __forceinline__ Candidate<A> shuffle_xor(const Candidate<A>& x, int distance) {
  return {gpu::shuffle_xor(x.value, distance), gpu::shuffle_xor(x.at, distance)};
}
/// Whether a beats b in a maximum that NaN wins.
template <class A>
__device__ __forceinline__ bool beats(A a, A b) {
  return a > b || (a != a && b == b);
}
struct Better {
  template <class A>
  __device__ __forceinline__ Candidate<A> operator()(const Candidate<A>& a,
                                                     const Candidate<A>& b) const {
    if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
    if (beats(a.value, b.value)) return a;
    if (beats(b.value, a.value)) return b;
    return a.at < b.at ? a : b;
  }
};

template <class T>
__global__ void __launch_bounds__(argmax_threads) argmax_kernel(primitive::ArgmaxRows<T> a) {
  using A = accumulator_t<T>;
  const int i = static_cast<int>(blockIdx.x);
  const T* x = row_of(a.x, i);
  Candidate<A> best{A(0), -1};
  for (int j = static_cast<int>(threadIdx.x); j < a.x.cols; j += argmax_threads)
    best = Better{}(best, Candidate<A>{static_cast<A>(x[j]), j});
  best = block_reduce<argmax_threads>(best, Candidate<A>{A(0), -1}, Better{});
  if (threadIdx.x == 0) a.index[i] = best.at;
}

/// Side of the tile that a block transposes.
inline constexpr int transpose_tile = 32, transpose_lines = 8;

/// Blocks are (tile of columns, tile of rows, matrix).
template <class T>
__global__ void __launch_bounds__(transpose_tile* transpose_lines)
    transpose_kernel(primitive::TransposeEach<T> a) {
  __shared__ T tile[transpose_tile][transpose_tile + 1];
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * transpose_tile;
  const int col = static_cast<int>(blockIdx.x) * transpose_tile;
  for (int b = static_cast<int>(blockIdx.z); b < a.count; b += static_cast<int>(gridDim.z)) {
    const T* x = a.x + std::int64_t{b} * a.rows * a.cols;
    T* y = a.y + std::int64_t{b} * a.rows * a.cols;
    for (int k = ty; k < transpose_tile; k += transpose_lines)
      if (row + k < a.rows && col + tx < a.cols)
        tile[k][tx] = x[std::int64_t{row + k} * a.cols + col + tx];
    __syncthreads();
    for (int k = ty; k < transpose_tile; k += transpose_lines)
      if (col + k < a.cols && row + tx < a.rows)
        store_with_beta(y + std::int64_t{col + k} * a.rows + row + tx,
                        static_cast<accumulator_t<T>>(tile[tx][k]), a.beta);
    __syncthreads();
  }
}

template <class X, class T>
struct UnfoldElements {  // columns <- x; N channels lie in one cell
  Mat<X> x;
  WindowGrid grid;
  int first;
  Mat<T> columns;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    const WindowPlace place(grid, first + i);
    const int cell = j / x.cols, c = j - cell * x.cols;
    const int ky = cell / grid.window.kernel, kx = cell - ky * grid.window.kernel;
    const int py = place.y + ky * grid.window.dilation, px = place.x + kx * grid.window.dilation;
    Raw<T, N> value = Raw<T, N>::rounded(Values<accumulator_t<T>, N>{});
    if (py >= 0 && py < grid.height && px >= 0 && px < grid.width)
      value = Raw<T, N>::read(
          row_of(x, std::int64_t{place.image * grid.height + py} * grid.width + px) + c);
    value.write(row_of(columns, i) + j);
  }
};

/// Calls f(window) for every window that pixel p of the maps is in, with the cell it is there.
template <class F>
__device__ __forceinline__ void for_windows(const WindowGrid& g, int p, F&& f) {
  const int line = p / g.width, x = p - line * g.width;
  const int image = line / g.height, y = line - image * g.height;
  const int high = g.out_height(), wide = g.out_width();
  for (int ky = 0; ky < g.window.kernel; ++ky) {
    const int oy = window_with(g.window, high, y, ky);
    if (oy < 0) continue;
    for (int kx = 0; kx < g.window.kernel; ++kx) {
      const int ox = window_with(g.window, wide, x, kx);
      if (ox >= 0) f((image * high + oy) * wide + ox, ky * g.window.kernel + kx);
    }
  }
}

template <class X, class T>
struct FoldElements {  // x += what the windows have in its place; i counts pixels from `begin`
  Mat<X> columns;
  WindowGrid grid;
  int first, begin;
  Mat<T> x;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    T* to = row_of(x, begin + i) + j;
    auto sum = load<N>(to);
    for_windows(grid, begin + i, [&](int window, int cell) {
      const int r = window - first;
      if (r < 0 || r >= columns.rows) return;
      const auto v = load<N>(row_of(columns, r) + cell * x.cols + j);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += v[k];
    });
    store(to, sum);
  }
};

template <class X, class T>
struct MaxPoolElements {  // y = the largest of x in every window
  Mat<X> x;
  WindowGrid grid;
  Mat<T> y;
  std::int32_t* from;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    using A = accumulator_t<T>;
    const WindowPlace place(grid, i);
    const Window w = grid.window;
    Values<A, N> best = {};
    int at[N] = {};
    bool none = true;
    for (int ky = 0; ky < w.kernel; ++ky)
      for (int kx = 0; kx < w.kernel; ++kx) {
        const int py = place.y + ky * w.dilation, px = place.x + kx * w.dilation;
        if (py < 0 || py >= grid.height || px < 0 || px >= grid.width) continue;
        const int row = (place.image * grid.height + py) * grid.width + px;
        const auto v = load<N>(row_of(x, row) + j);
#pragma unroll
        for (int k = 0; k < N; ++k)
          if (none || beats(v[k], best[k])) best[k] = v[k], at[k] = row;
        none = false;
      }
    store(row_of(y, i) + j, best);
    if (from == nullptr) return;
#pragma unroll
    for (int k = 0; k < N; ++k) from[std::int64_t{i} * y.cols + j + k] = at[k];
  }
};

template <class X, class T>
struct MaxPoolGradient {  // dx = dy where x was the largest + beta dx
  Mat<X> dy;
  const std::int32_t* from;
  WindowGrid grid;
  Mat<T> dx;
  accumulator_t<T> beta;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    Values<accumulator_t<T>, N> sum = {};
    for_windows(grid, i, [&](int window, int) {
      const auto v = load<N>(row_of(dy, window) + j);
      const std::int32_t* at = from + std::int64_t{window} * dx.cols + j;
#pragma unroll
      for (int k = 0; k < N; ++k)
        if (at[k] == i) sum[k] += v[k];
    });
    store_with_beta(row_of(dx, i) + j, sum, beta);
  }
};

}  // namespace albef::detail
