// Batches of token sequences without padding: the form in which models take texts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"

namespace albef {

/// Token ids of B texts, one after the other, without padding. Text i has the packed rows
/// offsets[i] .. offsets[i + 1] - 1. Reuse after clear() needs no memory while it suffices.
struct TextBatch {
  std::vector<std::int32_t> ids;         // (T)
  std::vector<std::int32_t> offsets{0};  // (B + 1)

  /// Number of texts, B.
  int count() const { return static_cast<int>(offsets.size()) - 1; }
  /// Number of tokens of all texts, T.
  int tokens() const { return static_cast<int>(ids.size()); }
  /// Number of tokens of text i.
  int length(int i) const;
  /// Token ids of text i.
  std::span<const std::int32_t> text(int i) const;
  /// Length of the longest text, 0 without texts.
  int max_length() const;
  /// Appends a text.
  void add(std::span<const std::int32_t> text);
  void clear();
};

/// From the padded form of other libraries into `out`: ids and mask (B, L), mask 1 = real token.
/// Error if a row of the mask is not a run of ones, at least one, followed by zeros.
void pack(std::span<const std::int64_t> ids, std::span<const std::int64_t> mask, int batch,
          int length, TextBatch& out);

/// The same as a new batch.
TextBatch packed(std::span<const std::int64_t> ids, std::span<const std::int64_t> mask, int batch,
                 int length);

/// A masked copy of a TextBatch for masked language modelling, with the masked positions.
struct MaskedText {
  TextBatch text;                    // same packing as the original
  std::vector<std::int32_t> rows;    // (M) packed rows of the masked positions, ascending
  std::vector<std::int32_t> labels;  // (M) the original ids there
  std::vector<std::int32_t> offsets{
      0};  // (B + 1) those of text i: offsets[i] .. offsets[i + 1] - 1

  /// Number of masked positions, M.
  int masked() const { return static_cast<int>(rows.size()); }
  void clear();
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE int TextBatch::length(int i) const {
  const auto at = static_cast<std::size_t>(i);
  return offsets[at + 1] - offsets[at];
}

ALBEF_DATA_INLINE std::span<const std::int32_t> TextBatch::text(int i) const {
  return std::span(ids).subspan(static_cast<std::size_t>(offsets[static_cast<std::size_t>(i)]),
                                static_cast<std::size_t>(length(i)));
}

ALBEF_DATA_INLINE int TextBatch::max_length() const {
  int longest = 0;
  for (int i = 0; i < count(); ++i) longest = std::max(longest, length(i));
  return longest;
}

ALBEF_DATA_INLINE void TextBatch::add(std::span<const std::int32_t> text) {
  constexpr auto limit = static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max());
  require(text.size() <= limit - ids.size(), "[TextBatch] more than 2^31 - 1 tokens");
  ids.insert(ids.end(), text.begin(), text.end());
  offsets.push_back(static_cast<std::int32_t>(ids.size()));
}

ALBEF_DATA_INLINE void TextBatch::clear() {
  ids.clear();
  offsets.resize(1);
}

ALBEF_DATA_INLINE void pack(std::span<const std::int64_t> ids, std::span<const std::int64_t> mask,
                            int batch, int length, TextBatch& out) {
  require(batch >= 0 && length >= 0, "[packed] got batch ", batch, " and length ", length);
  const auto rows = static_cast<std::size_t>(batch), columns = static_cast<std::size_t>(length);
  require(ids.size() == rows * columns && mask.size() == rows * columns, "[packed] got ",
          ids.size(), " ids and ", mask.size(), " mask values, expected ", batch, " x ", length);
  out.clear();
  for (std::size_t i = 0; i < rows; ++i) {
    const auto row = mask.subspan(i * columns, columns);
    const auto end = std::find(row.begin(), row.end(), 0);
    const bool prefix = end != row.begin() &&
                        std::all_of(row.begin(), end, [](auto m) { return m == 1; }) &&
                        std::all_of(end, row.end(), [](auto m) { return m == 0; });
    require(prefix, "[packed] mask of text ", i, " is not a run of ones followed by zeros");
    const auto count = static_cast<std::size_t>(end - row.begin());
    for (const std::int64_t id : ids.subspan(i * columns, count)) {
      require(id >= 0 && id <= std::numeric_limits<std::int32_t>::max(), "[packed] text ", i,
              " has token id ", id);
      out.ids.push_back(static_cast<std::int32_t>(id));
    }
    out.offsets.push_back(static_cast<std::int32_t>(out.ids.size()));
  }
}

ALBEF_DATA_INLINE TextBatch packed(std::span<const std::int64_t> ids,
                                   std::span<const std::int64_t> mask, int batch, int length) {
  TextBatch out;
  pack(ids, mask, batch, length, out);
  return out;
}

ALBEF_DATA_INLINE void MaskedText::clear() {
  text.clear();
  rows.clear();
  labels.clear();
  offsets.resize(1);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
