// From the host batches of the downstream tasks to the inputs of their models.
#pragma once

#include <cstddef>
#include <cstdint>

#include "albef/data/task_batch.hpp"
#include "albef/models/inputs.hpp"

namespace albef {

/// Uploads which picture each example of a batch shows: (B), or null where each shows its own.
template <class Ctx>
const std::int32_t* upload_image_of(Ctx& ctx, const TaskBatch& batch) {
  return batch.image_of.empty() ? nullptr : ctx.upload(batch.image_of);
}

namespace detail {

/// Error if a batch does not show `shown` pictures and have B texts.
inline void check_sizes(const TaskBatch& batch, int shown) {
  require(batch.image_size > 0, "the batch has pictures of ", batch.image_size, " pixels");
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
