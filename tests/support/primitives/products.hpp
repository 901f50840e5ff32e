// Matrix products: transposes, strides, beta, bias and GELU, gradients of a linear layer.
#pragma once

#include "../operands.hpp"

namespace cases {

/// c (m, n) is a sum over k products.
struct ProductShape {
  int m, n, k, gap;
};
inline constexpr ProductShape product_shapes[] = {{5, 7, 3, 0},   {64, 48, 32, 8}, {130, 96, 72, 0},
                                                  {33, 2, 64, 3}, {1, 61, 24, 0},  {40, 64, 0, 0}};
inline constexpr ProductShape base_product{4 * 257, 768, 768, 0};

/// Sums of k products of standard normal numbers, rounded to T.
template <class T>
double product_bound(int k) {
  return tolerance<T> * (std::is_same_v<T, double> ? 20 : 2) * std::sqrt(1.0 + k);
}

inline void run(Naive&, const primitive::Gemm<double>& g) {
  for (int i = 0; i < g.c.rows; ++i)
    for (int j = 0; j < g.c.cols; ++j) {
      double sum = 0;
      for (int k = 0; k < albef::inner_size(g); ++k)
        sum += (g.transpose_a ? g.a.row(k)[i] : g.a.row(i)[k]) *
               (g.transpose_b ? g.b.row(j)[k] : g.b.row(k)[j]);
      sum = blend(g.alpha * sum, g.beta, g.c.row(i)[j]);
      if (g.bias) sum += g.bias[j];
      if (g.gelu && g.pre.data) g.pre.row(i)[j] = sum;
      g.c.row(i)[j] = g.gelu ? sum * 0.5 * std::erfc(-sum / std::sqrt(2.0)) : sum;
    }
}
template <class Out, class T>
void each_product(const auto& h) {
  for (const auto& s : h.sizes(product_shapes, base_product))
    for (const bool transpose_b : {true, false})
      for (const bool transpose_a : {false, true}) {
        auto a =
            transpose_a ? Matrix<T>::random(s.k, s.m, s.gap) : Matrix<T>::random(s.m, s.k, s.gap);
        auto b =
            transpose_b ? Matrix<T>::random(s.n, s.k, s.gap) : Matrix<T>::random(s.k, s.n, s.gap);
        Matrix<Out> c(s.m, s.n, s.gap);
        for (const float beta : {0.0f, 1.0f}) {
          c.set([&](int i, int j) { return beta == 0 ? undefined : 0.25 * (i - j); });
          h.template check<T>(
              product_bound<T>(s.k),
              [&](auto on) {
                using R = typename decltype(on)::Real;
                primitive::Gemm<R, Element<decltype(on.data(c))>> g;
                g.a = on(a), g.b = on(b), g.c = on(c);
                g.transpose_a = transpose_a, g.transpose_b = transpose_b;
                g.alpha = on.sum(s.k == 0 ? 1.0f : 0.5f), g.beta = on.sum(beta);
                return g;
              },
              c);
        }
      }
}
template <class T>
struct PrimitiveCase<primitive::Gemm<T>> {
  static void each(const auto& h) {
    each_product<T, T>(h);
    for (const auto& s : h.sizes(product_shapes, base_product)) {
      auto x = Matrix<T>::random(s.m, s.k, s.gap), w = Matrix<T>::random(s.n, s.k, 0, 0.2);
      auto bias = Matrix<T>::random(1, s.n);
      Matrix<T> y(s.m, s.n, s.gap), pre(s.m, s.n);
      for (const int kind : {0, 1, 2}) {  // bias, GELU, GELU that keeps its input
        y.set(undefined), pre.set(undefined);
        h.template check<T>(
            product_bound<T>(s.k),
            [&](auto on) {
              using R = typename decltype(on)::Real;
              primitive::Gemm<R> g;
              g.a = on(x), g.b = on(w), g.c = on(y);
              g.transpose_b = true;
              g.bias = on.data(bias);
              g.gelu = kind > 0;
              if (kind > 1) g.pre = on(pre);
              return g;
            },
            y, pre);
      }
    }
  }
};

inline void run(Naive& device, const primitive::WeightGradient<double>& a) {
  run(device,
      primitive::Gemm<double>{.a = a.dy, .b = a.x, .c = a.dw, .transpose_a = true, .beta = a.beta});
  for (int j = 0; a.db && j < a.dy.cols; ++j) {
    double sum = 0;
    for (int i = 0; i < a.dy.rows; ++i) sum += a.dy.row(i)[j];
    a.db[j] = blend(sum, a.beta_db, a.db[j]);
  }
}
template <class T>
struct PrimitiveCase<primitive::WeightGradient<T>> {
  static void each(const auto& h) {
    using A = accumulator_t<T>;
    for (const auto& s : h.sizes(product_shapes, {768, 768, 4 * 257, 0})) {
      auto dy = Matrix<T>::random(s.k, s.m, s.gap), x = Matrix<T>::random(s.k, s.n);
      Matrix<A> dw(s.m, s.n), db(1, s.m);
      for (const int kind : {0, 1, 2}) {  // with bias, added to, without bias
        const float beta = kind == 1 ? 1.0f : 0.0f;
        dw.set(beta == 0 ? undefined : 1.5), db.set(beta == 0 ? undefined : -2.5);
        h.template check<T>(
            product_bound<A>(s.k),
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::WeightGradient<R>{.dy = on(dy),
                                                  .x = on(x),
                                                  .dw = on(dw),
                                                  .beta = on.sum(beta),
                                                  .db = kind == 2 ? nullptr : on.data(db),
                                                  .beta_db = on.sum(beta)};
            },
            dw, db);
      }
    }
  }
};

}  // namespace cases
