// Random changes of colour with the arithmetic of Pillow, as torchvision's ColorJitter and
// RandomGrayscale make them: brightness, contrast, saturation, hue, grey. Pixels are equal to those
// of Pillow's ImageEnhance and of its HSV, not close.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/image.hpp"
#include "albef/data/rounding.hpp"
#include "albef/data/tone.hpp"

namespace albef {

/// Moves every level away from (factor > 1) or towards the mean grey (ImageEnhance.Contrast).
void enhance_contrast(ImageSpan image, double factor);

/// Moves every pixel away from (factor > 1) or towards its own grey (ImageEnhance.Color).
void enhance_color(ImageSpan image, double factor);

/// Turns the hue by a share of the circle, -0.5 to 0.5 (torchvision's adjust_hue).
void shift_hue(ImageSpan image, double share);

/// Replaces every pixel by its grey (Image.convert("L")).
void to_gray(ImageSpan image);

namespace detail {

/// Pillow's luma of a pixel.
constexpr int gray_of(const std::uint8_t* rgb) {
  return (rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16;
}

/// Image.blend of two levels.
inline std::uint8_t blend_levels(int from, int to, float share) {
  return to_level(static_cast<float>(from) + rounded(share * static_cast<float>(to - from)));
}

using Hsv = std::array<std::uint8_t, 3>;
Hsv rgb_to_hsv(const std::uint8_t* rgb);
void hsv_to_rgb(const Hsv& hsv, std::uint8_t* rgb);

}  // namespace detail

/// torchvision's ColorJitter: the four changes in random order, their factors uniform in [1 - x, 1
/// + x], not below 0, the share of hue in [-hue, hue].
struct ColorJitter {
  float brightness = 0.4f, contrast = 0.4f, saturation = 0.2f, hue = 0.1f;

