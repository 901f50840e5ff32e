// Means and deviations of the channels by which pixel values are normalised.
#pragma once

#include <array>
#include <span>

namespace albef {

/// Per channel, of values scaled to [0, 1]: a value v of 0..255 becomes (v / 255 - mean) / std. A
/// view of arrays on the host that outlive it.
struct ImageStatistics {
  std::span<const double> mean, std;
  constexpr int channels() const { return static_cast<int>(mean.size()); }
};

/// What CLIP, ALBEF and BLIP use (official dataset/__init__.py).
inline constexpr std::array<double, 3> clip_mean{0.48145466, 0.4578275, 0.40821073};
inline constexpr std::array<double, 3> clip_std{0.26862954, 0.26130258, 0.27577711};
inline constexpr ImageStatistics clip_statistics{clip_mean, clip_std};

/// What DINO, FLAVA's image encoder and most ImageNet classifiers use.
inline constexpr std::array<double, 3> imagenet_mean{0.485, 0.456, 0.406};
inline constexpr std::array<double, 3> imagenet_std{0.229, 0.224, 0.225};
inline constexpr ImageStatistics imagenet_statistics{imagenet_mean, imagenet_std};

/// To [-1, 1], as the original ViT, ViLT and BEiT (timm: IMAGENET_INCEPTION_MEAN).
inline constexpr std::array<double, 3> inception_mean{0.5, 0.5, 0.5};
inline constexpr std::array<double, 3> inception_std{0.5, 0.5, 0.5};
inline constexpr ImageStatistics inception_statistics{inception_mean, inception_std};

}  // namespace albef
