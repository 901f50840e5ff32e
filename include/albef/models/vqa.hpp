// Visual question answering as text generation: an encoder for picture and question, a decoder
// that writes or ranks answers (model_vqa.py).
#pragma once

#include <cmath>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "albef/core/scores.hpp"
#include "albef/data/task_batch.hpp"
#include "albef/models/answer_decoder.hpp"
#include "albef/models/inputs.hpp"
#include "albef/models/pretrained_names.hpp"
#include "albef/models/vit.hpp"
#include "albef/ops/cross_entropy.hpp"

namespace albef {

/// B questions about M pictures on the device and, for training, their answers; see VqaBatch.
template <class Real, class C>
struct VqaInput {
  ImageTensor<Real, C> image;              ///< (M, 3, S, S)
  const std::int32_t* image_of = nullptr;  ///< (B) the picture of each question; null: its own
  Tokens question;                         ///< (B, L)
  Tokens answer;                           ///< (A, L') all tokens but each answer's last
  const std::int32_t* labels = nullptr;    ///< (rows of answer) the next tokens
  const accumulator_t<Real>* weights = nullptr;  ///< (rows of answer) the answer's weight
  const std::int32_t* owner = nullptr;           ///< (A) the question of each answer
};

/// The host's side of answers on their way to the device; reused from batch to batch.
template <class Real>
struct AnswerRows {
  NextTokens tokens;
  std::vector<accumulator_t<Real>> weights;  ///< (rows)
  std::vector<std::int32_t> owner;           ///< (A)
};

template <class C>
struct AlbefVqa {
  using Config = C;
  Vit<C> visual_encoder;
  Bert<C> text_encoder;
  AnswerDecoder<C> text_decoder;

  static constexpr void fields(auto& m, auto&& f) {
    f("visual_encoder", m.visual_encoder);
    f("text_encoder", m.text_encoder);
    f("text_decoder", m.text_decoder);
  }
  /// As VQA.py:159-180: the decoder starts as the fusion layers, with the embeddings and the head
  /// of masked language modelling. Where pictures and texts differ in width, the cross-attention
  /// keys and values of the decoder, which reads texts, cannot come from there and stay fresh.
  static std::vector<std::string> pretrained_names(const std::string& full) {
    const TensorName name(full);
    if (name.module != "text_encoder") return bert_names(full);
    if (name.after("cls.")) return {name.renamed("text_decoder", name.rest)};
    const char* rest = name.after("bert.");
    if (!rest) return {full};
    std::vector<std::string> names{name.renamed("text_encoder", rest)};
    const LayerName layer(rest);
    if (layer.number < 0)
      names.push_back(name.renamed("text_decoder", name.rest));
    else if (layer.number >= C::fusion_layer && (same_width || !is_cross_key_value(layer.tail)))
      names.push_back(
          name.renamed("text_decoder", "bert." + layer.in(layer.number - C::fusion_layer)));
    return names;
  }
  static bool fresh(std::string_view name) {
    return !same_width && name.starts_with("text_decoder.") && is_cross_key_value(name);
  }

  /// What the decoder looks at: pictures (M, 3, S, S) and questions (B, L) -> (B, L, D).
  template <class Ctx>
  auto question_states(Ctx& ctx, const VqaInput<typename Ctx::Real, C>& in) const {
    require(in.image_of || in.image.rows() == in.question.seq.count, "[vqa] got ", in.image.rows(),
            " images and ", in.question.seq.count, " questions");
    const auto image = visual_encoder(ctx, in.image);    // (M, N, Dv)
    const auto x = text_encoder.text(ctx, in.question);  // (B, L, D)
    return text_encoder.fusion(ctx, x, text_encoder.image_keys_values(ctx, image), in.image_of);
  }
  /// Scores of the next token at every position of the answers: (rows of answer, V).
  template <class Ctx>
  auto answer_logits(Ctx& ctx, const VqaInput<typename Ctx::Real, C>& in) const {
    const auto states = question_states(ctx, in);
    return text_decoder(ctx, in.answer, text_decoder.keys_values(ctx, states), in.owner);
  }

  /// Uploads the pictures and questions of a batch. Error if they do not fit together.
  template <class Ctx>
  static auto upload_questions(Ctx& ctx, const VqaBatch& host) {
    detail::check_sizes(host, host.size);
    VqaInput<typename Ctx::Real, C> in;
    in.image = upload_images<C>(ctx, host.images);
    in.image_of = upload_image_of(ctx, host);
    in.question = upload_tokens<C>(ctx, host.text);
    return in;
  }
  /// The same, with answers if it has some.
  template <class Ctx>
  static auto upload(Ctx& ctx, const VqaBatch& host, AnswerRows<typename Ctx::Real>& rows) {
    auto in = upload_questions(ctx, host);
    if (!host.answer_counts.empty() || host.answers.count() > 0)
      upload_answers(ctx, host.answers, host.answer_counts, host.weights, in, rows);
    return in;
  }
  /// Adds answers to a batch of questions: how many each question has, one weight per answer.
  template <class Ctx>
  static void upload_answers(Ctx& ctx, const TextBatch& answers,
                             std::span<const std::int32_t> counts, std::span<const float> weights,
                             VqaInput<typename Ctx::Real, C>& in,
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
    in.labels = ctx.upload(rows.tokens.labels);
    in.weights = ctx.upload(rows.weights);
    in.owner = ctx.upload(rows.owner);
  }

 private:
  static constexpr bool same_width = C::vision_width == C::hidden_size;
  static bool is_cross_key_value(std::string_view name) {
    return name.find("crossattention.self.key.") != std::string_view::npos ||
           name.find("crossattention.self.value.") != std::string_view::npos;
  }
};

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

}  // namespace albef
