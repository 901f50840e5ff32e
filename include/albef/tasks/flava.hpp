// FLAVA's pre-training step: objectives as template arguments over one shared forward pass
// (Singh et al. 2022, section 4.1; modules/losses/flava.py of TorchMultimodal).
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "albef/loss/contrastive.hpp"
#include "albef/ops/cross_entropy.hpp"
#include "albef/tasks/flava_input.hpp"
#include "albef/train/objective.hpp"

namespace albef {

struct FlavaOptions {
  double scale_min = 0, scale_max = 4.6052;  ///< clamp of the logit scale, in place, at each use
  /// 0: padding takes no part, as in newer versions of transformers, and the multimodal encoder
  /// runs over the tokens that are there. Else texts of pairs are padded to so many tokens, and the
  /// multimodal encoder attends to padding as to all others, as TorchMultimodal's does.
  int padded_text = 0;
};

/// Results of the forward pass; what belongs to other batches or absent objectives has no data.
template <class Ctx, class C>
struct FlavaResult {
  using Real = typename Ctx::Real;
  using Master = typename Ctx::Master;
  Tensor<Master, 1> loss;
  std::array<std::pair<const char*, Tensor<Master, 1>>, 6> parts;
  std::size_t count = 0;                            ///< of parts
  Tensor<Real, image_vocab_size<C>()> code_logits;  ///< (M, codes) at masked patches
  Tensor<Real, C::vocab_size> word_logits;          ///< (M, V) at masked tokens
  Tensor<Real, 2> itm_logits;                       ///< (B, 2)
  ContrastiveLogits<Master> contrastive;            ///< (counted, B) both ways
};

/// What the objectives of a step share.
template <class Ctx, class C>
struct FlavaPass {
  using Real = typename Ctx::Real;
  Ctx& ctx;
  const Flava<C>& model;
  const FlavaInput<Real, C>& in;
  const std::int32_t* codes;  ///< (B N) of all patches
  FlavaResult<Ctx, C> result = {};
  Tensor<Real, C::vision_width> image =
      {};                                   ///< of pictures alone, normed at masked patches (M, Dv)
  Tensor<Real, C::hidden_size> text = {};   ///< of texts alone, normed at masked tokens (M, Dt)
  Tensor<Real, Flava<C>::width> pair = {};  ///< normed multimodal states of in.pair_rows
  Tensor<typename Ctx::Master, C::embed_dim> image_feature = {}, text_feature = {};  ///< (B, E)

