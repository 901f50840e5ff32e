// CLIP's byte-level BPE tokenizer (Sennrich et al. 2016; clip/simple_tokenizer.py, open_clip
// tokenizer.py): a text becomes its start token, pieces of words, and its end token.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/text/tokenizer.hpp"
#include "albef/text/unicode.hpp"

namespace albef {

struct BpeOptions {
  /// Merges that are read of a file; those behind them do not count. CLIP's number.
  int max_merges = 49152 - 256 - 2;
  std::string start = "<start_of_text>";  ///< as open_clip writes them where a text has them
  std::string end = "<end_of_text>";

  bool operator==(const BpeOptions&) const = default;
};

namespace detail {

/// Python's html.unescape. Error (byte offset) if `text` is not UTF-8.
std::string html_unescape(std::string_view text);

/// How CLIP cleans a text: HTML unescaped twice, white space as single spaces between words, lower
/// case. Error (byte offset) if `text` is not UTF-8.
std::string clean_for_bpe(std::string_view text);

/// A piece of a clean text: a start or end token, an English ending ('s, 't, ...), a run of
/// letters, a number's digit, or a run of others; what is skipped between pieces, too.
struct Piece {
  std::size_t end;
  bool skipped = false;
};
/// The one that begins at byte `at`.
Piece piece_at(std::string_view text, std::size_t at, const BpeOptions& options);

/// Calls f(piece) for each piece of a clean text.
template <class F>
void for_each_piece(std::string_view text, const BpeOptions& options, F&& f) {
  for (std::size_t at = 0; at < text.size();) {
    const Piece piece = piece_at(text, at, options);
    if (!piece.skipped) f(text.substr(at, piece.end - at));
    at = piece.end;
  }
}

/// How the files of merges write bytes: as printable characters.
const std::array<std::string, 256>& written_bytes();

/// The tokens of single bytes in the order of their ids: within a word, then at its end.
std::vector<std::string> byte_tokens();

/// Whether a file is one that Bpe::from_file() reads, by its beginning or, of .json, its model.
bool is_bpe_file(const std::string& path);

/// What a token is called that ends a word.
inline constexpr std::string_view end_of_word = "</w>";

}  // namespace detail

/// Cuts texts into pieces of words by merging neighbouring bytes and pieces, the first merge of the
/// list first. Ids equal open_clip's on any text that ftfy leaves alone: mended mojibake, curly
/// quotes made straight and the like are not part of it. Other texts than UTF-8 are an Error that
/// names the byte's offset.
///
/// Ids: 256 bytes, 256 bytes that end a word, a token a merge, start, end.
class Bpe final : public Tokenizer {
 public:
  /// Two neighbours that become one, as they are written.
  using Merge = std::pair<std::string, std::string>;

  /// Reads a list of merges, plain or gzip: CLIP's bpe_simple_vocab_16e6.txt.gz, or Hugging Face's
  /// merges.txt; or where the name ends with ".json", Hugging Face's tokenizer.json of CLIP. Error
  /// naming file and line if it is damaged or cut off.
  static Bpe from_file(const std::string& path, BpeOptions options = {});
  /// The same from the content of a list: a line with "#version", then a merge a line.
  static Bpe from_text(std::string_view content, std::string_view source_name,
                       BpeOptions options = {});
  /// Error naming `source_name` and the line (number + 2) of a merge of what is no token by then.
  static Bpe from_merges(std::span<const Merge> merges, std::string_view source_name,
                         BpeOptions options = {});

  /// The ids of a text's pieces, without start and end.
  std::vector<std::int32_t> ids(std::string_view text) const;
  /// Start, the pieces of the text, end; a result longer than options.max_length is cut there, the
  /// end kept. What stands behind an end token within the text is left out, since CLIP never looks
  /// at it.
  void encode(std::string_view text, const EncodeOptions& options,
              std::vector<std::int32_t>& out) const override;
  std::vector<std::int32_t> encode(std::string_view text,
                                   const EncodeOptions& options = {.max_length = 77}) const {
    std::vector<std::int32_t> out;
    encode(text, options, out);
    return out;
  }
  /// The text that pieces stand for, words separated by spaces. It need not be UTF-8.
  std::string decode(std::span<const std::int32_t> ids) const;

