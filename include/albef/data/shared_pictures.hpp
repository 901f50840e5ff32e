// Pictures that several records are about: how records share one within a batch, and an order of
// an epoch that brings them together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/batch_loader.hpp"
#include "albef/data/record.hpp"
#include "albef/data/task_batch.hpp"

namespace albef {

/// The different pictures of a data set, numbered by their names. Records about the same pictures
/// form a group.
class PictureNumbers {
 public:
  /// `names(i)` returns a list of strings, the pictures of record i.
  template <class Names>
  PictureNumbers(std::size_t records, const Names& names) {
    std::unordered_map<std::string, std::uint32_t> pictures, groups;
    const auto number = [](auto& known, std::string name) {
      return known.try_emplace(std::move(name), static_cast<std::uint32_t>(known.size()))
          .first->second;
    };
    for (std::size_t i = 0; i < records; ++i) {
      std::string group;
      begin_.push_back(pictures_.size());
      for (const std::string& name : names(i)) {
        pictures_.push_back(number(pictures, name));
        group.append(name).push_back('\0');
      }
      group_of_.push_back(number(groups, std::move(group)));
    }
    groups_ = groups.size();
  }

  /// The number of a record's picture `p`.
  std::int64_t operator()(std::size_t record, std::size_t p = 0) const;
  /// The groups in random order, the records of each in random order: a function of (seed, epoch).
  std::vector<std::uint32_t> grouped_order(std::uint64_t seed, std::int64_t epoch) const;

 private:
  std::vector<std::size_t> begin_;       // (records) into pictures_
  std::vector<std::uint32_t> pictures_;  // numbers, record by record
  std::vector<std::uint32_t> group_of_;  // (records)
  std::size_t groups_ = 0;
};

/// Returns the place of picture `number` among the pictures of a batch, after adding it if it is
/// new: then `open(f)` calls f(PictureReader&), and the transform draws from `random`.
template <class Open>
std::int32_t share_picture(TaskBatch& batch, std::int64_t number, const PictureTransform& transform,
                           RandomStream& random, TransformBuffers& buffers, Open&& open) {
  auto& ids = batch.image_ids;
  const auto known = std::find(ids.begin(), ids.end(), number);
  const auto place = known - ids.begin();
  if (known == ids.end()) {
    const std::size_t before = ids.size() * transform.bytes();
    batch.images.resize(before + transform.bytes());
    try {
      open([&](PictureReader& picture) {
        transform(picture, random, batch.images, ids.size(), buffers);
      });
    } catch (...) {  // as if it had not been asked for
      batch.images.resize(before);
      throw;
    }
    ids.push_back(number);
  }
  return static_cast<std::int32_t>(place);
}

/// Empties a reused batch.
void clear_pictures(TaskBatch& batch, int image_size);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE std::int64_t PictureNumbers::operator()(std::size_t record, std::size_t p) const {
  return pictures_[begin_[record] + p];
}

ALBEF_DATA_INLINE std::vector<std::uint32_t> PictureNumbers::grouped_order(
    std::uint64_t seed, std::int64_t epoch) const {
  std::vector<std::uint32_t> rank(groups_), order = random_order(group_of_.size(), seed, epoch);
  const auto shuffled = random_order(groups_, mix(seed, 1), epoch);
  for (std::uint32_t r = 0; r < shuffled.size(); ++r) rank[shuffled[r]] = r;
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return rank[group_of_[a]] < rank[group_of_[b]];
  });
  return order;
}

ALBEF_DATA_INLINE void clear_pictures(TaskBatch& batch, int image_size) {
  batch.image_size = image_size;
  batch.images.clear();
  batch.image_ids.clear();
  batch.image_of.clear();
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
