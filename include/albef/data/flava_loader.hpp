// The loader of FLAVA's three kinds of data: pictures alone, texts alone, and pairs; masked patches
// and tokens, and pairs that do not belong together (Singh et al. 2022, section 3 and appendix).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/batch_loader.hpp"
#include "albef/data/block_mask.hpp"
#include "albef/data/flava_batch.hpp"
#include "albef/data/loader.hpp"
#include "albef/data/record.hpp"
#include "albef/text/masking.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

/// What FLAVA asks of its data, beside LoaderOptions; the defaults are those of the paper and of
/// TorchMultimodal. LoaderOptions::mask_probability is that of tokens.
struct FlavaDataOptions {
  /// Of patches; a grid of the model's patches. `patches` 0: no patch is hidden.
  BlockMasking patches{};
  /// Of pairs: whole words are masked. Texts alone are masked token by token.
  bool whole_words = true;
  /// Share of the pairs whose caption is that of another picture, with label 0.
  float mismatch = 0.1f;
  /// Width and height of the pictures for an image tokenizer: 8 times the patches along a side.
  /// They are the views of FlavaBatch::images, resized; 0, or the size of these: none.
  int code_image_size = 0;
};

/// The records of a source as one of the kinds. The tokenizer must outlive the feed.
class FlavaFeed : public Feed<FlavaBatch> {
 public:
  /// Throws Error for options out of range.
  FlavaFeed(FlavaKind kind, SourcePtr source, const WordPiece& tokenizer,
            PictureTransform transform, const LoaderOptions& options,
            const FlavaDataOptions& data = {});

  std::size_t size() const override { return source_->size(); }
  std::size_t epoch_size() const override { return source_->epoch_size(); }
  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override {
    return source_->epoch_order(seed, epoch);
  }
  void begin(FlavaBatch& batch) const override;
  void add(std::size_t index, int row, RandomStream& random, SampleBuffers& buffers,
           FlavaBatch& batch) const override;
  void end(RandomStream& random, SampleBuffers& buffers, FlavaBatch& batch) const override;

 private:
  std::size_t code_bytes() const {
    const auto side = static_cast<std::size_t>(data_.code_image_size);
    return side * side * 3;
  }
  /// Puts the caption of another picture into `ids`, if one is found that says something else.
  bool swap_caption(std::size_t index, RandomStream& random, std::vector<std::int32_t>& ids) const;
  void add_code_image(std::size_t row, SampleBuffers& buffers, FlavaBatch& batch) const;

  FlavaKind kind_;
  SourcePtr source_;
  const WordPiece& tokenizer_;
  PictureTransform transform_;
  LoaderOptions options_;
  FlavaDataOptions data_;
  MaskingOptions masking_;
};

/// The loader of one source; see BatchLoader and FlavaFeed.
class FlavaLoader : public BatchLoader<FlavaBatch> {
 public:
  FlavaLoader(FlavaKind kind, SourcePtr source, const WordPiece& tokenizer,
              PictureTransform transform, const LoaderOptions& options,
              const FlavaDataOptions& data = {})
      : BatchLoader(std::make_unique<FlavaFeed>(kind, std::move(source), tokenizer,
                                                std::move(transform), options, data),
                    options) {}
};

}  // namespace albef

#ifdef ALBEF_DATA_COMPILED
namespace albef {
extern template class BatchLoader<FlavaBatch>;
}  // namespace albef
#endif

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>

