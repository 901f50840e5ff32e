// Values set, converted, added, scaled and masked; activations; plain sums.
#pragma once

#include "../operands.hpp"

namespace cases {

template <class T>
void run(Naive&, const primitive::Fill<T>& a) {
  std::fill_n(a.x, a.size, a.value);
}
template <class T>
struct PrimitiveCase<primitive::Fill<T>> {
  static void each(const auto& h) {
    for (const int size : h.sizes({1, 700, 200000}, 1 << 22)) {
      if constexpr (std::is_integral_v<T>) {
        Array<T> x(std::vector<T>(static_cast<std::size_t>(size), 3));
        h.template check<float>(
            0,
            [&](auto on) {
              return primitive::Fill<T>{on(x), 7, size - 1};
            },
            x);
      } else {
        Matrix<T> x(1, size);
        x.set(undefined);
        h.template check<T>(
            0,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::Fill<R>{on.data(x), static_cast<R>(2.5f), size - 1};
            },
            x);
      }
    }
  }
};

inline void run(Naive&, const primitive::Convert<double, double>& a) {
  std::copy_n(a.from, a.size, a.to);
}
template <class From, class To>
struct PrimitiveCase<primitive::Convert<From, To>> {
  static void each(const auto& h) {
    for (const int size : h.sizes({1, 700, 200003}, 1 << 22)) {
      auto from = Matrix<From>::random(1, size);
      Matrix<To> to(1, size);
      h.template check<To>(
          tolerance<To>,
          [&](auto on) {
            using F = Element<decltype(on.data(from))>;
            using G = Element<decltype(on.data(to))>;
            return primitive::Convert<F, G>{on.data(from), on.data(to), size};
          },
          to);
    }
  }
};

/// Cases whose result is a matrix y = new + beta y of the shape of their inputs x and z.
template <class T, class Make>
void each_elementwise(const auto& h, double bound, Make make) {
  for (const auto [rows, cols, gap] : h.sizes(shapes, base_shape)) {
    auto x = Matrix<T>::random(rows, cols, gap), z = Matrix<T>::random(rows, cols, gap);
    auto row = Matrix<T>::random(1, cols);
    auto scalar = Matrix<accumulator_t<T>>::random(1, 1);
    Matrix<T> y(rows, cols, gap);
    for_betas(y, [&](float beta) {
      h.template check<T>(
          bound, [&](auto on) { return make(on, x, z, row, scalar, y, beta); }, y);
    });
  }
}
template <class F>
void naive_elements(Mat<double> y, double beta, F value) {
  for (int i = 0; i < y.rows; ++i)
    for (int j = 0; j < y.cols; ++j) y.row(i)[j] = blend(value(i, j), beta, y.row(i)[j]);
}

inline void run(Naive&, const primitive::Add<double>& a) {
  naive_elements(a.y, a.beta, [&](int i, int j) { return a.x.row(i)[j]; });
}
template <class T>
struct PrimitiveCase<primitive::Add<T>> {
  static void each(const auto& h) {
    each_elementwise<T>(h, tolerance<T>,
                        [](auto on, auto& x, auto&, auto&, auto&, auto& y, float beta) {
                          using R = typename decltype(on)::Real;
                          return primitive::Add<R>{on(x), on(y), on.sum(beta)};
                        });
  }
};

inline void run(Naive&, const primitive::SetRows<double>& a) {
  naive_elements(a.y, a.beta, [&](int, int j) { return a.row[j]; });
}
template <class T>
struct PrimitiveCase<primitive::SetRows<T>> {
  static void each(const auto& h) {
    each_elementwise<T>(h, tolerance<T>,
                        [](auto on, auto&, auto&, auto& row, auto&, auto& y, float beta) {
                          using R = typename decltype(on)::Real;
                          return primitive::SetRows<R>{on.data(row), on(y), on.sum(beta)};
                        });
  }
};

