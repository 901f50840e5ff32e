// Gaussian blur with the arithmetic of Pillow's ImageFilter.GaussianBlur: three box blurs of
// fractional width in fixed point (Gwosdek et al. 2011), across first. Pixels are equal, not close.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/image.hpp"

namespace albef {

/// Blurs pictures in place, keeping its work buffers for the next one. One per thread.
class GaussianBlur {
 public:
  /// `radius` is the standard deviation in pixels; 0 changes nothing. Throws Error if it is
  /// negative or not finite.
  void operator()(ImageSpan image, double radius);

 private:
  static constexpr int passes = 3;

  /// The half width of the boxes, a whole number and a part.
  static float box_radius(float radius);
  /// Blurs down the columns of `rows` rows of `row_bytes` bytes, in and out of `data`.
  void down(std::vector<std::uint8_t>& data, int rows, std::size_t row_bytes, float radius);
  /// (height, width, 3) -> (width, height, 3)
  static void transpose(const std::uint8_t* from, int height, int width, std::uint8_t* to);

  std::vector<std::uint8_t> picture_, other_;
  std::vector<std::uint32_t> sums_;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE float GaussianBlur::box_radius(float radius) {
  const float variance = radius * radius / static_cast<float>(passes);
  const auto length = static_cast<float>(std::sqrt(12.0 * static_cast<double>(variance) + 1.0));
  const auto whole = static_cast<float>(std::floor((static_cast<double>(length) - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  part /= 6 * (variance - (whole + 1) * (whole + 1));
  return whole + part;
}

ALBEF_DATA_INLINE void GaussianBlur::transpose(const std::uint8_t* from, int height, int width,
                                               std::uint8_t* to) {
  const auto h = static_cast<std::size_t>(height), w = static_cast<std::size_t>(width);
  for (std::size_t y = 0; y < h; ++y)
    for (std::size_t x = 0; x < w; ++x)
      for (std::size_t c = 0; c < 3; ++c) to[(x * h + y) * 3 + c] = from[(y * w + x) * 3 + c];
}

ALBEF_DATA_INLINE void GaussianBlur::down(std::vector<std::uint8_t>& data, int rows,
                                          std::size_t row_bytes, float radius) {
  constexpr std::uint32_t one = 1 << 24;
  const int whole = static_cast<int>(radius);
  const auto inner = static_cast<std::uint32_t>(static_cast<float>(one) / (radius * 2 + 1));
  const std::uint32_t outer = (one - static_cast<std::uint32_t>(whole * 2 + 1) * inner) / 2;
  other_.resize(data.size());
  sums_.resize(row_bytes);
  for (int pass = 0; pass < passes; ++pass) {
    const auto row = [&](int y) {
      return data.data() + static_cast<std::size_t>(std::clamp(y, 0, rows - 1)) * row_bytes;
    };
    std::fill(sums_.begin(), sums_.end(), 0u);
    for (int y = -whole - 1; y < whole; ++y) {
      const std::uint8_t* in = row(y);
      for (std::size_t j = 0; j < row_bytes; ++j) sums_[j] += in[j];
    }
    for (int y = 0; y < rows; ++y) {
      const std::uint8_t *leaves = row(y - whole - 1), *enters = row(y + whole),
                         *next = row(y + whole + 1);
      std::uint8_t* out = other_.data() + static_cast<std::size_t>(y) * row_bytes;
      std::uint32_t* sums = sums_.data();
      for (std::size_t j = 0; j < row_bytes; ++j) {
        sums[j] += static_cast<std::uint32_t>(enters[j] - leaves[j]);
        const std::uint32_t ends = static_cast<std::uint32_t>(leaves[j] + next[j]);
        out[j] = static_cast<std::uint8_t>((sums[j] * inner + ends * outer + (1u << 23)) >> 24);
      }
    }
    data.swap(other_);
  }
}

ALBEF_DATA_INLINE void GaussianBlur::operator()(ImageSpan image, double radius) {
  require(radius >= 0 && std::isfinite(radius), "[GaussianBlur] got radius ", radius,
          ", expected a finite number of at least 0");
  const float box = box_radius(static_cast<float>(radius));
  if (box <= 0 || image.pixels() == 0) return;
  picture_.resize(image.bytes());
  transpose(image.rgb, image.height, image.width, picture_.data());
  down(picture_, image.width, static_cast<std::size_t>(image.height) * 3, box);
  other_.resize(image.bytes());
  transpose(picture_.data(), image.width, image.height, other_.data());
  picture_.swap(other_);
  down(picture_, image.height, image.row_bytes(), box);
  std::copy(picture_.begin(), picture_.end(), image.rgb);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
