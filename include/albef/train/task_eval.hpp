// Predictions of the downstream tasks for host batches, and how good they are.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "albef/models/classifier.hpp"
#include "albef/models/task_batch.hpp"
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
    for (const double v : detail::log_softmax(std::span(logits).subspan(at, classes)))
      out.push_back(std::exp(v));
  return out;
}

/// Counts which class was taken for which.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int classes)
      : classes_(classes),
        counts_(static_cast<std::size_t>(classes) * static_cast<std::size_t>(classes)) {}

  /// Adds examples by their true classes (B) and the probabilities of all (B, classes).
  void add(std::span<const std::int32_t> labels, std::span<const double> probabilities) {
    const auto n = static_cast<std::size_t>(classes_);
    require(probabilities.size() == labels.size() * n, "[confusion matrix] got ",
            probabilities.size(), " probabilities for ", labels.size(), " labels of ", classes_,
            " classes");
    for (std::size_t i = 0; i < labels.size(); ++i)
      ++counts_[static_cast<std::size_t>(labels[i]) * n +
                static_cast<std::size_t>(detail::largest(probabilities.subspan(i * n, n), 1)[0])];
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
  check_sizes(batch, batch.size);
  ctx.begin_step(0);
  return ctx.no_grad([&] {
    VqaInput<typename Ctx::Real, C> in;
    in.image = upload_images<C>(ctx, std::span<const std::uint8_t>(batch.images));
    in.image_of = upload_image_of(ctx, batch);
    in.question = upload_tokens<C>(ctx, batch.text);
    return f(model.question_states(ctx, in));
  });
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