inline void run(Naive&, const primitive::MultiplyRow<double>& a) {
  naive_elements(a.y, a.beta, [&](int i, int j) { return a.x.row(i)[j] * a.row[j]; });
}
template <class T>
struct PrimitiveCase<primitive::MultiplyRow<T>> {
  static void each(const auto& h) {
    each_elementwise<T>(
        h, tolerance<T>, [](auto on, auto& x, auto&, auto& row, auto&, auto& y, float beta) {
          using R = typename decltype(on)::Real;
          return primitive::MultiplyRow<R>{on(x), on.data(row), on(y), on.sum(beta)};
        });
  }
};

inline void run(Naive&, const primitive::Multiply<double>& m) {
  naive_elements(m.y, m.beta, [&](int i, int j) { return m.a.row(i)[j] * m.b.row(i)[j]; });
}
template <class T>
struct PrimitiveCase<primitive::Multiply<T>> {
  static void each(const auto& h) {
    each_elementwise<T>(h, tolerance<T>,
                        [](auto on, auto& x, auto& z, auto&, auto&, auto& y, float beta) {
                          using R = typename decltype(on)::Real;
                          return primitive::Multiply<R>{on(x), on(z), on(y), on.sum(beta)};
                        });
  }
};

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline double activation(albef::Activation f, double x) {
  switch (f) {
    case albef::Activation::relu:
      return std::isnan(x) ? x : std::max(x, 0.0);
    case albef::Activation::gelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case albef::Activation::quick_gelu:
      return x * sigmoid(1.702 * x);
    case albef::Activation::silu:
      return x * sigmoid(x);
    case albef::Activation::sigmoid:
      return sigmoid(x);
    case albef::Activation::tanh:
      return std::tanh(x);
  }
  return undefined;
}
inline double activation_slope(albef::Activation f, double x) {
  switch (f) {
    case albef::Activation::relu:
      return x > 0 ? 1 : 0;
    case albef::Activation::gelu:
      return 0.5 * std::erfc(-x / std::sqrt(2.0)) +
             x * std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979323846);
    case albef::Activation::quick_gelu:
      return sigmoid(1.702 * x) * (1 + 1.702 * x * sigmoid(-1.702 * x));
    case albef::Activation::silu:
      return sigmoid(x) * (1 + x * sigmoid(-x));
    case albef::Activation::sigmoid:
      return sigmoid(x) * sigmoid(-x);
    case albef::Activation::tanh:
      return 1 - std::tanh(x) * std::tanh(x);
  }
  return undefined;
}

inline void run(Naive&, const primitive::Activate<double>& a) {
  naive_elements(a.y, 0, [&](int i, int j) { return activation(a.function, a.x.row(i)[j]); });
}
template <class T>
struct PrimitiveCase<primitive::Activate<T>> {
  static void each(const auto& h) {
    for (const auto f : albef::activations)
      for (const auto [rows, cols, gap] : h.sizes(shapes, base_shape)) {
        auto x = Matrix<T>::random(rows, cols, gap, 3);
        Matrix<T> y(rows, cols, gap);
        y.set(undefined);
        h.template check<T>(
            tolerance<T>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::Activate<R>{f, on(x), on(y)};
            },
            y);
      }
  }
};

inline void run(Naive&, const primitive::ActivateGrad<double>& a) {
  naive_elements(a.dx, a.beta, [&](int i, int j) {
    return a.dy.row(i)[j] * activation_slope(a.function, a.x.row(i)[j]);
  });
}
template <class T>
struct PrimitiveCase<primitive::ActivateGrad<T>> {
  static void each(const auto& h) {
    for (const auto f : albef::activations)
      each_elementwise<T>(h, tolerance<T>,
                          [f](auto on, auto& x, auto& z, auto&, auto&, auto& y, float beta) {
                            using R = typename decltype(on)::Real;
                            return primitive::ActivateGrad<R>{f, on(x), on(z), on(y), on.sum(beta)};
                          });
  }
};

