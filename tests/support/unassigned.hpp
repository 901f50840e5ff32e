// Where the two tokenizers that this one is held against differ.
#pragma once

#include <utf8proc.h>

#include <cstddef>
#include <string_view>

#include "albef/text/unicode.hpp"

namespace albef {

/// True if a text has code points that are no characters. The tokenizer of the official code, from
/// which the golden strings come, drops those that its Unicode version does not know; Hugging
/// Face's tokenizers, which the library equals, keeps them as unknown words.
inline bool has_unassigned(std::string_view text) {
  for (std::size_t at = 0; at < text.size();)
    if (utf8proc_category(detail::next_code_point(text, at)) == UTF8PROC_CATEGORY_CN) return true;
  return false;
}

}  // namespace albef
