// From heat maps to places in a picture: resizing, ranking of boxes, pointing (dataset/utils.py).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/interpolate_pos_embed.hpp"
#include "albef/core/number.hpp"
#include "albef/core/scores.hpp"
#include "albef/data/real_box.hpp"
#include "albef/models/gradcam.hpp"

namespace albef {

/// Intersection over union with the pixel convention of the official code: a box of width w covers
/// the pixels x .. x + w - 1 (computeIoU, dataset/utils.py).
inline double box_iou(const RealBox& a, const RealBox& b) {
  const double x1 = std::max(a.x, b.x), x2 = std::min(a.x + a.width - 1, b.x + b.width - 1);
  const double y1 = std::max(a.y, b.y), y2 = std::min(a.y + a.height - 1, b.y + b.height - 1);
  const double inter = x1 < x2 && y1 < y2 ? (x2 - x1 + 1) * (y2 - y1 + 1) : 0;
  const double all = a.width * a.height + b.width * b.height - inter;
  return all > 0 ? inter / all : 0;
}

/// A heat map over the pixels of a picture.
struct PixelMap {
  int width = 0, height = 0;
  std::vector<float> values;  ///< (height, width)
};

/// Bicubic resize of a heat map (a = -0.75, no antialiasing: torch's interpolate).
inline PixelMap resized(const HeatMap& map, int width, int height) {
  require(width > 0 && height > 0, "heat map: cannot be resized to ", width, " x ", height);
  PixelMap out{width, height, {}};
  const int side = map.side;
  std::vector<double> rows;  // (side, width)
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < width; ++x) {
      const detail::CubicTaps taps(x, side, width);
      double sum = 0;
      for (std::size_t i = 0; i < 4; ++i)
        sum += taps.weight[i] *
               static_cast<double>(map.values[static_cast<std::size_t>(y * side + taps.at[i])]);
      rows.push_back(sum);
    }
  out.values.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  for (int y = 0; y < height; ++y) {
    const detail::CubicTaps taps(y, side, height);
    for (int x = 0; x < width; ++x) {
      double sum = 0;
      for (std::size_t i = 0; i < 4; ++i)
        sum += taps.weight[i] * rows[static_cast<std::size_t>(taps.at[i] * width + x)];
      out.values.push_back(static_cast<float>(sum));
    }
  }
  return out;
}

namespace detail {

/// Error unless the box has a size and lies in a picture of `width` x `height`.
inline void check_box(const RealBox& b, int width, int height) {
  constexpr double slack = 1e-3;  // of sums of fractions
  require(b.width > 0 && b.height > 0 && b.x >= 0 && b.y >= 0 && b.x + b.width <= width + slack &&
              b.y + b.height <= height + slack,
          "box ", b.width, " x ", b.height, " at (", b.x, ", ", b.y,
          ") is empty or outside the picture of ", width, " x ", height);
}

}  // namespace detail

