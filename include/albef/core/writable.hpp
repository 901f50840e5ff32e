// Whether a file can be written, to be asked before the work that fills it.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace albef {

/// Why a file cannot be written, in one sentence: it is a folder, there is no folder for it, or
/// that is not writable. Empty where it can.
inline std::string refusal_to_write(const std::string& name) {
  namespace fs = std::filesystem;
  const fs::path path(name), folder = path.has_parent_path() ? path.parent_path() : ".";
  const std::string refusal = "cannot write to '" + name + "': ";
  std::error_code error;
  if (fs::is_directory(path, error)) return refusal + "it is a folder";
  if (!fs::is_directory(folder, error))
    return refusal + "there is no folder '" + folder.string() + "'";
  return ::access(folder.c_str(), W_OK) == 0 ? "" : refusal + "the folder is not writable";
}

}  // namespace albef
