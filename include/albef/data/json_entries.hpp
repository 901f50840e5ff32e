// JSON files of many records, entry by entry: a list, or JSON Lines.
#pragma once

#include <cstddef>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/json_record.hpp"
#include "albef/data/unpack.hpp"

namespace albef {

/// Whether a file is one of annotations by its name: .json, .jsonl or .ndjson, perhaps packed.
bool is_annotation_file(std::string_view path);

namespace detail {

/// A file's name without the extension of a packer.
std::string_view without_packer(std::string_view path);
/// Whether a file is one of JSON Lines by its name.
bool are_json_lines(std::string_view path);

/// The text of a JSON file, unpacked, without a mark before it.
struct JsonText {
  std::string path, text;
  std::string problem;  ///< empty: all of it; else why it is cut off or cannot be trusted
};

/// Throws Error naming the file if it cannot be read, or is UTF-16.
JsonText read_json_text(const std::string& path, const UnpackLimits& limits = {});

/// Cuts a text into the entries of the list at its top, or into the objects that stand one behind
/// the other in it (JSON Lines). Entries are not looked into beyond their brackets and strings, so
/// that an entry that is wrong in itself costs no other.
class JsonEntries {
 public:
  /// The text must outlive the object. A single object is an entry where the file's name says so.
  /// Throws Error naming the file if it is neither.
  explicit JsonEntries(const JsonText& file);

  /// The next entry, or nothing at the end. Throws Error naming line and column where the list is
  /// cut off or has something else; there is no more then.
  std::optional<std::string_view> next();

  /// The value of an entry, whose bytes may have been replaced by those of `text`. Throws Error
  /// naming the line and column in the whole text.
  Json parsed(std::string_view entry, std::string_view text);

 private:
  enum class Shape { list, objects, lines };

  [[noreturn]] void fail_here(std::string_view what);
  void skip_space();
  /// Moves behind the value that begins here.
  void skip_value();
  char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void count_to(std::size_t at);

  std::string_view text_;
  Shape shape_ = Shape::list;
  std::size_t at_ = 0;
  bool first_ = true;
  std::size_t line_ = 1, line_start_ = 0, counted_ = 0;  // of the byte counted_
};

/// Parses a JSON list or JSON Lines entry by entry: calls take(value, broken) for each, where
/// `broken` says that its text has bytes that are not UTF-8, and bad(sentence) for one that is no
/// JSON and for the place where the text is cut off or cannot be trusted, about which it also
/// returns the sentence. Only one entry is in memory as a tree. Throws Error naming the file if it
/// is neither list nor lines.
template <class Take, class Bad>
std::string for_each_entry(const JsonText& file, Take&& take, Bad&& bad) {
  std::string cut = file.problem;
  JsonEntries entries(file);
  // Returned and not assigned: g++ 12 takes an assignment for done where its right side throws.
  const auto next = [&]() -> std::optional<std::string_view> {
    try {
      return entries.next();
    } catch (const Error& error) {
      if (cut.empty()) cut = error.what();
      return std::nullopt;
    }
  };
  std::string text;
  for (;;) {
    const std::optional<std::string_view> entry = next();
    if (!entry) break;
    Json value;
    bool broken = false;
    try {
      text.assign(*entry);
      broken = mark_broken_utf8(text);
      value = entries.parsed(*entry, text);
    } catch (const Error& error) {
      bad(error.what());
      continue;
    } catch (const std::bad_alloc&) {
      bad("the memory does not suffice for it");
      continue;
    }
    take(std::as_const(value), broken);
  }
  if (!cut.empty()) bad(cut);
  return cut;
}

}  // namespace detail
}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include "albef/core/file.hpp"
#include "albef/core/json.hpp"

namespace albef {

ALBEF_DATA_INLINE bool is_annotation_file(std::string_view path) {
  return detail::without_packer(path).ends_with(".json") || detail::are_json_lines(path);
}

}  // namespace albef

