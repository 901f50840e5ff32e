// What is odd about a data set but no reason to refuse it, said when the set is opened.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

namespace albef {

/// Is given one sentence that names the file.
using Warn = std::function<void(const std::string&)>;

/// Writes "warning: ..." to the error output.
inline void print_warning(const std::string& sentence) {
  std::fprintf(stderr, "warning: %s\n", sentence.c_str());
}

}  // namespace albef
