// Evaluation of visual question answering: answers to a data set and how good they are, during
// training, too; answers to questions about a user's picture; the list of answers of a checkpoint.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "albef/checkpoint/info.hpp"
#include "albef/data/user_batch.hpp"
#include "albef/data/vqa.hpp"
#include "albef/tasks/given_answers.hpp"
#include "albef/tasks/group_scores.hpp"
#include "albef/tasks/skipped.hpp"
#include "albef/tasks/vqa.hpp"
#include "albef/train/validation.hpp"

namespace albef {

using VqaSetPtr = std::shared_ptr<const VqaSet>;

/// How a checkpoint keeps the answers it was trained with.
inline CheckpointInfo answer_info(const AnswerList& list) {
  return {{"answers", nlohmann::ordered_json(list.answers()).dump()}};
}
/// The answers in a checkpoint's metadata. Error naming the checkpoint `path` if there are none.
inline AnswerList answers_in(const std::string& path, const CheckpointInfo& info) {
  const std::string& text = info_entry(path, info, "answers");
  try {
    return AnswerList(nlohmann::json::parse(text).get<std::vector<std::string>>(), path);
  } catch (const nlohmann::json::exception& error) {
    fail(path, ": entry 'answers' is not a list of answers: ", error.what());
  }
}

/// What there is to say of answers that a vocabulary makes equal to others, which the model then
/// cannot tell apart; empty if there are none.
inline std::string equal_answers(const AnswerList& list, const WordPiece& tokenizer) {
  const TextBatch texts = list.encode(tokenizer);
  std::map<std::vector<std::int32_t>, std::size_t> seen;
  std::size_t equal = 0;
  std::string example;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto ids = texts.text(static_cast<int>(i));
    const auto [found, added] = seen.try_emplace({ids.begin(), ids.end()}, i);
    if (!added && equal++ == 0) example = concat("'", list[found->second], "' and '", list[i], "'");
  }
  if (equal == 0) return {};
  return concat(list.name(), ": the vocabulary makes ", equal, " answers equal to others, e.g. ",
                example);
}

/// How answers are found: chosen from a list or, without one, written by the model.
struct Answering {
  const AnswerList* list = nullptr;
  RankOptions rank = {};
  int beams = 3, max_length = 10;  ///< of the search, words of an answer that is written
};

namespace detail {

/// Answers questions batch by batch, in the way asked for; session and list must outlive it.
template <class S>
class Answerer {
  using C = typename S::Config;

 public:
  Answerer(S& session, const Answering& how) : session_(session), how_(how) {
    if (how.list) texts_ = how.list->encode(session.tokenizer());
  }

  /// For each question the `top` best answers of the list, best first, or the one written.
  std::vector<std::vector<GivenAnswer>> operator()(const VqaBatch& batch, int top) {
    const WordPiece& tokenizer = session_.tokenizer();
    std::vector<std::vector<GivenAnswer>> out;
    if (!how_.list) {
      const GenerateOptions options{
          .first_id = tokenizer.cls_id(),
          .last_id = tokenizer.sep_id(),
          .max_length = std::min(how_.max_length, C::max_position_embeddings - 1),
          .beams = how_.beams,
          .vocabulary = tokenizer.size()};
      for (const GeneratedText& text : generate(session_.context(), S::model, batch, options))
        out.push_back({{tokenizer.decode(text.ids, true), std::exp(text.log_probability)}});
      return out;
    }
    for (const auto& ranking :
         rank_answers(session_.context(), S::model, batch, texts_, how_.rank)) {
      auto& best = out.emplace_back();
      for (const RankedAnswer& a : ranking)
        if (static_cast<int>(best.size()) < top)
          best.push_back({(*how_.list)[static_cast<std::size_t>(a.index)], a.probability});
    }
    return out;
  }

 private:
  S& session_;
  Answering how_;
  TextBatch texts_;
};

}  // namespace detail

/// The official number of words of a question where it is only answered.
inline constexpr int asked_words = 50;

/// The loader that goes through a set once, in order, for a model of `positions` tokens: questions
/// need no answers; see evaluation_options(). The tokenizer must outlive it.
inline VqaLoader question_loader(const VqaSetPtr& set, const WordPiece& tokenizer, int image_size,
                                 int positions, const LoaderOptions& options = {}) {
  LoaderOptions whole = whole_set_options(options, positions);
  whole.max_words = asked_words;
  return {set, tokenizer, EvalTransform{image_size}, whole, false};
}

/// The answer to each question of a set, in order; see GivenAnswer::is_none(). Of the options,
/// batch size, workers, decoding and what is done about unusable records count.
template <class S>
std::vector<GivenAnswer> answer_set(S& session, const VqaSetPtr& set, const Answering& how,
                                    const LoaderOptions& options = {}) {
  using C = typename S::Config;
  detail::Answerer answerer(session, how);
  VqaLoader loader =
      question_loader(set, session.tokenizer(), C::image_res, C::max_position_embeddings, options);
  std::vector<GivenAnswer> all(set->size());
  for_each_batch(loader, [&](const VqaBatch& batch) {
    auto answers = answerer(batch, 1);
    for (std::size_t row = 0; row < answers.size(); ++row)
      all[static_cast<std::size_t>(batch.indices[row])] = std::move(answers[row].front());
  });
  return all;
}

