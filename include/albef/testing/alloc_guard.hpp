// Counts heap allocations in a scope, to show that warm code makes none. Including this header
// replaces the global operator new and delete of the whole program by ones that count, so include
// it in tests only. (The definitions are weak: several files of a program may include it.)
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace albef {
namespace detail {

inline std::atomic<std::int64_t> heap_allocations{0}, heap_bytes{0};

inline void* counted_allocation(std::size_t size, std::size_t alignment) noexcept {
  heap_allocations.fetch_add(1, std::memory_order_relaxed);
  heap_bytes.fetch_add(static_cast<std::int64_t>(size), std::memory_order_relaxed);
  const std::size_t n = size ? size : 1;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(n);
  return std::aligned_alloc(alignment, (n + alignment - 1) / alignment * alignment);
}
inline void* counted_or_throw(std::size_t size, std::size_t alignment) {
  void* p = counted_allocation(size, alignment);
  if (!p) throw std::bad_alloc();
  return p;
}

}  // namespace detail

/// Allocations made by all threads of the program through operator new since construction. What
/// calls malloc itself is not seen: arenas (see Context::memory) and C libraries.
///   AllocGuard guard; step(); CHECK(guard.allocations() == 0);
class AllocGuard {
 public:
  std::int64_t allocations() const { return detail::heap_allocations - allocations_; }
  std::int64_t bytes() const { return detail::heap_bytes - bytes_; }

 private:
  std::int64_t allocations_ = detail::heap_allocations, bytes_ = detail::heap_bytes;
};

}  // namespace albef

// Replacements of the global functions, all forms: they pair with one another, never with those of
// the standard library or a sanitizer.
// NOLINTBEGIN(misc-definitions-in-headers)
[[gnu::weak]] void* operator new(std::size_t n) { return albef::detail::counted_or_throw(n, 0); }
[[gnu::weak]] void* operator new[](std::size_t n) { return albef::detail::counted_or_throw(n, 0); }
[[gnu::weak]] void* operator new(std::size_t n, std::align_val_t a) {
  return albef::detail::counted_or_throw(n, static_cast<std::size_t>(a));
}
[[gnu::weak]] void* operator new[](std::size_t n, std::align_val_t a) {
  return albef::detail::counted_or_throw(n, static_cast<std::size_t>(a));
}
[[gnu::weak]] void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  return albef::detail::counted_allocation(n, 0);
}
[[gnu::weak]] void* operator new[](std::size_t n, const std::nothrow_t&) noexcept {
  return albef::detail::counted_allocation(n, 0);
}
[[gnu::weak]] void* operator new(std::size_t n, std::align_val_t a,
                                 const std::nothrow_t&) noexcept {
  return albef::detail::counted_allocation(n, static_cast<std::size_t>(a));
}
[[gnu::weak]] void* operator new[](std::size_t n, std::align_val_t a,
                                   const std::nothrow_t&) noexcept {
  return albef::detail::counted_allocation(n, static_cast<std::size_t>(a));
}
[[gnu::weak]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::weak]] void operator delete[](void* p) noexcept { std::free(p); }
[[gnu::weak]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::weak]] void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
[[gnu::weak]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::weak]] void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::weak]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}
[[gnu::weak]] void operator delete[](void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}
[[gnu::weak]] void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
[[gnu::weak]] void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }
[[gnu::weak]] void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept {
  std::free(p);
}
[[gnu::weak]] void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept {
  std::free(p);
}
// NOLINTEND(misc-definitions-in-headers)
