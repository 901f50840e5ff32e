// Sheets of questions and answers, or statements and verdicts: each entry shows its pictures and
// what a model said about them; wrong answers stand in red beside the right ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "albef/core/number.hpp"
#include "albef/viz/contact_sheet.hpp"
#include "albef/viz/sheet_grid.hpp"

namespace albef {

struct QuestionLine {
  std::string question = {}, answer = {};
  std::string truth = {};  // shown where the answer is marked wrong
  double score = std::numeric_limits<double>::quiet_NaN();  // not finite: not shown
  Mark mark = Mark::none;
};

/// One or several pictures and the questions about them; the pixels must live until the sheet is
/// drawn.
struct QuestionEntry {
  std::vector<ImageView> pictures = {};
  std::vector<QuestionLine> lines = {};
};

struct QuestionSheetOptions {
  std::string title = {};
  int cell = 150;        // side of a picture in pixels
  int text_width = 330;  // of the questions beside it
  int columns = 2;
};

/// Draws the entries row by row.
inline Canvas draw_question_sheet(std::span<const QuestionEntry> entries,
                                  const QuestionSheetOptions& options = {}) {
  require(options.cell > 0 && options.text_width > 0, "question sheet: cell ", options.cell,
          " and text_width ", options.text_width, ", expected positive numbers");
  constexpr int inset = 8, line_height = 60, question_lines = 2;
  std::size_t pictures = 0;
  for (const QuestionEntry& e : entries) pictures = std::max(pictures, e.pictures.size());
  const int picture_width = static_cast<int>(pictures) * (options.cell + inset);
  const int width = picture_width + options.text_width + 3 * inset;

  const auto height = [&](std::size_t i) {
    return 2 * inset +
           std::max(options.cell, static_cast<int>(entries[i].lines.size()) * line_height);
  };
  const auto draw = [&](Canvas& canvas, std::size_t i, double x, double y) {
    const QuestionEntry& entry = entries[i];
    double left = x + inset;
    for (const ImageView& picture : entry.pictures) {
      canvas.image(left, y + inset, options.cell, options.cell, picture);
      left += options.cell + inset;
    }
    const double text = x + picture_width + 2 * inset, room = options.text_width - inset;
    double top = y + inset;
    for (const QuestionLine& line : entry.lines) {
      const int lines = canvas.wrapped_text(text, top + 13, room, line.question, question_lines);
      const double baseline = top + 13 + lines * 17;
      const Color color = line.mark == Mark::right   ? colors::green
                          : line.mark == Mark::wrong ? colors::red
                                                     : colors::ink;
      std::string answer = line.answer;
      if (std::isfinite(line.score)) answer += "  " + fixed(line.score, 2);
      const TextStyle bold{.size = 14, .color = color, .bold = true};
      canvas.text(text, baseline, answer, bold, room);
      if (line.mark == Mark::wrong && !line.truth.empty()) {
        const double used = std::min(canvas.text_width(answer, bold) + 14, room - 60);
        canvas.text(text + used, baseline, line.truth, {.size = 13, .color = colors::green},
                    room - used);
      }
      top += line_height;
    }
  };
  return detail::draw_grid(entries.size(), options.columns, width, options.title, height, draw);
}

/// Writes the sheet as a PNG file (atomically).
inline void write_question_sheet(const std::string& path, std::span<const QuestionEntry> entries,
                                 const QuestionSheetOptions& options = {}) {
  draw_question_sheet(entries, options).save_png(path);
}

}  // namespace albef