namespace albef {

ALBEF_DATA_INLINE FlavaFeed::FlavaFeed(FlavaKind kind, SourcePtr source, const WordPiece& tokenizer,
                                       PictureTransform transform, const LoaderOptions& options,
                                       const FlavaDataOptions& data)
    : kind_(kind),
      source_(std::move(source)),
      tokenizer_(tokenizer),
      transform_(std::move(transform)),
      options_(options),
      data_(data),
      masking_(kind == FlavaKind::pairs && data.whole_words ? whole_word_masking(tokenizer)
                                                            : masking_options(tokenizer)) {
  require(source_ != nullptr, "loader: no source given");
  data_.patches.check();
  masking_.sep_id = tokenizer.sep_id();
  masking_.probability = options.mask_probability;
  require(masking_.probability >= 0 && masking_.probability <= 1, "mask_probability is ",
          masking_.probability, ", expected 0 to 1");
  require(data_.mismatch >= 0 && data_.mismatch <= 1, "mismatch is ", data_.mismatch,
          ", expected 0 to 1");
  require(data_.code_image_size >= 0, "code_image_size is ", data_.code_image_size,
          ", expected at least 0");
  if (data_.code_image_size == transform_.size()) data_.code_image_size = 0;
}

ALBEF_DATA_INLINE void FlavaFeed::begin(FlavaBatch& batch) const {
  const int size = batch.size;
  batch.clear();
  batch.kind = kind_, batch.size = size;
  if (!batch.has_images()) return;
  batch.image_size = transform_.size(), batch.code_image_size = data_.code_image_size;
  batch.images.resize(static_cast<std::size_t>(size) * transform_.bytes());
  batch.code_images.resize(static_cast<std::size_t>(size) * code_bytes());
}

ALBEF_DATA_INLINE void FlavaFeed::add(std::size_t index, int row, RandomStream& random,
                                      SampleBuffers& buffers, FlavaBatch& batch) const {
  const Record& record = source_->record(index);
  if (!record.error.empty()) fail(source_->describe(index), ": ", record.error);
  bool match = true;
  if (batch.has_texts())
    detail::encode_caption(*source_, index, tokenizer_, options_, random, buffers.ids);
  if (kind_ == FlavaKind::pairs && random.bernoulli(data_.mismatch))
    match = !swap_caption(index, random, buffers.ids);
  if (batch.has_images()) {
    const auto at = static_cast<std::size_t>(row);
    detail::read_picture(*source_, index, buffers.bytes, options_.decode,
                         [&](PictureReader& picture) {
                           transform_(picture, random, batch.images, at, buffers.transform);
                         });
    if (data_.code_image_size > 0) add_code_image(at, buffers, batch);
    if (data_.patches.patches > 0) {
      data_.patches.draw(random, buffers.mask);
      batch.patches.add(buffers.mask);
    }
  }
  if (batch.has_texts()) batch.text.add(buffers.ids);
  if (kind_ == FlavaKind::pairs) batch.itm_labels.push_back(match);
}

ALBEF_DATA_INLINE bool FlavaFeed::swap_caption(std::size_t index, RandomStream& random,
                                               std::vector<std::int32_t>& ids) const {
  constexpr int attempts = 10;
  const std::vector<std::int32_t> own = ids;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const auto other = static_cast<std::size_t>(random.below(static_cast<int>(source_->size())));
    const Record& record = source_->record(other);
    if (!record.error.empty() || record.image_id == source_->record(index).image_id) continue;
    if (problem_of([&] {
          detail::encode_caption(*source_, other, tokenizer_, options_, random, ids);
        }).empty() &&
        ids != own)
      return true;
  }
  ids = own;
  return false;
}

ALBEF_DATA_INLINE void FlavaFeed::add_code_image(std::size_t row, SampleBuffers& buffers,
                                                 FlavaBatch& batch) const {
  const int size = transform_.size();
  buffers.view.width = buffers.view.height = size;
  const auto* const view = batch.images.data() + row * transform_.bytes();
  buffers.view.rgb.assign(view, view + transform_.bytes());
  buffers.transform.resizer(buffers.view, {0, 0, size, size},
                            {data_.code_image_size, data_.code_image_size,
                             batch.code_images.data() + row * code_bytes()});
}

ALBEF_DATA_INLINE void FlavaFeed::end(RandomStream& random, SampleBuffers& buffers,
                                      FlavaBatch& batch) const {
  if (batch.has_images()) {
    batch.images.resize(static_cast<std::size_t>(batch.size) * transform_.bytes());
    batch.code_images.resize(static_cast<std::size_t>(batch.size) * code_bytes());
  }
  if (batch.has_texts()) mask_tokens(batch.text, masking_, random, buffers.draws, batch.masked);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
