// UTF-8 and Unicode helpers of the text code. What a code point is comes from tables of its own
// (unicode_data.hpp), so that tokens do not depend on the library version of a machine; utf8proc
// decodes UTF-8 and decomposes, which are the same in every version.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"

namespace albef::detail {

using CodePoint = std::int32_t;

constexpr bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }
constexpr char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// True for the second, third and fourth byte of an encoded code point.
constexpr bool is_utf8_tail(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

/// Decodes the code point at byte `position` and moves `position` past it. Bytes that are not UTF-8
/// (also overlong forms and surrogates) are an Error that names the byte offset.
CodePoint next_code_point(std::string_view text, std::size_t& position);

bool is_utf8(std::string_view text);

/// The number of code points in UTF-8.
inline std::size_t count_characters(std::string_view text) {
  const auto tails = std::count_if(text.begin(), text.end(), is_utf8_tail);
  return text.size() - static_cast<std::size_t>(tails);
}

void append_utf8(std::string& out, CodePoint code);

/// What the text code asks of a code point; several may hold.
struct Traits {
  enum : std::uint8_t {
    dropped = 1,      ///< control, format and private-use characters; '\t', '\n', '\r' are not
    space = 2,        ///< separates words
    punctuation = 4,  ///< a word of its own: category P*, every ASCII symbol such as '$' or '+'
    cjk = 8,          ///< of the Chinese character blocks as BERT defines them (not kana, Hangul)
    accent = 16,      ///< a mark that goes where accents are stripped
    decomposed = 32,  ///< has a canonical decomposition
    combining = 64,   ///< of a combining class other than 0
    capital = 128     ///< has a lower-case form
  };
};

/// The traits of all code points.
class UnicodeTraits {
 public:
  static const UnicodeTraits& get();

  std::uint8_t operator[](CodePoint code) const { return traits_[static_cast<std::size_t>(code)]; }

 private:
  UnicodeTraits();

  std::vector<std::uint8_t> traits_;
};

bool is_ascii_punctuation(char c);

/// A character that no token comes from, unlike an unknown one: control, format, private use.
bool is_dropped(CodePoint code);
bool is_punctuation(CodePoint code);
bool is_cjk(CodePoint code);

/// What a token that must be a single word does not stand beside: letters, marks, digits, '_'.
bool is_word_character(CodePoint code);

/// The canonical combining class; 0 also for accents, whose order nobody sees.
int combining_class(CodePoint code);

/// What `\s` matches in Python's re for str.
constexpr bool is_python_space(CodePoint c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

/// Python's str.lower: each code point on its own, except that a capital sigma at the end of a word
/// becomes the final form U+03C2. Error (byte offset) if `text` is not UTF-8.
std::string lower(std::string_view text);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <utf8proc.h>

#include <iterator>

#include "albef/text/unicode_data.hpp"

namespace albef::detail {

ALBEF_DATA_INLINE CodePoint next_code_point(std::string_view text, std::size_t& position) {
  CodePoint code = -1;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + position;
  const auto left = static_cast<utf8proc_ssize_t>(text.size() - position);
  const utf8proc_ssize_t length = utf8proc_iterate(bytes, left, &code);
  require(length > 0, "[text] invalid UTF-8 at byte ", position);
  position += static_cast<std::size_t>(length);
  return code;
}

ALBEF_DATA_INLINE bool is_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto* end = bytes + text.size();
  while (bytes < end) {
    CodePoint code = -1;
    const utf8proc_ssize_t length = utf8proc_iterate(bytes, end - bytes, &code);
    if (length <= 0) return false;
    bytes += length;
  }
  return true;
}

ALBEF_DATA_INLINE void append_utf8(std::string& out, CodePoint code) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t length = utf8proc_encode_char(code, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
}

template <std::size_t n>
bool in_ranges(const CodePoint (&bounds)[n], CodePoint code) {
  return (std::upper_bound(bounds, bounds + n, code) - bounds) % 2 == 1;
}

ALBEF_DATA_INLINE UnicodeTraits::UnicodeTraits() : traits_(0x110000) {
  const auto set = [&](std::uint8_t trait, CodePoint first, CodePoint end, int step = 1) {
    for (CodePoint code = first; code < end; code += step)
      traits_[static_cast<std::size_t>(code)] |= trait;
  };
  const auto set_ranges = [&](std::uint8_t trait, const auto& bounds) {
    for (std::size_t i = 0; i < std::size(bounds); i += 2) set(trait, bounds[i], bounds[i + 1]);
  };
  set_ranges(Traits::dropped, unicode::dropped);
  set_ranges(Traits::space, unicode::space);
  set_ranges(Traits::punctuation, unicode::punctuation);
  set_ranges(Traits::cjk, unicode::cjk);
  set_ranges(Traits::accent | Traits::combining, unicode::accent);
  for (std::size_t i = 0; i < std::size(unicode::accent_between); i += 2)
    for (CodePoint c = unicode::accent_between[i]; c < unicode::accent_between[i + 1]; ++c)
      traits_[static_cast<std::size_t>(c)] &= static_cast<std::uint8_t>(~Traits::combining);
  set_ranges(Traits::decomposed, unicode::decomposed);
  for (const auto& range : unicode::combining) set(Traits::combining, range.first, range.end);
  for (const auto& range : unicode::lower)
    set(Traits::capital, range.first, range.last + 1, range.step);
  set(Traits::capital, 0x130, 0x131);
}

ALBEF_DATA_INLINE const UnicodeTraits& UnicodeTraits::get() {
  static const UnicodeTraits traits;
  return traits;
}

ALBEF_DATA_INLINE bool is_dropped(CodePoint code) { return in_ranges(unicode::dropped, code); }

ALBEF_DATA_INLINE bool is_punctuation(CodePoint code) {
  return in_ranges(unicode::punctuation, code);
}

ALBEF_DATA_INLINE bool is_cjk(CodePoint code) { return in_ranges(unicode::cjk, code); }

ALBEF_DATA_INLINE bool is_word_character(CodePoint code) { return in_ranges(unicode::word, code); }

ALBEF_DATA_INLINE int combining_class(CodePoint code) {
  for (const auto& range : unicode::combining)
    if (code >= range.first && code < range.end) return range.combining_class;
  return 0;
}

ALBEF_DATA_INLINE bool is_ascii_punctuation(char c) {
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
         (c >= 123 && c <= 126);
}

/// Calls f with the lower-case form of one code point: one code point, except for U+0130, whose
/// form is "i" and a combining dot.
template <class F>
void lower_code_point(CodePoint code, F&& f) {
  if (code == 0x130) {
    f(CodePoint{'i'});
    f(CodePoint{0x307});
  } else {
    const auto* range = std::lower_bound(std::begin(unicode::lower), std::end(unicode::lower), code,
                                         [](const auto& r, CodePoint c) { return r.last < c; });
    const bool changes = range != std::end(unicode::lower) && code >= range->first &&
                         (code - range->first) % range->step == 0;
    f(changes ? code + range->distance : code);
  }
}

// A sigma is final behind a letter with case and not before one; case-ignorable characters between
// are passed over. `begin` and `end` are the bytes of the sigma.
ALBEF_DATA_INLINE bool is_final_sigma(std::string_view text, std::size_t begin, std::size_t end) {
  bool after = false;
  for (std::size_t at = begin; at > 0;) {
    while (is_utf8_tail(text[--at])) {}
    std::size_t next = at;
    const CodePoint code = next_code_point(text, next);
    if (in_ranges(unicode::case_ignorable, code)) continue;
    after = in_ranges(unicode::cased, code);
    break;
  }
  while (after && end < text.size()) {
    const CodePoint code = next_code_point(text, end);
    if (!in_ranges(unicode::case_ignorable, code)) return !in_ranges(unicode::cased, code);
  }
  return after;
}

ALBEF_DATA_INLINE std::string lower(std::string_view text) {
  const UnicodeTraits& traits = UnicodeTraits::get();
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t begin = i;
    if (is_ascii(text[i])) {
      out += ascii_lower(text[i++]);
      continue;
    }
    const CodePoint code = next_code_point(text, i);
    if (code == 0x3A3)
      append_utf8(out, is_final_sigma(text, begin, i) ? 0x3C2 : 0x3C3);
    else if (traits[code] & Traits::capital)
      lower_code_point(code, [&](CodePoint c) { append_utf8(out, c); });
    else
      out.append(text, begin, i - begin);
  }
  return out;
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
