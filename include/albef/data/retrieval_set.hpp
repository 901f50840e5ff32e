// Evaluation data: all pictures and texts of a source in order, with which belongs to which.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/captions.hpp"
#include "albef/data/loader.hpp"
#include "albef/data/prefetch.hpp"
#include "albef/data/record.hpp"
#include "albef/data/transform.hpp"
#include "albef/text/batch.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

/// The two pools of a retrieval task. Image i is the picture of record images[i]; text j belongs to
/// image text_image[j].
struct RetrievalSet {
  std::vector<std::uint32_t> images;     // (I) record numbers
  std::vector<std::string> texts;        // (T) cleaned captions
  std::vector<std::int32_t> text_image;  // (T)
};

/// Every picture once, in the order of the records, and every caption (official
/// dataset/caption_dataset.py, re_eval_dataset). Throws Error naming the first unusable record (a
/// smaller pool would be another task) and one that has the image_id of another picture.
RetrievalSet retrieval_set(const Source& source, int max_words = 30);

/// The first text of each image (I), empty for one without.
inline std::vector<std::string> first_texts(const RetrievalSet& set) {
  std::vector<std::string> texts(set.images.size());
  for (std::size_t t = set.texts.size(); t-- > 0;)
    texts[static_cast<std::size_t>(set.text_image[t])] = set.texts[t];
  return texts;
}

/// Token ids of texts. The default length is that of the official retrieval evaluation.
TextBatch encode_texts(const WordPiece& tokenizer, std::span<const std::string> texts,
                       const EncodeOptions& options = {.max_length = 30, .add_sep = false});

/// Some consecutive pictures of a list of records.
struct ImageBatch {
  std::size_t first = 0;                   // position of the first in the list
  int size = 0, image_size = 0;            // B, S
  std::vector<std::uint8_t> images;        // (B, S, S, 3) red, green, blue
  std::vector<std::pair<int, int>> sizes;  // (B) width and height of the pictures in their files
};

/// Calls f(const ImageBatch&) with the pictures of the given records in order, resized by
/// `transform`; they are read ahead by `workers` threads. f runs on the caller's thread. Throws
/// Error naming the first record whose picture cannot be read.
template <class F>
void for_each_image_batch(const Source& source, std::span<const std::uint32_t> records,
                          const EvalTransform& transform, int batch_size, int workers, F&& f,
                          const DecodeOptions& decode = {}) {
  require(batch_size > 0, "batch_size is ", batch_size, ", expected at least 1");
  const auto batch = static_cast<std::size_t>(batch_size);
  const auto side = static_cast<std::size_t>(transform.size);
  struct Buffers {
    std::vector<std::uint8_t> bytes;
    TransformBuffers transform;
  };
  std::vector<Buffers> buffers(static_cast<std::size_t>(std::max(workers, 1)));

  const auto produce = [&](std::int64_t number, int worker, ImageBatch& out) {
    Buffers& own = buffers[static_cast<std::size_t>(worker)];
    out.first = static_cast<std::size_t>(number) * batch;
    const std::size_t size = std::min(batch, records.size() - out.first);
    out.size = static_cast<int>(size);
    out.image_size = transform.size;
    out.images.resize(size * side * side * 3);
    out.sizes.clear();
    for (std::size_t i = 0; i < size; ++i) {
      const auto row = std::span(out.images).subspan(i * side * side * 3, side * side * 3);
      detail::read_picture(source, records[out.first + i], own.bytes, decode,
                           [&](PictureReader& picture) {
                             transform(picture, row, own.transform);
                             out.sizes.emplace_back(picture.width(), picture.height());
                           });
    }
  };
  const auto batches = static_cast<std::int64_t>((records.size() + batch - 1) / batch);
  Prefetcher<ImageBatch> prefetcher(workers, std::max(workers, 1) + 1, produce);
  prefetcher.start(0, batches);
  for (std::int64_t n = 0; n < batches; ++n) f(static_cast<const ImageBatch&>(prefetcher.next()));
}

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE RetrievalSet retrieval_set(const Source& source, int max_words) {
  RetrievalSet set;
  std::unordered_map<std::int64_t, std::int32_t> image_of;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const Record& record = source.record(i);
    if (!record.error.empty()) fail(source.describe(i), ": ", record.error);
    const auto [image, added] =
        image_of.try_emplace(record.image_id, static_cast<std::int32_t>(set.images.size()));
    if (added) set.images.push_back(static_cast<std::uint32_t>(i));
    const std::size_t first = set.images[static_cast<std::size_t>(image->second)];
    if (source.record(first).key != record.key)
      fail(source.describe(i), ": has the image_id of another picture, that of ",
           source.describe(first));
    try {
      for (const std::string& caption : record.captions) {
        set.texts.push_back(clean_caption(caption, max_words));
        set.text_image.push_back(image->second);
      }
    } catch (const Error& error) { fail(source.describe(i), ": ", error.what()); }
  }
  return set;
}

ALBEF_DATA_INLINE TextBatch encode_texts(const WordPiece& tokenizer,
                                         std::span<const std::string> texts,
                                         const EncodeOptions& options) {
  TextBatch out;
  std::vector<std::int32_t> ids;
  for (const std::string& text : texts) {
    tokenizer.encode(text, options, ids);
    out.add(ids);
  }
  return out;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
