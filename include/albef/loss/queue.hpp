// The feature queues of momentum contrast: past features of images and texts as extra negatives.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/memory.hpp"
#include "albef/core/primitives/tokens.hpp"
#include "albef/core/rng.hpp"
#include "albef/core/tensor.hpp"

namespace albef {

/// Two ring buffers of `size` normalised features (size, width), filled with random unit vectors
/// at first (model_pretrain.py:79-84). Any size, 0 included; a batch may wrap around the end or be
/// larger than the queue. (Official checkpoints hold the transpose, (width, size).) Beside each
/// feature stands the identity of its image where the task knows it (model_retrieval.py). Features
/// are collected pass by pass and enter the queue at the end of a step, if it changes anything.
template <class Device, class Real>
class FeatureQueue {
 public:
  FeatureQueue(Device& device, int size, int width, std::uint64_t seed = 42)
      : device_(device),
        size_(size),
        width_(width),
        image_(device, std::int64_t{size} * width),
        text_(device, std::int64_t{size} * width),
        identities_(device, size),
        pointer_(device, 1) {
    const std::vector<std::int64_t> none(static_cast<std::size_t>(size), no_identity);
    copy_to_device(device_, identities_.data(), none.data(), size);
    initialize(image_, RandomStream(seed, 0x1a6e));
    initialize(text_, RandomStream(seed, 0x7e37));
  }

  int size() const { return size_; }
  int width() const { return width_; }
  /// Where the next features go; waits for the device.
  int pointer() const {
    std::int64_t at = 0;
    copy_to_host(device_, &at, static_cast<const std::int64_t*>(pointer_.data()), 1);
    return static_cast<int>(at);
  }
  void set_pointer(int p) {
    const std::int64_t at = p;
    copy_to_device(device_, pointer_.data(), &at, 1);
  }
  Mat<Real> image() const { return mat(image_.data(), size_, width_); }
  Mat<Real> text() const { return mat(text_.data(), size_, width_); }
  /// (size); no_identity where none is known.
  std::int64_t* identities() const { return identities_.data(); }
  static constexpr std::int64_t no_identity = -100;

  /// Lists the queues under their official names, in the official shape (width, size); identities
  /// only where some are known.
  void named(auto&& f) {
    f.transposed(image_name, image());
    f.transposed(text_name, text());
    f.number("queue_ptr", pointer_.data(), std::max(1, size_));
    auto& identities = f("idx_queue", identities_.data(), {1, size_});
    identities.saved = identities.required = false;
    std::vector<std::int64_t> known(static_cast<std::size_t>(size_));
    copy_to_host(device_, known.data(), static_cast<const std::int64_t*>(identities_.data()),
                 size_);
    for (const std::int64_t i : known)
      if (i != no_identity) identities.saved = true;
  }
  /// Takes over the features of a checkpoint's queues, of unknown identity; false and unchanged if
  /// it has none of this size. Error, and unchanged, if one is not finite.
  bool start_from(const auto& file) {
    if (!can_start_from(file)) return false;
    for (const auto& [name, to] :
         {std::pair{image_name, image_.data()}, {text_name, text_.data()}}) {
      const auto rows = transposed(file.template read<Real>(*file.find(name)), width_, size_);
      copy_to_device(device_, to, rows.data(), static_cast<std::int64_t>(rows.size()));
    }
    return true;
  }
  /// What start_from() returns or throws, with nothing changed.
  bool can_start_from(const auto& file) const {
    const std::vector<std::int64_t> shape{width_, size_};
    for (const char* name : {image_name, text_name}) {
      const auto* entry = file.find(name);
      if (!entry || entry->shape != shape) return false;
    }
    for (const char* name : {image_name, text_name}) {
      const auto values = file.template read<Real>(*file.find(name));
      for (std::size_t i = 0; i < values.size(); ++i)
        require(std::isfinite(values[i]), file.path(), ": tensor '", name, "' has the value ",
                values[i], " at ", i, ", expected finite ones");
    }
    return true;
  }

