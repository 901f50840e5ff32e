// From a decoded picture to the fixed-size one a network sees: random crop, mirror and RandAugment
// for training, plain resizing for evaluation (official dataset/__init__.py).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/blur.hpp"
#include "albef/data/image.hpp"
#include "albef/data/picture_reader.hpp"
#include "albef/data/randaugment.hpp"
#include "albef/data/resize.hpp"

namespace albef {

/// The box of torchvision's RandomResizedCrop: a share of the area uniform in `scale`, width/height
/// log-uniform in `ratio`, a uniform place. After ten tries that do not fit, the largest central
/// box whose ratio is in range.
struct RandomResizedCrop {
  float scale_low = 0.2f, scale_high = 1.0f;
  float ratio_low = 3.0f / 4, ratio_high = 4.0f / 3;

  /// Throws Error naming the range that is empty or not positive.
  void check() const {
    require(scale_low > 0 && scale_low <= scale_high && scale_high <= 1,
            "[RandomResizedCrop] got scale ", scale_low, " to ", scale_high,
            ", expected 0 < low <= high <= 1");
    require(ratio_low > 0 && ratio_low <= ratio_high && std::isfinite(ratio_high),
            "[RandomResizedCrop] got ratio ", ratio_low, " to ", ratio_high,
            ", expected 0 < low <= high");
  }

  Box draw(int width, int height, RandomStream& random) const {
    check();
    require(width > 0 && height > 0, "[RandomResizedCrop] got a ", width, " x ", height,
            " picture, expected at least one pixel");
    const double area = static_cast<double>(width) * height;
    for (int attempt = 0; attempt < 10; ++attempt) {
      const double target = area * random.uniform(scale_low, scale_high);
      const double ratio = std::exp(random.uniform(std::log(ratio_low), std::log(ratio_high)));
      const double w = std::nearbyint(std::sqrt(target * ratio));
      const double h = std::nearbyint(std::sqrt(target / ratio));
      if (w < 1 || w > width || h < 1 || h > height) continue;
      const Box box{0, 0, static_cast<int>(w), static_cast<int>(h)};
      const int top = random.below(height - box.height + 1);
      return {random.below(width - box.width + 1), top, box.width, box.height};
    }
    Box box{0, 0, width, height};
    const double ratio = static_cast<double>(width) / height;
    if (ratio < ratio_low)
      box.height = std::max(1, static_cast<int>(std::nearbyint(width / double(ratio_low))));
    else if (ratio > ratio_high)
      box.width = std::max(1, static_cast<int>(std::nearbyint(height * double(ratio_high))));
    box.left = (width - box.width) / 2, box.top = (height - box.height) / 2;
    return box;
  }
};

/// Work buffers of the transforms. One per thread.
struct TransformBuffers {
  BicubicResizer resizer;
  std::vector<std::uint8_t> copy;
  GaussianBlur blur;
};

namespace detail {

inline ImageSpan square(std::span<std::uint8_t> out, int size, const char* who) {
  require(size > 0, "[", who, "] got size ", size, ", expected a positive number");
  const auto side = static_cast<std::size_t>(size);
  require(out.size() == side * side * 3, "[", who, "] got room for ", out.size(),
          " bytes, expected ", size, " x ", size, " x 3");
  return {size, size, out.data()};
}

}  // namespace detail

/// The training transform: crop, resize, mirror, augment. The defaults are the official
/// pre-training ones; fine-tuning uses size 384 and crop.scale_low 0.5, grounding `use_crop` false.
/// Mirroring also mirrors what captions call left and right, and letters: `flip` 0 switches it off.
/// A mild random shift and zoom alone is scale_low 0.6, flip 0 and augment.count 0.
struct TrainTransform {
  int size = 256;        ///< width and height of the result, pixels
  bool use_crop = true;  ///< false: the whole picture is resized
  RandomResizedCrop crop{};
  float flip = 0.5f;      ///< probability of mirroring
  RandAugment augment{};  ///< augment.count 0 switches it off

  /// Throws Error naming the first member that is out of range.
  void check() const {
    require(size > 0, "[TrainTransform] got size ", size, ", expected a positive number");
    require(flip >= 0 && flip <= 1, "[TrainTransform] got flip ", flip, ", expected 0 to 1");
    if (use_crop) crop.check();
    augment.check();
  }

  /// Writes size x size x 3 bytes to `out`: a function of the picture and the stream's (seed,
  /// stream, position) only. Throws Error for an empty picture or an `out` of another size.
  void operator()(const Image& image, RandomStream& random, std::span<std::uint8_t> out,
                  TransformBuffers& buffers) const {
    transform(image, image.width, image.height, random, out, buffers);
  }
  /// The same for a picture that is decoded meanwhile; see PictureReader.
  void operator()(PictureReader& picture, RandomStream& random, std::span<std::uint8_t> out,
                  TransformBuffers& buffers) const {
    transform(picture, picture.width(), picture.height(), random, out, buffers);
  }

 private:
  template <class Picture>
  void transform(Picture& picture, int width, int height, RandomStream& random,
                 std::span<std::uint8_t> out, TransformBuffers& buffers) const {
    check();
    const ImageSpan result = detail::square(out, size, "TrainTransform");
    const Box box = use_crop ? crop.draw(width, height, random) : Box{0, 0, width, height};
    buffers.resizer(picture, box, result);
    if (random.bernoulli(flip)) hflip(result);
    augment(result, random, buffers.copy);
  }
};

/// The evaluation transform: the whole picture resized to size x size, aspect ratio not kept.
struct EvalTransform {
  int size = 256;

  /// Writes size x size x 3 bytes to `out`. Throws Error as TrainTransform does.
  void operator()(const Image& image, std::span<std::uint8_t> out,
                  TransformBuffers& buffers) const {
    buffers.resizer(image, {0, 0, image.width, image.height},
                    detail::square(out, size, "EvalTransform"));
  }
  /// The same for a picture that is decoded meanwhile; see PictureReader.
  void operator()(PictureReader& picture, std::span<std::uint8_t> out,
                  TransformBuffers& buffers) const {
    buffers.resizer(picture, {0, 0, picture.width(), picture.height()},
                    detail::square(out, size, "EvalTransform"));
  }
};

}  // namespace albef
