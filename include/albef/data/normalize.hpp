// From bytes to network input: (value / 255 - mean) / std per channel, planes instead of pixels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "albef/core/image_statistics.hpp"
#include "albef/data/image.hpp"

namespace albef {

/// Channel means and deviations (red, green, blue) of pixel values scaled to [0, 1].
struct Normalization {
  std::array<float, 3> mean, std;
};

namespace detail {

constexpr Normalization in_float(const ImageStatistics& s) {
  Normalization n{};
  for (std::size_t c = 0; c < 3; ++c)
    n.mean[c] = static_cast<float>(s.mean[c]), n.std[c] = static_cast<float>(s.std[c]);
  return n;
}

}  // namespace detail

/// Those of core/image_statistics.hpp.
inline constexpr Normalization clip_normalization = detail::in_float(clip_statistics);
inline constexpr Normalization imagenet_normalization = detail::in_float(imagenet_statistics);
inline constexpr Normalization inception_normalization = detail::in_float(inception_statistics);

/// The normalised value of each of the 256 levels of the three channels.
class NormalizationTable {
 public:
  explicit NormalizationTable(const Normalization& n = clip_normalization) {
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t v = 0; v < 256; ++v)
        value_[c][v] = (static_cast<float>(v) / 255.0f - n.mean[c]) / n.std[c];
  }

  /// rgb: `pixels` x 3 bytes (row-major picture) -> out: 3 x `pixels` floats.
  void operator()(const std::uint8_t* rgb, std::size_t pixels, float* out) const {
    for (std::size_t i = 0; i < pixels; ++i)
      for (std::size_t c = 0; c < 3; ++c) out[c * pixels + i] = value_[c][rgb[3 * i + c]];
  }

 private:
  std::array<std::array<float, 256>, 3> value_;
};

/// Writes 3 x height x width floats to `out_chw`. For many pictures keep a NormalizationTable.
inline void normalize(const Image& image, float* out_chw,
                      const Normalization& n = clip_normalization) {
  NormalizationTable{n}(image.rgb.data(), image.rgb.size() / 3, out_chw);
}

}  // namespace albef
