// Contact sheets of retrieval: each row shows a query (text or picture) and its best answers
// (pictures with captions, or texts) with their scores; right answers are framed green.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "albef/core/number.hpp"
#include "albef/viz/canvas.hpp"

namespace albef {

/// Whether an answer is known to be right or wrong.
enum class Mark { none, right, wrong };

/// A picture (with an optional caption) or, without pixels, a text. The pixels must live until the
/// sheet is drawn.
struct SheetItem {
  std::string text = {};
  ImageView image = {};
};

struct SheetAnswer {
  SheetItem item = {};
  double score = std::numeric_limits<double>::quiet_NaN();  // not finite: not shown
  Mark mark = Mark::none;
};

struct SheetQuery {
  SheetItem item = {};
  std::vector<SheetAnswer> answers = {};  // best first
};

/// Queries under a heading, e.g. one section per direction.
struct SheetSection {
  std::string heading = {};
  std::vector<SheetQuery> queries = {};
};

struct SheetOptions {
  std::string title = {};
  int cell = 150;        // side of a picture in pixels
  int text_width = 560;  // width of the column of text answers in pixels
};

namespace detail {

/// Measures, then draws, a sheet from top to bottom.
class SheetDrawing {
 public:
  SheetDrawing(std::span<const SheetSection> sections, const SheetOptions& options)
      : sections_(sections), options_(options), canvas_(measured_width(), measured_height()) {
    double y = margin;
    if (!options.title.empty()) {
      canvas_.text(margin, y + 20, options.title, {.size = 20, .bold = true},
                   canvas_.width() - 2.0 * margin);
      y += title_height;
    }
    for (const auto& section : sections) {
      if (!section.heading.empty()) {
        canvas_.text(margin, y + 18, section.heading, {.size = 15, .bold = true},
                     canvas_.width() - 2.0 * margin);
        y += heading_height;
      }
      for (const auto& query : section.queries) {
        draw_query(query, y);
        y += row_height(query) + gap;
      }
    }
  }
  Canvas take() { return std::move(canvas_); }

 private:
  static bool pictures(const SheetQuery& query) {
    return std::any_of(query.answers.begin(), query.answers.end(),
                       [](const SheetAnswer& a) { return static_cast<bool>(a.item.image); });
  }
  static bool captions(const SheetQuery& query) {
    return std::any_of(query.answers.begin(), query.answers.end(),
                       [](const SheetAnswer& a) { return !a.item.text.empty(); });
  }
  int query_width() const { return std::max(options_.cell, 190); }
  int cell_width() const { return options_.cell + 2 * inset; }

  int row_height(const SheetQuery& query) const {
    const int own = options_.cell + 2 * inset +
                    (query.item.text.empty() || !query.item.image ? 0 : 2 * caption_line);
    const auto count = static_cast<int>(query.answers.size());
    if (!pictures(query)) return std::max(own, count * (text_row + 4));
    return std::max(
        own, options_.cell + 2 * inset + score_line + (captions(query) ? 2 * caption_line : 0));
  }
  int measured_width() const {
    require(options_.cell > 0 && options_.text_width > 0, "contact sheet: cell ", options_.cell,
            " and text_width ", options_.text_width, ", expected positive numbers");
    int answers = 0;
    for (const auto& section : sections_)
      for (const auto& query : section.queries)
        answers = std::max(
            answers, pictures(query) ? static_cast<int>(query.answers.size()) * (cell_width() + gap)
                                     : options_.text_width);
    return 2 * margin + query_width() + 2 * gap + answers;
  }
  int measured_height() const {
    int height = 2 * margin + (options_.title.empty() ? 0 : title_height);
    for (const auto& section : sections_) {
      height += section.heading.empty() ? 0 : heading_height;
      for (const auto& query : section.queries) height += row_height(query) + gap;
    }
    return height;
  }

