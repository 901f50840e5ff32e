// The colour operations of RandAugment, in place: contrast, brightness, equalisation, sharpness ...
// Behaviour of the official dataset/randaugment.py, its slips repaired unless asked for.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/data/image.hpp"
#include "albef/data/rounding.hpp"

namespace albef {

/// Where the official augmentation code does something else than it says, `intended` does what it
/// says and `official` what it does: AutoContrast turns a channel whose minimum is above 0 white
/// (an 8-bit minimum is negated), Sharpness wraps around below 0 and above 255, Color and Contrast
/// weigh red as blue and blue as red.
enum class AugmentCompat { intended, official };

namespace detail {

using LevelTable = std::array<std::uint8_t, 256>;

/// Cuts to 0..255 and drops the fraction.
template <class T>
std::uint8_t to_level(T x) {
  return static_cast<std::uint8_t>(std::clamp(x, T(0), T(255)));
}

void apply_tables(ImageSpan image, const std::array<LevelTable, 3>& table);
void apply_table(ImageSpan image, const LevelTable& table);

/// How many pixels have each level, per channel.
using Histogram = std::array<std::array<std::uint32_t, 256>, 3>;
Histogram histogram(ImageSpan image);

/// Weights of red, green, blue in the brightness of a pixel.
template <class T>
std::array<T, 3> luma_weights(AugmentCompat compat) {
  if (compat == AugmentCompat::official) return {T(0.114), T(0.587), T(0.299)};
  return {T(0.299), T(0.587), T(0.114)};
}

}  // namespace detail

/// Stretches each channel linearly so that its levels reach from 0 to 255.
void auto_contrast(ImageSpan image, AugmentCompat compat = AugmentCompat::intended);

/// Spreads the levels of each channel so that all are about equally frequent.
void equalize(ImageSpan image);

/// Multiplies every level.
void adjust_brightness(ImageSpan image, double factor);

/// Moves every level away from (factor > 1) or towards the mean brightness of the picture.
void adjust_contrast(ImageSpan image, double factor,
                     AugmentCompat compat = AugmentCompat::intended);

/// Moves every pixel away from (factor > 1) or towards the grey of its own brightness.
void adjust_color(ImageSpan image, double factor, AugmentCompat compat = AugmentCompat::intended);

/// Inverts the levels from `threshold` on.
void solarize(ImageSpan image, int threshold);

/// Keeps the upper `bits` bits (0..8) of every level.
void posterize(ImageSpan image, int bits);

/// Moves every pixel away from (factor > 1) or towards its smoothed value, the 3 x 3 filter
/// (1 1 1; 1 5 1; 1 1 1) / 13. The one-pixel border is left as it is. `source` is a work buffer.
void sharpen(ImageSpan image, double factor, std::vector<std::uint8_t>& source,
             AugmentCompat compat = AugmentCompat::intended);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef::detail {

ALBEF_DATA_INLINE void apply_tables(ImageSpan image, const std::array<LevelTable, 3>& table) {
  std::uint8_t* p = image.rgb;
  for (std::size_t i = 0; i < image.pixels(); ++i, p += 3)
    for (std::size_t c = 0; c < 3; ++c) p[c] = table[c][p[c]];
}

ALBEF_DATA_INLINE void apply_table(ImageSpan image, const LevelTable& table) {
  for (std::size_t i = 0; i < image.bytes(); ++i) image.rgb[i] = table[image.rgb[i]];
}

ALBEF_DATA_INLINE Histogram histogram(ImageSpan image) {
  Histogram counts{};
  const std::uint8_t* p = image.rgb;
  for (std::size_t i = 0; i < image.pixels(); ++i, p += 3)
    for (std::size_t c = 0; c < 3; ++c) ++counts[c][p[c]];
  return counts;
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE void auto_contrast(ImageSpan image, AugmentCompat compat) {
  const auto counts = detail::histogram(image);
  std::array<detail::LevelTable, 3> table;
  for (std::size_t c = 0; c < 3; ++c) {
    int low = 0, high = 255;
    while (low < 255 && counts[c][static_cast<std::size_t>(low)] == 0) ++low;
    while (high > 0 && counts[c][static_cast<std::size_t>(high)] == 0) --high;
    const double scale = high > low ? 255.0 / (high - low) : 1.0;
    const int negated = compat == AugmentCompat::official ? (256 - low) % 256 : -low;
    const double offset = high > low ? detail::rounded(negated * scale) : 0.0;
    for (std::size_t v = 0; v < 256; ++v)
      table[c][v] = detail::to_level(detail::rounded(static_cast<double>(v) * scale) + offset);
  }
  detail::apply_tables(image, table);
}

ALBEF_DATA_INLINE void equalize(ImageSpan image) {
  const auto counts = detail::histogram(image);
  std::array<detail::LevelTable, 3> table;
  for (std::size_t c = 0; c < 3; ++c) {
    std::size_t last = 255;
    while (last > 0 && counts[c][last] == 0) --last;
    const auto step = (image.pixels() - counts[c][last]) / 255;
    auto below = step / 2;  // pixels of lower level, and half a step for rounding
    for (std::size_t v = 0; v < 256; ++v) {
      table[c][v] =
          static_cast<std::uint8_t>(step == 0 ? v : std::min<std::size_t>(below / step, 255));
      below += counts[c][v];
    }
  }
  detail::apply_tables(image, table);
}

ALBEF_DATA_INLINE void adjust_brightness(ImageSpan image, double factor) {
  detail::LevelTable table;
  for (std::size_t v = 0; v < 256; ++v)
    table[v] = detail::to_level(static_cast<float>(v) * static_cast<float>(factor));
  detail::apply_table(image, table);
}

ALBEF_DATA_INLINE void adjust_contrast(ImageSpan image, double factor, AugmentCompat compat) {
  if (image.pixels() == 0) return;
  const auto weights = detail::luma_weights<double>(compat);
  std::array<std::uint64_t, 3> sums{};
  for (std::size_t i = 0; i < image.bytes(); ++i) sums[i % 3] += image.rgb[i];
  double mean = 0;
  for (std::size_t c = 0; c < 3; ++c)
    mean += detail::rounded(static_cast<double>(sums[c]) / static_cast<double>(image.pixels()) *
                            weights[c]);
  detail::LevelTable table;
  for (std::size_t v = 0; v < 256; ++v)
    table[v] = detail::to_level(detail::rounded((static_cast<double>(v) - mean) * factor) + mean);
  detail::apply_table(image, table);
}

ALBEF_DATA_INLINE void adjust_color(ImageSpan image, double factor, AugmentCompat compat) {
  const auto weights = detail::luma_weights<float>(compat);
  const auto f = static_cast<float>(factor);
  std::array<std::array<double, 3>, 3> matrix;  // [from][to], rounded to float
  for (std::size_t from = 0; from < 3; ++from)
    for (std::size_t to = 0; to < 3; ++to) {
      const float own = from == to ? 1.0f : 0.0f;
      matrix[from][to] = detail::rounded((own - weights[from]) * f) + weights[from];
    }
  std::uint8_t* p = image.rgb;
  for (std::size_t i = 0; i < image.pixels(); ++i, p += 3) {
    const std::array<std::uint8_t, 3> in{p[0], p[1], p[2]};
    for (std::size_t to = 0; to < 3; ++to) {
      // Fused multiply-adds in float, as matrix libraries do it; the products are exact in double.
      float sum = 0;
      for (std::size_t from = 0; from < 3; ++from)
        sum = static_cast<float>(in[from] * matrix[from][to] + static_cast<double>(sum));
      p[to] = detail::to_level(sum);
    }
  }
}

ALBEF_DATA_INLINE void solarize(ImageSpan image, int threshold) {
  for (std::size_t i = 0; i < image.bytes(); ++i)
    if (image.rgb[i] >= threshold) image.rgb[i] = static_cast<std::uint8_t>(255 - image.rgb[i]);
}

ALBEF_DATA_INLINE void posterize(ImageSpan image, int bits) {
  require(bits >= 0 && bits <= 8, "[posterize] got ", bits, " bits, expected 0 to 8");
  const auto mask = static_cast<std::uint8_t>(255 << (8 - bits));
  for (std::size_t i = 0; i < image.bytes(); ++i) image.rgb[i] &= mask;
}

ALBEF_DATA_INLINE void sharpen(ImageSpan image, double factor, std::vector<std::uint8_t>& source,
                               AugmentCompat compat) {
  if (factor == 1 || image.width < 3 || image.height < 3) return;
  source.assign(image.rgb, image.rgb + image.bytes());
  std::array<float, 511> scaled;  // factor * (pixel - smooth), each product rounded by itself
  for (std::size_t d = 0; d < scaled.size(); ++d)
    scaled[d] = static_cast<float>(factor) * (static_cast<float>(d) - 255.0f);
  const std::size_t stride = image.row_bytes();
  for (int y = 1; y + 1 < image.height; ++y) {
    const std::uint8_t* row = source.data() + static_cast<std::size_t>(y) * stride;
    const std::uint8_t *above = row - stride, *below = row + stride;
    std::uint8_t* out = image.rgb + static_cast<std::size_t>(y) * stride;
    for (std::size_t j = 3; j + 3 < stride; ++j) {
      const int sum = above[j - 3] + above[j] + above[j + 3] + row[j - 3] + 5 * row[j] +
                      row[j + 3] + below[j - 3] + below[j] + below[j + 3];
      const int smooth = (sum + 6) / 13;
      const int value = static_cast<int>(static_cast<float>(smooth) +
                                         scaled[static_cast<std::size_t>(row[j] - smooth + 255)]);
      out[j] = static_cast<std::uint8_t>(
          compat == AugmentCompat::official ? value & 255 : std::clamp(value, 0, 255));
    }
  }
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
