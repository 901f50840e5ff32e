// Schedules of the learning rate (cosine with warm-up, as timm and the official ALBEF loops step
// it, or per iteration), of weight decay, momentum and temperature, and the ramp of the
// distillation weight.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace albef {

/// timm's CosineLRScheduler with warmup_prefix and one cycle (scheduler/cosine_lr.py:69-96):
/// linear from warmup_lr to lr over `warmup` units, a half cosine from lr to min_lr over `epochs`
/// units, then min_lr. What a unit is, is up to the caller.
struct CosineWarmup {
  double lr = 1e-4;  // the peak
  double min_lr = 1e-5;
  double warmup_lr = 1e-5;
  int warmup = 20;
  int epochs = 30;

  double at(std::int64_t t) const {
    if (t < warmup) return warmup_lr + static_cast<double>(t) * ((lr - warmup_lr) / warmup);
    t -= warmup;
    if (t >= epochs) return min_lr;
    const double angle = 3.14159265358979323846 * static_cast<double>(t) / epochs;
    return min_lr + 0.5 * (lr - min_lr) * (1 + std::cos(angle));
  }
};

/// The learning rate in force at each optimizer step of the official loops. A warm-up unit is
/// `step_size` iterations and counts within epoch 0 only, so a short first epoch cuts the warm-up
/// off; afterwards the rate is constant within an epoch: cosine position e in epoch e. Loops that
/// step the scheduler at the start of an epoch (Pretrain.py:78-79,155-156, VQA.py) and at its end
/// (Retrieval.py, VE.py, NLVR.py, Grounding.py) give the same rates.
struct OfficialSchedule {
  CosineWarmup cosine;
  int iterations_per_epoch = 1;
  int step_size = 100;

  double lr(std::int64_t step) const {
    const std::int64_t epoch = step / iterations_per_epoch, i = step % iterations_per_epoch;
    if (epoch > 0) return cosine.at(epoch + cosine.warmup);
    // The scheduler is called after the iterations 0, step_size, 2 step_size, ...
    const std::int64_t calls = i == 0 ? 0 : (i - 1) / step_size;
    return cosine.at(std::min<std::int64_t>(calls, cosine.warmup));
  }
};

/// Linear from warmup_lr to lr over `warmup` iterations, then a half cosine that reaches min_lr at
/// iteration `total`: no stairs, and the warm-up does not depend on the length of an epoch.
struct PerIteration {
  double peak_lr = 1e-4;
  double min_lr = 1e-5;
  double warmup_lr = 1e-5;
  std::int64_t warmup = 2000;
  std::int64_t total = 100000;

  double lr(std::int64_t step) const {
    const auto at = static_cast<double>(step), end = static_cast<double>(warmup);
    if (step < warmup) return warmup_lr + (peak_lr - warmup_lr) * (at / end);
    if (step >= total) return min_lr;
    const double angle = 3.14159265358979323846 * (at - end) / (static_cast<double>(total) - end);
    return min_lr + 0.5 * (peak_lr - min_lr) * (1 + std::cos(angle));
  }
};

/// `n` numbers from `first` to `last` in equal steps, both included (numpy.linspace), then `last`.
struct LinearRamp {
  double first = 0, last = 0;
  std::int64_t n = 0;

  double at(std::int64_t i) const {
    if (i >= n) return last;
    if (i == n - 1 && n > 1) return last;
    const double step = n > 1 ? (last - first) / static_cast<double>(n - 1) : 0;
    const volatile double way = static_cast<double>(i) * step;  // rounded, as the official ones
    return way + first;
  }
};

/// DINO's cosine_scheduler (utils.py), for learning rate, weight decay and momentum alike: `warmup`
/// iterations in equal steps from `start` to `base`, the last of them at `base`, then a half cosine
/// from `base` that would reach `last` at iteration `total`.
struct CosineSchedule {
  double base = 1, last = 0;
  std::int64_t total = 1, warmup = 0;
  double start = 0;

  double at(std::int64_t step) const {
    if (step < warmup) return LinearRamp{start, base, warmup}.at(step);
    if (step >= total) return last;
    const double angle = 3.14159265358979323846 * static_cast<double>(step - warmup) /
                         static_cast<double>(total - warmup);
    return last + 0.5 * (base - last) * (1 + std::cos(angle));
  }
};

/// Weight of the momentum model's soft targets: grows linearly from 0 within the first `iterations`
/// (an epoch, Pretrain.py:62-66; 0 for visual entailment), then stays `alpha`.
struct AlphaRamp {
  double alpha = 0.4;
  std::int64_t iterations = 0;

  double at(std::int64_t step) const {
    if (step >= iterations) return alpha;
    return alpha * static_cast<double>(step) / static_cast<double>(iterations);
  }
};

}  // namespace albef
