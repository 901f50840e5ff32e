// Memory primitives of the emulation: the host's memory.
#pragma once

#include <cstdlib>
#include <cstring>

#include "albef/cuda/device.cuh"

namespace albef {

inline void* allocate_bytes(Cuda&, std::size_t bytes) {
  void* p = nullptr;  // of exactly this size, for address sanitizers
  require(posix_memalign(&p, 256, bytes) == 0, "no memory");
  return p;
}
inline void release_bytes(Cuda&, void* p, std::size_t) { std::free(p); }
inline void fill_zero(Cuda&, void* p, std::size_t bytes) { std::memset(p, 0, bytes); }
template <class T>
void copy_to_device(Cuda&, T* to, const T* from, std::int64_t n) {
  std::copy_n(from, n, to);
}
template <class T>
void copy_to_host(Cuda&, T* to, const T* from, std::int64_t n) {
  std::copy_n(from, n, to);
}
template <class T>
void copy_on_device(Cuda&, T* to, const T* from, std::int64_t n) {
  std::copy_n(from, n, to);
}

}  // namespace albef