  auto code_loss(const auto& head, const auto& states) {
    const int n = in.masked_codes.seq.rows();
    auto* labels = ctx.template allocate<std::int32_t>(n);
    run(ctx.device(), primitive::GatherIds{codes, in.masked_codes.index, n, labels});
    result.code_logits = head(ctx, states);  // (M, codes)
    return cross_entropy(ctx, result.code_logits, SoftTargets<Real>{.labels = labels});
  }
  auto word_loss(const auto& head, const auto& states) {
    result.word_logits = head(ctx, states);  // (M, V)
    return cross_entropy(ctx, result.word_logits, SoftTargets<Real>{.labels = in.token_labels});
  }
};

/// The objectives: from which kind of batch each learns, what its loss is called, and the loss.
namespace flava {

/// Masked image modelling: the codes of hidden patches of pictures alone.
struct Mim {
  static constexpr FlavaKind kind = FlavaKind::images;
  static constexpr const char* name = "mim";
  static auto loss(auto& pass) { return pass.code_loss(pass.model.mim, pass.image); }
};
/// Masked language modelling: the masked words of texts alone.
struct Mlm {
  static constexpr FlavaKind kind = FlavaKind::texts;
  static constexpr const char* name = "mlm";
  static auto loss(auto& pass) { return pass.word_loss(pass.model.mlm, pass.text); }
};
/// Masked multimodal modelling: codes of hidden patches of pairs, with the text as context.
struct MmmImage {
  static constexpr FlavaKind kind = FlavaKind::pairs;
  static constexpr const char* name = "mmm_image";
  static auto loss(auto& pass) {
    return pass.code_loss(pass.model.mmm_image,
                          gather(pass.ctx, pass.pair, pass.in.masked_patches));
  }
};
/// The same of masked words, with the picture as context.
struct MmmText {
  static constexpr FlavaKind kind = FlavaKind::pairs;
  static constexpr const char* name = "mmm_text";
  static auto loss(auto& pass) {
    return pass.word_loss(pass.model.mmm_text, gather(pass.ctx, pass.pair, pass.in.masked_tokens));
  }
};
/// Image-text matching: which pairs the loader has mixed up.
struct Itm {
  static constexpr FlavaKind kind = FlavaKind::pairs;
  static constexpr const char* name = "itm";
  template <class Ctx, class C>
  static auto loss(FlavaPass<Ctx, C>& pass) {
    auto& logits = pass.result.itm_logits;
    logits = pass.model.itm(pass.ctx, gather(pass.ctx, pass.pair, pass.in.cls));  // (B, 2)
    return cross_entropy(pass.ctx, logits,
                         SoftTargets<typename Ctx::Real>{.labels = pass.in.itm_labels});
  }
};
/// Global contrast of the pictures and texts as they are.
struct Contrastive {
  static constexpr FlavaKind kind = FlavaKind::pairs;
  static constexpr const char* name = "contrastive";
  static auto loss(auto& pass) {
    auto& logits = pass.result.contrastive;
    logits = contrastive_logits(pass.ctx, pass.image_feature, pass.text_feature,
                                pass.model.logit_scale, pass.in.counted);
    return contrastive_loss(pass.ctx, logits, pass.in.counted.index);
  }
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
  static constexpr bool fused = has<flava::MmmImage> || has<flava::MmmText> || has<flava::Itm>;
  static constexpr FlavaPairParts parts{has<flava::Contrastive>, fused, has<flava::Itm>,
                                        has<flava::MmmImage>, has<flava::MmmText>};
  static constexpr bool reads_codes(FlavaKind kind) {
    return kind == FlavaKind::images ? has<flava::Mim> : kind == FlavaKind::pairs && parts.image;
  }
  FlavaOptions options;

  /// `codes` (B N) of a batch whose kind reads_codes(), on the device.
  template <class Ctx, class C>
  auto operator()(Ctx& ctx, const Flava<C>& model, const FlavaInput<typename Ctx::Real, C>& in,
                  const std::int32_t* codes) const {
    require((... || (Objectives::kind == in.kind)), "[flava] no objective learns from batches of ",
            in.kind == FlavaKind::images  ? "pictures"
            : in.kind == FlavaKind::texts ? "texts"
                                          : "pairs");
    clamp_parameter(ctx, model.logit_scale, options.scale_min, options.scale_max);
    FlavaPass<Ctx, C> pass{ctx, model, in, codes};
    if (in.kind == FlavaKind::images) {
      const auto x = model.image_encoder.embeddings(ctx, in.image, &in.patches);  // (B, N + 1, Dv)
      pass.image = model.image_encoder.layernorm(
          ctx, model.image_encoder.hidden(ctx, x, &in.image_rows));  // (M, Dv)
    } else if (in.kind == FlavaKind::texts) {
      const auto x = model.text_encoder.embeddings(ctx, in.text);  // (B, L, Dt)
      pass.text = model.text_encoder.layernorm(
          ctx, model.text_encoder.hidden(ctx, x, &in.text_rows));  // (M, Dt)
    } else {
      encode_pairs(pass);
    }
    auto& result = pass.result;
    const auto add_loss = [&]<class O>(const O&) {
      if (O::kind != in.kind) return;
      const auto loss = O::loss(pass);
      result.loss = result.count == 0 ? loss : add(ctx, result.loss, loss);
      result.parts[result.count++] = {O::name, loss};
    };
    (add_loss(Objectives{}), ...);
    return result;
  }

