// Sheets of questions about pictures and a model's answers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "albef/tasks/vqa_evaluation.hpp"
#include "albef/viz/task_sheet.hpp"

namespace albef {

/// Writes a PNG with `entries` pictures of the set and up to three questions about each with the
/// answers given; they are marked where the right ones are known.
inline void write_vqa_sheet(const std::string& path, const std::string& title, const VqaSet& set,
                            const VqaResults& results, int entries) {
  std::vector<SheetExample> examples;
  std::vector<std::size_t> read;  // the record of each
  for (std::size_t i = 0; i < set.size(); ++i) {
    const VqaRecord& record = set[i];
    const GivenAnswer& said = results.answers[i];
    if (said.is_none()) continue;
    read.push_back(i);
    QuestionLine line{
        .question = record.question, .answer = said.answer, .score = said.probability};
    if (!record.answers.empty()) {
      const auto best = std::max_element(record.weights.begin(), record.weights.end());
      line.truth = record.answers[static_cast<std::size_t>(best - record.weights.begin())];
      line.mark = vqa_score(record, said.answer) > 0 ? Mark::right : Mark::wrong;
    }
    examples.push_back({record.key, std::move(line)});
  }
  write_task_sheet(path, title, examples, entries, 1, [&](std::size_t i, std::size_t, auto& bytes) {
    set.read_image(read[i], bytes);
  });
}

}  // namespace albef
