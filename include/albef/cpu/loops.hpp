// Loops to write CPU primitives with: over the packs of a row, the rows of a matrix, sums over
// rows.
//
// A primitive of your own is a struct of arguments and a function run(Cpu&, const Arguments&) in
// the namespace of the struct, made of these loops:
//
//   template <class T>
//   struct Square {  // y = x * x + beta y
//     Mat<const T> x;
//     Mat<T> y;
//     accumulator_t<T> beta = 0;
//   };
//   template <class T>
//   void run(Cpu& cpu, const Square<T>& a) {
//     for_elements<T>(cpu, a.y.rows, a.y.cols, [&](int i, std::int64_t j, int n) {
//       const auto x = Pack<T>::load_n(a.x.row(i) + j, n);
//       store_with_beta(x * x, a.beta, a.y.row(i) + j, n);
//     });
//   }
//
// The rule of beta: a result is new + beta * old, and beta = 0 never reads the old value, which may
// be anything, NaN included. A gradient that is the first to arrive is written with beta = 0, later
// ones add themselves with beta = 1 (Backward::into tells which).
//
// Work is split by the shape alone, never by the number of threads, and what several tasks sum up
// is summed in a fixed order: results are bit-equal for any number of threads. Memory comes from
// cpu.scratch (of a thread) and cpu.shared_scratch, which grow only: a warm step allocates nothing.
#pragma once

#include <algorithm>

#include "albef/core/matrix.hpp"
#include "albef/cpu/device.hpp"
#include "albef/cpu/simd.hpp"

namespace albef {

/// Calls f(j, n) for consecutive packs of a row: n lanes from column j, all but the last full.
template <class T, class F>
inline void for_packs(std::int64_t cols, F&& f) {
  std::int64_t j = 0;
  for (; j + Pack<T>::width <= cols; j += Pack<T>::width) f(j, Pack<T>::width);
  if (j < cols) f(j, static_cast<int>(cols - j));
}

/// Rows per block: enough work to be worth handing to a thread, whatever the thread count.
inline std::int64_t row_grain(std::int64_t cols) {
  return std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, cols));
}

/// Calls f(i) for every row in parallel blocks.
template <class F>
void for_rows(Cpu& cpu, int rows, std::int64_t cols, F&& f) {
  cpu.for_blocks(rows, row_grain(cols), [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<int>(begin); i < end; ++i) f(i);
  });
}

/// Calls f(i, j, n) for every pack of a (rows, cols) grid: the n values from row i, column j.
template <class T, class F>
void for_elements(Cpu& cpu, int rows, int cols, F&& f) {
  for_rows(cpu, rows, cols,
           [&](int i) { for_packs<T>(cols, [&](std::int64_t j, int n) { f(i, j, n); }); });
}

/// out[j] = sum over rows of term(i, j, n) + beta * out[j], in a fixed order: blocks of rows are
/// summed one by one, then the blocks.
template <class T, class F>
void sum_columns(Cpu& cpu, int rows, int cols, T* out, T beta, F&& term) {
  constexpr int rows_per_block = 256, cols_per_block = 256;
  const int row_blocks = std::max(1, (rows + rows_per_block - 1) / rows_per_block);
  const int col_blocks = (cols + cols_per_block - 1) / cols_per_block;
  T* partial =
      cpu.shared_scratch<T>(static_cast<std::size_t>(row_blocks) * static_cast<std::size_t>(cols));
  cpu.for_each(std::int64_t{row_blocks} * col_blocks, [&](std::int64_t task) {
    const int rb = static_cast<int>(task / col_blocks), cb = static_cast<int>(task % col_blocks);
    const int first = cb * cols_per_block, count = std::min(cols_per_block, cols - first);
    T* sums = partial + std::int64_t{rb} * cols + first;
    for (int j = 0; j < count; ++j) sums[j] = 0;
    for (int i = rb * rows_per_block; i < std::min(rows, (rb + 1) * rows_per_block); ++i)
      for_packs<T>(count, [&](std::int64_t j, int n) {
        (Pack<T>::load_n(sums + j, n) + term(i, first + j, n)).store_n(sums + j, n);
      });
  });
  for (int j = 0; j < cols; ++j) {
    T total = partial[j];
    for (int b = 1; b < row_blocks; ++b) total += partial[std::int64_t{b} * cols + j];
    out[j] = beta == 0 ? total : beta * out[j] + total;
  }
}

/// The first n lanes of x, zeros behind them.
template <class T>
inline Pack<T> first_lanes(Pack<T> x, int n) {
  if (n == Pack<T>::width) return x;
  return select(Pack<T>::iota() < Pack<T>(static_cast<T>(n)), x, Pack<T>(T{0}));
}

/// value + beta * old, never reading old when beta is 0.
template <class T>
inline void store_with_beta(Pack<T> value, T beta, T* y, int n) {
  if (beta != 0) value = fma(Pack<T>(beta), Pack<T>::load_n(y, n), value);
  value.store_n(y, n);
}

}  // namespace albef
