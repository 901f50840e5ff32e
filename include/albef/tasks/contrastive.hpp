// Contrastive training of any two encoders on pairs (CLIP; Radford et al. 2021, section 2.3).
#pragma once

#include <tuple>
#include <type_traits>
#include <vector>

#include "albef/data/pair_batch.hpp"
#include "albef/loss/contrastive.hpp"
#include "albef/models/inputs.hpp"
#include "albef/ops/elementwise.hpp"
#include "albef/ops/similarity.hpp"
#include "albef/train/objective.hpp"
#include "albef/train/shared_features.hpp"

namespace albef {

/// The symmetric cross entropy over a batch's pairs, for a model M with encode_image(ctx, images)
/// and encode_text(ctx, tokens) -> normalised features (B, E), the parameter logit_scale, and a
/// Config that says how large pictures and vocabulary are.
template <class M>
struct Contrastive {
  using Model = M;
  using Batch = PairBatch;

  /// Images and texts (B, E), which batches that are accumulated share; see check_objective().
  auto features(auto& ctx, const M& model, const PairBatch& batch, const Step&) const {
    using C = typename M::Config;
    detail::check_batch(batch);
    const auto images = upload_images<C>(ctx, batch);  // (B, 3, S, S)
    const auto i = model.encode_image(ctx, images);    // (B, E)
    return std::tuple(i, model.encode_text(ctx, upload_tokens<C>(ctx, batch.text)));  // (B, E)
  }
  auto operator()(auto& ctx, const M& model, const PairBatch& batch, const Step& step) const {
    const auto [image, text] = features(ctx, model, batch, step);              // (B, E)
    const auto i = of_all_passes(ctx, step, 0, image);                         // (N, E)
    const auto t = of_all_passes(ctx, step, 1, text);                          // (N, E)
    const auto i2t = scale_exp(ctx, matmul_nt(ctx, i, t), model.logit_scale);  // (N, N)
    const auto t2i = scale_exp(ctx, matmul_nt(ctx, t, i), model.logit_scale);  // (N, N)
    return Losses(symmetric_cross_entropy(ctx, i2t, t2i))
        .metric("logit_scale", ctx.master_weight(model.logit_scale));
  }
  /// exp(logit_scale) stays from 1 to 100 (open_clip training/train.py).
  void after_update(auto& store, const M& model) const {
    using Master = std::remove_pointer_t<decltype(store.data(Plane::online))>;
    run(store.device(), primitive::Clamp<Master>{store.data(Plane::online, model.logit_scale), 1, 0,
                                                 static_cast<Master>(max_logit_scale)});
  }
  std::vector<PlateauRule> plateaus(int batch_size) const {
    return {{"loss", itc_plateau(0, batch_size)}};
  }
};

}  // namespace albef
