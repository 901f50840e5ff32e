// Rotation, shear and shift of a picture with the fixed-point bilinear arithmetic of OpenCV 4's
// warpAffine: source positions rounded to 1/32 pixel, a constant colour outside.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/data/image.hpp"
#include "albef/data/rounding.hpp"

namespace albef {

/// Rows of the affine map (x, y) -> (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]) that takes a
/// source pixel to its place in the result; x to the right, y downwards.
using AffineMap = std::array<double, 6>;
using Rgb = std::array<std::uint8_t, 3>;

/// The colour RandAugment fills uncovered corners with.
inline constexpr Rgb fill_gray{128, 128, 128};

/// x' = x + factor * y. The factor is rounded to float, as the official code does.
inline AffineMap shear_x_map(double factor) { return {1, static_cast<float>(factor), 0, 0, 1, 0}; }
/// y' = y + factor * x.
inline AffineMap shear_y_map(double factor) { return {1, 0, 0, static_cast<float>(factor), 1, 0}; }
/// Moves the picture by (-dx, -dy) pixels: a positive offset shifts it to the left or upwards.
AffineMap translate_map(double dx, double dy);
/// Turns counter-clockwise about (width / 2, height / 2).
AffineMap rotate_map(double degrees, int width, int height);

namespace detail {

/// The map from result to source; all zero if there is none.
AffineMap inverse(const AffineMap& m);

/// Nearest integer, ties to even; clamped, so that absurd maps stay defined.
inline int to_fixed(double x) { return static_cast<int>(std::nearbyint(std::clamp(x, -1e9, 1e9))); }

}  // namespace detail

/// Replaces the picture by its image under `map`, of the same size. `source` is a work buffer.
/// Every corner pixel outside the picture counts as `fill`.
void warp_affine(ImageSpan image, const AffineMap& map, std::vector<std::uint8_t>& source,
                 Rgb fill = fill_gray);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE AffineMap translate_map(double dx, double dy) {
  return {1, 0, -static_cast<float>(dx), 0, 1, -static_cast<float>(dy)};
}

ALBEF_DATA_INLINE AffineMap rotate_map(double degrees, int width, int height) {
  using detail::rounded;
  const double angle = degrees * (3.1415926535897932384626433832795 / 180);
  const double c = std::cos(angle), s = std::sin(angle), x = width / 2.0, y = height / 2.0;
  return {c,  s, rounded((1 - c) * x) - rounded(s * y),
          -s, c, rounded(s * x) + rounded((1 - c) * y)};
}

}  // namespace albef

namespace albef::detail {

ALBEF_DATA_INLINE AffineMap inverse(const AffineMap& m) {
  const double determinant = rounded(m[0] * m[4]) - rounded(m[1] * m[3]);
  const double d = determinant != 0 ? 1 / determinant : 0;
  const double a = m[4] * d, b = m[1] * -d, c = m[3] * -d, e = m[0] * d;
  return {a, b, rounded(-a * m[2]) - rounded(b * m[5]),
          c, e, rounded(-c * m[2]) - rounded(e * m[5])};
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE void warp_affine(ImageSpan image, const AffineMap& map,
                                   std::vector<std::uint8_t>& source, Rgb fill) {
  constexpr int scale_bits = 10, position_bits = 5, one = 1 << position_bits;  // 1/1024 and 1/32
  constexpr int half = 1 << (scale_bits - position_bits - 1);
  const AffineMap m = detail::inverse(map);
  source.assign(image.rgb, image.rgb + image.bytes());
  std::vector<int> step_x(static_cast<std::size_t>(image.width)), step_y(step_x.size());
  for (std::size_t x = 0; x < step_x.size(); ++x) {
    step_x[x] = detail::to_fixed(m[0] * static_cast<double>(x) * (1 << scale_bits));
    step_y[x] = detail::to_fixed(m[3] * static_cast<double>(x) * (1 << scale_bits));
  }
  const auto width = static_cast<unsigned>(image.width),
             height = static_cast<unsigned>(image.height);
  const std::size_t stride = image.row_bytes();
  std::uint8_t* out = image.rgb;
  for (int y = 0; y < image.height; ++y) {
    const int row_x =
        detail::to_fixed((detail::rounded(m[1] * y) + m[2]) * (1 << scale_bits)) + half;
    const int row_y =
        detail::to_fixed((detail::rounded(m[4] * y) + m[5]) * (1 << scale_bits)) + half;
    for (std::size_t x = 0; x < step_x.size(); ++x, out += 3) {
      const int fixed_x = (row_x + step_x[x]) >> (scale_bits - position_bits);
      const int fixed_y = (row_y + step_y[x]) >> (scale_bits - position_bits);
      const int left = fixed_x >> position_bits, top = fixed_y >> position_bits;
      const int fx = fixed_x & (one - 1), fy = fixed_y & (one - 1);
      // Negative positions become huge as unsigned numbers: one comparison tests both ends.
      const bool inside =
          static_cast<unsigned>(left) < width - 1 && static_cast<unsigned>(top) < height - 1;
      const std::uint8_t *p00, *p01, *p10, *p11;
      if (inside) {
        p00 = source.data() + static_cast<std::size_t>(top) * stride +
              static_cast<std::size_t>(left) * 3;
        p01 = p00 + 3, p10 = p00 + stride, p11 = p10 + 3;
      } else {
        const auto corner = [&](int cx, int cy) {
          return static_cast<unsigned>(cx) < width && static_cast<unsigned>(cy) < height
                     ? source.data() + static_cast<std::size_t>(cy) * stride +
                           static_cast<std::size_t>(cx) * 3
                     : fill.data();
        };
        p00 = corner(left, top), p01 = corner(left + 1, top);
        p10 = corner(left, top + 1), p11 = corner(left + 1, top + 1);
      }
      const int w00 = (one - fx) * (one - fy), w01 = fx * (one - fy), w10 = (one - fx) * fy,
                w11 = fx * fy;
      for (std::size_t c = 0; c < 3; ++c)
        out[c] = static_cast<std::uint8_t>(
            (w00 * p00[c] + w01 * p01[c] + w10 * p10[c] + w11 * p11[c] + one * one / 2) >>
            (2 * position_bits));
    }
  }
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
