// FLAVA: encoders of images, of texts and of both together, with the heads of its pre-training
// (Singh et al. 2022, sections 3 and 4). Names are those of TorchMultimodal's FLAVAForPreTraining.
#pragma once

#include <array>

#include "albef/models/bert.hpp"
#include "albef/models/vit.hpp"
#include "albef/ops/sequences.hpp"

namespace albef {

/// The pre-norm transformer layer of all three encoders: BERT's, with other names.
template <int D, int Heads, int Hidden>
struct FlavaLayer : BertLayer<D, Heads, Hidden, NormPlace::pre> {
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
    const auto& attention = this->attention;
    const auto kv = attention.keys_values(ctx, attention.norm(ctx, seen));  // (B, L, 2 D)
    return this->feed_forward(ctx, attention(ctx, x, kv, nullptr));         // (B, Lq, D)
  }
};

/// An encoder: embeddings, layers, a norm and a pooler.
template <class Embeddings, int Depth, int Heads, int Hidden>
struct FlavaEncoder {
  static constexpr int width = Embeddings::width;
  using Layer = FlavaLayer<width, Heads, Hidden>;
  Embeddings embeddings;
  std::array<Layer, Depth> layers;
  LayerNorm<width> layernorm{detail::bert_eps};
  Linear<width, width> pooler;

  constexpr FlavaEncoder(Init weight, float dropout)
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
  /// tanh(W x + b) of the first state of each sequence: normed states (B, L, D) -> (B, D).
  auto pooled(auto& ctx, const auto& states) const {
    return tanh(ctx, pooler(ctx, first(ctx, states)));  // (B, D)
  }
};

/// Patches with a class token and positions; masked patches become the mask token before.
template <class C>
struct FlavaPatchEmbeddings {
  static constexpr const char* name = "embeddings";
  static constexpr int width = C::vision_width, side = C::image_res / C::patch_size;
  static_assert(C::image_res % C::patch_size == 0,
                "Flava: the image size is not a multiple of the patch size");
  Param<1, 1, width> cls_token{bert_init<C>}, mask_token{bert_init<C>};
  Param<1, side * side + 1, width> position{bert_init<C>};
  PatchEmbedding<C::patch_size, width, image_channels<C>()> patch;

  static constexpr void fields(auto& m, auto&& f) {
    f("cls_token", m.cls_token);
    f("mask_token", m.mask_token);
    f("position_embeddings", m.position);
    f("patch_embeddings.projection.weight", m.patch.weight);
    f("patch_embeddings.projection.bias", m.patch.bias);
  }
  /// images (B, C, S, S) -> (B, N + 1, D); with `Both`, the images without the mask, then with it:
  /// (2 B, N + 1, D).
  template <bool Both = false, class Ctx>
  auto operator()(Ctx& ctx, const ImageTensor<typename Ctx::Real, C>& image,
                  const RowMask* mask = nullptr) const {
    auto x = patch(ctx, image,
                   {image.rows(), image_channels<C>(), C::image_res, C::image_res,
                    C::patch_size});                           // (B, N, D)
    if (mask) x = mask_rows<Both>(ctx, x, mask_token, *mask);  // (B or 2 B, N, D)
    return add_class_token(ctx, x, cls_token, position);       // (B or 2 B, N + 1, D)
  }
};

/// BERT's embeddings, with other names.
template <class C>
struct FlavaTextEmbeddings : BertEmbeddings<C> {
  static constexpr const char* name = "embeddings";
  static constexpr void fields(auto& m, auto&& f) {
    f("word_embeddings.weight", m.word);
    f("position_embeddings.weight", m.position);
    f("token_type_embeddings.weight", m.type);
    f("layer_norm", m.norm);
  }
};

/// What the multimodal encoder reads: [CLS_M ; image ; text], (B, N + 1, D) and (B, L, D) -> (B, 1
/// + N + 1 + L, D), without positions.
template <int D>
struct FlavaPairEmbeddings {
  static constexpr const char* name = "";
  static constexpr int width = D;
  Param<1, 1, D> cls_token;

  constexpr explicit FlavaPairEmbeddings(Init weight = detail::bert_weight) : cls_token(weight) {}
  static constexpr void fields(auto& m, auto&& f) { f("cls_token", m.cls_token); }
  auto operator()(auto& ctx, const auto& image, const auto& text) const {
    return prepend(ctx, concat_sequences(ctx, image, text), cls_token);  // (B, N + 2 + L, D)
  }
};

/// A head that tells which of V codes or words was masked: states (M, D) -> logits (M, V).
template <int D, int V>
struct FlavaMaskedHead {
  Linear<D, D> dense;
  LayerNorm<D> layer_norm;
  Linear<D, V> decoder;

  constexpr explicit FlavaMaskedHead(Init weight) : dense(weight), decoder(weight) {}
  static constexpr void fields(auto& m, auto&& f) {
    f("bias", m.decoder.bias);
    f("dense", m.dense);
    f("layer_norm", m.layer_norm);
    f("decoder.weight", m.decoder.weight);
    f.tied("decoder.bias", m.decoder.bias);
  }
  auto operator()(auto& ctx, const auto& x) const {
    return decoder(ctx, layer_norm(ctx, dense.gelu(ctx, x)));  // (M, V)
  }
};

template <class C>
using FlavaImageEncoder = FlavaEncoder<FlavaPatchEmbeddings<C>, C::vision_depth, C::vision_heads,
                                       C::mlp_ratio * C::vision_width>;
template <class C>
using FlavaTextEncoder = FlavaEncoder<FlavaTextEmbeddings<C>, C::num_hidden_layers,
                                      C::num_attention_heads, C::intermediate_size>;
