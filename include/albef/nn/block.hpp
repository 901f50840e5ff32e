// Transformer blocks: pre-norm as in ViT, post-norm as in BERT with optional cross-attention.
#pragma once

#include <array>
#include <utility>

#include "albef/nn/attention.hpp"
#include "albef/nn/mlp.hpp"
#include "albef/nn/norm_place.hpp"

namespace albef {

/// N equal layers, each made with the given arguments.
template <class Layer, std::size_t N, class... Args>
constexpr std::array<Layer, N> stack(const Args&... args) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<Layer, N>{((void)I, Layer(args...))...};
  }
  (std::make_index_sequence<N>{});
}

/// x (B, L, D) through the first `n` of a stack of blocks, which compute themselves again in the
/// backward pass where the context checkpoints.
template <class Ctx, class Blocks, class X>
X run_blocks(Ctx& ctx, const Blocks& blocks, X x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    x = ctx.checkpoint(x, [c = &ctx, b = &blocks[i]](const auto& h) { return (*b)(*c, h); });
  return x;  // (B, L, D)
}
/// The same through all of them, for some rows of the last alone -> (selected rows, D).
template <class Ctx, class Blocks, class X>
X run_blocks(Ctx& ctx, const Blocks& blocks, const X& x, const RowSelection& rows) {
  return blocks.back()(ctx, run_blocks(ctx, blocks, x, blocks.size() - 1), rows);  // (rows, D)
}

/// models/vit.py Block: x += attn(norm1(x)); x += mlp(norm2(x)). (B, L, D) -> (B, L, D). With
/// NormPlace::post, x = norm1(x + attn(x)); x = norm2(x + mlp(x)).
template <int D, int Heads, int Hidden, NormPlace Place = NormPlace::pre,
          Activation F = Activation::gelu>
struct VitBlock {
  static constexpr double eps = 1e-6;
  LayerNorm<D> norm1{eps};
  VitAttention<D, Heads> attn;
  LayerNorm<D> norm2{eps};
  Mlp<D, Hidden, F> mlp;
  float drop_path = 0;  ///< rate at which a sequence is spared a sub-layer, in training

  constexpr explicit VitBlock(Init weight = init::trunc_normal(0.02f))
      : attn(weight), mlp(weight) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("norm1", m.norm1);
    f("attn", m.attn);
    f("norm2", m.norm2);
    f("mlp", m.mlp);
  }

  auto operator()(auto& ctx, const auto& x) const {
    return finish(ctx, x, attn(ctx, before_sublayer<Place>(ctx, norm1, x)));  // (B, L, D)
  }

  /// The block in two parts, around the attention of the heads: queries, keys and values
  /// (B, L, 3 D), and from what the attention sub-layer gives, (B, L, D) -> (B, L, D).
  auto qkv(auto& ctx, const auto& x) const {
    return attn.qkv(ctx, before_sublayer<Place>(ctx, norm1, x));
  }
  auto finish(auto& ctx, const auto& x, const auto& attended) const {
    const auto y = after_dropped_sublayer<Place>(ctx, norm1, x, attended, drop_path);  // (B, L, D)
    const auto f = mlp(ctx, before_sublayer<Place>(ctx, norm2, y));
    return after_dropped_sublayer<Place>(ctx, norm2, y, f, drop_path);  // (B, L, D)
  }
};

/// CLIP's block (clip/model.py ResidualAttentionBlock), pre-norm like VitBlock, of other names:
/// x += attn(ln_1(x)); x += c_proj(F(c_fc(ln_2(x)))). (B, L, D) -> (B, L, D).
template <int D, int Heads, int Hidden, Activation F = Activation::gelu, bool Causal = false>
struct ResidualAttentionBlock {
  LayerNorm<D> ln_1{1e-5};
  MultiheadAttention<D, Heads, Causal> attn;
  LayerNorm<D> ln_2{1e-5};
  Linear<D, Hidden> c_fc;
  Linear<Hidden, D> c_proj;

  /// Initialised as CLIP's text encoder of `depth` blocks is.
  constexpr explicit ResidualAttentionBlock(int depth)
      : attn(init::normal(detail::inverse_sqrt(D)), out(depth)),
        c_fc(init::normal(detail::inverse_sqrt(2 * D))),
        c_proj(out(depth)) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("ln_1", m.ln_1);
    f("attn", m.attn);
    f("ln_2", m.ln_2);
    f("mlp.c_fc", m.c_fc);
    f("mlp.c_proj", m.c_proj);
  }

  auto operator()(auto& ctx, const auto& x) const {
    return finish(ctx, x, attn.attend(ctx, ln_1(ctx, x)));  // (B, L, D)
  }
  /// The same for some rows alone, of which there is no more to compute: -> (selected rows, D).
  auto operator()(auto& ctx, const auto& x, const RowSelection& rows) const {
    const auto attended = gather(ctx, attn.attend(ctx, ln_1(ctx, x)), rows);  // (rows, D)
    return finish(ctx, gather(ctx, x, rows), attended);                       // (rows, D)
  }

 private:
  static constexpr Init out(int depth) { return init::normal(detail::inverse_sqrt(2 * D * depth)); }
  auto finish(auto& ctx, const auto& x, const auto& attended) const {
    const auto y = add(ctx, x, attn.out_proj(ctx, attended));               // (..., D)
    return add(ctx, y, c_proj(ctx, c_fc.activated(ctx, ln_2(ctx, y), F)));  // (..., D)
  }
};

