// Evaluation of classifiers of statements about pictures, visual entailment and NLVR2: over data
// sets, during training, and of statements about a user's pictures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/scores.hpp"
#include "albef/data/statements.hpp"
#include "albef/data/user_batch.hpp"
#include "albef/tasks/classification.hpp"
#include "albef/tasks/given_answers.hpp"
#include "albef/tasks/group_scores.hpp"
#include "albef/tasks/inputs.hpp"
#include "albef/tasks/skipped.hpp"
#include "albef/train/validation.hpp"

namespace albef {

using StatementSetPtr = std::shared_ptr<const StatementSet>;

inline StatementSetPtr open_statements(const std::vector<std::string>& files,
                                       const StatementFormat& format,
                                       const AnnotationOptions& options = {}) {
  return std::make_shared<const StatementSet>(files, format, options);
}

/// How good predictions for a set are.
struct StatementResults {
  std::vector<std::string> labels;
  ConfusionMatrix matrix;
  GroupScores groups = {};        ///< by the values of a field of the annotations
  std::vector<int> predictions;   ///< (records) classes, -1 for records that were skipped
  std::vector<double> certainty;  ///< (records) the probability of the prediction
  Skipped skipped = {};

  /// From the probabilities of the classes, (records, classes), all 0 for records that were
  /// skipped, and a field `by` of the records.
  StatementResults(const StatementSet& set, const std::vector<double>& probabilities,
                   const std::string& by = "")
      : labels(set.format().labels), matrix(static_cast<int>(labels.size())) {
    const std::size_t n = labels.size();
    require(probabilities.size() == n * set.size(), "statements: got ", probabilities.size(),
            " probabilities for ", set.size(), " statements and ", n, " labels");
    for (std::size_t i = 0; i < set.size(); ++i) {
      const auto row = std::span(probabilities).subspan(i * n, n);
      int said = largest(row, 1)[0];
      certainty.push_back(row[static_cast<std::size_t>(said)]);
      if (certainty.back() == 0) said = -1;
      predictions.push_back(said);
      ++skipped.records;
      skipped.skipped += said < 0;
      if (said < 0) continue;
      matrix.add(set[i].label, said);
      groups.add(set[i].fields, by, said == set[i].label ? 1 : 0);
    }
  }

  double accuracy() const { return matrix.accuracy(); }

  /// {"accuracy", "count", "records", "skipped", "classes": {label: {"count", "accuracy",
  /// "predicted": {label: count}}}}, and "groups" if there are some.
  nlohmann::ordered_json json() const {
    auto classes = nlohmann::ordered_json::object();
    for (int c = 0; c < matrix.classes(); ++c) {
      auto predicted = nlohmann::ordered_json::object();
      for (int p = 0; p < matrix.classes(); ++p) predicted[label(p)] = matrix.count(c, p);
      classes[label(c)] = {{"count", matrix.count(c)},
                           {"accuracy", matrix.accuracy(c)},
                           {"predicted", std::move(predicted)}};
    }
    nlohmann::ordered_json json{{"accuracy", matrix.accuracy()}, {"count", matrix.total()}};
    skipped.add_to(json);
    json["classes"] = std::move(classes);
    if (!groups.empty()) json["groups"] = groups.json();
    return json;
  }

  /// A table of the same, headed by `name`.
  void print(std::FILE* out, const std::string& name) const {
    std::fprintf(out, "%-22s %8s %7lld statements\n", name.c_str(),
                 percent(matrix.accuracy()).c_str(), static_cast<long long>(matrix.total()));
    std::fprintf(out, "  %-20s %8s %7s   predicted:", "label", "accuracy", "count");
    for (int p = 0; p < matrix.classes(); ++p) std::fprintf(out, " %13s", label(p).c_str());
    std::fprintf(out, "\n");
    for (int c = 0; c < matrix.classes(); ++c) {
      std::fprintf(out, "  %-20s %8s %7lld             ", label(c).c_str(),
                   percent(matrix.accuracy(c)).c_str(), static_cast<long long>(matrix.count(c)));
      for (int p = 0; p < matrix.classes(); ++p)
        std::fprintf(out, " %13lld", static_cast<long long>(matrix.count(c, p)));
      std::fprintf(out, "\n");
    }
    groups.print(out);
    std::fputs(skipped.text().c_str(), out);
  }

