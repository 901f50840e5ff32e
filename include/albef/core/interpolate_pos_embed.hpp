// Resizes a vision transformer's position embeddings to another patch grid, as the official code
// does when a checkpoint of one image size is fine-tuned at another (models/vit.py:180-202).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "albef/core/error.hpp"

namespace albef {
namespace detail {

/// The four source positions and weights of one output position of a bicubic resize (a = -0.75,
/// align_corners = false, edges repeated, no antialiasing: torch's interpolate).
struct CubicTaps {
  std::array<int, 4> at;
  std::array<double, 4> weight;

  CubicTaps(int position, int from, int to) {
    constexpr double a = -0.75;
    const double source = (position + 0.5) * from / to - 0.5;
    const double base = std::floor(source), t = source - base;
    const auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
    const auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
    weight = {far(t + 1), near(t), near(1 - t), far(2 - t)};
    for (int i = 0; i < 4; ++i)
      at[static_cast<std::size_t>(i)] = std::clamp(static_cast<int>(base) + i - 1, 0, from - 1);
  }
};

}  // namespace detail

/// Bicubic resize of the patch rows of `table`, (1, n*n + 1, width) row-major, to (1, grid*grid +
/// 1, width); the class-token row is kept and an equal grid is returned unchanged. Throws Error if
/// the number of rows is not a square plus one.
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
  if (n == grid) return {table.begin(), table.end()};

  std::vector<T> out(table.begin(), table.begin() + width);
  out.resize((1 + static_cast<std::size_t>(grid) * static_cast<std::size_t>(grid)) * columns);
  T* result = out.data() + width;
  std::vector<double> row(columns);
  for (int y = 0; y < grid; ++y) {
    const detail::CubicTaps vertical(y, n, grid);
    for (int x = 0; x < grid; ++x, result += width) {
      const detail::CubicTaps horizontal(x, n, grid);
      std::fill(row.begin(), row.end(), 0.0);
      for (std::size_t j = 0; j < 4; ++j)
        for (std::size_t i = 0; i < 4; ++i) {
          const double weight = vertical.weight[j] * horizontal.weight[i];
          const T* source =
              table.data() +
              (1 + static_cast<std::int64_t>(vertical.at[j]) * n + horizontal.at[i]) * width;
          for (std::size_t c = 0; c < columns; ++c)
            row[c] += weight * static_cast<double>(source[c]);
        }
      std::transform(row.begin(), row.end(), result, [](double v) { return static_cast<T>(v); });
    }
  }
  return out;
}

}  // namespace albef
