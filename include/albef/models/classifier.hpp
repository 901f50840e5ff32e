// What the tasks that choose one of a few classes share: their head and their loss.
#pragma once

#include "albef/core/context.hpp"
#include "albef/nn/linear.hpp"
#include "albef/ops/cross_entropy.hpp"
#include "albef/ops/elementwise.hpp"

namespace albef {

/// The cls_head of models/model_ve.py and model_nlvr.py: Linear, ReLU, Linear.
/// (B, D) -> (B, Classes).
template <int D, int Classes>
struct ClassifierHead {
  Linear<D, D> hidden;
  Linear<D, Classes> output;

  static constexpr void fields(auto& m, auto&& f) {
    f("0", m.hidden);
    f("2", m.output);
  }
  auto operator()(auto& ctx, const auto& x) const {
    return output(ctx, relu(ctx, hidden(ctx, x)));  // (B, Classes)
  }
};

template <class Real, int Classes>
struct ClassifierResult {
  Tensor<accumulator_t<Real>, 1> loss;
  Tensor<Real, Classes> logits;  ///< (B, Classes)
};

/// Training loss of a model with logits(ctx, batch) and a batch with labels (B): cross entropy
/// against (1 - alpha) onehot + alpha softmax(momentum model), mean over the batch (model_ve.py,
/// model_nlvr.py). alpha = 0 needs no momentum weights. (The official teacher runs with dropout
/// on.)
template <class Ctx, class Model, class Batch>
auto classify(Ctx& ctx, const Model& model, const Batch& batch, double alpha) {
  using Real = typename Ctx::Real;
  SoftTargets<Real> targets{.labels = batch.labels, .alpha = alpha};
  const auto logits = model.logits(ctx, batch);  // (B, Classes)
  if (alpha > 0)
    targets.teacher = ctx.frozen(Plane::ema, [&] { return model.logits(ctx, batch); }).mat();
  return ClassifierResult<Real, std::remove_cvref_t<decltype(logits)>::width>{
      cross_entropy(ctx, logits, targets), logits};
}

}  // namespace albef
