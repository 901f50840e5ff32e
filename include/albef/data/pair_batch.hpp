// A batch of pictures with their captions: what a loader hands out and a pre-training model takes.
#pragma once

#include <cstdint>
#include <vector>

#include "albef/text/batch.hpp"

namespace albef {

struct PairBatch {
  int size = 0;                         // B
  int image_size = 0;                   // S
  std::vector<std::uint8_t> images;     // (B, S, S, 3) red, green, blue
  TextBatch text;                       // B captions
  MaskedText masked;                    // the same captions with masked tokens
  std::vector<std::int64_t> image_ids;  // (B) equal where two pairs show the same picture
  std::vector<std::int64_t> indices;    // (B) record numbers in the source
  std::int64_t epoch = 0, batch = 0;    // where in the run: batch number within the epoch
};

}  // namespace albef
