// Device memory: an owning buffer, the step arena (mark/rewind) and the pool gradients live in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"

namespace albef {

/// Owning device memory for `size` values of T, zero-filled. The device provides
/// allocate_bytes(device, n), release_bytes(device, p, n) and fill_zero(device, p, n).
template <class Device, class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, std::int64_t size) : device_(&device), size_(size) {
    if (size == 0) return;
    data_ = static_cast<T*>(allocate_bytes(device, bytes()));
    fill_zero(device, data_, bytes());
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~Buffer() {
    if (data_) release_bytes(*device_, data_, bytes());
  }

  T* data() const { return data_; }
  std::int64_t size() const { return size_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  Device* device_ = nullptr;
  T* data_ = nullptr;
  std::int64_t size_ = 0;
};

inline constexpr std::size_t arena_alignment = 64;

constexpr std::size_t aligned_size(std::size_t bytes) {
  return (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
}

/// Bump allocator for one step. Grows by whole chunks while it learns the step's size; reset()
/// then merges them into one chunk, so that later steps allocate nothing and addresses repeat.
template <class Device>
class Arena {
 public:
  struct Mark {
    std::size_t chunk = 0, used = 0;
  };

  explicit Arena(Device& device) : device_(device) {}

  /// `count` uninitialised values of T, 64-byte aligned, valid until rewind or reset.
  template <class T>
  T* take(std::int64_t count) {
    return static_cast<T*>(take_bytes(aligned_size(static_cast<std::size_t>(count) * sizeof(T))));
  }

  Mark mark() const { return at_; }
  void rewind(Mark m) { at_ = m; }
  void reset() {
    if (chunks_.size() > 1) {
      const std::size_t total = capacity();
      chunks_.clear();
      chunks_.emplace_back(device_, static_cast<std::int64_t>(total));
    }
    at_ = {};
  }
  /// Gives all memory back to the device.
  void release() {
    chunks_.clear();
    at_ = {};
  }
  std::size_t capacity() const {
    std::size_t total = 0;
    for (const auto& c : chunks_) total += c.bytes();
    return total;
  }

 private:
  [[gnu::noinline]] void* take_bytes(std::size_t bytes) {
    while (at_.chunk < chunks_.size() && at_.used + bytes > chunks_[at_.chunk].bytes())
      at_ = {at_.chunk + 1, 0};
    if (at_.chunk == chunks_.size()) {
      const std::size_t size = std::max(bytes, std::max(first_chunk, capacity() / 2));
      chunks_.emplace_back(device_, static_cast<std::int64_t>(size));
    }
    std::byte* p = chunks_[at_.chunk].data() + at_.used;
    at_.used += bytes;
    return p;
  }

  static constexpr std::size_t first_chunk = std::size_t{1} << 20;
  Device& device_;
  std::vector<Buffer<Device, std::byte>> chunks_;
  Mark at_;
};

/// First-fit pool for gradients, which are freed in another order than they are taken. Memory
/// comes in regions that are kept; freed neighbours are joined.
template <class Device>
class GradientPool {
 public:
  explicit GradientPool(Device& device) : device_(device) {
    free_.reserve(4096);
    regions_.reserve(64);
  }

  void* take(std::size_t bytes) {
    bytes = block_size(bytes);
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->size < bytes) continue;
      std::byte* p = it->data;
      it->data += bytes;
      it->size -= bytes;
      if (it->size == 0) free_.erase(it);
      return p;
    }
    const std::size_t size = std::max({bytes, first_region, capacity() / 2});
    regions_.emplace_back(device_, static_cast<std::int64_t>(size));
    std::byte* p = regions_.back().data();
    if (size > bytes) put(p + bytes, size - bytes);
    return p;
  }
  void give_back(void* p, std::size_t bytes) { put(static_cast<std::byte*>(p), block_size(bytes)); }
  /// Frees everything; several regions become one of their total size.
  void reset() {
    if (regions_.size() > 1) {
      const std::size_t total = capacity();
      regions_.clear();
      regions_.emplace_back(device_, static_cast<std::int64_t>(total));
    }
    free_.clear();
    for (auto& r : regions_) free_.push_back({r.data(), r.bytes()});
  }
  /// Gives all memory back to the device.
  void release() {
    regions_.clear();
    free_.clear();
  }
  std::size_t capacity() const {
    std::size_t total = 0;
    for (const auto& r : regions_) total += r.bytes();
    return total;
  }

 private:
  static constexpr std::size_t first_region = std::size_t{1} << 20;
  struct Block {
    std::byte* data;
    std::size_t size;
  };
  /// No bytes take a block too, so that free blocks are never empty.
  static constexpr std::size_t block_size(std::size_t bytes) {
    return aligned_size(std::max<std::size_t>(bytes, 1));
  }

  void put(std::byte* p, std::size_t size) {
    auto next = std::lower_bound(free_.begin(), free_.end(), p,
                                 [](const Block& b, const std::byte* q) { return b.data < q; });
    const bool joins_next = next != free_.end() && p + size == next->data;
    if (next != free_.begin() && std::prev(next)->data + std::prev(next)->size == p) {
      auto before = std::prev(next);
      before->size += size + (joins_next ? next->size : 0);
      if (joins_next) free_.erase(next);
    } else if (joins_next) {
      next->data = p;
      next->size += size;
    } else {
      free_.insert(next, {p, size});
    }
  }

  Device& device_;
  std::vector<Buffer<Device, std::byte>> regions_;
  std::vector<Block> free_;
};

}  // namespace albef
