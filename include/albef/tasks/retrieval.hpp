// Retrieval with a trained model: evaluation of a whole data set, and search for single queries.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/core/matrix.hpp"
#include "albef/core/scores.hpp"
#include "albef/ops/similarity.hpp"
#include "albef/tasks/encode.hpp"
#include "albef/tasks/recall.hpp"
#include "albef/train/validation.hpp"

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
template <class S>
RetrievalResult evaluate_retrieval(S& session, const Source& source, const RetrievalSet& set, int k,
                                   double similarity_weight = 0,
                                   const EncodingOptions& options = {}) {
  require(!set.images.empty() && !set.texts.empty(), "retrieval: got ", set.images.size(),
          " pictures and ", set.texts.size(), " texts, expected at least one of each");
  require(k > 0, "retrieval: k is ", k, ", expected at least 1");
  const auto start = std::chrono::steady_clock::now();
  auto pool = retrieval_pool(session);
  add_images(session, pool, source, set.images, options);
  add_texts(session, pool, set.texts, options);

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

/// The recalls by name: tr1, tr5, tr10, ir1, ir5, ir10.
inline nlohmann::ordered_json to_json(const Recall& r) {
  return {{"tr1", r.tr1}, {"tr5", r.tr5}, {"tr10", r.tr10},
          {"ir1", r.ir1}, {"ir5", r.ir5}, {"ir10", r.ir10}};
}

/// The candidates of each query that the matching head re-ranks: `k`, or 0 for a configuration's
/// default (the paper: 256 on COCO, 128 on Flickr30k).
template <class C>
constexpr int candidates(int k) {
  return k > 0 ? k : std::is_base_of_v<Tiny, C> ? 32 : 128;
}

/// The evaluation as a validation in training: scored by the mean recall of the re-ranked answers.
template <class S>
Validation validate_retrieval(S& session, const Source& source, const RetrievalSet& set, int k,
                              const EncodingOptions& options = {}) {
  const RetrievalResult r = evaluate_retrieval(session, source, set, k, 0, options);
  Validation found{r.itm.mean() / 100, to_json(r.itm)};
  found.results["itc_mean"] = r.itc.mean();
  return found;
}

/// Similarities (n, m) on the host of two sets of features of equal width, (n, width) and
/// (m, width), computed on the context's device. Begins a step of it.
template <class Ctx>
std::vector<typename Ctx::Master> feature_similarities(Ctx& ctx,
                                                       std::span<const typename Ctx::Master> a,
                                                       std::span<const typename Ctx::Master> b,
                                                       int width) {
  require(width > 0 && a.size() % static_cast<std::size_t>(width) == 0 &&
              b.size() % static_cast<std::size_t>(width) == 0,
          "[similarities] got ", a.size(), " and ", b.size(), " values, not rows of width ", width);
  ctx.begin_step(0);
  return ctx.no_grad([&] {
    const auto rows = [&](auto values) {
      const auto n = static_cast<int>(values.size() / static_cast<std::size_t>(width));
      return ctx.template constant<dynamic_width>(ctx.upload(values), batch_of(n), width);
    };
    return ctx.read(matmul_nt(ctx, rows(a), rows(b)));
  });
}

/// Recall by similarity alone, of any model: image_feature(ctx, images) and
/// text_feature(ctx, tokens) give normalised features of one width. See retrieval_set().
template <class S, class ImageFeature, class TextFeature>
Recall retrieval_recall(S& session, const Source& source, const RetrievalSet& set,
                        ImageFeature&& image_feature, TextFeature&& text_feature,
                        const EncodingOptions& options = {}) {
  require(!set.images.empty() && !set.texts.empty(), "retrieval: got ", set.images.size(),
          " pictures and ", set.texts.size(), " texts, expected at least one of each");
  const auto images = image_features(session, source, set.images, image_feature, options);
  const auto texts = text_features(session, set.texts, text_feature, options);
  const auto n_images = static_cast<int>(set.images.size());
  const auto n_texts = static_cast<int>(set.texts.size());
  const auto width = static_cast<int>(images.size()) / n_images;
  require(texts.size() == static_cast<std::size_t>(width) * set.texts.size(),
          "retrieval: features of pictures have ", width, " values, those of texts ",
          texts.size() / set.texts.size());
  using Master = typename S::Master;
  const auto similarities = feature_similarities(session.context(), std::span<const Master>(images),
                                                 std::span<const Master>(texts), width);
  const std::vector<float> scores(similarities.begin(), similarities.end());
  return recall(scores, transposed(scores, n_images, n_texts), set.text_image, n_images);
}
/// The same by the model's encode_image and encode_text.
template <class S>
Recall retrieval_recall(S& session, const Source& source, const RetrievalSet& set,
                        const EncodingOptions& options = {}) {
  return retrieval_recall(
      session, source, set,
      [&](auto& ctx, const auto& images) { return S::model.encode_image(ctx, images); },
      [&](auto& ctx, const Tokens& tokens) { return S::model.encode_text(ctx, tokens); }, options);
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
