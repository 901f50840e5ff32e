// Tasks that choose one of a few classes: loss, objective, predictions and how good they are.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "albef/core/context.hpp"
#include "albef/core/scores.hpp"
#include "albef/data/task_batch.hpp"
#include "albef/ops/cross_entropy.hpp"
#include "albef/train/objective.hpp"

namespace albef {

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

/// The objective of a model M with logits(ctx, input) and `classes`, beside which stands
/// upload(ctx, model, ClassBatch).
template <class M>
struct Classification {
  using Model = M;
  using Batch = ClassBatch;
  bool distills = true;

  auto operator()(auto& ctx, const M& model, const ClassBatch& batch, const Step& step) const {
    const auto in = upload(ctx, model, batch);
    require(in.labels != nullptr, "the batch has no labels to learn");
    return classify(ctx, model, in, distills ? step.alpha : 0.0).loss;
  }
  std::vector<PlateauRule> plateaus(int) const {
    return {{"loss", std::log(static_cast<double>(M::classes))}};
  }
};

/// Probabilities of the classes for a batch, (B, classes), by a model of a Classification. Begins a
/// step of the context, whose dropout should be off.
template <class Ctx, class M>
std::vector<double> class_probabilities(Ctx& ctx, const M& model, const ClassBatch& batch) {
  ctx.begin_step(0);
  const auto logits =
      ctx.no_grad([&] { return ctx.read(model.logits(ctx, upload(ctx, model, batch))); });
  constexpr auto classes = static_cast<std::size_t>(M::classes);
  std::vector<double> out;
  for (std::size_t at = 0; at < logits.size(); at += classes)
    for (const double v : log_softmax(std::span(logits).subspan(at, classes)))
      out.push_back(std::exp(v));
  return out;
}

/// Counts which class was taken for which.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int classes)
      : classes_(classes),
        counts_(static_cast<std::size_t>(classes) * static_cast<std::size_t>(classes)) {}

  /// Counts an example of class `label` that was taken for `prediction`.
  void add(int label, int prediction) {
    require(label >= 0 && label < classes_ && prediction >= 0 && prediction < classes_,
            "[confusion matrix] class ", label, " taken for ", prediction, ", expected 0 to ",
            classes_ - 1);
    ++counts_[static_cast<std::size_t>(label * classes_ + prediction)];
  }
  int classes() const { return classes_; }
  std::int64_t count(int label, int prediction) const {
    return counts_[static_cast<std::size_t>(label * classes_ + prediction)];
  }
  std::int64_t total() const {
    std::int64_t sum = 0;
    for (const auto n : counts_) sum += n;
    return sum;
  }
  /// Examples of class `label`, and the share of them that was recognised; 0 without examples.
  std::int64_t count(int label) const {
    std::int64_t sum = 0;
    for (int p = 0; p < classes_; ++p) sum += count(label, p);
    return sum;
  }
  double accuracy(int label) const {
    const auto of = count(label);
    return of ? static_cast<double>(count(label, label)) / static_cast<double>(of) : 0;
  }
  /// Share of right predictions; 0 without examples.
  double accuracy() const {
    std::int64_t right = 0;
    for (int c = 0; c < classes_; ++c) right += count(c, c);
    return total() ? static_cast<double>(right) / static_cast<double>(total()) : 0;
  }

 private:
  int classes_;
  std::vector<std::int64_t> counts_;
};

}  // namespace albef
