// Host batches of the downstream tasks, as a loader fills them.
#pragma once

#include <cstdint>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/text/batch.hpp"

namespace albef {

/// What they have in common.
struct TaskBatch {
  int size = 0;                       // B
  int image_size = 0;                 // S
  std::vector<std::uint8_t> images;   // (B, S, S, 3) red, green, blue
  TextBatch text;                     // B sentences, hypotheses or questions: [CLS] words
  std::vector<std::int64_t> indices;  // (B) record numbers in the source
  std::int64_t epoch = 0, batch = 0;  // where in the run: batch number within the epoch
};

/// Examples with one class each. For NLVR2 `images` has 2 B pictures: first those shown first, then
/// those shown second.
struct ClassBatch : TaskBatch {
  std::vector<std::int32_t> labels;  // (B)
};

/// Questions with their answers, question by question: answers[a] = [CLS] words [SEP]. A question
/// may have no answer (when it is only asked).
struct VqaBatch : TaskBatch {
  TextBatch answers;                        // A
  std::vector<std::int32_t> answer_counts;  // (B) answers of each question, A in all
  std::vector<float> weights;               // (A)
};

namespace detail {

/// Error if a batch does not have `images` pictures and B texts.
inline void check_sizes(const TaskBatch& batch, int images) {
  const std::size_t values =
      static_cast<std::size_t>(batch.image_size) * static_cast<std::size_t>(batch.image_size) * 3;
  require(batch.images.size() == static_cast<std::size_t>(images) * values, "got ",
          batch.images.size(), " pixel values, expected ", images, " pictures of ",
          batch.image_size, " x ", batch.image_size, " x 3");
  require(batch.text.count() == batch.size, "got ", batch.text.count(), " texts for ", batch.size,
          " examples");
}
/// The same, and unless it has no labels at all, one below `classes` for each example.
inline void check_batch(const ClassBatch& batch, int images, int classes) {
  check_sizes(batch, images);
  if (batch.labels.empty()) return;
  require(batch.labels.size() == static_cast<std::size_t>(batch.size), "got ", batch.labels.size(),
          " labels for ", batch.size, " examples");
  for (std::size_t i = 0; i < batch.labels.size(); ++i)
    require(batch.labels[i] >= 0 && batch.labels[i] < classes, "example ", i, " has label ",
            batch.labels[i], ", expected 0 to ", classes - 1);
}

}  // namespace detail
}  // namespace albef
