// FLAVA: encoders of images, of texts and of both together, with the heads of its pre-training
// (Singh et al. 2022, sections 3 and 4). Names are those of TorchMultimodal's FLAVAForPreTraining.
#pragma once

#include <string>
#include <vector>

#include "albef/models/bert.hpp"
#include "albef/models/vit.hpp"
#include "albef/nn/masked_head.hpp"
#include "albef/nn/transformer_encoder.hpp"
#include "albef/ops/sequences.hpp"

namespace albef {

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
    f("cls_token", m.cls_token), f("mask_token", m.mask_token);
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
    f("word_embeddings.weight", m.word), f("position_embeddings.weight", m.position);
    f("token_type_embeddings.weight", m.type), f("layer_norm", m.norm);
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

template <class C>
using FlavaImageEncoder = TransformerEncoder<FlavaPatchEmbeddings<C>, C::vision_depth,
                                             C::vision_heads, C::mlp_ratio * C::vision_width>;
template <class C>
using FlavaTextEncoder = TransformerEncoder<FlavaTextEmbeddings<C>, C::num_hidden_layers,
                                            C::num_attention_heads, C::intermediate_size>;
template <class C>
using FlavaMultimodalEncoder =
    TransformerEncoder<FlavaPairEmbeddings<multimodal_hidden_size<C>()>,
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
  static constexpr int image_tokens = patches + 1;

  FlavaImageEncoder<C> image_encoder{weight, 0.0f};
  FlavaTextEncoder<C> text_encoder{weight, C::dropout};
  FlavaMultimodalEncoder<C> mm_encoder{weight, C::dropout};
  Linear<image_width, width> image_to_mm{weight};
  Linear<text_width, width> text_to_mm{weight};
  Linear<image_width, C::embed_dim> image_projection{weight};
  Linear<text_width, C::embed_dim> text_projection{weight};
  MaskedHead<image_width, codes> mim{weight};
  MaskedHead<text_width, C::vocab_size> mlm{weight};
  MaskedHead<width, codes> mmm_image{weight};
  MaskedHead<width, C::vocab_size> mmm_text{weight};
  Linear<width, width> itm_pooler{weight};
  Linear<width, 2> itm_head{weight};
  Param<> logit_scale{init::constant(2.65926f)};  // ln(1 / 0.07)

  static constexpr void fields(auto& m, auto&& f) {
    f("model.image_encoder", m.image_encoder), f("model.text_encoder", m.text_encoder);
    f("model.mm_encoder", m.mm_encoder);
    f("model.image_to_mm_projection", m.image_to_mm);
    f("model.text_to_mm_projection", m.text_to_mm);
    f("model.image_projection", m.image_projection);
    f("model.text_projection", m.text_projection);
    f("loss.mim_loss.cls", m.mim), f("loss.mlm_loss.cls", m.mlm);
    f("loss.mmm_loss.mim.cls", m.mmm_image), f("loss.mmm_loss.mlm.cls", m.mmm_text);
    f("loss.itm_loss.pooler.dense", m.itm_pooler);
    f("loss.itm_loss.cls.seq_relationship", m.itm_head);
    f("loss.contrastive_loss.logit_scale", m.logit_scale);
  }
  /// Of an official checkpoint; its image tokenizer is another model.
  static std::vector<std::string> checkpoint_names(const std::string& name) {
    if (name.starts_with("image_codebook.") || name.ends_with(".position_ids")) return {};
    return {name};
  }

  auto image_states(auto& ctx, const auto& images) const {
    return image_encoder.hidden(ctx, image_encoder.embeddings(ctx, images));  // (B, N + 1, Dv)
  }
  auto text_states(auto& ctx, const Tokens& texts) const {
    return text_encoder.hidden(ctx, text_encoder.embeddings(ctx, texts));  // (B, L, Dt)
  }
  /// The normalised projection of each first state: (B, N + 1, Dv) or (B, L, Dt) -> (B, embed_dim).
  auto image_feature(auto& ctx, const auto& states) const {
    return l2_normalize(ctx, image_projection(ctx, image_encoder.first_normed(ctx, states)));
  }
  auto text_feature(auto& ctx, const auto& states) const {
    return l2_normalize(ctx, text_projection(ctx, text_encoder.first_normed(ctx, states)));
  }
  /// Both from the start: images (B, C, S, S), texts (B, L) -> (B, embed_dim).
  auto encode_image(auto& ctx, const auto& x) const {
    return image_feature(ctx, image_states(ctx, x));
  }
  auto encode_text(auto& ctx, const Tokens& x) const {
    return text_feature(ctx, text_states(ctx, x));
  }
  /// What the multimodal encoder reads of images: states (B, N + 1, Dv) -> (B, N + 1, D).
  auto image_for_matching(auto& ctx, const auto& states) const { return image_to_mm(ctx, states); }
  /// The normed multimodal [CLS] of P pairs: text states x (P, L, Dt), each with the image
  /// image_index[p] (null: p) of image_for_matching() -> (P, D).
  auto pair_states(auto& ctx, const auto& x, const auto& images,
                   const std::int32_t* image_index = nullptr) const {
    const auto image = image_index ? select(ctx, images, image_index, x.seq.count) : images;
    const auto pair = mm_encoder.embeddings(ctx, image, text_to_mm(ctx, x));  // (P, N + 2 + L, D)
    const auto cls = first_rows(ctx, pair.seq);
    return mm_encoder.normed(ctx, pair, &cls);  // (P, D)
  }
  /// Matching logits (no match, match) of such states (P, D), or of the pairs -> (P, 2).
  auto itm(auto& ctx, const auto& cls) const {
    return itm_head(ctx, tanh(ctx, itm_pooler(ctx, cls)));
  }
  auto itm_logits(auto& ctx, const auto& x, const auto& images, const std::int32_t* index) const {
    return itm(ctx, pair_states(ctx, x, images, index));
  }
};

}  // namespace albef
