// A batch of one of FLAVA's three kinds of data: pictures alone, texts alone, or pairs of both.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/text/batch.hpp"

namespace albef {

/// From what kind of data set a batch is, which decides what there is to learn from it.
enum class FlavaKind : std::uint8_t { images, texts, pairs };
constexpr const char* name_of(FlavaKind kind) {
  return kind == FlavaKind::images ? "pictures" : kind == FlavaKind::texts ? "texts" : "pairs";
}

/// Which patches of B pictures are hidden from the encoder: N patches a picture, row by row.
struct MaskedPatches {
  std::vector<std::int32_t> rows;        // (M) i N + p for patch p of picture i, ascending
  std::vector<std::int32_t> offsets{0};  // (B + 1) of picture i: offsets[i] .. offsets[i + 1] - 1

  /// Number of pictures, B.
  int count() const { return static_cast<int>(offsets.size()) - 1; }
  /// Number of hidden patches, M.
  int masked() const { return static_cast<int>(rows.size()); }
  /// Appends a picture: mask (N), not 0 where the patch is hidden.
  void add(std::span<const std::uint8_t> mask) {
    const auto first = static_cast<std::size_t>(count()) * mask.size();
    for (std::size_t p = 0; p < mask.size(); ++p)
      if (mask[p] != 0) rows.push_back(static_cast<std::int32_t>(first + p));
    offsets.push_back(static_cast<std::int32_t>(rows.size()));
  }
  void clear() {
    rows.clear();
    offsets.resize(1);
  }
};

/// What a loader hands out and FlavaPretraining takes. Which parts are filled depends on the kind;
/// the others are empty. A loader that reuses a batch keeps the memory of all of them.
struct FlavaBatch {
  FlavaKind kind = FlavaKind::pairs;
  int size = 0;  // B

  // Pictures: of kinds images and pairs.
  int image_size = 0;                     // S
  std::vector<std::uint8_t> images;       // (B, S, S, 3) red, green, blue
  MaskedPatches patches;                  // of B pictures, or nothing: no patch is hidden
  std::vector<std::int32_t> codes;        // (B, N) what the patches show, or empty: see code_images
  int code_image_size = 0;                // T, 8 times the patches along a side
  std::vector<std::uint8_t> code_images;  // (B, T, T, 3) the same views for an image tokenizer, or
                                          // empty: it reads `images`

  // Texts: of kinds texts and pairs.
  TextBatch text;                        // B texts; of kind texts, only `masked` is read
  MaskedText masked;                     // the same with masked tokens
  std::vector<std::int32_t> itm_labels;  // (B) 1: picture and text belong together, 0: they do not;
                                         // or empty: all do. Of kind pairs

  std::vector<std::int64_t> indices;  // (B) record numbers in the source
  std::int64_t epoch = 0, batch = 0;  // where in the run: batch number within the epoch

  bool has_images() const { return kind != FlavaKind::texts; }
  bool has_texts() const { return kind != FlavaKind::images; }
  void clear() {
    size = 0;
    images.clear(), codes.clear(), code_images.clear();
    patches.clear();
    text.clear(), masked.clear();
    itm_labels.clear(), indices.clear();
  }
};

namespace detail {

/// Error if pictures, masks, codes, texts and labels are not those of B examples of the batch's
/// kind, for pictures of `patches` patches.
inline void check_batch(const FlavaBatch& batch, int patches) {
  const auto size = static_cast<std::size_t>(batch.size);
  require(batch.size > 0, "the batch has ", batch.size, " examples");
  if (batch.has_images()) {
    const auto pixels = [&](const std::vector<std::uint8_t>& images, int side, const char* what) {
      const auto values = static_cast<std::size_t>(side) * static_cast<std::size_t>(side) * 3;
      require(side > 0 && images.size() == size * values, "got ", images.size(),
              " pixel values of ", what, ", expected ", size, " of ", side, " x ", side, " x 3");
    };
    pixels(batch.images, batch.image_size, "pictures");
    if (!batch.code_images.empty())
      pixels(batch.code_images, batch.code_image_size, "pictures for the image tokenizer");
    require(batch.patches.count() == 0 || batch.patches.count() == batch.size, "got masks of ",
            batch.patches.count(), " pictures, expected ", size);
    require(batch.codes.empty() || batch.codes.size() == size * static_cast<std::size_t>(patches),
            "got ", batch.codes.size(), " codes, expected ", size, " x ", patches);
    for (int i = 0; i < batch.patches.count(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      for (auto m = batch.patches.offsets[at]; m < batch.patches.offsets[at + 1]; ++m) {
        const std::int32_t row = batch.patches.rows[static_cast<std::size_t>(m)];
        require(row >= i * patches && row < (i + 1) * patches, "picture ", i, " hides patch ",
                row - i * patches, ", expected 0 to ", patches - 1);
      }
    }
  }
  if (!batch.has_texts()) return;
  const MaskedText& masked = batch.masked;
  require(masked.text.count() == batch.size, "got ", masked.text.count(), " masked texts for ",
          size, " examples");
  require(masked.labels.size() == masked.rows.size() &&
              masked.offsets.size() == masked.text.offsets.size(),
          "got ", masked.labels.size(), " labels for ", masked.rows.size(),
          " masked tokens and offsets of ", masked.offsets.size() - 1, " texts, expected ", size);
  if (batch.kind != FlavaKind::pairs) return;
  require(batch.text.count() == batch.size, "got ", batch.text.count(), " texts for ", size,
          " pictures");
  require(batch.itm_labels.empty() || batch.itm_labels.size() == size, "got ",
          batch.itm_labels.size(), " matching labels for ", size, " pairs");
  for (std::size_t i = 0; i < batch.itm_labels.size(); ++i)
    require(batch.itm_labels[i] == 0 || batch.itm_labels[i] == 1, "pair ", i,
            " has matching label ", batch.itm_labels[i], ", expected 0 or 1");
}

}  // namespace detail

/// The first `n` examples of a batch.
inline FlavaBatch first_examples(const FlavaBatch& batch, int n) {
  FlavaBatch out = batch;
  const auto count = static_cast<std::size_t>(n), all = static_cast<std::size_t>(batch.size);
  const auto cut = [&](auto& values) { values.resize(values.size() / all * count); };
  const auto texts = [&](TextBatch& text) {
    text.offsets.resize(std::min(count + 1, text.offsets.size()));
    text.ids.resize(static_cast<std::size_t>(text.offsets.back()));
  };
  out.size = n;
  cut(out.images), cut(out.codes), cut(out.code_images), cut(out.itm_labels), cut(out.indices);
  out.patches.offsets.resize(std::min(count + 1, batch.patches.offsets.size()));
  out.patches.rows.resize(static_cast<std::size_t>(out.patches.offsets.back()));
  texts(out.text), texts(out.masked.text);
  out.masked.offsets.resize(std::min(count + 1, batch.masked.offsets.size()));
  out.masked.rows.resize(static_cast<std::size_t>(out.masked.offsets.back()));
  out.masked.labels.resize(out.masked.rows.size());
  return out;
}

}  // namespace albef