  int size() const override { return static_cast<int>(tokens_.size()); }
  const std::string& token(std::int32_t id) const;  ///< as the files write it
  std::int32_t start_id() const { return start_; }
  std::int32_t end_id() const { return end_; }
  const BpeOptions& options() const { return options_; }
  /// The list of merges, for from_text().
  std::string text() const;

 private:
  struct Merged {
    int rank;
    std::int32_t id;
  };
  struct Candidate {  // of a merge: ordered by rank, then by place
    int rank;
    std::size_t at;
    std::int32_t left, right;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  /// Work space: the pieces of a word as a list, and the merges there may be.
  struct Pieces {
    std::vector<std::int32_t> id;
    std::vector<std::size_t> previous, next;
    std::vector<Candidate> heap, round;
  };

  Bpe(std::vector<std::string> tokens, std::span<const Merge> merges, std::string_view source,
      BpeOptions options);

  static Bpe from_json(const std::string& path, BpeOptions options);
  static std::uint64_t key(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  }
  void append_ids(std::string_view text, std::vector<std::int32_t>& out) const;
  void append_piece(std::string_view piece, Pieces& work, std::vector<std::int32_t>& out) const;
  void add_candidate(Pieces& work, std::size_t at) const;

  BpeOptions options_;
  std::vector<std::string> tokens_;
  std::vector<Merge> merges_;
  std::unordered_map<std::uint64_t, Merged> merged_;  // by the two ids
  std::array<std::int32_t, 256> byte_{}, last_byte_{};
  std::int32_t start_ = 0, end_ = 0;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <zlib.h>

#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>

#include "albef/core/file.hpp"
#include "albef/core/json.hpp"
#include "albef/text/bpe_data.hpp"

namespace albef::detail {

/// The text of the HTML character called `name`, null if there is none.
ALBEF_DATA_INLINE const char* html_entity(std::string_view name) {
  const auto* found =
      std::lower_bound(std::begin(bpe::entities), std::end(bpe::entities), name,
                       [](const bpe::Entity& e, std::string_view n) { return e.name < n; });
  return found != std::end(bpe::entities) && found->name == name ? found->text : nullptr;
}

/// Appends what a number stands for in HTML.
ALBEF_DATA_INLINE void append_numbered(CodePoint number, std::string& out) {
  for (const auto& reference : bpe::replaced)
    if (reference.number == number) return append_utf8(out, reference.code);
  if ((number >= 0xD800 && number <= 0xDFFF) || number > 0x10FFFF) return append_utf8(out, 0xFFFD);
  if (!in_ranges(bpe::dropped, number)) append_utf8(out, number);
}

/// Appends what the reference at `at`, behind a '&', stands for, and moves behind it. A '&' that
/// refers to nothing stays.
ALBEF_DATA_INLINE void append_reference(std::string_view text, std::size_t& at, std::string& out) {
  const auto digit = [&](std::size_t i, int base) {
    const char c = i < text.size() ? ascii_lower(text[i]) : ' ';
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
    return value < base ? value : -1;
  };
  if (at < text.size() && text[at] == '#') {
    const bool hex = at + 1 < text.size() && ascii_lower(text[at + 1]) == 'x';
    const int base = hex ? 16 : 10;
    std::size_t i = at + (hex ? 2 : 1);
    const std::size_t first = i;
    CodePoint number = 0;
    for (; digit(i, base) >= 0; ++i) number = std::min(0x110000, number * base + digit(i, base));
    if (i == first) return out.push_back('&');
    at = i + (i < text.size() && text[i] == ';');
    return append_numbered(number, out);
  }
  constexpr int longest = 32;
  std::size_t end = at;
  for (int n = 0; n < longest && end < text.size(); ++n) {
    if (std::string_view("\t\n\f <&#;").find(text[end]) != std::string_view::npos) break;
    next_code_point(text, end);
  }
  if (end == at) return out.push_back('&');
  end += end < text.size() && text[end] == ';';
  const std::string_view whole = text.substr(at, end - at);
  at = end;
  if (const char* found = html_entity(whole)) {
    out += found;
    return;
  }
  for (std::size_t size = whole.size() - 1; size > 1; --size)
    if (const char* found = html_entity(whole.substr(0, size))) {
      out += found;
      out += whole.substr(size);
      return;
    }
  out += '&';
  out += whole;
}

ALBEF_DATA_INLINE std::string html_unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();)
    if (text[at] == '&') {
      append_reference(text, ++at, out);
    } else {
      const std::size_t end = std::min(text.find('&', at), text.size());
      out += text.substr(at, end - at);
      at = end;
    }
  return out;
}

ALBEF_DATA_INLINE std::string clean_for_bpe(std::string_view text) {
  const std::string plain = html_unescape(html_unescape(text));
  std::string out;
  out.reserve(plain.size());
  for (std::size_t at = 0; at < plain.size();) {
    const std::size_t begin = at;
    if (!is_python_space(next_code_point(plain, at)))
      out.append(plain, begin, at - begin);
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  if (out.ends_with(' ')) out.pop_back();
  return lower(out);
}

/// Bytes at `at` that are `word`, which is ASCII in lower case, in the eyes of a reader that does
/// not tell cases apart: 's' is the long s, too. 0: they are not.
ALBEF_DATA_INLINE std::size_t length_of(std::string_view word, std::string_view text,
                                        std::size_t at) {
  constexpr std::string_view long_s = "\xC5\xBF";
  std::size_t i = at;
  for (const char c : word)
    if (i < text.size() && ascii_lower(text[i]) == c)
      ++i;
    else if (c == 's' && text.substr(std::min(i, text.size())).starts_with(long_s))
      i += long_s.size();
    else
      return 0;
  return i - at;
}

enum class PieceClass { skipped, letter, number, other };

ALBEF_DATA_INLINE PieceClass piece_class(CodePoint c) {
  if (c < 0x80) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return PieceClass::letter;
    if (c >= '0' && c <= '9') return PieceClass::number;
    return c == ' ' ? PieceClass::skipped : PieceClass::other;
  }
  if (in_ranges(bpe::letter, c)) return PieceClass::letter;
  if (in_ranges(bpe::number, c)) return PieceClass::number;
  return in_ranges(bpe::skipped, c) ? PieceClass::skipped : PieceClass::other;
}

ALBEF_DATA_INLINE Piece piece_at(std::string_view text, std::size_t at, const BpeOptions& options) {
  for (const std::string_view token : {std::string_view(options.start), {options.end}})
    if (const std::size_t n = text[at] == token.front() ? length_of(token, text, at) : 0)
      return {at + n};
  if (text[at] == '\'')
    for (const char* ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
      if (const std::size_t n = length_of(ending, text, at)) return {at + n};
  const PieceClass first = piece_class(next_code_point(text, at));
  if (first == PieceClass::number || first == PieceClass::skipped)
    return {at, first == PieceClass::skipped};
  for (std::size_t next = at; next < text.size(); at = next)
    if (piece_class(next_code_point(text, next)) != first) break;
  return {at};
}

ALBEF_DATA_INLINE const std::array<std::string, 256>& written_bytes() {
  static const std::array<std::string, 256> all = [] {
    std::array<std::string, 256> out;
    CodePoint next = 256;  // for what is not printed
    for (CodePoint b = 0; b < 256; ++b) {
      const bool printed = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      append_utf8(out[static_cast<std::size_t>(b)], printed ? b : next++);
    }
    return out;
  }();
  return all;
}

/// The single bytes in the order of their ids: those that are printed first.
ALBEF_DATA_INLINE std::vector<std::string> byte_tokens() {
  std::vector<std::string> out;
  for (const bool printed : {true, false})
    for (CodePoint b = 0; b < 256; ++b) {
      const std::string& written = written_bytes()[static_cast<std::size_t>(b)];
      std::size_t at = 0;
      if ((next_code_point(written, at) == b) == printed) out.push_back(written);
    }
  for (std::size_t i = 0; i < 256; ++i) out.push_back(out[i] + std::string(end_of_word));
  return out;
}

ALBEF_DATA_INLINE bool is_bpe_file(const std::string& path) {
  const std::string text = read_file(path);
  if (path.ends_with(".json")) return text.find("\"end_of_word_suffix\"") != text.npos;
  return text.starts_with("\x1F\x8B") ||
         std::string_view(text).substr(0, text.find('\n')).find("#version") != text.npos;
}

/// A file, unpacked if it is gzip; `whole` says whether it does not end too early.
struct MergeFile {
  std::string text;
  bool whole = true;
};
ALBEF_DATA_INLINE MergeFile read_merges(const std::string& path) {
  MergeFile out{read_file(path)};
  if (!out.text.starts_with("\x1F\x8B")) return out;
  const std::string packed = std::move(out.text);
  out.text.clear();
  constexpr std::size_t limit = std::size_t{64} << 20;
  z_stream stream{};
  require(inflateInit2(&stream, 15 + 16) == Z_OK, path, ": gzip does not start");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(std::min<std::size_t>(packed.size(), limit));
  int code = Z_OK;
  std::string part(std::size_t{1} << 16, '\0');
  while (code == Z_OK && out.text.size() < limit) {
    stream.next_out = reinterpret_cast<Bytef*>(part.data());
    stream.avail_out = static_cast<uInt>(part.size());
    code = inflate(&stream, Z_NO_FLUSH);
    out.text.append(part, 0, part.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  out.whole = code == Z_STREAM_END;
  return out;
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE Bpe Bpe::from_file(const std::string& path, BpeOptions options) {
  if (path.ends_with(".json")) return from_json(path, std::move(options));
  const detail::MergeFile file = detail::read_merges(path);
  require(file.whole, path, ":", std::count(file.text.begin(), file.text.end(), '\n') + 1,
          ": the list of merges is damaged or cut off here");
  return from_text(file.text, path, std::move(options));
}

ALBEF_DATA_INLINE Bpe Bpe::from_text(std::string_view content, std::string_view source_name,
                                     BpeOptions options) {
  require(options.max_merges >= 0, "max_merges is ", options.max_merges, ", expected at least 0");
  std::vector<Merge> merges;
  std::size_t line = 1, begin = content.find('\n');
  const std::string_view head = content.substr(0, begin);
  require(head.find("#version") != head.npos, source_name,
          ":1: expected a list of merges, which begins with a line with #version");
  const bool official = head.find("bpe_simple_vocab_16e6") != head.npos;
  begin = begin == content.npos ? content.size() : begin + 1;
  while (begin < content.size() && merges.size() < static_cast<std::size_t>(options.max_merges)) {
    ++line;
    const std::size_t end = content.find('\n', begin);
    require(end != content.npos, source_name, ":", line, ": the list of merges is cut off here");
    std::string_view text = content.substr(begin, end - begin);
    if (text.ends_with('\r')) text.remove_suffix(1);
    const std::size_t space = text.find(' ');
    require(space != text.npos && space > 0 && space + 1 < text.size() &&
                text.find(' ', space + 1) == text.npos,
            source_name, ":", line, ": expected two pieces with a space between them");
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    begin = end + 1;
  }
  const auto wanted = static_cast<std::size_t>(BpeOptions{}.max_merges);
  require(!official || merges.size() == static_cast<std::size_t>(options.max_merges) ||
              merges.size() >= wanted,
          source_name, ":", line + 1, ": the list of merges is cut off here, expected ", wanted + 1,
          " lines");
  return from_merges(merges, source_name, std::move(options));
}

ALBEF_DATA_INLINE Bpe Bpe::from_merges(std::span<const Merge> merges, std::string_view source_name,
                                       BpeOptions options) {
  std::vector<std::string> tokens = detail::byte_tokens();
  for (const auto& [left, right] : merges) tokens.push_back(left + right);
  tokens.push_back(options.start);
  tokens.push_back(options.end);
  return Bpe(std::move(tokens), merges, source_name, std::move(options));
}

ALBEF_DATA_INLINE Bpe::Bpe(std::vector<std::string> tokens, std::span<const Merge> merges,
                           std::string_view source, BpeOptions options)
    : options_(std::move(options)),
      tokens_(std::move(tokens)),
      merges_(merges.begin(), merges.end()) {
  require(!options_.start.empty() && !options_.end.empty(), source,
          ": the start or end token is empty");
  std::unordered_map<std::string_view, std::int32_t> ids;  // of equal ones the last
  for (std::size_t i = 0; i < tokens_.size(); ++i) ids[tokens_[i]] = static_cast<std::int32_t>(i);
  const auto id = [&](std::string_view token) {
    const auto found = ids.find(token);
    require(found != ids.end(), source, ": the token '", token, "' is missing");
    return found->second;
  };
  std::string token;
  for (std::size_t b = 0; b < 256; ++b) {
    token = detail::written_bytes()[b];
    byte_[b] = id(token);
    last_byte_[b] = id(token.append(detail::end_of_word));
  }
  start_ = id(options_.start);
  end_ = id(options_.end);
  std::unordered_map<std::string, bool> made;  // what there is before each merge
  for (const std::string& byte : detail::byte_tokens()) made[byte] = true;
  merged_.reserve(merges_.size());
  for (std::size_t i = 0; i < merges_.size(); ++i) {
    const auto& [left, right] = merges_[i];
    for (const std::string& piece : {left, right})
      require(made.contains(piece), source, ":", i + 2, ": '", piece,
              "' is neither a byte nor made by a merge before");
    made[token = left + right] = true;
    merged_[key(id(left), id(right))] = {static_cast<int>(i), id(token)};
  }
}

ALBEF_DATA_INLINE Bpe Bpe::from_json(const std::string& path, BpeOptions options) {
  try {
    const nlohmann::json root = parse_json(read_file(path));
    const nlohmann::json& model = root.at("model");
    const std::string type = model.value("type", "BPE");
    require(type == "BPE" && model.value("end_of_word_suffix", "") == detail::end_of_word, path,
            ": the model is ", type, ", expected BPE with words that end with </w>, as CLIP's");
    constexpr std::uint64_t limit = 1 << 20;
    std::vector<std::string> tokens;
    const auto add = [&](const std::string& token, const nlohmann::json& id) {
      require(id.is_number_unsigned() && id.get<std::uint64_t>() < limit, path, ": id ", id.dump(),
              " of token \"", token, "\": expected a whole number below ", limit);
      const auto place = id.get<std::size_t>();
      if (place >= tokens.size()) tokens.resize(place + 1);
      tokens[place] = token;
    };
    for (const auto& [token, id] : model.at("vocab").items()) add(token, id);
    options.start = "<|startoftext|>", options.end = "<|endoftext|>";
    for (const auto& token : root.value("added_tokens", nlohmann::json::array()))
      add(token.at("content").get<std::string>(), token.at("id"));
    std::vector<Merge> merges;
    for (const auto& merge : model.at("merges")) {
      if (merge.is_array()) {
        merges.emplace_back(merge.at(0).get<std::string>(), merge.at(1).get<std::string>());
        continue;
      }
      const auto text = merge.get<std::string>();
      const std::size_t space = text.find(' ');
      require(space != text.npos, path, ": merge '", text, "' is not two pieces");
      merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    }
    return Bpe(std::move(tokens), merges, path, std::move(options));
  } catch (const nlohmann::json::exception& e) { fail(path, ": ", e.what()); }
}

ALBEF_DATA_INLINE std::vector<std::int32_t> Bpe::ids(std::string_view text) const {
  std::vector<std::int32_t> out;
  append_ids(text, out);
  return out;
}

ALBEF_DATA_INLINE void Bpe::encode(std::string_view text, const EncodeOptions& options,
                                   std::vector<std::int32_t>& out) const {
  require(options.max_length == 0 || options.max_length >= 2, "[encode] max_length is ",
          options.max_length, ", expected 0 or at least 2");
  out.assign(1, start_);
  append_ids(text, out);
  out.push_back(end_);
  if (options.max_length > 0 && out.size() > static_cast<std::size_t>(options.max_length)) {
    out.resize(static_cast<std::size_t>(options.max_length));
    out.back() = end_;
  }
  out.erase(std::find(out.begin(), out.end(), end_) + 1, out.end());
}

ALBEF_DATA_INLINE std::string Bpe::decode(std::span<const std::int32_t> ids) const {
  static const std::unordered_map<std::string, char> bytes = [] {
    std::unordered_map<std::string, char> out;
    for (std::size_t b = 0; b < 256; ++b) out[detail::written_bytes()[b]] = static_cast<char>(b);
    return out;
  }();
  std::string out;
  for (const std::int32_t id : ids) {
    std::string_view written = token(id);
    if (id == start_ || id == end_) {
      out += written;
      continue;
    }
    const bool ends = written.ends_with(detail::end_of_word);
    if (ends) written.remove_suffix(detail::end_of_word.size());
    for (std::size_t at = 0; at < written.size();) {
      const std::size_t begin = at;
      detail::next_code_point(written, at);
      const auto found = bytes.find(std::string(written.substr(begin, at - begin)));
      if (found != bytes.end()) out += found->second;
    }
    if (ends) out += ' ';
  }
  return out;
}

ALBEF_DATA_INLINE const std::string& Bpe::token(std::int32_t id) const {
  require(id >= 0 && id < size(), "[Bpe] token id ", id, " is outside 0 .. ", size() - 1);
  return tokens_[static_cast<std::size_t>(id)];
}

ALBEF_DATA_INLINE std::string Bpe::text() const {
  std::string out = "#version: 0.2\n";
  for (const auto& [left, right] : merges_) out.append(left).append(" ").append(right) += '\n';
  return out;
}

ALBEF_DATA_INLINE void Bpe::append_ids(std::string_view text,
                                       std::vector<std::int32_t>& out) const {
  Pieces work;
  detail::for_each_piece(detail::clean_for_bpe(text), options_,
                         [&](std::string_view piece) { append_piece(piece, work, out); });
}

ALBEF_DATA_INLINE void Bpe::add_candidate(Pieces& work, std::size_t at) const {
  const std::size_t next = work.next[at];
  if (next == work.id.size()) return;
  const auto found = merged_.find(key(work.id[at], work.id[next]));
  if (found == merged_.end()) return;
  work.heap.push_back({found->second.rank, at, work.id[at], work.id[next]});
  std::push_heap(work.heap.begin(), work.heap.end(), std::greater<>());
}

// Round by round: all places of the first merge that there is, from left to right.
ALBEF_DATA_INLINE void Bpe::append_piece(std::string_view piece, Pieces& work,
                                         std::vector<std::int32_t>& out) const {
  if (piece == options_.start) return out.push_back(start_);
  if (piece == options_.end) return out.push_back(end_);
  const std::size_t n = piece.size();
  work.id.resize(n), work.previous.resize(n), work.next.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto byte = static_cast<std::size_t>(static_cast<unsigned char>(piece[i]));
    work.id[i] = i + 1 < n ? byte_[byte] : last_byte_[byte];
    work.previous[i] = i == 0 ? n : i - 1;
    work.next[i] = i + 1;
  }
  work.heap.clear();
  for (std::size_t i = 0; i < n; ++i) add_candidate(work, i);
  while (!work.heap.empty()) {
    const int rank = work.heap.front().rank;
    work.round.clear();
    while (!work.heap.empty() && work.heap.front().rank == rank) {
      work.round.push_back(work.heap.front());
      std::pop_heap(work.heap.begin(), work.heap.end(), std::greater<>());
      work.heap.pop_back();
    }
    for (const Candidate& c : work.round) {
      const std::size_t right = work.next[c.at];
      if (work.id[c.at] != c.left || right >= n || work.id[right] != c.right) continue;
      work.id[c.at] = merged_.find(key(c.left, c.right))->second.id;
      work.id[right] = -1;  // gone
      work.next[c.at] = work.next[right];
      if (work.next[right] < n) work.previous[work.next[right]] = c.at;
      if (work.previous[c.at] < n) add_candidate(work, work.previous[c.at]);
      add_candidate(work, c.at);
    }
  }
  for (std::size_t i = 0; i < n; i = work.next[i]) out.push_back(work.id[i]);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
