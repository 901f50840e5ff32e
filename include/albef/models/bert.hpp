// BERT split into a text encoder and a fusion encoder that attends to images (models/xbert.py).
#pragma once

#include <array>

#include "albef/models/config.hpp"
#include "albef/models/config_members.hpp"
#include "albef/nn/block.hpp"
#include "albef/ops/embedding.hpp"

namespace albef {

/// How BERT initialises matrices and embeddings.
template <class C>
inline constexpr Init bert_init = init::normal(C::initializer_range);

/// Word, position and type embeddings, LayerNorm, dropout: ids (B, L) -> (B, L, D). When a text is
/// read piece by piece (without recording), `first_position` is where in it the tokens stand.
template <class C>
struct BertEmbeddings {
  static_assert(detail::CheckBertConfig<C>::ok);
  static constexpr int width = C::hidden_size;
  Param<C::vocab_size, width> word{bert_init<C>};
  Param<C::max_position_embeddings, width> position{bert_init<C>};
  Param<C::type_vocab_size, width> type{bert_init<C>};
  LayerNorm<width> norm{detail::bert_eps};

  static constexpr void fields(auto& m, auto&& f) {
    f.range("position_ids", C::max_position_embeddings);
    f("word_embeddings.weight", m.word);
    f("position_embeddings.weight", m.position);
    f("token_type_embeddings.weight", m.type);
    f("LayerNorm", m.norm);
  }

  auto operator()(auto& ctx, const Tokens& tokens, int first_position = 0) const {
    ParamSpan positions = position;
    if (first_position > 0) {
      require(!ctx.recording(), "[embeddings] only a text read from its start takes a gradient");
      positions.offset += std::int64_t{first_position} * width;
      positions.size -= std::int64_t{first_position} * width;
    }
    const auto sum = embed<width>(ctx, tokens, word, positions, type);  // (B, L, D)
    return dropout(ctx, norm(ctx, sum), C::dropout);
  }
};

/// One BERT of `num_hidden_layers` layers: the first `fusion_layer` are the text encoder, the
/// others the multimodal (fusion) encoder with cross-attention.
template <class C>
struct Bert {
  static_assert(detail::CheckBertConfig<C>::ok);
  static constexpr int width = C::hidden_size;
  static constexpr int fusion_depth = C::num_hidden_layers - C::fusion_layer;
  using TextLayer = BertLayer<width, C::num_attention_heads, C::intermediate_size, text_norm<C>(),
                              text_activation<C>()>;
  using FusionLayer =
      BertFusionLayer<width, C::vision_width, C::num_attention_heads, C::intermediate_size>;
  template <class Real>
  using KeysValues = std::array<Tensor<Real, 2 * width>, fusion_depth>;

  BertEmbeddings<C> embeddings;
  std::array<TextLayer, C::fusion_layer> text_layers =
      stack<TextLayer, C::fusion_layer>(bert_init<C>, C::dropout);
  /// Behind the text layers, where these are pre-norm (FLAVA's text encoder).
  using TextNorm = std::conditional_t<text_norm<C>() == NormPlace::pre, LayerNorm<width>, Identity>;
  TextNorm layernorm = make_text_norm();
  std::array<FusionLayer, fusion_depth> fusion_layers =
      stack<FusionLayer, fusion_depth>(bert_init<C>, C::dropout);

  static constexpr void fields(auto& m, auto&& f) {
    f("embeddings", m.embeddings);
    f("encoder.layer", m.text_layers);
    f("layernorm", m.layernorm);
    f("encoder.layer", m.fusion_layers, C::fusion_layer);
  }

  /// mode='text': tokens (B, L) -> states (B, L, D).
  auto text(auto& ctx, const Tokens& tokens) const {
    auto x = embeddings(ctx, tokens);
    for (const auto& layer : text_layers)
      x = ctx.checkpoint(x, [c = &ctx, l = &layer](const auto& h) { return (*l)(*c, h); });
    return layernorm(ctx, x);
  }

  /// Cross-attention keys and values of images (B, N, vision width), one tensor per fusion layer:
  /// computed once, whichever texts look at them.
  template <class Ctx, class Image>
  auto image_keys_values(Ctx& ctx, const Image& image) const {
    KeysValues<typename Ctx::Real> kv;
    for (std::size_t i = 0; i < fusion_depth; ++i)
      kv[i] = fusion_layers[i].crossattention.keys_values(ctx, image);  // (B, N, 2 D)
    return kv;
  }

  /// mode='fusion': text states x (B, L, D) and the keys/values of images -> (B, L, D).
  /// Text b looks at image image_index[b] (null: b).
  template <class Ctx, class X>
  auto fusion(Ctx& ctx, const X& x, const KeysValues<typename Ctx::Real>& kv,
              const std::int32_t* image_index = nullptr) const {
    X h = run_fusion(ctx, x, kv, image_index, fusion_depth - 1);
    return fusion_layers.back()(ctx, h, kv.back(), image_index);
  }
  /// The same, computing only the rows `rows` of the last layer -> (selected rows, D).
  template <class Ctx, class X>
  auto fusion(Ctx& ctx, const X& x, const KeysValues<typename Ctx::Real>& kv,
              const std::int32_t* image_index, const RowSelection& rows) const {
    X h = run_fusion(ctx, x, kv, image_index, fusion_depth - 1);
    return fusion_layers.back()(ctx, h, kv.back(), image_index, rows);
  }

 private:
  static constexpr TextNorm make_text_norm() {
    if constexpr (std::is_same_v<TextNorm, Identity>)
      return {};
    else
      return TextNorm{detail::bert_eps};
  }
  template <class Ctx, class X>
  X run_fusion(Ctx& ctx, X x, const KeysValues<typename Ctx::Real>& kv,
               const std::int32_t* image_index, std::size_t depth) const {
    for (std::size_t i = 0; i < depth; ++i)
      x = ctx.checkpoint(x, [c = &ctx, l = &fusion_layers[i], t = kv[i],
                             image_index](const auto& h) { return (*l)(*c, h, t, image_index); });
    return x;
  }
};

/// The masked-language-model head: dense, GELU, LayerNorm, then the word embeddings as output
/// matrix with a bias of its own. states (M, D) -> logits (M, V).
template <class C>
struct MlmHead {
  static constexpr int width = C::hidden_size;
  Linear<width, width> dense{bert_init<C>};
  LayerNorm<width> norm{detail::bert_eps};
  Param<C::vocab_size> bias;

  static constexpr void fields(auto& m, auto&& f) {
    f("bias", m.bias);
    f("transform.dense", m.dense);
    f("transform.LayerNorm", m.norm);
    f.tied("decoder.bias", m.bias);
  }

  auto operator()(auto& ctx, const auto& x, ParamSpan word_embeddings) const {
    const auto h = norm(ctx, dense.gelu(ctx, x));                 // (M, D)
    return linear<C::vocab_size>(ctx, h, word_embeddings, bias);  // (M, V)
  }
};

/// BertForMaskedLM: the whole BERT with its masked-language-model head.
template <class C>
struct BertForMaskedLm {
  Bert<C> bert;
  MlmHead<C> head;

  static constexpr void fields(auto& m, auto&& f) {
    f("bert", m.bert);
    f("cls.predictions", m.head);
    f.tied("cls.predictions.decoder.weight", m.bert.embeddings.word);
  }

  /// Vocabulary logits of fused states (M, D) -> (M, V).
  auto logits(auto& ctx, const auto& fused) const { return head(ctx, fused, bert.embeddings.word); }
};

}  // namespace albef
