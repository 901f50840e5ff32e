// Predictions of the downstream tasks for host batches, and how good they are.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "albef/core/scores.hpp"
#include "albef/data/task_batch.hpp"
#include "albef/models/classifier.hpp"
#include "albef/models/generate.hpp"
#include "albef/models/vqa.hpp"

namespace albef {

/// Probabilities of the classes for a batch, (B, classes), by a model of a ClassifierTask. Begins a
/// step of the context, whose dropout should be off.
template <class Ctx, class M>
std::vector<double> class_probabilities(Ctx& ctx, const M& model, const ClassBatch& batch) {
  ctx.begin_step(0);
  const auto logits =
      ctx.no_grad([&] { return ctx.read(model.logits(ctx, M::upload(ctx, batch))); });
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

namespace detail {

/// Calls f(states) with the states of a batch's questions; its answers are not looked at.
template <class Ctx, class C, class F>
auto with_question_states(Ctx& ctx, const AlbefVqa<C>& model, const VqaBatch& batch, F&& f) {
  ctx.begin_step(0);
  return ctx.no_grad(
      [&] { return f(model.question_states(ctx, AlbefVqa<C>::upload_questions(ctx, batch))); });
}

}  // namespace detail

/// rank_answers() for a batch of questions. Begins a step of the context.
template <class Ctx, class C>
auto rank_answers(Ctx& ctx, const AlbefVqa<C>& model, const VqaBatch& batch,
                  const TextBatch& answers, const RankOptions& options = {}) {
  return detail::with_question_states(ctx, model, batch, [&](const auto& states) {
    return rank_answers(ctx, model.text_decoder, states, answers, options);
  });
}

/// generate() for a batch of questions. Begins a step of the context.
template <class Ctx, class C>
auto generate(Ctx& ctx, const AlbefVqa<C>& model, const VqaBatch& batch,
              const GenerateOptions& options) {
  return detail::with_question_states(ctx, model, batch, [&](const auto& states) {
    return generate(ctx, model.text_decoder, states, options);
  });
}

}  // namespace albef
