// Signals that ask a training run to stop: the step is finished and a checkpoint written.
#pragma once

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

#include "albef/core/error.hpp"

namespace albef {
namespace detail {

/// Ctrl-C and the end a system announces; then what batch systems send ahead of a limit, a terminal
/// that is lost, and a limit of processor time.
inline constexpr std::array stop_signals{SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP, SIGXCPU};

inline std::atomic<int> stop_signal{0};      // the signal that came first, 0: none
inline std::atomic<bool> stop_urged{false};  // SIGINT or SIGTERM came
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "must be usable in a signal handler");
inline std::atomic<bool> stop_guard_exists{false};

extern "C" inline void albef_on_stop_signal(int signal) {
  int none = 0;
  stop_signal.compare_exchange_strong(none, signal);
  if (signal != SIGINT && signal != SIGTERM) return;
  if (!stop_urged.exchange(true)) return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace detail

/// While it lives, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP and SIGXCPU set a flag instead of
/// ending the process; a second SIGINT or SIGTERM ends it at once. A signal that was ignored before
/// stays ignored (nohup; SIGINT of what a script runs in the background), and SIGQUIT ends the
/// process as ever. The former handlers return with the guard. One guard at a time (Error
/// otherwise).
class StopGuard {
 public:
  StopGuard() {
    require(!detail::stop_guard_exists.exchange(true), "StopGuard: there is one already");
    detail::stop_signal = 0;
    detail::stop_urged = false;
    struct sigaction action {};
    action.sa_handler = detail::albef_on_stop_signal;
    action.sa_flags = SA_RESTART;  // reads and writes under way go on
    sigemptyset(&action.sa_mask);
    for (std::size_t i = 0; i < former_.size(); ++i) {
      sigaction(detail::stop_signals[i], nullptr, &former_[i]);
      if (former_[i].sa_handler != SIG_IGN) sigaction(detail::stop_signals[i], &action, nullptr);
    }
  }
  StopGuard(const StopGuard&) = delete;
  StopGuard& operator=(const StopGuard&) = delete;
  ~StopGuard() {
    for (std::size_t i = 0; i < former_.size(); ++i)
      sigaction(detail::stop_signals[i], &former_[i], nullptr);
    detail::stop_guard_exists = false;
  }

  /// Whether a signal came; any thread may ask.
  bool stop_requested() const { return signal() != 0; }
  /// The signal that came first, 0 if none did. Programs that end for it return 128 + signal.
  int signal() const { return detail::stop_signal.load(); }

 private:
  std::array<struct sigaction, detail::stop_signals.size()> former_{};
};

}  // namespace albef
