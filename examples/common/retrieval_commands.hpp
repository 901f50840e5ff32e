// Evaluation of retrieval and search, which several programs have: options, and what is printed.
#pragma once

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "albef/viz/retrieval_sheet.hpp"
#include "common/run.hpp"

namespace examples {

inline constexpr const char* candidates_help =
    "candidates of each query that ITM re-ranks; default: 32 for the tiny models, else 128 "
    "(the paper: 256 on COCO, 128 on Flickr30k)";
inline constexpr const char* evaluate_help =
    "For every picture the texts of the data set are ranked (TR) and for every text its pictures "
    "(IR); R@k is the share of queries with a right answer among the first k, in percent. ITC "
    "ranks by the similarity of features; ITM re-ranks the most similar candidates by looking at "
    "picture and text together.";
inline constexpr const char* search_help =
    "A sentence finds its best pictures, a picture (PNG or JPEG) its best sentences. The -k most "
    "similar candidates by features are ordered by how well the matching head finds that picture "
    "and text fit.";

struct RecallCommand : ModelArguments {
  std::vector<std::string> data;
  std::string output, summary, sheet;
  int sheet_rows = 4;
  albef::RetrievalEvaluation evaluation;

  void add_to(Command& app) {
    ModelArguments::add_to(app);
    add_encoding_options(app);
    app.add_option(
           "-d,--data", data,
           "data sets, each evaluated on its own: PATH or NAME=PATH. " + std::string(data_help))
        .required();
    app.add_option("--image-root", evaluation.image_root, image_root_help);
    app.add_option("-k,--k", evaluation.k, candidates_help).positive();
    app.add_option("--similarity-weight", evaluation.similarity_weight,
                   "add this multiple of the similarity to the matching score (ALBEF: 0, BLIP: 1; "
                   "1 over the temperature weighs both as log-probabilities)")
        .capture_default_str();
    app.add_option("-o,--output", output, "write the results to this JSON file").output_file();
    app.add_option("--summary", summary,
                   "JSON file whose members are added to the results (a run's summary.json)");
    app.add_option("--sheet", sheet,
                   "write a PNG with queries of the first data set and their five best answers")
        .output_file();
    app.add_option("--sheet-rows", sheet_rows, "queries per direction on the sheet")
        .range(1, 100)
        .capture_default_str();
  }
  int run() {
    using namespace albef;
    evaluation.encoding = encoding;
    const auto added = summary.empty() ? nlohmann::ordered_json::object() : read_results(summary);
    return with_model<Albef>(*this, [&](auto& model) {
      std::string file = sheet;
      std::fputs(retrieval_head().c_str(), stdout);
      auto results = evaluate_retrieval(
          model, data, evaluation,
          [&](const std::string& name, const auto& source, const auto& set, const auto& found) {
            std::fputs(retrieval_rows(name, found).c_str(), stdout);
            std::fflush(stdout);
            if (!file.empty()) write_retrieval_sheet(file, name, source, set, found, sheet_rows);
            file.clear();
          });
      results.update(added);
      if (!output.empty()) write_file(output, results.dump(2) + '\n');
      return 0;
    });
  }
};

struct SearchCommand : ModelArguments {
  std::vector<std::string> data, texts, images;
  std::string image_root, sheet;
  albef::SearchOptions options;

  void add_to(Command& app) {
    ModelArguments::add_to(app);
    add_encoding_options(app);
    app.add_option("-d,--data", data, data_help).required();
    app.add_option("--image-root", image_root, image_root_help);
    app.add_option("-t,--text", texts, "sentences; - reads them from the standard input");
    app.add_option("-i,--image", images, "picture files");
    app.add_option("--top", options.top, "answers shown per query")
        .range(1, 100)
        .capture_default_str();
    app.add_option("-k,--k", options.k, "candidates that the matching head orders, at least --top")
        .positive()
        .capture_default_str();
    app.add_option("--sheet", sheet, "write queries and answers to this PNG").output_file();
  }
  int run() {
    using namespace albef;
    options.encoding = encoding;
    const SearchQueries queries = search_queries(texts, images, std::cin);
    return with_model<Albef>(*this, [&](auto& model) {
      const SourcePtr source = open_data(data, image_root);
      const RetrievalSet set = retrieval_set(*source);
      const SearchResults found = search_data(model, *source, set, queries, options);
      std::fputs(search_text(*source, set, queries, found).c_str(), stdout);
      if (!sheet.empty()) write_search_sheet(sheet, *source, set, queries, found);
      return 0;
    });
  }
};

}  // namespace examples
