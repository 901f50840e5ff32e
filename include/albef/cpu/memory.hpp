// Memory primitives of the CPU backend; large blocks ask for huge pages.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "albef/cpu/device.hpp"

namespace albef {

inline void* allocate_bytes(Cpu&, std::size_t bytes) {
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  const std::size_t alignment = bytes >= huge_page ? huge_page : 64;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  void* p = rounded <= most - huge_page ? std::aligned_alloc(alignment, rounded) : nullptr;
  if (!p) detail::out_of_memory(bytes);
  if (alignment == huge_page) madvise(p, rounded, MADV_HUGEPAGE);  // a wish; failure is harmless
  return p;
}
inline void release_bytes(Cpu&, void* p, std::size_t) { std::free(p); }
inline void fill_zero(Cpu&, void* p, std::size_t bytes) { std::memset(p, 0, bytes); }

template <class T>
void copy_to_device(Cpu&, T* to, const T* from, std::int64_t n) {
  if (n) std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
}
template <class T>
void copy_to_host(Cpu&, T* to, const T* from, std::int64_t n) {
  if (n) std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
}
template <class T>
void copy_on_device(Cpu& cpu, T* to, const T* from, std::int64_t n) {
  cpu.for_blocks(n, 1 << 16, [=](std::int64_t begin, std::int64_t end) {
    std::memcpy(to + begin, from + begin, static_cast<std::size_t>(end - begin) * sizeof(T));
  });
}

}  // namespace albef
