// Sheets of what a model says about the examples of a data set: some pictures, spread evenly over
// it, with the questions about each.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "albef/viz/question_sheet.hpp"

namespace examples {

/// One example: which picture(s) it is about, and its line on the sheet.
struct SheetExample {
  std::string key;
  albef::QuestionLine line;
};

/// Writes a PNG with `entries` pictures, or groups of `pictures`, and up to three examples of each.
/// read(example, picture, bytes) gets an encoded picture.
void write_task_sheet(
    const std::string& path, const std::string& title, const std::vector<SheetExample>& examples,
    int entries, int pictures,
    const std::function<void(std::size_t, std::size_t, std::vector<std::uint8_t>&)>& read);

/// The same for pictures of the user's: one entry with all lines.
void write_answer_sheet(const std::string& path, const std::string& title,
                        const std::vector<std::string>& pictures,
                        const std::vector<albef::QuestionLine>& lines);

}  // namespace examples
