// Attention layers: timm's (one qkv matrix) and BERT's (three), self- and cross-attention.
#pragma once

#include "albef/nn/layer_norm.hpp"
#include "albef/nn/linear.hpp"
#include "albef/nn/norm_place.hpp"
#include "albef/ops/attention.hpp"
#include "albef/ops/gather.hpp"

namespace albef {

namespace detail {

/// Refuses a width that is not a multiple of the heads; the numbers stand in the name the compiler
/// prints.
template <int Width, int Heads>
struct WidthOfHeads {
  static_assert(Heads > 0 && Width % Heads == 0,
                "the width (the first number of WidthOfHeads) is not a multiple of the heads (the "
                "second)");
  static constexpr bool value = true;
};

}  // namespace detail

/// Self-attention of timm's vision transformer (models/vit.py): qkv (3 D, D), proj (D, D).
template <int D, int Heads>
struct VitAttention {
  static_assert(detail::WidthOfHeads<D, Heads>::value,
                "VitAttention: the width is not a multiple of the heads");
  Linear<D, 3 * D> qkv;
  Linear<D, D> proj;

  constexpr explicit VitAttention(Init weight) : qkv(weight), proj(weight) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("qkv", m.qkv);
    f("proj", m.proj);
  }

  auto operator()(auto& ctx, const auto& x) const {                // (B, L, D)
    const auto qkv_rows = qkv(ctx, x);                             // (B, L, 3 D)
    return proj(ctx, self_attention(ctx, qkv_rows, Heads, 0.0f));  // (B, L, D)
  }
};

/// Self-attention as torch.nn.MultiheadAttention names it: in_proj_weight (3 D, D), in_proj_bias
/// (3 D), out_proj (D, D). `Causal`: position i sees positions <= i.
template <int D, int Heads, bool Causal = false>
struct MultiheadAttention {
  static_assert(detail::WidthOfHeads<D, Heads>::value,
                "MultiheadAttention: the width is not a multiple of the heads");
  Param<3 * D, D> in_proj_weight;
  Param<3 * D> in_proj_bias;
  Linear<D, D> out_proj;

  constexpr MultiheadAttention(Init in, Init out) : in_proj_weight(in), out_proj(out) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("in_proj_weight", m.in_proj_weight);
    f("in_proj_bias", m.in_proj_bias);
    f("out_proj", m.out_proj);
  }

  /// What the heads saw, before the output projection: (B, L, D) -> (B, L, D).
  auto attend(auto& ctx, const auto& x) const {
    const auto qkv = linear<3 * D>(ctx, x, in_proj_weight, in_proj_bias);  // (B, L, 3 D)
    return self_attention(ctx, qkv, Heads, 0.0f, Causal);                  // (B, L, D)
  }
  auto operator()(auto& ctx, const auto& x) const {
    return out_proj(ctx, attend(ctx, x));  // (B, L, D)
  }
};

namespace detail {

/// The end of BERT's attention sub-block: LayerNorm(x + dropout(output(attended))).
template <NormPlace Place = NormPlace::post>
auto finish_attention(auto& ctx, const auto& layer, const auto& attended, const auto& x) {
  return after_sublayer<Place>(ctx, layer.norm, x, layer.output(ctx, attended),
                               layer.dropout);  // (B, L, D)
}

}  // namespace detail

/// BERT's attention sub-block (models/xbert.py): query, key, value matrices, output projection,
/// then LayerNorm(x + dropout(.)). Keys and values come from states of width KvWidth: the text
/// itself, or the image in cross-attention. With NormPlace::pre, the norm is of the text that asks.
template <int D, int KvWidth, int Heads, NormPlace Place = NormPlace::post>
struct BertAttention {
  static_assert(detail::WidthOfHeads<D, Heads>::value,
                "BertAttention: the width is not a multiple of the heads");
  Linear<D, D> query;
  Linear<KvWidth, D> key, value;
  Linear<D, D> output;
  LayerNorm<D> norm;
  float dropout;

  constexpr BertAttention(Init weight, double eps, float p)
      : query(weight), key(weight), value(weight), output(weight), norm(eps), dropout(p) {}

  // Matrices first, then biases, so that neighbours multiply as one matrix.
  static constexpr void fields(auto& m, auto&& f) {
    f("self.query.weight", m.query.weight);
    f("self.key.weight", m.key.weight);
    f("self.value.weight", m.value.weight);
    f("self.query.bias", m.query.bias);
    f("self.key.bias", m.key.bias);
    f("self.value.bias", m.value.bias);
    f("output.dense", m.output);
    f("output.LayerNorm", m.norm);
  }

  /// Keys and values of `states`: (B, L, KvWidth) -> (B, L, 2 D).
  auto keys_values(auto& ctx, const auto& states) const {
    return linear<2 * D>(ctx, states, joined(key.weight, value.weight),
                         joined(key.bias, value.bias));
  }

  /// Self-attention: x (B, L, D) -> (B, L, D). `causal`: position i sees positions <= i.
  auto operator()(auto& ctx, const auto& x, bool causal = false) const {
    const auto qkv = linear<3 * D>(ctx, before_sublayer<Place>(ctx, norm, x),
                                   joined(query.weight, key.weight, value.weight),
                                   joined(query.bias, key.bias, value.bias));  // (B, L, 3 D)
    return detail::finish_attention<Place>(ctx, *this,
                                           self_attention(ctx, qkv, Heads, dropout, causal), x);
  }
  /// Attention of x (Bq, Lq, D) to precomputed keys and values (Bk, Lk, 2 D); query sequence s
  /// reads sequence kv_index[s] (null: s) -> (Bq, Lq, D).
  auto operator()(auto& ctx, const auto& x, const auto& kv, const std::int32_t* kv_index) const {
    const auto q = query(ctx, before_sublayer<Place>(ctx, norm, x));  // (Bq, Lq, D)
    return detail::finish_attention<Place>(
        ctx, *this, cross_attention(ctx, q, kv, kv_index, Heads, dropout), x);
  }
};

/// BERT's cross-attention without keys and values of its own: it reads those of another layer (the
/// second of a pair of layers in models/model_nlvr.py).
template <int D, int Heads>
struct BertQueryAttention {
  static_assert(detail::WidthOfHeads<D, Heads>::value,
                "BertQueryAttention: the width is not a multiple of the heads");
  static_assert(D % Heads == 0, "BertQueryAttention: the width is not a multiple of the heads");
  Linear<D, D> query, output;
  LayerNorm<D> norm;
  float dropout;

  constexpr BertQueryAttention(Init weight, double eps, float p)
      : query(weight), output(weight), norm(eps), dropout(p) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("self.query", m.query);
    f("output.dense", m.output);
    f("output.LayerNorm", m.norm);
  }

  /// x (Bq, Lq, D), kv (Bk, Lk, 2 D), see BertAttention -> (Bq, Lq, D).
  auto operator()(auto& ctx, const auto& x, const auto& kv, const std::int32_t* kv_index) const {
    const auto q = query(ctx, x);  // (Bq, Lq, D)
    return detail::finish_attention(ctx, *this,
                                    cross_attention(ctx, q, kv, kv_index, Heads, dropout), x);
  }
};

}  // namespace albef
