// Statements about one or two pictures with a label: visual entailment (SNLI-VE) and visual
// reasoning (NLVR2), and the loader of their batches (official dataset/ve_dataset.py,
// nlvr_dataset.py).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/batch_loader.hpp"
#include "albef/data/captions.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/json_records.hpp"
#include "albef/data/picture_format.hpp"
#include "albef/data/record.hpp"
#include "albef/data/shared_pictures.hpp"
#include "albef/data/task_batch.hpp"
#include "albef/text/unicode.hpp"

namespace albef {

/// How many pictures a statement is about, and the names of the labels 0, 1, ...
struct StatementFormat {
  int pictures = 1;
  std::vector<std::string> labels;
};

/// SNLI-VE: {image, sentence, label}.
StatementFormat entailment_format();
/// NLVR2: {images: [left, right], sentence, label}.
inline StatementFormat reasoning_format() { return {2, {"False", "True"}}; }

struct StatementRecord {
  std::string key{};                  ///< the pictures' names, ", " between them
  std::vector<std::string> images{};  ///< as many as the format says
  std::string sentence{};
  int label = 0;
  std::vector<Field> fields{};  ///< what else the object has
  std::string error{};          ///< why the record cannot be used (empty: it can)
};

/// One or several JSON files of statements: `image` (string; a name without .png, .jpg or .jpeg is
/// that of a .jpg file, as in the official files) or, for several pictures, `images` (list), with
/// `sentence` and `label`. "True" and "False" may be written in small letters or as JSON booleans.
/// What is wrong with a file or record is reported as JsonRecords says.
class StatementSet {
 public:
  StatementSet(const std::vector<std::string>& files, const StatementFormat& format,
               const AnnotationOptions& options = {});
  StatementSet(const std::string& file, const StatementFormat& format,
               const AnnotationOptions& options = {});

  const StatementFormat& format() const { return format_; }
  std::size_t size() const { return records_.size(); }
  const StatementRecord& operator[](std::size_t index) const { return records_[index]; }
  std::string describe(std::size_t index) const { return records_.describe(index); }
  /// The encoded picture number `picture` of a record.
  void read_image(std::size_t index, std::size_t picture, std::vector<std::uint8_t>& bytes) const;

 private:
  static const StatementFormat& checked(const StatementFormat& format);

  static bool is_picture(std::string_view name);

  void parse(const detail::JsonFields& fields, StatementRecord& record) const;

  int label_of(const std::string& name) const;

  StatementFormat format_;
  JsonRecords<StatementRecord> records_;
};

/// The cleaned sentences of a set, without those a loader will report.
std::vector<std::string> clean_sentences(const StatementSet& set);

/// The records of a StatementSet as rows of batches. Records of a batch that show the same picture
/// share it, transformed once. The tokenizer must outlive the feed.
class StatementFeed : public Feed<ClassBatch> {
 public:
  StatementFeed(std::shared_ptr<const StatementSet> set, const WordPiece& tokenizer,
                PictureTransform transform, const LoaderOptions& options)
      : set_(std::move(set)),
        tokenizer_(tokenizer),
        transform_(std::move(transform)),
        options_(options),
        numbers_(
            checked(set_).size(), [this](std::size_t i) -> const auto& {
              return (*set_)[i].images;
            }) {}

  std::size_t size() const override { return set_->size(); }
  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override;

  void begin(ClassBatch& batch) const override;

  void add(std::size_t index, int row, RandomStream& random, SampleBuffers& buffers,
           ClassBatch& batch) const override;

  void end(RandomStream& random, SampleBuffers& buffers, ClassBatch& batch) const override;

 private:
  static const StatementSet& checked(const std::shared_ptr<const StatementSet>& set);

  std::shared_ptr<const StatementSet> set_;
  const WordPiece& tokenizer_;
  PictureTransform transform_;
  LoaderOptions options_;
  PictureNumbers numbers_;
};

/// The loader of a StatementSet; see BatchLoader. The tokenizer must outlive it. The official code
/// cuts no sentence of these tasks: encode.max_length 0.
class StatementLoader : public BatchLoader<ClassBatch> {
 public:
  StatementLoader(std::shared_ptr<const StatementSet> set, const WordPiece& tokenizer,
                  PictureTransform transform, const LoaderOptions& options)
      : BatchLoader(std::make_unique<StatementFeed>(std::move(set), tokenizer, std::move(transform),
                                                    options),
                    options) {}
};

}  // namespace albef

#ifdef ALBEF_DATA_COMPILED
namespace albef {
extern template class BatchLoader<ClassBatch>;
}  // namespace albef
#endif

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE StatementFormat entailment_format() {
  return {1, {"contradiction", "neutral", "entailment"}};
}

ALBEF_DATA_INLINE StatementSet::StatementSet(const std::vector<std::string>& files,
                                             const StatementFormat& format,
                                             const AnnotationOptions& options)
    : format_(checked(format)),
      records_(files, options, [this](const detail::JsonFields& fields, StatementRecord& record) {
        parse(fields, record);
      }) {}

