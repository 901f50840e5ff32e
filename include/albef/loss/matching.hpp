// Image-text matching (ITM): negative pairs, uniform or hard, and the two-way loss.
#pragma once

#include <cmath>

#include "albef/core/context.hpp"
#include "albef/ops/cross_entropy.hpp"
#include "albef/ops/gather.hpp"

namespace albef {

/// Negatives of a batch: image for text b, text for image b, and the weights they were drawn with.
template <class Real>
struct Negatives {
  const std::int32_t* image = nullptr;    ///< (B): image paired with text b
  const std::int32_t* text = nullptr;     ///< (B): text paired with image b
  Mat<Real> image_weights, text_weights;  ///< (B, B), row = text or image
};

/// How negatives are drawn.
struct NegativeOptions {
  /// Added to every candidate's weight, so that the draw is defined when all similarities
  /// underflow (BLIP). The official ALBEF code has 0.
  double epsilon = 1e-4;
  /// Never draw a pair of the same identity (the same image or caption twice in the batch). The
  /// official code excludes only the pair itself.
  bool exclude_same_identity = true;
};

/// Draws one negative image per text and one negative text per image. `text_to_image` and
/// `image_to_text` are similarities whose first B columns are the batch (hard negatives, paper
/// section 3.2); null data draws uniformly. identities: (B) on the device, or null.
template <class Ctx>
auto draw_negatives(Ctx& ctx, int batch, Mat<const typename Ctx::Master> text_to_image,
                    Mat<const typename Ctx::Master> image_to_text, const std::int64_t* identities,
                    const NegativeOptions& options) {
  using Real = typename Ctx::Master;
  require(batch >= 2, "[itm] a batch of ", batch, " pair has no negatives, expected at least 2");
  for (const auto& m : {text_to_image, image_to_text})
    require(!m.data || (m.rows == batch && m.cols >= batch), "[itm] similarities of (", m.rows,
            ", ", m.cols, ") for a batch of ", batch);
  const auto draw = [&](Mat<const Real> logits, Mat<Real> weights) {
    auto* index = ctx.template allocate<std::int32_t>(batch);
    run(ctx.device(), primitive::SampleNegatives<Real>{
                          .logits = logits,
                          .n = batch,
                          .uniform = logits.data == nullptr,
                          .epsilon = static_cast<Real>(options.epsilon),
                          .identities = options.exclude_same_identity ? identities : nullptr,
                          .philox = ctx.philox(),
                          .stream = ctx.next_stream(),
                          .index = index,
                          .weights = weights.data});
    return index;
  };
  const auto weights = [&] {
    return mat(ctx.template allocate<Real>(std::int64_t{batch} * batch), batch, batch);
  };
  Negatives<Real> n{.image_weights = weights(), .text_weights = weights()};
  n.image = draw(text_to_image, n.image_weights);
  n.text = draw(image_to_text, n.text_weights);
  return n;
}

/// The 3 B pairs ITM classifies: (text b, image b), (text b, its negative image), (negative text
/// of image b, image b).
struct ItmPairs {
  const std::int32_t* text = nullptr;    ///< (3 B)
  const std::int32_t* image = nullptr;   ///< (3 B)
  const std::int32_t* labels = nullptr;  ///< (3 B): 1 for the first B, else 0
  int count = 0;
};

/// ITM loss of a model that only knows that one of three pairs matches: 0.6365.
inline double itm_plateau() { return std::log(3.0) - std::log(2.0) * 2 / 3; }

template <class Ctx, class Real>
ItmPairs itm_pairs(Ctx& ctx, int batch, const Negatives<Real>& negatives) {
  auto* text = ctx.template allocate<std::int32_t>(3 * batch);
  auto* image = ctx.template allocate<std::int32_t>(3 * batch);
  auto* labels = ctx.template allocate<std::int32_t>(3 * batch);
  run(ctx.device(), primitive::PairIndices{.batch = batch,
                                           .negative_image = negatives.image,
                                           .negative_text = negatives.text,
                                           .text = text,
                                           .image = image});
  fill(ctx.device(), labels, std::int32_t{1}, batch);
  fill(ctx.device(), labels + batch, std::int32_t{0}, 2 * batch);
  return {text, image, labels, 3 * batch};
}

}  // namespace albef
