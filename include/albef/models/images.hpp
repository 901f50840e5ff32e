// Images as a model reads them: of the size a configuration fixes, or of any size.
#pragma once

#include "albef/core/tensor.hpp"
#include "albef/models/config.hpp"
#include "albef/ops/convolution.hpp"

namespace albef {

/// Images (B, C, S, S) of configuration C, a row each, as normalised values; see Vit.
template <class Real, class C>
using ImageTensor = Tensor<Real, image_channels<C>() * C::image_res * C::image_res>;

/// Images whose size data decides: (B, channels, height, width), a row each, as normalised values.
/// Frames of videos are images, too: B = videos * frames.
template <class Real>
struct Images {
  Tensor<Real, dynamic_width> values;  ///< (B, channels * height * width)
  int channels = 0, height = 0, width = 0;
  constexpr int rows() const { return values.rows(); }
};

/// The same as feature maps of C channels, (B, height * width, C). Error if they have others.
template <int C, class Ctx, class Real>
FeatureMaps<Real, C> feature_maps(Ctx& ctx, const Images<Real>& images) {
  require(images.channels == C, "[feature_maps] got images of ", images.channels,
          " channels, expected ", C);
  return feature_maps<C>(ctx, images.values, images.height, images.width);
}

}  // namespace albef
