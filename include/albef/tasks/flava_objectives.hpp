// The objectives of FLAVA, as template arguments over one shared forward pass (Singh et al. 2022,
// section 4.1; modules/losses/flava.py of TorchMultimodal).
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "albef/loss/contrastive.hpp"
#include "albef/ops/cross_entropy.hpp"
#include "albef/tasks/flava_input.hpp"

namespace albef {

/// What the objectives of a step share, and their losses. What belongs to other kinds of batches or
/// to absent objectives has no data.
template <class Ctx, class C>
struct FlavaPass {
  using Real = typename Ctx::Real;
  using Master = typename Ctx::Master;
  Ctx& ctx;
  const Flava<C>& model;
  const FlavaInput<Real, C>& in;
  Tensor<Real, C::vision_width> image =
      {};                                   ///< of pictures alone, normed at masked patches (M, Dv)
  Tensor<Real, C::hidden_size> text = {};   ///< of texts alone, normed at masked tokens (M, Dt)
  Tensor<Real, Flava<C>::width> pair = {};  ///< normed multimodal states of in.pair_rows
  Tensor<Master, C::embed_dim> image_feature = {}, text_feature = {};  ///< (B, embed_dim)
  Tensor<Master, 1> loss = {};                                         ///< the sum of the parts
  std::array<std::pair<const char*, Tensor<Master, 1>>, 6> parts = {};
  std::size_t count = 0;  ///< of parts
};

/// The objectives: from which kind of batch each learns, what its loss is called, its logits, and
/// which column is right.
namespace flava {

template <FlavaKind Kind>
struct From {
  static constexpr FlavaKind kind = Kind;
};
/// Masked image modelling: the codes of hidden patches of pictures alone.
struct Mim : From<FlavaKind::images> {
  static constexpr const char* name = "mim";
  static auto logits(auto& pass) { return pass.model.mim(pass.ctx, pass.image); }  // (M, codes)
  static auto labels(auto& pass) { return pass.in.code_labels; }
};
/// Masked language modelling: the masked words of texts alone.
struct Mlm : From<FlavaKind::texts> {
  static constexpr const char* name = "mlm";
  static auto logits(auto& pass) { return pass.model.mlm(pass.ctx, pass.text); }  // (M, V)
  static auto labels(auto& pass) { return pass.in.token_labels; }
};
/// Masked multimodal modelling: codes of hidden patches of pairs, with the text as context.
struct MmmImage : From<FlavaKind::pairs> {
  static constexpr const char* name = "mmm_image";
  static auto logits(auto& pass) {
    const auto states = gather(pass.ctx, pass.pair, pass.in.masked_patches);  // (M, D)
    return pass.model.mmm_image(pass.ctx, states);                            // (M, codes)
  }
  static auto labels(auto& pass) { return pass.in.code_labels; }
};
/// The same of masked words, with the picture as context.
struct MmmText : From<FlavaKind::pairs> {
  static constexpr const char* name = "mmm_text";
  static auto logits(auto& pass) {
    const auto states = gather(pass.ctx, pass.pair, pass.in.masked_tokens);  // (M, D)
    return pass.model.mmm_text(pass.ctx, states);                            // (M, V)
  }
  static auto labels(auto& pass) { return pass.in.token_labels; }
};
/// Image-text matching: which pairs the loader has mixed up.
struct Itm : From<FlavaKind::pairs> {
  static constexpr const char* name = "itm";
  static auto logits(auto& pass) {
    return pass.model.itm(pass.ctx, gather(pass.ctx, pass.pair, pass.in.cls));  // (B, 2)
  }
  static auto labels(auto& pass) { return pass.in.itm_labels; }
};
/// Global contrast of pictures and texts as they are, both ways.
struct Contrastive : From<FlavaKind::pairs> {
  static constexpr const char* name = "contrastive";
  static auto logits(auto& pass) {
    return contrastive_logits(pass.ctx, pass.image_feature, pass.text_feature,
                              pass.model.logit_scale, pass.in.counted);  // (K, B) each
  }
  static auto labels(auto& pass) { return pass.in.counted.index; }
};

}  // namespace flava

/// The forward pass of one step with the given objectives: those that learn from the batch's kind.
/// What they share is computed once, what none needs is not. Pictures and texts of pairs go through
/// their encoders once, as they are and masked together; last layers and heads compute only the
/// rows that are read. The loss is the plain sum.
template <class... Objectives>
struct FlavaPretrain {
  template <class O>
  static constexpr bool has = (... || std::is_same_v<Objectives, O>);
  static constexpr FlavaPairParts parts{has<flava::Contrastive>, has<flava::Itm>,
                                        has<flava::MmmImage>, has<flava::MmmText>};
  FlavaOptions options;

