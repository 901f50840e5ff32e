// Device code of layer norm, L2 normalisation and weight norm: one warp per row.
#pragma once

#include <cmath>

#include "albef/core/primitives/norm.hpp"
#include "albef/cuda/kernels/philox.cuh"
#include "albef/cuda/kernels/reduce.cuh"

namespace albef::detail {

inline constexpr int norm_warps = 8;
inline constexpr int norm_cached_cols = 1024;  // rows up to this long are kept in registers

/// Pieces of N columns a lane keeps of a cached row.
template <int N>
inline constexpr int norm_pieces = norm_cached_cols / (warp_size * N);

/// Calls f(piece, col) for the pieces of a row that belong to this lane. With Pieces > 0 the loop
/// is unrolled, so that arrays indexed by `piece` stay in registers; else rows may have any length.
template <int N, int Pieces, class F>
__device__ __forceinline__ void for_row_pieces(int cols, F f) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  if constexpr (Pieces > 0) {
#pragma unroll
    for (int c = 0; c < Pieces; ++c)
      if (const int j = (c * warp_size + lane) * N; j < cols) f(c, j);
  } else {
    for (int j = lane * N; j < cols; j += warp_size * N) f(0, j);
  }
}

/// The row of this warp in a grid of one warp per row.
__device__ __forceinline__ int warp_row() {
  return static_cast<int>(blockIdx.x) * norm_warps + static_cast<int>(threadIdx.x) / warp_size;
}

template <class T, int N, int Pieces>
__global__ void __launch_bounds__(norm_warps* warp_size)
    layer_norm_forward_kernel(primitive::LayerNorm<T> a, DropoutFactors dropout) {
  using A = accumulator_t<T>;
  const int i = warp_row(), cols = a.x.cols;
  if (i >= a.x.rows) return;
  const bool sums = a.residual.data != nullptr;
  Raw<T, N> kept[Pieces > 0 ? Pieces : 1];
  const T* source = sums ? row_of(a.sum, i) : row_of(a.x, i);  // where uncached rows are read again
  A total = 0;
  if (dropout.threshold) dropout = dropout.resolved();
  for_row_pieces<N, Pieces>(cols, [&](int c, int j) {
    Raw<T, N> raw = Raw<T, N>::read(row_of(a.x, i) + j);
    if (sums) {
      auto v = raw.values();
      if (dropout.threshold) dropout.apply(dropout_element(i, cols, j), v);
      const auto r = load<N>(row_of(a.residual, i) + j);
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] += r[k];
      raw = Raw<T, N>::rounded(v);  // what is normalised is what the backward pass will read
      raw.write(row_of(a.sum, i) + j);
    }
    const auto v = raw.values();
#pragma unroll
    for (int k = 0; k < N; ++k) total += v[k];
    if constexpr (Pieces > 0) kept[c] = raw;
  });
  const auto x = [&](int c, int j) {
    if constexpr (Pieces > 0)
      return kept[c].values();
    else
      return load<N>(source + j);
  };
  const A mean = a.mean ? warp_sum(total) / static_cast<A>(cols) : A(0);
  A square = 0;
  for_row_pieces<N, Pieces>(cols, [&](int c, int j) {
    const auto v = x(c, j);
#pragma unroll
    for (int k = 0; k < N; ++k) square += (v[k] - mean) * (v[k] - mean);
  });
  const A rstd = A(1) / std::sqrt(warp_sum(square) / static_cast<A>(cols) + a.eps);
  if (threadIdx.x % warp_size == 0) {
    if (a.mean) a.mean[i] = mean;
    a.rstd[i] = rstd;
  }
  for_row_pieces<N, Pieces>(cols, [&](int c, int j) {
    auto v = x(c, j);
    const auto w = load<N>(a.weight + j);
    Values<A, N> b = {};
    if (a.bias) b = load<N>(a.bias + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = (v[k] - mean) * rstd * w[k] + b[k];
    store(row_of(a.y, i) + j, v);
  });
}

