// Multi-crop: a few large and several small random crops of each picture, each with changes of its
// own (DataAugmentationDINO of main_dino.py), and the loader of batches of them.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/batch_loader.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/color_jitter.hpp"
#include "albef/data/crop_batch.hpp"
#include "albef/data/record.hpp"
#include "albef/data/transform.hpp"

namespace albef {

/// Which changes a crop gets.
enum class CropKind { first_global, second_global, local };

/// Local crops of one size.
struct LocalCrops {
  int size = 96;  ///< pixels
  int crops = 8;  ///< of each picture; 0: none
};

/// The random crops of a picture: two global ones, of which the second has other changes, and the
/// local ones. A crop is drawn, resized (bicubic), mirrored, its colours jittered, made grey,
/// blurred, solarised, each with its probability.
struct MultiCrop {
  int global_size = 224;  ///< pixels
  std::vector<LocalCrops> local{LocalCrops{}};
  RandomResizedCrop global_crop{.scale_low = 0.4f, .scale_high = 1.0f};
  RandomResizedCrop local_crop{.scale_low = 0.05f, .scale_high = 0.4f};
  ColorJitter jitter{};
  float flip = 0.5f, jitter_probability = 0.8f, gray = 0.2f;
  float blur_first = 1.0f, blur_second = 0.1f, blur_local = 0.5f;
  float blur_low = 0.1f, blur_high = 2.0f;  ///< radius in pixels
  float solarize_second = 0.2f;

  /// Throws Error naming the member that is out of range.
  void check() const;
  /// The sizes and numbers of the crops: the global ones first.
  std::vector<LocalCrops> groups() const;

  /// Draws a crop into `out`, of any size; a function of the picture and the stream.
  void operator()(const Image& image, CropKind kind, RandomStream& random, ImageSpan out,
                  TransformBuffers& buffers) const;
};

/// The pictures of a source, whatever is said about them, as crops.
class MultiCropFeed : public Feed<CropBatch> {
 public:
  MultiCropFeed(SourcePtr source, MultiCrop crops, const LoaderOptions& options);

  std::size_t size() const override { return source_->size(); }
  std::size_t epoch_size() const override { return source_->epoch_size(); }
  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override {
    return source_->epoch_order(seed, epoch);
  }
  void begin(CropBatch& batch) const override;
  void add(std::size_t index, int row, RandomStream& random, SampleBuffers& buffers,
           CropBatch& batch) const override;
  void end(RandomStream& random, SampleBuffers& buffers, CropBatch& batch) const override;

 private:
  SourcePtr source_;
  MultiCrop crops_;
  std::vector<LocalCrops> groups_;
  DecodeOptions decode_;
};

/// The loader of a source's pictures as crops; see BatchLoader and MultiCrop.
class MultiCropLoader : public BatchLoader<CropBatch> {
 public:
  /// Throws Error for options out of range, or a batch larger than the epoch.
  MultiCropLoader(SourcePtr source, MultiCrop crops, const LoaderOptions& options)
      : BatchLoader(std::make_unique<MultiCropFeed>(std::move(source), std::move(crops), options),
                    options) {}
};

}  // namespace albef

#ifdef ALBEF_DATA_COMPILED
namespace albef {
extern template class BatchLoader<CropBatch>;
}  // namespace albef
#endif

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE void MultiCrop::check() const {
  require(global_size > 0, "[MultiCrop] got global_size ", global_size,
          ", expected a positive number");
  for (const LocalCrops& g : local)
    require(g.size > 0 && g.crops >= 0, "[MultiCrop] got ", g.crops, " local crops of ", g.size,
            " pixels, expected no negative number of a positive size");
  global_crop.check();
  local_crop.check();
  jitter.check();
  for (const auto& [name, p] : {std::pair("flip", flip),
                                {"jitter_probability", jitter_probability},
                                {"gray", gray},
                                {"blur_first", blur_first},
                                {"blur_second", blur_second},
                                {"blur_local", blur_local},
                                {"solarize_second", solarize_second}})
    require(p >= 0 && p <= 1, "[MultiCrop] got ", name, ' ', p, ", expected 0 to 1");
  require(blur_low >= 0 && blur_low <= blur_high && std::isfinite(blur_high),
          "[MultiCrop] got blur radii ", blur_low, " to ", blur_high,
          ", expected 0 <= low <= high");
}

