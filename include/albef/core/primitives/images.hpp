// Images: pixels to planes, planes to patches, grids of position embeddings to other sizes.
#pragma once

#include <cstdint>

#include "albef/core/bicubic.hpp"
#include "albef/core/image_statistics.hpp"
#include "albef/core/matrix.hpp"

namespace albef {

/// How images of height x width pixels are cut into patches of `patch` x `patch` pixels.
struct PatchGrid {
  int images = 0, channels = 3, height = 0, width = 0, patch = 0;
  constexpr int rows() const { return height / patch; }    ///< of patches, from top to bottom
  constexpr int columns() const { return width / patch; }  ///< of patches, from left to right
  constexpr int patches() const { return rows() * columns(); }
  constexpr int values() const { return channels * patch * patch; }  ///< of a patch
  constexpr int pixels() const { return height * width; }
};

namespace primitive {

/// Pixels (B, H, W, C) of 0..255 -> (v / 255 - mean) / std as (B, C, H, W).
template <class T>
struct NormalizeImages {
  const std::uint8_t* pixels = nullptr;
  PatchGrid grid;
  ImageStatistics statistics;
  Mat<T> out;
};

/// (B, C, H, W) -> (B * patches, C * patch * patch)
template <class T>
struct Patchify {
  Mat<const T> image;
  PatchGrid grid;
  Mat<T> patches;
};

/// The reverse: image = values of the patches + beta image.
template <class T>
struct Unpatchify {
  Mat<const T> patches;
  PatchGrid grid;
  Mat<T> image;
  accumulator_t<T> beta = 0;
};

/// Bicubic resize of a grid of rows: x (from_height * from_width, cols) -> y (height * width,
/// cols).
template <class T>
struct ResizeGrid {
  Mat<const T> x;
  GridResize grid;
  Mat<T> y;
};

/// Its transpose, for parameters: dx = the gradient from dy (height * width, cols) + beta dx.
template <class T>
struct ResizeGridGrad {
  Mat<const accumulator_t<T>> dy;
  GridResize grid;
  Mat<accumulator_t<T>> dx;
  accumulator_t<T> beta = 0;
};

}  // namespace primitive
}  // namespace albef
