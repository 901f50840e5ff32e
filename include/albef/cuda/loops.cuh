// Loops to write CUDA primitives with: over the elements of a matrix, and sums over rows.
//
// A primitive of your own is a struct of arguments and a function run(Cuda&, const Arguments&) in
// the namespace of the struct. Its device code is a struct with apply<N>(row, column) for N columns
// at once, so that 16 bytes move with one access where the memory is aligned:
//
//   template <class T>
//   struct SquareElements {  // y = x * x + beta y, the arguments Square of cpu/loops.hpp
//     Square<T> a;
//     template <int N>
//     __device__ void apply(int i, int j) const {
//       auto v = gpu::load<N>(gpu::row_of(a.x, i) + j);  // N values of accumulator_t<T>
//       for (int k = 0; k < N; ++k) v[k] *= v[k];
//       gpu::store_with_beta(gpu::row_of(a.y, i) + j, v, a.beta);
//     }
//   };
//   template <class T>
//   void run(Cuda& cuda, const Square<T>& a) {
//     gpu::for_elements<T>(
//         cuda, "[square]", a.y.rows, a.y.cols,
//         [&](int n) { return gpu::rows_aligned(a.x, n) && gpu::rows_aligned(a.y, n); },
//         SquareElements<T>{a});
//   }
//
// The rule of beta: a result is new + beta * old, and beta = 0 never reads the old value, which may
// be anything, NaN included. Sums run in an order fixed by the shape, so that a step repeats its
// bits. Memory comes from cuda.scratch, which grows only. kernels/vector.cuh has loads and stores,
// kernels/reduce.cuh sums over warps and blocks, launch.cuh the checked launch of other kernels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "albef/cuda/kernels/reduce.cuh"
#include "albef/cuda/launch.cuh"

namespace albef::gpu {

/// Calls f.template apply<N>(row, col) for every N columns of a (rows, cols) grid, one a thread.
template <int N, class F>
__global__ void elements_kernel(std::int64_t units, unsigned units_per_row, F f) {
  const std::int64_t unit = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (unit >= units) return;
  const auto u = static_cast<unsigned>(unit);
  const unsigned row = u / units_per_row;
  f.template apply<N>(static_cast<int>(row), static_cast<int>((u - row * units_per_row) * N));
}

/// Calls f(width) with the widest of 16 bytes of T and one value that all of `aligned(n)` allows.
template <class T, class Aligned, class F>
void with_width(Aligned&& aligned, F&& f) {
  if (aligned(vector_width<T>))
    f(std::integral_constant<int, vector_width<T>>{});
  else
    f(std::integral_constant<int, 1>{});
}

/// f.apply<N>(row, col) over a (rows, cols) grid; `aligned(n)` says whether N = n will do.
template <class T, class Aligned, class F>
void for_elements(Cuda& cuda, const char* name, int rows, int cols, Aligned&& aligned, const F& f) {
  if (rows == 0 || cols == 0) return;
  constexpr int threads = 256;
  with_width<T>(aligned, [&](auto width) {
    constexpr int n = decltype(width)::value;
    const std::int64_t per_row = cols / n, units = per_row * rows;
    require(units <= std::int64_t{0xFFFFFFFF}, name, " is limited to ", 0xFFFFFFFFu,
            " accesses, got ", rows, " rows of ", cols, " values");
    launch(cuda, name, elements_kernel<n, F>,
           dim3(static_cast<unsigned>(blocks_for(units, threads))), dim3(threads), 0, units,
           static_cast<unsigned>(per_row), f);
  });
}

// ---- sums over rows: blocks of rows first, then the blocks, each in a fixed order

inline constexpr int column_sum_warps = 8;

/// partial[b][j] = sum of f's terms over the rows of block b. Blocks are (columns / 32 N, b); warp
/// w takes every 8th row.
template <int N, class A, class F>
__global__ void __launch_bounds__(column_sum_warps* warp_size)
    column_partials_kernel(F f, int rows, int cols, int rows_per_block, A* partial) {
  __shared__ A sums[column_sum_warps][warp_size * N];
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int j = (static_cast<int>(blockIdx.x) * warp_size + lane) * N;
  const int begin = static_cast<int>(blockIdx.y) * rows_per_block;
  const int end = min(rows, begin + rows_per_block);
  Values<A, N> sum = {};
  if (j < cols) {
#pragma unroll 4
    for (int i = begin + warp; i < end; i += column_sum_warps) {
      const auto v = f.template term<N>(i, j);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += v[k];
    }
  }
#pragma unroll
  for (int k = 0; k < N; ++k) sums[warp][k * warp_size + lane] = sum[k];
  __syncthreads();
  if (warp != 0 || j >= cols) return;
#pragma unroll
  for (int k = 0; k < N; ++k) {
    A total = 0;
    for (int w = 0; w < column_sum_warps; ++w) total += sums[w][k * warp_size + lane];
    partial[std::int64_t{blockIdx.y} * cols + j + k] = total;
  }
}

/// out[j] = sum over blocks b of partial[b * stride + j] + beta out[j].
template <class A, class S>
__global__ void __launch_bounds__(column_sum_warps* warp_size)
    column_totals_kernel(const A* partial, int blocks, int cols, std::int64_t stride, S* out,
                         A beta) {
  __shared__ A sums[column_sum_warps][warp_size];
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int j = static_cast<int>(blockIdx.x) * warp_size + lane;
  A sum = 0;
  if (j < cols)
    for (int b = warp; b < blocks; b += column_sum_warps) sum += partial[b * stride + j];
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || j >= cols) return;
  sum = 0;
  for (int w = 0; w < column_sum_warps; ++w) sum += sums[w][lane];
  store_with_beta(out + j, sum, beta);
}

/// Blocks of rows a sum over `rows` rows is split into; depends on the number alone.
inline int row_blocks(int rows) {
  return static_cast<int>(std::clamp<std::int64_t>(blocks_for(rows, 4 * column_sum_warps), 1, 128));
}

/// out[j] = sum over rows of f.term<N>(i, j) + beta out[j].
template <class T, class Aligned, class F, class S>
void sum_columns(Cuda& cuda, const char* name, int rows, int cols, Aligned&& aligned, const F& f,
                 S* out, S beta) {
  const int blocks = row_blocks(rows), per_block = static_cast<int>(blocks_for(rows, blocks));
  auto* partial = static_cast<S*>(
      cuda.scratch(sizeof(S) * static_cast<std::size_t>(blocks) * static_cast<std::size_t>(cols)));
  const dim3 block(warp_size, column_sum_warps);
  with_width<T>(aligned, [&](auto width) {
    constexpr int n = decltype(width)::value;
    const dim3 grid(static_cast<unsigned>(blocks_for(cols, warp_size * n)),
                    static_cast<unsigned>(blocks));
    launch(cuda, name, column_partials_kernel<n, S, F>, grid, block, 0, f, rows, cols, per_block,
           partial);
  });
  launch(cuda, name, column_totals_kernel<S, S>,
         dim3(static_cast<unsigned>(blocks_for(cols, warp_size))), block, 0, partial, blocks, cols,
         std::int64_t{cols}, out, beta);
}

}  // namespace albef::gpu
