// The metrics of a run: a JSON-lines file, one object per step, that survives a crash and a resume,
// and the same numbers in memory for plots.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/file.hpp"

namespace albef {

/// The values of one metric, by step.
struct MetricSeries {
  std::string name;
  std::vector<double> steps, values;  // values that are not finite are kept
};

/// All metrics of a run, in the order in which they first appeared.
class MetricHistory {
 public:
  void add(std::int64_t step, std::string_view name, double value);
  const std::vector<MetricSeries>& all() const { return series_; }
  /// The series of that name, or null.
  const MetricSeries* find(std::string_view name) const;

 private:
  std::vector<MetricSeries> series_;
};

/// Appends `{"step": 12, "itm": 0.43, ...}` lines to a file, each complete on disk's side of the
/// process before write() returns; numbers that are not finite become null.
class MetricsLog {
 public:
  using Value = std::pair<std::string_view, double>;

  /// Continues a run whose next step is `next_step` (0: a new run): lines of that step and later,
  /// and a last line that a crash cut off, are removed; earlier ones enter the history. Where there
  /// are lines that write() does not make, the file is kept as it was under the name `aside`
  /// (empty: path.damaged), and problem() says so. Error names the file.
  explicit MetricsLog(std::string path, std::int64_t next_step = 0, const std::string& aside = {});

  void write(std::int64_t step, std::span<const Value> values);
  /// Makes durable what was written.
  void sync();
  /// Makes the file again if it was removed, with all that was in it.
  void restore();

  /// What was wrong with the file that the run goes on with; empty: nothing.
  const std::string& problem() const { return problem_; }

  const MetricHistory& history() const { return history_; }
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  /// The lines before `next_step`, which also enter the history.
  std::string read(std::int64_t next_step);
  /// Takes a line into the history; false if it is of `next_step` or later. Error if it is no line.
  bool read_line(std::string_view text, std::int64_t next_step);
  /// Writes the file, to be continued.
  void start(const std::string& content);
  [[noreturn]] void fail_with(int code) const;

  std::string path_, problem_;
  std::int64_t last_step_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
  MetricHistory history_;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <exception>
#include <nlohmann/json.hpp>

#include "albef/core/json.hpp"

namespace albef {

ALBEF_DATA_INLINE void MetricHistory::add(std::int64_t step, std::string_view name, double value) {
  MetricSeries* series = nullptr;
  for (auto& s : series_)
    if (s.name == name) series = &s;
  if (!series) series = &series_.emplace_back(MetricSeries{std::string(name), {}, {}});
  series->steps.push_back(static_cast<double>(step));
  series->values.push_back(value);
}

ALBEF_DATA_INLINE const MetricSeries* MetricHistory::find(std::string_view name) const {
  for (const auto& s : series_)
    if (s.name == name) return &s;
  return nullptr;
}

ALBEF_DATA_INLINE MetricsLog::MetricsLog(std::string path, std::int64_t next_step,
                                         const std::string& aside)
    : path_(std::move(path)) {
  std::string kept;
  if (next_step > 0 && ::access(path_.c_str(), F_OK) == 0) kept = read(next_step);
  if (!problem_.empty()) {
    const std::string kept_as = aside.empty() ? path_ + ".damaged" : aside;
    link_or_copy(path_, kept_as);
    problem_ += "; the file is kept as " + kept_as + ", the run goes on with the other lines";
  }
  start(kept);
}

ALBEF_DATA_INLINE void MetricsLog::start(const std::string& content) {
  write_file(path_, content);
  file_.reset(std::fopen(path_.c_str(), "a+b"));
  if (!file_) fail_with(errno);
}

ALBEF_DATA_INLINE void MetricsLog::sync() {
  if (::fsync(::fileno(file_.get())) != 0 && errno != EINVAL && errno != ENOTSUP) fail_with(errno);
}

ALBEF_DATA_INLINE void MetricsLog::restore() {
  if (::access(path_.c_str(), F_OK) == 0) return;
  std::string content;
  char block[1 << 14];
  for (;;) {  // the file is still there for those who have it open
    const auto n =
        ::pread(::fileno(file_.get()), block, sizeof block, static_cast<off_t>(content.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_with(errno);
    if (n == 0) break;
    content.append(block, static_cast<std::size_t>(n));
  }
  start(content);
}

ALBEF_DATA_INLINE void MetricsLog::write(std::int64_t step, std::span<const Value> values) {
  nlohmann::ordered_json line = {{"step", step}};
  for (const auto& [name, value] : values) {
    line[std::string(name)] = value;
    history_.add(step, name, value);
  }
  const std::string text = line.dump() + '\n';
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() ||
      std::fflush(file_.get()) != 0)
    fail_with(errno);
}

ALBEF_DATA_INLINE std::string MetricsLog::read(std::int64_t next_step) {
  const std::string content = read_file(path_);
  std::string kept;
  std::size_t begin = 0;
  for (int number = 1;; ++number) {
    const std::size_t end = content.find('\n', begin);
    if (end == std::string::npos) return kept;  // also drops what follows the last line end
    const std::string_view text(content.data() + begin, end - begin);
    begin = end + 1;
    try {
      if (read_line(text, next_step)) kept.append(text).append("\n");
    } catch (const std::exception& error) {
      if (problem_.empty())
        problem_ = concat(path_, ": line ", number, " is not a line of metrics: ", error.what());
    }
  }
}

ALBEF_DATA_INLINE bool MetricsLog::read_line(std::string_view text, std::int64_t next_step) {
  const auto line = parse_json(text);
  const auto found = line.is_object() ? line.find("step") : line.end();
  require(found != line.end() && found->is_number_integer(), "it has no whole number 'step'");
  const auto step = found->get<std::int64_t>();
  require(step >= last_step_, "step ", step, " comes after step ", last_step_);
  for (const auto& [name, value] : line.items())
    require(value.is_null() || value.is_number(), "'", name, "' is no number");
  last_step_ = step;
  if (step >= next_step) return false;
  for (const auto& [name, value] : line.items())
    if (name != "step")
      history_.add(
          step, name,
          value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
  return true;
}

[[noreturn]] ALBEF_DATA_INLINE void MetricsLog::fail_with(int code) const {
  fail("cannot write '", path_, "': ", detail::errno_text(code));
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
