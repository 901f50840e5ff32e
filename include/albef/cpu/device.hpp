// The CPU device: a pool of persistent worker threads and grow-only scratch memory.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/number.hpp"
#include "albef/core/processor.hpp"

namespace albef {
namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void out_of_memory(std::size_t bytes) {
  const auto pages = static_cast<std::size_t>(std::max(0L, ::sysconf(_SC_AVPHYS_PAGES)));
  const auto page = static_cast<std::size_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
  throw OutOfMemory(concat("not enough memory: ", gibibytes(bytes), " more are needed, ",
                           gibibytes(pages * page), " are free"));
}

}  // namespace detail

/// Handle of the CPU backend. Create one, pass it to every context; it owns `threads - 1` workers
/// (the calling thread is the remaining one). Not copyable; one parallel region at a time.
/// Work is split so that results do not depend on the number of threads.
class Cpu {
 public:
  static constexpr bool host_memory = true;  ///< the host reads and writes this device's memory
  /// `threads` = 0 takes the ALBEF_THREADS environment variable or all hardware threads. Error for
  /// another number than 1 to most_threads, and if the system has no more threads. A program on a
  /// processor without the instructions that it was built for ends here, with a sentence.
  explicit Cpu(int threads = 0) {
    if (threads == 0) threads = threads_wished();
    require(threads >= 1 && threads <= most_threads, "Cpu: ", threads, " threads, expected 1 to ",
            most_threads);
    scratch_.resize(static_cast<std::size_t>(threads));
    workers_.reserve(scratch_.size());
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
    } catch (const std::system_error& error) {
      const std::size_t made = workers_.size() + 1;
      end_workers();
      fail("Cpu: the system has no more than ", made, " of ", threads,
           " threads for this process (", error.what(), "): ask for fewer");
    }
  }
  Cpu(const Cpu&) = delete;
  Cpu& operator=(const Cpu&) = delete;
  ~Cpu() { end_workers(); }

  static constexpr int most_threads = 4096;
  /// Convolutions unfold as many values at once: what stays in the cache until it is used.
  static constexpr std::int64_t unfold_values = std::int64_t{1} << 19;

  int threads() const { return static_cast<int>(scratch_.size()); }

  /// Runs f(thread) once on every thread, thread in [0, threads()); returns when all are done. What
  /// f throws first is thrown on.
  template <class F>
  void run(F&& f) {
    if (workers_.empty()) return f(0);
    level_scratch();
    job_ = [](void* context, int thread) {
      (*static_cast<std::remove_reference_t<F>*>(context))(thread);
    };
    context_ = const_cast<void*>(static_cast<const void*>(&f));
    pending_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
    call_job(0);
    for (int spins = 0; pending_.load(std::memory_order_acquire) != 0; ++spins)
      spins < spin_limit ? relax() : std::this_thread::yield();
    if (failed_.load(std::memory_order_relaxed)) [[unlikely]] {
      failed_ = false;
      std::rethrow_exception(std::exchange(error_, nullptr));
    }
  }

  /// Calls f(i) for every i in [0, count), handing indices out dynamically. f(i) may use
  /// scratch(thread) through f(i, thread).
  template <class F>
  void for_each(std::int64_t count, F&& f) {
    const auto call = [&](std::int64_t i, int thread) {
      if constexpr (std::is_invocable_v<F&, std::int64_t, int>)
        f(i, thread);
      else
        f(i);
    };
    if (workers_.empty() || count <= 1) {
      for (std::int64_t i = 0; i < count; ++i) call(i, 0);
      return;
    }
    std::atomic<std::int64_t> next{0};
    run([&](int thread) {
      for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;)
        call(i, thread);
    });
  }

  /// Calls f(begin, end) over consecutive blocks of at most `grain` indices covering [0, count).
  /// The blocks depend on `grain` alone, never on the number of threads.
  template <class F>
  void for_blocks(std::int64_t count, std::int64_t grain, F&& f) {
    const std::int64_t blocks = (count + grain - 1) / grain;
    for_each(blocks, [&](std::int64_t b) {
      const std::int64_t begin = b * grain, end = begin + grain < count ? begin + grain : count;
      f(begin, end);
    });
  }

  /// At least `count` elements of thread-private memory, 64-byte aligned, uninitialised; valid
  /// until the next call for the same thread. Grows only, so a warm step allocates nothing.
  template <class T>
  T* scratch(int thread, std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    std::size_t needed = scratch_needed_.load(std::memory_order_relaxed);
    while (needed < bytes && !scratch_needed_.compare_exchange_weak(needed, bytes)) {}
    return static_cast<T*>(scratch_[static_cast<std::size_t>(thread)].get(bytes));
  }
  /// The same, shared by all threads of a parallel region: ask for it before the region.
  template <class T>
  T* shared_scratch(std::size_t count) {
    return static_cast<T*>(shared_.get(count * sizeof(T)));
  }

 private:
  /// The first member, so that nothing of the device is made before with what the processor lacks.
  struct Processor {
    Processor() { detail::require_processor(); }
  };

  // About a tenth of a millisecond: longer than the gaps between the regions of a step, so that
  // workers rarely sleep within one.
  static constexpr int spin_limit = 2000;
  static void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }

  struct alignas(64) Buffer {
    struct Free {
      void operator()(void* p) const { ::operator delete (p, std::align_val_t{64}); }
    };
    std::unique_ptr<void, Free> data;
    std::size_t size = 0;
    void* get(std::size_t bytes) {
      if (bytes > size) {
        data.reset();
        size = 0;
        data.reset(::operator new (bytes, std::align_val_t{64}, std::nothrow));
        if (!data) detail::out_of_memory(bytes);
        size = bytes;
      }
      return data.get();
    }
  };

  /// Which thread gets which index varies from run to run, so all buffers grow to what one of them
  /// needed: a warm step finds its memory however the work is shared out.
  void level_scratch() {
    const std::size_t needed = scratch_needed_.load(std::memory_order_relaxed);
    if (needed == scratch_level_) return;
    for (Buffer& b : scratch_) b.get(needed);
    scratch_level_ = needed;
  }

  static int threads_wished() {
    const char* wish = std::getenv("ALBEF_THREADS");
    if (!wish || !*wish) return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    const auto threads = to_whole<int>(wish);
    require(threads && *threads >= 1 && *threads <= most_threads, "ALBEF_THREADS is '", wish,
            "', expected a number from 1 to ", most_threads);
    return *threads;
  }
  void end_workers() {
    stop_ = true;
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
    for (auto& w : workers_) w.join();
    workers_.clear();
  }
  void call_job(int thread) noexcept {
    try {
      job_(context_, thread);
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
  }
  void work(int thread) {
    std::uint32_t seen = 0;
    for (;;) {
      for (int spins = 0; epoch_.load(std::memory_order_acquire) == seen; ++spins)
        spins < spin_limit ? relax() : epoch_.wait(seen, std::memory_order_acquire);
      ++seen;
      if (stop_) return;
      call_job(thread);
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  [[no_unique_address]] Processor processor_;
  std::vector<Buffer> scratch_;
  std::atomic<std::size_t> scratch_needed_{0};  // the largest request so far
  std::size_t scratch_level_ = 0;               // what every thread has at least
  Buffer shared_;
  std::vector<std::thread> workers_;
  std::atomic<std::uint32_t> epoch_{0};
  std::atomic<int> pending_{0};
  std::atomic<bool> stop_{false}, failed_{false};
  std::exception_ptr error_;  // the first of a parallel region, which set failed_
  void (*job_)(void*, int) = nullptr;
  void* context_ = nullptr;
};

/// "4 threads"
inline std::string describe(const Cpu& cpu) { return concat(cpu.threads(), " threads"); }

}  // namespace albef
