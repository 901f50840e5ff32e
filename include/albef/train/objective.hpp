// What is trained: an objective, which names its model and its batch and gives named losses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include "albef/core/context.hpp"
#include "albef/train/plateau.hpp"

namespace albef {

/// Features of a step's passes in the device's memory: some kinds (image, text, ...), each (rows,
/// width); see of_all_passes().
struct SharedRows {
  static constexpr std::size_t capacity = 8;
  std::array<const void*, capacity> data{};  ///< by kind, Master
  const void* passes = nullptr;              ///< their number, a Master of the device
  int rows = 0;                              ///< of all passes
  int first = 0;                             ///< where those of the pass under way stand
};

/// Where a pass stands in its run.
struct Step {
  std::uint64_t number = 0;            ///< of the pass: it names the pass's random draws
  std::int64_t step = 0;               ///< of the optimizer, from 0
  std::int64_t steps = 0;              ///< of the whole run; 0: not known
  double epoch = 0;                    ///< epochs done, with the part of the one under way
  double alpha = 0;                    ///< weight of a teacher's targets, see TrainOptions
  const SharedRows* shared = nullptr;  ///< features of all passes of the step, if there are several
};

/// Where an update stands in the schedules of its run.
struct Pace {
  std::int64_t step = 0, steps = 0;  ///< 0 steps: in no run, at the start of all schedules
  double epoch = std::numeric_limits<double>::infinity();  ///< see AdamWStep
};

/// What an objective gives: the loss that is minimised and, by name, its parts and whatever else is
/// worth watching, all on the device. A plain loss converts to it. Names are literals.
///   return Losses(loss).part("itc", itc).part("itm", itm).metric("temp", temperature);
template <class Master>
class Losses {
 public:
  static constexpr std::size_t capacity = 24;
  struct Entry {
    const char* name;
    const Master* value;
    bool is_loss;  ///< else a metric
  };

  Losses(const Tensor<Master, 1>& loss) : loss_(loss) { add("loss", loss.data, true); }

  /// A part of the loss; one without data (of an absent objective) is left out.
  Losses& part(const char* name, const Tensor<Master, 1>& loss) {
    if (loss.data) add(name, loss.data, true);
    return *this;
  }
  /// One more number, e.g. a parameter or a share of right answers.
  Losses& metric(const char* name, const Master* value) {
    add(name, value, false);
    return *this;
  }

  const Tensor<Master, 1>& loss() const { return loss_; }
  std::span<const Entry> entries() const { return {entries_.data(), count_}; }

 private:
  void add(const char* name, const Master* value, bool is_loss) {
    require(count_ < capacity, "Losses: more than ", capacity, " losses and metrics");
    entries_[count_++] = {name, value, is_loss};
  }

  Tensor<Master, 1> loss_;
  std::array<Entry, capacity> entries_{};
  std::size_t count_ = 0;
};
template <class Master>
Losses(const Tensor<Master, 1>&) -> Losses<Master>;

namespace detail {

/// For objectives that keep nothing between steps.
struct NoState {
  void named(auto&&) {}
};
template <class O, class Ctx>
struct StateOf {
  using type = NoState;
};
template <class O, class Ctx>
requires requires { typename O::template State<Ctx>; }
struct StateOf<O, Ctx> {
  using type = typename O::template State<Ctx>;
};

template <class O, class Ctx>
inline constexpr bool has_state = !std::is_same_v<typename StateOf<O, Ctx>::type, NoState>;

template <class O>
concept NamesModel = requires {
  typename O::Model;
};
template <class O>
concept NamesBatch = requires {
  typename O::Batch;
};
template <class O, class Ctx>
concept Callable = requires(const O& o, Ctx& ctx, const typename O::Model& model,
                            const typename O::Batch& batch, const Step& step) {
  o(ctx, model, batch, step);
};
template <class O, class Ctx>
concept CallableWithState = requires(const O& o, Ctx& ctx, const typename O::Model& model,
                                     const typename O::Batch& batch, const Step& step,
                                     typename StateOf<O, Ctx>::type& state) {
  o(ctx, model, batch, step, state);
};
/// Whether an objective compares the examples of all passes of a step.
template <class O, class Ctx>
concept SharesFeatures = requires(const O& o, Ctx& ctx, const typename O::Model& model,
                                  const typename O::Batch& batch, const Step& step) {
  o.features(ctx, model, batch, step);
};
template <class S>
concept NamesItsParts = requires(S& s) {
  s.named([](auto&&...) {});
};

}  // namespace detail

/// Says in one sentence what a type lacks to be an objective in contexts of type Ctx:
///   struct MyObjective {
///     using Model = ...;  // a layer that names its parameters in fields()
///     using Batch = ...;  // of the host, with a member `size`
///     auto operator()(auto& ctx, const Model& model, const Batch& batch, const Step& step) const;
///   };
/// The call uploads the batch and returns the loss, a Tensor<Master, 1>, or Losses. Optional:
///   template <class Ctx> struct State;  // what it keeps between steps; then the call's last
///                                       // argument is a State<Ctx>&. Made as State(device,
///                                       // objective, seed); state.named(f) lists what
///                                       // checkpoints hold (see StateList). If there are such:
///                                       // state.advance(ctx) is called after each backward pass,
///                                       // state.commit(square_norm) after each update, which
///                                       // has changed nothing where *square_norm, a word of the
///                                       // device, is infinite or NaN
///   auto features(ctx, model, batch, step) const;  // a std::tuple of features (B, W) of each
///                                       // example that a loss compares with those of all others:
///                                       // the call computes them first and takes
///                                       // of_all_passes(ctx, step, kind, x) of each, so that
///                                       batches
///                                       // that are accumulated count as one
///   void after_update(store, model) const;  // called after each update: limits of parameters
///   bool distills;                      // the model has momentum weights (Plane::ema)
///   auto groups() const -> OptimizerGroups;    // what is trained otherwise, behind what the user
///                                              // freezes and before the user's other groups
///   auto course() const -> CheckpointInfo;     // what a resumed run must have in common
///   auto plateaus(int batch_size) const -> std::vector<PlateauRule>;  // no-learning levels
template <class O, class Ctx>
constexpr bool check_objective() {
  static_assert(detail::NamesModel<O>,
                "Training: the objective does not say what it trains: add `using Model = ...;`");
  static_assert(detail::NamesBatch<O>,
                "Training: the objective does not say what it learns from: add `using Batch = "
                "...;`");
  if constexpr (detail::NamesModel<O> && detail::NamesBatch<O>) {
    static_assert(
        requires(typename O::Batch b) { b.size; },
        "Training: the objective's Batch has no member `size`, its number of examples");
    if constexpr (detail::has_state<O, Ctx>)
      static_assert(detail::CallableWithState<O, Ctx>,
                    "Training: the objective cannot be called as objective(ctx, model, batch, "
                    "step, state), const");
    else
      static_assert(detail::Callable<O, Ctx>,
                    "Training: the objective cannot be called as objective(ctx, model, batch, "
                    "step), const");
  }
  return true;
}

/// Whether an objective wants momentum weights.
template <class O>
constexpr bool distills(const O& objective) {
  if constexpr (requires { objective.distills; })
    return objective.distills;
  else
    return false;
}

}  // namespace albef
