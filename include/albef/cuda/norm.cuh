// Layer norm and L2 normalisation of the CUDA backend, forward and backward.
#pragma once

#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/kernels/norm.cuh"

namespace albef {
namespace detail {

inline dim3 norm_grid(int rows) {
  return dim3(static_cast<unsigned>(blocks_for(rows, norm_warps)));
}
inline constexpr int norm_threads = norm_warps * warp_size;

/// Whether rows are moved in 16-byte pieces, few enough for the registers.
template <class T, class Aligned>
bool norm_cached(int cols, Aligned&& aligned) {
  return sizeof(T) <= 4 && cols <= norm_cached_cols && aligned(vector_width<T>);
}

}  // namespace detail

template <class T>
void layer_norm_forward(Cuda& cuda, const LayerNormArgs<T>& a) {
  using namespace detail;
  const auto dropout = a.residual.data
                           ? DropoutFactors::of<accumulator_t<T>>(a.philox, a.stream, a.dropout)
                           : DropoutFactors{};
  const auto aligned = [&](int n) {
    return rows_aligned(a.x, n) && rows_aligned(a.residual, n) && rows_aligned(a.sum, n) &&
           rows_aligned(a.y, n) && row_aligned(a.weight, n) && row_aligned(a.bias, n);
  };
  if constexpr (sizeof(T) <= 4) {
    constexpr int n = vector_width<T>;
    if (norm_cached<T>(a.x.cols, aligned))
      return launch(cuda, "[layer_norm]", layer_norm_forward_kernel<T, n, norm_pieces<n>>,
                    norm_grid(a.x.rows), dim3(norm_threads), 0, a, dropout);
  }
  launch(cuda, "[layer_norm]", layer_norm_forward_kernel<T, 1, 0>, norm_grid(a.x.rows),
         dim3(norm_threads), 0, a, dropout);
}

template <class T>
void layer_norm_backward(Cuda& cuda, const LayerNormGradArgs<T>& a) {
  using namespace detail;
  using A = accumulator_t<T>;
  const int rows = a.x.rows, cols = a.x.cols;
  const auto aligned = [&](int n) {
    return rows_aligned(a.dy, n) && rows_aligned(a.x, n) && rows_aligned(a.dx, n) &&
           row_aligned(a.weight, n);
  };
  if constexpr (sizeof(T) <= 4) {
    if (norm_cached<T>(cols, aligned)) {
      const int blocks = row_blocks(rows), per_block = static_cast<int>(blocks_for(rows, blocks));
      auto* partial = static_cast<A*>(cuda.scratch(
          2 * sizeof(A) * static_cast<std::size_t>(blocks) * static_cast<std::size_t>(cols)));
      launch(cuda, "[layer_norm_backward]", layer_norm_backward_kernel<T, vector_width<T>>,
             dim3(static_cast<unsigned>(blocks)), dim3(norm_threads), 0, a, per_block, partial);
      const dim3 grid(static_cast<unsigned>(blocks_for(cols, warp_size)));
      const dim3 block(warp_size, column_sum_warps);
      // Every second row of `partial` belongs to the same sum.
      const auto total = [&](const A* first, A* out, A beta) {
        if (out)
          launch(cuda, "[layer_norm_backward]", column_totals_kernel<A, A>, grid, block, 0, first,
                 blocks, cols, std::int64_t{2} * cols, out, beta);
      };
      total(partial, a.dweight, a.beta_weight);
      total(partial + cols, a.dbias, a.beta_bias);
      return;
    }
  }
  if (a.dx.data)
    launch(cuda, "[layer_norm_backward]", layer_norm_dx_kernel<T, 1>, norm_grid(rows),
           dim3(norm_threads), 0, a);
  const auto scalar = [](int n) { return n == 1; };
  if (a.dweight)
    sum_columns<T>(cuda, "[layer_norm_backward]", rows, cols, scalar, LayerNormWeightTerm<T>{a},
                   a.dweight, a.beta_weight);
  if (a.dbias) column_sum(cuda, a.dy, a.dbias, a.beta_bias);
}

/// y = x / max(|x|, 1e-12) per row; norm[i] is the divisor.
template <class X, class T, class S>
void l2_normalize_forward(Cuda& cuda, Mat<X> x, Mat<T> y, S* norm) {
  using namespace detail;
  with_width<T>([&](int n) { return rows_aligned(x, n) && rows_aligned(y, n); },
                [&](auto width) {
                  constexpr int n = decltype(width)::value;
                  launch(cuda, "[l2_normalize]", l2_normalize_forward_kernel<X, T, S, n>,
                         norm_grid(y.rows), dim3(norm_threads), 0, x, y, norm);
                });
}

/// dx = (dy - y (y . dy)) / norm + beta dx; at the clamped norm of a zero row, dx = dy / norm.
template <class D, class Y, class S, class T>
void l2_normalize_backward(Cuda& cuda, Mat<D> dy, Mat<Y> y, const S* norm, Mat<T> dx,
                           accumulator_t<T> beta) {
  using namespace detail;
  with_width<T>(
      [&](int n) { return rows_aligned(dy, n) && rows_aligned(y, n) && rows_aligned(dx, n); },
      [&](auto width) {
        constexpr int n = decltype(width)::value;
        launch(cuda, "[l2_normalize_backward]", l2_normalize_backward_kernel<D, Y, S, T, n>,
               norm_grid(dx.rows), dim3(norm_threads), 0, dy, y, norm, dx, beta);
      });
}

}  // namespace albef
