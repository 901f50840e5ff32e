// Layer norm, L2 normalisation and weight norm.
#pragma once

#include "../operands.hpp"
#include "elementwise.hpp"

namespace cases {

inline constexpr Shape norm_shapes[] = {
    {40, 3, 0}, {300, 64, 0}, {70, 96, 8}, {9, 1032, 0}, {33, 130, 1}};

inline void run(Naive&, const primitive::LayerNorm<double>& a) {
  const int cols = a.x.cols;
  for (int i = 0; i < a.x.rows; ++i) {
    const double* x = a.x.row(i);
    if (a.residual.data) {
      for (int j = 0; j < cols; ++j) {
        const double factor = a.dropout == 0 ? 1
                              : kept(a.philox, a.stream, a.dropout, cols, i, j)
                                  ? 1 / (1 - static_cast<double>(a.dropout))
                                  : 0;
        a.sum.row(i)[j] = a.residual.row(i)[j] + factor * x[j];
      }
      x = a.sum.row(i);
    }
    double mean = 0, square = 0;
    for (int j = 0; j < cols && a.mean; ++j) mean += x[j] / cols;
    for (int j = 0; j < cols; ++j) square += (x[j] - mean) * (x[j] - mean) / cols;
    if (a.mean) a.mean[i] = mean;
    a.rstd[i] = 1 / std::sqrt(square + a.eps);
    for (int j = 0; j < cols; ++j)
      a.y.row(i)[j] = (x[j] - mean) * a.rstd[i] * a.weight[j] + (a.bias ? a.bias[j] : 0);
  }
}
template <class T>
struct PrimitiveCase<primitive::LayerNorm<T>> {
  static void each(const auto& h) {
    using A = accumulator_t<T>;
    for (const auto [rows, cols, gap] : h.sizes(norm_shapes, base_shape)) {
      auto x = Matrix<T>::random(rows, cols, gap), residual = Matrix<T>::random(rows, cols, gap);
      auto weight = Matrix<T>::random(1, cols), bias = Matrix<T>::random(1, cols);
      Matrix<T> y(rows, cols, gap), sum(rows, cols, gap);
      Matrix<A> mean(1, rows), rstd(1, rows);
      for (const float p : {-1.0f, 0.0f, 0.25f, -2.0f})  // -1: no residual; -2: RMS norm
        h.template check<T>(
            4 * tolerance<T>,
            [&](auto on) {
              primitive::LayerNorm<typename decltype(on)::Real> a;
              a.x = on(x), a.y = on(y);
              a.weight = on.data(weight), a.bias = on.data(bias);
              a.mean = on.data(mean), a.rstd = on.data(rstd);
              a.eps = on.sum(1e-3f);
              if (p >= 0) {
                a.residual = on(residual), a.sum = on(sum);
                a.dropout = p, a.philox = {3}, a.stream = 4;
              }
              if (p == -2) a.mean = nullptr, a.bias = nullptr;
              return a;
            },
            y, sum, mean, rstd);
    }
  }
};

inline void run(Naive&, const primitive::LayerNormGrad<double>& a) {
  const int cols = a.x.cols;
  const auto xhat = [&](int i, int j) {
    return (a.x.row(i)[j] - (a.mean ? a.mean[i] : 0)) * a.rstd[i];
  };
  for (int i = 0; a.dx.data && i < a.x.rows; ++i) {
    double g = 0, gx = 0;
    for (int j = 0; j < cols; ++j) {
      if (a.mean) g += a.dy.row(i)[j] * a.weight[j] / cols;
      gx += a.dy.row(i)[j] * a.weight[j] * xhat(i, j) / cols;
    }
    for (int j = 0; j < cols; ++j)
      a.dx.row(i)[j] = blend(a.rstd[i] * (a.dy.row(i)[j] * a.weight[j] - g - xhat(i, j) * gx),
                             a.beta_x, a.dx.row(i)[j]);
  }
  for (int j = 0; j < cols; ++j) {
    double weight = 0, bias = 0;
    for (int i = 0; i < a.x.rows; ++i) {
      weight += a.dy.row(i)[j] * xhat(i, j);
      bias += a.dy.row(i)[j];
    }
    if (a.dweight) a.dweight[j] = blend(weight, a.beta_weight, a.dweight[j]);
    if (a.dbias) a.dbias[j] = blend(bias, a.beta_bias, a.dbias[j]);
  }
}
template <class T>
struct PrimitiveCase<primitive::LayerNormGrad<T>> {
  static void each(const auto& h) {
    using A = accumulator_t<T>;
    for (const auto [rows, cols, gap] : h.sizes(norm_shapes, base_shape)) {
      auto x = Matrix<T>::random(rows, cols, gap), dy = Matrix<T>::random(rows, cols, gap);
      auto weight = Matrix<T>::random(1, cols);
      Matrix<A> mean(1, rows), rstd(1, rows), dweight(1, cols), dbias(1, cols);
      const int n = rows;
      mean.set([n](int, int i) { return 0.1 * i / n; });
      rstd.set([n](int, int i) { return 0.5 + 0.1 * i / n; });
      Matrix<T> dx(rows, cols, gap);
      for (const int parts : {7, 1, 2, 4, 11})  // dx, dweight, dbias, RMS norm
        for (const float beta : {0.0f, 0.5f}) {
          const double old = beta == 0 ? undefined : 1.5;
          dx.set(old), dweight.set(old), dbias.set(old);
          h.template check<T>(
              4 * tolerance<T>,
              [&](auto on) {
                primitive::LayerNormGrad<typename decltype(on)::Real> a;
                a.x = on(x), a.dy = on(dy), a.weight = on.data(weight);
                a.mean = on.data(mean), a.rstd = on.data(rstd);
                a.beta_x = a.beta_weight = a.beta_bias = on.sum(beta);
                if (parts & 1) a.dx = on(dx);
                if (parts & 2) a.dweight = on.data(dweight);
                if (parts & 4) a.dbias = on.data(dbias);
                if (parts & 8) a.mean = nullptr;
                return a;
              },
              dx, dweight, dbias);
        }
    }
  }
};

inline void run(Naive&, const primitive::L2Normalize<double>& a) {
  for (int i = 0; i < a.x.rows; ++i) {
    double square = 0;
    for (int j = 0; j < a.x.cols; ++j) square += a.x.row(i)[j] * a.x.row(i)[j];
    a.norm[i] = std::max(std::sqrt(square), 1e-12);
    for (int j = 0; j < a.x.cols; ++j) a.y.row(i)[j] = a.x.row(i)[j] / a.norm[i];
  }
}
template <class T>
struct PrimitiveCase<primitive::L2Normalize<T>> {
  static void each(const auto& h) {
    using A = accumulator_t<T>;
    for (const auto [rows, cols, gap] : h.sizes(shapes, base_shape)) {
      auto x = Matrix<T>::random(rows, cols, gap);
      x.set([&](int i, int j) { return i == 3 ? 0.0 : x.start(i, j); });  // a row of zeros
      Matrix<A> y(rows, cols, gap), norm(1, rows);
      h.template check<T>(
          20 * tolerance<A>,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            return primitive::L2Normalize<R>{on(x), on(y), on.data(norm)};
          },
          y, norm);
    }
  }
};

