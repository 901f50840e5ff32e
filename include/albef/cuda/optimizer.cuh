// Optimizer primitives of the CUDA backend: fused AdamW with moving average and cast, norms,
// clamping. All work on the flat planes of a parameter store.
#pragma once

#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/kernels/optimizer.cuh"

namespace albef {
namespace detail {

template <class F>
void for_flat(Cuda& cuda, const char* name, std::int64_t size, bool vectors, const F& f) {
  launch(cuda, name, flat_kernel<F>,
         dim3(static_cast<unsigned>(blocks_for(size, flat_threads * flat_width))),
         dim3(flat_threads), 0, size, vectors, f);
}

}  // namespace detail

template <class T>
void run(Cuda& cuda, const primitive::EmaUpdate<T>& a) {
  using namespace detail;
  for_flat(cuda, "[ema_update]", a.size,
           row_aligned(a.ema, flat_width) && row_aligned(a.param, flat_width),
           EmaElements<T>{a.ema, a.param, static_cast<T>(a.momentum),
                          static_cast<T>((1 - a.momentum) * a.scale), a.square_norm});
}

template <class T>
void run(Cuda& cuda, const primitive::Clamp<T>& a) {
  using namespace detail;
  for_flat(cuda, "[clamp]", a.size, row_aligned(a.x, flat_width),
           ClampElements<T>{a.x, a.low, a.high});
}

template <class T>
void run(Cuda& cuda, const primitive::SquaredNorm<T>& a) {
  using namespace detail;
  const auto blocks = static_cast<int>(
      std::clamp<std::int64_t>(blocks_for(a.size, 8 * flat_threads * flat_width), 1, 1024));
  auto* partial =
      static_cast<double*>(cuda.scratch(sizeof(double) * static_cast<std::size_t>(blocks)));
  launch(cuda, "[squared_norm]", squares_kernel<T>, dim3(static_cast<unsigned>(blocks)),
         dim3(flat_threads), 0, a.x, a.size, row_aligned(a.x, flat_width), partial);
  launch(cuda, "[squared_norm]", squares_total_kernel<>, dim3(1), dim3(flat_threads), 0, partial,
         blocks, a.out, a.beta);
}

template <class T>
void run(Cuda& cuda, const primitive::SquaredNorms<T>& a) {
  using namespace detail;
  std::int64_t most = 1;
  for (const Stretch& part : a.parts) most += blocks_for(part.size, squares_values);
  SquaresLaunch<T> l{};
  l.x = a.x, l.out = a.out;
  l.partial = static_cast<double*>(cuda.scratch(sizeof(double) * static_cast<std::size_t>(most)));
  int blocks = 0;
  const auto flush = [&] {
    l.part[l.parts].first_block = blocks;
    if (blocks > 0)
      launch(cuda, "[squared_norms]", part_squares_kernel<T>, dim3(static_cast<unsigned>(blocks)),
             dim3(flat_threads), 0, l);
    if (l.parts > 0)
      launch(cuda, "[squared_norms]", part_totals_kernel<T>, dim3(static_cast<unsigned>(l.parts)),
             dim3(flat_threads), 0, l);
    l.out += l.parts;
    l.parts = blocks = 0;
  };
  for (const Stretch& part : a.parts) {
    if (l.parts == squares_parts) flush();
    l.part[l.parts++] = {part.offset, part.size, blocks};
    blocks += static_cast<int>(blocks_for(part.size, squares_values));
  }
  flush();
  launch(cuda, "[squared_norms]", squares_total_kernel<>, dim3(1), dim3(flat_threads), 0, a.out,
         static_cast<int>(a.parts.size()), a.total, 0.0);
}

/// param *= 1 - lr wd; m, v updated; param -= lr / c1 * m / (sqrt(v) / sqrt(c2) + eps); then the
/// moving average (torch.optim.AdamW; Loshchilov & Hutter 2019), and the copies.
template <class T, class C>
void run(Cuda& cuda, const primitive::AdamW<T, C>& a) {
  using namespace detail;
  AdamWLaunch<T, C> l{};
  l.param = a.param, l.exp_avg = a.exp_avg, l.exp_avg_sq = a.exp_avg_sq;
  l.ema = a.ema, l.grad = a.grad, l.copy = a.copy, l.ema_copy = a.ema_copy;
  l.b1 = static_cast<T>(a.beta1), l.c1 = static_cast<T>(1 - a.beta1);
  l.b2 = static_cast<T>(a.beta2), l.c2 = static_cast<T>(1 - a.beta2);
  l.eps = static_cast<T>(a.eps);
  l.keep = static_cast<T>(a.momentum), l.blend = static_cast<T>(1 - a.momentum);
  l.grad_scale = a.grad_scale, l.square_norm = a.square_norm;
  l.vectors = row_aligned(a.param, flat_width) && row_aligned(a.grad, flat_width) &&
              row_aligned(a.exp_avg, flat_width) && row_aligned(a.exp_avg_sq, flat_width) &&
              row_aligned(a.ema, flat_width) && row_aligned(a.copy, flat_width) &&
              row_aligned(a.ema_copy, flat_width);
  std::int64_t blocks = 0;
  const auto flush = [&] {
    if (l.runs == 0) return;
    launch(cuda, "[adamw]", adamw_kernel<T, C>, dim3(static_cast<unsigned>(blocks)),
           dim3(flat_threads), 0, l);
    l.runs = l.clips = 0, blocks = 0;
  };
  // The place of a run's clipping in the launch: -1 if it has none, adamw_clips if it is full.
  // Clippings to one norm share it where their words are near.
  const auto word_of = [&](const AdamWRun& run, int clip) {
    return clip < 0 ? 0 : run.square_norm - l.clip[clip].square_norm;
  };
  const auto clip_of = [&](const AdamWRun& run) {
    if (!run.square_norm) return -1;
    const auto near = [&](int i) { return word_of(run, i) >= 0 && word_of(run, i) < (1 << 15); };
    int i = 0;
    while (i < l.clips && (l.clip[i].max_norm != run.max_norm || !near(i))) ++i;
    if (i == l.clips && i < adamw_clips) l.clip[l.clips++] = {run.square_norm, run.max_norm};
    return i;
  };
  for (const AdamWRun& run : a.runs) {
    if (run.size == 0) continue;
    require(run.shift % 64 == 0, "[adamw] a run's gradient is shifted by ", run.shift,
            " elements, expected a multiple of 64");
    if (l.runs == adamw_runs || clip_of(run) == adamw_clips) flush();
    const std::int64_t end = run.offset + run.size;
    const double lr = a.lr * run.lr_factor;
    l.run[l.runs++] = {run.offset,
                       end,
                       static_cast<int>(blocks),
                       static_cast<int>(run.shift / 64),
                       static_cast<T>(1 - lr * run.weight_decay),
                       static_cast<T>(lr / run.correction1),
                       static_cast<T>(1 / std::sqrt(run.correction2)),
                       run.touched,
                       static_cast<signed char>(clip_of(run)),
                       static_cast<short>(word_of(run, clip_of(run)))};
    blocks += blocks_for(end - run.offset / flat_width * flat_width, adamw_values);
  }
  flush();
}

}  // namespace albef