 private:
  template <class Ctx, class C>
  static void encode_pairs(FlavaPass<Ctx, C>& pass) {
    auto& [ctx, model, in, codes, result, image, text, pair, image_feature, text_feature] = pass;
    constexpr bool both = parts.clean && fused;
    const RowMask* mask = fused ? &in.patches : nullptr;
    const auto x = model.image_encoder.embeddings.template operator()<both>(ctx, in.image, mask);
    const auto y = model.text_encoder.embeddings(ctx, in.text);
    const auto i = model.image_encoder.hidden(ctx, x, parts.clean ? &in.image_rows : nullptr);
    const auto t = model.text_encoder.hidden(ctx, y, parts.clean ? &in.text_rows : nullptr,
                                             in.seen.index ? &in.seen : nullptr);
    if constexpr (parts.clean) {
      image_feature = model.image_feature(ctx, slice(ctx, i, 0, batch_of(in.size)));  // (B, E)
      text_feature = model.text_feature(ctx, slice(ctx, t, 0, batch_of(in.size)));    // (B, E)
    }
    if constexpr (fused) {
      const int first = parts.clean ? in.size : 0;
      const auto masked_image =
          slice(ctx, i, first, uniform_sequences(in.size, Flava<C>::patches + 1));
      const auto masked_text = slice(ctx, t, first, in.masked_text);
      const auto z =
          model.mm_encoder.embeddings(ctx, model.image_to_mm(ctx, masked_image),
                                      model.text_to_mm(ctx, masked_text));  // (B, N + 2 + L, D)
      pair = model.mm_encoder.layernorm(
          ctx, model.mm_encoder.hidden(ctx, z, &in.pair_rows));  // (rows, D)
    }
  }
};

/// The full objective of the paper.
using FlavaObjectives = FlavaPretrain<flava::Mim, flava::Mlm, flava::MmmImage, flava::MmmText,
                                      flava::Itm, flava::Contrastive>;

/// The codes that a batch brings.
template <class C>
struct GivenCodes {
  template <class Ctx>
  const std::int32_t* operator()(Ctx& ctx, const FlavaBatch& batch) const {
    require(!batch.codes.empty(), "the batch has no codes of its patches");
    for (const std::int32_t code : batch.codes)
      require(code >= 0 && code < image_vocab_size<C>(), "a patch has code ", code,
              ", expected 0 to ", image_vocab_size<C>() - 1);
    return ctx.upload(batch.codes);
  }
};

/// FLAVA's pre-training as an objective; Parts is a FlavaPretrain<...>. Codes gives the codes of
/// all patches of a batch, codes(ctx, batch) -> (B N) on the device: those of the batch, or an
/// image tokenizer's.
template <class C, class Parts = FlavaObjectives, class Codes = GivenCodes<C>>
struct FlavaPretraining {
  using Model = Flava<C>;
  using Batch = FlavaBatch;
  FlavaOptions options = {};
  Codes codes = {};

  auto operator()(auto& ctx, const Model& model, const FlavaBatch& batch, const Step&) const {
    const auto in = upload<C>(ctx, batch, Parts::parts, options.padded_text);
    const bool coded = Parts::reads_codes(batch.kind) && in.masked_codes.seq.rows() > 0;
    const auto result = Parts{options}(ctx, model, in, coded ? codes(ctx, batch) : nullptr);
    Losses losses(result.loss);
    for (std::size_t i = 0; i < result.count; ++i)
      losses.part(result.parts[i].first, result.parts[i].second);
    return losses.metric("logit_scale", ctx.master_weight(model.logit_scale));
  }
  std::vector<PlateauRule> plateaus(int batch_size) const {
    const double image = std::log(image_vocab_size<C>()), text = std::log(C::vocab_size);
    return {{"mim", image},
            {"mlm", text},
            {"mmm_image", image},
            {"mmm_text", text},
            {"itm", 0.3251, 0.005},  // one pair of ten is mixed up
            {"contrastive", itc_plateau(0, batch_size)}};
  }
};

}  // namespace albef
