// Tables as text: rows of fields between commas (RFC 4180) or tabs.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"

namespace albef {

/// Whether a file is a table by its name: .csv or .tsv, perhaps packed.
bool is_table_file(std::string_view path);

namespace detail {

struct TableRow {
  std::size_t line = 0;  ///< the one it begins in, counted from 1
  std::vector<std::string> fields{};
};

/// Calls take(row) for each row of a text that is not blank; the row is reused. With commas a field
/// may stand between quotes, where "" is one of them and line ends are part of the field; between
/// tabs quotes tell nothing. Throws Error naming the line where a quote is never closed.
void for_each_row(std::string_view text, bool tabs, const std::function<void(TableRow&)>& take);

}  // namespace detail
}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include "albef/data/json_entries.hpp"

namespace albef {

ALBEF_DATA_INLINE bool is_table_file(std::string_view path) {
  path = detail::without_packer(path);
  return path.ends_with(".csv") || path.ends_with(".tsv");
}

}  // namespace albef

namespace albef::detail {

ALBEF_DATA_INLINE void for_each_row(std::string_view text, bool tabs,
                                    const std::function<void(TableRow&)>& take) {
  const char separator = tabs ? '\t' : ',';
  TableRow row;
  std::size_t line = 1;
  for (std::size_t at = 0; at < text.size(); ++at) {  // a row, from its first byte to its line end
    row.line = line;
    row.fields.assign(1, {});
    bool blank = true;
    for (; at < text.size() && text[at] != '\n'; ++at) {
      std::string& field = row.fields.back();
      blank = blank && text[at] == '\r';
      if (text[at] == separator) {
        row.fields.emplace_back();
      } else if (!tabs && text[at] == '"' && field.empty()) {
        const std::size_t first = line;
        for (++at;; ++at) {
          require(at < text.size(), "line ", first, ": a quote is never closed");
          if (text[at] == '"' && (at + 1 == text.size() || text[at + 1] != '"')) break;
          at += text[at] == '"';
          line += text[at] == '\n';
          field += text[at];
        }
      } else if (text[at] != '\r' || (at + 1 < text.size() && text[at + 1] != '\n')) {
        field += text[at];
      }
    }
    ++line;
    if (!blank) take(row);
  }
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
