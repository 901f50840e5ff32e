// Recall of image-text retrieval from scores, as the official evaluation counts it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "albef/core/error.hpp"

namespace albef {

/// Recall at 1, 5, 10 in percent: texts for images (tr) and images for texts (ir).
struct Recall {
  double tr1 = 0, tr5 = 0, tr10 = 0, ir1 = 0, ir5 = 0, ir10 = 0;
  double tr_mean() const { return (tr1 + tr5 + tr10) / 3; }
  double ir_mean() const { return (ir1 + ir5 + ir10) / 3; }
  double mean() const { return (tr_mean() + ir_mean()) / 2; }
};

namespace detail {

/// How many of `scores` rank before item `item`; equal scores rank by descending index, as the
/// official np.argsort(...)[::-1] does. A score that is not a number ranks behind all others.
inline int rank_of(std::span<const float> scores, int item) {
  const float own = scores[static_cast<std::size_t>(item)];
  int before = 0;
  for (int j = 0; j < static_cast<int>(scores.size()); ++j) {
    if (j == item) continue;
    const float other = scores[static_cast<std::size_t>(j)];
    before += std::isnan(own) || other > own || (other == own && j > item);
  }
  return before;
}

}  // namespace detail

/// The official itm_eval (Retrieval.py): score_i2t (images x texts) and score_t2i (texts x images),
/// row-major; text_image[t] is the image that text t describes. An image counts as found at the
/// best rank of its texts; images without a text are left out.
inline Recall recall(std::span<const float> score_i2t, std::span<const float> score_t2i,
                     std::span<const int> text_image, int images) {
  const int texts = static_cast<int>(text_image.size());
  std::vector<int> best(static_cast<std::size_t>(images), texts);
  Recall r;
  for (int t = 0; t < texts; ++t) {
    const int image = text_image[static_cast<std::size_t>(t)];
    require(image >= 0 && image < images, "[recall] text ", t, " belongs to image ", image,
            ", expected 0..", images - 1);
    const auto row =
        score_i2t.subspan(static_cast<std::size_t>(image) * static_cast<std::size_t>(texts),
                          static_cast<std::size_t>(texts));
    int& b = best[static_cast<std::size_t>(image)];
    b = std::min(b, detail::rank_of(row, t));
    const int rank = detail::rank_of(
        score_t2i.subspan(static_cast<std::size_t>(t) * static_cast<std::size_t>(images),
                          static_cast<std::size_t>(images)),
        image);
    r.ir1 += rank < 1, r.ir5 += rank < 5, r.ir10 += rank < 10;
  }
  int counted = 0;
  for (const int rank : best) {
    if (rank == texts) continue;
    ++counted;
    r.tr1 += rank < 1, r.tr5 += rank < 5, r.tr10 += rank < 10;
  }
  for (double* v : {&r.tr1, &r.tr5, &r.tr10}) *v *= 100.0 / std::max(1, counted);
  for (double* v : {&r.ir1, &r.ir5, &r.ir10}) *v *= 100.0 / std::max(1, texts);
  return r;
}

}  // namespace albef
