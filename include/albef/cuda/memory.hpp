// Memory of the CUDA backend: allocation, and copies; uploads go through pinned memory and overlap
// with kernels. Plain C++.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "albef/core/readback.hpp"
#include "albef/cuda/device.hpp"

namespace albef {

inline void* allocate_bytes(Cuda& cuda, std::size_t bytes) { return cuda.allocate(bytes); }
inline void release_bytes(Cuda&, void* p, std::size_t) { cudaFree(p); }
inline void fill_zero(Cuda& cuda, void* p, std::size_t bytes) {
  if (bytes) check(cudaMemsetAsync(p, 0, bytes, cuda.stream()), "clearing memory");
}

namespace detail {

/// Pinned host memory.
class Pinned {
 public:
  explicit Pinned(std::size_t bytes) {
    const cudaError_t status = cudaMallocHost(&data_, bytes);
    require(status != cudaErrorMemoryAllocation, "[cuda] the host has no ", gibibytes(bytes),
            " of memory to pin");
    check(status, "pinning host memory");
  }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { cudaFreeHost(data_); }
  std::byte* data() const { return static_cast<std::byte*>(data_); }

 private:
  void* data_ = nullptr;
};

class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "creating an event"); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }
  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "recording an event"); }
  /// The host waits for what was queued before the last record().
  void wait() { check(cudaEventSynchronize(event_), "running the queued work"); }
  /// What `stream` is given from now on waits.
  void hold(cudaStream_t stream) {
    check(cudaStreamWaitEvent(stream, event_), "ordering two streams");
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// The way of uploads. The host copies into one of two pinned halves while the GPU still reads the
/// other. Small pieces go straight to their place, in the order of the stream. Large ones cross the
/// bus on a stream of their own into device memory, while kernels queued earlier still run, and
/// only the short last copy waits for those.
class Uploads {
 public:
  explicit Uploads(Cuda& cuda) : cuda_(cuda) {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
  }
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;
  ~Uploads() {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
    for (Half& h : large_) cudaFree(h.device);
  }

  void operator()(std::byte* to, const std::byte* from, std::size_t bytes) {
    require(!cuda_.capturing(), "[cuda] an upload cannot be recorded: do it before");
    if (bytes <= small_limit) return copy_small(to, from, bytes);
    for (std::size_t at = 0; at < bytes; at += large_size)
      copy_large(to + at, from + at, std::min(large_size, bytes - at));
  }

 private:
  static constexpr std::size_t small_limit = std::size_t{64} << 10;
  static constexpr std::size_t small_size = std::size_t{1} << 20,
                               large_size = std::size_t{16} << 20;

  struct Half {
    std::unique_ptr<Pinned> host;
    void* device = nullptr;
    std::size_t used = 0;
    Event read, placed;  // the host side may be written again; the device side may
    bool busy = false;
  };

  void copy_small(std::byte* to, const std::byte* from, std::size_t bytes) {
    const std::size_t room = (bytes + 15) / 16 * 16;
    if (small_[small_now_].used + room > small_size) {
      small_[small_now_].read.record(cuda_.stream());
      small_[small_now_].busy = true;
      small_now_ ^= 1;
      small_[small_now_].used = 0;
      if (small_[small_now_].busy) small_[small_now_].read.wait();
    }
    Half& half = small_[small_now_];
    if (!half.host) half.host = std::make_unique<Pinned>(small_size);
    std::byte* const staged = half.host->data() + half.used;
    std::memcpy(staged, from, bytes);
    half.used += room;
    check(cudaMemcpyAsync(to, staged, bytes, cudaMemcpyHostToDevice, cuda_.stream()), "uploading");
  }

  void copy_large(std::byte* to, const std::byte* from, std::size_t bytes) {
    Half& half = large_[large_now_ ^= 1];
    if (!half.host) {
      half.host = std::make_unique<Pinned>(large_size);
      half.device = cuda_.allocate(large_size);
    }
    if (half.busy) {
      half.read.wait();
      half.placed.hold(stream_);
    }
    std::memcpy(half.host->data(), from, bytes);
    check(cudaMemcpyAsync(half.device, half.host->data(), bytes, cudaMemcpyHostToDevice, stream_),
          "uploading");
    half.read.record(stream_);
    half.read.hold(cuda_.stream());
    check(cudaMemcpyAsync(to, half.device, bytes, cudaMemcpyDeviceToDevice, cuda_.stream()),
          "placing an upload");
    half.placed.record(cuda_.stream());
    half.busy = true;
  }

  Cuda& cuda_;
  cudaStream_t stream_ = nullptr;
  Half small_[2], large_[2];
  int small_now_ = 0, large_now_ = 0;
};

}  // namespace detail

/// Queues the upload of n host values, which may change as soon as the call returns.
template <class T>
void copy_to_device(Cuda& cuda, T* to, const T* from, std::int64_t n) {
  if (n)
    cuda.state<detail::Uploads>()(reinterpret_cast<std::byte*>(to),
                                  reinterpret_cast<const std::byte*>(from),
                                  static_cast<std::size_t>(n) * sizeof(T));
}
/// Waits for all queued work, then for the copy.
template <class T>
void copy_to_host(Cuda& cuda, T* to, const T* from, std::int64_t n) {
  if (!n) return;
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(n) * sizeof(T), cudaMemcpyDeviceToHost,
                        cuda.stream()),
        "reading values back");
  cuda.synchronize();
}
template <class T>
void copy_on_device(Cuda& cuda, T* to, const T* from, std::int64_t n) {
  if (!n) return;
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(n) * sizeof(T), cudaMemcpyDeviceToDevice,
                        cuda.stream()),
        "copying on the GPU");
}
/// Values on their way into pinned memory; see core/readback.hpp.
template <class T>
class Readback<Cuda, T> {
 public:
  static constexpr bool deferred = true;

  Readback(Cuda& cuda, int capacity)
      : cuda_(cuda), capacity_(static_cast<std::size_t>(capacity)), pinned_(capacity_ * sizeof(T)) {
    values_.reserve(capacity_);
  }
  ~Readback() { cudaStreamSynchronize(cuda_.stream()); }

  void clear() { count_ = 0; }
  void fetch(const T* from) {
    require(count_ < capacity_, "[readback] more than ", capacity_, " values");
    check(cudaMemcpyAsync(pinned_.data() + count_++ * sizeof(T), from, sizeof(T),
                          cudaMemcpyDeviceToHost, cuda_.stream()),
          "reading a value back");
  }
  void close() { arrived_.record(cuda_.stream()); }
  const std::vector<T>& wait() {
    arrived_.wait();
    values_.resize(count_);
    if (count_) std::memcpy(values_.data(), pinned_.data(), count_ * sizeof(T));
    return values_;
  }

 private:
  Cuda& cuda_;
  std::size_t capacity_, count_ = 0;
  detail::Pinned pinned_;
  detail::Event arrived_;
  std::vector<T> values_;
};

}  // namespace albef
