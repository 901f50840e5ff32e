// Evaluation of retrieval and search, which several programs have.
#pragma once

#include <iostream>
#include <string>

#include "albef/viz/retrieval_report.hpp"
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
    "A sentence finds its best pictures, a picture its best sentences. The -k most "
    "similar candidates by features are ordered by how well the matching head finds that picture "
    "and text fit.";

struct RecallCommand : ModelArguments {
  std::string summary;
  albef::RetrievalEvaluation evaluation;

  explicit RecallCommand(Command app) {
    shown = 4;
    add_to(app);
    add_encoding(app);
    const char* const several = "data sets, each evaluated on its own: PATH or NAME=PATH. ";
    add_data(app, data, evaluation.image_root, several + std::string(data_help));
    app.add("-k,--k", evaluation.k, candidates_help, positive);
    app.add("--similarity-weight", evaluation.similarity_weight,
            "add this multiple of the similarity to the matching score (ALBEF: 0, BLIP: 1; 1 over "
            "the temperature weighs both as log-probabilities)");
    add_results(app, "queries of the first data set and their five best answers", 100,
                "--sheet-rows", "queries per direction on the sheet");
    app.add("--summary", summary,
            "JSON file whose members are added to the results (a run's summary.json)");
  }
  int run() {
    evaluation.encoding = encoding;
    evaluation.strict = strict;
    return with_model<albef::Albef>(*this, [&](auto& model) {
      albef::report_retrieval(model, data, evaluation, {output, summary, sheet, shown});
      return 0;
    });
  }
};

struct SearchCommand : ModelArguments {
  albef::SearchOptions options;

  explicit SearchCommand(Command app) {
    add_to(app);
    add_encoding(app);
    add_data(app, data, image_root, data_help);
    app.add("-t,--text", texts, "sentences; - reads them from the standard input");
    app.add("-i,--image", images, "picture files");
    app.add("--top", options.top, "answers shown per query", range(1, 100));
    app.add("-k,--k", options.k, "candidates that the matching head orders, at least --top",
            positive);
    app.add("--sheet", sheet, "write queries and answers to this PNG", output_file);
  }
  int run() {
    options.encoding = encoding;
    options.strict = strict;
    const auto queries = albef::search_queries(texts, images, std::cin);
    return with_model<albef::Albef>(*this, [&](auto& model) {
      albef::report_search(model, data, image_root, queries, options, sheet);
      return 0;
    });
  }
};

}  // namespace examples
