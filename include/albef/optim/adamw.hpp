// AdamW with the official parameter groups, fused with clipping and the moving average.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "albef/core/backend.hpp"
#include "albef/core/param_store.hpp"

namespace albef {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.02;  ///< of matrices, embeddings and scalars; see decays()
  double max_norm = 0;         ///< clip the gradient's global norm to this; 0: off
};

/// The global norm of a step's gradient, which the device knows before the host: `scale` times the
/// root of *square.
struct GradientNorm {
  const double* square = nullptr;  ///< on the device, until the next step; null without clipping
  double scale = 1;

  /// The norm, where *square is `value`.
  double of(double value) const { return scale * std::sqrt(value); }
  /// Waits for the device. 0 without clipping.
  template <class Device>
  double read(Device& device) const {
    double value = 0;
    if (square) copy_to_host(device, &value, square, 1);
    return of(value);
  }
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

  /// Lists the step counts of a store of `parameters` parameters as named state.
  void named(auto&& f, std::size_t parameters) { f.counts("optimizer.steps", steps_, parameters); }

  /// One update with learning rate `lr` from the gradients in the store, each multiplied by
  /// `grad_scale` first (1/n after accumulating n batches). With a `momentum`, the ema plane moves
  /// to momentum * ema + (1 - momentum) * new weights. Clears the gradients. Returns the norm of
  /// the (scaled) gradient if clipping is on; does not wait for the device.
  template <class Store>
  GradientNorm step(Store& store, double lr, double grad_scale = 1,
                    std::optional<double> momentum = {}) {
    using Real = typename Store::Real;
    using Compute = typename Store::Compute;
    steps_.resize(store.params().size(), 0);
    for (std::size_t i = 0; i < steps_.size(); ++i) steps_[i] += store.touched(static_cast<int>(i));
    find_runs(store);
    AdamWArgs<Real, Compute> args{.param = store.data(Plane::online),
                                  .grad = store.data(Plane::grad),
                                  .exp_avg = store.data(Plane::exp_avg),
                                  .exp_avg_sq = store.data(Plane::exp_avg_sq),
                                  .ema = momentum ? store.data(Plane::ema) : nullptr,
                                  .runs = runs_,
                                  .lr = lr,
                                  .beta1 = options_.beta1,
                                  .beta2 = options_.beta2,
                                  .eps = options_.eps,
                                  .grad_scale = grad_scale,
                                  .momentum = momentum.value_or(0)};
    if constexpr (!std::is_same_v<Real, Compute>) {
      args.copy = store.compute(Plane::online);
      args.ema_copy = momentum ? store.compute(Plane::ema) : nullptr;
    }
    if (options_.max_norm > 0) {
      args.max_norm = options_.max_norm;
      args.square_norm = square_norm(store);
    }
    adamw_update(store.device(), args);
    store.clear_gradients();
    return {args.square_norm, grad_scale};
  }

 private:
  /// Joins neighbouring parameters that are treated alike.
  template <class Store>
  void find_runs(const Store& store) {
    const auto& params = store.params();
    const auto run_of = [&](std::size_t i) {
      const auto& p = params[i];
      const auto t = static_cast<double>(steps_[i]);
      return AdamWRun{.offset = p.offset,
                      .size = p.size,
                      .touched = store.touched(static_cast<int>(i)),
                      .weight_decay = p.decay ? options_.weight_decay : 0.0,
                      .correction1 = 1 - std::pow(options_.beta1, t),
                      .correction2 = 1 - std::pow(options_.beta2, t)};
    };
    runs_.clear();
    for (std::size_t i = 0; i < params.size();) {
      AdamWRun run = run_of(i);
      const std::size_t first = i;
      for (++i; i < params.size(); ++i) {
        if (store.touched(static_cast<int>(i)) != run.touched || steps_[i] != steps_[first] ||
            params[i].decay != params[first].decay)
          break;
        run.size = params[i].offset + params[i].size - run.offset;  // with the zeros in between
      }
      runs_.push_back(run);
    }
  }

  /// The sum of the squares of the gradient, in the store's scratch word on the device.
  template <class Store>
  const double* square_norm(Store& store) const {
    using Real = typename Store::Real;
    double beta = 0;
    for (const AdamWRun& run : runs_) {
      if (!run.touched) continue;
      squared_norm(store.device(), static_cast<const Real*>(store.data(Plane::grad) + run.offset),
                   run.size, store.scratch_word(), beta);
      beta = 1;
    }
    if (beta == 0) fill_zero(store.device(), store.scratch_word(), sizeof(double));
    return store.scratch_word();
  }

  AdamWOptions options_;
  std::vector<std::int64_t> steps_;
  std::vector<AdamWRun> runs_;
};

/// ema = momentum * ema + (1 - momentum) * weights over the whole store, as the official code does
/// at the start of a forward pass. AdamW::step can do the same in its own pass over memory.
template <class Store>
void update_momentum(Store& store, double momentum) {
  ema_update(store.device(), store.data(Plane::ema),
             static_cast<const typename Store::Real*>(store.data(Plane::online)), store.size(),
             momentum);
  store.refresh();
}

}  // namespace albef