/// dx of row i. `x(c, j)` and `dy(c, j)` give pieces of the row.
template <class T, int N, int Pieces, class X, class Dy>
__device__ __forceinline__ void layer_norm_row_gradient(const primitive::LayerNormGrad<T>& a, int i,
                                                        X x, Dy dy) {
  using A = accumulator_t<T>;
  const int cols = a.x.cols;
  const A mean = a.mean ? a.mean[i] : A(0), rstd = a.rstd[i];
  A sum_g = 0, sum_gx = 0;
  for_row_pieces<N, Pieces>(cols, [&](int c, int j) {
    const auto v = x(c, j), d = dy(c, j), w = load<N>(a.weight + j);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const A g = d[k] * w[k];
      sum_g += g;
      sum_gx += g * ((v[k] - mean) * rstd);
    }
  });
  const A mean_g = a.mean ? warp_sum(sum_g) / static_cast<A>(cols) : A(0);
  const A mean_gx = warp_sum(sum_gx) / static_cast<A>(cols);
  for_row_pieces<N, Pieces>(cols, [&](int c, int j) {
    auto v = x(c, j);
    const auto d = dy(c, j), w = load<N>(a.weight + j);
#pragma unroll
    for (int k = 0; k < N; ++k)
      v[k] = (d[k] * w[k] - mean_g - (v[k] - mean) * rstd * mean_gx) * rstd;
    store_with_beta(row_of(a.dx, i) + j, v, a.beta_x);
  });
}

/// dx alone, rows of any length.
template <class T, int N>
__global__ void __launch_bounds__(norm_warps* warp_size)
    layer_norm_dx_kernel(primitive::LayerNormGrad<T> a) {
  const int i = warp_row();
  if (i >= a.x.rows) return;
  layer_norm_row_gradient<T, N, 0>(
      a, i, [&](int, int j) { return load<N>(row_of(a.x, i) + j); },
      [&](int, int j) { return load<N>(row_of(a.dy, i) + j); });
}

