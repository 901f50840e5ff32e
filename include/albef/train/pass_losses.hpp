// The losses and metrics of training passes on their way from the device to the host.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/readback.hpp"
#include "albef/train/objective.hpp"

namespace albef {

/// Losses and metrics of a pass by name, on the host.
struct PassLosses {
  std::vector<std::pair<std::string_view, double>> losses;  ///< "loss" first, then its parts
  std::vector<std::pair<std::string_view, double>> metrics;

  /// The loss or metric called `name`; Error if there is none.
  double at(std::string_view name) const {
    for (const auto* list : {&losses, &metrics})
      for (const auto& [n, value] : *list)
        if (n == name) return value;
    fail("[losses] there is no '", name, "'");
  }
};

/// Losses of passes that were started, in order. Each pass is start(); finish() returns the
/// earliest that was not yet asked for.
template <class Device, class T>
class LossReadings {
 public:
  /// Whether a device works on while the host does: the losses of a pass are best asked for after
  /// the next one was started.
  static constexpr bool deferred = Readback<Device, T>::deferred;

  explicit LossReadings(Device& device) : device_(device) {}

  /// Fetches what an objective gave.
  void start(const Losses<T>& losses) {
    if (started_ - finished_ == ring_.size()) grow();
    Reading& reading = *ring_[started_++ % ring_.size()];
    reading.values.clear();
    reading.entries.assign(losses.entries().begin(), losses.entries().end());
    for (const auto& entry : reading.entries) reading.values.fetch(entry.value);
    reading.values.close();
  }
  /// Waits for the losses of the earliest pass that was not yet asked for.
  void finish(PassLosses& out) {
    require(started_ > finished_, "[losses] no pass was started");
    Reading& reading = *ring_[finished_++ % ring_.size()];
    const auto& values = reading.values.wait();
    out.losses.clear();
    out.metrics.clear();
    for (std::size_t i = 0; i < reading.entries.size(); ++i) {
      const auto& entry = reading.entries[i];
      (entry.is_loss ? out.losses : out.metrics)
          .emplace_back(entry.name, static_cast<double>(values[i]));
    }
  }

  /// Nobody will ask for the passes that were started.
  void forget() { finished_ = started_; }

 private:
  struct Reading {
    explicit Reading(Device& device) : values(device, static_cast<int>(Losses<T>::capacity)) {
      entries.reserve(Losses<T>::capacity);
    }
    Readback<Device, T> values;
    std::vector<typename Losses<T>::Entry> entries;
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
};

}  // namespace albef
