// Learns a WordPiece vocabulary from captions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/text/word_splitter.hpp"

namespace albef {

/// How a vocabulary is learnt.
struct VocabularyOptions {
  TextNormalization normalization = {};  ///< as in the tokeniser that will use the vocabulary
  int min_frequency = 1;                 ///< words and merges seen less often get no token
  int max_word_chars = 100;              ///< longer words, which the tokeniser leaves, do not count
};

namespace detail {

struct CountedWord {
  std::string text;
  std::int64_t count;
};

// The distinct words of at most `max_chars` characters; most frequent first, then by bytes.
std::vector<CountedWord> count_words(std::span<const std::string> captions,
                                     const TextNormalization& options, int max_chars);

}  // namespace detail

/// Learns at most `size` tokens, for WordPiece::from_vocab. The same captions give the same tokens.
///
/// Order: [PAD] [UNK] [CLS] [SEP] [MASK]; every character seen, as the start (c) and inside (##c)
/// of a word, so that no word over this alphabet is unknown; then whole words, the most frequent
/// first, if there is room for all of them, and otherwise pieces found by merging the most frequent
/// pairs of neighbours (as Hugging Face's WordPiece trainer does). If even the alphabet does not
/// fit, its most frequent characters are kept. Error if `size` is less than 6 or a caption is not
/// UTF-8.
std::vector<std::string> learn_vocabulary(std::span<const std::string> captions, int size,
                                          const VocabularyOptions& options = {});

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <map>
#include <optional>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

namespace albef::detail {

ALBEF_DATA_INLINE std::vector<CountedWord> count_words(std::span<const std::string> captions,
                                                       const TextNormalization& options,
                                                       int max_chars) {
  std::unordered_map<std::string, std::int64_t> counts;
  std::string words;
  for (const std::string& caption : captions) {
    words.clear();
    WordSplitter(options, words).add(caption);
    for_each_word(words, [&](std::string_view word) {
      if (count_characters(word) <= static_cast<std::size_t>(max_chars))
        ++counts[std::string(word)];
    });
  }
  std::vector<CountedWord> out;
  out.reserve(counts.size());
  for (const auto& [text, count] : counts) out.push_back({text, count});
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a.count != b.count ? a.count > b.count : a.text < b.text;
  });
  return out;
}

// The characters of the words: c, and ##c unless c only occurs as a word of its own (punctuation,
// Chinese). If they need more than `room` tokens, the most frequent ones.
ALBEF_DATA_INLINE std::vector<std::string> alphabet(const std::vector<CountedWord>& words,
                                                    const TextNormalization& options,
                                                    std::size_t room) {
  std::map<CodePoint, std::int64_t> counts;
  for (const CountedWord& word : words)
    for (std::size_t i = 0; i < word.text.size();)
      counts[next_code_point(word.text, i)] += word.count;
  std::vector<std::pair<CodePoint, std::int64_t>> order(counts.begin(), counts.end());
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> starts, continuations;
  for (const auto& [code, count] : order) {
    const bool alone = is_punctuation(code) || (options.split_cjk && is_cjk(code));
    const std::size_t needed = alone ? 1 : 2;
    if (starts.size() + continuations.size() + needed > room) break;
    append_utf8(starts.emplace_back(), code);
    if (!alone) continuations.push_back("##" + starts.back());
  }
  std::sort(starts.begin(), starts.end());
  std::sort(continuations.begin(), continuations.end());
  starts.insert(starts.end(), continuations.begin(), continuations.end());
  return starts;
}

// Byte-pair merging: words start as their smallest pieces, and the most frequent pair of
// neighbouring pieces becomes a piece, again and again. Among equals the earlier pieces win.
class PairMerger {
 public:
  /// `prefix`: how many bytes a piece loses that is joined to the one before.
  PairMerger(const std::vector<std::string>& pieces, std::size_t prefix) : prefix_(prefix) {
    for (const std::string& piece : pieces) add_piece(piece);
  }

  /// Adds a word that is seen `count` times; one with other pieces than those there are is left
  /// out.
  void add_word(std::span<const std::string> pieces, std::int64_t count) {
    Word out{{}, count};
    for (const std::string& piece : pieces) {
      const auto found = ids_.find(piece);
      if (found == ids_.end()) return;
      out.pieces.push_back(found->second);
    }
    words_.push_back(std::move(out));
    for_each_pair(words_.back(), [&](Pair pair) {
      uses_[pair].count += count;
      uses_[pair].words.push_back(words_.size() - 1);
    });
  }
  /// After the last word.
  void start() {
    for (const auto& [pair, use] : uses_) queue_.push({use.count, -pair.first, -pair.second});
  }

