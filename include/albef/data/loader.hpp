// The loader of pictures with captions, for pre-training and retrieval: augmented pictures, cleaned
// and, if wanted, masked captions.
#pragma once

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
#include "albef/data/captions.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/pair_batch.hpp"
#include "albef/data/record.hpp"
#include "albef/text/masking.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {
namespace detail {

/// Reads a record's picture and calls f(PictureReader&); every Error names the record.
template <class F>
auto read_picture(const Source& source, std::size_t index, std::vector<std::uint8_t>& bytes,
                  const DecodeOptions& options, F&& f) {
  source.read_image(index, bytes);
  return decode_record(source, index, source.record(index).key, bytes, options, std::forward<F>(f));
}

/// Reads and decodes a record's picture; every Error names the record.
Image load_picture(const Source& source, std::size_t index, std::vector<std::uint8_t>& bytes,
                   const DecodeOptions& options);

/// The ids of one of the record's captions at random; if it is unusable, of the next that is not.
/// Throws Error naming the record where none is.
void encode_caption(const Source& source, std::size_t index, const Tokenizer& tokenizer,
                    const LoaderOptions& options, RandomStream& random,
                    std::vector<std::int32_t>& ids);

}  // namespace detail

/// The records of a source as pairs: one of the record's captions at random, the picture's random
/// transform, and token masks drawn for the batch. The tokenizer must outlive the feed.
class PairFeed : public Feed<PairBatch> {
 public:
  PairFeed(SourcePtr source, const Tokenizer& tokenizer, PictureTransform transform,
           const LoaderOptions& options);

  std::size_t size() const override { return source_->size(); }
  std::size_t epoch_size() const override { return source_->epoch_size(); }
  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override;

  void begin(PairBatch& batch) const override;

  void add(std::size_t index, int row, RandomStream& random, SampleBuffers& buffers,
           PairBatch& batch) const override;

  void end(RandomStream& random, SampleBuffers& buffers, PairBatch& batch) const override;

 private:
  SourcePtr source_;
  const Tokenizer& tokenizer_;
  PictureTransform transform_;
  LoaderOptions options_;
  MaskingOptions masking_;
};

/// The loader of a source with captions; see BatchLoader and PairFeed. The tokenizer must outlive
/// it. Retrieval fine-tuning and grounding use it with mask_probability 0 and encode.max_length 0.
class Loader : public BatchLoader<PairBatch> {
 public:
  /// `transform`: see PictureTransform. Throws Error for options out of range, or a batch larger
  /// than the epoch.
  Loader(SourcePtr source, const Tokenizer& tokenizer, PictureTransform transform,
         const LoaderOptions& options)
      : BatchLoader(
            std::make_unique<PairFeed>(std::move(source), tokenizer, std::move(transform), options),
            options) {}
};

}  // namespace albef

#ifdef ALBEF_DATA_COMPILED
namespace albef {
extern template class BatchLoader<PairBatch>;
}  // namespace albef
#endif

#if ALBEF_DATA_DEFINITIONS

namespace albef::detail {

ALBEF_DATA_INLINE Image load_picture(const Source& source, std::size_t index,
                                     std::vector<std::uint8_t>& bytes,
                                     const DecodeOptions& options) {
  return read_picture(source, index, bytes, options,
                      [](PictureReader& picture) { return picture.read_all(); });
}

ALBEF_DATA_INLINE void encode_caption(const Source& source, std::size_t index,
                                      const Tokenizer& tokenizer, const LoaderOptions& options,
                                      RandomStream& random, std::vector<std::int32_t>& ids) {
  const auto& captions = source.record(index).captions;
  const std::size_t count = captions.size();
  require(count > 0, source.describe(index), ": there is no caption");
  const auto drawn = static_cast<std::size_t>(random.below(static_cast<int>(count)));
  for (std::size_t n = 0;; ++n) {
    try {
      const std::string& caption = captions[(drawn + n) % count];
      tokenizer.encode(clean_caption(caption, options.max_words), options.encode, ids);
      return;
    } catch (const Error& error) {
      if (n + 1 == count) fail(source.describe(index), ": ", error.what());
    }
  }
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE PairFeed::PairFeed(SourcePtr source, const Tokenizer& tokenizer,
                                     PictureTransform transform, const LoaderOptions& options)
    : source_(std::move(source)),
      tokenizer_(tokenizer),
      transform_(std::move(transform)),
      options_(options) {
  if (const auto* words = dynamic_cast<const WordPiece*>(&tokenizer))
    masking_ = masking_options(*words);
  else
    require(options.mask_probability == 0, "mask_probability is ", options.mask_probability,
            ", but the tokenizer has no token for what is masked");
  masking_.probability = options.mask_probability;
  require(source_ != nullptr, "loader: no source given");
  require(masking_.probability >= 0 && masking_.probability <= 1, "mask_probability is ",
          masking_.probability, ", expected 0 to 1");
}

ALBEF_DATA_INLINE std::vector<std::uint32_t> PairFeed::epoch_order(std::uint64_t seed,
                                                                   std::int64_t epoch) const {
  return source_->epoch_order(seed, epoch);
}

ALBEF_DATA_INLINE void PairFeed::begin(PairBatch& batch) const {
  batch.image_size = transform_.size();
  batch.images.resize(static_cast<std::size_t>(batch.size) * transform_.bytes());
  batch.text.clear();
  batch.image_ids.clear();
}

ALBEF_DATA_INLINE void PairFeed::add(std::size_t index, int row, RandomStream& random,
                                     SampleBuffers& buffers, PairBatch& batch) const {
  const Record& record = source_->record(index);
  if (!record.error.empty()) fail(source_->describe(index), ": ", record.error);
  detail::encode_caption(*source_, index, tokenizer_, options_, random, buffers.ids);
  detail::read_picture(
      *source_, index, buffers.bytes, options_.decode, [&](PictureReader& picture) {
        transform_(picture, random, batch.images, static_cast<std::size_t>(row), buffers.transform);
      });
  batch.text.add(buffers.ids);
  batch.image_ids.push_back(record.image_id);
}

ALBEF_DATA_INLINE void PairFeed::end(RandomStream& random, SampleBuffers& buffers,
                                     PairBatch& batch) const {
  batch.images.resize(static_cast<std::size_t>(batch.size) * transform_.bytes());
  batch.masked.clear();
  if (masking_.probability > 0)
    mask_tokens(batch.text, masking_, random, buffers.draws, batch.masked);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
