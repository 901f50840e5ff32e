// The losses of training passes on their way from the device to the host.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/readback.hpp"

namespace albef {

/// Losses of a pass by name, on the host, and the temperature it used (NaN where there is none).
struct PassLosses {
  std::vector<std::pair<std::string_view, double>> values;
  double temperature = std::numeric_limits<double>::quiet_NaN();

  bool finite() const {
    for (const auto& [name, value] : values)
      if (!std::isfinite(value)) return false;
    return true;
  }
};

/// Losses of passes that were started, in order. Each pass is open(), fetch() for every loss,
/// close(); finish() returns the earliest that was not yet asked for.
template <class Device, class T>
class LossReadings {
 public:
  /// Whether a device works on while the host does: the losses of a pass are best asked for after
  /// the next one was started, and one that is not finite has been used by then.
  static constexpr bool deferred = Readback<Device, T>::deferred;

  explicit LossReadings(Device& device) : device_(device) {}

  void open() {
    if (started_ - finished_ == ring_.size()) grow();
    current_ = ring_[started_++ % ring_.size()].get();
    current_->values.clear();
    current_->names.clear();
    current_->temperature = false;
  }
  /// A loss on the device; null: the pass has no such loss.
  void fetch(std::string_view name, const T* loss) {
    if (!loss) return;
    current_->names.push_back(name);
    current_->values.fetch(loss);
  }
  /// The temperature on the device, behind all losses.
  void fetch_temperature(const T* temperature) {
    current_->temperature = true;
    current_->values.fetch(temperature);
  }
  /// Ends a pass's series. False if a value is known not to be finite.
  bool close() {
    current_->values.close();
    if constexpr (!deferred)
      for (const T value : current_->values.wait())
        if (!std::isfinite(value)) return false;
    return true;
  }
  /// Waits for the losses of the earliest pass that was not yet asked for.
  void finish(PassLosses& losses) {
    require(started_ > finished_, "[losses] no pass was started");
    Reading& reading = *ring_[finished_++ % ring_.size()];
    const auto& values = reading.values.wait();
    losses = {std::move(losses.values)};
    losses.values.clear();
    for (std::size_t i = 0; i < reading.names.size(); ++i)
      losses.values.emplace_back(reading.names[i], static_cast<double>(values[i]));
    if (reading.temperature) losses.temperature = static_cast<double>(values.back());
  }

  /// Nobody will ask for the passes that were started.
  void forget() { finished_ = started_; }

 private:
  static constexpr int max_values = 5;

  struct Reading {
    explicit Reading(Device& device) : values(device, max_values) {}
    Readback<Device, T> values;
    std::vector<std::string_view> names;
    bool temperature = false;
  };

  /// One more place in the ring, all of which is waited for.
  void grow() {
    const std::size_t first = ring_.empty() ? 0 : finished_ % ring_.size();
    std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(first), ring_.end());
    started_ -= finished_;
    finished_ = 0;
    ring_.push_back(std::make_unique<Reading>(device_));
  }

  Device& device_;
  std::vector<std::unique_ptr<Reading>> ring_;
  std::size_t started_ = 0, finished_ = 0;
  Reading* current_ = nullptr;
};

}  // namespace albef
