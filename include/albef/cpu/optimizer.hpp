// Optimizer primitives of the CPU backend: fused AdamW with moving average, norms, clamping.
#pragma once

#include <cmath>

#include "albef/core/primitives/optimizer.hpp"
#include "albef/cpu/elementwise.hpp"

namespace albef {

template <class T>
void run(Cpu& cpu, const primitive::EmaUpdate<T>& a) {
  if (a.square_norm && !std::isfinite(*a.square_norm)) return;
  const auto keep = static_cast<T>(a.momentum);
  const auto blend = static_cast<T>((1 - a.momentum) * a.scale);
  cpu.for_blocks(a.size, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    for_packs<T>(end - begin, [&](std::int64_t at, int n) {
      T* e = a.ema + begin + at;
      const auto p = Pack<T>::load_n(a.param + begin + at, n) * blend;
      fma(Pack<T>::load_n(e, n), Pack<T>(keep), p).store_n(e, n);
    });
  });
}

namespace detail {

/// One run of adamw_update, the gradient multiplied by `scale`.
template <class T, class C>
void adamw_run(Cpu& cpu, const primitive::AdamW<T, C>& a, const AdamWRun& run, T scale) {
  using P = Pack<T>;
  const double lr = a.lr * run.lr_factor;
  const auto decay = static_cast<T>(1 - lr * run.weight_decay);
  const auto step = static_cast<T>(lr / run.correction1);
  const auto root = static_cast<T>(1 / std::sqrt(run.correction2));
  const auto b1 = static_cast<T>(a.beta1), c1 = static_cast<T>(1 - a.beta1);
  const auto b2 = static_cast<T>(a.beta2), c2 = static_cast<T>(1 - a.beta2);
  const auto eps = static_cast<T>(a.eps);
  const auto momentum = static_cast<T>(a.momentum), blend = static_cast<T>(1 - a.momentum);
  cpu.for_blocks(run.size, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    for_packs<T>(end - begin, [&](std::int64_t at, int n) {
      const std::int64_t i = run.offset + begin + at;
      const std::int64_t s = i - run.shift;
      const P g = P::load_n(a.grad + s, n) * scale;
      const P m = fma(P::load_n(a.exp_avg + s, n), P(b1), g * c1);
      const P v = fma(P::load_n(a.exp_avg_sq + s, n), P(b2), g * g * c2);
      const P p = P::load_n(a.param + i, n) * decay - m * step / (sqrt(v) * root + eps);
      m.store_n(a.exp_avg + s, n);
      v.store_n(a.exp_avg_sq + s, n);
      p.store_n(a.param + i, n);
      if (a.ema) fma(P::load_n(a.ema + i, n), P(momentum), p * blend).store_n(a.ema + i, n);
    });
  });
}

}  // namespace detail

/// param *= 1 - lr wd; m, v updated; param -= lr / c1 * m / (sqrt(v) / sqrt(c2) + eps); then the
/// moving average (torch.optim.AdamW; Loshchilov & Hutter 2019), and the copies.
template <class T, class C>
void run(Cpu& cpu, const primitive::AdamW<T, C>& a) {
  if (a.square_norm && !std::isfinite(*a.square_norm)) return;
  for (const AdamWRun& run : a.runs) {
    double scale = a.grad_scale;
    if (run.square_norm)  // torch.nn.utils.clip_grad_norm_: never scales up
      scale *= std::min(1.0, run.max_norm / (a.grad_scale * std::sqrt(*run.square_norm) + 1e-6));
    const std::int64_t i = run.offset;
    if (run.touched)
      detail::adamw_run(cpu, a, run, static_cast<T>(scale));
    else if (a.ema)
      albef::run(cpu, primitive::EmaUpdate<T>{a.ema + i, a.param + i, run.size, a.momentum});
    if (a.copy) albef::run(cpu, primitive::Convert<T, C>{a.param + i, a.copy + i, run.size});
    if (a.ema && a.ema_copy)
      albef::run(cpu, primitive::Convert<T, C>{a.ema + i, a.ema_copy + i, run.size});
  }
}

/// The same for every thread count.
template <class T>
void run(Cpu& cpu, const primitive::SquaredNorm<T>& a) {
  constexpr std::int64_t grain = 1 << 14;
  const std::int64_t blocks = (a.size + grain - 1) / grain;
  double* partial = cpu.shared_scratch<double>(static_cast<std::size_t>(blocks));
  cpu.for_blocks(a.size, grain, [&](std::int64_t begin, std::int64_t end) {
    Pack<T> s(T{0});
    for_packs<T>(end - begin, [&](std::int64_t at, int n) {
      const auto v = Pack<T>::load_n(a.x + begin + at, n);
      s = fma(v, v, s);
    });
    partial[begin / grain] = static_cast<double>(sum(s));
  });
  double total = 0;
  for (std::int64_t b = 0; b < blocks; ++b) total += partial[b];
  *a.out = a.beta == 0 ? total : total + a.beta * *a.out;
}

template <class T>
void run(Cpu& cpu, const primitive::SquaredNorms<T>& a) {
  *a.total = 0;
  for (std::size_t i = 0; i < a.parts.size(); ++i) {
    run(cpu, primitive::SquaredNorm<T>{a.x + a.parts[i].offset, a.parts[i].size, a.out + i});
    *a.total += a.out[i];
  }
}

template <class T>
void run(Cpu&, const primitive::Clamp<T>& a) {
  for (std::int64_t i = 0; i < a.size; ++i) a.x[i] = std::min(std::max(a.x[i], a.low), a.high);
}

}  // namespace albef
