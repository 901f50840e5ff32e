// A batch of pictures with their captions: what a loader hands out and a pre-training model takes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/text/batch.hpp"

namespace albef {

struct PairBatch {
  int size = 0;                         // B
  int image_size = 0;                   // S
  std::vector<std::uint8_t> images;     // (B, S, S, 3) red, green, blue
  TextBatch text;                       // B captions
  MaskedText masked;                    // the same captions with masked tokens, or nothing
  std::vector<std::int64_t> image_ids;  // (B) equal where two pairs show the same picture
  std::vector<std::int64_t> indices;    // (B) record numbers in the source
  std::int64_t epoch = 0, batch = 0;    // where in the run: batch number within the epoch
};

namespace detail {

/// Error if pictures, captions, masked captions and identities are not those of B pairs.
inline void check_batch(const PairBatch& batch) {
  const auto side = static_cast<std::size_t>(batch.image_size), values = side * side * 3;
  const auto size = static_cast<std::size_t>(batch.size);
  require(batch.images.size() == size * values, "got ", batch.images.size(),
          " pixel values, expected ", size, " pictures of ", side, " x ", side, " x 3");
  require(batch.text.count() == batch.size, "got ", batch.text.count(), " captions for ", size,
          " pictures");
  require(batch.masked.text.count() == 0 || batch.masked.text.count() == batch.size, "got ",
          batch.masked.text.count(), " masked captions for ", size, " pictures");
  require(batch.image_ids.empty() || batch.image_ids.size() == size, "got ", batch.image_ids.size(),
          " identities of pictures for ", size, " pictures");
}

}  // namespace detail

/// The first `n` pairs of a batch.
inline PairBatch first_examples(const PairBatch& batch, int n) {
  const auto texts = [n](const TextBatch& from) {
    TextBatch out;
    for (int i = 0; i < std::min(n, from.count()); ++i) out.add(from.text(i));
    return out;
  };
  PairBatch out = batch;
  const auto count = static_cast<std::size_t>(n), all = static_cast<std::size_t>(batch.size);
  out.size = n;
  out.images.resize(batch.images.size() / all * count);
  out.text = texts(batch.text);
  out.masked.text = texts(batch.masked.text);
  out.masked.offsets.resize(std::min(count + 1, batch.masked.offsets.size()));
  out.masked.rows.resize(static_cast<std::size_t>(out.masked.offsets.back()));
  out.masked.labels.resize(out.masked.rows.size());
  out.image_ids.resize(count);
  out.indices.resize(count);
  return out;
}

}  // namespace albef
