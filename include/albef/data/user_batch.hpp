// Batches about pictures that are no data set: a user's own files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/shared_pictures.hpp"
#include "albef/data/task_batch.hpp"
#include "albef/data/transform.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

/// A batch with one row per cleaned text, all about the same picture files, each read once and
/// resized to `image_size`; texts are cut after `max_length` tokens. Error naming a file that
/// cannot be read.
inline void fill_batch(TaskBatch& batch, const std::vector<std::string>& pictures,
                       const std::vector<std::string>& texts, int image_size,
                       const WordPiece& tokenizer, int max_length,
                       const DecodeOptions& decode = default_decoding()) {
  batch.size = static_cast<int>(texts.size());
  const PictureTransform transform = EvalTransform{image_size};
  TransformBuffers buffers;
  RandomStream random(0, 0);  // evaluation draws nothing
  clear_pictures(batch, image_size);
  batch.text.clear();
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const auto place =
        share_picture(batch, static_cast<std::int64_t>(i), transform, random, buffers,
                      [&](auto&& use) { with_picture_file(pictures[i], decode, use); });
    batch.image_of.insert(batch.image_of.end(), texts.size(), place);
  }
  for (const std::string& text : texts)
    batch.text.add(tokenizer.encode(text, {.max_length = max_length}));
}

}  // namespace albef