namespace albef::detail {

ALBEF_DATA_INLINE std::string_view without_packer(std::string_view path) {
  for (const std::string_view packer : {".gz", ".bz2", ".xz", ".zst", ".lz4"})
    if (path.ends_with(packer)) return path.substr(0, path.size() - packer.size());
  return path;
}

ALBEF_DATA_INLINE bool are_json_lines(std::string_view path) {
  path = without_packer(path);
  return path.ends_with(".jsonl") || path.ends_with(".ndjson");
}

ALBEF_DATA_INLINE JsonText read_json_text(const std::string& path, const UnpackLimits& limits) {
  JsonText out{path, read_file(path, Openable::regular_files), {}};
  std::string& text = out.text;
  if (packer_of(text)) {
    Unpacked unpacked = unpack(text, limits);
    text = std::move(unpacked.bytes);
    out.problem = std::move(unpacked.problem);
    require(out.problem.empty() || !text.empty(), "cannot unpack '", path, "': ", out.problem);
    if (const char* const packer = packer_of(text))
      fail("cannot read '", path, "': unpacked, it is a file packed with ", packer,
           ", expected JSON");
  }
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  const bool utf16 = text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff") ||
                     (text.size() > 1 && (text[0] == '\0' || text[1] == '\0'));
  require(!utf16, "cannot read '", path, "': its text is UTF-16 or UTF-32, expected UTF-8");
  return out;
}

ALBEF_DATA_INLINE JsonEntries::JsonEntries(const JsonText& file) : text_(file.text) {
  const auto refuse = [&](std::string_view what) {
    fail("cannot read annotations '", file.path, "': ", what);
  };
  skip_space();
  if (at_ == text_.size()) refuse("parse error at line 1, column 1: the text is empty");
  if (here() == '[') {
    ++at_;
    return;
  }
  if (here() != '{') refuse("expected a list of records at the top");
  // Objects one behind the other, each on a line of its own if the first is.
  const std::size_t begin = at_;
  bool whole = true;
  try {
    skip_value();
  } catch (const Error&) { whole = false; }
  const std::size_t line_end = std::min(text_.find('\n', begin), text_.size());
  shape_ = at_ <= line_end || !whole ? Shape::lines : Shape::objects;
  if (whole) skip_space();
  if (!are_json_lines(file.path) && (at_ == text_.size() || here() != '{'))
    refuse("expected a list of records at the top");
  at_ = begin;
}

ALBEF_DATA_INLINE std::optional<std::string_view> JsonEntries::next() {
  const bool first = std::exchange(first_, false);
  skip_space();
  if (shape_ == Shape::list) {
    if (!first && here() != ']') {
      if (here() != ',') fail_here("expected ',' or ']'");
      ++at_;
      skip_space();
    }
    if (here() == ']') {
      ++at_;
      skip_space();
      if (at_ < text_.size()) fail_here("there is more behind the list");
      return std::nullopt;
    }
  } else if (at_ == text_.size()) {
    return std::nullopt;
  }
  const std::size_t begin = at_;
  if (shape_ == Shape::lines)
    at_ = std::min(text_.find('\n', at_), text_.size());
  else
    skip_value();
  return text_.substr(begin, at_ - begin);
}

ALBEF_DATA_INLINE Json JsonEntries::parsed(std::string_view entry, std::string_view text) {
  try {
    return parse_json(text, {.lenient = true});
  } catch (const Error&) {
    count_to(static_cast<std::size_t>(entry.data() - text_.data()));
    return parse_json(text, {.lenient = true, .line = line_, .column = counted_ - line_start_ + 1});
  }
}

ALBEF_DATA_INLINE void JsonEntries::fail_here(std::string_view what) {
  count_to(at_);
  fail("parse error at line ", line_, ", column ", at_ - line_start_ + 1, ": ",
       at_ == text_.size() ? "the text ends, " : "", what);
}

ALBEF_DATA_INLINE void JsonEntries::skip_space() {
  at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
}

/// The place of the quote that ends the string that begins at `at`, or the text's size.
inline std::size_t end_of_string(std::string_view text, std::size_t at) {
  for (std::size_t quote = at;;) {
    quote = text.find('"', quote + 1);
    if (quote == text.npos) return text.size();
    std::size_t first = quote;  // of the backslashes before it
    while (text[first - 1] == '\\') --first;
    if ((quote - first) % 2 == 0) return quote;
  }
}

ALBEF_DATA_INLINE void JsonEntries::skip_value() {
  std::size_t depth = 0;
  const std::size_t begin = at_;
  for (; at_ < text_.size(); ++at_) {
    switch (text_[at_]) {
      case '"':
        at_ = end_of_string(text_, at_);
        break;
      case '{':
      case '[':
        ++depth;
        break;
      case '}':
      case ']':
        if (depth == 0) return;  // of the list around
        if (--depth == 0) {
          ++at_;
          return;
        }
        break;
      case ',':
        if (depth == 0) {
          if (at_ == begin) fail_here("expected a record");
          return;
        }
        break;
      default:
        break;
    }
  }
  at_ = begin;
  fail_here("the text ends within the record that begins here");
}

ALBEF_DATA_INLINE void JsonEntries::count_to(std::size_t at) {
  for (; counted_ < at; ++counted_)
    if (text_[counted_] == '\n') ++line_, line_start_ = counted_ + 1;
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
