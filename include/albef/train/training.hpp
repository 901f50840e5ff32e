// Everything an objective needs to be trained on one device: weights, optimizer, context, state.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/checkpoint/pretrained.hpp"
#include "albef/core/context.hpp"
#include "albef/optim/adamw.hpp"
#include "albef/optim/groups.hpp"
#include "albef/optim/schedule.hpp"
#include "albef/train/objective.hpp"
#include "albef/train/pass_losses.hpp"
#include "albef/train/shared_features.hpp"

namespace albef {

class Cpu;

struct TrainingOptions {
  std::uint64_t seed = 42;      ///< of weights, dropout and all other draws on the device
  AdamWOptions optimizer = {};  ///< its learning rate follows the schedule of TrainOptions
  OptimizerGroups groups = {};  ///< parameters treated in their own way; see groups_for()
  double momentum = 0.995;  ///< of the moving average; 0: the momentum model is the model itself
  /// What weight decay and momentum go to in a half cosine over the run; nothing: they stay.
  std::optional<double> weight_decay_end = {}, momentum_end = {};
  bool dropout = true;
  bool checkpointing = false;  ///< keep only block inputs, compute blocks again in the backward
};

/// The groups that texts describe, for the parameters of model M.
template <class M>
OptimizerGroups groups_for(const GroupOptions& options) {
  return optimizer_groups(options, names_of(laid_out<M>()).params);
}

/// An objective O (see check_objective()) in training: weights of its model, its state, AdamW and a
/// context. fit() runs it over a loader; start(), finish() and update() are its parts.
template <class O, class DeviceT = Cpu, class PrecisionT = Fp32>
class Training {
  static_assert(check_objective<O, Context<DeviceT, PrecisionT>>());

 public:
  using Objective = O;
  using Model = typename O::Model;
  using Batch = typename O::Batch;
  using Config = config_of<Model>;
  using Device = DeviceT;
  using Precision = PrecisionT;
  using Store = ParamStore<Device, Precision>;
  using Ctx = Context<Device, Precision>;
  using Real = typename Ctx::Real;
  using Master = typename Ctx::Master;
  using State = typename detail::StateOf<O, Ctx>::type;
  static constexpr auto model = laid_out<Model>();
  /// See LossReadings.
  static constexpr bool deferred = LossReadings<Device, Master>::deferred;

  explicit Training(Device& device, const TrainingOptions& options = {}, O objective = {})
      : options_(with_groups_of(options, objective)),
        objective_(std::move(objective)),
        store_(device, model,
               {.storage = distills(objective_) ? Storage::momentum : Storage::training,
                .seed = options.seed,
                .frozen = options_.groups.frozen()}),
        ctx_(device, store_, options.seed),
        state_(make_state(device)),
        optimizer_(options.optimizer, options_.groups, store_),
        readings_(device),
        shared_(device) {
    for (const double m : {options.momentum, options.momentum_end.value_or(0)})
      require(m >= 0 && m <= 1, "momentum is ", m, ", expected 0 to 1");
    const double decay = options.weight_decay_end.value_or(0);
    require(decay >= 0 && std::isfinite(decay), "weight_decay_end is ", decay,
            ", expected a finite number of at least 0");
    ctx_.set_dropout(options.dropout);
    ctx_.set_checkpointing(options.checkpointing);
  }

  Device& device() const { return store_.device(); }
  const TrainingOptions& options() const { return options_; }
  const O& objective() const { return objective_; }
  Store& store() { return store_; }
  const Store& store() const { return store_; }
  Ctx& context() { return ctx_; }
  State& state() { return state_; }
  AdamW& optimizer() { return optimizer_; }

  // ---- one step ----------------------------------------------------------------------------

  /// Starts the forward and backward pass of one batch, which adds to the store's gradient; a loss
  /// that is not finite makes it NaN.
  void start(const Batch& batch, const Step& step) {
    ctx_.begin_step(step.number);
    const Losses<Master> losses = evaluate(batch, step);
    readings_.start(losses);
    ctx_.backward(losses.loss());
    if constexpr (requires { state_.advance(ctx_); }) state_.advance(ctx_);
  }
  /// Whether the objective compares the examples of all passes of a step; see check_objective().
  static constexpr bool shares_features = detail::SharesFeatures<O, Ctx>;
  /// Where a step has several passes and the objective shares features: computes those of all, of
  /// which pass k is that of batches[k] and of number first.number + k. Then start_part() each.
  /// They draw dropout as each pass on its own does, not as one batch of all would.
  void share_features(std::span<const Batch> batches, const Step& first) requires shares_features {
    int rows = 0;
    for (const Batch& batch : batches) rows += batch.size;
    shared_.clear();
    Step step = first;
    for (const Batch& batch : batches) {
      ctx_.begin_step(step.number);
      shared_.add(ctx_.no_grad([&] { return objective_.features(ctx_, model, batch, step); }),
                  rows);
      ++step.number;
    }
  }
  /// start() of batches[k], whose examples are compared with those of all batches.
  void start_part(std::span<const Batch> batches, std::size_t k,
                  Step step) requires shares_features {
    int row = 0;
    for (const Batch& batch : batches.first(k)) row += batch.size;
    step.shared = &shared_.pass(row, static_cast<int>(batches.size()));
    start(batches[k], step);
  }

