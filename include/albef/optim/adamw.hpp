// AdamW with the official parameter groups and a user's own, fused with clipping and the moving
// average.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include "albef/core/backend.hpp"
#include "albef/core/param_store.hpp"
#include "albef/optim/groups.hpp"

namespace albef {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.02;  ///< of matrices, embeddings and scalars; see decays()
  /// Clip the gradient's norm to this, over everything but groups with a norm of their own; 0: off.
  double max_norm = 0;
  /// Clip the gradient of each parameter by its own norm instead (DINO), to max_norm or that of its
  /// group.
  bool clip_each = false;
};

/// What one step is made with.
struct AdamWStep {
  double lr = 0;
  double grad_scale = 1;                    ///< on the gradients: 1/n after n batches
  std::optional<double> momentum = {};      ///< of the moving average; none: it stays
  std::optional<double> weight_decay = {};  ///< instead of the options'
  /// Where the run is: decides which groups are trained, see OptimizerGroup::first_epoch.
  double epoch = std::numeric_limits<double>::infinity();
};

/// The global norm of a step's gradient, before clipping, which the device knows before the host:
/// `scale` times the root of *square.
struct GradientNorm {
  const double* square = nullptr;  ///< on the device, until the next step
  double scale = 1;

  /// The norm, where *square is `value`.
  double of(double value) const { return scale * std::sqrt(value); }
  /// Waits for the device.
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
/// treatment updates weights, moments and, if asked, the momentum plane. Frozen parameters of the
/// store are passed over: nothing of them changes, their moving average neither.
///
/// Clipping happens as if by torch.nn.utils.clip_grad_norm_, once for each group with a max_norm of
/// its own and once for all other parameters together, or for each parameter alone.
///
/// A step whose gradient has an infinite or NaN norm changes no weight, moment, average or count.
/// The device decides that by itself; where the host does not see its memory, step() does not wait
/// to learn of it, and whoever does calls take_back() before the next step.
class AdamW {
 public:
  /// Error if an option is not a finite number of its range.
  explicit AdamW(AdamWOptions options = {}) : options_(options) {
    const auto check = [](const char* name, double value, double limit) {
      require(value >= 0 && value < limit, "AdamW: ", name, " is ", value,
              ", expected at least 0 and below ", limit);
    };
    check("beta1", options.beta1, 1), check("beta2", options.beta2, 1);
    constexpr double largest = std::numeric_limits<double>::infinity();
    check("eps", options.eps, largest), check("weight_decay", options.weight_decay, largest);
    check("max_norm", options.max_norm, largest);
  }
  /// With groups for the parameters of `store`, which must have been made with the frozen ones
  /// frozen (StoreOptions::frozen = groups.frozen()). Error if a group takes no parameter.
  template <class Store>
  AdamW(AdamWOptions options, OptimizerGroups groups, const Store& store) : AdamW(options) {
    groups_ = std::move(groups);
    group_of_ = groups_.resolve(store.params());
    for (std::size_t i = 0; i < group_of_.size(); ++i) {
      const auto& p = store.params()[i];
      const bool frozen = group_of_[i] >= 0 && group(i)->frozen;
      require(!frozen || p.frozen, "AdamW: '", p.name, "' is frozen by the group '",
              frozen ? group(i)->name : "",
              "', but the store trains it: make the store with the same groups");
    }
  }

  const AdamWOptions& options() const { return options_; }
  const OptimizerGroups& groups() const { return groups_; }
  /// Updates made of each parameter, in the order of the store's table (empty before the first
  /// step); restore them on resume.
  const std::vector<std::int64_t>& steps() const { return steps_; }
  void set_steps(std::vector<std::int64_t> steps) { steps_ = std::move(steps); }
  /// The last step changed nothing: it does not count in steps().
  void take_back() {
    for (const std::size_t i : counted_) --steps_[i];
    counted_.clear();
  }

  /// Lists the step counts of a store of `parameters` parameters as named state.
  void named(auto&& f, std::size_t parameters) { f.counts("optimizer.steps", steps_, parameters); }