/// "x,y,width,height" in a picture of `width` x `height`. Error if it is anything else.
inline RealBox parse_box(const std::string& text, int width, int height) {
  RealBox box;
  std::string_view rest = text;
  bool good = true;
  for (double* number : {&box.x, &box.y, &box.width, &box.height}) {
    const auto end = number == &box.height ? rest.size() : std::min(rest.find(','), rest.size());
    const auto value = to_whole<double>(rest.substr(0, end));
    good = good && value;
    *number = value.value_or(0);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  require(good, "box '", text, "': expected x,y,width,height in pixels");
  try {
    detail::check_box(box, width, height);
  } catch (const Error& error) { fail("'", text, "': ", error.what()); }
  return box;
}

/// How much of the map lies in a box: its sum over the box's pixels / area^exponent (official:
/// 0.5).
inline double box_score(const PixelMap& map, const RealBox& box, double exponent = 0.5) {
  detail::check_box(box, map.width, map.height);
  const int right = std::min(map.width, static_cast<int>(box.x + box.width));
  const int bottom = std::min(map.height, static_cast<int>(box.y + box.height));
  double sum = 0;
  for (int y = static_cast<int>(box.y); y < bottom; ++y)
    for (int x = static_cast<int>(box.x); x < right; ++x)
      sum += static_cast<double>(map.values[static_cast<std::size_t>(y * map.width + x)]);
  return sum / std::pow(box.width * box.height, exponent);
}

/// Numbers of the boxes, best score first, equal ones by number. (The official code keeps the box
/// of the previous picture when no score is positive; here the largest score wins in any case.)
inline std::vector<int> rank_boxes(const PixelMap& map, std::span<const RealBox> boxes,
                                   double exponent = 0.5) {
  std::vector<double> scores;
  for (const RealBox& b : boxes) scores.push_back(box_score(map, b, exponent));
  return largest(std::span<const double>(scores), static_cast<int>(scores.size()));
}

/// A box with its score relative to that of the best one, 0 where that is not positive.
struct RankedBox {
  RealBox box{};
  double score = 0;
};

/// The boxes in the order of rank_boxes().
inline std::vector<RankedBox> ranked_boxes(const PixelMap& map, std::span<const RealBox> boxes,
                                           double exponent = 0.5) {
  std::vector<RankedBox> ranked;
  double best = 0;
  for (const int i : rank_boxes(map, boxes, exponent)) {
    const RealBox& box = boxes[static_cast<std::size_t>(i)];
    const double score = box_score(map, box, exponent);
    if (ranked.empty()) best = score;
    ranked.push_back({box, best > 0 ? score / best : 0});
  }
  return ranked;
}

/// The centre of the map's highest pixel, the first of equal ones: a box without a size.
inline RealBox peak(const PixelMap& map) {
  const auto at =
      static_cast<int>(std::max_element(map.values.begin(), map.values.end()) - map.values.begin());
  return {at % map.width + 0.5, at / map.width + 0.5, 0, 0};
}

/// Whether the map's peak lies in the box: the pointing game.
inline bool points_into(const PixelMap& map, const RealBox& box) {
  detail::check_box(box, map.width, map.height);
  const auto [x, y, w, h] = peak(map);
  return x >= box.x && x < box.x + box.width && y >= box.y && y < box.y + box.height;
}

/// How well expressions are located.
struct GroundingMetrics {
  std::int64_t expressions = 0;
  std::int64_t pointed = 0;  ///< the highest pixel lies in the object
  std::int64_t ranked = 0;   ///< expressions with candidates
  std::int64_t found = 0;    ///< the best candidate overlaps the object by at least a half

  /// Counts the map of one expression: the object it refers to, and the boxes to choose from.
  void add(const PixelMap& map, const RealBox& object, std::span<const RealBox> candidates = {}) {
    ++expressions;
    pointed += points_into(map, object);
    if (candidates.empty()) return;
    ++ranked;
    const int best = rank_boxes(map, candidates).front();
    found += box_iou(candidates[static_cast<std::size_t>(best)], object) >= 0.5;
  }
  GroundingMetrics& operator+=(const GroundingMetrics& other) {
    expressions += other.expressions, pointed += other.pointed;
    ranked += other.ranked, found += other.found;
    return *this;
  }
  double pointing_accuracy() const { return share(pointed, expressions); }
  double box_accuracy() const { return share(found, ranked); }
  /// By what the best epoch is chosen: the chosen boxes or, without candidates, pointing.
  double score() const { return ranked ? box_accuracy() : pointing_accuracy(); }
  /// expressions, pointing_accuracy; with candidates also ranked and box_accuracy. Shares, of 1.
  nlohmann::ordered_json json() const {
    nlohmann::ordered_json out{{"expressions", expressions},
                               {"pointing_accuracy", pointing_accuracy()}};
    if (ranked) out["ranked"] = ranked, out["box_accuracy"] = box_accuracy();
    return out;
  }

 private:
  static double share(std::int64_t n, std::int64_t of) {
    return of ? static_cast<double>(n) / static_cast<double>(of) : 0;
  }
};

}  // namespace albef
