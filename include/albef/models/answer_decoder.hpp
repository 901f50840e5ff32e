// The answer decoder of VQA: a causal BERT that writes words while it looks at a question's states.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
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

}  // namespace albef
