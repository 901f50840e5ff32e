// The progress line of a training run: one line that is rewritten on a terminal, plain lines at a
// lower rate in a file.
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/number.hpp"

namespace albef {

/// A named number, e.g. {"itm", 0.43}.
using NamedValue = std::pair<std::string_view, double>;

/// Where a run stands after a step.
struct ProgressState {
  std::int64_t step = 0, total_steps = 0;  // steps done, of how many
  int epoch = 0, epochs = 0;               // epochs begun, of how many; 0: not shown
  std::int64_t pairs = 0;                  // image-text pairs processed since this process began
  std::span<const NamedValue> losses = {};
  double lr = 0;
};

struct ProgressOptions {
  enum class Style { automatic, terminal, plain };

  std::FILE* out = stderr;
  Style style = Style::automatic;  // automatic: terminal if `out` is one
  double seconds = -1;  // least time between lines; below 0: 0.1 on a terminal, 10 otherwise
};

namespace detail {

/// "1:02:03", or "2d 03:04:05" from a day on.
std::string duration_text(double seconds);

}  // namespace detail

/// Shows step, epoch, pairs a second, remaining time, each loss and the learning rate.
class Progress {
 public:
  explicit Progress(ProgressOptions options = {});
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { end_line(); }

  /// Call after every step; prints if enough time has passed or this was the last step.
  void update(const ProgressState& state);

  /// Prints a line of its own (a warning, a result) without damage to the progress line.
  void message(std::string_view text);

  /// Runs f (an evaluation, saving) and leaves its time out of the speed.
  template <class F>
  void aside(F&& f) {
    const auto begin = Clock::now();
    std::forward<F>(f)();
    last_time_ += std::max(Clock::now() - begin, Clock::duration{});
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

  std::string line(const ProgressState& state) const;

  void show(std::string text);

  void end_line();

  ProgressOptions options_;
  bool terminal_ = false, printed_ = false, measured_ = false, open_line_ = false;
  Clock::time_point last_time_{};
  std::int64_t last_pairs_ = 0, last_step_ = 0;
  double pairs_rate_ = 0, step_rate_ = 0;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef::detail {

ALBEF_DATA_INLINE std::string duration_text(double seconds) {
  if (!(seconds >= 0 && seconds < 1e9)) return "?";
  const auto s = static_cast<long long>(seconds + 0.5);
  const auto two = [](long long n) { return concat(n < 10 ? ":0" : ":", n); };
  const std::string rest = two(s / 60 % 60) + two(s % 60);
  if (s < 86400) return concat(s / 3600, rest);
  return concat(s / 86400, "d ", two(s / 3600 % 24).substr(1), rest);
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE Progress::Progress(ProgressOptions options) : options_(options) {
  using Style = ProgressOptions::Style;
  terminal_ = options.style == Style::terminal ||
              (options.style == Style::automatic && ::isatty(::fileno(options.out)));
  if (options_.seconds < 0) options_.seconds = terminal_ ? 0.1 : 10;
}

ALBEF_DATA_INLINE void Progress::update(const ProgressState& state) {
  const auto now = Clock::now();
  const double since = seconds(now - last_time_);
  const bool last = state.total_steps > 0 && state.step >= state.total_steps;
  // A clock that was set back says nothing of how long it is since the last line.
  if (printed_ && since >= 0 && since < options_.seconds && !last) return;
  if (measured_ && since > 0) {
    // The new interval counts a third: steady to read, yet it follows a change of speed.
    const auto blend = [](double& mean, double value) {
      mean = mean > 0 ? mean + (value - mean) / 3 : value;
    };
    blend(pairs_rate_, static_cast<double>(state.pairs - last_pairs_) / since);
    blend(step_rate_, static_cast<double>(state.step - last_step_) / since);
  }
  measured_ = printed_ = true;
  last_time_ = now, last_pairs_ = state.pairs, last_step_ = state.step;
  show(line(state));
}

ALBEF_DATA_INLINE void Progress::message(std::string_view text) {
  if (open_line_) std::fputs("\r\033[K", options_.out);
  open_line_ = false;
  std::fprintf(options_.out, "%.*s\n", static_cast<int>(text.size()), text.data());
  std::fflush(options_.out);
}

ALBEF_DATA_INLINE std::string Progress::line(const ProgressState& state) const {
  std::string out;
  if (state.epochs > 0) out += concat("epoch ", state.epoch, '/', state.epochs, "  ");
  out += concat("step ", state.step);
  if (state.total_steps > 0) out += concat('/', state.total_steps);
  if (pairs_rate_ > 0) out += "  " + fixed(pairs_rate_, 1) + " pairs/s";
  if (step_rate_ > 0 && state.total_steps > 0)
    out += "  ETA " +
           detail::duration_text(static_cast<double>(state.total_steps - state.step) / step_rate_);
  for (const auto& [name, value] : state.losses)
    out += concat("  ", name, ' ', significant(value, 4));
  return out + "  lr " + significant(state.lr, 3);
}

ALBEF_DATA_INLINE void Progress::show(std::string text) {
  if (terminal_) {
    struct winsize size {};
    // A line that wraps could not be rewritten.
    if (::ioctl(::fileno(options_.out), TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
      text.resize(std::min<std::size_t>(text.size(), size.ws_col - 1u));
    std::fprintf(options_.out, "\r%s\033[K", text.c_str());
    open_line_ = true;
  } else {
    std::fprintf(options_.out, "%s\n", text.c_str());
  }
  std::fflush(options_.out);
}

ALBEF_DATA_INLINE void Progress::end_line() {
  if (open_line_) std::fputc('\n', options_.out);
  open_line_ = false;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
