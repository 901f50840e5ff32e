// A pre-norm transformer encoder with what it reads in front and a pooler behind, by the names of
// TorchMultimodal (modules/layers/transformer.py), of which only the rows asked for are computed.
#pragma once

#include <array>

#include "albef/nn/block.hpp"
#include "albef/ops/gather.hpp"

namespace albef {

/// BERT's layer in pre-norm form, with other names.
template <int D, int Heads, int Hidden>
struct TransformerEncoderLayer : BertLayer<D, Heads, Hidden, NormPlace::pre> {
  using Base = BertLayer<D, Heads, Hidden, NormPlace::pre>;
  using Base::Base, Base::operator();

  static constexpr void fields(auto& m, auto&& f) {
    f("attention.query.weight", m.attention.query.weight);
    f("attention.key.weight", m.attention.key.weight);
    f("attention.value.weight", m.attention.value.weight);
    f("attention.query.bias", m.attention.query.bias);
    f("attention.key.bias", m.attention.key.bias);
    f("attention.value.bias", m.attention.value.bias);
    f("attention.output", m.attention.output);
    f("attention_layernorm", m.attention.norm);
    f("feedforward.model.0", m.feed_forward.intermediate);
    f("feedforward.model.2", m.feed_forward.output);
    f("feedforward_layernorm", m.feed_forward.norm);
  }
  /// Rows x (B, Lq, D) look at the states `seen` (B, L, D) of their sequences -> (B, Lq, D).
  auto operator()(auto& ctx, const auto& x, const auto& seen) const {
    const auto& attend = this->attention;
    const auto kv = attend.keys_values(ctx, attend.norm(ctx, seen));  // (B, L, 2 D)
    return this->feed_forward(ctx, attend(ctx, x, kv, nullptr));      // (B, Lq, D)
  }
};

/// An encoder: embeddings, layers, a norm and a pooler.
template <class Embeddings, int Depth, int Heads, int Hidden>
struct TransformerEncoder {
  static constexpr int width = Embeddings::width;
  using Layer = TransformerEncoderLayer<width, Heads, Hidden>;
  Embeddings embeddings;
  std::array<Layer, Depth> layers;
  LayerNorm<width> layernorm{detail::bert_eps};
  Linear<width, width> pooler;

  constexpr TransformerEncoder(Init weight, float dropout)
      : layers(stack<Layer, Depth>(weight, dropout)), pooler(weight) {}

  static constexpr void fields(auto& m, auto&& f) {
    f(Embeddings::name, m.embeddings);
    f("encoder.layer", m.layers);
    f("layernorm", m.layernorm);
    f("pooler.dense", m.pooler);
  }
  /// x (B, L, D) -> states before the norm: (B, L, D), or, of the last layer, the rows `computed`
  /// (rows, D) only. All layers look at all rows, or at those `seen`.
  template <class X>
  X hidden(auto& ctx, X x, const RowSelection* computed = nullptr,
           const RowSelection* seen = nullptr) const {
    for (std::size_t i = 0; i < (computed ? Depth - 1 : Depth); ++i)
      if (seen)
        x = ctx.checkpoint(x, [c = &ctx, l = &layers[i], s = *seen](const auto& h) {
          return (*l)(*c, h, gather(*c, h, s));
        });
      else
        x = ctx.checkpoint(x, [c = &ctx, l = &layers[i]](const auto& h) { return (*l)(*c, h); });
    if (!computed) return x;
    return layers.back()(ctx, gather(ctx, x, *computed), seen ? gather(ctx, x, *seen) : x);
  }
  /// The same behind the norm.
  auto normed(auto& ctx, const auto& x, const RowSelection* computed = nullptr,
              const RowSelection* seen = nullptr) const {
    return layernorm(ctx, hidden(ctx, x, computed, seen));
  }
  /// The first state of each sequence, normed: (B, L, D) -> (B, D).
  auto first_normed(auto& ctx, const auto& states) const {
    return layernorm(ctx, first(ctx, states));
  }
  /// tanh(W x + b) of the first state of each sequence: normed states (B, L, D) -> (B, D).
  auto pooled(auto& ctx, const auto& states) const {
    return tanh(ctx, pooler(ctx, first(ctx, states)));  // (B, D)
  }
};

}  // namespace albef
