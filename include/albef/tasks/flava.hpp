// FLAVA's pre-training as an objective of fit(): from batches of the host to named losses.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "albef/data/flava_batch.hpp"
#include "albef/tasks/flava_objectives.hpp"
#include "albef/train/objective.hpp"

namespace albef {

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
    auto in = upload<C>(ctx, batch, Parts::parts, options.padded_text);
    if (in.masked_codes.seq.rows() > 0) take_codes<C>(ctx, codes(ctx, batch), in);
    const auto pass = Parts{options}(ctx, model, in);
    Losses losses(pass.loss);
    for (std::size_t i = 0; i < pass.count; ++i)
      losses.part(pass.parts[i].first, pass.parts[i].second);
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
