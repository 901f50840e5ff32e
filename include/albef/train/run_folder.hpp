// The folder of a run: what belongs to the run in it, and what may be replaced.
#pragma once

#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"

namespace albef {

/// What to do with a run that is in the output folder already.
enum class Existing {
  refuse,    ///< Error
  resume,    ///< continue it exactly; Error if there is none
  overwrite  ///< replace it
};

/// A folder with one run's files. A mark of its own, run.json, says that they are a run's: files of
/// the same names without it are somebody's, and are not touched unless overwriting was asked for.
class RunFolder {
 public:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}

  /// Makes the folder and prepares it for a new run or one that goes on.
  void open(Existing existing) const;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  bool has(const std::string& name) const { return ::access(file(name).c_str(), F_OK) == 0; }

  static constexpr const char *mark = "run.json", *checkpoint = "checkpoint.safetensors",
                              *best = "checkpoint_best.safetensors", *metrics = "metrics.jsonl",
                              *results = "results.json", *summary = "summary.json";

 private:
  /// What a new run removes of an older one; the checkpoint first.
  static constexpr std::array<const char*, 5> files{checkpoint, best, metrics, results, summary};

  std::string path_;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE void RunFolder::open(Existing existing) const {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(path_, error);
  require(!error, path_, ": ", error.message());
  require(::access(path_.c_str(), W_OK) == 0, path_, ": the folder is not writable");
  if (existing == Existing::resume) {
    require(has(checkpoint), file(checkpoint), ": there is nothing to resume from");
  } else {
    const bool marked = has(mark);
    for (const char* name : files) {
      if (!has(name)) continue;
      require(existing == Existing::overwrite || name != std::string(checkpoint), path_,
              ": there is a run already; resume or overwrite it, or choose another folder");
      require(existing == Existing::overwrite || marked, file(name),
              ": the file is there, and not of a run; overwrite it or choose another folder");
    }
    for (const char* name : files) {
      fs::remove(file(name), error);
      require(!error, file(name), ": ", error.message());
    }
  }
  if (!has(mark)) write_file(file(mark), "{\"format\": 1}\n");
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