inline void run(Naive&, const primitive::Sign<double>& a) {
  naive_elements(a.y, 0, [&](int i, int j) { return a.x.row(i)[j] >= 0 ? 1 : -1; });
}
template <class T>
struct PrimitiveCase<primitive::Sign<T>> {
  static void each(const auto& h) {
    for (const auto [rows, cols, gap] : h.sizes(shapes, base_shape)) {
      auto x = Matrix<T>::random(rows, cols, gap);
      x.set([&](int i, int j) {
        return (i + j) % 7 == 0 ? 0.0 : (i + j) % 9 == 0 ? undefined : x.start(i, j);
      });
      Matrix<T> y(rows, cols, gap);
      y.set(undefined);
      h.template check<T>(
          0,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            return primitive::Sign<R>{on(x), on(y)};
          },
          y);
    }
  }
};

/// Whether dropout keeps element (i, j) of a matrix: words of core/rng.hpp, rows at multiples of 4.
inline bool kept(const albef::Philox& philox, std::uint64_t stream, float p, int cols, int i,
                 int j) {
  const auto word = static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>((cols + 3) / 4 * 4) +
                    static_cast<std::uint64_t>(j);
  return philox(stream, word / 4)[word % 4] >= albef::dropout_threshold(p);
}
inline void run(Naive&, const primitive::Dropout<double>& a) {
  naive_elements(a.y, a.beta, [&](int i, int j) {
    return kept(a.philox, a.stream, a.p, a.y.cols, i, j)
               ? a.x.row(i)[j] / (1 - static_cast<double>(a.p))
               : 0;
  });
}
template <class T>
struct PrimitiveCase<primitive::Dropout<T>> {
  static void each(const auto& h) {
    each_elementwise<T>(
        h, tolerance<T>, [](auto on, auto& x, auto&, auto&, auto&, auto& y, float beta) {
          using R = typename decltype(on)::Real;
          return primitive::Dropout<R>{on(x), on(y), on.sum(beta), 0.25f, albef::Philox{7}, 11};
        });
    Array<std::uint64_t> step({12345});  // of a recorded step: the stream of (step, stream)
    auto x = Matrix<T>::random(20, 24);
    Matrix<T> y(20, 24);
    h.template check<T>(
        tolerance<T>,
        [&](auto on) {
          using R = typename decltype(on)::Real;
          return primitive::Dropout<R>{on(x), on(y), 0, 0.5f, albef::Philox{7, on(step)}, 3};
        },
        y);
  }
};

inline constexpr albef::ScaleKind scale_kinds[] = {
    albef::ScaleKind::plain, albef::ScaleKind::reciprocal, albef::ScaleKind::exponential};
inline double scale_factor(albef::ScaleKind kind, double s) {
  return kind == albef::ScaleKind::plain        ? s
         : kind == albef::ScaleKind::reciprocal ? 1 / s
                                                : std::exp(s);
}
inline void run(Naive&, const primitive::Scale<double>& a) {
  const double factor = scale_factor(a.kind, *a.s);
  naive_elements(a.y, a.beta, [&](int i, int j) { return factor * a.x.row(i)[j]; });
}
template <class T>
struct PrimitiveCase<primitive::Scale<T>> {
  static void each(const auto& h) {
    for (const auto kind : scale_kinds)
      each_elementwise<T>(
          h, tolerance<T>, [kind](auto on, auto& x, auto&, auto&, auto& s, auto& y, float beta) {
            using R = typename decltype(on)::Real;
            return primitive::Scale<R>{on(x), on.data(s), kind, on(y), on.sum(beta)};
          });
  }
};

