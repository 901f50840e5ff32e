// Masks of blocks of patches for masked image modelling (BEiT; Bao et al. 2021, Algorithm 1;
// official beit/masking_generator.py, as FLAVA uses it).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"

namespace albef {

/// Which patches of a picture are hidden: rectangles of random size, shape and place, until there
/// are `patches` hidden ones. The defaults are the official values.
struct BlockMasking {
  int height = 14, width = 14;  ///< patches along the sides
  int patches = 75;             ///< that are hidden in all
  int min_block = 16;           ///< smallest area that is drawn for a block
  int max_block = 0;            ///< largest number of patches that a block adds; 0: `patches`
  float min_aspect = 0.3f;      ///< height / width of a block, log-uniform from here to its inverse
  /// As the official code has it, a picture has at most `patches` hidden ones: no block may add
  /// more than are missing, and when ten in a row do not fit, that is all; a grid with a side no
  /// longer than that of the smallest block hides none. true: what is missing are then single
  /// patches at random places (BEiT v2).
  bool exact = false;

  /// Throws Error naming the first member that is out of range.
  void check() const;
  /// Replaces `mask` by height x width values, row by row, 1 where a patch is hidden: a function of
  /// the stream's (seed, stream, position) only. Returns how many are hidden.
  int draw(RandomStream& random, std::vector<std::uint8_t>& mask) const;

 private:
  int add_block(RandomStream& random, std::vector<std::uint8_t>& mask, int most) const;
};

/// The same shares of a grid of another size: 75 of 196 patches in blocks of at least 16.
BlockMasking block_masking(int height, int width);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE void BlockMasking::check() const {
  require(height > 0 && width > 0 && height <= 0x7fff && width <= 0x7fff, "[BlockMasking] got ",
          height, " x ", width, " patches, expected 1 x 1 to 32767 x 32767");
  require(patches >= 0 && patches <= height * width, "[BlockMasking] got ", patches,
          " patches to hide, expected 0 to ", height * width);
  require(min_block > 0 && max_block >= 0, "[BlockMasking] got blocks of ", min_block, " to ",
          max_block, " patches, expected positive numbers");
  require(min_aspect > 0 && min_aspect <= 1, "[BlockMasking] got aspect ", min_aspect,
          ", expected above 0 and at most 1");
}

ALBEF_DATA_INLINE int BlockMasking::draw(RandomStream& random,
                                         std::vector<std::uint8_t>& mask) const {
  check();
  mask.assign(static_cast<std::size_t>(height) * static_cast<std::size_t>(width), 0);
  int hidden = 0;
  while (hidden < patches) {
    const int missing = patches - hidden;
    const int added =
        add_block(random, mask, max_block > 0 ? std::min(max_block, missing) : missing);
    if (added == 0) break;
    hidden += added;
  }
  if (!exact) return hidden;
  // Each open patch is taken with the probability that leaves the right number.
  int open = height * width - hidden;
  for (auto& hide : mask) {
    if (hide != 0) continue;
    if (random.below(open--) >= patches - hidden) continue;
    hide = 1;
    ++hidden;
  }
  return hidden;
}

ALBEF_DATA_INLINE int BlockMasking::add_block(RandomStream& random, std::vector<std::uint8_t>& mask,
                                              int most) const {
  constexpr int attempts = 10;
  const float log_aspect = std::log(min_aspect);
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const double area = random.uniform(static_cast<float>(min_block), static_cast<float>(most));
    const double aspect = std::exp(static_cast<double>(random.uniform(log_aspect, -log_aspect)));
    const int h = static_cast<int>(std::nearbyint(std::sqrt(area * aspect)));
    const int w = static_cast<int>(std::nearbyint(std::sqrt(area / aspect)));
    if (h >= height || w >= width) continue;
    const int top = random.below(height - h + 1), left = random.below(width - w + 1);
    const auto row = [&](int y) {
      return mask.begin() + static_cast<std::ptrdiff_t>(top + y) * width + left;
    };
    int open = 0;
    for (int y = 0; y < h; ++y) open += static_cast<int>(std::count(row(y), row(y) + w, 0));
    if (open == 0 || open > most) continue;
    for (int y = 0; y < h; ++y) std::fill_n(row(y), w, std::uint8_t{1});
    return open;
  }
  return 0;
}

ALBEF_DATA_INLINE BlockMasking block_masking(int height, int width) {
  constexpr BlockMasking official;
  const double share = static_cast<double>(height) * width / (official.height * official.width);
  const auto scaled = [&](int number) {
    return std::max(1, static_cast<int>(std::nearbyint(number * share)));
  };
  BlockMasking out;
  out.height = height, out.width = width;
  out.patches = std::min(scaled(official.patches), std::max(height * width, 0));
  out.min_block = scaled(official.min_block);
  return out;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
