// From a record's caption to a clean one that has something to say.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/text/clean.hpp"
#include "albef/text/unicode.hpp"

namespace albef {

/// True if the text has anything but white space, punctuation and control characters.
bool says_something(std::string_view text);

/// pre_caption; with `max_words` 0 the caption as it is, for a tokenizer that cleans texts itself
/// (Bpe). Throws Error if it is not UTF-8, empty or only punctuation.
std::string clean_caption(std::string_view caption, int max_words = 30);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE bool says_something(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto c = detail::next_code_point(text, at);
    if (!detail::is_python_space(c) && !detail::is_punctuation(c) && !detail::is_dropped(c))
      return true;
  }
  return false;
}

ALBEF_DATA_INLINE std::string clean_caption(std::string_view caption, int max_words) {
  std::string clean = max_words == 0 ? std::string(caption) : pre_caption(caption, max_words);
  require(says_something(clean), "the caption is ",
          caption.empty() ? "empty" : "empty after clean-up", ", expected words");
  return clean;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
