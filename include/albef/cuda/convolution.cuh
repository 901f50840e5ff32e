// Convolution and pooling of the CUDA backend.
#pragma once

#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/kernels/convolution.cuh"

namespace albef {

template <class T>
void run(Cuda& cuda, const primitive::TransposeEach<T>& a) {
  using namespace detail;
  if (a.count == 0 || a.rows == 0 || a.cols == 0) return;
  const std::int64_t down = blocks_for(a.rows, transpose_tile);
  require(down <= 0xFFFF, "[transpose] is limited to ", 0xFFFF * transpose_tile, " rows, got ",
          a.rows);
  launch(cuda, "[transpose]", transpose_kernel<T>,
         dim3(static_cast<unsigned>(blocks_for(a.cols, transpose_tile)),
              static_cast<unsigned>(down), static_cast<unsigned>(std::min(a.count, 0xFFFF))),
         dim3(transpose_tile, transpose_lines), 0, a);
}

template <class T>
void run(Cuda& cuda, const primitive::Unfold<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[unfold]", a.columns.rows, a.columns.cols,
      [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.columns, n); },
      UnfoldElements<const T, T>{a.x, a.grid, a.first, a.columns});
}

template <class T>
void run(Cuda& cuda, const primitive::Fold<T>& a) {
  using namespace detail;
  const LineRange lines(a.grid, a.first, a.columns.rows);
  for_elements<T>(
      cuda, "[fold]", (lines.end - lines.begin) * a.grid.width, a.x.cols,
      [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.columns, n); },
      FoldElements<const T, T>{a.columns, a.grid, a.first, lines.begin * a.grid.width, a.x});
}

template <class T>
void run(Cuda& cuda, const primitive::MaxPool<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[max_pool]", a.y.rows, a.y.cols,
      [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); },
      MaxPoolElements<const T, T>{a.x, a.grid, a.y, a.from});
}

template <class T>
void run(Cuda& cuda, const primitive::MaxPoolGrad<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[max_pool_backward]", a.dx.rows, a.dx.cols,
      [&](int n) { return rows_aligned(a.dy, n) && rows_aligned(a.dx, n); },
      MaxPoolGradient<const T, T>{a.dy, a.from, a.grid, a.dx, a.beta});
}

template <class T>
void run(Cuda& cuda, const primitive::ArgmaxRows<T>& a) {
  using namespace detail;
  if (a.x.rows == 0) return;
  launch(cuda, "[argmax]", argmax_kernel<T>, dim3(static_cast<unsigned>(a.x.rows)),
         dim3(argmax_threads), 0, a);
}

}  // namespace albef
