// AdamW with the official parameter groups, fused with clipping and the moving average.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "albef/core/backend.hpp"
#include "albef/core/param_store.hpp"

namespace albef {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.02;  ///< of matrices, embeddings and scalars; see decays()
  double max_norm = 0;         ///< clip the gradient's global norm to this; 0: off
};

/// torch.optim.AdamW over a ParamStore (optim_factory.py): decoupled weight decay on everything
/// that is neither one-dimensional nor a bias; a parameter that received no gradient is left alone
/// and its step count stands still. One pass over memory per run of parameters with equal
/// treatment updates weights, moments and, if asked, the momentum plane.
class AdamW {
 public:
  explicit AdamW(AdamWOptions options = {}) : options_(options) {}

  const AdamWOptions& options() const { return options_; }
  /// Updates made of each parameter, in the order of the store's table (empty before the first
  /// step); restore them on resume.
  const std::vector<std::int64_t>& steps() const { return steps_; }
  void set_steps(std::vector<std::int64_t> steps) { steps_ = std::move(steps); }

  /// One update with learning rate `lr` from the gradients in the store, each multiplied by
  /// `grad_scale` first (1/n after accumulating n batches). If `momentum` > 0, the ema plane moves
  /// to momentum * ema + (1 - momentum) * new weights. Clears the gradients. Returns the global
  /// norm of the (scaled) gradient if clipping is on, else 0.
  template <class Store>
  double step(Store& store, double lr, double grad_scale = 1, double momentum = 0) {
    using Real = typename Store::Real;
    steps_.resize(store.params().size(), 0);
    for (std::size_t i = 0; i < steps_.size(); ++i) steps_[i] += store.touched(static_cast<int>(i));
    const auto clipping = clip(store, grad_scale);
    for_runs(store, [&](const Run& run) {
      const auto at = [&](Plane p) { return store.data(p) + run.offset; };
      if (!run.touched) {
        if (momentum > 0)
          ema_update(store.device(), at(Plane::ema), static_cast<const Real*>(at(Plane::online)),
                     run.size, momentum);
        return;
      }
      const auto t = static_cast<double>(run.steps);
      adamw_update(store.device(),
                   AdamWArgs<Real>{.param = at(Plane::online),
                                   .grad = at(Plane::grad),
                                   .exp_avg = at(Plane::exp_avg),
                                   .exp_avg_sq = at(Plane::exp_avg_sq),
                                   .ema = momentum > 0 ? at(Plane::ema) : nullptr,
                                   .size = run.size,
                                   .lr = lr,
                                   .beta1 = options_.beta1,
                                   .beta2 = options_.beta2,
                                   .eps = options_.eps,
                                   .weight_decay = run.decay ? options_.weight_decay : 0.0,
                                   .correction1 = 1 - std::pow(options_.beta1, t),
                                   .correction2 = 1 - std::pow(options_.beta2, t),
                                   .grad_scale = grad_scale * clipping.scale,
                                   .momentum = momentum});
    });
    store.clear_gradients();
    return clipping.norm;
  }

 private:
  struct Clipping {
    double norm = 0, scale = 1;
  };
  /// Neighbouring parameters that are treated alike.
  struct Run {
    std::int64_t offset, size, steps;
    bool touched, decay;
  };

  template <class Store, class F>
  void for_runs(const Store& store, F&& f) const {
    const auto& params = store.params();
    const auto single = [&](std::size_t i) {
      const auto& p = params[i];
      return Run{p.offset, p.size, steps_[i], store.touched(static_cast<int>(i)), p.decay};
    };
    for (std::size_t i = 0; i < params.size();) {
      Run run = single(i);
      for (++i; i < params.size(); ++i) {
        const Run next = single(i);
        if (next.touched != run.touched || next.decay != run.decay || next.steps != run.steps)
          break;
        run.size += next.size;
      }
      f(run);
    }
  }

  template <class Store>
  Clipping clip(const Store& store, double grad_scale) const {
    using Real = typename Store::Real;
    if (options_.max_norm <= 0) return {};
    double square = 0;
    for_runs(store, [&](const Run& run) {
      if (run.touched)
        square +=
            squared_norm(store.device(),
                         static_cast<const Real*>(store.data(Plane::grad) + run.offset), run.size);
    });
    const double norm = std::sqrt(square) * grad_scale;
    // torch.nn.utils.clip_grad_norm_: scale by max_norm / (norm + 1e-6), never up.
    return {norm, std::min(1.0, options_.max_norm / (norm + 1e-6))};
  }

  AdamWOptions options_;
  std::vector<std::int64_t> steps_;
};

/// ema = momentum * ema + (1 - momentum) * weights over the whole store, as the official code does
/// at the start of a forward pass. AdamW::step can do the same in its own pass over memory.
template <class Store>
void update_momentum(Store& store, double momentum) {
  ema_update(store.device(), store.data(Plane::ema),
             static_cast<const typename Store::Real*>(store.data(Plane::online)), store.size(),
             momentum);
}

}  // namespace albef
