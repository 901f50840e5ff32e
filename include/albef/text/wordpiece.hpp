// The WordPiece tokeniser of BERT uncased as ALBEF uses it (official models/tokenization_bert.py):
// a text becomes `[CLS] piece piece ...`, without a final [SEP].
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/text/token_trie.hpp"
#include "albef/text/tokenizer.hpp"
#include "albef/text/word_splitter.hpp"

namespace albef {

/// A token that is found in texts as it is written, before they are cut into words. The flags are
/// those of Hugging Face's tokenizers.
struct AddedToken {
  std::string content;
  bool single_word = false;             ///< not beside a letter, mark, digit or '_'
  bool lstrip = false, rstrip = false;  ///< takes white space beside it
  bool normalized = false;              ///< is looked for in the normalised text
  bool special = true;                  ///< left out of decoded texts, never masked
  bool outside_vocabulary = false;      ///< has an id but is no piece of words

  bool operator==(const AddedToken&) const = default;
};

/// How words are cut into pieces; the defaults are BERT uncased.
struct WordPieceOptions {
  TextNormalization normalization = {};
  int max_word_chars = 100;         ///< a longer word (in code points) is [UNK]
  std::string continuation = "##";  ///< prefix of a piece that continues a word
  std::string unk_token = "[UNK]";
  /// Where not given: [PAD], `unk_token`, [CLS], [SEP] and [MASK].
  std::optional<std::vector<AddedToken>> added_tokens = {};

  bool operator==(const WordPieceOptions&) const = default;
};

/// Cuts texts into word pieces: greedy, longest piece first.
///
/// The tokens [CLS], [MASK], [PAD], [SEP] and [UNK] written exactly so inside a text stay single
/// tokens, or those that options.added_tokens says. Ids equal those of Hugging Face's tokenizers on
/// any text. Texts are UTF-8; other bytes are an Error that names their offset.
/// A WordPiece does not change after it was made: threads may share it.
class WordPiece final : public Tokenizer {
 public:
  /// Reads a vocabulary with one token per line (BERT's vocab.txt); the id is the line's number,
  /// from 0. White space at a line's end does not count. For a Hugging Face tokenizer.json see
  /// load_wordpiece (text/tokenizer_json.hpp).
  static WordPiece from_file(const std::string& path, WordPieceOptions options = {});

  /// Takes the tokens in the order of their ids. Of a repeated token the last id counts; an empty
  /// one is a gap in the ids (at the end: none). A missing [PAD], [UNK], [CLS], [SEP] or [MASK] and
  /// a token that is not UTF-8 or longer than 1,000 bytes are Errors that name `source_name` and
  /// the line (id + 1).
  static WordPiece from_vocab(std::vector<std::string> tokens, std::string_view source_name,
                              WordPieceOptions options = {});

  /// The pieces of a text, without [CLS].
  std::vector<std::string> tokenize(std::string_view text) const;

  /// The ids of a text's pieces, without [CLS].
  std::vector<std::int32_t> ids(std::string_view text) const;

  /// `[CLS]` and the first pieces of the text, as many as `options` allow.
  std::vector<std::int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  /// The same into `out`, whose former content is dropped and whose memory is used again.
  void encode(std::string_view text, const EncodeOptions& options,
              std::vector<std::int32_t>& out) const override;

  /// The pieces joined to a text: a continuing piece follows directly, others after a space.
  /// `skip_special` leaves out [CLS], [MASK], [PAD], [SEP] and [UNK].
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  /// Number of tokens; ids are 0 .. size() - 1.
  int size() const override { return static_cast<int>(tokens_.size()); }
  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::string& token(std::int32_t id) const;
  /// The id of a token; unk_id() for a string that is no token.
  std::int32_t id(std::string_view token) const;
  bool contains(std::string_view token) const { return find(token) >= 0; }

  std::int32_t pad_id() const { return pad_id_; }
  std::int32_t unk_id() const { return unk_id_; }
  std::int32_t cls_id() const { return cls_id_; }
  std::int32_t sep_id() const { return sep_id_; }
  std::int32_t mask_id() const { return mask_id_; }
  bool is_special(std::int32_t id) const;
  /// With the added tokens that are looked for.
  const WordPieceOptions& options() const { return options_; }

  /// True if the tokens, one per line, say everything: the options are the defaults and every token
  /// fits on a line.
  bool is_plain() const;

  /// Writes the tokens, one per line. The file appears complete or not at all. Options are not part
  /// of this format: see save_wordpiece (text/tokenizer_json.hpp).
  void save(const std::string& path) const;

