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
#include "albef/data/bad_records.hpp"
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
  std::size_t records = 0;               // of the source
  std::size_t skipped_texts = 0;         // unusable, or of pictures that are
  BadRecords bad{};                      // records that are left out
};

/// Every picture once, in the order of the records, and every caption (official
/// dataset/caption_dataset.py, re_eval_dataset). Unusable captions are left out, and records
/// without usable ones, with an error or the image_id of another picture; Error where `bad` says
/// so, or if they are too many.
RetrievalSet retrieval_set(const Source& source, BadRecords bad = BadRecords(), int max_words = 30);

/// Leaves out the pictures of the records that are in set.bad, with their texts.
void drop_bad_pictures(RetrievalSet& set);

/// Reads the pictures of a set once and leaves out what cannot be read, so that this is known
/// before a training and not after its first epoch.
void check_pictures(const Source& source, RetrievalSet& set,
                    const DecodeOptions& decode = default_decoding());

/// The first text of each image (I), empty for one without.
inline std::vector<std::string> first_texts(const RetrievalSet& set) {
  std::vector<std::string> texts(set.images.size());
  for (std::size_t t = set.texts.size(); t-- > 0;)
    texts[static_cast<std::size_t>(set.text_image[t])] = set.texts[t];
  return texts;
}

/// Token ids of texts. The default length is that of the official retrieval evaluation.
TextBatch encode_texts(const Tokenizer& tokenizer, std::span<const std::string> texts,
                       const EncodeOptions& options = {.max_length = 30, .add_sep = false});

/// Some pictures of a list of records, in its order.
struct ImageBatch {
  std::vector<std::size_t> places;         // (B) in the list
  int size = 0, image_size = 0;            // B, S
  std::vector<std::uint8_t> images;        // (B, S, S, 3) red, green, blue
  std::vector<std::pair<int, int>> sizes;  // (B) width and height of the pictures in their files
};

