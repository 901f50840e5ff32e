// Passes over the flat planes of a parameter store.
#pragma once

#include "../operands.hpp"

namespace cases {

inline void run(Naive&, const primitive::AdamW<double>& a) {
  if (a.square_norm && !std::isfinite(*a.square_norm)) return;
  for (const auto& stretch : a.runs)
    for (std::int64_t i = stretch.offset; i < stretch.offset + stretch.size; ++i) {
      if (stretch.touched) {
        const std::int64_t s = i - stretch.shift;
        const double lr = a.lr * stretch.lr_factor;
        double g = a.grad_scale * a.grad[s];
        if (stretch.square_norm)
          g *= std::min(1.0,
                        stretch.max_norm / (a.grad_scale * std::sqrt(*stretch.square_norm) + 1e-6));
        a.exp_avg[s] = a.beta1 * a.exp_avg[s] + (1 - a.beta1) * g;
        a.exp_avg_sq[s] = a.beta2 * a.exp_avg_sq[s] + (1 - a.beta2) * g * g;
        a.param[i] *= 1 - lr * stretch.weight_decay;
        a.param[i] -= lr * (a.exp_avg[s] / stretch.correction1) /
                      (std::sqrt(a.exp_avg_sq[s] / stretch.correction2) + a.eps);
      }
      if (a.ema) a.ema[i] = a.momentum * a.ema[i] + (1 - a.momentum) * a.param[i];
      if (a.copy) a.copy[i] = a.param[i];
      if (a.ema && a.ema_copy) a.ema_copy[i] = a.ema[i];
    }
}
template <class A, class T>
struct PrimitiveCase<primitive::AdamW<A, T>> {
  static void each(const auto& h) {
    for (const int size : h.sizes({5000, 40001}, 1 << 22)) {
      auto param = Matrix<A>::random(1, size), grad = Matrix<A>::random(1, size);
      auto m = Matrix<A>::random(1, size, 0, 0.1), v = Matrix<A>::random(1, size);
      auto ema = Matrix<A>::random(1, size);
      v.set([&](int, int j) { return std::abs(v.start(0, j)); });
      Matrix<T> copy(1, size), ema_copy(1, size);
      Matrix<double> norm(1, 100), infinite(1, 1);
      norm.set([&](int, int j) { return static_cast<double>(size) / (1 + j); });
      infinite.set(std::numeric_limits<double>::infinity());
      std::vector<albef::AdamWRun> runs{
          {.offset = 3, .size = 2, .weight_decay = 0.02, .correction1 = 0.1, .correction2 = 0.001},
          {.offset = 5, .size = 2998, .correction1 = 0.2, .correction2 = 0.002},
          {.offset = 3003, .size = 1000, .touched = false}};
      for (int i = 0; i < 70; ++i)  // more runs than one launch takes
        runs.push_back(
            {.offset = 4003 + 12 * i, .size = 11, .correction1 = 0.5, .correction2 = 0.01});
      if (size > 5000) runs.push_back({.offset = 5000, .size = size - 5000});
      // Clipping, plain, all extras, groups, not finite, each run by its own norm.
      for (const int kind : {2, 0, 1, 3, 4, 5}) {
        std::vector<albef::AdamWRun> own;  // of the call that is being made
        h.template check<T>(
            tolerance<T>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              using S = typename decltype(on)::Sum;
              primitive::AdamW<S, R> a;
              a.param = on.data(param), a.grad = on.data(grad);
              a.exp_avg = on.data(m), a.exp_avg_sq = on.data(v);
              if (kind > 0) {
                a.ema = on.data(ema), a.copy = on.data(copy), a.ema_copy = on.data(ema_copy);
                a.momentum = 0.9;
              }
              if (kind > 1) a.square_norm = on.data(kind == 4 ? infinite : norm);
              own = runs;
              for (std::size_t i = 0; i < own.size() && kind > 1; ++i) {
                own[i].square_norm = on.data(norm), own[i].max_norm = 3;
                if (kind == 5) own[i].square_norm += i;
                if (kind < 3 || kind == 5) continue;
                own[i].max_norm = i % 20 < 10 ? 3 + 0.1 * static_cast<double>(i) : 0;
                if (own[i].max_norm == 0) own[i].square_norm = nullptr;
                own[i].lr_factor = 0.5 + 0.1 * static_cast<double>(i);
                if (i > 2) own[i].shift = 64;  // into what the run that is not touched leaves alone
              }
              a.runs = own;
              a.lr = 1e-2, a.grad_scale = 0.5;
              return a;
            },
            param, m, v, ema, copy, ema_copy);
      }
    }
  }
};

