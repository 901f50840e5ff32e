// Boxes over pictures: what an expression refers to, and the boxes that a model chose among,
// ranked.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/number.hpp"
#include "albef/viz/contact_sheet.hpp"
#include "albef/viz/sheet_grid.hpp"

namespace albef {

/// A rectangle in pixels of its picture, from the upper left corner.
struct DrawnBox {
  double x = 0, y = 0, width = 0, height = 0;
  double score = std::numeric_limits<double>::quiet_NaN();  // not finite: not shown
};

/// A picture with an expression; the pixels must live until the sheet is drawn. For boxes over a
/// heat map give the picture that overlay_heat returns.
struct BoxEntry {
  ImageView picture = {};
  std::string text = {};
  std::vector<DrawnBox> boxes = {};    // best first
  std::optional<DrawnBox> truth = {};  // dashed
  std::optional<Point> pointed = {};   // where the model's map is largest
  Mark mark = Mark::none;              // of the best box
};

struct BoxSheetOptions {
  std::string title = {};
  int cell = 260;  // side of a picture in pixels
  int columns = 4;
  int max_boxes = 5;  // drawn of each entry
};

/// Draws the picture as large as fits into the square of `cell` pixels at (x, y), with its boxes:
/// the best one thick, green or red if it is marked, the others thinner by rank.
inline void draw_boxes(Canvas& canvas, double x, double y, double cell, const BoxEntry& entry,
                       int max_boxes) {
  require(static_cast<bool>(entry.picture), "box sheet: the picture has no pixels");
  const double scale = std::min(cell / entry.picture.width, cell / entry.picture.height);
  const double left = x + (cell - scale * entry.picture.width) / 2,
               top = y + (cell - scale * entry.picture.height) / 2;
  canvas.image(x, y, cell, cell, entry.picture);
  const std::size_t count =
      std::min(entry.boxes.size(), static_cast<std::size_t>(std::max(max_boxes, 0)));
  canvas.clipped(x, y, cell, cell, [&] {
    if (entry.truth) {
      const double l = left + scale * entry.truth->x, t = top + scale * entry.truth->y,
                   r = l + scale * entry.truth->width, b = t + scale * entry.truth->height;
      const Point outline[] = {{l, t}, {r, t}, {r, b}, {l, b}, {l, t}};
      canvas.polyline(outline, colors::white, 3.5);
      canvas.polyline(outline, colors::ink, 1.5, true);
    }
    for (std::size_t i = count; i-- > 0;) {  // the best one on top
      const DrawnBox& box = entry.boxes[i];
      constexpr Color blue{0.12, 0.38, 0.70};
      const Color color = i > 0                       ? colors::grey
                          : entry.mark == Mark::right ? colors::green
                          : entry.mark == Mark::wrong ? colors::red
                                                      : blue;
      const double bx = left + scale * box.x, by = top + scale * box.y;
      canvas.frame(bx, by, scale * box.width, scale * box.height, color, i == 0 ? 4 : 1.5);
      std::string label = std::to_string(i + 1);
      if (std::isfinite(box.score)) label += "  " + fixed(box.score, 2);
      const TextStyle style{.size = 11, .color = colors::white, .bold = i == 0};
      const double ly = std::max(by - 15, y);  // above the box, inside the picture
      canvas.fill_rect(bx, ly, canvas.text_width(label, style) + 8, 15, color);
      canvas.text(bx + 4, ly + 11.5, label, style);
    }
    if (entry.pointed) {
      const double px = left + scale * entry.pointed->x, py = top + scale * entry.pointed->y;
      for (const auto& [color, thickness] : {std::pair{colors::white, 4.0}, {colors::ink, 2.0}}) {
        canvas.line({px - 7, py}, {px + 7, py}, color, thickness);
        canvas.line({px, py - 7}, {px, py + 7}, color, thickness);
      }
    }
  });
}

/// Draws the entries row by row, each with its expression below.
inline Canvas draw_box_sheet(std::span<const BoxEntry> entries,
                             const BoxSheetOptions& options = {}) {
  require(options.cell > 0, "box sheet: cell ", options.cell, ", expected a positive number");
  constexpr int inset = 8, text_height = 40;
  const auto draw = [&](Canvas& canvas, std::size_t i, double x, double y) {
    draw_boxes(canvas, x + inset, y + inset, options.cell, entries[i], options.max_boxes);
    canvas.wrapped_text(x + inset, y + inset + options.cell + 18, options.cell, entries[i].text, 2,
                        {.size = 13});
  };
  return detail::draw_grid(
      entries.size(), options.columns, options.cell + 2 * inset, options.title,
      [&](std::size_t) { return options.cell + 2 * inset + text_height; }, draw);
}

/// Writes the sheet as a PNG file (atomically).
inline void write_box_sheet(const std::string& path, std::span<const BoxEntry> entries,
                            const BoxSheetOptions& options = {}) {
  draw_box_sheet(entries, options).save_png(path);
}

}  // namespace albef
