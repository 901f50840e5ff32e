// Element-wise primitives and plain reductions of the CUDA backend.
#pragma once

#include "albef/cuda/kernels/elementwise.cuh"
#include "albef/cuda/launch.cuh"

namespace albef {
namespace detail {

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

}  // namespace detail

/// y = x + beta y
template <class X, class T>
void add(Cuda& cuda, Mat<X> x, Mat<T> y, accumulator_t<T> beta) {
  using namespace detail;
  for_elements<T>(
      cuda, "[add]", y.rows, y.cols,
      [&](int n) { return rows_aligned(x, n) && rows_aligned(y, n); },
      AddElements<X, T>{x, y, beta});
}

/// y[i] = row for every i
template <class R, class T>
void set_rows(Cuda& cuda, const R* row, Mat<T> y) {
  using namespace detail;
  for_elements<T>(
      cuda, "[set_rows]", y.rows, y.cols,
      [&](int n) { return row_aligned(row, n) && rows_aligned(y, n); }, SetRows<R, T>{row, y, 0});
}

/// y[i] += row for every i
template <class R, class T>
void add_row(Cuda& cuda, const R* row, Mat<T> y) {
  using namespace detail;
  for_elements<T>(
      cuda, "[add_row]", y.rows, y.cols,
      [&](int n) { return row_aligned(row, n) && rows_aligned(y, n); }, SetRows<R, T>{row, y, 1});
}

/// y = x * row + beta y, the row repeated
template <class X, class R, class T>
void mul_row(Cuda& cuda, Mat<X> x, const R* row, Mat<T> y, accumulator_t<T> beta) {
  using namespace detail;
  for_elements<T>(
      cuda, "[mul_row]", y.rows, y.cols,
      [&](int n) { return rows_aligned(x, n) && row_aligned(row, n) && rows_aligned(y, n); },
      MulRow<X, R, T>{x, row, y, beta});
}

namespace detail {

template <class X, class S, class T>
void scale_elements(Cuda& cuda, Mat<X> x, const S* factor, FactorKind kind, Mat<T> y,
                    accumulator_t<T> beta) {
  for_elements<T>(
      cuda, "[scale]", y.rows, y.cols,
      [&](int n) { return rows_aligned(x, n) && rows_aligned(y, n); },
      ScaleElements<X, S, T>{x, factor, kind, y, beta});
}
constexpr FactorKind factor_kind(ScaleKind kind) {
  return kind == ScaleKind::reciprocal ? FactorKind::reciprocal : FactorKind::exponential;
}

}  // namespace detail

/// y = x * factor[0] + beta y
template <class X, class S, class T>
void scale_rows(Cuda& cuda, Mat<X> x, const S* factor, Mat<T> y, accumulator_t<T> beta) {
  detail::scale_elements(cuda, x, factor, detail::FactorKind::plain, y, beta);
}

/// y = x * factor(s) + beta y
template <class X, class S, class T>
void scale_by(Cuda& cuda, Mat<X> x, const S* s, ScaleKind kind, Mat<T> y, accumulator_t<T> beta) {
  detail::scale_elements(cuda, x, s, detail::factor_kind(kind), y, beta);
}

/// sum[j] = sum_i x[i][j] + beta sum[j]
template <class X, class S>
void column_sum(Cuda& cuda, Mat<X> x, S* sum, std::type_identity_t<S> beta) {
  using namespace detail;
  sum_columns<std::remove_const_t<X>>(
      cuda, "[column_sum]", x.rows, x.cols, [&](int n) { return rows_aligned(x, n); },
      ColumnTerm<X>{x}, sum, beta);
}

/// sum[j] = sum_i a[i][j] b[i][j] + beta sum[j]
template <class X, class Y, class S>
void dot_rows(Cuda& cuda, Mat<X> a, Mat<Y> b, S* sum, std::type_identity_t<S> beta) {
  using namespace detail;
  sum_columns<std::remove_const_t<X>>(
      cuda, "[dot_rows]", a.rows, a.cols,
      [&](int n) { return rows_aligned(a, n) && rows_aligned(b, n); }, ProductTerm<X, Y>{a, b}, sum,
      beta);
}

namespace detail {

template <class X, class Y, class S>
void dot_scaled(Cuda& cuda, Mat<X> a, Mat<Y> b, const S* scalar, FactorKind kind, S alpha, S beta,
                S* out) {
  with_width<std::remove_const_t<X>>(
      [&](int n) { return rows_aligned(a, n) && rows_aligned(b, n); },
      [&](auto width) {
        constexpr int n = decltype(width)::value;
        const int per_row = a.cols / n;
        const auto blocks = static_cast<int>(std::clamp<std::int64_t>(
            blocks_for(std::int64_t{per_row} * a.rows, 4 * dot_threads), 1, 512));
        auto* partial =
            static_cast<double*>(cuda.scratch(sizeof(double) * static_cast<std::size_t>(blocks)));
        launch(cuda, "[dot]", dot_partials_kernel<n, X, Y>, dim3(static_cast<unsigned>(blocks)),
               dim3(dot_threads), 0, a, b, static_cast<unsigned>(per_row), partial);
        launch(cuda, "[dot]", dot_total_kernel<S>, dim3(1), dim3(dot_threads), 0, partial, blocks,
               scalar, kind, alpha, beta, out);
      });
}

}  // namespace detail

/// out = alpha * sum of a * b over all elements + beta out
template <class X, class Y, class S>
void dot(Cuda& cuda, Mat<X> a, Mat<Y> b, S* out, std::type_identity_t<S> alpha,
         std::type_identity_t<S> beta) {
  detail::dot_scaled(cuda, a, b, static_cast<const S*>(nullptr), detail::FactorKind::plain, alpha,
                     beta, out);
}

/// ds = factor'(s) * sum(dy * x) + beta ds
template <class X, class Y, class S>
void scale_gradient(Cuda& cuda, Mat<X> dy, Mat<Y> x, const S* s, ScaleKind kind,
                    std::type_identity_t<S>* ds, std::type_identity_t<S> beta) {
  detail::dot_scaled(cuda, dy, x, s, detail::factor_kind(kind), S(1), beta, ds);
}

/// y = gelu(z), exact; y may be z.
template <class Z, class T>
void gelu_forward(Cuda& cuda, Mat<Z> z, Mat<T> y) {
  using namespace detail;
  for_elements<T>(
      cuda, "[gelu]", y.rows, y.cols,
      [&](int n) { return rows_aligned(z, n) && rows_aligned(y, n); }, GeluForward<Z, T>{z, y});
}

/// dz = dy * gelu'(z); dz may be dy.
template <class D, class Z, class T>
void gelu_backward(Cuda& cuda, Mat<D> dy, Mat<Z> z, Mat<T> dz) {
  using namespace detail;
  for_elements<T>(
      cuda, "[gelu_backward]", dz.rows, dz.cols,
      [&](int n) { return rows_aligned(dy, n) && rows_aligned(z, n) && rows_aligned(dz, n); },
      GeluBackward<D, Z, T>{dy, z, dz});
}

/// dx = (0 where y <= 0, else dy) + beta dx, y = max(x, 0)
template <class T>
void relu_backward(Cuda& cuda, ConstMat<T> dy, ConstMat<T> y, Mat<T> dx,
                   std::type_identity_t<accumulator_t<T>> beta) {
  using namespace detail;
  for_elements<T>(
      cuda, "[relu_backward]", dx.rows, dx.cols,
      [&](int n) { return rows_aligned(dy, n) && rows_aligned(y, n) && rows_aligned(dx, n); },
      ReluBackward<T>{dy, y, dx, beta});
}

/// y = x * mask / (1 - p) + beta y
template <class X, class T>
void dropout(Cuda& cuda, Mat<X> x, Mat<T> y, accumulator_t<T> beta, float p, const Philox& philox,
             std::uint64_t stream) {
  using namespace detail;
  for_elements<T>(
      cuda, "[dropout]", y.rows, y.cols,
      [&](int n) { return rows_aligned(x, n) && rows_aligned(y, n); },
      DropoutElements<X, T>{x, y, beta, DropoutFactors::of<accumulator_t<T>>(philox, stream, p)});
}

}  // namespace albef
