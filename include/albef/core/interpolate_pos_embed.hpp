// Resizes a vision transformer's position embeddings to another patch grid, as the official code
// does when a checkpoint of one image size is fine-tuned at another (models/vit.py:180-202).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "albef/core/bicubic.hpp"
#include "albef/core/error.hpp"

namespace albef {
/// Bicubic resize of the patch rows of `table`, (1, from_height * from_width + 1, width) row-major,
/// to (1, height * width + 1, width); the class-token row is kept and an equal grid is returned
/// unchanged. Throws Error if the table has another number of rows.
template <class T>
std::vector<T> interpolate_pos_embed(std::span<const T> table, int width, const GridResize& grid) {
  require(width > 0 && grid.height > 0 && grid.width > 0, "interpolate_pos_embed: width ", width,
          " and grid ", grid.height, " x ", grid.width, ", expected positive numbers");
  const auto columns = static_cast<std::size_t>(width);
  require(!table.empty() && table.size() % columns == 0, "interpolate_pos_embed: ", table.size(),
          " values are not rows of width ", width);
  require(grid.from_height > 0 && grid.from_width > 0 &&
              table.size() / columns == static_cast<std::size_t>(grid.from_rows()) + 1,
          "interpolate_pos_embed: ", table.size() / columns, " rows, expected a class token and ",
          grid.from_height, " x ", grid.from_width, " patches");
  if (grid.same()) return {table.begin(), table.end()};

  std::vector<T> out(table.begin(), table.begin() + width);
  out.resize((1 + static_cast<std::size_t>(grid.rows())) * columns);
  T* result = out.data() + width;
  std::vector<double> row(columns);
  for (int y = 0; y < grid.height; ++y) {
    const detail::CubicTaps vertical(y, grid.from_height, grid.height, grid.offset);
    for (int x = 0; x < grid.width; ++x, result += width) {
      const detail::CubicTaps horizontal(x, grid.from_width, grid.width, grid.offset);
      std::fill(row.begin(), row.end(), 0.0);
      for (int j = 0; j < 4; ++j)
        for (int i = 0; i < 4; ++i) {
          const double weight = vertical.weight[j] * horizontal.weight[i];
          const std::int64_t from =
              std::int64_t{vertical.at[j]} * grid.from_width + horizontal.at[i];
          const T* source = table.data() + (1 + from) * width;
          for (std::size_t c = 0; c < columns; ++c)
            row[c] += weight * static_cast<double>(source[c]);
        }
      std::transform(row.begin(), row.end(), result, [](double v) { return static_cast<T>(v); });
    }
  }
  return out;
}

/// The same between square grids, from that of the table to `grid` x `grid`. Throws Error if the
/// number of rows is not a square plus one.
template <class T>
std::vector<T> interpolate_pos_embed(std::span<const T> table, int width, int grid) {
  require(width > 0 && grid > 0, "interpolate_pos_embed: width ", width, " and grid ", grid,
          ", expected positive numbers");
  const auto columns = static_cast<std::size_t>(width);
  require(!table.empty() && table.size() % columns == 0, "interpolate_pos_embed: ", table.size(),
          " values are not rows of width ", width);
  const std::size_t patches = table.size() / columns - 1;
  const int n = static_cast<int>(std::lround(std::sqrt(static_cast<double>(patches))));
  require(n > 0 && static_cast<std::size_t>(n) * static_cast<std::size_t>(n) == patches,
          "interpolate_pos_embed: ", patches + 1, " rows, expected a square number plus one");
  return interpolate_pos_embed(table, width, GridResize{n, n, grid, grid});
}

}  // namespace albef
