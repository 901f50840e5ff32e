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
  bool clean_text = true;     ///< drop control characters

  bool operator==(const TextNormalization&) const = default;
};

namespace detail {

/// Writes the words of texts to a string, each followed by one space.
class WordSplitter {
 public:
  /// With `split` false: the text as it is when it is normalised, not yet cut into words.
  WordSplitter(const TextNormalization& options, std::string& out, bool split = true)
      : options_(options), out_(out), split_(split) {}

  /// Appends the words of `text` from byte `begin` on. Error (byte offset) if it is not UTF-8.
  void add(std::string_view text, std::size_t begin = 0);

 private:
  void add_ascii(char c);

  // A code point beyond ASCII with traits.
  void add_code_point(CodePoint code);

  void add_decomposed(CodePoint code);

  void add_part(CodePoint code);

  void add_space(CodePoint code);

  void append(CodePoint code);

  // Canonical order: a run of combining marks is sorted by class. Few marks survive the stripping,
  // so this hardly ever has anything to do.
  void flush_marks();

  void end_word();

  TextNormalization options_;
  const UnicodeTraits& traits_ = UnicodeTraits::get();
  std::string& out_;
  bool split_;
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
      continue;
    }
    const std::size_t start = i;
    const CodePoint code = next_code_point(text, i);
    if (traits_[code] != 0) {
      add_code_point(code);
    } else {
      flush_marks();
      out_.append(text, start, i - start);
    }
  }
  flush_marks();
  if (split_) end_word();
}

ALBEF_DATA_INLINE void WordSplitter::add_ascii(char c) {
  if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
    add_space(c);
  } else if (c < ' ' || c == 0x7F) {
    // A control character vanishes and joins what stands around it.
    if (!options_.clean_text) add_code_point(c);
  } else if (is_ascii_punctuation(c)) {
    append(c);
  } else {
    flush_marks();
    out_ += options_.lowercase ? ascii_lower(c) : c;
  }
}

ALBEF_DATA_INLINE void WordSplitter::add_code_point(CodePoint code) {
  const auto traits = traits_[code];
  if (options_.clean_text && (traits & Traits::dropped)) return;
  if (traits & Traits::space) {
    add_space(code);
  } else if (options_.split_cjk && (traits & Traits::cjk)) {
    add_space(' ');
    add_decomposed(code);
    add_space(' ');
  } else {
    add_decomposed(code);
  }
}

ALBEF_DATA_INLINE void WordSplitter::add_decomposed(CodePoint code) {
  if (!options_.strip_accents) return append(code);
  if (!(traits_[code] & Traits::decomposed)) return add_part(code);
  CodePoint parts[8];  // a canonical decomposition has at most four code points
  int boundary = 0;
  const auto count = utf8proc_decompose_char(code, parts, 8, UTF8PROC_DECOMPOSE, &boundary);
  for (utf8proc_ssize_t i = 0; i < count; ++i) add_part(parts[i]);
}

ALBEF_DATA_INLINE void WordSplitter::add_part(CodePoint code) {
  const auto traits = traits_[code];
  if (!(traits & Traits::combining)) flush_marks();
  if (traits & Traits::accent) return;
  if (traits & Traits::combining)
    marks_.emplace_back(combining_class(code), code);
  else
    append(code);
}

ALBEF_DATA_INLINE void WordSplitter::add_space(CodePoint code) {
  if (split_)
    end_word();
  else if (options_.clean_text)
    append(' ');
  else
    add_decomposed(code);
}

ALBEF_DATA_INLINE void WordSplitter::append(CodePoint code) {
  const auto traits = traits_[code];
  const bool alone = split_ && (traits & Traits::punctuation);
  flush_marks();
  if (alone) end_word();
  if (options_.lowercase && (traits & Traits::capital))
    lower_code_point(code, [&](CodePoint c) { append_utf8(out_, c); });
  else
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
