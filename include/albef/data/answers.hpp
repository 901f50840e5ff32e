// The closed list of answers that visual question answering ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/json_entries.hpp"
#include "albef/text/batch.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

/// How answers become tokens: `[CLS] piece ... [SEP]`, never cut. The decoder learns to end them.
inline constexpr EncodeOptions answer_encoding{.max_length = 0, .add_sep = true};

/// Different answers, each with its number: the official answer_list.json, a list of strings.
class AnswerList {
 public:
  /// Reads a JSON file, plain or packed. Throws Error naming file and entry for anything but a list
  /// of different, non-empty strings.
  explicit AnswerList(const std::string& path);
  /// `name` stands for the list in messages.
  explicit AnswerList(const std::vector<std::string>& answers, std::string name = "answers");

  std::size_t size() const { return answers_.size(); }
  const std::string& operator[](std::size_t index) const { return answers_.at(index); }
  const std::vector<std::string>& answers() const { return answers_; }
  const std::string& name() const { return name_; }

  std::optional<std::size_t> find(const std::string& answer) const;
  /// Token ids of all answers in order, see answer_encoding.
  TextBatch encode(const WordPiece& tokenizer) const;

 private:
  void add(std::string answer);

  std::string name_;
  std::vector<std::string> answers_;
  std::unordered_map<std::string, std::size_t> numbers_;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE AnswerList::AnswerList(const std::string& path) : name_(path) {
  const auto take = [&](const detail::Json& value, bool broken) {
    require(value.is_string() && !broken, "answer list '", path, "': entry ", answers_.size(),
            " is ", broken ? "not UTF-8" : value.type_name(), ", expected a string");
    add(value.get<std::string>());
  };
  detail::for_each_entry(detail::read_json_text(path), take, [&](const std::string& problem) {
    fail("answer list '", path, "': entry ", answers_.size(), ": ", problem);
  });
  require(!answers_.empty(), "answer list '", path, "' is empty");
}

ALBEF_DATA_INLINE AnswerList::AnswerList(const std::vector<std::string>& answers, std::string name)
    : name_(std::move(name)) {
  for (const std::string& answer : answers) add(answer);
  require(!answers_.empty(), "answer list '", name_, "' is empty");
}

ALBEF_DATA_INLINE std::optional<std::size_t> AnswerList::find(const std::string& answer) const {
  const auto found = numbers_.find(answer);
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

ALBEF_DATA_INLINE TextBatch AnswerList::encode(const WordPiece& tokenizer) const {
  TextBatch out;
  for (const std::string& answer : answers_) out.add(tokenizer.encode(answer, answer_encoding));
  return out;
}

ALBEF_DATA_INLINE void AnswerList::add(std::string answer) {
  const auto [found, added] = numbers_.try_emplace(answer, answers_.size());
  require(!answer.empty(), "answer list '", name_, "': entry ", answers_.size(), " is empty");
  require(added, "answer list '", name_, "': entry ", answers_.size(), ", '", answer,
          "', repeats entry ", found->second);
  answers_.push_back(std::move(answer));
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
