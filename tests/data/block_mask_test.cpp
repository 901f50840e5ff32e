#include "albef/data/block_mask.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace block_mask_test {

using namespace albef;
using Mask = std::vector<std::uint8_t>;

namespace {

int hidden(const Mask& mask) { return std::accumulate(mask.begin(), mask.end(), 0); }

// Neighbours of two hidden patches in a row, as a share of all hidden ones that have a right one.
double joined(const Mask& mask, int width) {
  int all = 0, both = 0;
  for (std::size_t i = 0; i + 1 < mask.size(); ++i) {
    if (mask[i] == 0 || (i + 1) % static_cast<std::size_t>(width) == 0) continue;
    ++all;
    both += mask[i + 1];
  }
  return all > 0 ? static_cast<double>(both) / all : 0;
}

}  // namespace

TEST_CASE("block masks: the official numbers on the official grid") {
  // Of the official generator, over 20,000 masks: 74.48 patches, all 75 in 66.9 %, the patch in the
  // middle hidden in 71.7 %, that of the corner in 4.1 %, right neighbours of hidden ones in 86.3
  // %.
  const BlockMasking official;
  Mask mask;
  constexpr int masks = 4000;
  double sum = 0, full = 0, middle = 0, corner = 0, neighbours = 0;
  for (int i = 0; i < masks; ++i) {
    RandomStream random(7, static_cast<std::uint64_t>(i));
    const int count = official.draw(random, mask);
    REQUIRE(mask.size() == 196);
    REQUIRE(count == hidden(mask));
    REQUIRE(count <= 75);
    REQUIRE(count >= 16);
    sum += count;
    full += count == 75;
    middle += mask[7 * 14 + 7];
    corner += mask[0];
    neighbours += joined(mask, 14);
  }
  CHECK(sum / masks == doctest::Approx(74.48).epsilon(0.001));
  CHECK(std::abs(full / masks - 0.669) < 0.03);
  CHECK(std::abs(middle / masks - 0.717) < 0.03);
  CHECK(std::abs(corner / masks - 0.041) < 0.015);
  CHECK(std::abs(neighbours / masks - 0.863) < 0.005);
}

TEST_CASE("block masks: the first block's area and shape") {
  BlockMasking one;
  one.patches = 1'000'000;  // refused: more than there are
  RandomStream random(9, 1);
  Mask mask;
  CHECK_THROWS_WITH(one.draw(random, mask),
                    "[BlockMasking] got 1000000 patches to hide, expected 0 to 196");
  // A mask of at most one block: of the area drawn, between the aspects.
  one.patches = 40, one.min_block = 25;
  int blocks = 0;
  for (int i = 0; i < 500; ++i) {
    RandomStream stream(9, static_cast<std::uint64_t>(i));
    one.draw(stream, mask);
    int top = 14, bottom = -1, left = 14, right = -1;
    for (int p = 0; p < 196; ++p)
      if (mask[static_cast<std::size_t>(p)] != 0) {
        top = std::min(top, p / 14), bottom = std::max(bottom, p / 14);
        left = std::min(left, p % 14), right = std::max(right, p % 14);
      }
    const int h = bottom - top + 1, w = right - left + 1;
    if (h * w != hidden(mask)) continue;  // of several blocks
    ++blocks;
    CHECK(h * w >= 20);
    CHECK(h * w <= 40);
    CHECK(static_cast<double>(h) / w > 0.22);
    CHECK(static_cast<double>(h) / w < 4.6);
  }
  CHECK(blocks > 50);
}

TEST_CASE("block masks: a stream decides, exact masks have all their patches") {
  BlockMasking exact;
  exact.exact = true;
  Mask first, second, third;
  RandomStream a(1, 2), b(1, 2), c(1, 3);
  CHECK(exact.draw(a, first) == 75);
  CHECK(exact.draw(b, second) == 75);
  CHECK(exact.draw(c, third) == 75);
  CHECK(first == second);
  CHECK(first != third);
  CHECK(hidden(third) == 75);
}

TEST_CASE("block masks: any grid ends") {
  RandomStream random(3, 0);
  Mask mask;
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 9}, {2, 2}, {3, 40}, {4, 4}, {12, 5}})
    for (const bool exact : {false, true}) {
      CAPTURE(height);
      CAPTURE(width);
      BlockMasking masking = block_masking(height, width);
      masking.exact = exact;
      double sum = 0;
      for (int i = 0; i < 200; ++i) {
        const int count = masking.draw(random, mask);
        REQUIRE(count == hidden(mask));
        REQUIRE(static_cast<int>(mask.size()) == height * width);
        REQUIRE(count <= masking.patches);
        if (exact) REQUIRE(count == masking.patches);
        sum += count;
      }
      if (height > 3 && width > 3) CHECK(sum / 200 > 0.6 * masking.patches);
      BlockMasking all = masking;
      all.patches = height * width;
      const int count = all.draw(random, mask);
      CHECK((exact ? count == height * width : count <= height * width));
    }
  const BlockMasking eight = block_masking(8, 8);
  CHECK(eight.patches == 24);
  CHECK(eight.min_block == 5);
  CHECK(block_masking(14, 14).patches == 75);
  CHECK_THROWS_WITH(block_masking(0, 3).check(),
                    "[BlockMasking] got 0 x 3 patches, expected 1 x 1 to 32767 x 32767");
}

}  // namespace block_mask_test
