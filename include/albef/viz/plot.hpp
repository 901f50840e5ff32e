// Loss curves as a picture: raw values faint, a moving average on top, dashed lines where a loss
// stands that learns nothing.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "albef/core/number.hpp"
#include "albef/viz/canvas.hpp"

namespace albef {

/// One curve; values that are not finite leave a gap.
struct PlotSeries {
  std::string name;
  std::vector<double> x, y;  // x ascending
};

/// A dashed horizontal line, in the colour of the curve `series` if there is one of that name.
struct PlotPlateau {
  std::string label;
  double y = 0;
  std::string series = {};
};

struct PlotOptions {
  std::string title = "";
  std::string x_label = "step", y_label = "loss";
  int width = 960, height = 540;  // pixels
  int window = 0;                 // values in the moving average; 0: a fiftieth of the curve
  std::vector<PlotPlateau> plateaus = {};
};

namespace detail {

inline constexpr std::array<Color, 8> plot_colors{{{0.12, 0.38, 0.70},
                                                   {0.86, 0.40, 0.08},
                                                   {0.13, 0.55, 0.30},
                                                   {0.70, 0.16, 0.22},
                                                   {0.46, 0.30, 0.68},
                                                   {0.45, 0.33, 0.27},
                                                   {0.82, 0.35, 0.62},
                                                   {0.35, 0.37, 0.40}}};

/// Centred moving average that skips values that are not finite; NaN where there are none.
inline std::vector<double> smoothed(const std::vector<double>& y, std::size_t window) {
  const std::size_t n = y.size(), half = window / 2;
  std::vector<double> sum{0}, count{0}, out(n);
  for (const double value : y) {
    const bool finite = std::isfinite(value);
    sum.push_back(sum.back() + (finite ? value : 0));
    count.push_back(count.back() + (finite ? 1 : 0));
  }
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t low = i - std::min(half, i), high = std::min(i + half, n - 1) + 1;
    out[i] = (sum[high] - sum[low]) / (count[high] - count[low]);
  }
  return out;
}

/// A range of values and the round numbers on it.
struct Axis {
  double low = 0, high = 1, step = 0.2;

  Axis() = default;
  Axis(double from, double to, int ticks) : low(from), high(to) {
    if (!(high - low > 1e-9 * std::max(std::abs(low), std::abs(high)))) {  // no range to speak of
      const double room = std::max(std::abs(low) * 0.1, 0.5);
      low -= room, high += room;
    }
    const double raw = (high - low) / ticks, power = std::pow(10, std::floor(std::log10(raw)));
    step = power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10);
  }
  double first() const { return std::ceil(low / step - 1e-9) * step; }
  double fraction(double v) const { return (v - low) / (high - low); }
  std::string label(double v) const {
    if (std::abs(v) < step / 1000) return "0";
    const double largest = std::max(std::abs(low), std::abs(high));
    if (largest >= 1e4 && std::fmod(step, 1000) == 0) return significant(v / 1000, 6) + "k";
    if (largest >= 1e6 || largest < 1e-3) return significant(v, 3);
    return fixed(v, std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9))));
  }
};