/// A term of dweight: dy * xhat.
template <class T>
struct LayerNormWeightTerm {
  primitive::LayerNormGrad<T> a;
  template <int N>
  __device__ __forceinline__ auto term(int i, int j) const {
    auto v = load<N>(row_of(a.x, i) + j);
    const auto d = load<N>(row_of(a.dy, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = d[k] * ((v[k] - (a.mean ? a.mean[i] : 0)) * a.rstd[i]);
    return v;
  }
};

/// dx, and for block b the sums of dweight and dbias over its rows: partial[(2 b) * cols + j] and
/// partial[(2 b + 1) * cols + j]. One pass over dy and x; warp w takes every 8th row of the block.
template <class T, int N>
__global__ void __launch_bounds__(norm_warps* warp_size)
    layer_norm_backward_kernel(primitive::LayerNormGrad<T> a, int rows_per_block,
                               accumulator_t<T>* partial) {
  using A = accumulator_t<T>;
  constexpr int pieces = norm_pieces<N>;
  __shared__ A sums[norm_warps][warp_size * N];
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const int warp = static_cast<int>(threadIdx.x) / warp_size;
  const int cols = a.x.cols, begin = static_cast<int>(blockIdx.x) * rows_per_block;
  const int end = min(a.x.rows, begin + rows_per_block);
  Values<A, N> dweight[pieces] = {}, dbias[pieces] = {};
  for (int i = begin + warp; i < end; i += norm_warps) {
    Raw<T, N> x[pieces], dy[pieces];
    for_row_pieces<N, pieces>(cols, [&](int c, int j) {
      x[c] = Raw<T, N>::read(row_of(a.x, i) + j);
      dy[c] = Raw<T, N>::read(row_of(a.dy, i) + j);
    });
    const A mean = a.mean ? a.mean[i] : A(0), rstd = a.rstd[i];
    for_row_pieces<N, pieces>(cols, [&](int c, int) {
      const auto v = x[c].values(), d = dy[c].values();
#pragma unroll
      for (int k = 0; k < N; ++k) {
        dweight[c][k] += d[k] * ((v[k] - mean) * rstd);
        dbias[c][k] += d[k];
      }
    });
    if (a.dx.data)
      layer_norm_row_gradient<T, N, pieces>(
          a, i, [&](int c, int) { return x[c].values(); },
          [&](int c, int) { return dy[c].values(); });
  }
  // Over the warps of the block, one piece at a time.
#pragma unroll
  for (int c = 0; c < 2 * pieces; ++c) {
    const auto& mine = c < pieces ? dweight[c % pieces] : dbias[c % pieces];
#pragma unroll
    for (int k = 0; k < N; ++k) sums[warp][k * warp_size + lane] = mine[k];
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < warp_size * N; e += norm_warps * warp_size) {
      const int j = ((c % pieces) * warp_size + e % warp_size) * N + e / warp_size;
      A total = 0;
      for (int w = 0; w < norm_warps; ++w) total += sums[w][e];
      if (j < cols)
        partial[(std::int64_t{blockIdx.x} * 2 + (c < pieces ? 0 : 1)) * cols + j] = total;
    }
    __syncthreads();
  }
}

/// y = x / max(|x|, 1e-12) per row; norm[i] is the divisor.
template <class X, class T, class S, int N>
__global__ void __launch_bounds__(norm_warps* warp_size)
    l2_normalize_forward_kernel(Mat<X> x, Mat<T> y, S* norm) {
  using A = accumulator_t<T>;
  const int i = warp_row();
  if (i >= y.rows) return;
  A square = 0;
  for_row_pieces<N, 0>(y.cols, [&](int, int j) {
    const auto v = load<N>(row_of(x, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) square += v[k] * v[k];
  });
  const A length = std::sqrt(warp_sum(square));
  const A divisor = length > A(1e-12) ? length : A(1e-12), factor = A(1) / divisor;
  if (threadIdx.x % warp_size == 0) norm[i] = divisor;
  for_row_pieces<N, 0>(y.cols, [&](int, int j) {
    auto v = load<N>(row_of(x, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= factor;
    store(row_of(y, i) + j, v);
  });
}

/// dx = (dy - y (y . dy)) / norm + beta dx; at the clamped norm of a zero row, dx = dy / norm.
template <class D, class Y, class S, class T, int N>
__global__ void __launch_bounds__(norm_warps* warp_size)
    l2_normalize_backward_kernel(Mat<D> dy, Mat<Y> y, const S* norm, Mat<T> dx,
                                 accumulator_t<T> beta) {
  using A = accumulator_t<T>;
  const int i = warp_row();
  if (i >= dx.rows) return;
  A inner = 0;
  for_row_pieces<N, 0>(dx.cols, [&](int, int j) {
    const auto d = load<N>(row_of(dy, i) + j), v = load<N>(row_of(y, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) inner += d[k] * v[k];
  });
  inner = warp_sum(inner);
  const A along = norm[i] > S(1e-12) ? inner : A(0), factor = A(1) / static_cast<A>(norm[i]);
  for_row_pieces<N, 0>(dx.cols, [&](int, int j) {
    auto d = load<N>(row_of(dy, i) + j);
    const auto v = load<N>(row_of(y, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) d[k] = (d[k] - v[k] * along) * factor;
    store_with_beta(row_of(dx, i) + j, d, beta);
  });
}

template <class T, int N>
__global__ void __launch_bounds__(norm_warps* warp_size)
    weight_norm_forward_kernel(primitive::WeightNorm<T> a) {
  const int i = warp_row(), cols = a.w.cols;
  if (i >= a.w.rows) return;
  T square = 0;
  for_row_pieces<N, 0>(cols, [&](int, int j) {
    const auto v = load<N>(row_of(a.v, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) square += v[k] * v[k];
  });
  const T norm = std::sqrt(warp_sum(square)), factor = a.g[i] / norm;
  if (threadIdx.x % warp_size == 0) a.norm[i] = norm;
  for_row_pieces<N, 0>(cols, [&](int, int j) {
    auto v = load<N>(row_of(a.v, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= factor;
    store(row_of(a.w, i) + j, v);
  });
}

template <class T, int N>
__global__ void __launch_bounds__(norm_warps* warp_size)
    weight_norm_backward_kernel(primitive::WeightNormGrad<T> a) {
  const int i = warp_row(), cols = a.v.cols;
  if (i >= a.v.rows) return;
  T inner = 0;
  for_row_pieces<N, 0>(cols, [&](int, int j) {
    const auto v = load<N>(row_of(a.v, i) + j), d = load<N>(row_of(a.dw, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) inner += v[k] * d[k];
  });
  const T norm = a.norm[i], along = warp_sum(inner) / norm;  // u . dw
  if (a.dg && threadIdx.x % warp_size == 0) store_with_beta(a.dg + i, along, a.beta_g);
  if (!a.dv.data) return;
  const T factor = a.g[i] / norm, back = along / norm;
  for_row_pieces<N, 0>(cols, [&](int, int j) {
    const auto v = load<N>(row_of(a.v, i) + j);
    auto d = load<N>(row_of(a.dw, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) d[k] = (d[k] - v[k] * back) * factor;
    store_with_beta(row_of(a.dv, i) + j, d, a.beta);
  });
}

}  // namespace albef::detail
