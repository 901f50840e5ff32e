// Visual question answering data (official dataset/vqa_dataset.py): questions about pictures, each
// with one or several weighted answers, and the loader of their batches.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/answers.hpp"
#include "albef/data/batch_loader.hpp"
#include "albef/data/captions.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/json_records.hpp"
#include "albef/data/record.hpp"
#include "albef/data/shared_pictures.hpp"
#include "albef/data/task_batch.hpp"
#include "albef/text/clean.hpp"

namespace albef {

struct VqaRecord {
  std::string key{};  ///< name of the picture
  std::string question{}, question_id{};
  std::vector<std::string> answers{};  ///< different ones; none where they are withheld
  std::vector<float> weights{};        ///< one per answer
  std::vector<Field> fields{};         ///< what else the object has
  std::string error{};                 ///< why the record cannot be used (empty: it can)
};

/// One or several JSON files of {image, question, question_id, answer, dataset}. `answer` is a
/// string or a list: an answer weighs its share of the list, as the ten of VQA v2; with `dataset`
/// "vg" (Visual Genome) every answer weighs 0.5. `answer`, `question_id` and `dataset` may be
/// missing. What is wrong with a file or record is reported as JsonRecords says.
class VqaSet {
 public:
  explicit VqaSet(const std::vector<std::string>& files, const AnnotationOptions& options = {});
  explicit VqaSet(const std::string& file, const AnnotationOptions& options = {});

  std::size_t size() const { return records_.size(); }
  const VqaRecord& operator[](std::size_t index) const { return records_[index]; }
  std::string describe(std::size_t index) const { return records_.describe(index); }
  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const;

  /// Throws Error naming the first record that has answers but none that is in the list, so that no
  /// ranking of the list can be right.
  void check_answers(const AnswerList& list) const;

 private:
  static void parse(const detail::JsonFields& fields, VqaRecord& record);

  JsonRecords<VqaRecord> records_;
};

/// All answers of a set, the most frequent first. Error if there are none.
AnswerList answers_of(const VqaSet& set);

/// The cleaned questions of a set, without those a loader will report, and its answers.
std::vector<std::string> clean_questions(const VqaSet& set);

/// The records of a VqaSet as rows of batches. Questions of a batch about the same picture share
/// it, transformed once. The tokenizer must outlive the feed.
class VqaFeed : public Feed<VqaBatch> {
 public:
  VqaFeed(std::shared_ptr<const VqaSet> set, const WordPiece& tokenizer, PictureTransform transform,
          const LoaderOptions& options, bool answers_required)
      : set_(std::move(set)),
        tokenizer_(tokenizer),
        transform_(std::move(transform)),
        options_(options),
        answers_required_(answers_required),
        numbers_(checked(set_).size(),
                 [this](std::size_t i) { return std::array{(*set_)[i].key}; }) {}

  std::size_t size() const override { return set_->size(); }
  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override;

  void begin(VqaBatch& batch) const override;

  void add(std::size_t index, int row, RandomStream& random, SampleBuffers& buffers,
           VqaBatch& batch) const override;

  void end(RandomStream& random, SampleBuffers& buffers, VqaBatch& batch) const override;

 private:
  static const VqaSet& checked(const std::shared_ptr<const VqaSet>& set);

  std::shared_ptr<const VqaSet> set_;
  const WordPiece& tokenizer_;
  PictureTransform transform_;
  LoaderOptions options_;
  bool answers_required_;
  PictureNumbers numbers_;
};

/// The loader of a VqaSet; see BatchLoader. The tokenizer must outlive it. LoaderOptions' defaults
/// are the official ones for training: 30 words and 25 tokens of a question. For testing take
/// evaluation_options() with 50 words, and false for `answers_required`: a question without answers
/// is then no error.
class VqaLoader : public BatchLoader<VqaBatch> {
 public:
  VqaLoader(std::shared_ptr<const VqaSet> set, const WordPiece& tokenizer,
            PictureTransform transform, const LoaderOptions& options, bool answers_required = true)
      : BatchLoader(std::make_unique<VqaFeed>(std::move(set), tokenizer, std::move(transform),
                                              options, answers_required),
                    options) {}
};

}  // namespace albef

#ifdef ALBEF_DATA_COMPILED
namespace albef {
extern template class BatchLoader<VqaBatch>;
}  // namespace albef
#endif

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE VqaSet::VqaSet(const std::vector<std::string>& files,
                                 const AnnotationOptions& options)
    : records_(files, options, parse) {}

ALBEF_DATA_INLINE VqaSet::VqaSet(const std::string& file, const AnnotationOptions& options)
    : VqaSet(std::vector<std::string>{file}, options) {}

ALBEF_DATA_INLINE void VqaSet::read_image(std::size_t index,
                                          std::vector<std::uint8_t>& bytes) const {
  records_.read_image(index, records_[index].key, bytes);
}