/// Cases whose result is sums over the rows of x and z (`rows` of them), or over everything.
template <class T, class Make>
void each_sum(const auto& h, bool rows_only, Make make) {
  using A = accumulator_t<T>;
  for (const auto [rows, cols, gap] : h.sizes({Shape{5, 1, 0}, Shape{70, 3, 2}, Shape{9, 64, 0},
                                               Shape{600, 48, 16}, Shape{37, 130, 3}},
                                              base_shape)) {
    auto x = Matrix<T>::random(rows, cols, gap), z = Matrix<T>::random(rows, cols, gap);
    auto scalar = Matrix<A>::random(1, 1);
    Matrix<A> sum(1, rows_only ? cols : 1);
    for_betas(sum, [&](float beta) {
      h.template check<T>(
          20 * tolerance<A>, [&](auto on) { return make(on, x, z, scalar, sum, beta); }, sum);
    });
  }
}

inline void run(Naive&, const primitive::ColumnSum<double>& a) {
  for (int j = 0; j < a.x.cols; ++j) {
    double sum = 0;
    for (int i = 0; i < a.x.rows; ++i) sum += a.x.row(i)[j];
    a.sum[j] = blend(sum, a.beta, a.sum[j]);
  }
}
template <class T>
struct PrimitiveCase<primitive::ColumnSum<T>> {
  static void each(const auto& h) {
    each_sum<T>(h, true, [](auto on, auto& x, auto&, auto&, auto& sum, float beta) {
      using R = typename decltype(on)::Real;
      return primitive::ColumnSum<R>{on(x), on.data(sum), on.sum(beta)};
    });
  }
};

inline void run(Naive&, const primitive::DotRows<double>& d) {
  for (int j = 0; j < d.a.cols; ++j) {
    double sum = 0;
    for (int i = 0; i < d.a.rows; ++i) sum += d.a.row(i)[j] * d.b.row(i)[j];
    d.sum[j] = blend(sum, d.beta, d.sum[j]);
  }
}
template <class T>
struct PrimitiveCase<primitive::DotRows<T>> {
  static void each(const auto& h) {
    each_sum<T>(h, true, [](auto on, auto& x, auto& z, auto&, auto& sum, float beta) {
      using R = typename decltype(on)::Real;
      return primitive::DotRows<R>{on(x), on(z), on.data(sum), on.sum(beta)};
    });
  }
};

inline double naive_dot(Mat<const double> a, Mat<const double> b) {
  double sum = 0;
  for (int i = 0; i < a.rows; ++i)
    for (int j = 0; j < a.cols; ++j) sum += a.row(i)[j] * b.row(i)[j];
  return sum;
}
inline void run(Naive&, const primitive::Dot<double>& d) {
  *d.out = blend(d.alpha * naive_dot(d.a, d.b), d.beta, *d.out);
}
template <class T>
struct PrimitiveCase<primitive::Dot<T>> {
  static void each(const auto& h) {
    each_sum<T>(h, false, [](auto on, auto& x, auto& z, auto&, auto& sum, float beta) {
      using R = typename decltype(on)::Real;
      return primitive::Dot<R>{on(x), on(z), on.data(sum), on.sum(0.75f), on.sum(beta)};
    });
  }
};

inline void run(Naive&, const primitive::ScaleGrad<double>& a) {
  const double f = scale_factor(a.kind, *a.s);
  const double slope = a.kind == albef::ScaleKind::plain        ? 1
                       : a.kind == albef::ScaleKind::reciprocal ? -f * f
                                                                : f;
  *a.ds = blend(slope * naive_dot(a.dy, a.x), a.beta, *a.ds);
}
template <class T>
struct PrimitiveCase<primitive::ScaleGrad<T>> {
  static void each(const auto& h) {
    for (const auto kind : scale_kinds)
      each_sum<T>(h, false, [kind](auto on, auto& x, auto& z, auto& s, auto& sum, float beta) {
        using R = typename decltype(on)::Real;
        return primitive::ScaleGrad<R>{on(x), on(z), on.data(s), kind, on.data(sum), on.sum(beta)};
      });
  }
};

}  // namespace cases