inline void run(Naive&, const primitive::L2NormalizeGrad<double>& a) {
  for (int i = 0; i < a.dx.rows; ++i) {
    double inner = 0;
    for (int j = 0; j < a.dx.cols; ++j) inner += a.dy.row(i)[j] * a.y.row(i)[j];
    if (a.norm[i] <= 1e-12) inner = 0;
    for (int j = 0; j < a.dx.cols; ++j)
      a.dx.row(i)[j] =
          blend((a.dy.row(i)[j] - a.y.row(i)[j] * inner) / a.norm[i], a.beta, a.dx.row(i)[j]);
  }
}
template <class T>
struct PrimitiveCase<primitive::L2NormalizeGrad<T>> {
  static void each(const auto& h) {
    using A = accumulator_t<T>;
    for (const auto [rows, cols, gap] : h.sizes(shapes, base_shape)) {
      auto dy = Matrix<A>::random(rows, cols, gap), unit = Matrix<A>::random(rows, cols, gap);
      Matrix<A> norm(1, rows);
      norm.set([](int, int i) { return i == 3 ? 1e-12 : 0.5 + i; });
      dy.set([&](int i, int j) { return i == 3 ? 0.0 : dy.start(i, j); });
      Matrix<T> dx(rows, cols, gap);
      for_betas(dx, [&](float beta) {
        h.template check<T>(
            4 * tolerance<T>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::L2NormalizeGrad<R>{on(dy), on(unit), on.data(norm), on(dx),
                                                   on.sum(beta)};
            },
            dx);
      });
    }
  }
};

