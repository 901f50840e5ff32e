// The WordPiece tokeniser of BERT uncased as ALBEF uses it (official models/tokenization_bert.py):
// a text becomes `[CLS] piece piece ...`, without a final [SEP].
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/text/word_splitter.hpp"

namespace albef {

/// How words are cut into pieces; the defaults are BERT uncased.
struct WordPieceOptions {
  TextNormalization normalization = {};
  int max_word_chars = 100;         ///< a longer word (in code points) is [UNK]
  std::string continuation = "##";  ///< prefix of a piece that continues a word
  std::string unk_token = "[UNK]";
};

/// What encode adds and cuts.
struct EncodeOptions {
  int max_length = 25;   ///< longest result, [CLS] (and [SEP]) included; 0 = no limit
  bool add_sep = false;  ///< true: end with [SEP], as other BERT models do; ALBEF does not
};

/// Cuts texts into word pieces: greedy, longest piece first.
///
/// The tokens [CLS], [MASK], [PAD], [SEP] and [UNK] written exactly so inside a text stay single
/// tokens. Texts are UTF-8; other bytes are an Error that names their offset.
/// A WordPiece does not change after it was made: threads may share it.
class WordPiece {
 public:
  /// Reads a vocabulary with one token per line (BERT's vocab.txt); the id is the line's number,
  /// from 0. For a Hugging Face tokenizer.json see load_wordpiece (text/tokenizer_json.hpp).
  static WordPiece from_file(const std::string& path, WordPieceOptions options = {});

  /// Takes the tokens in the order of their ids. Empty and repeated tokens, and a missing [PAD],
  /// [UNK], [CLS], [SEP] or [MASK], are Errors that name `source_name` and the line (id + 1).
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
              std::vector<std::int32_t>& out) const;

  /// The pieces joined to a text: a continuing piece follows directly, others after a space.
  /// `skip_special` leaves out [CLS], [MASK], [PAD], [SEP] and [UNK].
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  /// Number of tokens; ids are 0 .. size() - 1.
  int size() const { return static_cast<int>(tokens_.size()); }
  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::string& token(std::int32_t id) const;
  /// The id of a token; unk_id() for a string that is no token.
  std::int32_t id(std::string_view token) const;
  bool contains(std::string_view token) const { return ids_.find(token) != ids_.end(); }

  std::int32_t pad_id() const { return pad_id_; }
  std::int32_t unk_id() const { return unk_id_; }
  std::int32_t cls_id() const { return cls_id_; }
  std::int32_t sep_id() const { return sep_id_; }
  std::int32_t mask_id() const { return mask_id_; }
  bool is_special(std::int32_t id) const;
  const WordPieceOptions& options() const { return options_; }

  /// Writes the tokens, one per line. The file appears complete or not at all. Options are not part
  /// of this format: pass those that differ from the defaults to from_file again.
  void save(const std::string& path) const;

 private:
  struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  using Ids = std::unordered_map<std::string, std::int32_t, StringHash, std::equal_to<>>;

  WordPiece(std::vector<std::string> tokens, std::string_view source, WordPieceOptions options);

  // Appends the ids of a text: special tokens as they are, what stands between them by words.
  void append_ids(std::string_view text, std::vector<std::int32_t>& out) const;

  // The special token that a text begins with, -1 if none.
  std::int32_t special_at(std::string_view text) const;

  // Greedy, longest piece first; a word with a part that no piece matches is one [UNK].
  void append_word(std::string_view word, std::vector<std::int32_t>& out) const;