/// Calls f(const ImageBatch&) with the pictures of the given records in order, resized by
/// `transform`; they are read ahead by `workers` threads. f runs on the caller's thread. Records
/// whose pictures cannot be read are left out and enter `bad`; the first is an Error without it.
template <class F>
void for_each_image_batch(const Source& source, std::span<const std::uint32_t> records,
                          const EvalTransform& transform, int batch_size, int workers, F&& f,
                          const DecodeOptions& decode = default_decoding(),
                          BadRecords* bad = nullptr) {
  require(batch_size > 0, "batch_size is ", batch_size, ", expected at least 1");
  const auto batch = static_cast<std::size_t>(batch_size);
  const auto side = static_cast<std::size_t>(transform.size);
  struct Buffers {
    std::vector<std::uint8_t> bytes;
    TransformBuffers transform;
  };
  std::vector<Buffers> buffers(static_cast<std::size_t>(std::max(workers, 1)));
  struct Slot {
    ImageBatch batch;
    std::vector<std::pair<std::size_t, std::string>> bad;  // record and what is wrong
  };

  const auto produce = [&](std::int64_t number, int worker, Slot& slot) {
    Buffers& own = buffers[static_cast<std::size_t>(worker)];
    ImageBatch& out = slot.batch;
    const std::size_t first = static_cast<std::size_t>(number) * batch;
    const std::size_t size = std::min(batch, records.size() - first);
    out.image_size = transform.size;
    out.images.resize(size * side * side * 3);
    out.places.clear(), out.sizes.clear(), slot.bad.clear();
    for (std::size_t i = first; i < first + size; ++i) {
      const auto add = [&] {
        const auto row = std::span(out.images).subspan(out.places.size() * side * side * 3);
        std::pair<int, int> found;
        detail::read_picture(source, records[i], own.bytes, decode, [&](PictureReader& picture) {
          transform(picture, row.first(side * side * 3), own.transform);
          found = {picture.width(), picture.height()};
        });
        out.sizes.push_back(found);
        out.places.push_back(i);
      };
      if (!bad)
        add();
      else if (std::string problem = problem_of(add); !problem.empty())
        slot.bad.emplace_back(records[i], std::move(problem));
    }
    out.size = static_cast<int>(out.places.size());
    out.images.resize(out.places.size() * side * side * 3);
  };
  const auto batches = static_cast<std::int64_t>((records.size() + batch - 1) / batch);
  Prefetcher<Slot> prefetcher(workers, std::max(workers, 1) + 1, produce);
  prefetcher.start(0, batches);
  const auto before = static_cast<std::int64_t>(bad ? bad->count() : 0);
  for (std::int64_t n = 0; n < batches; ++n) {
    const Slot& slot = prefetcher.next();
    for (const auto& [record, problem] : slot.bad) bad->add(record, problem);
    const auto size = static_cast<std::int64_t>(source.size());
    if (!slot.bad.empty()) bad->check(before + (n + 1) * batch_size, size);
    if (slot.batch.size > 0) f(slot.batch);
  }
}

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE RetrievalSet retrieval_set(const Source& source, BadRecords bad, int max_words) {
  RetrievalSet set;
  set.records = source.size();
  set.bad = std::move(bad);
  std::unordered_map<std::int64_t, std::int32_t> image_of;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const Record& record = source.record(i);
    const auto known = image_of.find(record.image_id);
    std::string problem = record.error;
    std::vector<std::string> texts;
    if (problem.empty() && known != image_of.end()) {
      const std::size_t first = set.images[static_cast<std::size_t>(known->second)];
      if (!source.same_picture(first, i))
        problem = "has the image_id of another picture, that of " + source.describe(first);
    }
    bool usable = problem.empty();
    if (usable) {
      for (const std::string& caption : record.captions) {
        const std::string wrong =
            problem_of([&] { texts.push_back(clean_caption(caption, max_words)); });
        if (!wrong.empty()) problem = wrong;
      }
      usable = !texts.empty() || record.captions.empty();
    }
    set.skipped_texts += record.captions.size() - texts.size();
    if (!usable)
      set.bad.add(i, source.describe(i) + ": " + problem);
    else if (!problem.empty())
      set.bad.tell(source.describe(i) + ": a caption: " + problem);
    if (!usable) continue;
    const auto image =
        known != image_of.end() ? known->second : static_cast<std::int32_t>(set.images.size());
    if (known == image_of.end()) {
      image_of.emplace(record.image_id, image);
      set.images.push_back(static_cast<std::uint32_t>(i));
    }
    for (std::string& text : texts) {
      set.texts.push_back(std::move(text));
      set.text_image.push_back(image);
    }
  }
  const auto records = static_cast<std::int64_t>(set.records);
  set.bad.check(records, records);
  return set;
}

ALBEF_DATA_INLINE void drop_bad_pictures(RetrievalSet& set) {
  constexpr std::int32_t gone = -1;
  std::vector<std::int32_t> place(set.images.size(), gone);
  std::size_t images = 0, texts = 0;
  for (std::size_t i = 0; i < set.images.size(); ++i) {
    if (set.bad.has(set.images[i])) continue;
    place[i] = static_cast<std::int32_t>(images);
    set.images[images++] = set.images[i];
  }
  for (std::size_t t = 0; t < set.texts.size(); ++t) {
    const std::int32_t image = place[static_cast<std::size_t>(set.text_image[t])];
    if (image == gone) continue;
    if (texts != t) set.texts[texts] = std::move(set.texts[t]);
    set.text_image[texts++] = image;
  }
  set.skipped_texts += set.texts.size() - texts;
  set.images.resize(images);
  set.texts.resize(texts);
  set.text_image.resize(texts);
}

ALBEF_DATA_INLINE void check_pictures(const Source& source, RetrievalSet& set,
                                      const DecodeOptions& decode) {
  std::vector<std::uint8_t> bytes;
  for (const std::uint32_t record : set.images) {
    const std::string problem = problem_of([&] {
      detail::read_picture(source, record, bytes, decode,
                           [](PictureReader& picture) { picture.finish(); });
    });
    if (!problem.empty()) set.bad.add(record, problem);
  }
  const auto records = static_cast<std::int64_t>(set.records);
  set.bad.check(records, records);
  drop_bad_pictures(set);
}

ALBEF_DATA_INLINE TextBatch encode_texts(const Tokenizer& tokenizer,
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