ALBEF_DATA_INLINE StatementSet::StatementSet(const std::string& file, const StatementFormat& format,
                                             const AnnotationOptions& options)
    : StatementSet(std::vector<std::string>{file}, format, options) {}

ALBEF_DATA_INLINE void StatementSet::read_image(std::size_t index, std::size_t picture,
                                                std::vector<std::uint8_t>& bytes) const {
  records_.read_image(index, records_[index].images.at(picture), bytes);
}

ALBEF_DATA_INLINE const StatementFormat& StatementSet::checked(const StatementFormat& format) {
  require(format.pictures >= 1, "statements: ", format.pictures, " pictures, expected at least 1");
  require(format.labels.size() >= 2, "statements: ", format.labels.size(),
          " labels, expected at least 2");
  return format;
}

ALBEF_DATA_INLINE bool StatementSet::is_picture(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot != name.npos && detail::is_picture_extension(detail::lower(name.substr(dot + 1)));
}

ALBEF_DATA_INLINE void StatementSet::parse(const detail::JsonFields& fields,
                                           StatementRecord& record) const {
  if (format_.pictures == 1) {
    record.images = {fields.id("image")};
  } else {
    record.images = fields.texts("images");
    require(static_cast<int>(record.images.size()) == format_.pictures, "field 'images' has ",
            record.images.size(), " names, expected ", format_.pictures);
  }
  for (std::string& name : record.images) {
    if (!is_picture(name)) name += ".jpg";
    record.key += (record.key.empty() ? "" : ", ") + name;
  }
  record.sentence = fields.text("sentence");
  record.label = label_of(fields.label("label"));
  record.fields = fields.others({"image", "images", "sentence", "label"});
}

ALBEF_DATA_INLINE int StatementSet::label_of(const std::string& name) const {
  const auto& labels = format_.labels;
  std::string known;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (detail::lower(labels[i]) == detail::lower(name)) return static_cast<int>(i);
    known += concat(i == 0 ? "'" : ", '", labels[i], "'");
  }
  fail("field 'label' is '", name, "', expected one of ", known);
}

ALBEF_DATA_INLINE std::vector<std::string> clean_sentences(const StatementSet& set) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < set.size(); ++i) try {
      if (set[i].error.empty()) texts.push_back(clean_caption(set[i].sentence));
    } catch (const Error&) {}
  return texts;
}

ALBEF_DATA_INLINE std::vector<std::uint32_t> StatementFeed::epoch_order(std::uint64_t seed,
                                                                        std::int64_t epoch) const {
  return options_.by_picture ? numbers_.grouped_order(seed, epoch) : Feed::epoch_order(seed, epoch);
}

ALBEF_DATA_INLINE void StatementFeed::begin(ClassBatch& batch) const {
  clear_pictures(batch, transform_.size());
  batch.image_of.resize(static_cast<std::size_t>(set_->format().pictures) *
                        static_cast<std::size_t>(batch.size));
  batch.text.clear();
  batch.labels.clear();
}

ALBEF_DATA_INLINE void StatementFeed::add(std::size_t index, int row, RandomStream& random,
                                          SampleBuffers& buffers, ClassBatch& batch) const {
  const StatementRecord& record = (*set_)[index];
  try {
    require(record.error.empty(), record.error);
    tokenizer_.encode(clean_caption(record.sentence, options_.max_words), options_.encode,
                      buffers.ids);
  } catch (const Error& error) { fail(set_->describe(index), ": ", error.what()); }

  for (std::size_t p = 0; p < record.images.size(); ++p) {
    const std::size_t at = p * static_cast<std::size_t>(batch.size) + static_cast<std::size_t>(row);
    batch.image_of[at] = share_picture(batch, numbers_(index, p), transform_, random,
                                       buffers.transform, [&](auto&& use) {
                                         set_->read_image(index, p, buffers.bytes);
                                         detail::decode_record(*set_, index, record.images[p],
                                                               buffers.bytes, options_.decode, use);
                                       });
  }
  batch.text.add(buffers.ids);
  batch.labels.push_back(record.label);
}

ALBEF_DATA_INLINE void StatementFeed::end(RandomStream&, SampleBuffers&, ClassBatch& batch) const {
  const auto pictures = static_cast<std::size_t>(set_->format().pictures);
  const auto size = static_cast<std::size_t>(batch.size), had = batch.image_of.size() / pictures;
  if (size == had) return;
  for (std::size_t p = 1; p < pictures; ++p)  // close the rows up
    for (std::size_t row = 0; row < size; ++row)
      batch.image_of[p * size + row] = batch.image_of[p * had + row];
  batch.image_of.resize(pictures * size);
}

ALBEF_DATA_INLINE const StatementSet& StatementFeed::checked(
    const std::shared_ptr<const StatementSet>& set) {
  require(set != nullptr, "loader: no statements given");
  return *set;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
