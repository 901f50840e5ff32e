// The loader of labelled sets: augmented pictures, texts or both, with their classes.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/batch_loader.hpp"
#include "albef/data/labelled.hpp"
#include "albef/data/task_batch.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

/// Which parts of its records a labelled set is read for.
struct LabelledParts {
  bool pictures = true, texts = false;
};

/// The records of a labelled set as rows of batches: the picture's random transform, the first
/// usable text, the class. What is not read for stays empty. The tokenizer must outlive the feed.
class LabelledFeed : public Feed<ClassBatch> {
 public:
  /// `tokenizer` may be null where no texts are read.
  LabelledFeed(LabelledPtr set, LabelledParts parts, const WordPiece* tokenizer,
               PictureTransform transform, const LoaderOptions& options);

  std::size_t size() const override { return set_->size(); }
  std::size_t epoch_size() const override { return set_->epoch_size(); }
  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override {
    return set_->epoch_order(seed, epoch);
  }
  void begin(ClassBatch& batch) const override;
  void add(std::size_t index, int row, RandomStream& random, SampleBuffers& buffers,
           ClassBatch& batch) const override;
  void end(RandomStream& random, SampleBuffers& buffers, ClassBatch& batch) const override;

 private:
  void encode_text(std::size_t index, std::vector<std::int32_t>& ids) const;

  LabelledPtr set_;
  LabelledParts parts_;
  const WordPiece* tokenizer_;
  PictureTransform transform_;
  LoaderOptions options_;
};

/// See BatchLoader and LabelledFeed.
class LabelledLoader : public BatchLoader<ClassBatch> {
 public:
  LabelledLoader(LabelledPtr set, LabelledParts parts, const WordPiece* tokenizer,
                 PictureTransform transform, const LoaderOptions& options)
      : BatchLoader(std::make_unique<LabelledFeed>(std::move(set), parts, tokenizer,
                                                   std::move(transform), options),
                    options) {}
};

}  // namespace albef

#ifdef ALBEF_DATA_COMPILED
namespace albef {
extern template class BatchLoader<ClassBatch>;
}  // namespace albef
#endif

#if ALBEF_DATA_DEFINITIONS
#include "albef/data/captions.hpp"
#include "albef/data/loader.hpp"

namespace albef {

ALBEF_DATA_INLINE LabelledFeed::LabelledFeed(LabelledPtr set, LabelledParts parts,
                                             const WordPiece* tokenizer, PictureTransform transform,
                                             const LoaderOptions& options)
    : set_(std::move(set)),
      parts_(parts),
      tokenizer_(tokenizer),
      transform_(std::move(transform)),
      options_(options) {
  require(set_ != nullptr, "loader: no labelled set given");
  require(parts_.pictures || parts_.texts, "loader: neither pictures nor texts are asked for");
  require(!parts_.texts || tokenizer_, "loader: texts are asked for, but no tokenizer is given");
}

ALBEF_DATA_INLINE void LabelledFeed::begin(ClassBatch& batch) const {
  batch.image_size = transform_.size();
  batch.images.resize(parts_.pictures ? static_cast<std::size_t>(batch.size) * transform_.bytes()
                                      : 0);
  batch.image_of.clear();
  batch.text.clear();
  batch.labels.clear();
}

ALBEF_DATA_INLINE void LabelledFeed::add(std::size_t index, int row, RandomStream& random,
                                         SampleBuffers& buffers, ClassBatch& batch) const {
  const Record& record = set_->record(index);
  if (!record.error.empty()) fail(set_->describe(index), ": ", record.error);
  if (parts_.texts) encode_text(index, buffers.ids);
  if (parts_.pictures)
    detail::read_picture(*set_, index, buffers.bytes, options_.decode, [&](PictureReader& picture) {
      transform_(picture, random, batch.images, static_cast<std::size_t>(row), buffers.transform);
    });
  if (parts_.texts) batch.text.add(buffers.ids);
  batch.labels.push_back(set_->label(index));
}

ALBEF_DATA_INLINE void LabelledFeed::end(RandomStream&, SampleBuffers&, ClassBatch& batch) const {
  if (parts_.pictures)
    batch.images.resize(static_cast<std::size_t>(batch.size) * transform_.bytes());
}

ALBEF_DATA_INLINE void LabelledFeed::encode_text(std::size_t index,
                                                 std::vector<std::int32_t>& ids) const {
  std::string problem = "there is no text";
  for (const std::string& caption : set_->record(index).captions) {
    problem = problem_of([&] {
      tokenizer_->encode(clean_caption(caption, options_.max_words), options_.encode, ids);
    });
    if (problem.empty()) return;
  }
  fail(set_->describe(index), ": ", problem);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
