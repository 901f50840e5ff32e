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
  /// and a last line that a crash cut off, are removed; earlier ones enter the history. Error
  /// names the file, and the line if it is not what write() makes.
  explicit MetricsLog(std::string path, std::int64_t next_step = 0);

  void write(std::int64_t step, std::span<const Value> values);

  const MetricHistory& history() const { return history_; }
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  /// The lines before `next_step`, which also enter the history.
  std::string read(std::int64_t next_step);
  [[noreturn]] void fail_with(int code) const;

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  MetricHistory history_;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <nlohmann/json.hpp>

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

ALBEF_DATA_INLINE MetricsLog::MetricsLog(std::string path, std::int64_t next_step)
    : path_(std::move(path)) {
  std::string kept;
  if (next_step > 0 && ::access(path_.c_str(), F_OK) == 0) kept = read(next_step);
  write_file(path_, kept);
  file_.reset(std::fopen(path_.c_str(), "ab"));
  if (!file_) fail_with(errno);
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
      const auto line = nlohmann::json::parse(text);
      const auto step = line.at("step").get<std::int64_t>();
      if (step >= next_step) continue;
      for (const auto& [name, value] : line.items())
        if (name != "step")
          history_.add(
              step, name,
              value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
    } catch (const nlohmann::json::exception& e) {
      fail(path_, ": line ", number, " is not a line of metrics: ", e.what());
    }
    kept.append(text).append("\n");
  }
}

[[noreturn]] ALBEF_DATA_INLINE void MetricsLog::fail_with(int code) const {
  fail("cannot write '", path_, "': ", detail::errno_text(code));
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
