// A sheet of equal columns under a title: how question and box sheets lay their entries out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "albef/viz/canvas.hpp"

namespace albef::detail {

inline constexpr int sheet_margin = 20, sheet_gap = 12;

/// Draws entries of `width` pixels in `columns` columns, row by row; a row is as high as its
/// highest entry. `height(i)` measures entry i, `draw(canvas, i, x, y)` draws it on its ground.
template <class Height, class Draw>
Canvas draw_grid(std::size_t entries, int columns, int width, const std::string& title,
                 const Height& height, const Draw& draw) {
  require(entries > 0, "sheet: there is nothing to show");
  require(columns > 0, "sheet: ", columns, " columns, expected at least 1");
  const int title_height = title.empty() ? 0 : 40;
  const auto per_row = std::min(static_cast<std::size_t>(columns), entries);
  std::vector<int> rows((entries + per_row - 1) / per_row, 0);
  int total = 2 * sheet_margin + title_height - sheet_gap;
  for (std::size_t i = 0; i < entries; ++i)
    rows[i / per_row] = std::max(rows[i / per_row], height(i));
  for (const int row : rows) total += row + sheet_gap;

  Canvas canvas(2 * sheet_margin + static_cast<int>(per_row) * (width + sheet_gap) - sheet_gap,
                total);
  if (!title.empty())
    canvas.text(sheet_margin, sheet_margin + 20, title, {.size = 20, .bold = true},
                canvas.width() - 2.0 * sheet_margin);
  double y = sheet_margin + title_height;
  for (std::size_t i = 0; i < entries; ++i) {
    const double x = sheet_margin + static_cast<double>(i % per_row) * (width + sheet_gap);
    canvas.fill_rect(x, y, width, rows[i / per_row], colors::paper);
    draw(canvas, i, x, y);
    if (i % per_row + 1 == per_row) y += rows[i / per_row] + sheet_gap;
  }
  return canvas;
}

}  // namespace albef::detail
