// BERT's basic tokenisation: cleans a text, lower-cases it, strips accents and splits it into words
// and punctuation marks. The step before word pieces are looked up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/text/unicode.hpp"

namespace albef {

/// How a text is normalised before it is cut into word pieces; the defaults are BERT uncased.
struct TextNormalization {
  bool lowercase = true;      ///< every code point on its own (no final sigma)
  bool strip_accents = true;  ///< canonical decomposition (NFD), then drop category Mn
  bool split_cjk = true;      ///< every Chinese character is a word of its own
};

namespace detail {

/// Writes the words of texts to a string, each followed by one space.
/// Unicode data are those of the utf8proc in use; code points it does not know are dropped.
class WordSplitter {
 public:
  WordSplitter(const TextNormalization& options, std::string& out) : options_(options), out_(out) {}

  /// Appends the words of `text` from byte `begin` on. Error (byte offset) if it is not UTF-8.
  void add(std::string_view text, std::size_t begin = 0);

 private:
  void add_ascii(char c);

  // A code point beyond ASCII, or what one became in lower case.
  void add_code_point(CodePoint code);

  void add_decomposed(CodePoint code);

  void append(CodePoint code);

  // Canonical order: a run of combining marks is sorted by class. Few marks survive the stripping,
  // so this hardly ever has anything to do.
  void flush_marks();

  void end_word();

  TextNormalization options_;
  std::string& out_;
  std::vector<std::pair<int, CodePoint>> marks_;  // (combining class, code point), not yet in out_
};

/// Calls f(word) for each word of a string written by WordSplitter.
template <class F>
void for_each_word(std::string_view words, F&& f) {
  for (std::size_t begin = 0; begin < words.size();) {
    const std::size_t end = words.find(' ', begin);
    f(words.substr(begin, end - begin));
    begin = end + 1;
  }
}

}  // namespace detail
}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef::detail {

ALBEF_DATA_INLINE void WordSplitter::add(std::string_view text, std::size_t begin) {
  for (std::size_t i = begin; i < text.size();) {
    if (is_ascii(text[i])) {
      add_ascii(text[i++]);
    } else {
      const CodePoint code = next_code_point(text, i);
      if (options_.lowercase)
        lower_code_point(code, [&](CodePoint c) { add_code_point(c); });
      else
        add_code_point(code);
    }
  }
  end_word();
}

ALBEF_DATA_INLINE void WordSplitter::add_ascii(char c) {
  if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
    end_word();
  } else if (c < ' ' || c == 0x7F) {
    // A control character vanishes and joins what stands around it.
  } else if (is_ascii_punctuation(c)) {
    end_word();
    out_ += c;
    end_word();
  } else {
    flush_marks();
    out_ += options_.lowercase ? ascii_lower(c) : c;
  }
}

ALBEF_DATA_INLINE void WordSplitter::add_code_point(CodePoint code) {
  const auto category = utf8proc_category(code);
  if (category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
      category == UTF8PROC_CATEGORY_ZP) {
    end_word();
  } else if (code == 0xFFFD || is_other(code)) {
    // Dropped: replacement, control, format, private use and unassigned characters.
  } else if (options_.split_cjk && is_cjk(code)) {
    end_word();
    add_decomposed(code);
    end_word();
  } else {
    add_decomposed(code);
  }
}

ALBEF_DATA_INLINE void WordSplitter::add_decomposed(CodePoint code) {
  if (!options_.strip_accents) return append(code);
  CodePoint parts[8];  // a canonical decomposition has at most four code points
  int boundary = 0;
  const auto count = utf8proc_decompose_char(code, parts, 8, UTF8PROC_DECOMPOSE, &boundary);
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    const auto* property = utf8proc_get_property(parts[i]);
    const bool accent = property->category == UTF8PROC_CATEGORY_MN;
    if (property->combining_class != 0) {
      if (!accent) marks_.emplace_back(property->combining_class, parts[i]);
    } else {
      flush_marks();
      if (!accent) append(parts[i]);
    }
  }
}

ALBEF_DATA_INLINE void WordSplitter::append(CodePoint code) {
  const bool alone = is_punctuation(code);
  if (alone) end_word();
  append_utf8(out_, code);
  if (alone) end_word();
}

ALBEF_DATA_INLINE void WordSplitter::flush_marks() {
  if (marks_.empty()) return;
  std::stable_sort(marks_.begin(), marks_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& mark : marks_) append_utf8(out_, mark.second);
  marks_.clear();
}

ALBEF_DATA_INLINE void WordSplitter::end_word() {
  flush_marks();
  if (!out_.empty() && out_.back() != ' ') out_ += ' ';
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
