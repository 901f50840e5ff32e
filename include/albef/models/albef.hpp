// The ALBEF model: image encoder, BERT text and fusion encoder, projections, ITM head, temperature.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "albef/models/bert.hpp"
#include "albef/models/pretrained_names.hpp"
#include "albef/models/vit.hpp"
#include "albef/ops/gather.hpp"
#include "albef/ops/norm.hpp"

namespace albef {

/// Everything ALBEF pre-trains (models/model_pretrain.py). Its parts are called by the objectives
/// of tasks/pretrain.hpp and by retrieval; parameter names equal the official ones.
template <class C>
struct Albef {
  static_assert(detail::CheckAlbefConfig<C>::ok);
  using Config = C;
  static constexpr int image_width = C::vision_width, text_width = C::hidden_size;
  static constexpr int image_tokens = Vit<C>::patches + 1;
  Vit<C> visual_encoder;
  BertForMaskedLm<C> text_encoder;
  Linear<C::vision_width, C::embed_dim> vision_proj;
  Linear<C::hidden_size, C::embed_dim> text_proj;
  Linear<C::hidden_size, 2> itm_head;
  Param<> temp{init::constant(0.07f)};

  static constexpr void fields(auto& m, auto&& f) {
    f("temp", m.temp);
    f("visual_encoder", m.visual_encoder);
    f("text_encoder", m.text_encoder);
    f("vision_proj", m.vision_proj);
    f("text_proj", m.text_proj);
    f("itm_head", m.itm_head);
  }
  /// The momentum model has no ITM head and no temperature (model_pretrain.py:63-76).
  static constexpr bool has_twin(std::string_view name) {
    return name != "temp" && !name.starts_with("itm_head.");
  }

  /// Of an official fine-tuned checkpoint, too; its queues are no parameters.
  static std::vector<std::string> checkpoint_names(const std::string& name) {
    if (is_queue(name)) return {};
    return {pretrain_name(name)};
  }
  /// What a checkpoint may lack: official fine-tuned ones have no vocabulary head.
  static bool dispensable(std::string_view name) { return name.starts_with("text_encoder.cls."); }

  /// images (B, 3, S, S) -> (B, N, Dv), texts (B, L) -> (B, L, D).
  auto image_states(auto& ctx, const auto& images) const { return visual_encoder(ctx, images); }
  auto text_states(auto& ctx, const Tokens& texts) const {
    return text_encoder.bert.text(ctx, texts);
  }
  /// Normalised projection of the image's class token: states (B, N, Dv) -> (B, embed_dim).
  auto image_feature(auto& ctx, const auto& image) const {
    return l2_normalize(ctx, vision_proj(ctx, first(ctx, image)));
  }
  /// Normalised projection of the text's [CLS]: states (B, L, D) -> (B, embed_dim).
  auto text_feature(auto& ctx, const auto& text) const {
    return l2_normalize(ctx, text_proj(ctx, first(ctx, text)));
  }
  /// Both from the start: images (B, 3, S, S), texts (B, L) -> (B, embed_dim).
  auto encode_image(auto& ctx, const auto& images) const {
    return image_feature(ctx, image_states(ctx, images));
  }
  auto encode_text(auto& ctx, const Tokens& texts) const {
    return text_feature(ctx, text_states(ctx, texts));
  }
  /// Keys and values of images, for all texts that look at them: states (B, N, Dv).
  auto image_for_matching(auto& ctx, const auto& states) const {
    return text_encoder.bert.image_keys_values(ctx, states);
  }
  /// Matching logits (no match, match) of text-image pairs: text states x (P, L, D), keys/values
  /// of images, text p looking at image image_index[p] (null: p) -> (P, 2). The last fusion layer
  /// runs for [CLS] only.
  auto itm_logits(auto& ctx, const auto& x, const auto& kv, const std::int32_t* image_index) const {
    const auto cls = text_encoder.bert.fusion(ctx, x, kv, image_index, first_rows(ctx, x.seq));
    return itm_head(ctx, cls);  // (P, 2)
  }
};

}  // namespace albef