 private:
  const std::string& label(int i) const { return labels[static_cast<std::size_t>(i)]; }
};

/// The loader that goes through a set once, in order, for a model of `positions` tokens; see
/// evaluation_options(). The tokenizer must outlive it.
inline StatementLoader statement_loader(const StatementSetPtr& set, const WordPiece& tokenizer,
                                        int image_size, int positions,
                                        const LoaderOptions& options = {}) {
  return {set, tokenizer, EvalTransform{image_size}, whole_set_options(options, positions)};
}

/// Probabilities of the classes for every record of a set in order, (records, classes), by a model
/// of a Classification; 0 for records that cannot be used. Of the options, batch size, workers,
/// decoding and what is done about such records count.
template <class S>
std::vector<double> statement_probabilities(S& session, const StatementSetPtr& set,
                                            const LoaderOptions& options = {}) {
  using C = typename S::Config;
  StatementLoader loader =
      statement_loader(set, session.tokenizer(), C::image_res, C::max_position_embeddings, options);
  const std::size_t classes = set->format().labels.size();
  std::vector<double> all(set->size() * classes);
  for_each_batch(loader, [&](const ClassBatch& batch) {
    const auto p = class_probabilities(session.context(), S::model, batch);
    for (std::size_t row = 0; row < batch.indices.size(); ++row)
      std::copy_n(p.begin() + static_cast<std::ptrdiff_t>(row * classes), classes,
                  all.begin() + batch.indices[row] * static_cast<std::ptrdiff_t>(classes));
  });
  return all;
}

/// Evaluates a model of a Classification on a set, also by the values of the field `by`. See
/// statement_probabilities().
template <class S>
StatementResults evaluate_statements(S& session, const StatementSetPtr& set,
                                     const std::string& by = "",
                                     const LoaderOptions& options = {}) {
  return {*set, statement_probabilities(session, set, options), by};
}

/// The evaluation as a validation in training: scored by the accuracy.
template <class S>
Validation validate_statements(S& session, const StatementSetPtr& set,
                               const LoaderOptions& options = {}) {
  const StatementResults r = evaluate_statements(session, set, "", options);
  return {r.accuracy(), r.json()};
}

/// The labels of each statement with their probabilities, best first, for statements about the same
/// picture files, as many as the format says. Error naming a statement that has no words.
template <class S>
std::vector<std::vector<GivenAnswer>> judge_statements(S& session,
                                                       const std::vector<std::string>& pictures,
                                                       const std::vector<std::string>& statements,
                                                       const StatementFormat& format) {
  using C = typename S::Config;
  require(static_cast<int>(pictures.size()) == format.pictures, "got ", pictures.size(),
          " pictures, expected ", format.pictures);
  std::vector<std::string> texts;
  for (const std::string& statement : statements) {
    texts.push_back(pre_caption(statement));
    require(says_something(texts.back()), "the statement '", statement, "' has no words");
  }
  ClassBatch batch;
  fill_batch(batch, pictures, texts, C::image_res, session.tokenizer(), C::max_position_embeddings);
  const auto p = class_probabilities(session.context(), S::model, batch);
  const std::size_t n = format.labels.size();
  std::vector<std::vector<GivenAnswer>> out(statements.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto row = std::span(p).subspan(i * n, n);
    for (const int c : largest(row, static_cast<int>(n))) {
      const auto at = static_cast<std::size_t>(c);
      out[i].push_back({format.labels[at], row[at]});
    }
  }
  return out;
}

}  // namespace albef
