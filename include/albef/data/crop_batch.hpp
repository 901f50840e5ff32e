// A batch of several crops of each picture, grouped by their size.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "albef/core/error.hpp"

namespace albef {

/// Crops of one size of all pictures of a batch, crop by crop.
struct CropGroup {
  int size = 0;                      // S, pixels
  int crops = 0;                     // of each picture
  std::vector<std::uint8_t> images;  // (crops, B, S, S, 3) red, green, blue
  std::size_t bytes() const {        // of a crop
    return static_cast<std::size_t>(size) * static_cast<std::size_t>(size) * 3;
  }
};

struct CropBatch {
  int size = 0;                       // B
  int image_size = 0;                 // of the first group's crops
  std::vector<CropGroup> groups;      // the global crops, then the local ones by size
  std::vector<std::int64_t> indices;  // (B) record numbers in the source
  std::int64_t epoch = 0, batch = 0;  // where in the run: batch number within the epoch
};

namespace detail {

/// Error unless the groups have the pixels of B pictures.
inline void check_batch(const CropBatch& batch) {
  require(!batch.groups.empty(), "the batch has no crops");
  for (const CropGroup& g : batch.groups) {
    const auto crops = static_cast<std::size_t>(g.crops) * static_cast<std::size_t>(batch.size);
    require(g.images.size() == crops * g.bytes(), "got ", g.images.size(),
            " pixel values, expected ", crops, " crops of ", g.size, " x ", g.size, " x 3");
  }
}

/// Keeps the first n pictures of `from`, for which there is room.
inline void keep_pictures(CropGroup& group, int n, int from) {
  const auto kept = static_cast<std::size_t>(n) * group.bytes();
  const auto all = static_cast<std::size_t>(from) * group.bytes();
  for (std::size_t c = 1; c < static_cast<std::size_t>(group.crops); ++c)
    std::copy_n(group.images.data() + c * all, kept, group.images.data() + c * kept);
  group.images.resize(static_cast<std::size_t>(group.crops) * kept);
}

}  // namespace detail

/// The first `n` pictures of a batch.
inline CropBatch first_examples(const CropBatch& batch, int n) {
  CropBatch out = batch;
  out.size = n;
  for (CropGroup& g : out.groups) detail::keep_pictures(g, n, batch.size);
  out.indices.resize(static_cast<std::size_t>(n));
  return out;
}

}  // namespace albef
