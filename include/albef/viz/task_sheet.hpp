// Sheets of what a model says about the examples of a data set: some pictures, spread evenly over
// it, with the questions about each; and about a user's pictures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "albef/data/codec.hpp"
#include "albef/tasks/given_answers.hpp"
#include "albef/viz/question_sheet.hpp"

namespace albef {

/// One example: which picture(s) it is about, and its line on the sheet.
struct SheetExample {
  std::string key;
  QuestionLine line;
};

/// Writes a PNG with `entries` pictures, or groups of `pictures`, and up to three examples of each.
/// read(example, picture, bytes) gets an encoded picture.
inline void write_task_sheet(
    const std::string& path, const std::string& title, const std::vector<SheetExample>& examples,
    int entries, int pictures,
    const std::function<void(std::size_t, std::size_t, std::vector<std::uint8_t>&)>& read) {
  std::vector<std::vector<std::size_t>> groups;
  std::unordered_map<std::string, std::size_t> group_of;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const auto [found, added] = group_of.try_emplace(examples[i].key, groups.size());
    if (added) groups.emplace_back();
    groups[found->second].push_back(i);
  }

  constexpr std::size_t lines = 3;
  const std::size_t shown = std::min(groups.size(), static_cast<std::size_t>(entries));
  std::deque<Image> images;  // stay where they are
  std::vector<QuestionEntry> sheet;
  std::vector<std::uint8_t> bytes;
  for (std::size_t place = 0; place < shown; ++place) {
    const auto& group = groups[place * groups.size() / shown];
    QuestionEntry& entry = sheet.emplace_back();
    for (std::size_t p = 0; p < static_cast<std::size_t>(pictures); ++p) {
      read(group.front(), p, bytes);
      entry.pictures.push_back(
          images.emplace_back(decode_image(bytes, examples[group.front()].key)));
    }
    for (std::size_t i = 0; i < std::min(lines, group.size()); ++i)
      entry.lines.push_back(examples[group[i]].line);
  }
  write_question_sheet(path, sheet, {.title = title});
}

/// The same for picture files of a user's: one entry with all questions and the best answer to
/// each.
inline void write_answer_sheet(const std::string& path, const std::string& title,
                               const std::vector<std::string>& pictures,
                               const std::vector<std::string>& questions,
                               const std::vector<std::vector<GivenAnswer>>& answers) {
  std::deque<Image> images;
  QuestionEntry entry;
  for (const std::string& picture : pictures)
    entry.pictures.push_back(images.emplace_back(load_image(picture)));
  for (std::size_t q = 0; q < questions.size(); ++q) {
    const GivenAnswer& best = answers.at(q).at(0);
    entry.lines.push_back(
        {.question = questions[q], .answer = best.answer, .score = best.probability});
  }
  write_question_sheet(path, {&entry, 1}, {.title = title, .cell = 240, .columns = 1});
}

}  // namespace albef
