// Texts written by the answer decoder: greedy and beam search with a key/value cache.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "albef/core/scores.hpp"
#include "albef/models/answer_decoder.hpp"

namespace albef {

struct GenerateOptions {
  std::int32_t first_id = 101, last_id = 102;  ///< [CLS] and [SEP] of BERT's vocabulary
  int max_length = 10;                         ///< words at most, the last token not counted
  int beams = 1;                               ///< 1: greedy
  int vocabulary = 0;         ///< words below it are written, those a tokenizer knows; 0: all
  double length_penalty = 0;  ///< texts compare by log p / tokens^this; 0: by probability
};

/// A text written by the decoder.
struct GeneratedText {
  std::vector<std::int32_t> ids;  ///< without first and last token
  double log_probability = 0;     ///< of all tokens, the last one included where it was written
  bool finished = false;          ///< the decoder ended it; else it reached max_length
};

namespace detail {

/// Beam search over one text: the unfinished candidates and the finished ones.
struct Beams {
  struct Text {
    GeneratedText text;
    int row = 0;  ///< of the cache it continues
  };
  std::vector<Text> open{{}};
  std::vector<GeneratedText> done;

  static double score(const GeneratedText& t, double penalty) {
    const auto tokens = static_cast<double>(t.ids.size()) + (t.finished ? 1.0 : 0.0);
    return t.log_probability / std::pow(std::max(1.0, tokens), penalty);
  }
  const GeneratedText* best(double penalty) const {
    const GeneratedText* found = nullptr;
    for (const auto& t : done)
      if (!found || score(t, penalty) > score(*found, penalty)) found = &t;
    return found;
  }
  /// Replaces the open texts by their best continuations; next(row) are the scores after a row.
  template <class Next>
  void extend(const Next& next, const GenerateOptions& options) {
    struct Choice {
      std::size_t from;
      int id;
      double log_probability;
    };
    std::vector<Choice> choices;
    for (std::size_t i = 0; i < open.size(); ++i) {
      const auto scores = log_softmax(next(open[i].row));
      std::span<const double> known(scores);
      if (options.vocabulary > 0)
        known = known.first(std::min(known.size(), static_cast<std::size_t>(options.vocabulary)));
      for (const int id : albef::largest(known, 2 * options.beams))
        choices.push_back(
            {i, id, open[i].text.log_probability + scores[static_cast<std::size_t>(id)]});
    }
    std::stable_sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
      return a.log_probability > b.log_probability;
    });
    const auto beams = static_cast<std::size_t>(options.beams);
    std::vector<Text> continued;
    for (std::size_t rank = 0; rank < choices.size() && continued.size() < beams; ++rank) {
      const Choice& c = choices[rank];
      Text t = open[c.from];
      t.text.log_probability = c.log_probability;
      if (c.id == options.last_id) {  // counts only among the best
        t.text.finished = true;
        if (rank < beams) done.push_back(std::move(t.text));
      } else {
        t.text.ids.push_back(c.id);
        continued.push_back(std::move(t));
      }
    }
    open = std::move(continued);
    const GeneratedText* found = best(options.length_penalty);
    if (done.size() >= beams && !open.empty() &&
        (beams == 1 ||
         score(*found, options.length_penalty) >= score(open.front().text, options.length_penalty)))
      open.clear();
  }
  void close() {
    for (auto& t : open) done.push_back(std::move(t.text));
    open.clear();
  }
};

}  // namespace detail

/// Writes one text per question from its states (Q, L, D), greedily or by beam search with a
/// key/value cache. The best text of each question.
template <class Ctx, class C, class X>
std::vector<GeneratedText> generate(Ctx& ctx, const AnswerDecoder<C>& decoder, const X& states,
                                    const GenerateOptions& options) {
  using Real = typename Ctx::Real;
  require(options.beams >= 1 && options.max_length >= 1, "[generate] got ", options.beams,
          " beams and max_length ", options.max_length, ", expected at least 1 of each");
  require(options.max_length < C::max_position_embeddings, "[generate] max_length is ",
          options.max_length, ", the model has ", C::max_position_embeddings, " positions");
  const auto questions = static_cast<std::size_t>(states.seq.count);
  std::vector<detail::Beams> all(questions);
  ctx.scoped([&] {
    const auto kv = decoder.keys_values(ctx, states);
    typename AnswerDecoder<C>::template Cache<Real> cache;
    std::vector<std::int32_t> ids(questions, options.first_id), parent, question;
    for (std::size_t q = 0; q < questions; ++q) {
      question.push_back(static_cast<std::int32_t>(q));
      all[q].open.front().row = static_cast<int>(q);
    }
    while (!ids.empty()) {
      const auto logits = ctx.read(decoder.step(ctx, ctx.upload(ids), static_cast<int>(ids.size()),
                                                cache, cache.length ? ctx.upload(parent) : nullptr,
                                                kv, ctx.upload(question)));  // (n, V)
      const auto next = [&](int row) {
        constexpr auto v = static_cast<std::size_t>(C::vocab_size);
        return std::span<const Real>(logits).subspan(static_cast<std::size_t>(row) * v, v);
      };
      ids.clear(), parent.clear(), question.clear();
      for (std::size_t q = 0; q < questions; ++q) {
        auto& beams = all[q];
        if (beams.open.empty()) continue;
        beams.extend(next, options);
        if (cache.length == options.max_length) beams.close();
        for (auto& t : beams.open) {
          ids.push_back(t.text.ids.back());
          parent.push_back(t.row);
          question.push_back(static_cast<std::int32_t>(q));
          t.row = static_cast<int>(ids.size()) - 1;
        }
      }
    }
  });
  std::vector<GeneratedText> out;
  for (const auto& beams : all) out.push_back(*beams.best(options.length_penalty));
  return out;
}

}  // namespace albef
