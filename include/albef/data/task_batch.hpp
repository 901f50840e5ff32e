// Host batches of the downstream tasks, as a loader fills them.
#pragma once

#include <cstdint>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/text/batch.hpp"

namespace albef {

/// What they have in common.
struct TaskBatch {
  int size = 0;                         // B
  int image_size = 0;                   // S
  std::vector<std::uint8_t> images;     // (M, S, S, 3) red, green, blue
  std::vector<std::int32_t> image_of;   // (B) which of the M each example shows; empty: its own
  std::vector<std::int64_t> image_ids;  // (M) numbers of the pictures in the source, or empty
  TextBatch text;                       // B sentences, hypotheses or questions: [CLS] words
  std::vector<std::int64_t> indices;    // (B) record numbers in the source
  std::int64_t epoch = 0, batch = 0;    // where in the run: batch number within the epoch
};

/// Examples with one class each. NLVR2 shows 2 B pictures (in `image_of`, or else in `images`):
/// first those shown first, then those shown second.
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

/// Error if a batch does not show `shown` pictures and have B texts.
inline void check_sizes(const TaskBatch& batch, int shown) {
  const auto side = static_cast<std::size_t>(batch.image_size), values = side * side * 3;
  const auto expected = static_cast<std::size_t>(shown);
  const std::size_t images = batch.image_of.empty() ? expected : batch.images.size() / values;
  require(batch.images.size() == images * values, "got ", batch.images.size(),
          " pixel values, expected ", images, " pictures of ", side, " x ", side, " x 3");
  if (!batch.image_of.empty())
    require(batch.image_of.size() == expected, "got ", batch.image_of.size(),
            " numbers of pictures, expected ", expected);
  for (const std::int32_t i : batch.image_of)
    require(i >= 0 && static_cast<std::size_t>(i) < images, "an example shows picture ", i, " of ",
            images);
  require(batch.text.count() == batch.size, "got ", batch.text.count(), " texts for ", batch.size,
          " examples");
}
/// The same, and unless it has no labels at all, one below `classes` for each example.
inline void check_batch(const ClassBatch& batch, int shown, int classes) {
  check_sizes(batch, shown);
  if (batch.labels.empty()) return;
  require(batch.labels.size() == static_cast<std::size_t>(batch.size), "got ", batch.labels.size(),
          " labels for ", batch.size, " examples");
  for (std::size_t i = 0; i < batch.labels.size(); ++i)
    require(batch.labels[i] >= 0 && batch.labels[i] < classes, "example ", i, " has label ",
            batch.labels[i], ", expected 0 to ", classes - 1);
}

}  // namespace detail
}  // namespace albef
