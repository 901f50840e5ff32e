// Element-wise primitives and plain reductions of the CPU backend.
#pragma once

#include "albef/core/backend.hpp"
#include "albef/cpu/gemm.hpp"
#include "albef/cpu/loops.hpp"
#include "albef/cpu/philox.hpp"

namespace albef {

/// y = x + beta y
template <class T>
void add(Cpu& cpu, ConstMat<T> x, Mat<T> y, T beta) {
  detail::for_elements<T>(cpu, y.rows, y.cols, [&](int i, std::int64_t j, int n) {
    detail::store_with_beta(Pack<T>::load_n(x.row(i) + j, n), beta, y.row(i) + j, n);
  });
}

/// y[i] = row for every i
template <class T>
void set_rows(Cpu& cpu, const T* row, Mat<T> y) {
  detail::for_elements<T>(cpu, y.rows, y.cols, [&](int i, std::int64_t j, int n) {
    Pack<T>::load_n(row + j, n).store_n(y.row(i) + j, n);
  });
}

/// y[i] += row for every i
template <class T>
void add_row(Cpu& cpu, const T* row, Mat<T> y) {
  detail::for_elements<T>(cpu, y.rows, y.cols, [&](int i, std::int64_t j, int n) {
    detail::store_with_beta(Pack<T>::load_n(row + j, n), T{1}, y.row(i) + j, n);
  });
}

/// y = x * row + beta y, the row repeated
template <class T>
void mul_row(Cpu& cpu, ConstMat<T> x, const T* row, Mat<T> y, T beta) {
  detail::for_elements<T>(cpu, y.rows, y.cols, [&](int i, std::int64_t j, int n) {
    const auto v = Pack<T>::load_n(x.row(i) + j, n) * Pack<T>::load_n(row + j, n);
    detail::store_with_beta(v, beta, y.row(i) + j, n);
  });
}

/// y = x * factor[0] + beta y
template <class T>
void scale_rows(Cpu& cpu, ConstMat<T> x, const T* factor, Mat<T> y, T beta) {
  const T s = factor[0];
  detail::for_elements<T>(cpu, y.rows, y.cols, [&](int i, std::int64_t j, int n) {
    detail::store_with_beta(Pack<T>::load_n(x.row(i) + j, n) * s, beta, y.row(i) + j, n);
  });
}

/// sum[j] = sum_i x[i][j] + beta sum[j]
template <class T>
void column_sum(Cpu& cpu, ConstMat<T> x, T* sum, T beta) {
  detail::sum_columns(cpu, x.rows, x.cols, sum, beta, [&](int i, std::int64_t j, int n) {
    return Pack<T>::load_n(x.row(i) + j, n);
  });
}

/// dw = dy^T x + beta dw and, unless null, db = column sums of dy + beta_db db
template <class T>
void weight_gradient(Cpu& cpu, ConstMat<T> dy, ConstMat<T> x, Mat<T> dw, T beta, T* db,
                     std::type_identity_t<T> beta_db) {
  gemm(cpu, GemmArgs<T>{.a = dy, .b = x, .c = dw, .transpose_a = true, .beta = beta});
  if (db) column_sum(cpu, dy, db, beta_db);
}

/// sum[j] = sum_i a[i][j] b[i][j] + beta sum[j]
template <class T>
void dot_rows(Cpu& cpu, ConstMat<T> a, ConstMat<T> b, T* sum, T beta) {
  detail::sum_columns(cpu, a.rows, a.cols, sum, beta, [&](int i, std::int64_t j, int n) {
    return Pack<T>::load_n(a.row(i) + j, n) * Pack<T>::load_n(b.row(i) + j, n);
  });
}

/// out = alpha * sum of a * b over all elements + beta out
template <class T>
void dot(Cpu& cpu, ConstMat<T> a, ConstMat<T> b, T* out, T alpha, T beta) {
  T* rows = cpu.shared_scratch<T>(static_cast<std::size_t>(a.rows));
  detail::for_rows(cpu, a.rows, a.cols, [&](int i) {
    Pack<T> s(T{0});
    detail::for_packs<T>(a.cols, [&](std::int64_t j, int n) {
      s = fma(Pack<T>::load_n(a.row(i) + j, n), Pack<T>::load_n(b.row(i) + j, n), s);
    });
    rows[i] = sum(s);
  });
  double total = 0;
  for (int i = 0; i < a.rows; ++i) total += static_cast<double>(rows[i]);
  *out = alpha * static_cast<T>(total) + (beta == 0 ? T{0} : beta * *out);
}

/// dz = dy * gelu'(z); dz may be dy.
template <class T>
void gelu_backward(Cpu& cpu, ConstMat<T> dy, ConstMat<T> z, Mat<T> dz) {
  detail::for_elements<T>(cpu, dz.rows, dz.cols, [&](int i, std::int64_t j, int n) {
    const auto d = gelu_derivative(Pack<T>::load_n(z.row(i) + j, n));
    (d * Pack<T>::load_n(dy.row(i) + j, n)).store_n(dz.row(i) + j, n);
  });
}

/// dx = (0 where y <= 0, else dy) + beta dx, y = max(x, 0)
template <class T>
void relu_backward(Cpu& cpu, ConstMat<T> dy, ConstMat<T> y, Mat<T> dx, T beta) {
  detail::for_elements<T>(cpu, dx.rows, dx.cols, [&](int i, std::int64_t j, int n) {
    const T *from = dy.row(i) + j, *out = y.row(i) + j;
    T* to = dx.row(i) + j;
    for (int k = 0; k < n; ++k) {
      const T d = out[k] <= 0 ? T{0} : from[k];
      to[k] = beta == 0 ? d : d + beta * to[k];
    }
  });
}

namespace detail {

/// Number of the first random word of row i: rows start at multiples of four words.
inline std::uint64_t dropout_row(int i, int cols) {
  return static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>((cols + 3) / 4 * 4);
}

}  // namespace detail

/// y = x * mask / (1 - p) + beta y
template <class T>
void dropout(Cpu& cpu, ConstMat<T> x, Mat<T> y, T beta, float p, const Philox& philox,
             std::uint64_t stream) {
  const auto grain = detail::row_grain(y.cols);
  const std::int64_t blocks = (y.rows + grain - 1) / grain;
  cpu.for_each(blocks, [&](std::int64_t block, int thread) {
    T* factor = cpu.scratch<T>(thread, static_cast<std::size_t>(y.cols));
    const auto begin = static_cast<int>(block * grain);
    const auto end = static_cast<int>(std::min<std::int64_t>(y.rows, begin + grain));
    for (int i = begin; i < end; ++i) {
      dropout_scale(philox, stream, detail::dropout_row(i, y.cols), factor, y.cols, p);
      detail::for_packs<T>(y.cols, [&](std::int64_t j, int n) {
        const auto v = Pack<T>::load_n(x.row(i) + j, n) * Pack<T>::load_n(factor + j, n);
        detail::store_with_beta(v, beta, y.row(i) + j, n);
      });
    }
  });
}

namespace detail {

template <class T>
T scale_factor(const T* s, ScaleKind kind) {
  return kind == ScaleKind::reciprocal ? 1 / *s : std::exp(*s);
}

}  // namespace detail

/// y = x * factor(s) + beta y
template <class T>
void scale_by(Cpu& cpu, ConstMat<T> x, const T* s, ScaleKind kind, Mat<T> y, T beta) {
  const T factor = detail::scale_factor(s, kind);
  scale_rows(cpu, x, &factor, y, beta);
}

/// ds = factor'(s) * sum(dy * x) + beta ds
template <class T>
void scale_gradient(Cpu& cpu, ConstMat<T> dy, ConstMat<T> x, const T* s, ScaleKind kind, T* ds,
                    T beta) {
  const T factor = detail::scale_factor(s, kind);
  dot(cpu, dy, x, ds, kind == ScaleKind::reciprocal ? -factor * factor : factor, beta);
}

}  // namespace albef