  /// The losses of the earliest pass that was started and not yet asked for; waits for them.
  void finish(PassLosses& losses) { readings_.finish(losses); }
  /// Both: a pass and its losses.
  void accumulate(const Batch& batch, const Step& step, PassLosses& losses) {
    start(batch, step);
    finish(losses);
  }
  /// Updates weights and momentum weights from the gradients, each multiplied by `grad_scale`
  /// (1/n after n passes), and clears them. Where the norm of the gradient is not finite, nothing
  /// changes, the state neither; what is `deferred` then waits for take_back().
  GradientNorm update(double lr, double grad_scale = 1, const Pace& pace = {}) {
    AdamWStep step{.lr = lr,
                   .grad_scale = grad_scale,
                   .weight_decay = weight_decay(pace),
                   .epoch = pace.epoch};
    if (store_.has(Plane::ema)) step.momentum = momentum(pace);
    const GradientNorm norm = optimizer_.step(store_, step);
    if constexpr (requires { state_.commit(norm.square); }) state_.commit(norm.square);
    if constexpr (requires { objective_.after_update(store_, model); })
      objective_.after_update(store_, model);
    return norm;
  }
  /// What an update uses.
  double weight_decay(const Pace& pace) const {
    return scheduled(options_.optimizer.weight_decay, options_.weight_decay_end, pace);
  }
  double momentum(const Pace& pace) const {
    return scheduled(options_.momentum, options_.momentum_end, pace);
  }
  /// The last update is known to have changed nothing: the optimizer does not count it. Where the
  /// host sees the device's memory, it knows already.
  void take_back() { optimizer_.take_back(); }

  // ---- checkpoints -------------------------------------------------------------------------

  /// Starts from a checkpoint of pre-training or of the task itself; see load_pretrained(). State
  /// that has start_from(file) takes over what it can use, after check_start(file), which throws
  /// where that would fail, before anything is changed.
  LoadReport start_from(const std::string& path, const StartOptions& start = {}) {
    if constexpr (requires(const SafeTensors& file) { state_.check_start(file); })
      state_.check_start(SafeTensors::open(path));
    LoadReport report = load_pretrained<Model>(store_, path, start);
    if constexpr (requires(const SafeTensors& file) { state_.start_from(file); })
      report.loaded += state_.start_from(SafeTensors::open(path));
    return report;
  }
  /// Weights and momentum weights.
  auto model_checkpoint() { return Checkpoint<Device, Precision>(store_); }
  /// All that a resume needs.
  auto checkpoint() {
    auto all = model_checkpoint();
    all.with_optimizer(optimizer_).with(state_);
    return all;
  }
  /// What a checkpoint says of the model.
  CheckpointInfo info() const { return config_info<Config>(); }
  /// Error if a checkpoint says something else.
  static void check(const std::string& path, const CheckpointInfo& info) {
    check_config<Config>(path, info);
  }
  /// The options that decide the course of a run, beside those of fit().
  CheckpointInfo course() const {
    const AdamWOptions& o = options_.optimizer;
    const auto until = [](const std::optional<double>& end) {
      return end ? concat(" to ", *end) : std::string();
    };
    CheckpointInfo course{
        {"train.seed", concat(options_.seed)},
        {"train.weight_decay", concat(o.weight_decay, until(options_.weight_decay_end))},
        {"train.betas", concat(o.beta1, ' ', o.beta2)},
        {"train.eps", concat(o.eps)},
        {"train.max_norm", concat(o.max_norm, o.clip_each ? " of each parameter" : "")},
        {"train.groups", options_.groups.describe()},
        {"train.momentum", concat(options_.momentum, until(options_.momentum_end))},
        {"train.dropout", options_.dropout ? "yes" : "no"}};
    if constexpr (requires { objective_.course(); }) course.merge(objective_.course());
    return course;
  }

  // ---- what a run asks ---------------------------------------------------------------------

  std::vector<PlateauRule> plateaus(int batch_size) const {
    if constexpr (requires { objective_.plateaus(batch_size); })
      return objective_.plateaus(batch_size);
    else
      return {};
  }
  /// How many examples of a batch fit into the device's memory: halves it until a pass succeeds; 0
  /// if not even two do. Needs first_examples(batch, n). Gradient and state are of no use
  /// afterwards.
  int fitting_examples(const Batch& batch) requires requires { first_examples(batch, 2); }
  {
    PassLosses losses;
    for (int n = batch.size; n >= 2; n /= 2) try {
        readings_.forget();  // nobody will ask for what an interrupted pass left
        ctx_.release();
        accumulate(first_examples(batch, n), {.alpha = 0.4}, losses);
        return n;
      } catch (const OutOfMemory&) {}
    return 0;
  }

 private:
  /// What the user freezes, then what the objective says of groups, then the user's others.
  static TrainingOptions with_groups_of(TrainingOptions options, const O& objective) {
    if constexpr (requires { objective.groups(); }) {
      OptimizerGroups all, others;
      for (const OptimizerGroup& g : options.groups) (g.frozen ? all : others).add(g);
      options.groups = all.add(objective.groups()).add(others);
    }
    return options;
  }
  static double scheduled(double start, const std::optional<double>& end, const Pace& pace) {
    if (!end || pace.steps == 0) return start;
    return CosineSchedule{start, *end, pace.steps}.at(pace.step);
  }
  State make_state(Device& device) const {
    if constexpr (detail::has_state<O, Ctx>)
      return State(device, objective_, options_.seed);
    else
      return {};
  }
  Losses<Master> evaluate(const Batch& batch, const Step& step) {
    if constexpr (detail::has_state<O, Ctx>)
      return objective_(ctx_, model, batch, step, state_);
    else
      return objective_(ctx_, model, batch, step);
  }

  TrainingOptions options_;
  O objective_;
  Store store_;
  Ctx ctx_;
  State state_;
  AdamW optimizer_;
  LossReadings<Device, Master> readings_;
  SharedFeatures<Device, Master> shared_;
};

}  // namespace albef
