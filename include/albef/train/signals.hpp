// Ctrl-C and SIGTERM during training: the first asks for an orderly end, the second kills at once.
#pragma once

#include <atomic>
#include <csignal>

#include "albef/core/error.hpp"

namespace albef {
namespace detail {

inline std::atomic<int> stop_signal{0};  // the signal that came, 0: none
static_assert(std::atomic<int>::is_always_lock_free, "must be usable in a signal handler");
inline std::atomic<bool> stop_guard_exists{false};

extern "C" inline void albef_on_stop_signal(int signal) {
  int none = 0;
  if (stop_signal.compare_exchange_strong(none, signal)) return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace detail

/// While it lives, SIGINT and SIGTERM set a flag instead of ending the process; a second signal
/// ends it. The former handlers return with the guard. One guard at a time (Error otherwise).
class StopGuard {
 public:
  StopGuard() {
    require(!detail::stop_guard_exists.exchange(true), "StopGuard: there is one already");
    detail::stop_signal = 0;
    struct sigaction action {};
    action.sa_handler = detail::albef_on_stop_signal;
    action.sa_flags = SA_RESTART;  // reads and writes under way go on
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &interrupt_);
    sigaction(SIGTERM, &action, &terminate_);
  }
  StopGuard(const StopGuard&) = delete;
  StopGuard& operator=(const StopGuard&) = delete;
  ~StopGuard() {
    sigaction(SIGINT, &interrupt_, nullptr);
    sigaction(SIGTERM, &terminate_, nullptr);
    detail::stop_guard_exists = false;
  }

  /// Whether a signal came; any thread may ask.
  bool stop_requested() const { return signal() != 0; }
  /// The signal that came, 0 if none did. Programs that end for it return 128 + signal.
  int signal() const { return detail::stop_signal.load(); }

 private:
  struct sigaction interrupt_ {
  }, terminate_{};
};

}  // namespace albef