  template <class Ctx, class C>
  auto operator()(Ctx& ctx, const Flava<C>& model,
                  const FlavaInput<typename Ctx::Real, C>& in) const {
    require((... || (Objectives::kind == in.kind)), "[flava] no objective learns from batches of ",
            name_of(in.kind));
    clamp_parameter(ctx, model.logit_scale, options.scale_min, options.scale_max);
    FlavaPass<Ctx, C> pass{ctx, model, in};
    const auto& images = model.image_encoder;
    const auto& texts = model.text_encoder;
    if (in.kind == FlavaKind::images)
      pass.image =
          images.normed(ctx, images.embeddings(ctx, in.image, &in.patches), &in.image_rows);
    else if (in.kind == FlavaKind::texts)
      pass.text = texts.normed(ctx, texts.embeddings(ctx, in.text), &in.text_rows);
    else
      encode_pairs(pass);
    (add_loss<Objectives>(pass), ...);
    return pass;
  }

 private:
  template <class O>
  static void add_loss(auto& pass) {
    if (O::kind != pass.in.kind) return;
    const auto loss = label_loss(pass.ctx, O::logits(pass), O::labels(pass));
    pass.loss = pass.count == 0 ? loss : add(pass.ctx, pass.loss, loss);
    pass.parts[pass.count++] = {O::name, loss};
  }
  template <class Ctx, class C>
  static void encode_pairs(FlavaPass<Ctx, C>& pass) {
    auto& ctx = pass.ctx;
    const auto& model = pass.model;
    const auto& in = pass.in;
    const auto x =
        model.image_encoder.embeddings.template operator() < parts.clean &&
        parts.fused() >
            (ctx, in.image, parts.fused() ? &in.patches : nullptr);  // (B or 2 B, N + 1, Dv)
    const auto y = model.text_encoder.embeddings(ctx, in.text);      // (B or 2 B, L, Dt)
    const auto image = model.image_encoder.hidden(ctx, x, parts.clean ? &in.image_rows : nullptr);
    const auto text = model.text_encoder.hidden(ctx, y, parts.clean ? &in.text_rows : nullptr,
                                                in.seen.index ? &in.seen : nullptr);
    if constexpr (parts.clean) {
      pass.image_feature = model.image_feature(ctx, slice(ctx, image, 0, batch_of(in.size)));
      pass.text_feature = model.text_feature(ctx, slice(ctx, text, 0, batch_of(in.size)));
    }
    if constexpr (parts.fused()) {
      const int first = parts.clean ? in.size : 0;
      const auto i = slice(ctx, image, first, in.masked_image);  // (B, N + 1, Dv)
      const auto t = slice(ctx, text, first, in.masked_text);    // (B, L, Dt)
      const auto z = model.mm_encoder.embeddings(ctx, model.image_to_mm(ctx, i),
                                                 model.text_to_mm(ctx, t));  // (B, N + 2 + L, D)
      pass.pair = model.mm_encoder.normed(ctx, z, &in.pair_rows);            // (rows, D)
    }
  }
};

/// The full objective of the paper.
using FlavaObjectives = FlavaPretrain<flava::Mim, flava::Mlm, flava::MmmImage, flava::MmmText,
                                      flava::Itm, flava::Contrastive>;

}  // namespace albef