template <class C>
using FlavaMultimodalEncoder =
    FlavaEncoder<FlavaPairEmbeddings<multimodal_hidden_size<C>()>,
                 multimodal_num_hidden_layers<C>(), multimodal_num_attention_heads<C>(),
                 multimodal_intermediate_size<C>()>;

/// Everything FLAVA pre-trains. Its parts are called by the objectives of tasks/flava.hpp and by
/// evaluations. States of images (B, N + 1, Dv) and of texts (B, L, Dt) are those in front of the
/// encoder's last norm.
template <class C>
struct Flava {
  static_assert(detail::CheckFlavaConfig<C>::ok);
  using Config = C;
  static constexpr Init weight = bert_init<C>;
  static constexpr int image_width = C::vision_width, text_width = C::hidden_size;
  static constexpr int width = multimodal_hidden_size<C>(), codes = image_vocab_size<C>();
  static constexpr int patches = FlavaPatchEmbeddings<C>::side * FlavaPatchEmbeddings<C>::side;

  FlavaImageEncoder<C> image_encoder{weight, 0.0f};
  FlavaTextEncoder<C> text_encoder{weight, C::dropout};
  FlavaMultimodalEncoder<C> mm_encoder{weight, C::dropout};
  Linear<image_width, width> image_to_mm{weight};
  Linear<text_width, width> text_to_mm{weight};
  Linear<image_width, C::embed_dim> image_projection{weight};
  Linear<text_width, C::embed_dim> text_projection{weight};
  FlavaMaskedHead<image_width, codes> mim{weight};
  FlavaMaskedHead<text_width, C::vocab_size> mlm{weight};
  FlavaMaskedHead<width, codes> mmm_image{weight};
  FlavaMaskedHead<width, C::vocab_size> mmm_text{weight};
  Linear<width, width> itm_pooler{weight};
  Linear<width, 2> itm_head{weight};
  Param<> logit_scale{init::constant(2.65926f)};  // ln(1 / 0.07)

  static constexpr void fields(auto& m, auto&& f) {
    f("model.image_encoder", m.image_encoder);
    f("model.text_encoder", m.text_encoder);
    f("model.mm_encoder", m.mm_encoder);
    f("model.image_to_mm_projection", m.image_to_mm);
    f("model.text_to_mm_projection", m.text_to_mm);
    f("model.image_projection", m.image_projection);
    f("model.text_projection", m.text_projection);
    f("loss.mim_loss.cls", m.mim);
    f("loss.mlm_loss.cls", m.mlm);
    f("loss.mmm_loss.mim.cls", m.mmm_image);
    f("loss.mmm_loss.mlm.cls", m.mmm_text);
    f("loss.itm_loss.pooler.dense", m.itm_pooler);
    f("loss.itm_loss.cls.seq_relationship", m.itm_head);
    f("loss.contrastive_loss.logit_scale", m.logit_scale);
  }

  auto image_states(auto& ctx, const auto& images) const {
    return image_encoder.hidden(ctx, image_encoder.embeddings(ctx, images));  // (B, N + 1, Dv)
  }
  auto text_states(auto& ctx, const Tokens& texts) const {
    return text_encoder.hidden(ctx, text_encoder.embeddings(ctx, texts));  // (B, L, Dt)
  }
  /// Normalised projections of the first states: (B, N + 1, Dv) or (B, L, Dt) -> (B, embed_dim).
  auto image_feature(auto& ctx, const auto& states) const {
    const auto cls = image_encoder.layernorm(ctx, first(ctx, states));  // (B, Dv)
    return l2_normalize(ctx, image_projection(ctx, cls));               // (B, embed_dim)
  }
  auto text_feature(auto& ctx, const auto& states) const {
    const auto cls = text_encoder.layernorm(ctx, first(ctx, states));  // (B, Dt)
    return l2_normalize(ctx, text_projection(ctx, cls));               // (B, embed_dim)
  }
  auto encode_image(auto& ctx, const auto& images) const {
    return image_feature(ctx, image_states(ctx, images));
  }
  auto encode_text(auto& ctx, const Tokens& texts) const {
    return text_feature(ctx, text_states(ctx, texts));
  }
  /// What the multimodal encoder reads of images: states (B, N + 1, Dv) -> (B, N + 1, D).
  auto image_for_matching(auto& ctx, const auto& states) const { return image_to_mm(ctx, states); }
  /// The multimodal [CLS] of P texts, text p with image image_index[p] (null: p): text states x (P,
  /// L, Dt) and image_for_matching() of images -> (P, D).
  auto pair_states(auto& ctx, const auto& x, const auto& image,
                   const std::int32_t* image_index = nullptr) const {
    const auto of_text =
        image_index ? select(ctx, image, image_index, x.seq.count) : image;  // (P, N + 1, D)
    const auto pair = mm_encoder.embeddings(ctx, of_text, text_to_mm(ctx, x));
    const auto cls = first_rows(ctx, pair.seq);
    return mm_encoder.layernorm(ctx, mm_encoder.hidden(ctx, pair, &cls));  // (P, D)
  }
  auto itm(auto& ctx, const auto& cls) const {
    return itm_head(ctx, tanh(ctx, itm_pooler(ctx, cls)));  // (P, 2)
  }
  /// Matching logits (no match, match) of the same -> (P, 2).
  auto itm_logits(auto& ctx, const auto& x, const auto& image,
                  const std::int32_t* image_index) const {
    return itm(ctx, pair_states(ctx, x, image, image_index));
  }
};

}  // namespace albef
