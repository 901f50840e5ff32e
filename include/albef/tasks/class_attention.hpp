// Where the class token of an image encoder looks: the attention of its last block, head by head
// (the figures of Caron et al. 2021).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/ops/attention_map.hpp"
#include "albef/tasks/encode.hpp"
#include "albef/models/encoders.hpp"

namespace albef {

/// What the heads of one picture's class token look at: values over the patches, row by row, of
/// each head.
struct ClassAttention {
  int side = 0;
  std::vector<std::vector<float>> heads{};  ///< (heads)(side, side)
};

/// From the map of an attention whose first query is the class token, and whose first key.
template <class Real>
ClassAttention class_attention(const AttentionMap<Real>& map, int side) {
  require(map.keys == side * side + 1 && map.queries > 0, "[attention map] ", map.keys,
          " positions, expected a class token and ", side, " x ", side, " patches");
  ClassAttention out{.side = side};
  for (int h = 0; h < map.heads; ++h) {
    const auto row =
        map.probability.begin() + static_cast<std::ptrdiff_t>(h) * map.queries * map.keys;
    out.heads.emplace_back(row + 1, row + map.keys);
  }
  return out;
}

/// That of the pictures of some records, by a session of any model with an image encoder whose last
/// attention is among the class token and the patches. Records that cannot be read enter `bad`.
template <class S>
std::vector<ClassAttention> class_attention(S& session, const Source& source,
                                            std::span<const std::uint32_t> records,
                                            const EncodingOptions& options = {},
                                            BadRecords* bad = nullptr) {
  using C = typename S::Config;
  auto& ctx = session.context();
  std::vector<ClassAttention> out;
  for_each_image_tensor(
      session, source, records, options,
      [&](const auto& images) {
        for (const auto& map :
             last_attention(ctx, [&] { class_state<Domain::image>(ctx, S::model, images); }))
          out.push_back(class_attention(map, C::image_res / C::patch_size));
      },
      bad);
  return out;
}

}  // namespace albef
