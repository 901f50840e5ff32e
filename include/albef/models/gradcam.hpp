// Grad-CAM of ALBEF: which parts of a picture a word, a sentence or the similarity depends on
// (paper section 6.5 and figures 4 to 6; Grounding.py, the visualisation notebook).
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "albef/models/albef.hpp"
#include "albef/ops/attention_map.hpp"
#include "albef/ops/elementwise.hpp"

namespace albef {

/// A map over the patch grid of a picture, row by row.
struct HeatMap {
  int side = 0;
  std::vector<float> values;  ///< (side, side)
};

/// Cross-attention maps, one per pair of image (B, 3, S, S) and text (B, L), of BERT layer `layer`
/// (numbered from 0 with the text layers; official: 8 of 12): text positions by image positions
/// (the class token, then the patches). The gradient is that of the sum of the "match" logits.
/// Dropout must be off. If the store has gradients, those of the layers above are added to.
template <class Ctx, class C>
auto itm_attention(Ctx& ctx, const Albef<C>& model, const ImageTensor<typename Ctx::Real, C>& image,
                   const Tokens& text, int layer) {
  using Real = typename Ctx::Real;
  require(layer >= C::fusion_layer && layer < C::num_hidden_layers, "[gradcam] layer ", layer,
          " has no cross-attention, expected ", C::fusion_layer, " to ", C::num_hidden_layers - 1);
  require(image.rows() == text.seq.count, "[gradcam] got ", image.rows(), " images and ",
          text.seq.count, " texts");
  const auto& bert = model.text_encoder.bert;
  const auto watched = static_cast<std::size_t>(layer - C::fusion_layer);
  const auto& chosen = bert.fusion_layers[watched];
  Tensor<Real, C::hidden_size> h, q;
  const auto kv = ctx.no_grad([&] {
    const auto keys_values = bert.image_keys_values(ctx, model.visual_encoder(ctx, image));
    auto x = bert.text(ctx, text);  // (B, L, D)
    for (std::size_t i = 0; i < watched; ++i)
      x = bert.fusion_layers[i](ctx, x, keys_values[i], nullptr);
    h = chosen.attention(ctx, x);
    q = chosen.crossattention.query(ctx, h);
    return keys_values;
  });
  const auto attention =
      watch_cross_attention(ctx, q, kv[watched], nullptr, C::num_attention_heads);  // (B, L, D)
  auto x = chosen.feed_forward(
      ctx, detail::finish_attention(ctx, chosen.crossattention, attention.out, h));
  for (std::size_t i = watched + 1; i < bert.fusion_layers.size(); ++i)
    x = bert.fusion_layers[i](ctx, x, kv[i], nullptr);
  const auto logits = model.itm_head(ctx, first(ctx, x));  // (B, 2)
  std::vector<Real> match(static_cast<std::size_t>(logits.size()));
  for (std::size_t i = 1; i < match.size(); i += 2) match[i] = Real(1);
  ctx.backward(weighted_sum(ctx, logits, ctx.upload(match)));
  return attention.read(ctx);
}

/// Self-attention maps of block `block` of the image encoder, one per pair: the gradient is that of
/// the sum of the similarities of matching pairs divided by the temperature. Row 0 is what the
/// class token looks at. Otherwise as itm_attention().
template <class Ctx, class C>
auto itc_attention(Ctx& ctx, const Albef<C>& model, const ImageTensor<typename Ctx::Real, C>& image,
                   const Tokens& text, int block) {
  using Real = typename Ctx::Real;
  require(block >= 0 && block < C::vision_depth, "[gradcam] no block ", block,
          " in the image encoder, expected 0 to ", C::vision_depth - 1);
  require(image.rows() == text.seq.count, "[gradcam] got ", image.rows(), " images and ",
          text.seq.count, " texts");
  const auto& vit = model.visual_encoder;
  const auto& chosen = vit.blocks[static_cast<std::size_t>(block)];
  Tensor<Real, C::vision_width> x;
  Tensor<Real, 3 * C::vision_width> qkv;
  const auto text_feature = ctx.no_grad([&] {
    x = vit.embed(ctx, image);  // (B, N + 1, D)
    for (std::size_t i = 0; i < static_cast<std::size_t>(block); ++i) x = vit.blocks[i](ctx, x);
    qkv = chosen.qkv(ctx, x);
    return model.text_feature(ctx, model.text_encoder.bert.text(ctx, text));  // (B, E)
  });
  const auto attention = watch_self_attention(ctx, qkv, C::vision_heads);  // (B, N + 1, D)
  x = chosen.finish(ctx, x, chosen.attn.proj(ctx, attention.out));
  for (std::size_t i = static_cast<std::size_t>(block) + 1; i < vit.blocks.size(); ++i)
    x = vit.blocks[i](ctx, x);
  const auto feature = model.image_feature(ctx, vit.norm(ctx, x));  // (B, E)
  const auto similarity = weighted_sum(ctx, feature, static_cast<const Real*>(text_feature.data));
  ctx.backward(divide(ctx, similarity, model.temp));
  return attention.read(ctx);
}

/// The Grad-CAM map of one query of an attention over pictures: mean over heads of
/// probability * max(gradient, 0), without the class token.
template <class Real>
HeatMap grad_cam(const AttentionMap<Real>& m, int query) {
  require(query >= 0 && query < m.queries, "[gradcam] no position ", query, " of ", m.queries);
  HeatMap map;
  map.side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(m.keys - 1))));
  require(map.side * map.side == m.keys - 1, "[gradcam] ", m.keys,
          " image positions, expected a class token and a square of patches");
  map.values.resize(static_cast<std::size_t>(m.keys - 1));
  for (std::size_t k = 0; k < map.values.size(); ++k) {
    double sum = 0;
    for (int h = 0; h < m.heads; ++h) {
      const auto at = static_cast<std::size_t>((h * m.queries + query) * m.keys) + k + 1;
      sum += static_cast<double>(m.probability[at]) *
             std::max(0.0, static_cast<double>(m.gradient[at]));
    }
    map.values[k] = static_cast<float>(sum / m.heads);
  }
  return map;
}

/// The maps of all words of a text, [CLS] first.
template <class Real>
std::vector<HeatMap> word_cams(const AttentionMap<Real>& m) {
  std::vector<HeatMap> maps;
  for (int i = 0; i < m.queries; ++i) maps.push_back(grad_cam(m, i));
  return maps;
}

/// The map of a sentence: the mean of those of its `length` positions. The official code counts the
/// padding of the batch too, as positions whose map is 0; give its length for equal numbers
/// (Grounding.py:130).
inline HeatMap sentence_cam(const std::vector<HeatMap>& words, int length = 0) {
  require(!words.empty(), "[gradcam] a sentence without words");
  HeatMap mean = words.front();
  for (std::size_t i = 1; i < words.size(); ++i)
    for (std::size_t k = 0; k < mean.values.size(); ++k) mean.values[k] += words[i].values[k];
  const float n = length > 0 ? static_cast<float>(length) : static_cast<float>(words.size());
  for (float& v : mean.values) v /= n;
  return mean;
}

}  // namespace albef
