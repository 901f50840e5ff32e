// The feature queues of momentum contrast: past features of images and texts as extra negatives.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "albef/core/memory.hpp"
#include "albef/core/rng.hpp"
#include "albef/core/tensor.hpp"

namespace albef {

/// Two ring buffers of `size` normalised features (size, width), filled with random unit vectors
/// at first (model_pretrain.py:79-84). Any size, 0 included; a batch may wrap around the end or be
/// larger than the queue. (Official checkpoints hold the transpose, (width, size).) Beside each
/// feature stands the identity of its image where the task knows it (model_retrieval.py).
template <class Device, class Real>
class FeatureQueue {
 public:
  FeatureQueue(Device& device, int size, int width, std::uint64_t seed = 42)
      : device_(device),
        size_(size),
        width_(width),
        image_(device, std::int64_t{size} * width),
        text_(device, std::int64_t{size} * width),
        identities_(device, size) {
    const std::vector<std::int64_t> none(static_cast<std::size_t>(size), no_identity);
    copy_to_device(device_, identities_.data(), none.data(), size);
    initialize(image_, RandomStream(seed, 0x1a6e));
    initialize(text_, RandomStream(seed, 0x7e37));
  }

  int size() const { return size_; }
  int width() const { return width_; }
  int pointer() const { return pointer_; }
  void set_pointer(int p) { pointer_ = p; }
  Mat<Real> image() const { return mat(image_.data(), size_, width_); }
  Mat<Real> text() const { return mat(text_.data(), size_, width_); }
  /// (size); no_identity where none is known.
  std::int64_t* identities() const { return identities_.data(); }
  static constexpr std::int64_t no_identity = -100;

  /// Lists the queues under their official names, in the official shape (width, size); identities
  /// only where some are known.
  void named(auto&& f) {
    f.transposed("image_queue", image());
    f.transposed("text_queue", text());
    f.number("queue_ptr", pointer_, std::max(1, size_));
    auto& identities = f("idx_queue", identities_.data(), {1, size_});
    identities.saved = identities.required = false;
    std::vector<std::int64_t> known(static_cast<std::size_t>(size_));
    copy_to_host(device_, known.data(), static_cast<const std::int64_t*>(identities_.data()),
                 size_);
    for (const std::int64_t i : known)
      if (i != no_identity) identities.saved = true;
  }
  /// Takes over the features of a checkpoint's queues, of unknown identity; false and unchanged if
  /// it has none of this size.
  bool start_from(const auto& file) {
    const auto* image = file.find("image_queue");
    const auto* text = file.find("text_queue");
    const std::vector<std::int64_t> shape{width_, size_};
    if (!image || !text || image->shape != shape || text->shape != shape) return false;
    for (const auto& [entry, to] : {std::pair{image, image_.data()}, {text, text_.data()}}) {
      const auto rows = transposed(file.template read<Real>(*entry), width_, size_);
      copy_to_device(device_, to, rows.data(), static_cast<std::int64_t>(rows.size()));
    }
    return true;
  }

  /// Replaces the oldest features by those of a batch, (B, width) each. Call it after the backward
  /// pass, which still reads the old content. identities: (B) on the device, or null: theirs
  /// stay as they are.
  void push(Mat<const Real> image, Mat<const Real> text, const std::int64_t* identities = nullptr) {
    if (size_ == 0) return;
    for (int from = std::max(0, image.rows - size_); from < image.rows;) {
      const int n = std::min(image.rows - from, size_ - pointer_);
      const std::int64_t count = std::int64_t{n} * width_;
      copy_on_device(device_, image_.data() + std::int64_t{pointer_} * width_, image.row(from),
                     count);
      copy_on_device(device_, text_.data() + std::int64_t{pointer_} * width_, text.row(from),
                     count);
      if (identities) copy_on_device(device_, identities_.data() + pointer_, identities + from, n);
      pointer_ = (pointer_ + n) % size_;
      from += n;
    }
  }

 private:
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

  Device& device_;
  int size_, width_, pointer_ = 0;
  Buffer<Device, Real> image_, text_;
  Buffer<Device, std::int64_t> identities_;
};

}  // namespace albef