  /// Throws Error naming the member that is out of range.
  void check() const {
    for (const float x : {brightness, contrast, saturation})
      require(x >= 0 && std::isfinite(x), "[ColorJitter] got a strength of ", x,
              ", expected a finite number of at least 0");
    require(hue >= 0 && hue <= 0.5f, "[ColorJitter] got hue ", hue, ", expected 0 to 0.5");
  }
  /// Changes a picture in place; a function of the picture and the stream.
  void operator()(ImageSpan image, RandomStream& random) const;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE void enhance_contrast(ImageSpan image, double factor) {
  if (image.pixels() == 0) return;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < image.bytes(); i += 3)
    sum += static_cast<std::uint64_t>(detail::gray_of(image.rgb + i));
  const int mean =
      static_cast<int>(static_cast<double>(sum) / static_cast<double>(image.pixels()) + 0.5);
  detail::LevelTable table;
  for (std::size_t v = 0; v < 256; ++v)
    table[v] = detail::blend_levels(mean, static_cast<int>(v), static_cast<float>(factor));
  detail::apply_table(image, table);
}

ALBEF_DATA_INLINE void enhance_color(ImageSpan image, double factor) {
  std::array<float, 511> scaled;  // factor * (level - grey), each product rounded by itself
  for (std::size_t d = 0; d < scaled.size(); ++d)
    scaled[d] = static_cast<float>(factor) * (static_cast<float>(d) - 255.0f);
  for (std::size_t i = 0; i < image.bytes(); i += 3) {
    std::uint8_t* p = image.rgb + i;
    const int gray = detail::gray_of(p);
    for (std::size_t c = 0; c < 3; ++c)
      p[c] = detail::to_level(static_cast<float>(gray) +
                              scaled[static_cast<std::size_t>(p[c] - gray + 255)]);
  }
}

ALBEF_DATA_INLINE void shift_hue(ImageSpan image, double share) {
  require(share >= -0.5 && share <= 0.5, "[shift_hue] got a share of ", share,
          ", expected -0.5 to 0.5");
  const auto turn = static_cast<std::uint8_t>(static_cast<int>(share * 255));
  for (std::size_t i = 0; i < image.bytes(); i += 3) {
    detail::Hsv hsv = detail::rgb_to_hsv(image.rgb + i);
    hsv[0] = static_cast<std::uint8_t>(hsv[0] + turn);  // round the circle
    detail::hsv_to_rgb(hsv, image.rgb + i);
  }
}

ALBEF_DATA_INLINE void to_gray(ImageSpan image) {
  for (std::size_t i = 0; i < image.bytes(); i += 3)
    std::fill_n(image.rgb + i, 3, static_cast<std::uint8_t>(detail::gray_of(image.rgb + i)));
}

ALBEF_DATA_INLINE void ColorJitter::operator()(ImageSpan image, RandomStream& random) const {
  check();
  std::array<int, 4> order{0, 1, 2, 3};
  for (int left = 4; left > 1; --left)
    std::swap(order[static_cast<std::size_t>(left - 1)],
              order[static_cast<std::size_t>(random.below(left))]);
  const auto factor = [&](float x) { return random.uniform(std::max(0.0f, 1 - x), 1 + x); };
  const float bright = factor(brightness), contrasted = factor(contrast),
              colored = factor(saturation), turned = random.uniform(-hue, hue);
  for (const int which : order) {
    if (which == 0 && brightness > 0) adjust_brightness(image, bright);
    if (which == 1 && contrast > 0) enhance_contrast(image, contrasted);
    if (which == 2 && saturation > 0) enhance_color(image, colored);
    if (which == 3 && hue > 0) shift_hue(image, turned);
  }
}

}  // namespace albef

namespace albef::detail {

ALBEF_DATA_INLINE Hsv rgb_to_hsv(const std::uint8_t* rgb) {
  const int r = rgb[0], g = rgb[1], b = rgb[2];
  const int high = std::max({r, g, b}), low = std::min({r, g, b});
  const auto value = static_cast<std::uint8_t>(high);
  if (high == low) return {0, 0, value};
  const auto range = static_cast<float>(high - low);
  const float saturation = range / static_cast<float>(high);
  const auto behind = [&](int level) { return static_cast<float>(high - level) / range; };
  float hue = 0;  // in sixths of the circle
  if (r == high)
    hue = behind(b) - behind(g);
  else if (g == high)
    hue = static_cast<float>(2.0 + static_cast<double>(behind(r)) - static_cast<double>(behind(b)));
  else
    hue = static_cast<float>(4.0 + static_cast<double>(behind(g)) - static_cast<double>(behind(r)));
  const double turned = static_cast<double>(hue) / 6.0 + 1.0;  // 5/6 to below 2
  hue = static_cast<float>(turned >= 1 ? turned - 1 : turned);
  return {static_cast<std::uint8_t>(static_cast<double>(hue) * 255.0),
          static_cast<std::uint8_t>(static_cast<double>(saturation) * 255.0), value};
}

ALBEF_DATA_INLINE void hsv_to_rgb(const Hsv& hsv, std::uint8_t* rgb) {
  const std::uint8_t value = hsv[2];
  if (hsv[1] == 0) {
    std::fill_n(rgb, 3, value);
    return;
  }
  const double sixths = static_cast<double>(static_cast<float>(hsv[0])) * 6.0 / 255.0;
  const int sector = static_cast<int>(std::floor(sixths));  // 0 to 6
  const auto f = static_cast<float>(sixths - static_cast<double>(static_cast<float>(sector)));
  const auto s = static_cast<float>(static_cast<double>(static_cast<float>(hsv[1])) / 255.0);
  const auto level = [&](double share) {  // half away from zero
    return static_cast<std::uint8_t>(
        std::clamp(static_cast<int>(std::round(static_cast<double>(value) * share)), 0, 255));
  };
  const double sd = static_cast<double>(s), fd = static_cast<double>(f);
  const std::uint8_t p = level(1.0 - sd), q = level(1.0 - rounded(static_cast<double>(s * f))),
                     t = level(1.0 - rounded(sd * (1.0 - fd)));
  const std::array<std::array<std::uint8_t, 3>, 6> sectors{
      {{value, t, p}, {q, value, p}, {p, value, t}, {p, q, value}, {t, p, value}, {value, p, q}}};
  std::copy_n(sectors[static_cast<std::size_t>(sector % 6)].data(), 3, rgb);
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