  WordPieceOptions options_;
  std::vector<std::string> tokens_;
  Ids ids_;                     // token -> id
  Ids continuations_;           // token without its continuation prefix -> id
  std::string special_starts_;  // first characters of the special tokens
  std::size_t longest_ = 0;     // bytes of the longest token
  std::int32_t pad_id_ = 0, unk_id_ = 0, cls_id_ = 0, sep_id_ = 0, mask_id_ = 0;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE WordPiece WordPiece::from_file(const std::string& path,
                                                 WordPieceOptions options) {
  const std::string content = read_file(path);
  std::vector<std::string> tokens;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    std::string_view line(content.data() + begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    tokens.emplace_back(line);
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

ALBEF_DATA_INLINE std::int32_t WordPiece::id(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? unk_id_ : found->second;
}

ALBEF_DATA_INLINE bool WordPiece::is_special(std::int32_t id) const {
  return id == pad_id_ || id == unk_id_ || id == cls_id_ || id == sep_id_ || id == mask_id_;
}

ALBEF_DATA_INLINE void WordPiece::save(const std::string& path) const {
  std::string content;
  for (const std::string& token : tokens_) content.append(token) += '\n';
  write_file(path, content);
}

ALBEF_DATA_INLINE WordPiece::WordPiece(std::vector<std::string> tokens, std::string_view source,
                                       WordPieceOptions options)
    : options_(std::move(options)), tokens_(std::move(tokens)) {
  ids_.reserve(tokens_.size());
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& token = tokens_[i];
    require(!token.empty(), source, ":", i + 1, ": empty token");
    require(token.find('\n') == std::string::npos, source, ":", i + 1, ": line break in a token");
    require(detail::is_utf8(token), source, ":", i + 1, ": token is not UTF-8");
    const auto [old, added] = ids_.emplace(token, static_cast<std::int32_t>(i));
    require(added, source, ":", i + 1, ": token \"", token, "\" is also on line ", old->second + 1);
    if (token.starts_with(options_.continuation))
      continuations_.emplace(token.substr(options_.continuation.size()), old->second);
    longest_ = std::max(longest_, token.size());
  }
  const auto special = [&](std::string_view token) {
    const auto found = ids_.find(token);
    require(found != ids_.end(), source, ": token ", token, " is missing");
    return found->second;
  };
  pad_id_ = special("[PAD]");
  unk_id_ = special(options_.unk_token);
  cls_id_ = special("[CLS]");
  sep_id_ = special("[SEP]");
  mask_id_ = special("[MASK]");
  special_starts_ = {'[', options_.unk_token.front()};
}

ALBEF_DATA_INLINE void WordPiece::append_ids(std::string_view text,
                                             std::vector<std::int32_t>& out) const {
  std::string words;
  words.reserve(text.size() + text.size() / 2 + 8);
  const auto append_plain = [&](std::size_t begin, std::size_t end) {
    words.clear();
    detail::WordSplitter(options_.normalization, words).add(text.substr(0, end), begin);
    detail::for_each_word(words, [&](std::string_view word) { append_word(word, out); });
  };
  std::size_t begin = 0;
  for (std::size_t at = text.find_first_of(special_starts_); at != std::string_view::npos;
       at = text.find_first_of(special_starts_, at)) {
    const std::int32_t special = special_at(text.substr(at));
    if (special < 0) {
      ++at;
      continue;
    }
    append_plain(begin, at);
    out.push_back(special);
    begin = at += token(special).size();
  }
  append_plain(begin, text.size());
}

ALBEF_DATA_INLINE std::int32_t WordPiece::special_at(std::string_view text) const {
  for (const std::int32_t id : {pad_id_, unk_id_, cls_id_, sep_id_, mask_id_})
    if (text.starts_with(token(id))) return id;
  return -1;
}

ALBEF_DATA_INLINE void WordPiece::append_word(std::string_view word,
                                              std::vector<std::int32_t>& out) const {
  const auto chars = word.size() - static_cast<std::size_t>(std::count_if(word.begin(), word.end(),
                                                                          detail::is_utf8_tail));
  const std::size_t first = out.size();
  if (chars > static_cast<std::size_t>(options_.max_word_chars)) {
    out.push_back(unk_id_);
    return;
  }
  for (std::size_t begin = 0; begin < word.size();) {
    const Ids& pieces = begin == 0 ? ids_ : continuations_;
    std::size_t length = std::min(word.size() - begin, longest_);
    auto found = pieces.end();
    for (; length > 0; --length)
      if ((found = pieces.find(word.substr(begin, length))) != pieces.end()) break;
    if (length == 0) {
      out.resize(first);
      out.push_back(unk_id_);
      return;
    }
    out.push_back(found->second);
    begin += length;
  }
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