inline void run(Naive&, const primitive::WeightNorm<double>& a) {
  for (int i = 0; i < a.v.rows; ++i) {
    double square = 0;
    for (int j = 0; j < a.v.cols; ++j) square += a.v.row(i)[j] * a.v.row(i)[j];
    a.norm[i] = std::sqrt(square);
    for (int j = 0; j < a.v.cols; ++j) a.w.row(i)[j] = a.g[i] * a.v.row(i)[j] / a.norm[i];
  }
}
template <class T>
struct PrimitiveCase<primitive::WeightNorm<T>> {
  static void each(const auto& h) {
    for (const auto [rows, cols, gap] : h.sizes(shapes, base_shape)) {
      auto v = Matrix<T>::random(rows, cols, gap), g = Matrix<T>::random(1, rows);
      Matrix<T> w(rows, cols, gap), norm(1, rows);
      h.template check<T>(
          4 * tolerance<T>,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            return primitive::WeightNorm<R>{on(v), on.data(g), on(w), on.data(norm)};
          },
          w, norm);
    }
  }
};

inline void run(Naive&, const primitive::WeightNormGrad<double>& a) {
  for (int i = 0; i < a.v.rows; ++i) {
    double along = 0;
    for (int j = 0; j < a.v.cols; ++j) along += a.dw.row(i)[j] * a.v.row(i)[j] / a.norm[i];
    if (a.dg) a.dg[i] = blend(along, a.beta_g, a.dg[i]);
    for (int j = 0; a.dv.data && j < a.v.cols; ++j)
      a.dv.row(i)[j] =
          blend(a.g[i] / a.norm[i] * (a.dw.row(i)[j] - a.v.row(i)[j] / a.norm[i] * along), a.beta,
                a.dv.row(i)[j]);
  }
}
template <class T>
struct PrimitiveCase<primitive::WeightNormGrad<T>> {
  static void each(const auto& h) {
    for (const auto [rows, cols, gap] : h.sizes(shapes, base_shape)) {
      auto v = Matrix<T>::random(rows, cols, gap), dw = Matrix<T>::random(rows, cols, gap);
      auto g = Matrix<T>::random(1, rows);
      Matrix<T> norm(1, rows), dv(rows, cols, gap), dg(1, rows);
      norm.set([&](int, int i) {
        double square = 0;
        for (int j = 0; j < v.cols(); ++j) square += v.start(i, j) * v.start(i, j);
        return std::sqrt(square);
      });
      for (const int parts : {3, 1, 2})  // dv, dg
        for_betas(dv, [&](float beta) {
          dg.set(beta == 0 ? undefined : 1.5);
          h.template check<T>(
              20 * tolerance<T>,
              [&](auto on) {
                primitive::WeightNormGrad<typename decltype(on)::Real> a;
                a.dw = on(dw), a.v = on(v), a.g = on.data(g), a.norm = on.data(norm);
                a.beta = a.beta_g = on.sum(beta);
                if (parts & 1) a.dv = on(dv);
                if (parts & 2) a.dg = on.data(dg);
                return a;
              },
              dv, dg);
        });
    }
  }
};

}  // namespace cases
