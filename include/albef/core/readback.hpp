// Values that the device will know soon, read by the host later, without waiting in between.
#pragma once

#include <cstdint>
#include <vector>

namespace albef {

/// Up to `capacity` values on their way from the device to the host: fetch() queues the copy of one
/// value behind the work queued so far, wait() returns when all have arrived. Devices whose work is
/// done when a call returns use this form, which copies at once; others specialise it.
template <class Device, class T>
class Readback {
 public:
  static constexpr bool deferred = false;  ///< values are there when fetch() returns

  Readback(Device& device, int capacity) : device_(device) {
    values_.reserve(static_cast<std::size_t>(capacity));
  }
  void clear() { values_.clear(); }
  void fetch(const T* from) {
    values_.push_back({});
    copy_to_host(device_, &values_.back(), from, 1);
  }
  /// Marks the end of a series of fetches.
  void close() {}
  /// The fetched values, in order.
  const std::vector<T>& wait() { return values_; }

 private:
  Device& device_;
  std::vector<T> values_;
};

}  // namespace albef
