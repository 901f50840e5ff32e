// The clean-up of captions and questions that ALBEF applies before tokenisation
// (official dataset/utils.py); results equal those of the Python functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/text/unicode.hpp"

namespace albef {
namespace detail {

// Lower case, without the characters ,.'!?"()*#:;~ and with '-' and '/' as spaces.
std::string lower_without_marks(std::string_view text);

// Python's text.replace(from, to).
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

// Every run of two or more white space characters becomes one space.
std::string collapse_spaces(std::string_view text);

inline void strip_right(std::string& text, char c) { text.resize(text.find_last_not_of(c) + 1); }

// Cuts the text after its first `max_words` words, where words are what single spaces separate.
void keep_words(std::string& text, int max_words);

}  // namespace detail

/// `pre_caption` of the official code: lower case, punctuation removed, '-' and '/' as spaces,
/// "<person>" as "person", white space collapsed, at most `max_words` words.
/// Error (byte offset) if `text` is not UTF-8.
std::string pre_caption(std::string_view text, int max_words = 30);

/// `pre_question` of the official code: as pre_caption, but inner and leading white space stays (so
/// empty words count) and "<person>" is kept. The official data sets use 30 words in training and
/// 50 in tests. Error (byte offset) if `text` is not UTF-8.
std::string pre_question(std::string_view text, int max_words = 30);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef::detail {

ALBEF_DATA_INLINE std::string lower_without_marks(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : lower(text)) {
    if (std::string_view(",.'!?\"()*#:;~").find(c) != std::string_view::npos) continue;
    out += c == '-' || c == '/' ? ' ' : c;
  }
  return out;
}

ALBEF_DATA_INLINE std::string replace_all(std::string_view text, std::string_view from,
                                          std::string_view to) {
  std::string out;
  out.reserve(text.size());
  std::size_t begin = 0;
  for (std::size_t at; (at = text.find(from, begin)) != text.npos; begin = at + from.size())
    out.append(text, begin, at - begin).append(to);
  return out.append(text, begin);
}

ALBEF_DATA_INLINE std::string collapse_spaces(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t begin = i;
    if (!is_python_space(next_code_point(text, i))) {
      out += text.substr(begin, i - begin);
      continue;
    }
    std::size_t end = i;
    for (std::size_t next = i; next < text.size(); end = next)
      if (!is_python_space(next_code_point(text, next))) break;
    out += end > i ? " " : text.substr(begin, i - begin);
    i = end;
  }
  return out;
}

ALBEF_DATA_INLINE void keep_words(std::string& text, int max_words) {
  require(max_words > 0, "[text] max_words is ", max_words, ", expected at least 1");
  std::size_t space = text.find(' ');
  while (space != std::string::npos && --max_words > 0) space = text.find(' ', space + 1);
  if (space != std::string::npos) text.resize(space);
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE std::string pre_caption(std::string_view text, int max_words) {
  std::string out = detail::replace_all(detail::lower_without_marks(text), "<person>", "person");
  out = detail::collapse_spaces(out);
  detail::strip_right(out, '\n');
  detail::strip_right(out, ' ');
  out.erase(0, out.find_first_not_of(' '));
  detail::keep_words(out, max_words);
  return out;
}

ALBEF_DATA_INLINE std::string pre_question(std::string_view text, int max_words) {
  std::string out = detail::lower_without_marks(text);
  detail::strip_right(out, ' ');
  detail::keep_words(out, max_words);
  return out;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
