// The products of gemm.hpp computed by Eigen on the calling thread: the reference that tests and
// benchmarks compare with.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <type_traits>

#include "albef/core/primitives/products.hpp"
#include "albef/cpu/simd.hpp"

namespace albef {

/// Same meaning as run(cpu, g).
template <class T>
void gemm_eigen(const primitive::Gemm<T>& g) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stride = Eigen::OuterStride<>;
  const auto map = [](auto m) {
    using Element = std::conditional_t<std::is_const_v<std::remove_pointer_t<decltype(m.data)>>,
                                       const Matrix, Matrix>;
    return Eigen::Map<Element, 0, Stride>(m.data, m.rows, m.cols, Stride(m.stride));
  };
  const auto a = map(g.a), b = map(g.b);
  auto c = map(g.c);
  if (g.beta == T(0))
    c.setZero();
  else
    c *= g.beta;
  if (g.transpose_a && g.transpose_b)
    c.noalias() += g.alpha * (a.transpose() * b.transpose());
  else if (g.transpose_a)
    c.noalias() += g.alpha * (a.transpose() * b);
  else if (g.transpose_b)
    c.noalias() += g.alpha * (a * b.transpose());
  else
    c.noalias() += g.alpha * (a * b);
  if (g.bias)
    c.rowwise() += Eigen::Map<const Eigen::Matrix<T, 1, Eigen::Dynamic>>(g.bias, g.c.cols);
  if (!g.gelu) return;
  if (g.pre.data) map(g.pre) = c;
  for (int i = 0; i < g.c.rows; ++i) {
    for (int j = 0, n; j < g.c.cols; j += n) {
      n = std::min(Pack<T>::width, g.c.cols - j);
      gelu(Pack<T>::load_n(g.c.row(i) + j, n)).store_n(g.c.row(i) + j, n);
    }
  }
}

}  // namespace albef