  static Color color_of(Mark mark) {
    return mark == Mark::right ? colors::green : mark == Mark::wrong ? colors::red : colors::grey;
  }
  static std::string score_text(const SheetAnswer& answer, std::size_t rank) {
    std::string text = concat(rank + 1, ".");
    if (std::isfinite(answer.score)) text += "  " + fixed(answer.score, 3);
    return text;
  }

  void draw_query(const SheetQuery& query, double y) {
    const double width = canvas_.width() - 2.0 * margin;
    canvas_.fill_rect(margin, y, width, row_height(query), colors::paper);
    const double x = margin + inset, cell = options_.cell, wide = query_width() - 2.0 * inset;
    if (query.item.image) {
      canvas_.image(x, y + inset, wide, cell, query.item.image);
      canvas_.wrapped_text(x, y + cell + inset + 14, wide, query.item.text, 2,
                           {.size = 11.5, .color = colors::grey});
    } else {
      const int lines = std::max(1, static_cast<int>((cell - 8) / 18.2));
      canvas_.wrapped_text(x, y + inset + 15, wide, query.item.text, lines,
                           {.size = 14, .bold = true});
    }
    const double answers = margin + query_width() + gap;
    for (std::size_t i = 0; i < query.answers.size(); ++i)
      if (pictures(query))
        draw_picture(query.answers[i], i, answers + static_cast<double>(i) * (cell_width() + gap),
                     y);
      else
        draw_text(query.answers[i], i, answers, y + static_cast<double>(i) * (text_row + 4));
  }

  void draw_picture(const SheetAnswer& answer, std::size_t rank, double x, double y) {
    const double cell = options_.cell, side = cell_width();
    const Color color = color_of(answer.mark);
    canvas_.fill_rect(x, y, side, side, colors::white);
    if (answer.item.image) canvas_.image(x + inset, y + inset, cell, cell, answer.item.image);
    const bool right = answer.mark == Mark::right;
    canvas_.frame(x, y, side, side, right ? color : color.with_opacity(0.45), right ? 4 : 1.5);
    canvas_.text(x + 1, y + side + 14, score_text(answer, rank),
                 {.size = 11.5, .color = color, .bold = right}, side);
    canvas_.wrapped_text(x + 1, y + side + 14 + caption_line, side - 2, answer.item.text, 2,
                         {.size = 11, .color = colors::ink});
  }

  void draw_text(const SheetAnswer& answer, std::size_t rank, double x, double y) {
    const Color color = color_of(answer.mark);
    const double width = canvas_.width() - margin - x - inset;
    const bool right = answer.mark == Mark::right;
    canvas_.fill_rect(x, y + 2, width, text_row, colors::white);
    canvas_.frame(x, y + 2, width, text_row, right ? color : colors::light, right ? 2 : 1);
    canvas_.fill_rect(x, y + 2, 5, text_row, color);
    const double baseline = y + 2 + text_row / 2.0 + 4.5;
    canvas_.text(x + 14, baseline, score_text(answer, rank),
                 {.size = 11.5, .color = color, .bold = right}, 78);
    canvas_.text(x + 98, baseline, answer.item.text, {.size = 13}, width - 108);
  }

  static constexpr int margin = 20, gap = 12, inset = 6, title_height = 40, heading_height = 32,
                       caption_line = 15, score_line = 20, text_row = 28;

  std::span<const SheetSection> sections_;
  const SheetOptions& options_;
  Canvas canvas_;
};

}  // namespace detail

/// Draws the sections one under the other; the picture is as large as they need.
inline Canvas draw_contact_sheet(std::span<const SheetSection> sections,
                                 const SheetOptions& options = {}) {
  return detail::SheetDrawing(sections, options).take();
}

/// Writes the sheet as a PNG file (atomically).
inline void write_contact_sheet(const std::string& path, std::span<const SheetSection> sections,
                                const SheetOptions& options = {}) {
  draw_contact_sheet(sections, options).save_png(path);
}

}  // namespace albef
