// Matrix products of the CUDA backend against the CPU backend in double: transposes, strides, beta,
// bias and GELU, results in the accumulator type, and the gradients of a linear layer.
#pragma once

#include "both_devices.hpp"

namespace {

using namespace both;

struct ProductShape {
  int m, n, k, gap;
};
constexpr ProductShape product_shapes[] = {{5, 7, 3, 0},   {64, 48, 32, 8}, {130, 96, 72, 0},
                                           {33, 2, 64, 3}, {1, 61, 24, 0},  {40, 64, 0, 0}};

/// Sums of k products of standard normal numbers, rounded to T.
template <class T>
double product_bound(int k) {
  return tolerance<T> * (std::is_same_v<T, double> ? 20 : 2) * std::sqrt(1.0 + k);
}

template <class Out, class T>
void check_product(const ProductShape& s, bool transpose_a, bool transpose_b) {
  auto a = transpose_a ? Matrix<T>::random(s.k, s.m, s.gap) : Matrix<T>::random(s.m, s.k, s.gap);
  auto b = transpose_b ? Matrix<T>::random(s.n, s.k, s.gap) : Matrix<T>::random(s.k, s.n, s.gap);
  Matrix<Out> c(s.m, s.n, s.gap);
  for (const float beta : {0.0f, 1.0f}) {
    c.set([&](int i, int j) { return beta == 0 ? undefined : 0.25 * (i - j); });
    compare<T>(
        product_bound<T>(s.k),
        [&](auto on) {
          using R = typename decltype(on)::Real;
          using O = std::remove_reference_t<decltype(*on(c).data)>;
          albef::GemmArgs<R, O> g;
          g.a = on(a), g.b = on(b), g.c = on(c);
          g.transpose_a = transpose_a, g.transpose_b = transpose_b;
          g.alpha = on.sum(s.k == 0 ? 1.0f : 0.5f), g.beta = on.sum(beta);
          gemm(on.device, g);
        },
        c);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("products" * doctest::skip(no_test_device()), T, float, double, bfloat16) {
  for (const auto& s : product_shapes)
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true}) {
        CAPTURE(s.m);
        CAPTURE(s.k);
        CAPTURE(transpose_a);
        CAPTURE(transpose_b);
        check_product<T, T>(s, transpose_a, transpose_b);
        if constexpr (!std::is_same_v<T, accumulator_t<T>>)
          check_product<accumulator_t<T>, T>(s, transpose_a, transpose_b);
      }
}

TEST_CASE_TEMPLATE("products with bias and GELU" * doctest::skip(no_test_device()), T, float,
                   double, bfloat16) {
  for (const auto& s : product_shapes) {
    CAPTURE(s.m);
    CAPTURE(s.k);
    auto x = Matrix<T>::random(s.m, s.k, s.gap), w = Matrix<T>::random(s.n, s.k, 0, 0.2);
    auto bias = Matrix<T>::random(1, s.n);
    Matrix<T> y(s.m, s.n, s.gap), pre(s.m, s.n);
    for (const int kind : {0, 1, 2}) {  // bias, GELU, GELU that keeps its input
      CAPTURE(kind);
      y.set(undefined), pre.set(undefined);
      compare<T>(
          product_bound<T>(s.k),
          [&](auto on) {
            using R = typename decltype(on)::Real;
            albef::GemmArgs<R> g;
            g.a = on(x), g.b = on(w), g.c = on(y);
            g.transpose_b = true;
            g.bias = on.data(bias);
            g.gelu = kind > 0;
            if (kind > 1) g.pre = on(pre);
            gemm(on.device, g);
          },
          y, pre);
    }
  }
}

TEST_CASE_TEMPLATE("gradients of weights and bias" * doctest::skip(no_test_device()), T, float,
                   double, bfloat16) {
  using A = accumulator_t<T>;
  for (const auto& s : product_shapes) {
    CAPTURE(s.m);
    CAPTURE(s.k);
    auto dy = Matrix<T>::random(s.k, s.m, s.gap), x = Matrix<T>::random(s.k, s.n);
    Matrix<A> dw(s.m, s.n), db(1, s.m);
    for (const int kind : {0, 1, 2}) {  // with bias, added to, without bias
      CAPTURE(kind);
      const float beta = kind == 1 ? 1.0f : 0.0f;
      dw.set(beta == 0 ? undefined : 1.5), db.set(beta == 0 ? undefined : -2.5);
      compare<T>(
          product_bound<A>(s.k),
          [&](auto on) {
            using R = typename decltype(on)::Real;
            weight_gradient(on.device, Mat<const R>(on(dy)), Mat<const R>(on(x)), on(dw),
                            on.sum(beta), kind == 2 ? nullptr : on.data(db), on.sum(beta));
          },
          dw, db);
    }
  }
}
