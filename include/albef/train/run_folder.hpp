// The folder of a run: what belongs to the run in it, what may be replaced, and by whom.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

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
/// While a run is open, the mark is locked and says which process has it; a process that ends, in
/// whatever way, leaves no lock behind.
class RunFolder {
 public:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}

  /// Makes the folder, locks it, and prepares it for a new run or one that goes on: removes what an
  /// older run left that is replaced, and unfinished files of processes that are no more. Error if
  /// another run is at work there.
  void open(Existing existing);
  /// Others may have the folder from now on.
  void release();
  /// Makes the folder and its mark again if they were removed since open(); whether they were.
  bool restore() const;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return concat(path_, '/', name); }
  bool has(std::string_view name) const;

  static constexpr const char *mark = "run.json", *checkpoint = "checkpoint.safetensors",
                              *best = "checkpoint_best.safetensors", *metrics = "metrics.jsonl",
                              *damaged_metrics = "metrics.damaged.jsonl", *results = "results.json",
                              *summary = "summary.json", *losses = "losses.png",
                              *vocabulary = "vocab.txt", *tokenizer = "tokenizer.json";
  /// Where a checkpoint is written before it becomes the newest.
  static constexpr const char* next_checkpoint = "checkpoint.next.safetensors";
  /// The checkpoint that was the newest `age` saves ago; 0: the newest.
  static std::string previous(int age);
  /// That of an epoch, counted from 0, which stays.
  static std::string of_epoch(std::int64_t epoch);
  /// Whether a file of this name is a run's.
  static bool is_of_run(std::string_view name);

  /// The names of newest and previous checkpoints that are there, the newest first.
  std::vector<std::string> checkpoints() const;
  /// The path of the newest checkpoint whose header can be read; of the newest, if there is none.
  std::string readable_checkpoint() const;
  /// Makes the next checkpoint the newest, and `good`, the one that the run went on from, the one
  /// before it, and so on; `count` of them stay. There is a complete checkpoint at every moment.
  void advance(int count, const std::string& good) const;

 private:
  enum class Mark { none, own, foreign };
  Mark find_mark() const;
  void make_folder() const;
  /// Takes the lock of the mark, which is made if there is none.
  void lock() const;
  std::vector<std::string> run_files() const;
  void remove_unfinished() const;
  void remove(const std::string& name) const;

  std::string path_;
  std::shared_ptr<detail::FileDescriptor> lock_ = std::make_shared<detail::FileDescriptor>();
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "albef/checkpoint/safetensors.hpp"
#include "albef/core/json.hpp"
#include "albef/core/number.hpp"

namespace albef::detail {

/// The number between two texts, or -1: number_in("checkpoint.12.safetensors", "checkpoint.",
/// ".safetensors") is 12.
inline std::int64_t number_in(std::string_view text, std::string_view before,
                              std::string_view after) {
  if (!text.starts_with(before) || !text.ends_with(after) ||
      text.size() <= before.size() + after.size())
    return -1;
  text.remove_prefix(before.size());
  text.remove_suffix(after.size());
  return to_whole<std::int64_t>(text).value_or(-1);
}

/// What the mark of a run says: its process, 0 if it does not say; -1 if it is no mark.
inline std::int64_t process_of_mark(const std::string& text) {
  if (text.empty()) return 0;  // its process ended before it wrote
  try {
    const auto json = parse_json(text);
    if (json.is_object() && json.value("format", 0) == 1) return json.value("pid", std::int64_t{0});
  } catch (const Error&) {
  } catch (const nlohmann::json::exception&) {}
  return -1;
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE bool RunFolder::has(std::string_view name) const {
  return ::access(file(name).c_str(), F_OK) == 0;
}

ALBEF_DATA_INLINE std::string RunFolder::previous(int age) {
  return age == 0 ? checkpoint : concat("checkpoint.", age, ".safetensors");
}

ALBEF_DATA_INLINE std::string RunFolder::of_epoch(std::int64_t epoch) {
  return concat("checkpoint_", epoch < 10 ? "0" : "", epoch, ".safetensors");
}

ALBEF_DATA_INLINE bool RunFolder::is_of_run(std::string_view name) {
  constexpr std::array<std::string_view, 10> names{
      checkpoint, next_checkpoint, best,   metrics,    damaged_metrics,
      results,    summary,         losses, vocabulary, tokenizer};
  return std::find(names.begin(), names.end(), name) != names.end() ||
         detail::number_in(name, "checkpoint.", ".safetensors") > 0 ||
         detail::number_in(name, "checkpoint_", ".safetensors") >= 0;
}

ALBEF_DATA_INLINE RunFolder::Mark RunFolder::find_mark() const {
  if (!has(mark)) return Mark::none;
  return detail::process_of_mark(read_file(file(mark))) < 0 ? Mark::foreign : Mark::own;
}

ALBEF_DATA_INLINE std::vector<std::string> RunFolder::run_files() const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(path_, error), end; !error && at != end;
       at.increment(error))
    if (const auto name = at->path().filename().string(); is_of_run(name)) names.push_back(name);
  require(!error, path_, ": ", error.message());
  std::sort(names.begin(), names.end());
  return names;
}

