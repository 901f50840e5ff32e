// Search in a data set: the pictures that fit a sentence, the sentences that fit a picture.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <istream>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/number.hpp"
#include "albef/core/scores.hpp"
#include "albef/data/captions.hpp"
#include "albef/data/open.hpp"
#include "albef/data/retrieval_set.hpp"
#include "albef/data/sources.hpp"
#include "albef/tasks/encode.hpp"

namespace albef {

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

/// What is searched for.
struct SearchQueries {
  std::vector<std::string> texts{};  ///< cleaned, see clean_caption()
  MemorySource pictures{};           ///< see picture_files()
};

/// Queries from sentences, of which "-" stands for the lines of `in`, and picture files. Error if
/// there are none.
inline SearchQueries search_queries(std::span<const std::string> texts,
                                    std::span<const std::string> pictures, std::istream& in) {
  SearchQueries queries{{}, picture_files(pictures)};
  const auto add = [&](const std::string& text) { queries.texts.push_back(clean_caption(text)); };
  for (const std::string& text : texts) {
    if (text != "-") add(text);
    if (text == "-")
      for (std::string line; std::getline(in, line);)
        if (!line.empty()) add(line);
  }
  require(!queries.texts.empty() || !pictures.empty(),
          "nothing to search for: neither a sentence nor a picture");
  return queries;
}

struct SearchOptions {
  int top = 5;          ///< answers to each query
  int k = 32;           ///< most similar candidates that the matching head orders, at least `top`
  bool strict = false;  ///< an unusable record is an Error; see report_search()
  EncodingOptions encoding{};
};

/// What was found, the best first: for each sentence pictures, by their place in the set's images,
/// and for each picture texts, by their place in the set's texts.
struct SearchResults {
  std::vector<std::vector<Answer>> by_text{}, by_picture{};
  std::size_t skipped = 0;  ///< records of the set that cannot be used
};

/// Searches the pictures of a data set with sentences, and its texts with pictures. Pictures of the
/// set that cannot be read are not found, see RetrievalSet::bad.
template <class S>
SearchResults search_data(S& session, const Source& source, const RetrievalSet& set,
                          const SearchQueries& queries, const SearchOptions& options = {}) {
  require(!queries.texts.empty() || queries.pictures.size() > 0,
          "nothing to search for: neither a sentence nor a picture");
  require(options.top > 0, "search: top is ", options.top, ", expected at least 1");
  std::vector<std::uint32_t> wanted(queries.pictures.size());
  std::iota(wanted.begin(), wanted.end(), 0u);
  // The pool: pictures for sentences and texts for pictures, where asked for; then the queries.
  const bool by_text = !queries.texts.empty(), by_picture = !wanted.empty();
  auto pool = retrieval_pool(session);
  BadRecords bad = set.bad;
  if (by_text) add_images(session, pool, source, set.images, options.encoding, &bad);
  if (by_picture) add_texts(session, pool, set.texts, options.encoding);
  const int images = pool.images(), texts = pool.texts();
  if (by_picture) add_images(session, pool, queries.pictures, wanted, options.encoding);
  if (by_text) add_texts(session, pool, queries.texts, options.encoding);

  std::vector<int> places;  // of the pool's pictures among the set's
  for (std::size_t i = 0; i < set.images.size(); ++i)
    if (!bad.has(set.images[i])) places.push_back(static_cast<int>(i));

  SearchResults found{.skipped = bad.count()};
  const int k = std::max(options.k, options.top);
  const auto keep = [&](std::vector<Answer> answers) {
    answers.resize(std::min(answers.size(), static_cast<std::size_t>(options.top)));
    return answers;
  };
  for (int q = texts; q < pool.texts(); ++q)
    for (Answer& answer : found.by_text.emplace_back(keep(search_images(pool, q, images, k))))
      answer.index = places[static_cast<std::size_t>(answer.index)];
  for (int q = images; q < pool.images(); ++q)
    found.by_picture.push_back(keep(search_texts(pool, q, texts, k)));
  return found;
}

/// What was found as lines of text: each query, and below it its answers with their scores.
inline std::string search_text(const Source& source, const RetrievalSet& set,
                               const SearchQueries& queries, const SearchResults& found) {
  std::string out;
  const auto add = [&](const std::string& query, const std::vector<Answer>& answers, auto&& name) {
    out += query + '\n';
    for (std::size_t i = 0; i < answers.size(); ++i) {
      char scores[96];
      std::snprintf(scores, sizeof scores, "  %zu. match %6s  similarity %5s  ", i + 1,
                    fixed(static_cast<double>(answers[i].score), 2).c_str(),
                    fixed(static_cast<double>(answers[i].similarity), 2).c_str());
      out += scores + name(static_cast<std::size_t>(answers[i].index)) + '\n';
    }
  };
  const auto captions = first_texts(set);
  for (std::size_t q = 0; q < found.by_text.size(); ++q)
    add(queries.texts.at(q), found.by_text[q],
        [&](std::size_t i) { return concat(source.record(set.images[i]).key, "  ", captions[i]); });
  for (std::size_t q = 0; q < found.by_picture.size(); ++q)
    add(queries.pictures.record(q).key, found.by_picture[q],
        [&](std::size_t t) { return set.texts[t]; });
  return out;
}

}  // namespace albef
