// The settings of runs on questions and answers.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "albef/data/vqa.hpp"
#include "albef/tasks/settings.hpp"
#include "albef/tasks/vqa_evaluation.hpp"

namespace albef {

/// Tiny's numbers come from trials on generated scenes, the others from the paper
/// (configs/VQA.yaml).
inline const Recipe vqa_tiny{.epochs = 20,
                             .batch_size = 64,
                             .alpha_epochs = 10,
                             .lr = 3e-4,
                             .min_lr = 1e-5,
                             .new_model_lr = 1e-3,
                             .max_text_length = 25,
                             .crop_low = 0.9f};
inline const Recipe vqa_paper{.epochs = 8, .warmup = 400, .max_text_length = 25};

/// What a user may choose of the answers, and how they are found.
struct AnswerSettings {
  std::string file{};           // the list; empty: those of the training data, or of the checkpoint
  int k = 128;                  // answers that are scored as a whole
  bool allow_unlisted = false;  // questions may have no right answer in the list
  bool generate = false;        // the model writes answers instead of ranking the list
  int beams = 3;                // of the search that writes them
  bool official_ranking = false;  // RankOptions::count_first_word_twice

  /// The list to rank for a session over `checkpoint`, from the file or the checkpoint; none where
  /// answers are written.
  template <class S>
  std::optional<AnswerList> list(const S& session, const std::string& checkpoint) const {
    if (generate) return {};
    const CheckpointInfo& info = session.report().info;
    require(!file.empty() || info.contains("answers"), checkpoint,
            ": the checkpoint has no answer list; give one with --answers");
    AnswerList found = file.empty() ? answers_in(checkpoint, info) : AnswerList(file);
    report_equal_answers(found, session.tokenizer());
    return found;
  }
  /// The list must live as long as what is returned.
  Answering answering(const std::optional<AnswerList>& list) const {
    return {.list = list ? &*list : nullptr,
            .rank = {.k = k, .count_first_word_twice = official_ranking},
            .beams = beams};
  }
  /// Says on stderr which answers the vocabulary makes equal, if any.
  static void report_equal_answers(const AnswerList& list, const WordPiece& tokenizer) {
    const std::string equal = equal_answers(list, tokenizer);
    if (!equal.empty()) std::fprintf(stderr, "%s\n", equal.c_str());
  }
  /// Error, unless allowed, if the answers to a question are all missing in the list.
  void check(const VqaSet& set, const AnswerList& list) const {
    if (allow_unlisted) return;
    try {
      set.check_answers(list);
    } catch (const Error& error) {
      fail(error.what(), "; --allow-unlisted counts such questions as wrong");
    }
  }
};

/// What a user may set of a run on questions and answers.
struct VqaSettings : TaskSettings {
  AnswerSettings answers{};

  VqaSetPtr questions() const { return std::make_shared<const VqaSet>(data, annotations(false)); }
  AnswerList answer_list(const VqaSet& set) const {
    return answers.file.empty() ? answers_of(set) : AnswerList(answers.file);
  }
  /// Those of --val, whose answers must be known and in the list; null without.
  VqaSetPtr validation_questions(const AnswerList& list) const {
    if (val.empty()) return nullptr;
    auto set = std::make_shared<const VqaSet>(val, annotations(true));
    require(answered_questions(*set) > 0, val.front(), ": field 'answer' is missing everywhere");
    answers.check(*set, list);
    return set;
  }
  /// The vocabulary for a set and a list; see RunSettings::tokenizer(). Answers that it makes equal
  /// are named on stderr.
  WordPiece question_tokenizer(const VqaSet& set, const AnswerList& list,
                               int model_vocabulary) const {
    std::vector<std::string> texts = list.answers();
    for (std::string& text : clean_questions(set)) texts.push_back(std::move(text));
    const WordPiece chosen = tokenizer(texts, model_vocabulary);
    AnswerSettings::report_equal_answers(list, chosen);
    return chosen;
  }
};

}  // namespace albef