  /// Keeps the features of a batch, (B, width) each, for the end of the step. Call it after the
  /// backward pass. identities: (B) on the device, or null: those in the queue stay as they are.
  void collect(Mat<const Real> image, Mat<const Real> text,
               const std::int64_t* identities = nullptr) {
    const int rows = std::min(image.rows, size_), first = image.rows - rows;
    if (rows == 0) return;
    collected_.reserve(device_, collected_rows_, rows, width_);
    const std::int64_t at = collected_rows_ * width_, count = std::int64_t{rows} * width_;
    copy_on_device(device_, collected_.image.data() + at, image.row(first), count);
    copy_on_device(device_, collected_.text.data() + at, text.row(first), count);
    identified_ = identities != nullptr;
    if (identified_)
      copy_on_device(device_, collected_.identities.data() + collected_rows_, identities + first,
                     rows);
    collected_rows_ += rows;
  }
  /// Replaces the oldest features by those collected since; by none where *square_norm, a word of
  /// the device, is infinite or NaN.
  void commit(const double* square_norm = nullptr) {
    const std::int64_t kept = std::min<std::int64_t>(collected_rows_, size_);
    const std::int64_t left_out = collected_rows_ - kept;
    collected_rows_ = 0;
    if (kept == 0) return;
    const auto advance = [&](std::int64_t rows) {
      run(device_, primitive::AdvanceRing{pointer_.data(), rows, size_, square_norm});
    };
    const auto push = [&]<class T>(const Buffer<Device, T>& from, const Buffer<Device, T>& to,
                                   int width) {
      run(device_,
          primitive::PushRows<T>{mat(static_cast<const T*>(from.data()) + left_out * width,
                                     static_cast<int>(kept), width),
                                 mat(to.data(), size_, width), pointer_.data(), square_norm});
    };
    if (left_out > 0) advance(left_out);
    push(collected_.image, image_, width_);
    push(collected_.text, text_, width_);
    if (identified_) push(collected_.identities, identities_, 1);
    advance(kept);
  }
  /// Both: a batch enters the queue at once.
  void push(Mat<const Real> image, Mat<const Real> text, const std::int64_t* identities = nullptr) {
    collect(image, text, identities);
    commit();
  }

 private:
  static constexpr const char *image_name = "image_queue", *text_name = "text_queue";

  void initialize(Buffer<Device, Real>& buffer, RandomStream random) {
    std::vector<Real> row(static_cast<std::size_t>(width_));
    for (int i = 0; i < size_; ++i) {
      double square = 0;
      for (auto& v : row) {
        v = static_cast<Real>(random.normal());
        square += static_cast<double>(v) * static_cast<double>(v);
      }
      for (auto& v : row) v = static_cast<Real>(static_cast<double>(v) / std::sqrt(square));
      copy_to_device(device_, buffer.data() + std::int64_t{i} * width_, row.data(), width_);
    }
  }

  /// Features of a step; grows to the largest step.
  struct Collected {
    Buffer<Device, Real> image, text;
    Buffer<Device, std::int64_t> identities;

    /// Room for `more` rows behind those there are.
    void reserve(Device& device, std::int64_t rows, std::int64_t more, std::int64_t width) {
      if (rows + more <= identities.size()) return;
      const auto grow = [&](auto& buffer, std::int64_t columns) {
        auto larger = std::remove_cvref_t<decltype(buffer)>(device, (rows + more) * columns);
        if (rows > 0)
          copy_on_device(
              device, larger.data(),
              static_cast<const std::remove_pointer_t<decltype(larger.data())>*>(buffer.data()),
              rows * columns);
        buffer = std::move(larger);
      };
      grow(image, width), grow(text, width), grow(identities, 1);
    }
  };

  Device& device_;
  int size_, width_;
  Buffer<Device, Real> image_, text_;
  Buffer<Device, std::int64_t> identities_, pointer_;
  Collected collected_;
  std::int64_t collected_rows_ = 0;
  bool identified_ = false;
};

}  // namespace albef
