// Learns the merges of a byte-level BPE tokenizer from captions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "albef/text/bpe.hpp"
#include "albef/text/vocabulary.hpp"

namespace albef {

/// A tokenizer of at most `size` tokens: 512 for bytes, the most frequent merges of neighbours in
/// the captions, start and end. Pairs seen less often than `min_frequency` are not merged. The same
/// captions give the same tokens. Error if `size` is less than 514 or a caption is not UTF-8.
Bpe learn_bpe(std::span<const std::string> captions, int size, int min_frequency = 2);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE Bpe learn_bpe(std::span<const std::string> captions, int size,
                                int min_frequency) {
  const BpeOptions options;
  const std::vector<std::string> bytes = detail::byte_tokens();
  const auto fixed = static_cast<int>(bytes.size()) + 2;
  require(size >= fixed, "[learn_bpe] size is ", size, ", expected at least ", fixed);
  std::map<std::string, std::int64_t, std::less<>> words;
  for (const std::string& caption : captions)
    detail::for_each_piece(detail::clean_for_bpe(caption), options, [&](std::string_view piece) {
      if (piece == options.start || piece == options.end) return;
      const auto found = words.find(piece);
      if (found == words.end())
        words.emplace(piece, 1);
      else
        ++found->second;
    });
  detail::PairMerger merger(bytes, 0);
  std::vector<std::string> pieces;
  for (const auto& [word, count] : words) {
    pieces.clear();
    for (const char c : word)
      pieces.push_back(detail::written_bytes()[static_cast<unsigned char>(c)]);
    pieces.back() += detail::end_of_word;
    merger.add_word(pieces, count);
  }
  merger.start();
  std::vector<Bpe::Merge> merges;
  while (static_cast<int>(merges.size()) < size - fixed) {
    const auto merge = merger.merge_best(min_frequency);
    if (!merge) break;
    merges.emplace_back(merge->first, merge->second);
  }
  return Bpe::from_merges(merges, "learned merges", options);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
