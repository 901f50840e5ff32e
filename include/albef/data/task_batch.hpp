// Host batches of the downstream tasks, as a loader fills them.
#pragma once

#include <cstdint>
#include <vector>

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

}  // namespace albef
