// Layer norm, L2 normalisation and weight norm of the CUDA backend, forward and backward.
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
void run(Cuda& cuda, const primitive::LayerNorm<T>& a) {
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
void run(Cuda& cuda, const primitive::LayerNormGrad<T>& a) {
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
  if (a.dbias) run(cuda, primitive::ColumnSum<T>{.x = a.dy, .sum = a.dbias, .beta = a.beta_bias});
}

template <class T>
void run(Cuda& cuda, const primitive::L2Normalize<T>& a) {
  using namespace detail;
  using A = accumulator_t<T>;
  with_width<A>([&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); },
                [&](auto width) {
                  constexpr int n = decltype(width)::value;
                  launch(cuda, "[l2_normalize]", l2_normalize_forward_kernel<const T, A, A, n>,
                         norm_grid(a.y.rows), dim3(norm_threads), 0, a.x, a.y, a.norm);
                });
}

template <class T>
void run(Cuda& cuda, const primitive::L2NormalizeGrad<T>& a) {
  using namespace detail;
  using A = accumulator_t<T>;
  with_width<T>(
      [&](int n) { return rows_aligned(a.dy, n) && rows_aligned(a.y, n) && rows_aligned(a.dx, n); },
      [&](auto width) {
        constexpr int n = decltype(width)::value;
        launch(cuda, "[l2_normalize_backward]",
               l2_normalize_backward_kernel<const A, const A, A, T, n>, norm_grid(a.dx.rows),
               dim3(norm_threads), 0, a.dy, a.y, a.norm, a.dx, a.beta);
      });
}

template <class T>
void run(Cuda& cuda, const primitive::WeightNorm<T>& a) {
  using namespace detail;
  with_width<T>([&](int n) { return rows_aligned(a.v, n) && rows_aligned(a.w, n); },
                [&](auto width) {
                  constexpr int n = decltype(width)::value;
                  launch(cuda, "[weight_norm]", weight_norm_forward_kernel<T, n>,
                         norm_grid(a.w.rows), dim3(norm_threads), 0, a);
                });
}

template <class T>
void run(Cuda& cuda, const primitive::WeightNormGrad<T>& a) {
  using namespace detail;
  with_width<T>(
      [&](int n) { return rows_aligned(a.dw, n) && rows_aligned(a.v, n) && rows_aligned(a.dv, n); },
      [&](auto width) {
        constexpr int n = decltype(width)::value;
        launch(cuda, "[weight_norm_backward]", weight_norm_backward_kernel<T, n>,
               norm_grid(a.v.rows), dim3(norm_threads), 0, a);
      });
}

}  // namespace albef