ALBEF_DATA_INLINE void RunFolder::make_folder() const {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  require(!error, path_, ": ", error.message());
  require(::access(path_.c_str(), W_OK) == 0, path_, ": the folder is not writable");
}

ALBEF_DATA_INLINE void RunFolder::lock() const {
  const std::string name = file(mark);
  detail::FileDescriptor fd(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  require(fd.get() >= 0, "cannot open '", name, "': ", detail::errno_text(errno));
  // File systems without locks are used as they are.
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    const auto process = detail::process_of_mark(read_file(name));
    fail(path_, ": another run is at work in the folder",
         process > 0 ? concat(" (process ", process, ")") : "");
  }
  const std::string text = concat("{\"format\": 1, \"pid\": ", ::getpid(), "}\n");
  const bool written =
      ::pwrite(fd.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) &&
      ::ftruncate(fd.get(), static_cast<off_t>(text.size())) == 0;
  require(written, "cannot write '", name, "': ", detail::errno_text(errno));
  *lock_ = std::move(fd);
}

ALBEF_DATA_INLINE void RunFolder::open(Existing existing) {
  make_folder();
  const Mark found = find_mark();
  if (existing == Existing::resume)
    require(!checkpoints().empty(), file(checkpoint), ": there is nothing to resume from");
  if (existing != Existing::overwrite)
    require(found != Mark::foreign, file(mark),
            ": the file is there, and not of a run; overwrite it or choose another folder");
  if (existing == Existing::refuse) {
    auto files = run_files();
    // A run that ended before its first checkpoint left nothing but these.
    if (found == Mark::own)
      std::erase_if(files, [](auto& name) { return name == metrics || name == damaged_metrics; });
    require(files.empty() || !(found == Mark::own || !checkpoints().empty()), path_,
            ": there is a run already; resume or overwrite it, or choose another folder");
    require(files.empty(), file(files.empty() ? "" : files.front()),
            ": the file is there, and not of a run; overwrite it or choose another folder");
  }
  lock();
  remove_unfinished();
  if (existing == Existing::resume) return;
  // Checkpoints first: without them nobody takes the rest for a run.
  auto files = run_files();
  std::stable_partition(files.begin(), files.end(),
                        [](auto& name) { return name.starts_with("checkpoint"); });
  for (const auto& name : files) remove(name);
}

ALBEF_DATA_INLINE void RunFolder::release() { *lock_ = detail::FileDescriptor(); }

ALBEF_DATA_INLINE bool RunFolder::restore() const {
  struct stat held {};
  struct stat there {};
  if (lock_->get() < 0 || ::fstat(lock_->get(), &held) != 0) return false;
  if (::stat(file(mark).c_str(), &there) == 0 && held.st_ino == there.st_ino &&
      held.st_dev == there.st_dev)
    return false;
  make_folder();
  lock();
  return true;
}

ALBEF_DATA_INLINE void RunFolder::remove(const std::string& name) const {
  std::error_code error;
  std::filesystem::remove(file(name), error);
  require(!error, file(name), ": ", error.message());
}

ALBEF_DATA_INLINE void RunFolder::remove_unfinished() const {
  std::error_code error;
  std::vector<std::string> unfinished;
  for (std::filesystem::directory_iterator at(path_, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    const std::int64_t process = AtomicFile::process_of(name);
    if (process <= 0 || !(is_of_run(AtomicFile::target_of(name)))) continue;
    const auto pid = static_cast<pid_t>(process);
    if (pid == ::getpid() || (::kill(pid, 0) != 0 && errno == ESRCH)) unfinished.push_back(name);
  }
  require(!error, path_, ": ", error.message());
  for (const auto& name : unfinished) remove(name);
  if (has(next_checkpoint)) remove(next_checkpoint);
}

ALBEF_DATA_INLINE std::vector<std::string> RunFolder::checkpoints() const {
  std::vector<std::pair<std::int64_t, std::string>> found;
  std::error_code error;
  for (std::filesystem::directory_iterator at(path_, error), end; !error && at != end;
       at.increment(error)) {
    const auto name = at->path().filename().string();
    const auto age = detail::number_in(name, "checkpoint.", ".safetensors");
    if (name == checkpoint)
      found.emplace_back(0, name);
    else if (age > 0)
      found.emplace_back(age, name);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> names;
  for (auto& [age, name] : found) names.push_back(std::move(name));
  return names;
}

ALBEF_DATA_INLINE std::string RunFolder::readable_checkpoint() const {
  for (const auto& name : checkpoints()) try {
      SafeTensors::open(file(name));
      return file(name);
    } catch (const Error&) {}
  return file(checkpoint);
}

ALBEF_DATA_INLINE void RunFolder::advance(int count, const std::string& good) const {
  if (count > 1 && has(good)) {
    if (good == checkpoint) {
      for (int age = count - 1; age > 1; --age)
        if (has(previous(age - 1))) rename_file(file(previous(age - 1)), file(previous(age)));
      link_or_copy(file(checkpoint), file(previous(1)));
    } else if (good != previous(1)) {
      rename_file(file(good), file(previous(1)));
    }
  }
  rename_file(file(next_checkpoint), file(checkpoint));
  for (const auto& name : checkpoints())
    if (detail::number_in(name, "checkpoint.", ".safetensors") >= count) remove(name);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
