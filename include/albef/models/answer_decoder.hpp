// The answer decoder of VQA: a causal BERT that writes words while it looks at a question's states.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "albef/models/bert.hpp"
#include "albef/text/batch.hpp"

namespace albef {

/// BertLMHeadModel of models/xbert.py with cross-attention in every layer (fusion_layer 0): as many
/// layers as the fusion encoder has, from which they are initialised; own embeddings, and the head
/// of masked language modelling over them.
template <class C>
struct AnswerDecoder {
  static constexpr int width = C::hidden_size;
  static constexpr int depth = C::num_hidden_layers - C::fusion_layer;
  using Layer = BertDecoderLayer<width, C::num_attention_heads, C::intermediate_size>;
  template <class Real>
  using KeysValues = std::array<Tensor<Real, 2 * width>, depth>;

  BertEmbeddings<C> embeddings;
  std::array<Layer, depth> layers = stack<Layer, depth>(bert_init<C>, C::dropout);
  MlmHead<C> head;

  static constexpr void fields(auto& m, auto&& f) {
    f("bert.embeddings", m.embeddings);
    f("bert.encoder.layer", m.layers);
    f("cls.predictions", m.head);
    f.tied("cls.predictions.decoder.weight", m.embeddings.word);
  }

  /// Cross-attention keys and values of question states (Q, L, D), one tensor per layer: computed
  /// once, however many answers are tried.
  template <class Ctx, class X>
  auto keys_values(Ctx& ctx, const X& states) const {
    KeysValues<typename Ctx::Real> kv;
    for (std::size_t i = 0; i < depth; ++i)
      kv[i] = layers[i].crossattention.keys_values(ctx, states);  // (Q, L, 2 D)
    return kv;
  }

  /// Scores of the next word at every position of texts (A, L), text a looking at question
  /// question[a] (null: a) -> (A, L, V).
  template <class Ctx>
  auto operator()(Ctx& ctx, const Tokens& tokens, const KeysValues<typename Ctx::Real>& kv,
                  const std::int32_t* question) const {
    auto x = embeddings(ctx, tokens);  // (A, L, D)
    for (std::size_t i = 0; i < depth; ++i)
      x = ctx.checkpoint(x, [c = &ctx, l = &layers[i], t = kv[i], question](const auto& h) {
        return (*l)(*c, h, t, question);
      });
    return head(ctx, x, embeddings.word);  // (A, L, V)
  }

  /// The self-attention keys and values of what was written so far, per layer (n, t, 2 D).
  template <class Real>
  struct Cache {
    KeysValues<Real> past;
    int length = 0;  ///< t
  };
  /// Scores of the next word after appending one to each of n texts, without recording: ids (n);
  /// text i continues text parent[i] of the cache (null: i) -> (n, V).
  template <class Ctx>
  auto step(Ctx& ctx, const std::int32_t* ids, int n, Cache<typename Ctx::Real>& cache,
            const std::int32_t* parent, const KeysValues<typename Ctx::Real>& kv,
            const std::int32_t* question) const {
    auto x = embeddings(ctx, Tokens{ids, batch_of(n)}, cache.length);  // (n, 1, D)
    for (std::size_t i = 0; i < depth; ++i)
      x = layers[i].step(ctx, x, cache.past[i], parent, kv[i], question);
    ++cache.length;
    return head(ctx, x, embeddings.word);  // (n, V)
  }
};

/// Texts as the decoder is trained on them: it reads all tokens but the last and predicts all but
/// the first.
struct NextTokens {
  TextBatch inputs;                  ///< (A)
  std::vector<std::int32_t> labels;  ///< (rows of inputs)

  void clear() {
    inputs.clear();
    labels.clear();
  }
  /// Appends a text; Error if it has not at least a first and a last token.
  void add(std::span<const std::int32_t> text) {
    require(text.size() >= 2, "answer ", inputs.count(), " has ", text.size(),
            " tokens, expected at least a first and a last one");
    inputs.add(text.first(text.size() - 1));
    labels.insert(labels.end(), text.begin() + 1, text.end());
  }
};

struct GenerateOptions {
  std::int32_t first_id = 101, last_id = 102;  ///< [CLS] and [SEP] of BERT's vocabulary
  int max_length = 10;                         ///< words at most, the last token not counted
  int beams = 1;                               ///< 1: greedy
  double length_penalty = 0;  ///< texts compare by log p / tokens^this; 0: by probability
};

/// A text written by the decoder.
struct GeneratedText {
  std::vector<std::int32_t> ids;  ///< without first and last token
  double log_probability = 0;     ///< of all tokens, the last one included where it was written
  bool finished = false;          ///< the decoder ended it; else it reached max_length
};

namespace detail {

/// Indices of the n largest values, best first, equal ones by index.
template <class T>
std::vector<int> largest(std::span<const T> values, int n) {
  std::vector<int> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  const auto kept = std::min(order.size(), static_cast<std::size_t>(std::max(0, n)));
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                    [&](int a, int b) {
                      const T va = values[static_cast<std::size_t>(a)];
                      const T vb = values[static_cast<std::size_t>(b)];
                      return va > vb || (va == vb && a < b);
                    });
  order.resize(kept);
  return order;
}

/// log softmax of a row.
template <class Real>
std::vector<double> log_softmax(std::span<const Real> row) {
  const auto high = static_cast<double>(*std::max_element(row.begin(), row.end()));
  double total = 0;
  for (const Real v : row) total += std::exp(static_cast<double>(v) - high);
  const double lse = high + std::log(total);
  std::vector<double> out(row.size());
  std::transform(row.begin(), row.end(), out.begin(),
                 [lse](Real v) { return static_cast<double>(v) - lse; });
  return out;
}

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
      for (const int id : largest(std::span<const double>(scores), 2 * options.beams))
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
