// Visual reasoning on pairs of images (NLVR2): the paired fusion encoder and the two-way classifier
// (model_nlvr.py).
#pragma once

#include <array>
#include <cmath>
#include <span>
#include <string_view>
#include <vector>

#include "albef/models/bert.hpp"
#include "albef/models/classifier.hpp"
#include "albef/models/pretrained_names.hpp"
#include "albef/models/vit.hpp"
#include "albef/ops/similarity.hpp"

namespace albef {

/// BERT whose fusion layers come in pairs (paper section 4.4): the first of a pair looks at one
/// image, the second at the other, with the keys and values of the first. Fusion layer i of
/// pre-training starts the pair of layers fusion_layer + 2 i and fusion_layer + 2 i + 1.
template <class C>
struct PairedBert {
  static constexpr int width = C::hidden_size;
  static constexpr int pairs = C::num_hidden_layers - C::fusion_layer;
  using TextLayer = BertLayer<width, C::num_attention_heads, C::intermediate_size>;
  using FirstLayer =
      BertFusionLayer<width, C::vision_width, C::num_attention_heads, C::intermediate_size>;
  using SecondLayer = BertTwinLayer<width, C::num_attention_heads, C::intermediate_size>;
  template <class Real>
  using KeysValues = std::array<Tensor<Real, 2 * width>, pairs>;

  BertEmbeddings<C> embeddings;
  std::array<TextLayer, C::fusion_layer> text_layers =
      stack<TextLayer, C::fusion_layer>(bert_init<C>, C::dropout);
  std::array<FirstLayer, pairs> first_layers = stack<FirstLayer, pairs>(bert_init<C>, C::dropout);
  std::array<SecondLayer, pairs> second_layers =
      stack<SecondLayer, pairs>(bert_init<C>, C::dropout);

  static constexpr void fields(auto& m, auto&& f) {
    f("embeddings", m.embeddings);
    f("encoder.layer", m.text_layers);
    f("encoder.layer", m.first_layers, C::fusion_layer, 2);
    f("encoder.layer", m.second_layers, C::fusion_layer + 1, 2);
    for (int i = 0; i < pairs; ++i) {  // official checkpoints hold shared tensors twice
      const auto& cross = m.first_layers[static_cast<std::size_t>(i)].crossattention;
      const int second = C::fusion_layer + 2 * i + 1;
      f.tied("encoder.layer", second, "crossattention.self.key.weight", cross.key.weight);
      f.tied("encoder.layer", second, "crossattention.self.key.bias", cross.key.bias);
      f.tied("encoder.layer", second, "crossattention.self.value.weight", cross.value.weight);
      f.tied("encoder.layer", second, "crossattention.self.value.bias", cross.value.bias);
    }
  }