/// The value below which a share `q` of the values lies.
inline double share_below(std::vector<double> values, double q) {
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

/// Draws one plot; split into steps that share the axes.
class PlotDrawing {
 public:
  PlotDrawing(std::span<const PlotSeries> series, const PlotOptions& options)
      : series_(series), options_(options), canvas_(options.width, options.height) {
    for (const auto& s : series) {
      require(s.x.size() == s.y.size(), "plot: series '", s.name, "' has ", s.x.size(),
              " x values and ", s.y.size(), " y values");
      require(std::all_of(s.x.begin(), s.x.end(), [](double v) { return std::isfinite(v); }),
              "plot: series '", s.name, "' has an x value that is not finite");
      const auto window = options.window > 0 ? static_cast<std::size_t>(options.window)
                                             : std::max<std::size_t>(1, s.y.size() / 50);
      averages_.push_back(smoothed(s.y, window));
    }
    for (const auto& plateau : options.plateaus)
      require(std::isfinite(plateau.y), "plot: plateau '", plateau.label, "' is not finite");
    choose_axes();
    draw_frame();
    for (std::size_t i = 0; i < series.size(); ++i) {
      if (averages_[i] != series[i].y)
        draw_curve(series[i].x, series[i].y, color(i).with_opacity(0.22), 1);
    }
    for (std::size_t i = 0; i < series.size(); ++i)
      draw_curve(series[i].x, averages_[i], color(i), 2);
    draw_plateaus();
    draw_legend();
  }
  Canvas take() { return std::move(canvas_); }

 private:
  static Color color(std::size_t i) { return plot_colors[i % plot_colors.size()]; }
  Point at(double x, double y) const {
    return {left + x_.fraction(x) * plot_width(), top + (1 - y_.fraction(y)) * plot_height()};
  }
  double plot_width() const { return options_.width - left - right; }
  double plot_height() const { return options_.height - top - bottom; }

  /// Outliers of the raw values (beyond 0.5 % at each end) may leave the picture, averages not.
  void choose_axes() {
    std::vector<double> xs, ys;
    for (std::size_t i = 0; i < series_.size(); ++i) {
      std::vector<double> raw;
      for (const double v : series_[i].y)
        if (std::isfinite(v)) raw.push_back(v);
      if (raw.empty()) continue;
      ys.push_back(share_below(raw, 0.005));
      ys.push_back(share_below(raw, 0.995));
      for (const double v : averages_[i])
        if (std::isfinite(v)) ys.push_back(v);
      xs.insert(xs.end(), series_[i].x.begin(), series_[i].x.end());
    }
    for (const auto& plateau : options_.plateaus) ys.push_back(plateau.y);
    if (xs.empty()) xs = {0, 1};
    if (ys.empty()) ys = {0, 1};
    const auto [x0, x1] = std::minmax_element(xs.begin(), xs.end());
    const auto [y0, y1] = std::minmax_element(ys.begin(), ys.end());
    const double room = 0.05 * (*y1 - *y0);
    // Losses are not negative: zero is the natural floor if it is near.
    const double low = *y0 >= 0 && *y0 - room < 0.25 * (*y1 - *y0) ? 0 : *y0 - room;
    x_ = Axis(*x0, *x1, 8);
    y_ = Axis(low, *y1 + room, 6);
  }

  void draw_frame() {
    canvas_.text(left, 30, options_.title, {.size = 17, .bold = true}, plot_width());
    for (double v = y_.first(); v <= y_.high + 1e-9 * y_.step; v += y_.step) {
      const double y = std::round(at(x_.low, v).y) + 0.5;
      canvas_.line({left, y}, {left + plot_width(), y}, colors::light);
      canvas_.text(left - 8, y + 4, y_.label(v), {12, colors::grey, false, Align::right});
    }
    for (double v = x_.first(); v <= x_.high + 1e-9 * x_.step; v += x_.step) {
      const double x = std::round(at(v, y_.low).x) + 0.5, y = top + plot_height();
      canvas_.line({x, y}, {x, y + 5}, colors::grey);
      canvas_.text(x, y + 19, x_.label(v), {12, colors::grey, false, Align::center});
    }
    const double base = std::round(top + plot_height()) + 0.5;
    canvas_.line({left, base}, {left + plot_width(), base}, colors::grey);
    canvas_.text(left + plot_width() / 2, options_.height - 12.0, options_.x_label,
                 {13, colors::ink, false, Align::center});
    canvas_.vertical_text(20, top + plot_height() / 2, options_.y_label, {.size = 13});
  }

  void draw_curve(const std::vector<double>& x, const std::vector<double>& y, Color color,
                  double thickness) {
    canvas_.clipped(left, top, plot_width() + 2, plot_height(), [&] {
      // Several values per pixel show no more than one or two.
      const std::size_t stride = std::max<std::size_t>(1, x.size() / 4000);
      std::vector<Point> run;
      for (std::size_t i = 0; i < x.size(); i += stride) {
        if (std::isfinite(y[i])) {
          run.push_back(at(x[i], y[i]));
        } else {
          canvas_.polyline(run, color, thickness);
          run.clear();
        }
      }
      canvas_.polyline(run, color, thickness);
    });
  }

  void draw_plateaus() {
    const double end = left + plot_width();
    for (const auto& plateau : options_.plateaus) {
      const double y = height_of(plateau);
      canvas_.line({left, y}, {end, y}, color(plateau).with_opacity(0.8), 1.2, true);
    }
    for (const auto& plateau : options_.plateaus) {
      const double y = height_of(plateau);
      // The label stands on its line, or hangs from it where another line is close above.
      const bool below = std::any_of(options_.plateaus.begin(), options_.plateaus.end(),
                                     [&](const PlotPlateau& other) {
                                       const double above = y - height_of(other);
                                       return above > 0 && above < 32;
                                     });
      const double baseline = below ? y + 14 : y - 5;
      const TextStyle style{.size = 11.5, .color = color(plateau), .align = Align::right};
      const double width = canvas_.text_width(plateau.label, style);
      canvas_.fill_rect(end - width - 6, baseline - 10, width + 6, 13,
                        colors::white.with_opacity(0.8));
      canvas_.text(end - 3, baseline, plateau.label, style);
    }
  }
  double height_of(const PlotPlateau& plateau) const {
    return std::round(at(x_.low, plateau.y).y) + 0.5;
  }
  Color color(const PlotPlateau& plateau) const {
    for (std::size_t i = 0; i < series_.size(); ++i)
      if (series_[i].name == plateau.series) return color(i);
    return colors::grey;
  }

  /// Name and last average of every curve, in a row under the title.
  void draw_legend() {
    double x = left;
    for (std::size_t i = 0; i < series_.size(); ++i) {
      std::string label = series_[i].name;
      const auto& average = averages_[i];
      const auto last =
          std::find_if(average.rbegin(), average.rend(), [](double v) { return std::isfinite(v); });
      if (last != average.rend()) label += "  " + significant(*last, 4);
      canvas_.line({x, 49}, {x + 18, 49}, color(i), 3);
      canvas_.text(x + 24, 53, label, {.size = 12.5});
      x += 24 + canvas_.text_width(label, {.size = 12.5}) + 22;
    }
  }

  static constexpr double left = 74, right = 24, top = 70, bottom = 56;

  std::span<const PlotSeries> series_;
  const PlotOptions& options_;
  Canvas canvas_;
  std::vector<std::vector<double>> averages_;
  Axis x_, y_;
};

}  // namespace detail

/// Draws the curves over a common axis. Error if a series has different numbers of x and y.
inline Canvas draw_plot(std::span<const PlotSeries> series, const PlotOptions& options = {}) {
  return detail::PlotDrawing(series, options).take();
}

/// Writes the plot as a PNG file (atomically).
inline void write_plot(const std::string& path, std::span<const PlotSeries> series,
                       const PlotOptions& options = {}) {
  draw_plot(series, options).save_png(path);
}

}  // namespace albef
