// Pictures as codes without learning features: the nearest of a few given patches of pixels.
#pragma once

#include "albef/core/image_statistics.hpp"
#include "albef/models/images.hpp"
#include "albef/ops/embedding.hpp"
#include "albef/ops/linear.hpp"

namespace albef {

/// A stand-in for a trained image tokenizer: the code of every 8 x 8 pixels is the number of the
/// nearest of Codes centroids, patches of pixels themselves. Because |x - c|^2 is smallest where
/// x c - |c|^2 / 2 is largest, it is a linear map and its largest output: weight the centroids,
/// bias -|c|^2 / 2. See cluster_pixels().
template <int Codes>
struct PixelClusters {
  static constexpr int patch = 8, codes = Codes, values = 3 * patch * patch;
  static constexpr ImageStatistics statistics = inception_statistics;  ///< pixels in [-1, 1]

  Param<Codes, 3, patch, patch> weight;
  Param<Codes> bias;

  static constexpr void fields(auto& m, auto&& f) {
    f("centroids.weight", m.weight), f("centroids.bias", m.bias);
  }
  /// (B, 3, H, W) in [-1, 1] -> logits (B, H W / 64, Codes); the code is the largest.
  template <class Ctx>
  auto operator()(Ctx& ctx, const Images<typename Ctx::Real>& images) const {
    const PatchGrid grid{images.rows(), images.channels, images.height, images.width, patch};
    const auto patches = patchify<values>(ctx, images.values, grid);  // (B, H W / 64, 192)
    return linear<Codes>(ctx, patches, weight, bias);                 // (B, H W / 64, Codes)
  }
};

}  // namespace albef
