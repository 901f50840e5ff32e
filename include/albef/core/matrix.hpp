// Non-owning strided matrix views: what shape-typed layers hand to shape-erased kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "albef/core/bfloat16.hpp"
#include "albef/core/error.hpp"

namespace albef {

/// Row-major view; element (i, j) is at data[i * stride + j].
template <class T>
struct Mat {
  T* data = nullptr;
  int rows = 0, cols = 0;
  std::int64_t stride = 0;

  constexpr T* row(int i) const { return data + i * stride; }
  template <class U>
  requires std::is_same_v<U, const T>
  constexpr operator Mat<U>() const { return {data, rows, cols, stride}; }
};

/// A read-only view whose number type follows from the other arguments of a call.
template <class T>
using ConstMat = Mat<const std::type_identity_t<T>>;

template <class T>
constexpr Mat<T> mat(T* data, int rows, int cols) {
  return {data, rows, cols, cols};
}

/// The transpose of a matrix (rows, cols) on the host.
template <class T>
std::vector<T> transposed(const std::vector<T>& values, int rows, int cols) {
  std::vector<T> out;
  out.reserve(values.size());
  for (int j = 0; j < cols; ++j)
    for (int i = 0; i < rows; ++i)
      out.push_back(values[static_cast<std::size_t>(i) * static_cast<std::size_t>(cols) +
                           static_cast<std::size_t>(j)]);
  return out;
}

/// Arguments of the matrix product
///   c = epilogue(alpha * op(a) * op(b) + beta * c + bias),   op(x) = x or its transpose.
/// op(a) is (M, K), op(b) is (K, N), c is (M, N); bias (N values, or null) is added to every row.
/// beta == 0 never reads c. With `gelu`, c receives gelu(z) and `pre` (if set) receives
/// z = alpha * op(a) * op(b) + beta * c + bias. No aliasing between c and the inputs.
/// Out is the type of the result: T, or accumulator_t<T> for parameter gradients (no bias or gelu).
template <class T, class Out = T>
struct GemmArgs {
  Mat<const T> a, b;
  Mat<Out> c;
  bool transpose_a = false, transpose_b = false;
  accumulator_t<T> alpha = 1, beta = 0;
  const T* bias = nullptr;
  bool gelu = false;
  Mat<T> pre = {};
};

/// K: what the product sums over.
template <class T, class Out>
constexpr int inner_size(const GemmArgs<T, Out>& g) {
  return g.transpose_a ? g.a.rows : g.a.cols;
}

/// Throws Error if the shapes of a product do not fit.
template <class T, class Out>
void check_gemm(const GemmArgs<T, Out>& g) {
  const int m = g.transpose_a ? g.a.cols : g.a.rows, k = inner_size(g);
  const int kb = g.transpose_b ? g.b.cols : g.b.rows, n = g.transpose_b ? g.b.rows : g.b.cols;
  require(m == g.c.rows && n == g.c.cols && k == kb, "[gemm] (", m, ", ", k, ") x (", kb, ", ", n,
          ") does not give (", g.c.rows, ", ", g.c.cols, ")");
}

}  // namespace albef
