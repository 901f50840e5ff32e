// Visual question answering as a task: its batches, loss and objective; ranking a list of answers
// or writing them (model_vqa.py, VQA.py).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "albef/core/scores.hpp"
#include "albef/models/generate.hpp"
#include "albef/models/vqa.hpp"
#include "albef/ops/cross_entropy.hpp"
#include "albef/tasks/inputs.hpp"
#include "albef/train/objective.hpp"

namespace albef {

/// The host's side of answers on their way to the device; reused from batch to batch.
template <class Real>
struct AnswerRows {
  NextTokens tokens;
  std::vector<accumulator_t<Real>> weights;  ///< (rows)
  std::vector<std::int32_t> owner;           ///< (A)
};

/// Uploads the pictures and questions of a batch. Error if they do not fit together.
template <class C, class Ctx>
auto upload_questions(Ctx& ctx, const VqaBatch& host) {
  detail::check_sizes(host, host.size);
  VqaInput<typename Ctx::Real, C> in;
  in.image = upload_images<C>(ctx, host);
  in.image_of = upload_image_of(ctx, host);
  in.question = upload_tokens<C>(ctx, host.text);
  return in;
}
/// Adds answers to a batch of questions: how many each question has, one weight per answer.
template <class Ctx, class C>
void upload_answers(Ctx& ctx, const TextBatch& answers, std::span<const std::int32_t> counts,
                    std::span<const float> weights, VqaInput<typename Ctx::Real, C>& in,
                    AnswerRows<typename Ctx::Real>& rows) {
  require(static_cast<int>(counts.size()) == in.question.seq.count, "[vqa] got ", counts.size(),
          " answer counts for ", in.question.seq.count, " questions");
  rows.owner.clear();
  for (std::size_t q = 0; q < counts.size(); ++q) {
    require(counts[q] >= 0, "[vqa] question ", q, " has ", counts[q], " answers");
    rows.owner.insert(rows.owner.end(), static_cast<std::size_t>(counts[q]),
                      static_cast<std::int32_t>(q));
  }
  const std::size_t expected = rows.owner.size();
  require(expected == static_cast<std::size_t>(answers.count()) && weights.size() == expected,
          "[vqa] the questions have ", expected, " answers in all; got ", answers.count(),
          " answers and ", weights.size(), " weights");
  rows.tokens.clear();
  rows.weights.clear();
  for (int a = 0; a < answers.count(); ++a) {
    rows.tokens.add(answers.text(a));
    rows.weights.insert(rows.weights.end(), static_cast<std::size_t>(answers.length(a) - 1),
                        weights[static_cast<std::size_t>(a)]);
  }
  in.answer = upload_tokens<C>(ctx, rows.tokens.inputs);
  detail::check_ids<C>(rows.tokens.labels);
  in.labels = ctx.upload(rows.tokens.labels);
  in.weights = ctx.upload(rows.weights);
  in.owner = ctx.upload(rows.owner);
}
/// Uploads a batch, with answers if it has some.
template <class Ctx, class C>
auto upload(Ctx& ctx, const AlbefVqa<C>&, const VqaBatch& host,
            AnswerRows<typename Ctx::Real>& rows) {
  auto in = upload_questions<C>(ctx, host);
  if (!host.answer_counts.empty() || host.answers.count() > 0)
    upload_answers(ctx, host.answers, host.answer_counts, host.weights, in, rows);
  return in;
}

/// Training loss: per answer the sum over its tokens of (1 - alpha) CE + alpha CE against the
/// momentum model, times its weight, summed and divided by the number of questions
/// (model_vqa.py:59-117). alpha = 0 needs no momentum weights.
template <class Ctx, class C>
auto vqa_loss(Ctx& ctx, const AlbefVqa<C>& model, const VqaInput<typename Ctx::Real, C>& in,
              double alpha) {
  using Real = typename Ctx::Real;
  require(in.labels != nullptr, "[vqa] the batch has no answers to learn");
  SoftTargets<Real> targets{.labels = in.labels, .weights = in.weights, .alpha = alpha};
  const auto logits = model.answer_logits(ctx, in);  // (rows, V)
  if (alpha > 0)
    targets.teacher = ctx.frozen(Plane::ema, [&] { return model.answer_logits(ctx, in); }).mat();
  return cross_entropy(ctx, logits, targets,
                       static_cast<double>(logits.rows()) / in.question.seq.count);
}

/// Training on questions with their answers.
template <class C>
struct VqaTraining {
  using Model = AlbefVqa<C>;
  using Batch = VqaBatch;
  bool distills = true;

  /// Host memory that is reused from batch to batch.
  template <class Ctx>
  struct State {
    AnswerRows<typename Ctx::Real> rows;

    State(auto&, const VqaTraining&, std::uint64_t) {}
    void named(auto&&) {}
  };