ALBEF_DATA_INLINE void VqaSet::check_answers(const AnswerList& list) const {
  for (std::size_t i = 0; i < size(); ++i) {
    const auto& answers = records_[i].answers;
    const bool known = std::any_of(answers.begin(), answers.end(),
                                   [&](const std::string& a) { return list.find(a).has_value(); });
    if (!answers.empty() && !known)
      fail(describe(i), ": field 'answer': '", answers.front(), "' is not among the ", list.size(),
           " answers of ", list.name());
  }
}

ALBEF_DATA_INLINE void VqaSet::parse(const detail::JsonFields& fields, VqaRecord& record) {
  record.key = fields.text("image");
  record.question = fields.text("question");
  if (fields.has("question_id")) record.question_id = fields.id("question_id");
  const std::string origin = fields.has("dataset") ? fields.text("dataset") : "vqa";
  require(origin == "vqa" || origin == "vg", "field 'dataset' is '", origin,
          "', expected 'vqa' or 'vg'");
  record.fields = fields.others({"image", "question", "question_id", "dataset", "answer"});
  if (!fields.has("answer")) return;
  const std::vector<std::string> all = fields.texts("answer");
  for (const std::string& answer : all) {
    require(!answer.empty(), "field 'answer' has an empty answer");
    const auto known = std::find(record.answers.begin(), record.answers.end(), answer);
    const float share = origin == "vqa" ? 1.0f / static_cast<float>(all.size()) : 0.5f;
    if (known == record.answers.end()) {
      record.answers.push_back(answer);
      record.weights.push_back(share);
    } else if (origin == "vqa") {
      record.weights[static_cast<std::size_t>(known - record.answers.begin())] += share;
    }
  }
}

ALBEF_DATA_INLINE AnswerList answers_of(const VqaSet& set) {
  std::map<std::string, int> counts;
  for (std::size_t i = 0; i < set.size(); ++i)
    for (const std::string& answer : set[i].answers) ++counts[answer];
  require(!counts.empty(), set.describe(0), ": field 'answer' is missing, here and everywhere");
  std::vector<std::string> answers;
  for (const auto& [answer, count] : counts) answers.push_back(answer);
  std::stable_sort(answers.begin(), answers.end(),
                   [&](const auto& a, const auto& b) { return counts.at(a) > counts.at(b); });
  return AnswerList(answers, "the training data");
}

ALBEF_DATA_INLINE std::vector<std::string> clean_questions(const VqaSet& set) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < set.size(); ++i) try {
      texts.push_back(pre_question(set[i].question));
      texts.insert(texts.end(), set[i].answers.begin(), set[i].answers.end());
    } catch (const Error&) {}
  return texts;
}

ALBEF_DATA_INLINE std::vector<std::uint32_t> VqaFeed::epoch_order(std::uint64_t seed,
                                                                  std::int64_t epoch) const {
  return options_.by_picture ? numbers_.grouped_order(seed, epoch) : Feed::epoch_order(seed, epoch);
}

ALBEF_DATA_INLINE void VqaFeed::begin(VqaBatch& batch) const {
  clear_pictures(batch, transform_.size());
  batch.image_of.resize(static_cast<std::size_t>(batch.size));
  batch.text.clear();
  batch.answers.clear();
  batch.answer_counts.clear();
  batch.weights.clear();
}

ALBEF_DATA_INLINE void VqaFeed::add(std::size_t index, int row, RandomStream& random,
                                    SampleBuffers& buffers, VqaBatch& batch) const {
  const VqaRecord& record = (*set_)[index];
  try {
    require(record.error.empty(), record.error);
    const std::string question = pre_question(record.question, options_.max_words);
    require(says_something(question), "field 'question' is empty after clean-up");
    require(!record.answers.empty() || !answers_required_, "field 'answer' is missing");
    tokenizer_.encode(question, options_.encode, buffers.ids);
  } catch (const Error& error) { fail(set_->describe(index), ": ", error.what()); }

  batch.image_of[static_cast<std::size_t>(row)] =
      share_picture(batch, numbers_(index), transform_, random, buffers.transform, [&](auto&& use) {
        set_->read_image(index, buffers.bytes);
        detail::decode_record(*set_, index, record.key, buffers.bytes, options_.decode, use);
      });
  batch.text.add(buffers.ids);
  for (const std::string& answer : record.answers) {
    tokenizer_.encode(answer, answer_encoding, buffers.ids);
    batch.answers.add(buffers.ids);
  }
  batch.answer_counts.push_back(static_cast<std::int32_t>(record.answers.size()));
  batch.weights.insert(batch.weights.end(), record.weights.begin(), record.weights.end());
}

ALBEF_DATA_INLINE void VqaFeed::end(RandomStream&, SampleBuffers&, VqaBatch& batch) const {
  batch.image_of.resize(static_cast<std::size_t>(batch.size));
}

ALBEF_DATA_INLINE const VqaSet& VqaFeed::checked(const std::shared_ptr<const VqaSet>& set) {
  require(set != nullptr, "loader: no questions given");
  return *set;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
