// Evaluation of image-text retrieval with a trained model, or one in the middle of training.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/core/matrix.hpp"
#include "albef/core/number.hpp"
#include "albef/data/open.hpp"
#include "albef/ops/similarity.hpp"
#include "albef/tasks/encode.hpp"
#include "albef/tasks/recall.hpp"
#include "albef/tasks/skipped.hpp"
#include "albef/train/validation.hpp"

namespace albef {

/// The recalls by name: tr1, tr5, tr10, ir1, ir5, ir10.
inline nlohmann::ordered_json to_json(const Recall& r) {
  return {{"tr1", r.tr1}, {"tr5", r.tr5}, {"tr10", r.tr10},
          {"ir1", r.ir1}, {"ir5", r.ir5}, {"ir10", r.ir10}};
}

/// Scores of a data set both ways, and what follows from them.
struct RetrievalResult {
  RetrievalSet
      set{};  ///< what was evaluated: without pictures that cannot be read, and their texts
  int images = 0, texts = 0, k = 0;
  std::vector<float> similarities;      ///< (images, texts) cosines
  std::vector<float> itm_i2t, itm_t2i;  ///< (images, texts), (texts, images); see rerank()
  Recall itc;                           ///< ranked by similarity alone
  Recall itm;                           ///< the k most similar re-ranked by the matching head
  double similarity_weight = 0;         ///< in the scores of itm
  double seconds = 0;

  Skipped skipped() const { return {set.records, set.bad.count(), set.skipped_texts}; }
  /// Sizes, settings and recalls: pool, texts, k, similarity_weight, itc, itm, records and skipped
  /// ones, seconds.
  nlohmann::ordered_json json() const {
    nlohmann::ordered_json json{{"pool", images},
                                {"texts", texts},
                                {"k", k},
                                {"similarity_weight", similarity_weight},
                                {"itc", to_json(itc)},
                                {"itm", to_json(itm)}};
    skipped().add_to(json);
    json["seconds"] = seconds;
    return json;
  }
};

/// Evaluates image-text retrieval as the official code does (Retrieval.py): the pool is the data
/// set's pictures and captions, and for every query the `k` most similar candidates are re-ranked
/// by image-text matching, plus `similarity_weight` times the similarity (official: 0). Pictures
/// that cannot be read are left out with their texts, see RetrievalSet::bad.
template <class S>
RetrievalResult evaluate_retrieval(S& session, const Source& source, RetrievalSet set, int k,
                                   double similarity_weight = 0,
                                   const EncodingOptions& options = {}) {
  require(!set.images.empty() && !set.texts.empty(), "retrieval: got ", set.images.size(),
          " pictures and ", set.texts.size(), " texts, expected at least one of each");
  require(k > 0, "retrieval: k is ", k, ", expected at least 1");
  const auto start = std::chrono::steady_clock::now();
  auto pool = retrieval_pool(session);
  add_images(session, pool, source, set.images, options, &set.bad);
  drop_bad_pictures(set);
  add_texts(session, pool, set.texts, options);

  RetrievalResult r;
  r.set = std::move(set);
  r.images = pool.images(), r.texts = pool.texts(), r.k = k;
  r.similarity_weight = similarity_weight;
  r.similarities = pool.similarities();
  r.itc = recall(r.similarities, transposed(r.similarities, r.images, r.texts), r.set.text_image,
                 r.images);

  auto scores = pool.rerank(r.similarities, k, similarity_weight);
  r.itm = recall(scores.i2t, scores.t2i, r.set.text_image, r.images);
  r.itm_i2t = std::move(scores.i2t), r.itm_t2i = std::move(scores.t2i);
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return r;
}

/// The candidates of each query that the matching head re-ranks: `k`, or 0 for a configuration's
/// default (the paper: 256 on COCO, 128 on Flickr30k).
template <class C>
constexpr int candidates(int k) {
  return k > 0 ? k : std::is_base_of_v<Tiny, C> ? 32 : 128;
}

/// What an evaluation of data sets is told.
struct RetrievalEvaluation {
  int k = 0;  ///< candidates that the matching head re-ranks; 0: the configuration's default
  double similarity_weight = 0;  ///< see evaluate_retrieval()
  std::string image_root{};      ///< see open_source()
  bool strict = false;           ///< an unusable record is an Error
  EncodingOptions encoding{};
};

/// Evaluates data sets, each on its own, and returns the results by name. Each is `PATH` or
/// `NAME=PATH`, see named_paths(). seen(name, source, result) is called after each.
template <class S, class Seen>
nlohmann::ordered_json evaluate_retrieval(S& session, std::span<const std::string> data,
                                          const RetrievalEvaluation& options, Seen&& seen) {
  auto results = nlohmann::ordered_json::object();
  for (const auto& [name, path] : named_paths(data)) {
    const SourcePtr source = open_source(path, options.image_root);
    const RetrievalResult result = evaluate_retrieval(
        session, *source, retrieval_set(*source, evaluation_records(options.strict)),
        candidates<typename S::Config>(options.k), options.similarity_weight, options.encoding);
    results[name] = result.json();
    seen(name, *source, result);
  }
  return results;
}
template <class S>
nlohmann::ordered_json evaluate_retrieval(S& session, std::span<const std::string> data,
                                          const RetrievalEvaluation& options = {}) {
  return evaluate_retrieval(session, data, options, [](auto&&...) {});
}

/// The heading of a table of results.
inline std::string retrieval_head() {
  char line[128];
  std::snprintf(line, sizeof line, "%-16s %6s  %-4s %6s %6s %6s   %6s %6s %6s\n", "data set",
                "pool", "by", "TR@1", "TR@5", "TR@10", "IR@1", "IR@5", "IR@10");
  return line;
}
/// The two lines of a data set below it, and a third if records were skipped.
inline std::string retrieval_rows(const std::string& name, const RetrievalResult& r) {
  const auto row = [&](const char* by, const Recall& a) {
    char line[128];
    const auto share = [](double v) { return fixed(v, 1); };
    std::snprintf(line, sizeof line, " %6d  %-4s %6s %6s %6s   %6s %6s %6s", r.images, by,
                  share(a.tr1).c_str(), share(a.tr5).c_str(), share(a.tr10).c_str(),
                  share(a.ir1).c_str(), share(a.ir5).c_str(), share(a.ir10).c_str());
    return std::string(line);
  };
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "  %6s s\n", fixed(r.seconds, 1).c_str());
  const std::size_t width = std::max<std::size_t>(16, name.size());
  return name + std::string(width - name.size(), ' ') + row("ITC", r.itc) + '\n' +
         std::string(16, ' ') + row("ITM", r.itm) + seconds + r.skipped().text();
}