 private:
  WordPiece(std::vector<std::string> tokens, std::string_view source, WordPieceOptions options);

  // The id of a token, -1 if there is none.
  std::int32_t find(std::string_view token) const;

  void add_tokens(std::string_view source);

  static constexpr std::uint8_t is_special_token = 1, is_single_word = 2, strips_left = 4,
                                strips_right = 8;  // flags

  // Appends the ids of a text: added tokens as they are, what stands between them by words.
  void append_ids(std::string_view text, std::vector<std::int32_t>& out) const;

  // Calls plain(begin, end) for each part of a text between the tokens of a trie, and appends the
  // tokens' ids.
  template <class F>
  void split_at(const detail::TokenTrie& tokens, std::string_view starts, std::string_view text,
                std::vector<std::int32_t>& out, F&& plain) const;

  // May a token that is a single word stand at these bytes?
  static bool stands_alone(std::string_view text, std::size_t begin, std::size_t end);

  // Greedy, longest piece first; a word with a part that no piece matches is one [UNK].
  void append_word(std::string_view word, std::vector<std::int32_t>& out) const;

  WordPieceOptions options_;
  std::vector<std::string> tokens_;
  detail::TokenTrie pieces_, outside_;                 // of words; other added tokens
  std::int32_t continuing_ = detail::TokenTrie::none;  // node of the continuation prefix
  detail::TokenTrie added_, normalized_;               // as written, as normalised
  std::string added_starts_, normalized_starts_;       // first bytes of these
  std::vector<std::uint8_t> flags_;                    // by id
  std::int32_t pad_id_ = 0, unk_id_ = 0, cls_id_ = 0, sep_id_ = 0, mask_id_ = 0;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <unordered_set>

namespace albef::detail {

ALBEF_DATA_INLINE std::vector<AddedToken> special_tokens(const std::string& unk_token) {
  std::vector<AddedToken> out;
  for (const std::string& token : {std::string("[PAD]"), unk_token, std::string("[CLS]"),
                                   std::string("[SEP]"), std::string("[MASK]")})
    out.push_back({.content = token});
  return out;
}

ALBEF_DATA_INLINE bool is_space(CodePoint code) {
  return UnicodeTraits::get()[code] & Traits::space;
}

// A text without the white space at its end.
ALBEF_DATA_INLINE std::string_view without_final_space(std::string_view text) {
  for (std::size_t size = text.size(); size > 0;) {
    std::size_t at = size - 1;
    while (at > 0 && is_utf8_tail(text[at])) --at;
    std::size_t end = at;
    if (!is_utf8(text.substr(at, size - at)) || !is_space(next_code_point(text, end)))
      return text.substr(0, size);
    size = at;
  }
  return {};
}

// The first byte from `at` on that is not white space.
ALBEF_DATA_INLINE std::size_t skip_space(std::string_view text, std::size_t at) {
  for (std::size_t next = at; next < text.size(); at = next)
    if (!is_space(next_code_point(text, next))) break;
  return at;
}

// A token as its line says it: one of white space only stays.
ALBEF_DATA_INLINE std::string_view token_of_line(std::string_view line) {
  const std::string_view token = without_final_space(line);
  if (!token.empty()) return token;
  return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE WordPiece WordPiece::from_file(const std::string& path,
                                                 WordPieceOptions options) {
  const std::string content = read_file(path);
  std::vector<std::string> tokens;
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  std::size_t begin = content.starts_with(byte_order_mark) ? byte_order_mark.size() : 0;
  while (begin < content.size()) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    tokens.emplace_back(detail::token_of_line({content.data() + begin, end - begin}));
    begin = end + 1;
  }
  return from_vocab(std::move(tokens), path, std::move(options));
}

ALBEF_DATA_INLINE WordPiece WordPiece::from_vocab(std::vector<std::string> tokens,
                                                  std::string_view source_name,
                                                  WordPieceOptions options) {
  return WordPiece(std::move(tokens), source_name, std::move(options));
}

ALBEF_DATA_INLINE std::vector<std::string> WordPiece::tokenize(std::string_view text) const {
  std::vector<std::string> out;
  for (const std::int32_t i : ids(text)) out.push_back(token(i));
  return out;
}

ALBEF_DATA_INLINE std::vector<std::int32_t> WordPiece::ids(std::string_view text) const {
  std::vector<std::int32_t> out;
  append_ids(text, out);
  return out;
}

ALBEF_DATA_INLINE std::vector<std::int32_t> WordPiece::encode(std::string_view text,
                                                              const EncodeOptions& options) const {
  std::vector<std::int32_t> out;
  encode(text, options, out);
  return out;
}

ALBEF_DATA_INLINE void WordPiece::encode(std::string_view text, const EncodeOptions& options,
                                         std::vector<std::int32_t>& out) const {
  const int added = options.add_sep ? 2 : 1;
  require(options.max_length == 0 || options.max_length >= added, "[encode] max_length is ",
          options.max_length, ", expected 0 or at least ", added);
  out.assign(1, cls_id_);
  append_ids(text, out);
  if (options.max_length > 0) {
    const int kept = options.add_sep ? options.max_length - 1 : options.max_length;
    out.resize(std::min(out.size(), static_cast<std::size_t>(kept)));
  }
  if (options.add_sep) out.push_back(sep_id_);
}

ALBEF_DATA_INLINE std::string WordPiece::decode(std::span<const std::int32_t> ids,
                                                bool skip_special) const {
  std::string out;
  for (const std::int32_t id : ids) {
    const std::string& piece = token(id);
    if (skip_special && is_special(id)) continue;
    if (!out.empty() && piece.starts_with(options_.continuation)) {
      out += std::string_view(piece).substr(options_.continuation.size());
    } else {
      if (!out.empty()) out += ' ';
      out += piece;
    }
  }
  return out;
}

ALBEF_DATA_INLINE const std::string& WordPiece::token(std::int32_t id) const {
  require(id >= 0 && id < size(), "[WordPiece] token id ", id, " is outside 0 .. ", size() - 1);
  return tokens_[static_cast<std::size_t>(id)];
}

ALBEF_DATA_INLINE std::int32_t WordPiece::find(std::string_view token) const {
  if (token.empty()) return -1;
  const std::int32_t id = pieces_.find(token);
  return id < 0 ? outside_.find(token) : id;
}

ALBEF_DATA_INLINE std::int32_t WordPiece::id(std::string_view token) const {
  const std::int32_t id = find(token);
  return id < 0 ? unk_id_ : id;
}

ALBEF_DATA_INLINE bool WordPiece::is_special(std::int32_t id) const {
  return id >= 0 && id < size() && flags_[static_cast<std::size_t>(id)] & is_special_token;
}

ALBEF_DATA_INLINE bool WordPiece::is_plain() const {
  WordPieceOptions standard;
  standard.added_tokens = detail::special_tokens(standard.unk_token);
  return options_ == standard &&
         std::all_of(tokens_.begin(), tokens_.end(), [](const std::string& token) {
           return token.find('\n') == token.npos && detail::token_of_line(token) == token;
         });
}

ALBEF_DATA_INLINE void WordPiece::save(const std::string& path) const {
  std::string content;
  for (const std::string& token : tokens_) content.append(token) += '\n';
  write_file(path, content);
}

ALBEF_DATA_INLINE WordPiece::WordPiece(std::vector<std::string> tokens, std::string_view source,
                                       WordPieceOptions options)
    : options_(std::move(options)), tokens_(std::move(tokens)) {
  while (!tokens_.empty() && tokens_.back().empty()) tokens_.pop_back();
  if (!options_.added_tokens) options_.added_tokens = detail::special_tokens(options_.unk_token);
  flags_.resize(tokens_.size());
  std::unordered_set<std::string_view> outside;
  for (const AddedToken& added : *options_.added_tokens)
    if (added.outside_vocabulary) outside.insert(added.content);
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& token = tokens_[i];
    if (token.empty()) continue;
    constexpr std::size_t longest = 1000;
    require(token.size() <= longest, source, ":", i + 1, ": a token of ", token.size(),
            " bytes, expected at most ", longest);
    require(detail::is_utf8(token), source, ":", i + 1, ": token is not UTF-8");
    (outside.contains(token) ? outside_ : pieces_).insert(token, static_cast<std::int32_t>(i));
  }
  continuing_ = pieces_.node(options_.continuation);
  const auto special = [&](std::string_view token) {
    const std::int32_t id = find(token);
    require(id >= 0, source, ": token ", token, " is missing");
    flags_[static_cast<std::size_t>(id)] |= is_special_token;
    return id;
  };
  pad_id_ = special("[PAD]");
  unk_id_ = special(options_.unk_token);
  cls_id_ = special("[CLS]");
  sep_id_ = special("[SEP]");
  mask_id_ = special("[MASK]");
  add_tokens(source);
}

ALBEF_DATA_INLINE void WordPiece::add_tokens(std::string_view source) {
  for (const AddedToken& token : *options_.added_tokens) {
    const std::int32_t id = find(token.content);
    require(id >= 0, source, ": added token ", token.content, " is missing");
    std::uint8_t& flags = flags_[static_cast<std::size_t>(id)];
    if (token.special) flags |= is_special_token;
    if (token.single_word) flags |= is_single_word;
    if (token.lstrip) flags |= strips_left;
    if (token.rstrip) flags |= strips_right;
    std::string text = token.content;
    if (token.normalized) {
      text.clear();
      detail::WordSplitter(options_.normalization, text, false).add(token.content);
      require(!text.empty(), source, ": added token ", token.content,
              ": nothing is left of it in a normalised text");
    }
    (token.normalized ? normalized_ : added_).insert(text, id);
    (token.normalized ? normalized_starts_ : added_starts_) += text.front();
  }
  for (std::string* starts : {&added_starts_, &normalized_starts_}) {
    std::sort(starts->begin(), starts->end());
    starts->erase(std::unique(starts->begin(), starts->end()), starts->end());
  }
}

template <class F>
void WordPiece::split_at(const detail::TokenTrie& tokens, std::string_view starts,
                         std::string_view text, std::vector<std::int32_t>& out, F&& plain) const {
  std::size_t begin = 0;
  for (std::size_t at = text.find_first_of(starts); at != std::string_view::npos;
       at = text.find_first_of(starts, at)) {
    const auto match = tokens.longest(text.substr(at));
    if (match.length == 0) {
      ++at;
      continue;
    }
    const std::size_t end = at + match.length;
    const std::uint8_t flags = flags_[static_cast<std::size_t>(match.id)];
    if (!(flags & is_single_word) || stands_alone(text, at, end)) {
      std::string_view before = text.substr(0, at);
      if (flags & strips_left) before = detail::without_final_space(before);
      if (begin < before.size()) plain(begin, before.size());
      out.push_back(match.id);
      begin = flags & strips_right ? detail::skip_space(text, end) : end;
    }
    at = end;
  }
  if (begin < text.size()) plain(begin, text.size());
}

ALBEF_DATA_INLINE bool WordPiece::stands_alone(std::string_view text, std::size_t begin,
                                               std::size_t end) {
  const auto is_word = [&](std::size_t at) {
    return detail::is_word_character(detail::next_code_point(text, at));
  };
  if (end < text.size() && is_word(end)) return false;
  if (begin == 0) return true;
  for (--begin; begin > 0 && detail::is_utf8_tail(text[begin]);) --begin;
  return !is_word(begin);
}

ALBEF_DATA_INLINE void WordPiece::append_ids(std::string_view text,
                                             std::vector<std::int32_t>& out) const {
  std::string words, normal;
  words.reserve(text.size() + text.size() / 2 + 8);
  const auto append_words = [&](const TextNormalization& normalization, std::string_view part,
                                std::size_t begin) {
    words.clear();
    detail::WordSplitter(normalization, words).add(part, begin);
    detail::for_each_word(words, [&](std::string_view word) { append_word(word, out); });
  };
  split_at(added_, added_starts_, text, out, [&](std::size_t begin, std::size_t end) {
    if (normalized_.empty())
      return append_words(options_.normalization, text.substr(0, end), begin);
    constexpr TextNormalization done{
        .lowercase = false, .strip_accents = false, .split_cjk = false, .clean_text = false};
    normal.clear();
    detail::WordSplitter(options_.normalization, normal, false).add(text.substr(0, end), begin);
    split_at(normalized_, normalized_starts_, normal, out, [&](std::size_t from, std::size_t to) {
      append_words(done, std::string_view(normal).substr(0, to), from);
    });
  });
}

ALBEF_DATA_INLINE void WordPiece::append_word(std::string_view word,
                                              std::vector<std::int32_t>& out) const {
  const std::size_t first = out.size(),
                    limit = static_cast<std::size_t>(std::max(options_.max_word_chars, 0));
  bool known = word.size() <= limit || detail::count_characters(word) <= limit;
  for (std::size_t begin = 0; known && begin < word.size();) {
    known = begin == 0 || continuing_ != detail::TokenTrie::none;
    if (!known) break;
    const auto match = pieces_.longest(word.substr(begin), begin == 0 ? 0 : continuing_);
    known = match.length > 0;
    out.push_back(match.id);
    begin += match.length;
  }
  if (known) return;
  out.resize(first);
  out.push_back(unk_id_);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