  /// One update with learning rate `lr` from the gradients in the store, each multiplied by
  /// `grad_scale` first. With a `momentum`, the ema plane moves to momentum * ema + (1 - momentum)
  /// * new weights. Clears the gradients. Returns the norm of the whole (scaled) gradient of what
  /// is trained; does not wait for the device. Error if `lr` is not finite.
  template <class Store>
  GradientNorm step(Store& store, double lr, double grad_scale = 1,
                    std::optional<double> momentum = {}) {
    return step(store, {.lr = lr, .grad_scale = grad_scale, .momentum = momentum});
  }
  template <class Store>
  GradientNorm step(Store& store, const AdamWStep& now) {
    using Real = typename Store::Real;
    using Compute = typename Store::Compute;
    const std::optional<double> momentum = now.momentum;
    require(std::isfinite(now.lr), "AdamW: the learning rate is ", now.lr,
            ", expected a finite number");
    steps_.resize(store.params().size(), 0);
    updated_.resize(steps_.size());
    counted_.clear();
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const OptimizerGroup* own = group(i);
      updated_[i] = store.touched(static_cast<int>(i)) && !(own && now.epoch < own->first_epoch);
      if (updated_[i]) ++steps_[i], counted_.push_back(i);
    }
    require(group_of_.empty() || group_of_.size() == steps_.size(), "AdamW: made with groups for ",
            group_of_.size(), " parameters, the store has ", steps_.size());
    find_runs(store, now.weight_decay.value_or(options_.weight_decay));
    const double* square = square_norms(store);
    primitive::AdamW<Real, Compute> args{.param = store.data(Plane::online),
                                         .grad = store.data(Plane::grad),
                                         .exp_avg = store.data(Plane::exp_avg),
                                         .exp_avg_sq = store.data(Plane::exp_avg_sq),
                                         .ema = momentum ? store.data(Plane::ema) : nullptr,
                                         .runs = runs_,
                                         .lr = now.lr,
                                         .beta1 = options_.beta1,
                                         .beta2 = options_.beta2,
                                         .eps = options_.eps,
                                         .grad_scale = now.grad_scale,
                                         .momentum = momentum.value_or(0),
                                         .square_norm = square};
    if constexpr (!std::is_same_v<Real, Compute>) {
      args.copy = store.compute(Plane::online);
      args.ema_copy = momentum ? store.compute(Plane::ema) : nullptr;
    }
    run(store.device(), args);
    store.clear_gradients();
    if constexpr (requires { requires Store::Device::host_memory; })
      if (!std::isfinite(*square)) take_back();
    return {square, now.grad_scale};
  }

 private:
  /// The group of parameter i of the table; null: none.
  const OptimizerGroup* group(std::size_t i) const {
    const int number = group_of_.empty() ? -1 : group_of_[i];
    return number < 0 ? nullptr : &groups_[static_cast<std::size_t>(number)];
  }

  /// Joins neighbouring parameters that are treated alike. Those with a norm of their own have it
  /// in max_norm.
  template <class Store>
  void find_runs(const Store& store, double weight_decay) {
    const auto& params = store.params();
    const auto run_of = [&](std::size_t i) {
      const auto& p = params[i];
      const auto* own = group(i);
      const auto t = static_cast<double>(steps_[i]);
      const double decay = own ? own->weight_decay.value_or(weight_decay) : weight_decay;
      return AdamWRun{.offset = p.offset,
                      .size = p.size,
                      .shift = p.offset - p.state_offset,
                      .touched = updated_[i] != 0,
                      .lr_factor = own ? own->lr_factor : 1.0,
                      .weight_decay = p.decay ? decay : 0.0,
                      .correction1 = 1 - std::pow(options_.beta1, t),
                      .correction2 = 1 - std::pow(options_.beta2, t)};
    };
    runs_.clear();
    run_groups_.clear();
    for (std::size_t i = 0; i < params.size();) {
      if (params[i].frozen) {
        ++i;
        continue;
      }
      AdamWRun run = run_of(i);
      const std::size_t first = i;
      for (++i; i < params.size() && !options_.clip_each; ++i) {
        if (params[i].frozen || (updated_[i] != 0) != run.touched || steps_[i] != steps_[first] ||
            params[i].decay != params[first].decay || group(i) != group(first))
          break;
        run.size = params[i].offset + params[i].size - run.offset;  // with the zeros in between
      }
      runs_.push_back(run);
      run_groups_.push_back(group(first));
    }
  }

