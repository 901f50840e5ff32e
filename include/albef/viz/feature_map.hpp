// A map of features: each example a point at its first two principal components, in the colour of
// its class, with small pictures where there is room.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/number.hpp"
#include "albef/tasks/probe.hpp"
#include "albef/train/validation.hpp"
#include "albef/viz/canvas.hpp"
#include "albef/viz/plot.hpp"

namespace albef {

/// Points of a map with their classes. Of pictures, one per point or none at all, the pixels must
/// live until the map is drawn.
struct FeatureMap {
  std::vector<Point> points{};         ///< (N)
  double share[2] = {0, 0};            ///< of the variance that lies along each axis
  std::vector<std::int32_t> labels{};  ///< (N), or empty: one colour
  std::vector<std::string> classes{};  ///< their names
  std::vector<ImageView> pictures{};   ///< (N) or empty; one without pixels is a point
};

/// The points of features (N, D), N and D at least 2, by principal_components().
template <class T>
FeatureMap feature_map(Mat<T> features, std::span<const std::int32_t> labels = {},
                       std::vector<std::string> classes = {}) {
  require(labels.empty() || labels.size() == static_cast<std::size_t>(features.rows),
          "feature map: ", labels.size(), " labels for ", features.rows, " rows of features");
  const PrincipalComponents found = principal_components(features, 2);
  const std::vector<double> at = found.transform(features);
  FeatureMap map{.labels = {labels.begin(), labels.end()}, .classes = std::move(classes)};
  for (std::size_t i = 0; i < at.size(); i += 2) map.points.push_back({at[i], at[i + 1]});
  for (std::size_t axis = 0; axis < 2; ++axis)
    map.share[axis] = found.variance[axis] / found.total_variance;
  return map;
}

struct FeatureMapOptions {
  std::string title = {};
  int width = 1000, height = 800;  // pixels
  int thumbnail = 44;              // side of a small picture
  int named = 16;                  // classes in the legend; of more there is none
};

namespace detail {

/// A colour for each of `count` classes: those of plots, or evenly spread hues of two shades.
inline Color class_color(int label, int count) {
  if (count <= static_cast<int>(plot_colors.size()))
    return plot_colors[static_cast<std::size_t>(label)];
  const double hue = 6.0 * label / count;
  const auto channel = [&](double shift) {
    const double t = std::fmod(hue + shift, 6.0);
    return std::clamp(2 - std::abs(t - 2), 0.0, 1.0);
  };
  const double shade = label % 2 ? 0.62 : 0.88;
  return {shade * channel(2), shade * channel(0), shade * channel(4)};
}

}  // namespace detail

/// Draws a map. Of pictures that would cover one another the first is shown, the others stay
/// points.
inline Canvas draw_feature_map(const FeatureMap& map, const FeatureMapOptions& options = {}) {
  const std::size_t n = map.points.size();
  require(n > 0, "feature map: there are no points");
  require(map.labels.empty() || map.labels.size() == n, "feature map: ", map.labels.size(),
          " labels for ", n, " points");
  require(map.pictures.empty() || map.pictures.size() == n, "feature map: ", map.pictures.size(),
          " pictures for ", n, " points");
  const auto classes = static_cast<int>(map.classes.size());
  for (const std::int32_t label : map.labels)
    require(label >= 0 && label < classes, "feature map: label ", label, " of ", classes,
            " classes");
  const bool legend = !map.labels.empty() && classes <= options.named;
  const double left = 70, top = 50, bottom = 60, right = legend ? 190 : 30;
  const double width = options.width - left - right, height = options.height - top - bottom;
  require(width > 0 && height > 0, "feature map: ", options.width, " x ", options.height,
          " pixels are too few");

  const auto axis = [&](auto&& value) {
    double low = value(map.points[0]), high = low;
    for (const Point& p : map.points)
      low = std::min(low, value(p)), high = std::max(high, value(p));
    const double room = 0.05 * (high - low);
    return detail::Axis(low - room, high + room, 8);
  };
  const detail::Axis x = axis([](Point p) { return p.x; }), y = axis([](Point p) { return p.y; });
  const auto place = [&](Point p) {
    return Point{left + x.fraction(p.x) * width, top + (1 - y.fraction(p.y)) * height};
  };
  Canvas canvas(options.width, options.height);
  canvas.text(left, 30, options.title, {.size = 17, .bold = true}, width);
  canvas.fill_rect(left, top, width, height, colors::paper);
  for (double v = y.first(); v <= y.high + 1e-9 * y.step; v += y.step) {
    const double at = std::round(place({x.low, v}).y) + 0.5;
    canvas.line({left, at}, {left + width, at}, colors::light);
    canvas.text(left - 8, at + 4, y.label(v), {12, colors::grey, false, Align::right});
  }
  for (double v = x.first(); v <= x.high + 1e-9 * x.step; v += x.step) {
    const double at = std::round(place({v, y.low}).x) + 0.5;
    canvas.line({at, top}, {at, top + height}, colors::light);
    canvas.text(at, top + height + 19, x.label(v), {12, colors::grey, false, Align::center});
  }
  const auto name = [&](int axis_number) {
    return concat("component ", axis_number + 1, " (", percent(map.share[axis_number]),
                  " of the variance)");
  };
  canvas.text(left + width / 2, options.height - 14.0, name(0),
              {13, colors::ink, false, Align::center});
  canvas.vertical_text(20, top + height / 2, name(1), {.size = 13});

  const auto color = [&](std::size_t i) {
    return map.labels.empty() ? detail::plot_colors[0]
                              : detail::class_color(map.labels[i], classes);
  };
  for (std::size_t i = 0; i < n; ++i) {
    const Point p = place(map.points[i]);
    canvas.fill_rect(p.x - 2.5, p.y - 2.5, 5, 5, color(i));
  }
  std::vector<Point> taken;
  const double side = options.thumbnail, frame = side + 4;
  for (std::size_t i = 0; i < map.pictures.size(); ++i) {
    if (!map.pictures[i]) continue;
    const Point p = place(map.points[i]);
    const bool covered = std::any_of(taken.begin(), taken.end(), [&](Point q) {
      return std::abs(p.x - q.x) < frame && std::abs(p.y - q.y) < frame;
    });
    if (covered) continue;
    taken.push_back(p);
    canvas.fill_rect(p.x - frame / 2, p.y - frame / 2, frame, frame, color(i));
    canvas.image(p.x - side / 2, p.y - side / 2, side, side, map.pictures[i]);
  }
  for (int c = 0; legend && c < classes; ++c) {
    const double at = top + 8 + 20.0 * c;
    canvas.fill_rect(left + width + 14, at - 5, 10, 10, detail::class_color(c, classes));
    canvas.text(left + width + 30, at + 4, map.classes[static_cast<std::size_t>(c)], {.size = 12},
                right - 40);
  }
  return canvas;
}

/// Writes the map as a PNG file (atomically).
inline void write_feature_map(const std::string& path, const FeatureMap& map,
                              const FeatureMapOptions& options = {}) {
  draw_feature_map(map, options).save_png(path);
}

}  // namespace albef
