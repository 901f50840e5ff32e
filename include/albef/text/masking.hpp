// Token masking for masked language modelling (official models/model_pretrain.py, `mask`), of
// single tokens or of whole words: the random draws and their application are apart, so that given
// draws can be replayed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "albef/text/batch.hpp"

namespace albef {

/// Which tokens are masked and what replaces them; the defaults are the official values.
struct MaskingOptions {
  int vocab_size = 30522;
  std::int32_t mask_id = 103;
  std::int32_t pad_id = 0;    ///< never masked
  std::int32_t cls_id = 101;  ///< never masked
  std::int32_t sep_id = -1;   ///< never masked; below 0: as any other token
  float probability = 0.15f;  ///< of each other token to be masked, independently
  float replace = 0.8f;       ///< share of the masked that become mask_id
  float random = 0.5f;        ///< share of the rest that become a random id of the vocabulary
  bool ensure_one = true;     ///< mask at least one token per batch: the loss is a mean over them
  /// (vocab_size) 1: the token continues a word, or empty. With it, all pieces of a word are masked
  /// or none (BERT's whole word masking; Hugging Face's DataCollatorForWholeWordMask): of a text of
  /// n tokens, special ones included, round(probability n) and at least one are to be masked; its
  /// words are gone through in random order, and each is taken that fits into what is left. What
  /// replaces them is drawn for each piece by itself.
  std::vector<std::uint8_t> continues{};
};

/// The options of a tokeniser's vocabulary.
template <class Tokenizer>
MaskingOptions masking_options(const Tokenizer& tokenizer) {
  MaskingOptions out;
  out.vocab_size = tokenizer.size();
  out.mask_id = tokenizer.mask_id();
  out.pad_id = tokenizer.pad_id();
  out.cls_id = tokenizer.cls_id();
  return out;
}

/// The same for whole words, neither [CLS] nor [SEP] among them.
template <class Tokenizer>
MaskingOptions whole_word_masking(const Tokenizer& tokenizer) {
  MaskingOptions out = masking_options(tokenizer);
  out.sep_id = tokenizer.sep_id();
  const auto& mark = tokenizer.options().continuation;
  for (const auto& token : tokenizer.tokens())
    out.continues.push_back(token.size() > mark.size() && token.starts_with(mark));
  return out;
}

/// Raw draws, one per packed row; what does not apply is ignored (`replace` where not masked, ...).
struct MaskDraws {
  std::vector<std::uint8_t> mask;      // (T) 1 = mask this position, unless PAD or CLS
  std::vector<std::uint8_t> replace;   // (T) 1 = by mask_id
  std::vector<std::uint8_t> random;    // (T) 1 = otherwise by `words`
  std::vector<std::int32_t> words;     // (T) ids in [0, vocab_size)
  std::vector<std::uint64_t> order{};  // work space of whole words
};

namespace detail {
bool maskable(std::int32_t id, const MaskingOptions& options);
}  // namespace detail

/// Draws for a batch: four words of the stream per packed row, and one more if `ensure_one` has to
/// choose a position. Of whole words there are none where each is longer than what is to be masked.
void draw_masks(const TextBatch& text, const MaskingOptions& options, RandomStream& stream,
                MaskDraws& out);

/// Applies given draws. Error if their number is not that of the batch's tokens.
void apply_mask(const TextBatch& text, const MaskDraws& draws, const MaskingOptions& options,
                MaskedText& out);

/// Draws and applies; `draws` is working memory, kept by the caller for reuse.
void mask_tokens(const TextBatch& text, const MaskingOptions& options, RandomStream& stream,
                 MaskDraws& draws, MaskedText& out);

/// The same as a new batch.
MaskedText mask_tokens(const TextBatch& text, const MaskingOptions& options, RandomStream& stream);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef::detail {

ALBEF_DATA_INLINE bool maskable(std::int32_t id, const MaskingOptions& options) {
  return id != options.pad_id && id != options.cls_id && id != options.sep_id;
}

/// Marks words of text number `text`, whose random order is drawn already.
ALBEF_DATA_INLINE void mark_words(const TextBatch& batch, int text, const MaskingOptions& options,
                                  MaskDraws& out) {
  const auto first = static_cast<std::size_t>(batch.offsets[static_cast<std::size_t>(text)]);
  const auto ids = batch.text(text);
  const auto continues = [&](std::size_t i) {
    return i > 0 && i < ids.size() && maskable(ids[i - 1], options) && maskable(ids[i], options) &&
           options.continues[static_cast<std::size_t>(ids[i])] != 0;
  };
  std::int64_t left = std::max<std::int64_t>(
      1, std::llrint(static_cast<double>(options.probability) * static_cast<double>(ids.size())));
  std::sort(out.order.begin(), out.order.end());
  for (const std::uint64_t entry : out.order) {
    const auto begin = static_cast<std::size_t>(entry & 0xffffffff);
    std::size_t end = begin + 1;
    while (continues(end)) ++end;
    const auto pieces = static_cast<std::int64_t>(end - begin);
    if (pieces > left) continue;
    left -= pieces;
    std::fill_n(out.mask.begin() + static_cast<std::ptrdiff_t>(first + begin), pieces,
                std::uint8_t{1});
    if (left == 0) return;
  }
}

/// Draws which words are masked: one word of the stream per packed row.
ALBEF_DATA_INLINE void draw_words(const TextBatch& batch, const MaskingOptions& options,
                                  RandomStream& stream, MaskDraws& out) {
  std::fill(out.mask.begin(), out.mask.end(), std::uint8_t{0});
  for (int text = 0; text < batch.count(); ++text) {
    const auto ids = batch.text(text);
    out.order.clear();
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::uint64_t key = stream.bits();
      require(ids[i] >= 0 && static_cast<std::size_t>(ids[i]) < options.continues.size(),
              "[masking] token id ", ids[i], ", expected 0 to ",
              static_cast<std::int64_t>(options.continues.size()) - 1);
      const bool begins = i == 0 || !maskable(ids[i - 1], options) ||
                          options.continues[static_cast<std::size_t>(ids[i])] == 0;
      if (begins && maskable(ids[i], options)) out.order.push_back(key << 32 | i);
    }
    if (options.probability > 0) mark_words(batch, text, options, out);
  }
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE void draw_masks(const TextBatch& text, const MaskingOptions& options,
                                  RandomStream& stream, MaskDraws& out) {
  require(options.vocab_size > 0, "[masking] vocab_size is ", options.vocab_size);
  const std::size_t rows = text.ids.size();
  out.mask.resize(rows);
  out.replace.resize(rows);
  out.random.resize(rows);
  out.words.resize(rows);
  const bool words = !options.continues.empty();
  if (words) detail::draw_words(text, options, stream, out);
  int maskable = 0;
  bool any = false;
  for (std::size_t i = 0; i < rows; ++i) {
    if (!words) out.mask[i] = stream.bernoulli(options.probability);
    out.replace[i] = stream.bernoulli(options.replace);
    out.random[i] = stream.bernoulli(options.random);
    out.words[i] = stream.below(options.vocab_size);
    if (!detail::maskable(text.ids[i], options)) continue;
    ++maskable;
    any = any || out.mask[i] != 0;
  }
  if (!options.ensure_one || words || any || maskable == 0) return;
  int skip = stream.below(maskable);
  for (std::size_t i = 0; i < rows; ++i) {
    if (!detail::maskable(text.ids[i], options) || skip-- > 0) continue;
    out.mask[i] = 1;
    return;
  }
}

ALBEF_DATA_INLINE void apply_mask(const TextBatch& text, const MaskDraws& draws,
                                  const MaskingOptions& options, MaskedText& out) {
  const std::size_t tokens = text.ids.size();
  require(draws.mask.size() == tokens && draws.replace.size() == tokens &&
              draws.random.size() == tokens && draws.words.size() == tokens,
          "[masking] got ", draws.mask.size(), "/", draws.replace.size(), "/", draws.random.size(),
          "/", draws.words.size(), " draws for ", tokens, " tokens");
  out.clear();
  out.text.ids = text.ids;
  out.text.offsets = text.offsets;
  std::size_t row = 0;
  for (int i = 0; i < text.count(); ++i) {
    for (const std::int32_t id : text.text(i)) {
      if (draws.mask[row] != 0 && detail::maskable(id, options)) {
        out.rows.push_back(static_cast<std::int32_t>(row));
        out.labels.push_back(id);
        if (draws.replace[row] != 0)
          out.text.ids[row] = options.mask_id;
        else if (draws.random[row] != 0)
          out.text.ids[row] = draws.words[row];
      }
      ++row;
    }
    out.offsets.push_back(static_cast<std::int32_t>(out.rows.size()));
  }
}

ALBEF_DATA_INLINE void mask_tokens(const TextBatch& text, const MaskingOptions& options,
                                   RandomStream& stream, MaskDraws& draws, MaskedText& out) {
  draw_masks(text, options, stream, draws);
  apply_mask(text, draws, options, out);
}

ALBEF_DATA_INLINE MaskedText mask_tokens(const TextBatch& text, const MaskingOptions& options,
                                         RandomStream& stream) {
  MaskDraws draws;
  MaskedText out;
  mask_tokens(text, options, stream, draws, out);
  return out;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