/// The evaluation as a validation in training: scored by the mean recall of the re-ranked answers.
template <class S>
Validation validate_retrieval(S& session, const Source& source, const RetrievalSet& set, int k,
                              const EncodingOptions& options = {}) {
  const RetrievalResult r = evaluate_retrieval(session, source, set, k, 0, options);
  Validation found{r.itm.mean() / 100, to_json(r.itm)};
  found.results["itc_mean"] = r.itc.mean();
  r.skipped().add_to(found.results);
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

/// Retrieval by similarity alone, of any model: image_feature(ctx, images) and
/// text_feature(ctx, tokens) give normalised features of one width. See retrieval_set(). Pictures
/// that cannot be read are left out with their texts. There is no matching head to re-rank by: the
/// scores and recalls of `itm` are those of the similarities.
template <class S, class ImageFeature, class TextFeature>
RetrievalResult retrieval_by_similarity(S& session, const Source& source, RetrievalSet set,
                                        ImageFeature&& image_feature, TextFeature&& text_feature,
                                        const EncodingOptions& options = {}) {
  require(!set.images.empty() && !set.texts.empty(), "retrieval: got ", set.images.size(),
          " pictures and ", set.texts.size(), " texts, expected at least one of each");
  const auto start = std::chrono::steady_clock::now();
  const auto images = image_features(session, source, set.images, image_feature, options, &set.bad);
  drop_bad_pictures(set);
  const auto texts = text_features(session, set.texts, text_feature, options);
  RetrievalResult r;
  r.images = r.k = static_cast<int>(set.images.size());
  r.texts = static_cast<int>(set.texts.size());
  r.set = std::move(set);
  const auto width = static_cast<int>(images.size()) / r.images;
  require(texts.size() == static_cast<std::size_t>(width) * r.set.texts.size(),
          "retrieval: features of pictures have ", width, " values, those of texts ",
          texts.size() / r.set.texts.size());
  using Master = typename S::Master;
  const auto similarities = feature_similarities(session.context(), std::span<const Master>(images),
                                                 std::span<const Master>(texts), width);
  r.similarities.assign(similarities.begin(), similarities.end());
  r.itm_i2t = r.similarities;
  r.itm_t2i = transposed(r.similarities, r.images, r.texts);
  r.itc = r.itm = recall(r.itm_i2t, r.itm_t2i, r.set.text_image, r.images);
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return r;
}
/// The same by the model's encode_image and encode_text.
template <class S>
RetrievalResult retrieval_by_similarity(S& session, const Source& source, RetrievalSet set,
                                        const EncodingOptions& options = {}) {
  return retrieval_by_similarity(
      session, source, std::move(set),
      [](auto& ctx, const auto& images) { return S::model.encode_image(ctx, images); },
      [](auto& ctx, const Tokens& tokens) { return S::model.encode_text(ctx, tokens); }, options);
}

/// The recalls of it alone.
template <class S, class... Features>
Recall retrieval_recall(S& session, const Source& source, RetrievalSet set,
                        Features&&... features_and_options) {
  return retrieval_by_similarity(session, source, std::move(set),
                                 std::forward<Features>(features_and_options)...)
      .itc;
}

}  // namespace albef
