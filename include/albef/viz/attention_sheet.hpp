// Pictures with what each head of an encoder's class token looks at in them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/data/loader.hpp"
#include "albef/tasks/class_attention.hpp"
#include "albef/viz/heat_map.hpp"

namespace albef {

/// `count` of the records, evenly spread over them.
inline std::vector<std::uint32_t> spread_over(std::span<const std::uint32_t> records, int count) {
  std::vector<std::uint32_t> out;
  const auto shown = std::min(records.size(), static_cast<std::size_t>(std::max(count, 0)));
  for (std::size_t i = 0; i < shown; ++i) out.push_back(records[i * records.size() / shown]);
  return out;
}

/// Draws pictures of a source side by side, cut as the model sees them, each over one row per head
/// with the head's map upon it. `names`, one per record, stand under the pictures. Records that
/// cannot be read are left out.
template <class S>
void write_attention_sheet(const std::string& path, S& session, const Source& source,
                           std::span<const std::uint32_t> records,
                           std::span<const std::string> names, const std::string& title,
                           const EncodingOptions& options = {}) {
  require(names.size() == records.size(), "attention sheet: ", names.size(), " names for ",
          records.size(), " pictures");
  BadRecords bad(1, nullptr);
  const auto maps = class_attention(session, source, records, options, &bad);
  std::deque<RgbPicture> pictures;  // stay where they are
  std::vector<HeatExample> examples;
  for_each_image_batch(
      source, records, EvalTransform{S::Config::image_res}, options.batch_size, options.workers,
      [&](const ImageBatch& batch) {
        const int side = batch.image_size;
        const auto bytes = static_cast<std::ptrdiff_t>(side) * side * 3;
        for (std::size_t i = 0; i < batch.places.size(); ++i) {
          const auto from = batch.images.begin() + static_cast<std::ptrdiff_t>(i) * bytes;
          const RgbPicture& picture =
              pictures.emplace_back(RgbPicture{side, side, {from, from + bytes}});
          HeatExample& example =
              examples.emplace_back(HeatExample{picture, names[batch.places[i]]});
          const ClassAttention& map = maps.at(examples.size() - 1);
          for (const auto& head : map.heads)
            example.rows.push_back(
                {concat("head ", example.rows.size() + 1), {head, map.side, map.side}});
        }
      },
      default_decoding(), &bad);
  write_heat_sheet(path, examples, {.title = title, .cell = 120, .word_width = 60});
}

}  // namespace albef