namespace detail {

inline constexpr double bert_eps = 1e-12;
inline constexpr Init bert_weight = init::normal(0.02f);

}  // namespace detail

/// BERT's feed-forward sub-block: LayerNorm(x + dropout(dense2(F(dense1(x))))), or pre-norm.
template <int D, int Hidden, NormPlace Place = NormPlace::post, Activation F = Activation::gelu>
struct BertFeedForward {
  Linear<D, Hidden> intermediate;
  Linear<Hidden, D> output;
  LayerNorm<D> norm{detail::bert_eps};
  float dropout;

  constexpr BertFeedForward(Init weight, float p)
      : intermediate(weight), output(weight), dropout(p) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("intermediate.dense", m.intermediate);
    f("output.dense", m.output);
    f("output.LayerNorm", m.norm);
  }

  auto operator()(auto& ctx, const auto& x) const {
    const auto h =
        intermediate.activated(ctx, before_sublayer<Place>(ctx, norm, x), F);  // (B, L, H)
    return after_sublayer<Place>(ctx, norm, x, output(ctx, h), dropout);       // (B, L, D)
  }
};

/// A text layer of models/xbert.py: self-attention, feed-forward, each followed by LayerNorm, or
/// pre-norm.
template <int D, int Heads, int Hidden, NormPlace Place = NormPlace::post,
          Activation F = Activation::gelu>
struct BertLayer {
  BertAttention<D, D, Heads, Place> attention;
  BertFeedForward<D, Hidden, Place, F> feed_forward;

  constexpr explicit BertLayer(Init weight = detail::bert_weight, float p = 0.1f)
      : attention(weight, detail::bert_eps, p), feed_forward(weight, p) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("attention", m.attention);
    f("", m.feed_forward);
  }

  auto operator()(auto& ctx, const auto& x) const {
    return feed_forward(ctx, attention(ctx, x));  // (B, L, D)
  }
};

/// A layer of models/xbert.py with self-attention, cross-attention by the sub-block Cross, and
/// feed-forward. `Causal`: position i sees positions <= i.
template <class Cross, int D, int Heads, int Hidden, bool Causal = false>
struct BertCrossLayer {
  BertAttention<D, D, Heads> attention;
  Cross crossattention;
  BertFeedForward<D, Hidden> feed_forward;

  constexpr explicit BertCrossLayer(Init weight = detail::bert_weight, float p = 0.1f)
      : attention(weight, detail::bert_eps, p),
        crossattention(weight, detail::bert_eps, p),
        feed_forward(weight, p) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("attention", m.attention);
    f("crossattention", m.crossattention);
    f("", m.feed_forward);
  }

  /// x (B, L, D), kv = crossattention.keys_values(states) (images, N, 2 D); text b looks at image
  /// image_index[b] (null: b) -> (B, L, D).
  auto operator()(auto& ctx, const auto& x, const auto& kv, const std::int32_t* image_index) const {
    return finish(ctx, attention(ctx, x, Causal), kv, image_index);
  }

  /// The same for some rows of x only, all rows serving as keys: for the last layer, where few
  /// rows are read. -> (selected rows, D).
  auto operator()(auto& ctx, const auto& x, const auto& kv, const std::int32_t* image_index,
                  const RowSelection& rows) const {
    static_assert(!Causal, "BertCrossLayer: rows of a causal layer are not selected");
    const auto selected = gather(ctx, x, rows);  // (B, selected, D)
    const auto h = attention(ctx, selected, attention.keys_values(ctx, x), nullptr);
    return finish(ctx, h, kv, image_index);
  }

  /// One more position of n texts, without recording: x (n, 1, D). `past` holds the self-attention
  /// keys and values of the positions before it, (m, t, 2 D), of which text i continues sequence
  /// parent[i] (null: i); it becomes (n, t + 1, 2 D). -> (n, 1, D).
  auto step(auto& ctx, const auto& x, auto& past, const std::int32_t* parent, const auto& kv,
            const std::int32_t* image_index) const {
    past = append(ctx, past, parent, attention.keys_values(ctx, x));
    return finish(ctx, attention(ctx, x, past, nullptr), kv, image_index);
  }

 private:
  auto finish(auto& ctx, const auto& h, const auto& kv, const std::int32_t* image_index) const {
    return feed_forward(ctx, crossattention(ctx, h, kv, image_index));
  }
};

/// A fusion layer: texts look at images of width ImageWidth.
template <int D, int ImageWidth, int Heads, int Hidden>
using BertFusionLayer = BertCrossLayer<BertAttention<D, ImageWidth, Heads>, D, Heads, Hidden>;
/// A fusion layer that reads the keys and values another layer computes.
template <int D, int Heads, int Hidden>
using BertTwinLayer = BertCrossLayer<BertQueryAttention<D, Heads>, D, Heads, Hidden>;
/// A decoder layer: writes a text from left to right, looking at states of its own width.
template <int D, int Heads, int Hidden>
using BertDecoderLayer = BertCrossLayer<BertAttention<D, D, Heads>, D, Heads, Hidden, true>;

}  // namespace albef
