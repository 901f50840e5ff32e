// Records that cannot be used: named, counted, left out, and when there are too many.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <unordered_set>
#include <utility>

#include "albef/core/error.hpp"

namespace albef {

/// What is told of a record that is skipped: file, record and reason.
using RecordReport = std::function<void(const std::string&)>;

/// Prints "skipped ..." on stderr.
inline void print_skipped(const std::string& message) {
  std::fprintf(stderr, "skipped %s\n", message.c_str());
}
/// The same once for each message, whichever of its copies is asked.
inline RecordReport print_skipped_once() {
  struct Told {
    std::mutex mutex;
    std::unordered_set<std::string> messages;
  };
  return [told = std::make_shared<Told>()](const std::string& message) {
    const std::lock_guard lock(told->mutex);
    if (told->messages.insert(message).second) print_skipped(message);
  };
}

/// Why f() cannot use its record: what its Error says, empty if it throws none. What is no fault of
/// the record passes: SystemError, and a device's OutOfMemory.
template <class F>
std::string problem_of(F&& f) {
  try {
    std::forward<F>(f)();
    return {};
  } catch (const SystemError&) { throw; } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& error) { return error.what(); } catch (const std::bad_alloc&) {
    return "the memory does not suffice for a record";
  }
}

/// The unusable records of a data set that is gone through. Each is told of once; a share of 0
/// makes the first an Error.
class BadRecords {
 public:
  /// Of a set that is evaluated: what half of the records say is another task's result.
  static constexpr double evaluation_share = 0.5;

  /// `max_share` of the records may be unusable, from 0 to 1.
  explicit BadRecords(double max_share = evaluation_share, RecordReport report = print_skipped)
      : max_share_(max_share), report_(std::move(report)) {
    require(max_share >= 0 && max_share <= 1, "max_bad_share is ", max_share, ", expected 0 to 1");
  }

  /// Takes record number `record` for unusable.
  void add(std::size_t record, const std::string& message) {
    if (records_.contains(record)) return;
    tell(message);
    records_.insert(record);
    last_ = message;
  }
  /// Tells of a part of a record that is left out.
  void tell(const std::string& message) const {
    if (max_share_ == 0) fail("an unusable record: ", message);
    if (report_) report_(message);
  }
  bool has(std::size_t record) const { return records_.contains(record); }
  std::size_t count() const { return records_.size(); }

  /// Error if more than their share of the records seen are unusable. It is judged over at least
  /// 1000 of the `size` records (or all), and one is always allowed, unless it is the only one.
  void check(std::int64_t seen, std::int64_t size) const {
    if (records_.empty()) return;
    const auto judged = std::max(std::min(seen, size), std::min<std::int64_t>(size, 1000));
    const auto share = static_cast<std::size_t>(max_share_ * static_cast<double>(judged) + 1e-6);
    const std::size_t allowed = std::max<std::size_t>(share, 1);
    if (records_.size() > allowed || records_.size() >= static_cast<std::size_t>(size))
      fail_with(allowed, size);
  }
  /// Throws the Error that check() does.
  [[noreturn]] void fail_with(std::size_t allowed, std::int64_t size) const {
    const bool all = records_.size() >= static_cast<std::size_t>(size);
    fail(records_.size(), " unusable records of ", size,
         all ? ", all there are"
             : concat(", more than the ", allowed, " that a share of ", max_share_, " allows"),
         "; the last: ", last_);
  }

 private:
  double max_share_;
  RecordReport report_;
  std::unordered_set<std::size_t> records_;
  std::string last_;
};

/// Of an evaluation: `strict`, or to be skipped.
inline BadRecords evaluation_records(bool strict) {
  return BadRecords(strict ? 0 : BadRecords::evaluation_share);
}

}  // namespace albef