  /// Two neighbours and what they become.
  struct Merge {
    std::string first, second, merged;
  };
  /// Merges the most frequent pair everywhere; nothing if none occurs `min_frequency` times.
  std::optional<Merge> merge_best(std::int64_t min_frequency) {
    while (!queue_.empty()) {
      const auto [count, a, b] = queue_.top();
      queue_.pop();
      const Pair pair{-a, -b};
      const std::int64_t current = uses_.at(pair).count;
      if (current < count) {  // the pair has become rarer since it was queued
        if (current > 0) queue_.push({current, a, b});
        continue;
      }
      if (count < min_frequency) return {};
      const auto text = [&](int piece) { return pieces_[static_cast<std::size_t>(piece)]; };
      return Merge{text(pair.first), text(pair.second), merge(pair)};
    }
    return {};
  }

 private:
  using Pair = std::pair<int, int>;
  struct Word {
    std::vector<int> pieces;
    std::int64_t count;
  };
  struct Use {
    std::int64_t count = 0;
    std::vector<std::size_t> words;  // where the pair occurs or once occurred
  };

  int add_piece(const std::string& text) {
    const auto [at, added] = ids_.emplace(text, static_cast<int>(pieces_.size()));
    if (added) pieces_.push_back(text);
    return at->second;
  }

  template <class F>
  static void for_each_pair(const Word& word, F&& f) {
    for (std::size_t i = 0; i + 1 < word.pieces.size(); ++i)
      f(Pair{word.pieces[i], word.pieces[i + 1]});
  }

  std::string merge(Pair pair) {
    const std::string text = pieces_[static_cast<std::size_t>(pair.first)] +
                             pieces_[static_cast<std::size_t>(pair.second)].substr(prefix_);
    const int merged = add_piece(text);
    auto where = std::move(uses_.at(pair).words);
    uses_.at(pair).words.clear();
    std::sort(where.begin(), where.end());
    where.erase(std::unique(where.begin(), where.end()), where.end());
    for (const std::size_t index : where) {
      Word& word = words_[index];
      for_each_pair(word, [&](Pair p) { uses_[p].count -= word.count; });
      replace(word.pieces, pair, merged);
      for_each_pair(word, [&](Pair p) {
        Use& use = uses_[p];
        use.count += word.count;
        if (p.first != merged && p.second != merged) return;
        use.words.push_back(index);
        touched_.push_back(p);
      });
    }
    std::sort(touched_.begin(), touched_.end());
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    for (const Pair& p : touched_) queue_.push({uses_.at(p).count, -p.first, -p.second});
    touched_.clear();
    return text;
  }

  static void replace(std::vector<int>& pieces, Pair pair, int merged) {
    std::size_t to = 0;
    for (std::size_t from = 0; from < pieces.size(); ++from, ++to) {
      const bool match =
          from + 1 < pieces.size() && pieces[from] == pair.first && pieces[from + 1] == pair.second;
      pieces[to] = match ? merged : pieces[from];
      if (match) ++from;
    }
    pieces.resize(to);
  }

  std::size_t prefix_;
  std::vector<std::string> pieces_;
  std::unordered_map<std::string, int> ids_;
  std::vector<Word> words_;
  std::map<Pair, Use> uses_;
  std::priority_queue<std::tuple<std::int64_t, int, int>> queue_;  // (count, -first, -second)
  std::vector<Pair> touched_;
};

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE std::vector<std::string> learn_vocabulary(std::span<const std::string> captions,
                                                            int size,
                                                            const VocabularyOptions& options) {
  std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  require(size > static_cast<int>(tokens.size()), "[learn_vocabulary] size is ", size,
          ", expected more than ", tokens.size());
  const auto limit = static_cast<std::size_t>(size);
  const auto words = detail::count_words(captions, options.normalization, options.max_word_chars);
  const auto alphabet = detail::alphabet(words, options.normalization, limit - tokens.size());
  tokens.insert(tokens.end(), alphabet.begin(), alphabet.end());

  std::unordered_set<std::string> known(tokens.begin(), tokens.end());
  const std::size_t before = tokens.size();
  for (const auto& word : words)
    if (word.count >= options.min_frequency && known.insert(word.text).second)
      tokens.push_back(word.text);
  if (tokens.size() <= limit) return tokens;

  for (; tokens.size() > before; tokens.pop_back()) known.erase(tokens.back());
  detail::PairMerger merger(alphabet, 2);  // without ##
  std::vector<std::string> pieces;
  for (const auto& word : words) {
    pieces.clear();
    for (std::size_t at = 0; at < word.text.size();) {
      const std::size_t begin = at;
      detail::next_code_point(word.text, at);
      pieces.push_back((begin > 0 ? "##" : "") + word.text.substr(begin, at - begin));
    }
    merger.add_word(pieces, word.count);
  }
  merger.start();
  while (tokens.size() < limit) {
    const auto merge = merger.merge_best(options.min_frequency);
    if (!merge) break;
    if (known.insert(merge->merged).second) tokens.push_back(merge->merged);
  }
  return tokens;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