  /// Sums up the squares of the gradient in words of the store on the device, and tells the runs
  /// which of them they are clipped by. Returns the word of the whole gradient. Words: the whole,
  /// what the optimizer's own norm covers, then the groups' own.
  template <class Store>
  const double* square_norms(Store& store) {
    if (options_.clip_each) return each_square_norm(store);
    const auto clips = [](const OptimizerGroup& g) { return !g.frozen && g.max_norm > 0; };
    const auto own = std::count_if(groups_.begin(), groups_.end(), clips);
    double* whole = store.scratch_words(own == 0 ? 1 : static_cast<int>(groups_.size()) + 2);
    double* rest = own == 0 ? whole : whole + 1;
    const auto add = [&](const OptimizerGroup* clipped_by, double* word, double beta) {
      std::int64_t begin = 0, end = 0;  // neighbours are summed together
      const auto sum = [&] {
        if (begin == end) return;
        run(store.device(), primitive::SquaredNorm<typename Store::Real>{
                                store.data(Plane::grad) + begin, end - begin, word, beta});
        beta = 1;
      };
      for (std::size_t i = 0; i < runs_.size(); ++i) {
        AdamWRun& stretch = runs_[i];
        const auto* g = run_groups_[i] && clips(*run_groups_[i]) ? run_groups_[i] : nullptr;
        if (g != clipped_by || !stretch.touched) {
          sum();
          begin = end = 0;
          continue;
        }
        const std::int64_t place = stretch.offset - stretch.shift;
        if (begin == end) begin = place;
        end = place + stretch.size;  // with the zeros in between
        stretch.max_norm = g ? g->max_norm : options_.max_norm;
        stretch.square_norm = stretch.max_norm > 0 ? (g ? word_of(g, whole) : rest) : nullptr;
      }
      sum();
      if (beta == 0) fill_zero(store.device(), word, sizeof(double));
    };
    add(nullptr, whole, 0);
    if (own == 0) return whole;
    copy_on_device(store.device(), rest, static_cast<const double*>(whole), 1);
    for (const auto& g : groups_) {
      if (!clips(g)) continue;
      add(&g, whole, 1);
      add(&g, word_of(&g, whole), 0);
    }
    return whole;
  }
  /// The same where each run is one parameter, clipped by its own norm. Words: the whole, then
  /// those of the runs.
  template <class Store>
  const double* each_square_norm(Store& store) {
    double* whole = store.scratch_words(static_cast<int>(runs_.size()) + 1);
    parts_.clear();
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      AdamWRun& r = runs_[i];
      if (!r.touched) continue;
      const auto* g = run_groups_[i];
      r.max_norm = g && g->max_norm > 0 ? g->max_norm : options_.max_norm;
      if (r.max_norm > 0) r.square_norm = whole + 1 + parts_.size();
      parts_.push_back({r.offset - r.shift, r.size});
    }
    run(store.device(), primitive::SquaredNorms<typename Store::Real>{store.data(Plane::grad),
                                                                      parts_, whole + 1, whole});
    return whole;
  }
  double* word_of(const OptimizerGroup* g, double* whole) const {
    return whole + 2 + (g - &groups_[0]);
  }

  AdamWOptions options_;
  std::vector<std::int64_t> steps_;
  std::vector<std::size_t> counted_;  // parameters whose count the last step raised
  std::vector<char> updated_;         // whether a parameter is part of the step
  std::vector<Stretch> parts_;        // of the gradient, one a parameter, with clip_each
  OptimizerGroups groups_;
  std::vector<int> group_of_;  // of each parameter; empty without groups
  std::vector<AdamWRun> runs_;
  std::vector<const OptimizerGroup*> run_groups_;  // null: none
};

/// ema = momentum * ema + (1 - momentum) * weights over the whole store, as the official code does
/// at the start of a forward pass, frozen parameters left out. AdamW::step can do the same in its
/// own pass over memory.
template <class Store>
void update_momentum(Store& store, double momentum) {
  for (const TrainableRange& range : store.trainable_ranges())
    run(store.device(), primitive::EmaUpdate<typename Store::Real>{
                            store.data(Plane::ema) + range.offset,
                            store.data(Plane::online) + range.offset, range.size, momentum});
  store.refresh();
}

}  // namespace albef
