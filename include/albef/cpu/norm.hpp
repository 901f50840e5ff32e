// Layer norm, L2 normalisation and weight norm of the CPU backend, forward and backward.
#pragma once

#include "albef/core/primitives/norm.hpp"
#include "albef/cpu/elementwise.hpp"

namespace albef {

template <class T>
void run(Cpu& cpu, const primitive::LayerNorm<T>& a) {
  using P = Pack<T>;
  const int cols = a.x.cols;
  const bool sums = a.residual.data != nullptr;
  const auto grain = row_grain(cols);
  cpu.for_each((a.x.rows + grain - 1) / grain, [&](std::int64_t block, int thread) {
    T* factor = a.dropout > 0 ? cpu.scratch<T>(thread, static_cast<std::size_t>(cols)) : nullptr;
    const auto begin = static_cast<int>(block * grain);
    const auto end = static_cast<int>(std::min<std::int64_t>(a.x.rows, begin + grain));
    for (int i = begin; i < end; ++i) {
      const T* x = a.x.row(i);
      P total(T{0});
      if (sums) {
        if (factor)
          dropout_scale(a.philox, a.stream, detail::dropout_row(i, cols), factor, cols, a.dropout);
        T* s = a.sum.row(i);
        for_packs<T>(cols, [&](std::int64_t j, int n) {
          P v = P::load_n(x + j, n);
          if (factor) v = v * P::load_n(factor + j, n);
          v = v + P::load_n(a.residual.row(i) + j, n);
          v.store_n(s + j, n);
          total += v;
        });
        x = s;
      } else {
        for_packs<T>(cols, [&](std::int64_t j, int n) { total += P::load_n(x + j, n); });
      }
      const T mean = a.mean ? sum(total) / static_cast<T>(cols) : T(0);
      P square(T{0});
      for_packs<T>(cols, [&](std::int64_t j, int n) {
        const P d = first_lanes(P::load_n(x + j, n) - mean, n);  // zero past the end
        square = fma(d, d, square);
      });
      const T rstd = 1 / std::sqrt(sum(square) / static_cast<T>(cols) + a.eps);
      if (a.mean) a.mean[i] = mean;
      a.rstd[i] = rstd;
      for_packs<T>(cols, [&](std::int64_t j, int n) {
        const P xhat = (P::load_n(x + j, n) - mean) * rstd;
        const P bias = a.bias ? P::load_n(a.bias + j, n) : P(T(0));
        fma(xhat, P::load_n(a.weight + j, n), bias).store_n(a.y.row(i) + j, n);
      });
    }
  });
}

template <class T>
void run(Cpu& cpu, const primitive::LayerNormGrad<T>& a) {
  using P = Pack<T>;
  const int cols = a.x.cols, rows = a.x.rows;
  if (a.dx.data)
    for_rows(cpu, rows, cols, [&](int i) {
      const T *x = a.x.row(i), *dy = a.dy.row(i);
      const T mean = a.mean ? a.mean[i] : T(0), rstd = a.rstd[i];
      P sum_g(T{0}), sum_gx(T{0});
      for_packs<T>(cols, [&](std::int64_t j, int n) {
        const P g = P::load_n(dy + j, n) * P::load_n(a.weight + j, n);  // zero past the end
        sum_g += g;
        sum_gx = fma(g, (P::load_n(x + j, n) - mean) * rstd, sum_gx);
      });
      const T mean_g = a.mean ? sum(sum_g) / static_cast<T>(cols) : T(0);
      const T mean_gx = sum(sum_gx) / static_cast<T>(cols);
      for_packs<T>(cols, [&](std::int64_t j, int n) {
        const P g = P::load_n(dy + j, n) * P::load_n(a.weight + j, n);
        const P xhat = (P::load_n(x + j, n) - mean) * rstd;
        const P dx = (g - mean_g - xhat * mean_gx) * rstd;
        store_with_beta(dx, a.beta_x, a.dx.row(i) + j, n);
      });
    });
  if (a.dweight)
    sum_columns(cpu, rows, cols, a.dweight, a.beta_weight, [&](int i, std::int64_t j, int n) {
      const P xhat = (P::load_n(a.x.row(i) + j, n) - (a.mean ? a.mean[i] : T(0))) * a.rstd[i];
      return P::load_n(a.dy.row(i) + j, n) * xhat;
    });
  if (a.dbias) run(cpu, primitive::ColumnSum<T>{.x = a.dy, .sum = a.dbias, .beta = a.beta_bias});
}

template <class T>
void run(Cpu& cpu, const primitive::L2Normalize<T>& a) {
  using P = Pack<T>;
  const int cols = a.y.cols;
  for_rows(cpu, a.y.rows, cols, [&](int i) {
    P square(T{0});
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      const P v = P::load_n(a.x.row(i) + j, n);
      square = fma(v, v, square);
    });
    a.norm[i] = std::max(std::sqrt(sum(square)), static_cast<T>(1e-12));
    const T factor = 1 / a.norm[i];
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      (P::load_n(a.x.row(i) + j, n) * factor).store_n(a.y.row(i) + j, n);
    });
  });
}

template <class T>
void run(Cpu& cpu, const primitive::L2NormalizeGrad<T>& a) {
  using P = Pack<T>;
  const int cols = a.dx.cols;
  for_rows(cpu, a.dx.rows, cols, [&](int i) {
    P inner(T{0});
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      inner = fma(P::load_n(a.dy.row(i) + j, n), P::load_n(a.y.row(i) + j, n), inner);
    });
    const T along = a.norm[i] > static_cast<T>(1e-12) ? sum(inner) : T{0};
    const T factor = 1 / a.norm[i];
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      const P d = P::load_n(a.dy.row(i) + j, n) - P::load_n(a.y.row(i) + j, n) * along;
      store_with_beta(d * factor, a.beta, a.dx.row(i) + j, n);
    });
  });
}

template <class T>
void run(Cpu& cpu, const primitive::WeightNorm<T>& a) {
  using P = Pack<T>;
  const int cols = a.w.cols;
  for_rows(cpu, a.w.rows, cols, [&](int i) {
    P square(T{0});
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      const P v = P::load_n(a.v.row(i) + j, n);
      square = fma(v, v, square);
    });
    a.norm[i] = std::sqrt(sum(square));
    const T factor = a.g[i] / a.norm[i];
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      (P::load_n(a.v.row(i) + j, n) * factor).store_n(a.w.row(i) + j, n);
    });
  });
}

template <class T>
void run(Cpu& cpu, const primitive::WeightNormGrad<T>& a) {
  using P = Pack<T>;
  const int cols = a.v.cols;
  for_rows(cpu, a.v.rows, cols, [&](int i) {
    P inner(T{0});
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      inner = fma(P::load_n(a.dw.row(i) + j, n), P::load_n(a.v.row(i) + j, n), inner);
    });
    const T along = sum(inner) / a.norm[i];  // u . dw
    if (a.dg) a.dg[i] = along + (a.beta_g == 0 ? T{0} : a.beta_g * a.dg[i]);
    if (!a.dv.data) return;
    const T factor = a.g[i] / a.norm[i], back = along / a.norm[i];
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      const P d = P::load_n(a.dw.row(i) + j, n) - P::load_n(a.v.row(i) + j, n) * back;
      store_with_beta(d * factor, a.beta, a.dv.row(i) + j, n);
    });
  });
}

}  // namespace albef
