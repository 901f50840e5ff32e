// Rows of other pixel formats to rows of RGB, with Pillow's arithmetic.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace albef::detail {

using Rgb = std::array<std::uint8_t, 3>;
inline constexpr Rgb white{255, 255, 255};

/// The colours of indices, black beyond those that a file gives.
struct Palette {
  std::array<Rgb, 256> color{};

  static Palette gray() {
    Palette palette;
    for (std::size_t i = 0; i < 256; ++i) palette.color[i].fill(static_cast<std::uint8_t>(i));
    return palette;
  }
  void to_rgb(const std::uint8_t* index, std::size_t pixels, std::uint8_t* rgb) const {
    for (std::size_t i = 0; i < pixels; ++i, rgb += 3) std::copy_n(color[index[i]].data(), 3, rgb);
  }
};

/// Indices or levels of 1, 2, 4 or 8 bits, the first in the upper bits, to one byte each.
inline void unpack_bits(const std::uint8_t* packed, std::size_t pixels, unsigned bits,
                        std::uint8_t* out) {
  const unsigned mask = (1u << bits) - 1;
  for (std::size_t i = 0; i < pixels; ++i) {
    const std::size_t at = i * bits;
    out[i] = static_cast<std::uint8_t>((packed[at / 8] >> (8 - bits - at % 8)) & mask);
  }
}

/// A 16-bit grey level: the upper byte, or cut off at 255.
inline std::uint8_t gray16_level(unsigned value, bool scale) {
  return static_cast<std::uint8_t>(scale ? value >> 8 : std::min(value, 255u));
}

/// value / 255, rounded to nearest, for products of two bytes.
inline int divide_by_255(int value) { return ((value + 128) + ((value + 128) >> 8)) >> 8; }

/// Inverted CMYK, as Adobe's programs write it to JPEG and every other program has to: to RGB.
inline void inverted_cmyk_to_rgb(const std::uint8_t* cmyk, std::size_t pixels, std::uint8_t* rgb) {
  for (std::size_t i = 0; i < pixels; ++i, cmyk += 4, rgb += 3)
    for (std::size_t c = 0; c < 3; ++c) {
      const int light = cmyk[3];
      rgb[c] = static_cast<std::uint8_t>(light - divide_by_255((255 - cmyk[c]) * light));
    }
}

/// A pixel of RGBA on a white ground.
inline void over_white(const std::uint8_t* rgba, std::uint8_t* rgb) {
  for (std::size_t c = 0; c < 3; ++c)
    rgb[c] = static_cast<std::uint8_t>(divide_by_255(rgba[c] * rgba[3] + 255 * (255 - rgba[3])));
}
inline void rgba_over_white(const std::uint8_t* rgba, std::size_t pixels, std::uint8_t* rgb) {
  for (std::size_t i = 0; i < pixels; ++i, rgba += 4, rgb += 3) over_white(rgba, rgb);
}

}  // namespace albef::detail