/// The `top` best answers to each question about a picture file, best first. Error naming a
/// question that has no words.
template <class S>
std::vector<std::vector<GivenAnswer>> answer_questions(S& session, const std::string& picture,
                                                       const std::vector<std::string>& questions,
                                                       const Answering& how, int top = 1) {
  using C = typename S::Config;
  std::vector<std::string> texts;
  for (const std::string& question : questions) {
    texts.push_back(pre_question(question, asked_words));
    require(says_something(texts.back()), "the question '", question, "' has no words");
  }
  VqaBatch batch;
  fill_batch(batch, {picture}, texts, C::image_res, session.tokenizer(),
             C::max_position_embeddings);
  return detail::Answerer(session, how)(batch, top);
}

/// The accuracy of VQA v2, averaged over the choices of nine of ten people: right if four gave the
/// answer, 0.3 for each if fewer did. Answers are compared as they are written, without the
/// official clean-up.
inline double vqa_score(const VqaRecord& record, const std::string& answer) {
  for (std::size_t i = 0; i < record.answers.size(); ++i)
    if (record.answers[i] == answer)
      return std::min(1.0, 3 * static_cast<double>(record.weights[i]));
  return 0;
}

/// Questions of a set whose answers are known.
inline std::size_t answered_questions(const VqaSet& set) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < set.size(); ++i) count += !set[i].answers.empty();
  return count;
}

/// How good the answers to a set are, measured where the right ones are known.
struct VqaResults {
  std::vector<GivenAnswer> answers;  ///< (records)
  std::size_t count = 0;             ///< questions with known answers that were asked
  double accuracy = 0;               ///< mean vqa_score() of them
  GroupScores groups = {};           ///< by the values of a field of the annotations
  Skipped skipped = {};

  VqaResults(const VqaSet& set, std::vector<GivenAnswer> given, const std::string& by = "")
      : answers(std::move(given)), skipped{set.size(), 0, 0} {
    require(answers.size() == set.size(), "vqa: got ", answers.size(), " answers to ", set.size(),
            " questions");
    double sum = 0;
    for (std::size_t i = 0; i < set.size(); ++i) {
      skipped.skipped += answers[i].is_none();
      if (set[i].answers.empty() || answers[i].is_none()) continue;
      ++count;
      const double score = vqa_score(set[i], answers[i].answer);
      sum += score;
      groups.add(set[i].fields, by, score);
    }
    if (count > 0) accuracy = sum / static_cast<double>(count);
  }

  /// {"accuracy", "count", "records", "skipped"}, and "groups" if there are some.
  nlohmann::ordered_json json() const {
    nlohmann::ordered_json json{{"accuracy", accuracy}, {"count", count}};
    skipped.add_to(json);
    if (!groups.empty()) json["groups"] = groups.json();
    return json;
  }
  /// A table of the same, headed by `name`.
  void print(std::FILE* out, const std::string& name) const {
    std::fprintf(out, "%-22s %8s %7zu questions\n", name.c_str(), percent(accuracy).c_str(), count);
    groups.print(out);
    std::fputs(skipped.text().c_str(), out);
  }
};

/// Evaluates a model on a set, also by the values of the field `by`. See answer_set().
template <class S>
VqaResults evaluate_vqa(S& session, const VqaSetPtr& set, const Answering& how,
                        const std::string& by = "", const LoaderOptions& options = {}) {
  return {*set, answer_set(session, set, how, options), by};
}

/// The evaluation as a validation in training: scored by the accuracy of answers of the list.
template <class S>
Validation validate_vqa(S& session, const VqaSetPtr& set, const AnswerList& list, int k,
                        const LoaderOptions& options = {}) {
  const VqaResults r = evaluate_vqa(session, set, {.list = &list, .rank = {.k = k}}, "", options);
  Validation found{r.accuracy, r.json()};
  found.results["answers"] = list.size();
  return found;
}

/// Error naming the first question without an id, which vqa_predictions() needs.
inline void check_question_ids(const VqaSet& set) {
  for (std::size_t i = 0; i < set.size(); ++i)
    require(!set[i].question_id.empty() || !set[i].error.empty(), set.describe(i),
            ": field 'question_id' is missing; predictions name it");
}

/// Appends answers to a list as the evaluation server takes them: {"question_id", "answer"}, where
/// an id that is a whole number becomes one, and the answer to a question that was skipped is null.
/// Records that could not be read have no id, and are left out.
inline void vqa_predictions(const VqaSet& set, const std::vector<GivenAnswer>& answers,
                            nlohmann::ordered_json& out) {
  using Json = nlohmann::ordered_json;
  check_question_ids(set);
  const auto id_json = [](const std::string& id) {
    const bool whole = id.size() <= 18 && id.find_first_not_of("0123456789") == std::string::npos &&
                       (id[0] != '0' || id.size() == 1);
    return whole ? Json(std::stoll(id)) : Json(id);
  };
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (!set[i].error.empty()) continue;
    const GivenAnswer& given = answers.at(i);
    out.push_back({{"question_id", id_json(set[i].question_id)},
                   {"answer", given.is_none() ? Json() : Json(given.answer)}});
  }
}

}  // namespace albef
