// Matrix products: what linear layers, their gradients and similarities are made of.
#pragma once

#include "albef/core/error.hpp"
#include "albef/core/matrix.hpp"

namespace albef {
namespace primitive {

/// The matrix product
///   c = epilogue(alpha * op(a) * op(b) + beta * c + bias),   op(x) = x or its transpose.
/// op(a) is (M, K), op(b) is (K, N), c is (M, N); bias (N values, or null) is added to every row.
/// beta == 0 never reads c. With `gelu`, c receives gelu(z) and `pre` (if set) receives
/// z = alpha * op(a) * op(b) + beta * c + bias. No aliasing between c and the inputs.
/// Out is the type of the result: T, or accumulator_t<T> for parameter gradients (no bias or gelu).
template <class T, class Out = T>
struct Gemm {
  Mat<const T> a, b;
  Mat<Out> c;
  bool transpose_a = false, transpose_b = false;
  accumulator_t<T> alpha = 1, beta = 0;
  const T* bias = nullptr;
  bool gelu = false;
  Mat<T> pre = {};
};

/// Gradients of a linear layer y = x W^T + b: dw = dy^T x + beta dw and, unless null, db = column
/// sums of dy + beta_db db. dy (rows, Out), x (rows, In), dw (Out, In).
template <class T>
struct WeightGradient {
  Mat<const T> dy, x;
  Mat<accumulator_t<T>> dw;
  accumulator_t<T> beta = 0;
  accumulator_t<T>* db = nullptr;  ///< (Out)
  accumulator_t<T> beta_db = 0;
};

}  // namespace primitive

/// K: what the product sums over.
template <class T, class Out>
constexpr int inner_size(const primitive::Gemm<T, Out>& g) {
  return g.transpose_a ? g.a.rows : g.a.cols;
}

/// Throws Error if the shapes of a product do not fit.
template <class T, class Out>
void check_gemm(const primitive::Gemm<T, Out>& g) {
  const int m = g.transpose_a ? g.a.cols : g.a.rows, k = inner_size(g);
  const int kb = g.transpose_b ? g.b.cols : g.b.rows, n = g.transpose_b ? g.b.rows : g.b.cols;
  require(m == g.c.rows && n == g.c.cols && k == kb, "[gemm] (", m, ", ", k, ") x (", kb, ", ", n,
          ") does not give (", g.c.rows, ", ", g.c.cols, ")");
}

}  // namespace albef
