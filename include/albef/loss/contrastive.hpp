// Image-text contrastive learning (ITC): in-batch symmetric, and against momentum features.
#pragma once

#include <cmath>

#include "albef/ops/cross_entropy.hpp"
#include "albef/ops/elementwise.hpp"
#include "albef/ops/gather.hpp"
#include "albef/ops/similarity.hpp"

namespace albef {

/// Largest logit_scale of CLIP, ln 100; the smallest is 0 (open_clip training/train.py).
inline constexpr double max_logit_scale = 4.605170185988092;

/// CLIP's loss on scaled logits (B, B) of image i and text j: the mean of the cross entropies of
/// rows and columns with the diagonal as target.
template <class Ctx, class Real>
Tensor<accumulator_t<Real>, 1> symmetric_cross_entropy(
    Ctx& ctx, const Tensor<Real, dynamic_width>& image_text,
    const Tensor<Real, dynamic_width>& text_image) {
  require(image_text.rows() == text_image.rows() && image_text.rows() == image_text.cols &&
              text_image.rows() == text_image.cols,
          "[symmetric_cross_entropy] got ", image_text.rows(), " images and ", text_image.rows(),
          " texts");
  return total(ctx, cross_entropy(ctx, image_text, SoftTargets<Real>{}, 0.5),
               cross_entropy(ctx, text_image, SoftTargets<Real>{}, 0.5));
}

/// Scaled similarities of some images to all texts and of as many texts to all images.
template <class Real>
struct ContrastiveLogits {
  Tensor<Real, dynamic_width> image_to_text, text_to_image;  ///< (K, B)
};

/// exp(logit_scale) times the similarities of normalised features (B, E) of B pairs: of the pairs
/// `counted` (K) to all, or of all (no selection).
template <class Ctx, class Real, int E>
ContrastiveLogits<Real> contrastive_logits(Ctx& ctx, const Tensor<Real, E>& image,
                                           const Tensor<Real, E>& text, ParamSpan logit_scale,
                                           const RowSelection& counted = {}) {
  require(image.rows() == text.rows(), "[contrastive] got ", image.rows(), " images and ",
          text.rows(), " texts");
  const auto chosen = [&](const auto& x) { return counted.index ? gather(ctx, x, counted) : x; };
  return {scale_exp(ctx, matmul_nt(ctx, chosen(image), text), logit_scale),
          scale_exp(ctx, matmul_nt(ctx, chosen(text), image), logit_scale)};
}
/// The mean of the cross entropies both ways; row k belongs to column labels[k] (null: k).
template <class Ctx, class Real>
Tensor<accumulator_t<Real>, 1> label_loss(Ctx& ctx, const ContrastiveLogits<Real>& logits,
                                          const std::int32_t* labels) {
  const SoftTargets<Real> targets{.labels = labels};
  return total(ctx, cross_entropy(ctx, logits.image_to_text, targets, 0.5),
               cross_entropy(ctx, logits.text_to_image, targets, 0.5));
}

/// The scaled similarities of one ITC pass, (B, B + Q) each; column b is the momentum feature of
/// pair b, the rest is the queue. Hard negatives are drawn from their first B columns.
template <class Real>
struct ItcSimilarities {
  Tensor<Real, dynamic_width> image_to_text, text_to_image;
};

/// Features that enter ITC, all (B, E): the student's, the momentum model's, and the queues (Q, E).
template <class Real, int E>
struct ItcFeatures {
  Tensor<Real, E> image, text, image_m, text_m;
  Mat<const Real> image_queue, text_queue;
  /// Identities of the pairs (B) and of [batch, queue] (B + Q), or null: pair b matches b alone.
  const std::int64_t *identities = nullptr, *key_identities = nullptr;
};

/// s(I, T_m) / temp and s(T, I_m) / temp over [batch, queue] (paper section 3.2, eq. 1).
template <class Ctx, class Real, int E>
ItcSimilarities<Real> itc_similarities(Ctx& ctx, const ItcFeatures<Real, E>& f, ParamSpan temp) {
  ctx.check(f.image_m, f.text_m);
  require(f.image.rows() == f.text.rows(), "[itc] got ", f.image.rows(), " images and ",
          f.text.rows(), " texts");
  require(f.image_m.rows() == f.image.rows() && f.text_m.rows() == f.text.rows(),
          "[itc] got momentum features of ", f.image_m.rows(), " images and ", f.text_m.rows(),
          " texts, expected ", f.image.rows());
  return {divide(ctx, similarity(ctx, f.image, f.text_m.mat(), f.text_queue), temp),
          divide(ctx, similarity(ctx, f.text, f.image_m.mat(), f.image_queue), temp)};
}

/// L_itc = 1/2 [H(y_i2t, p_i2t) + H(y_t2i, p_t2i)] with targets y = (1 - alpha) onehot + alpha q;
/// q are the momentum model's own similarities (eq. 2 and 6; model_pretrain.py:113-128). With
/// alpha = 0 the teacher's similarities are not computed. With identities, all keys of the pair's
/// identity share the place of the one (model_retrieval.py:73-76).
template <class Ctx, class Real, int E>
Tensor<Real, 1> itc_loss(Ctx& ctx, const ItcFeatures<Real, E>& f,
                         const ItcSimilarities<Real>& student, ParamSpan temp, double alpha) {
  SoftTargets<Real> i2t{
      .row_identities = f.identities, .column_identities = f.key_identities, .alpha = alpha};
  SoftTargets<Real> t2i = i2t;
  if (alpha > 0) {
    const auto teacher = ctx.no_grad([&] {
      return itc_similarities(ctx,
                              ItcFeatures<Real, E>{.image = f.image_m,
                                                   .text = f.text_m,
                                                   .image_m = f.image_m,
                                                   .text_m = f.text_m,
                                                   .image_queue = f.image_queue,
                                                   .text_queue = f.text_queue},
                              temp);
    });
    i2t.teacher = teacher.image_to_text.mat();
    t2i.teacher = teacher.text_to_image.mat();
  }
  return total(ctx, cross_entropy(ctx, student.image_to_text, i2t, 0.5),
               cross_entropy(ctx, student.text_to_image, t2i, 0.5));
}

/// ITC loss (mean of both directions) when all candidates look alike.
inline double itc_plateau(int queue, int batch) {
  return std::log(static_cast<double>(queue) + batch);
}

}  // namespace albef
