// Evaluation of image-text retrieval, and search: what albef_eval, albef_search and albef_retrieval
// do with a trained model.
#pragma once

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "common/load_model.hpp"
#include "common/open_data.hpp"
#include "common/program.hpp"
#include "common/retrieval_sheet.hpp"

namespace examples {

struct RecallArguments : ModelArguments {
  std::vector<std::string> data;
  std::string image_root, output, summary, sheet;
  int k = 32, sheet_rows = 4;
  double similarity_weight = 0;

  void add_to(Command& app);
};

struct SearchArguments : ModelArguments {
  std::vector<std::string> data, texts, images;
  std::string image_root, sheet;
  int top = 5, k = 32;

  void add_to(Command& app);
};

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
void print_table_head();
void print_table_row(const std::string& name, const albef::RetrievalResult& result);
/// Some queries of each direction, spread evenly over the pool, with their five best answers.
void write_sheet(const RecallArguments& args, const std::string& name, const albef::Source& source,
                 const albef::RetrievalSet& set, const albef::RetrievalResult& result);
/// The members of args.summary; none without.
nlohmann::ordered_json read_summary(const RecallArguments& args);
/// Splits `NAME=PATH`; without a name it is the file's, up to its extension.
std::pair<std::string, std::string> named(const std::string& argument);

/// The sentences asked for; "-" stands for the lines of the standard input.
std::vector<std::string> read_sentences(const std::vector<std::string>& arguments);
/// The pictures asked for, as a data set without captions.
albef::MemorySource read_pictures(const std::vector<std::string>& paths);
void print_answers(const std::string& query, const std::vector<albef::Answer>& answers,
                   const std::vector<std::string>& names);

/// Evaluates every data set on its own: a table, and the files asked for.
template <class Model>
int evaluate(Model& model, const RecallArguments& args) {
  using namespace albef;
  const nlohmann::ordered_json summary = read_summary(args);
  nlohmann::ordered_json results;
  print_table_head();
  for (const std::string& argument : args.data) {
    const auto [name, path] = named(argument);
    const SourcePtr source = open_source(path, args.image_root);
    const RetrievalSet set = retrieval_set(*source);
    const auto r =
        evaluate_retrieval(model, *source, set, args.k, args.similarity_weight, args.encoding);
    print_table_row(name, r);
    if (!args.sheet.empty() && results.empty()) write_sheet(args, name, *source, set, r);
    results[name] = {{"pool", r.images},
                     {"texts", r.texts},
                     {"k", r.k},
                     {"similarity_weight", args.similarity_weight},
                     {"itc", to_json(r.itc)},
                     {"itm", to_json(r.itm)},
                     {"seconds", r.seconds}};
  }
  results.update(summary);
  if (!args.output.empty()) write_file(args.output, results.dump(2) + '\n');
  return 0;
}

/// Answers every query: printed, and on a sheet where asked for.
template <class Model>
int search(Model& model, const SearchArguments& args) {
  using namespace albef;
  const std::vector<std::string> texts = read_sentences(args.texts);
  const MemorySource pictures = read_pictures(args.images);
  RetrievalSet wanted;  // the pictures asked for
  wanted.images.resize(pictures.size());
  std::iota(wanted.images.begin(), wanted.images.end(), 0u);
  require(!texts.empty() || !wanted.images.empty(),
          "nothing to search for: give --text or --image");

  // The pool: pictures for sentences and texts for pictures, where asked for; then the queries.
  const SourcePtr source = open_data(args.data, args.image_root);
  const RetrievalSet set = retrieval_set(*source);
  auto pool = retrieval_pool(model);
  if (!texts.empty()) add_images(model, pool, *source, set.images, args.encoding);
  if (!wanted.images.empty()) add_texts(model, pool, set.texts, args.encoding);
  const int images = pool.images(), captions = pool.texts();
  if (!wanted.images.empty()) add_images(model, pool, pictures, wanted.images, args.encoding);
  if (!texts.empty()) add_texts(model, pool, texts, args.encoding);

  PoolItems items(*source, set), queries(pictures, wanted);
  SheetSection by_text{"Text to image"}, by_image{"Image to text"};
  const int k = std::max(args.k, args.top);
  for (int q = 0; q < pool.texts() - captions; ++q) {
    const std::string& text = texts[static_cast<std::size_t>(q)];
    auto answers = search_images(pool, captions + q, images, k);
    answers.resize(std::min(answers.size(), static_cast<std::size_t>(args.top)));
    std::vector<std::string> names;
    for (const Answer& a : answers)
      names.push_back(concat(source->record(set.images[static_cast<std::size_t>(a.index)]).key,
                             "  ", items.image(a.index).text));
    print_answers(text, answers, names);
    by_text.queries.push_back(items.pictures_for({.text = text}, answers));
  }
  for (int q = 0; q < pool.images() - images; ++q) {
    auto answers = search_texts(pool, images + q, captions, k);
    answers.resize(std::min(answers.size(), static_cast<std::size_t>(args.top)));
    std::vector<std::string> names;
    for (const Answer& a : answers) names.push_back(items.text(a.index).text);
    print_answers(args.images[static_cast<std::size_t>(q)], answers, names);
    by_image.queries.push_back(items.texts_for(queries.image(q), answers));
  }

  if (args.sheet.empty()) return 0;
  std::vector<SheetSection> sections;
  if (!by_text.queries.empty()) sections.push_back(std::move(by_text));
  if (!by_image.queries.empty()) sections.push_back(std::move(by_image));
  write_contact_sheet(args.sheet, sections);
  return 0;
}

}  // namespace examples