  /// The fused [CLS] of texts (B, L) and pairs of images: text b looks at the images first[b] and
  /// second[b] of `images` (M, N, Dv), whose keys and values are computed once -> (B, D).
  template <class Ctx, class Images>
  auto cls(Ctx& ctx, const Tokens& tokens, const Images& images, const std::int32_t* first,
           const std::int32_t* second) const {
    auto x = embeddings(ctx, tokens);  // (B, L, D)
    for (const auto& layer : text_layers)
      x = ctx.checkpoint(x, [c = &ctx, l = &layer](const auto& h) { return (*l)(*c, h); });
    KeysValues<typename Ctx::Real> kv;
    for (std::size_t i = 0; i < pairs; ++i)
      kv[i] = first_layers[i].crossattention.keys_values(ctx, images);  // (M, N, 2 D)
    const auto run = [&](const auto& layer, const auto& t, const std::int32_t* index) {
      x = ctx.checkpoint(
          x, [c = &ctx, l = &layer, t, index](const auto& h) { return (*l)(*c, h, t, index); });
    };
    for (std::size_t i = 0; i < pairs; ++i) {
      run(first_layers[i], kv[i], first);
      if (i + 1 < pairs) run(second_layers[i], kv[i], second);
    }
    return second_layers.back()(ctx, x, kv.back(), second, first_rows(ctx, x.seq));  // (B, D)
  }
};

namespace detail {

/// Names in a paired encoder (Pretrain_nlvr.py:116-136): a fusion layer of pre-training goes to
/// both layers of its pair. Checkpoints of a paired encoder have these names already.
template <class C>
std::vector<std::string> paired_names(const std::string& full) {
  const TensorName name(full);
  const char* rest = name.module == "text_encoder" ? name.after("bert.") : nullptr;
  if (!rest) return bert_names(full);
  const LayerName layer(rest);
  if (layer.number < C::fusion_layer) return {name.renamed("text_encoder", rest)};
  const int first = C::fusion_layer + 2 * (layer.number - C::fusion_layer);
  return {name.renamed("text_encoder", layer.in(first)),
          name.renamed("text_encoder", layer.in(first + 1))};
}

}  // namespace detail

/// B statements about two pictures each, on the device.
template <class Real, class C>
struct NlvrInput {
  ImageTensor<Real, C> images;           ///< (M, 3, S, S)
  const std::int32_t* first = nullptr;   ///< (B): which of the images is shown first
  const std::int32_t* second = nullptr;  ///< (B)
  Tokens text;                           ///< (B, L)
  const std::int32_t* labels = nullptr;  ///< (B): 1 if the statement is true; for training
};

/// Is the statement true of the two pictures? See tasks/nlvr.hpp.
template <class C>
struct AlbefNlvr {
  using Config = C;
  static constexpr int classes = 2;
  Vit<C> visual_encoder;
  PairedBert<C> text_encoder;
  ClassifierHead<C::hidden_size, classes> cls_head;

  static constexpr void fields(auto& m, auto&& f) {
    f("visual_encoder", m.visual_encoder);
    f("text_encoder", m.text_encoder);
    f("cls_head", m.cls_head);
  }
  /// Of a pre-training or a text-assignment checkpoint.
  static std::vector<std::string> pretrained_names(const std::string& name) {
    return detail::paired_names<C>(name);
  }
  static bool fresh(std::string_view name) { return name.starts_with("cls_head"); }

  /// Scores of (false, true): (B, 2).
  template <class Ctx>
  auto logits(Ctx& ctx, const NlvrInput<typename Ctx::Real, C>& in) const {
    const auto images = visual_encoder(ctx, in.images);  // (M, N, Dv)
    return cls_head(ctx, text_encoder.cls(ctx, in.text, images, in.first, in.second));
  }
};

/// The model of text-assignment pre-training. It has no momentum copy; vision_proj only measures
/// how similar pictures are and gets no gradient.
template <class C>
struct AlbefNlvrPretrain {
  using Config = C;
  static constexpr int classes = 3;
  Vit<C> visual_encoder;
  PairedBert<C> text_encoder;
  Linear<C::vision_width, C::embed_dim> vision_proj;
  Linear<C::hidden_size, classes> ta_head;

  static constexpr void fields(auto& m, auto&& f) {
    f("visual_encoder", m.visual_encoder);
    f("text_encoder", m.text_encoder);
    f("vision_proj", m.vision_proj);
    f("ta_head", m.ta_head);
  }
  static std::vector<std::string> pretrained_names(const std::string& name) {
    return detail::paired_names<C>(name);
  }
  static bool fresh(std::string_view name) { return name.starts_with("ta_head"); }

  /// Similarities of pictures, states (B, N, Dv) -> (B, B) on the host.
  template <class Ctx, class Images>
  auto image_similarities(Ctx& ctx, const Images& images) const {
    return ctx.scoped([&] {
      const auto f = l2_normalize(ctx, vision_proj(ctx, first(ctx, images)));  // (B, E)
      return ctx.read(matmul_nt(ctx, f, f));
    });
  }
  /// Scores of the three answers: states of pictures (B, N, Dv), texts (B, L) that look at pictures
  /// first[b] and second[b] -> (B, 3).
  template <class Ctx, class Images>
  auto logits(Ctx& ctx, const Images& images, const Tokens& text, const std::int32_t* first,
              const std::int32_t* second) const {
    return ta_head(ctx, text_encoder.cls(ctx, text, images, first, second));
  }
};

}  // namespace albef
