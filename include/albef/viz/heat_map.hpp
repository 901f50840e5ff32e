// Heat maps over pictures: where a model looks for each word, one row per word as in the paper's
// figures (official visualization notebook).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/viz/canvas.hpp"

namespace albef {

/// Values over a picture on a coarse grid, e.g. one per patch: rows x columns from the upper left
/// corner. Only their ratios to the largest matter; negative ones count as 0.
struct HeatGrid {
  std::vector<float> values = {};
  int rows = 0, columns = 0;
};

/// 8-bit RGB pixels that own their memory; an ImageView is made from it.
struct RgbPicture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb = {};
};

/// The colour of a value from 0 to 1: blue, cyan, yellow, red.
constexpr Color heat_color(double value) {
  const auto ramp = [value](double center) {
    const double distance = 4 * value - center;
    return std::clamp(1.5 - (distance < 0 ? -distance : distance), 0.0, 1.0);
  };
  return {ramp(3), ramp(2), ramp(1)};
}

namespace detail {

/// The grid's values at the pixels of a width x height picture: bicubic (a = -0.5), edges repeated,
/// cut to 0 .. 1 after division by the largest value of the grid.
inline std::vector<float> spread_heat(const HeatGrid& map, int width, int height) {
  const auto rows = static_cast<std::size_t>(map.rows),
             columns = static_cast<std::size_t>(map.columns);
  require(map.rows > 0 && map.columns > 0 && map.values.size() == rows * columns, "heat map of ",
          map.rows, " x ", map.columns, " cells has ", map.values.size(), " values");
  float largest = 0;
  for (const float v : map.values)
    if (std::isfinite(v)) largest = std::max(largest, v);

  struct Taps {  // the four cells of a pixel along one axis
    int first;
    float weight[4];
  };
  const auto taps = [](int cells, int pixels) {
    std::vector<Taps> out;
    for (int p = 0; p < pixels; ++p) {
      const float at =
          (static_cast<float>(p) + 0.5f) * static_cast<float>(cells) / static_cast<float>(pixels) -
          0.5f;
      const float floor = std::floor(at), t = at - floor;
      out.push_back({static_cast<int>(floor) - 1,
                     {((-0.5f * t + 1) * t - 0.5f) * t, (1.5f * t - 2.5f) * t * t + 1,
                      ((-1.5f * t + 2) * t + 0.5f) * t, (0.5f * t - 0.5f) * t * t}});
    }
    return out;
  };
  const auto across = taps(map.columns, width), down = taps(map.rows, height);
  const auto cell = [&](int row, int column) {
    const auto r = static_cast<std::size_t>(std::clamp(row, 0, map.rows - 1));
    const auto c = static_cast<std::size_t>(std::clamp(column, 0, map.columns - 1));
    const float v = map.values[r * columns + c];
    return std::isfinite(v) && v > 0 && largest > 0 ? v / largest : 0.0f;
  };
  std::vector<float> out;
  out.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  for (const Taps& y : down)
    for (const Taps& x : across) {
      float sum = 0;
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
          sum += y.weight[i] * x.weight[j] * cell(y.first + i, x.first + j);
      out.push_back(std::clamp(sum, 0.0f, 1.0f));
    }
  return out;
}

}  // namespace detail

/// The picture with the map's colours over it, the more opaque the larger the value. Throws Error
/// if the map's size and its values disagree.
inline RgbPicture overlay_heat(ImageView picture, const HeatGrid& map) {
  require(static_cast<bool>(picture), "heat map: the picture has no pixels");
  const std::vector<float> heat = detail::spread_heat(map, picture.width, picture.height);
  RgbPicture out{picture.width, picture.height, std::vector<std::uint8_t>(3 * heat.size())};
  for (std::size_t i = 0; i < heat.size(); ++i) {
    const Color color = heat_color(heat[i]);
    const double opacity = std::pow(heat[i], 0.7), rgb[] = {color.r, color.g, color.b};
    for (std::size_t c = 0; c < 3; ++c)
      out.rgb[3 * i + c] = static_cast<std::uint8_t>(
          std::lround((1 - opacity) * picture.rgb[3 * i + c] + opacity * 255 * rgb[c]));
  }
  return out;
}

struct HeatRow {
  std::string word = {};
  HeatGrid map = {};
};

/// A picture with a text and the map of each of its words; the pixels must live until the sheet is
/// drawn.
struct HeatExample {
  ImageView picture = {};
  std::string text = {};
  std::vector<HeatRow> rows = {};
};

struct HeatSheetOptions {
  std::string title = {};
  int cell = 150;        // side of a picture in pixels
  int word_width = 110;  // room for a word beside its row
};

/// Draws the examples side by side: the picture with its text on top, then one row per word.
inline Canvas draw_heat_sheet(std::span<const HeatExample> examples,
                              const HeatSheetOptions& options = {}) {
  require(!examples.empty(), "heat map sheet: there are no examples");
  require(options.cell > 0 && options.word_width > 0, "heat map sheet: cell ", options.cell,
          " and word_width ", options.word_width, ", expected positive numbers");
  constexpr int margin = 20, gap = 8, title_height = 40, text_height = 58;
  const int column = options.word_width + options.cell + 3 * gap;
  std::size_t most = 0;
  for (const HeatExample& e : examples) most = std::max(most, e.rows.size());
  const int top = margin + (options.title.empty() ? 0 : title_height);
  Canvas canvas(2 * margin + static_cast<int>(examples.size()) * (column + gap) - gap,
                top + (options.cell + gap) * (1 + static_cast<int>(most)) + text_height + margin);
  if (!options.title.empty())
    canvas.text(margin, margin + 20, options.title, {.size = 20, .bold = true},
                canvas.width() - 2.0 * margin);

  double left = margin;
  for (const HeatExample& e : examples) {
    const double x = left + options.word_width + 2 * gap, cell = options.cell;
    double y = top;
    canvas.fill_rect(left, y, column, canvas.height() - margin - y, colors::paper);
    canvas.image(x, y + gap, cell, cell, e.picture);
    canvas.wrapped_text(left + gap, y + gap + cell + 18, column - 2.0 * gap, e.text, 3,
                        {.size = 13, .bold = true});
    y += cell + gap + text_height;
    for (const HeatRow& row : e.rows) {
      const RgbPicture picture = overlay_heat(e.picture, row.map);
      canvas.image(x, y, cell, cell, picture);
      canvas.text(x - gap, y + cell / 2 + 5, row.word, {.size = 14, .align = Align::right},
                  options.word_width);
      y += cell + gap;
    }
    left += column + gap;
  }
  return canvas;
}

/// Writes the sheet as a PNG file (atomically).
inline void write_heat_sheet(const std::string& path, std::span<const HeatExample> examples,
                             const HeatSheetOptions& options = {}) {
  draw_heat_sheet(examples, options).save_png(path);
}

}  // namespace albef
