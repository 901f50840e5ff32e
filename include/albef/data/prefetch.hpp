// Worker threads that prepare numbered items ahead of time and hand them out in order.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"

namespace albef {

/// Items first, first + 1, ... are produced by worker threads into a ring of reused slots, at most
/// `depth` ahead of the reader, which gets them in order. Without workers each item is produced
/// when it is asked for. One reader.
template <class Slot>
class Prefetcher {
 public:
  /// Fills a slot with item `number`; the slot holds what was left of an older item. Called by
  /// several threads at once, never with the same `worker` or the same slot.
  using Produce = std::function<void(std::int64_t number, int worker, Slot& slot)>;

  Prefetcher(int workers, int depth, Produce produce)
      : produce_(std::move(produce)), workers_(workers) {
    require(workers >= 0, "workers is ", workers, ", expected at least 0");
    require(depth > 0, "prefetch is ", depth, ", expected at least 1");
    cells_.resize(static_cast<std::size_t>(depth));
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  ~Prefetcher() { stop(); }

  /// Starts at item `first`; no item from `end` on is produced. Throws SystemError, with no thread
  /// left, if the system refuses one.
  void start(std::int64_t first, std::int64_t end = std::numeric_limits<std::int64_t>::max()) {
    stop();
    for (Cell& cell : cells_) cell.ready = false, cell.error = nullptr;
    claimed_ = delivered_ = released_ = first;
    end_ = end;
    try {
      for (int worker = 0; worker < workers_; ++worker)
        threads_.emplace_back([this, worker](const std::stop_token& stop) { work(stop, worker); });
    } catch (const std::system_error& error) {
      const std::size_t started = threads_.size();
      stop();
      throw SystemError(concat("worker thread ", started + 1, " of ", workers_,
                               " cannot be started: ", error.code().message(),
                               " (a limit of processes, ulimit -u, or of memory)"));
    }
  }
  bool started() const { return end_ != 0; }

  /// The next item, valid until the next call. Rethrows what its production threw; the item after
  /// it can still be asked for. Waits for ever beyond the last item.
  Slot& next() {
    if (workers_ == 0) {
      produce_(delivered_++, 0, cells_.front().slot);
      return cells_.front().slot;
    }
    std::unique_lock lock(mutex_);
    released_ = delivered_;  // the reader is done with the slot it had
    freed_.notify_all();
    Cell& cell = cell_of(delivered_);
    produced_.wait(lock, [&] { return cell.ready; });
    cell.ready = false;
    ++delivered_;
    if (cell.error) std::rethrow_exception(std::exchange(cell.error, nullptr));
    return cell.slot;
  }

  /// Ends the threads; items under way are finished and dropped.
  void stop() {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();  // joins
    end_ = 0;
  }

 private:
  struct Cell {
    Slot slot{};
    bool ready = false;
    std::exception_ptr error;
  };

  Cell& cell_of(std::int64_t number) {
    return cells_[static_cast<std::size_t>(number) % cells_.size()];
  }

  void work(const std::stop_token& stop, int worker) {
    std::unique_lock lock(mutex_);
    const auto room = [&] {
      return claimed_ < end_ && claimed_ < released_ + static_cast<std::int64_t>(cells_.size());
    };
    while (freed_.wait(lock, stop, room) && !stop.stop_requested()) {
      const std::int64_t number = claimed_++;
      Cell& cell = cell_of(number);
      lock.unlock();
      std::exception_ptr error;
      try {
        produce_(number, worker, cell.slot);
      } catch (...) { error = std::current_exception(); }
      lock.lock();
      cell.error = std::move(error);
      cell.ready = true;
      produced_.notify_one();
    }
  }

  Produce produce_;
  int workers_;
  std::vector<Cell> cells_;
  std::mutex mutex_;  // guards what follows, and ready and error of the cells
  std::condition_variable_any freed_;
  std::condition_variable produced_;
  std::int64_t claimed_ = 0;    // next item to be produced
  std::int64_t delivered_ = 0;  // next item to be handed out
  std::int64_t released_ = 0;   // slots of the items before this one are free
  std::int64_t end_ = 0;        // 0: not started
  std::vector<std::jthread> threads_;
};

}  // namespace albef
