// Evaluation of image-text retrieval, and search: what albef_eval, albef_search and albef_retrieval
// do with a trained model.
#pragma once

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/data/sources.hpp"
#include "albef/tasks/retrieval.hpp"
#include "common/load_model.hpp"
#include "common/open_data.hpp"
#include "common/program.hpp"
#include "common/retrieval_sheet.hpp"

namespace examples {

struct RecallArguments : ModelArguments {
  std::vector<std::string> data;
  std::string image_root, output, summary, sheet;
  int k = 0, sheet_rows = 4;
  double similarity_weight = 0;

  void add_to(Command& app);
};

struct SearchArguments : ModelArguments {
  std::vector<std::string> data, texts, images;
  std::string image_root, sheet;
  int top = 5, k = 32;

  void add_to(Command& app);
};

inline constexpr const char* candidates_help =
    "candidates of each query that ITM re-ranks; default: 32 for the tiny models, else 128 "
    "(the paper: 256 on COCO, 128 on Flickr30k)";
/// The number asked for, or the default of a configuration.
template <class C>
constexpr int candidates(int k) {
  return k > 0 ? k : std::is_base_of_v<albef::Tiny, C> ? 32 : 128;
}

inline constexpr const char* evaluate_help =
    "For every picture the texts of the data set are ranked (TR) and for every text its pictures "
    "(IR); R@k is the share of queries with a right answer among the first k, in percent. ITC "
    "ranks "
    "by the similarity of features; ITM re-ranks the most similar candidates by looking at picture "
    "and text together.";

inline constexpr const char* search_help =
    "A sentence finds its best pictures, a picture (PNG or JPEG) its best sentences. The -k most "
    "similar candidates by features are ordered by how well the matching head finds that picture "
    "and text fit.";

nlohmann::ordered_json to_json(const albef::Recall& recall);

/// Splits `NAME=PATH`; without a name it is the file's, up to its extension.
std::pair<std::string, std::string> named(const std::string& argument);

/// What an evaluation found: a row of a table for each data set, and the files asked for.
class RecallReport {
 public:
  explicit RecallReport(const RecallArguments& args);
  void add(const std::string& name, const albef::Source& source, const albef::RetrievalSet& set,
           const albef::RetrievalResult& result);
  void write() const;

 private:
  const RecallArguments& args_;
  nlohmann::ordered_json summary_, results_;
};

/// What a search is about: the sentences and pictures asked for, and the data set.
struct SearchQueries {
  std::vector<std::string> texts;
  albef::MemorySource pictures;
  albef::RetrievalSet wanted;  ///< the pictures asked for
  albef::SourcePtr source;
  albef::RetrievalSet set;

  explicit SearchQueries(const SearchArguments& args);
};
/// What a search finds: printed, and on a sheet where asked for.
class SearchReport {
 public:
  SearchReport(const SearchArguments& args, const SearchQueries& queries);
  /// Pictures for sentence `q`, and texts for picture `q`, the best first.
  void add_text(std::size_t q, std::vector<albef::Answer> answers);
  void add_picture(std::size_t q, std::vector<albef::Answer> answers);
  void write() const;

 private:
  const SearchArguments& args_;
  const SearchQueries& queries_;
  PoolItems items_, pictures_;
  albef::SheetSection by_text_{"Text to image", {}}, by_picture_{"Image to text", {}};
};

/// Evaluates every data set on its own.
template <class Model>
int evaluate(Model& model, const RecallArguments& args) {
  RecallReport report(args);
  for (const std::string& argument : args.data) {
    const auto [name, path] = named(argument);
    const albef::SourcePtr source = open_source(path, args.image_root);
    const albef::RetrievalSet set = albef::retrieval_set(*source);
    report.add(
        name, *source, set,
        albef::evaluate_retrieval(model, *source, set, candidates<typename Model::Config>(args.k),
                                  args.similarity_weight, args.encoding));
  }
  report.write();
  return 0;
}

/// Answers every query.
template <class Model>
int search(Model& model, const SearchArguments& args) {
  using namespace albef;
  const SearchQueries queries(args);
  // The pool: pictures for sentences and texts for pictures, where asked for; then the queries.
  const bool by_text = !queries.texts.empty(), by_picture = !queries.wanted.images.empty();
  auto pool = retrieval_pool(model);
  if (by_text) add_images(model, pool, *queries.source, queries.set.images, args.encoding);
  if (by_picture) add_texts(model, pool, queries.set.texts, args.encoding);
  const int images = pool.images(), texts = pool.texts();
  if (by_picture) add_images(model, pool, queries.pictures, queries.wanted.images, args.encoding);
  if (by_text) add_texts(model, pool, queries.texts, args.encoding);

  SearchReport report(args, queries);
  const int k = std::max(args.k, args.top);
  for (int q = texts; q < pool.texts(); ++q)
    report.add_text(static_cast<std::size_t>(q - texts), search_images(pool, q, images, k));
  for (int q = images; q < pool.images(); ++q)
    report.add_picture(static_cast<std::size_t>(q - images), search_texts(pool, q, texts, k));
  report.write();
  return 0;
}

}  // namespace examples