ALBEF_DATA_INLINE std::vector<LocalCrops> MultiCrop::groups() const {
  std::vector<LocalCrops> all{{global_size, 2}};
  for (const LocalCrops& g : local)
    if (g.crops > 0) all.push_back(g);
  return all;
}

ALBEF_DATA_INLINE void MultiCrop::operator()(const Image& image, CropKind kind,
                                             RandomStream& random, ImageSpan out,
                                             TransformBuffers& buffers) const {
  const bool small = kind == CropKind::local, second = kind == CropKind::second_global;
  const Box box = (small ? local_crop : global_crop).draw(image.width, image.height, random);
  buffers.resizer(image, box, out);
  if (random.bernoulli(flip)) hflip(out);
  if (random.bernoulli(jitter_probability)) jitter(out, random);
  if (random.bernoulli(gray)) to_gray(out);
  if (random.bernoulli(small ? blur_local : second ? blur_second : blur_first))
    buffers.blur(out, static_cast<double>(random.uniform(blur_low, blur_high)));
  if (second && random.bernoulli(solarize_second)) solarize(out, 128);
}

ALBEF_DATA_INLINE MultiCropFeed::MultiCropFeed(SourcePtr source, MultiCrop crops,
                                               const LoaderOptions& options)
    : source_(std::move(source)),
      crops_(std::move(crops)),
      groups_(crops_.groups()),
      decode_(options.decode) {
  require(source_ != nullptr, "loader: no source given");
  crops_.check();
}

ALBEF_DATA_INLINE void MultiCropFeed::begin(CropBatch& batch) const {
  batch.image_size = crops_.global_size;
  batch.groups.resize(groups_.size());
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    CropGroup& group = batch.groups[g];
    group.size = groups_[g].size, group.crops = groups_[g].crops;
    group.images.resize(static_cast<std::size_t>(group.crops) *
                        static_cast<std::size_t>(batch.size) * group.bytes());
  }
}

ALBEF_DATA_INLINE void MultiCropFeed::add(std::size_t index, int row, RandomStream& random,
                                          SampleBuffers& buffers, CropBatch& batch) const {
  const Record& record = source_->record(index);
  if (!record.error.empty()) fail(source_->describe(index), ": ", record.error);
  source_->read_image(index, buffers.bytes);
  const Image image =
      detail::decode_record(*source_, index, record.key, buffers.bytes, decode_,
                            [](PictureReader& picture) { return picture.read_all(); });
  for (std::size_t g = 0; g < batch.groups.size(); ++g) {
    CropGroup& group = batch.groups[g];
    for (int c = 0; c < group.crops; ++c) {
      const auto place = static_cast<std::size_t>(c) * static_cast<std::size_t>(batch.size) +
                         static_cast<std::size_t>(row);
      const CropKind kind = g > 0    ? CropKind::local
                            : c == 0 ? CropKind::first_global
                                     : CropKind::second_global;
      crops_(image, kind, random,
             {group.size, group.size, group.images.data() + place * group.bytes()},
             buffers.transform);
    }
  }
}

ALBEF_DATA_INLINE void MultiCropFeed::end(RandomStream&, SampleBuffers&, CropBatch& batch) const {
  for (CropGroup& group : batch.groups) {
    const std::size_t crop = static_cast<std::size_t>(group.crops) * group.bytes();
    detail::keep_pictures(group, batch.size, static_cast<int>(group.images.size() / crop));
  }
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