  auto operator()(auto& ctx, const Model& model, const VqaBatch& batch, const Step& step,
                  auto& state) const {
    const auto in = upload(ctx, model, batch, state.rows);
    return vqa_loss(ctx, model, in, distills ? step.alpha : 0.0);
  }
};

struct RankOptions {
  int k = 128;  ///< candidates that are scored as a whole, chosen by their first word
  /// The official code adds log p(first word) to the log-likelihood of the whole answer, which
  /// contains it already (model_vqa.py:149-206). For results equal to its own.
  bool count_first_word_twice = false;
};

/// An answer of the list and its probability among the k candidates.
struct RankedAnswer {
  int index = 0;
  double probability = 0;
};

/// Probabilities of the first words of a list of answers, (B, answers), by the decoder's keys and
/// values of B questions.
template <class Ctx, class C>
std::vector<double> first_word_probabilities(
    Ctx& ctx, const AnswerDecoder<C>& decoder,
    const typename AnswerDecoder<C>::template KeysValues<typename Ctx::Real>& kv, int questions,
    const TextBatch& answers) {
  for (int a = 0; a < answers.count(); ++a)
    require(answers.length(a) >= 2 && answers.text(a)[0] == answers.text(0)[0], "[vqa] answer ", a,
            " of the list does not begin with the token of the others, or has no word");
  const auto logits = ctx.scoped([&] {
    TextBatch starts;
    for (int q = 0; q < questions; ++q) starts.add(answers.text(0).first(1));
    return ctx.read(decoder(ctx, upload_tokens<C>(ctx, starts), kv, nullptr));  // (B, V)
  });
  std::vector<double> out;
  for (std::size_t q = 0; q < static_cast<std::size_t>(questions); ++q) {
    constexpr auto v = static_cast<std::size_t>(C::vocab_size);
    const auto scores = log_softmax(std::span(logits).subspan(q * v, v));
    for (int a = 0; a < answers.count(); ++a)
      out.push_back(std::exp(scores[static_cast<std::size_t>(answers.text(a)[1])]));
  }
  return out;
}

/// Ranks a closed list of answers ([CLS] words [SEP]) for questions with states (B, L, D): the k
/// answers with the likeliest first word are scored by their whole log-likelihood. For each
/// question, best first (rank_answer, model_vqa.py:149-206). Error if the list is empty.
template <class Ctx, class C, class X>
std::vector<std::vector<RankedAnswer>> rank_answers(Ctx& ctx, const AnswerDecoder<C>& decoder,
                                                    const X& states, const TextBatch& answers,
                                                    const RankOptions& options = {}) {
  require(answers.count() > 0, "[vqa] the answer list is empty");
  require(options.k > 0, "[vqa] k is ", options.k, ", expected at least 1");
  const auto n = static_cast<std::size_t>(answers.count());
  struct Pair {
    std::int32_t question;
    int answer;
    double score;
  };
  std::vector<Pair> pairs;
  std::vector<double> first;          // (B, answers)
  constexpr std::size_t chunk = 128;  // answers at once
  ctx.scoped([&] {
    const auto kv = decoder.keys_values(ctx, states);
    first = first_word_probabilities(ctx, decoder, kv, states.seq.count, answers);
    for (int q = 0; q < states.seq.count; ++q) {
      const auto row = std::span<const double>(first).subspan(static_cast<std::size_t>(q) * n, n);
      for (const int a : largest(row, options.k)) pairs.push_back({q, a, 0});
    }
    for (std::size_t at = 0; at < pairs.size(); at += chunk) {
      const auto part = std::span(pairs).subspan(at, std::min(chunk, pairs.size() - at));
      const auto losses = ctx.scoped([&] {
        NextTokens next;
        std::vector<std::int32_t> owner;
        for (const Pair& p : part) next.add(answers.text(p.answer)), owner.push_back(p.question);
        const auto logits =
            decoder(ctx, upload_tokens<C>(ctx, next.inputs), kv, ctx.upload(owner));  // (rows, V)
        std::vector<typename Ctx::Master> rows(next.labels.size());
        copy_to_host(ctx.device(), rows.data(), label_losses(ctx, logits, ctx.upload(next.labels)),
                     static_cast<std::int64_t>(rows.size()));
        std::vector<double> sums;
        for (int i = 0; i < next.inputs.count(); ++i)
          sums.push_back(std::accumulate(
              rows.begin() + next.inputs.offsets[static_cast<std::size_t>(i)],
              rows.begin() + next.inputs.offsets[static_cast<std::size_t>(i) + 1], 0.0));
        return sums;
      });
      for (std::size_t i = 0; i < part.size(); ++i) part[i].score = -losses[i];
    }
  });

  std::vector<std::vector<RankedAnswer>> out(static_cast<std::size_t>(states.seq.count));
  for (std::size_t at = 0; at < pairs.size();) {
    const auto q = static_cast<std::size_t>(pairs[at].question);
    std::vector<double> scores;
    const std::size_t begin = at;
    for (; at < pairs.size() && static_cast<std::size_t>(pairs[at].question) == q; ++at) {
      const auto a = static_cast<std::size_t>(pairs[at].answer);
      scores.push_back(pairs[at].score +
                       (options.count_first_word_twice ? std::log(first[q * n + a]) : 0.0));
    }
    const auto logs = log_softmax(std::span<const double>(scores));
    for (const int i : largest(std::span<const double>(logs), static_cast<int>(logs.size())))
      out[q].push_back({pairs[begin + static_cast<std::size_t>(i)].answer,
                        std::exp(logs[static_cast<std::size_t>(i)])});
  }
  return out;
}

namespace detail {

/// Calls f(states) with the states of a batch's questions; its answers are not looked at.
template <class Ctx, class C, class F>
auto with_question_states(Ctx& ctx, const AlbefVqa<C>& model, const VqaBatch& batch, F&& f) {
  ctx.begin_step(0);
  return ctx.no_grad(
      [&] { return f(model.question_states(ctx, upload_questions<C>(ctx, batch))); });
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