inline void run(Naive&, const primitive::EmaUpdate<double>& a) {
  if (a.square_norm && !std::isfinite(*a.square_norm)) return;
  for (std::int64_t i = 0; i < a.size; ++i)
    a.ema[i] = a.momentum * a.ema[i] + (1 - a.momentum) * a.scale * a.param[i];
}
inline void run(Naive&, const primitive::SquaredNorms<double>& a) {
  *a.total = 0;
  for (std::size_t i = 0; i < a.parts.size(); ++i) {
    const auto [offset, size] = a.parts[i];
    a.out[i] = 0;
    for (std::int64_t j = offset; j < offset + size; ++j) a.out[i] += a.x[j] * a.x[j];
    *a.total += a.out[i];
  }
}
inline void run(Naive&, const primitive::Clamp<double>& a) {
  for (std::int64_t i = 0; i < a.size; ++i) a.x[i] = std::clamp(a.x[i], a.low, a.high);
}
inline void run(Naive&, const primitive::SquaredNorm<double>& a) {
  double total = 0;
  for (std::int64_t i = 0; i < a.size; ++i) total += a.x[i] * a.x[i];
  *a.out = blend(total, a.beta, *a.out);
}
template <class A>
struct PrimitiveCase<primitive::EmaUpdate<A>> {
  static void each(const auto& h) {
    for (const int size : h.sizes({1, 7, 1024, 40001}, 1 << 22)) {
      auto x = Matrix<A>::random(1, size), ema = Matrix<A>::random(1, size);
      Matrix<double> norm(1, 1);
      for (const double square : {-1.0, 2.0, std::numeric_limits<double>::infinity()}) {
        norm.set(square);
        h.template check<A>(
            tolerance<A>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              primitive::EmaUpdate<R> a{on.data(ema), on.data(x), size, 0.99};
              if (square > 0) a.scale = 0.25, a.square_norm = on.data(norm);
              return a;
            },
            ema);
      }
    }
  }
};
template <class A>
struct PrimitiveCase<primitive::Clamp<A>> {
  static void each(const auto& h) {
    for (const int size : h.sizes({1, 7, 1024, 4099}, 1 << 22)) {
      auto x = Matrix<A>::random(1, size);
      h.template check<A>(
          tolerance<A>,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            return primitive::Clamp<R>{on.data(x), size, R(-0.5), R(0.75)};
          },
          x);
    }
  }
};
template <class A>
struct PrimitiveCase<primitive::SquaredNorm<A>> {
  static void each(const auto& h) {
    for (const int size : h.sizes({0, 1, 7, 1024, 40001}, 1 << 22)) {
      auto x = Matrix<A>::random(1, std::max(1, size));
      for (const double beta : {0.0, 1.0}) {
        Matrix<double> norm(1, 1);
        norm.set(beta == 0 ? undefined : 3.0);
        h.template check<A>(
            20 * tolerance<A>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::SquaredNorm<R>{on.data(x), size, on.data(norm), beta};
            },
            norm);
      }
    }
  }
};

template <class A>
struct PrimitiveCase<primitive::SquaredNorms<A>> {
  static void each(const auto& h) {
    for (const int size : h.sizes({300, 70001}, 1 << 22)) {
      auto x = Matrix<A>::random(1, size);
      std::vector<albef::Stretch> parts;
      for (int i = 0; i < 140; ++i) parts.push_back({2 * i, i % 3});  // more than a launch takes
      parts.push_back({5, size - 5});
      Matrix<double> out(1, static_cast<int>(parts.size())), total(1, 1);
      out.set(undefined), total.set(undefined);
      h.template check<A>(
          20 * tolerance<A>,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            return primitive::SquaredNorms<R>{on.data(x), parts, on.data(out), on.data(total)};
          },
          out, total);
    }
  }
};

}  // namespace cases
