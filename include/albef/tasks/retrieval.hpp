// Retrieval with a trained model: evaluation of a whole data set, and search for single queries.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/core/scores.hpp"
#include "albef/tasks/encode.hpp"
#include "albef/tasks/recall.hpp"

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
/// by image-text matching, plus `similarity_weight` times the similarity (official: 0).
template <class Model>
RetrievalResult evaluate_retrieval(Model& m, const Source& source, const RetrievalSet& set, int k,
                                   double similarity_weight = 0,
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
  r.itc = recall(r.similarities, transposed(r.similarities, r.images, r.texts), set.text_image,
                 r.images);

  auto scores = pool.rerank(r.similarities, k, similarity_weight);
  r.itm = recall(scores.i2t, scores.t2i, set.text_image, r.images);
  r.itm_i2t = std::move(scores.i2t), r.itm_t2i = std::move(scores.t2i);
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return r;
}

/// An answer to a query: its place in the pool and its score, and the similarity where the score
/// is another one.
struct Answer {
  int index = 0;
  float score = 0, similarity = 0;
};

/// The k best of a query's scores, the best first.
inline std::vector<Answer> best_answers(std::span<const float> scores, int k) {
  std::vector<Answer> best;
  for (const int i : largest(scores, k))
    best.push_back({i, scores[static_cast<std::size_t>(i)], 0});
  return best;
}

namespace detail {

/// The k rows of `features` (n, D) most similar to `query` (D), ordered by score(indices).
template <class F>
std::vector<Answer> reranked(std::span<const float> query, std::span<const float> features, int k,
                             F&& score) {
  std::vector<float> similarities(features.size() / query.size());
  for (std::size_t i = 0; i < similarities.size(); ++i)
    similarities[i] = std::inner_product(query.begin(), query.end(),
                                         features.subspan(i * query.size()).begin(), 0.0f);
  auto answers = best_answers(similarities, k);
  std::vector<int> indices;
  for (const Answer& a : answers) indices.push_back(a.index);
  const std::vector<float> scores = score(std::span<const int>(indices));
  for (std::size_t i = 0; i < answers.size(); ++i)
    answers[i].similarity = std::exchange(answers[i].score, scores[i]);
  std::stable_sort(answers.begin(), answers.end(),
                   [](const Answer& a, const Answer& b) { return a.score > b.score; });
  return answers;
}

}  // namespace detail

/// The k pictures among the first `images` of the pool that are most similar to its text `text`,
/// ordered by image-text matching.
template <class Pool>
std::vector<Answer> search_images(Pool& pool, int text, int images, int k) {
  const std::span all(pool.image_features()), texts(pool.text_features());
  const std::size_t width = texts.size() / static_cast<std::size_t>(pool.texts());
  return detail::reranked(texts.subspan(static_cast<std::size_t>(text) * width, width),
                          all.first(static_cast<std::size_t>(images) * width), k,
                          [&](std::span<const int> candidates) {
                            std::vector<float> scores;
                            for (const int i : candidates)
                              scores.push_back(pool.itm_scores(i, {&text, 1}).front());
                            return scores;
                          });
}

/// The k texts among the first `texts` of the pool that are most similar to its picture `image`,
/// ordered by image-text matching.
template <class Pool>
std::vector<Answer> search_texts(Pool& pool, int image, int texts, int k) {
  const std::span images(pool.image_features()), all(pool.text_features());
  const std::size_t width = images.size() / static_cast<std::size_t>(pool.images());
  return detail::reranked(
      images.subspan(static_cast<std::size_t>(image) * width, width),
      all.first(static_cast<std::size_t>(texts) * width), k,
      [&](std::span<const int> candidates) { return pool.itm_scores(image, candidates); });
}

}  // namespace albef
