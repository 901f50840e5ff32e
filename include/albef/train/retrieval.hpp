// Retrieval with a trained model: evaluation of a whole data set, and search for single queries.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "albef/train/encode.hpp"

namespace albef {

/// Scores of a data set both ways, and what follows from them.
struct RetrievalResult {
  int images = 0, texts = 0, k = 0;
  std::vector<float> similarities;      ///< (images, texts) cosines
  std::vector<float> itm_i2t, itm_t2i;  ///< (images, texts), (texts, images); see rerank()
  Recall itc;                           ///< ranked by similarity alone
  Recall itm;                           ///< the k most similar re-ranked by the matching head
  double seconds = 0;
};

/// Evaluates image-text retrieval as the official code does (Retrieval.py): the pool is the data
/// set's pictures and captions, and for every query the `k` most similar candidates are re-ranked
/// by image-text matching.
template <class C, class Device>
RetrievalResult evaluate_retrieval(InferenceModel<C, Device>& m, const Source& source,
                                   const RetrievalSet& set, int k,
                                   const EncodingOptions& options = {}) {
  require(!set.images.empty() && !set.texts.empty(), "retrieval: got ", set.images.size(),
          " pictures and ", set.texts.size(), " texts, expected at least one of each");
  require(k > 0, "retrieval: k is ", k, ", expected at least 1");
  const auto start = std::chrono::steady_clock::now();
  auto pool = retrieval_pool(m);
  add_images(m, pool, source, set.images, options);
  add_texts(m, pool, set.texts, options);

  RetrievalResult r;
  r.images = pool.images(), r.texts = pool.texts(), r.k = k;
  r.similarities = pool.similarities();
  const auto images = static_cast<std::size_t>(r.images), texts = static_cast<std::size_t>(r.texts);
  std::vector<float> transposed(r.similarities.size());
  for (std::size_t i = 0; i < images; ++i)
    for (std::size_t t = 0; t < texts; ++t)
      transposed[t * images + i] = r.similarities[i * texts + t];
  r.itc = recall(r.similarities, transposed, set.text_image, r.images);

  auto scores = pool.rerank(r.similarities, k);
  r.itm = recall(scores.i2t, scores.t2i, set.text_image, r.images);
  r.itm_i2t = std::move(scores.i2t), r.itm_t2i = std::move(scores.t2i);
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return r;
}

/// An answer to a query: its place in the pool, the matching head's score, the similarity.
struct Answer {
  int index = 0;
  float score = 0, similarity = 0;
};

namespace detail {

/// The k rows of `features` (n, D) most similar to `query` (D), scored by score(indices), the
/// best first.
template <class F>
std::vector<Answer> best_answers(std::span<const float> query, std::span<const float> features,
                                 int k, F&& score) {
  std::vector<Answer> all(features.size() / query.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = {static_cast<int>(i), 0,
              std::inner_product(query.begin(), query.end(),
                                 features.begin() + static_cast<std::ptrdiff_t>(i * query.size()),
                                 0.0f)};
  const auto kept = std::min(all.size(), static_cast<std::size_t>(std::max(k, 1)));
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept), all.end(),
                    [](const Answer& a, const Answer& b) { return a.similarity > b.similarity; });
  all.resize(kept);
  for (Answer& a : all) a.score = score(a.index);
  std::stable_sort(all.begin(), all.end(),
                   [](const Answer& a, const Answer& b) { return a.score > b.score; });
  return all;
}

}  // namespace detail

/// The k pictures among the first `images` of the pool that are most similar to its text `text`,
/// ordered by image-text matching.
template <class Pool>
std::vector<Answer> search_images(Pool& pool, int text, int images, int k) {
  const std::span all(pool.image_features()), texts(pool.text_features());
  const std::size_t width = texts.size() / static_cast<std::size_t>(pool.texts());
  return detail::best_answers(texts.subspan(static_cast<std::size_t>(text) * width, width),
                              all.first(static_cast<std::size_t>(images) * width), k,
                              [&](int i) { return pool.itm_scores(i, {&text, 1}).front(); });
}

/// The k texts among the first `texts` of the pool that are most similar to its picture `image`,
/// ordered by image-text matching.
template <class Pool>
std::vector<Answer> search_texts(Pool& pool, int image, int texts, int k) {
  const std::span images(pool.image_features()), all(pool.text_features());
  const std::size_t width = images.size() / static_cast<std::size_t>(pool.images());
  return detail::best_answers(images.subspan(static_cast<std::size_t>(image) * width, width),
                              all.first(static_cast<std::size_t>(texts) * width), k,
                              [&](int t) { return pool.itm_scores(image, {&t, 1}).front(); });
}

}  // namespace albef
