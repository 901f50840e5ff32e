// A vocabulary of another model for texts of one's own: the words it cannot spell are added.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "albef/text/vocabulary.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

/// What extend_vocabulary() found and did.
struct ExtendedVocabulary {
  WordPiece tokenizer;
  std::size_t unknown = 0;  ///< words of the texts that could not be spelled, without overlong ones
  std::size_t added = 0;    ///< of these, how many there was room for
  std::string example{};    ///< the most frequent one
};

/// Adds the words of `texts` that `given` cannot spell to its end, the most frequent first, while
/// it has fewer than `room` tokens; `name` stands for it in messages.
inline ExtendedVocabulary extend_vocabulary(const WordPiece& given,
                                            const std::vector<std::string>& texts, int room,
                                            const std::string& name) {
  std::vector<std::string> tokens = given.tokens();
  ExtendedVocabulary out{given};
  const WordPieceOptions& options = given.options();
  for (const auto& word :
       detail::count_words(texts, options.normalization, options.max_word_chars)) {
    const auto ids = given.ids(word.text);
    if (std::find(ids.begin(), ids.end(), given.unk_id()) == ids.end()) continue;
    if (out.unknown++ == 0) out.example = word.text;
    if (tokens.size() < static_cast<std::size_t>(room)) tokens.push_back(word.text);
  }
  out.added = tokens.size() - static_cast<std::size_t>(given.size());
  if (out.added > 0) out.tokenizer = WordPiece::from_vocab(std::move(tokens), name, options);
  return out;
}

}  // namespace albef
