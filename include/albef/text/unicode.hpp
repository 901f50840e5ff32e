// UTF-8 and Unicode helpers of the text code, on top of utf8proc; lower-casing and white space are
// those of Python's str, because the reference tokeniser and caption clean-up are Python programs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

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

void append_utf8(std::string& out, CodePoint code);

/// Categories Cc, Cf, Cn, Co, Cs; '\t', '\n' and '\r' are among them.
bool is_other(CodePoint code);

bool is_ascii_punctuation(char c);

/// What BERT splits off as punctuation: category P*, and every ASCII symbol such as '$' or '+'.
bool is_punctuation(CodePoint code);

/// The Chinese character blocks as BERT defines them (not kana, not Hangul).
constexpr bool is_cjk(CodePoint c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

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

ALBEF_DATA_INLINE bool is_other(CodePoint code) {
  const auto category = utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_CN || (category >= UTF8PROC_CATEGORY_CC);
}

ALBEF_DATA_INLINE bool is_ascii_punctuation(char c) {
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
         (c >= 123 && c <= 126);
}

ALBEF_DATA_INLINE bool is_punctuation(CodePoint code) {
  if (code < 0x80) return is_ascii_punctuation(static_cast<char>(code));
  const auto category = utf8proc_category(code);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

/// Calls f with the lower-case form of one code point: one code point, except for U+0130, whose
/// form is "i" and a combining dot.
template <class F>
void lower_code_point(CodePoint code, F&& f) {
  if (code == 0x130) {
    f(CodePoint{'i'});
    f(CodePoint{0x307});
  } else {
    f(utf8proc_tolower(code));
  }
}

// Unicode's Case_Ignorable: passed over in the search for the letters around a sigma.
ALBEF_DATA_INLINE bool is_case_ignorable(CodePoint c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      break;
  }
  switch (c) {
    case '\'':
    case '.':
    case ':':
    case 0x00B7:
    case 0x0387:
    case 0x055F:
    case 0x05F4:
    case 0x2018:
    case 0x2019:
    case 0x2024:
    case 0x2027:
    case 0xFE13:
    case 0xFE52:
    case 0xFE55:
    case 0xFF07:
    case 0xFF0E:
    case 0xFF1A:
      return true;
    default:
      return false;
  }
}

// Unicode's Cased, for code points that are not Case_Ignorable.
ALBEF_DATA_INLINE bool is_cased(CodePoint c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
      return true;
    default:
      break;
  }
  return c == 0xAA || c == 0xBA || (c >= 0x2160 && c <= 0x217F) || (c >= 0x24B6 && c <= 0x24E9) ||
         (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

ALBEF_DATA_INLINE std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool after_cased = false;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint code = next_code_point(text, i);
    if (code == 0x3A3) {
      bool before_cased = false;
      for (std::size_t j = i; j < text.size();) {
        const CodePoint next = next_code_point(text, j);
        if (is_case_ignorable(next)) continue;
        before_cased = is_cased(next);
        break;
      }
      append_utf8(out, after_cased && !before_cased ? 0x3C2 : 0x3C3);
      after_cased = true;
    } else if (code < 0x80) {
      const char c = static_cast<char>(code), low = ascii_lower(c);
      out += low;
      if (c != '\'' && c != '.' && c != ':' && c != '^' && c != '`')  // these are case-ignorable
        after_cased = low >= 'a' && low <= 'z';
    } else {
      lower_code_point(code, [&](CodePoint c) { append_utf8(out, c); });
      if (!is_case_ignorable(code)) after_cased = is_cased(code);
    }
  }
  return out;
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
