// Bicubic interpolation over a grid, for the host and all devices: a = -0.75, align_corners =
// false, edges repeated, no antialiasing (torch.nn.functional.interpolate, mode='bicubic').
#pragma once

#include "albef/core/bfloat16.hpp"

namespace albef {

/// A grid of from_height x from_width rows becomes one of height x width rows. A step in the result
/// is from / (to + offset) in the source; torch's own has offset 0, the official DINO 0.1
/// (vision_transformer.py, interpolate_pos_encoding).
struct GridResize {
  int from_height = 0, from_width = 0, height = 0, width = 0;
  double offset = 0;
  constexpr int from_rows() const { return from_height * from_width; }
  constexpr int rows() const { return height * width; }
  constexpr bool same() const { return from_height == height && from_width == width; }
};

namespace detail {

/// The four source positions and weights of one output position along one side of the grid.
struct CubicTaps {
  int at[4] = {};
  double weight[4] = {};

  ALBEF_HOST_DEVICE constexpr CubicTaps(int position, int from, int to, double offset = 0) {
    const double source = (position + 0.5) * from / (to + offset) - 0.5;
    const int base = static_cast<int>(source + 1) - 1;  // source is at least -0.5
    const double t = source - base;
    weight[0] = far(t + 1), weight[1] = near(t), weight[2] = near(1 - t), weight[3] = far(2 - t);
    for (int i = 0; i < 4; ++i) {
      const int p = base + i - 1;
      at[i] = p < 0 ? 0 : p < from ? p : from - 1;
    }
  }
  /// The weight of source position `source`: 0 where it is not read.
  ALBEF_HOST_DEVICE constexpr double of(int source) const {
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += at[i] == source ? weight[i] : 0.0;
    return sum;
  }

 private:
  static constexpr double a = -0.75;
  ALBEF_HOST_DEVICE static constexpr double near(double d) {
    return ((a + 2) * d - (a + 3)) * d * d + 1;
  }
  ALBEF_HOST_DEVICE static constexpr double far(double d) {
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  }
};

/// The output positions [begin, end) of one side of the grid outside of which source position
/// `source` is not read.
struct CubicReach {
  int begin = 0, end = 0;

  ALBEF_HOST_DEVICE constexpr CubicReach(int source, int from, int to, double offset = 0) {
    const double scale = (to + offset) / from;
    const double first = (source - 1.5) * scale - 0.5, last = (source + 2.5) * scale - 0.5;
    begin = first < 1 ? 0 : static_cast<int>(first) - 1;  // one more for rounding
    end = last + 2 < to ? static_cast<int>(last + 2) : to;
  }
};

}  // namespace detail
}  // namespace albef
