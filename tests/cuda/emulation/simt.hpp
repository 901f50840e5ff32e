// Runs device code on the host, so that kernels are tested where there is no GPU: every thread of a
// block is a fiber, barriers and warp exchanges switch between them. Blocks run one after another.
// A barrier that some threads never reach, or a warp exchange without all 32 lanes, is an error, as
// are results that depend on the order in which threads run (set `reversed` and compare).
#pragma once

#include <cmath>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include <ucontext.h>

// ---- the words of CUDA C++
// ------------------------------------------------------------------------
#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __grid_constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#pragma GCC diagnostic ignored "-Wunknown-pragmas"  // #pragma unroll

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr explicit dim3(unsigned i = 1, unsigned j = 1, unsigned k = 1) : x(i), y(j), z(k) {}
};
inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace simt {

enum class Wait { none, block, warp, done };

struct Fiber {
  ucontext_t start;
  std::jmp_buf at;
  std::unique_ptr<char[]> stack;
  dim3 index;
  Wait wait = Wait::none;
  bool started = false;
  unsigned exchanges = 0;                                  // warp exchanges so far
  std::vector<std::function<void()>> copies;               // asynchronous copies not yet committed
  std::vector<std::vector<std::function<void()>>> groups;  // committed, not yet waited for
};

/// The slots of a warp through which lanes exchange values, two sets used in turn.
struct Warp {
  alignas(16) unsigned char slots[2][32][64];
};

class Machine {
 public:
  bool reversed = false;  ///< order of threads and blocks

  void run(dim3 grid, dim3 block, std::size_t shared, const std::function<void()>& kernel) {
    const std::int64_t blocks = std::int64_t{grid.x} * grid.y * grid.z;
    gridDim = grid, blockDim = block;
    kernel_ = &kernel;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const auto i = static_cast<std::uint64_t>(reversed ? blocks - 1 - b : b);
      blockIdx = dim3(static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                      static_cast<unsigned>(i / grid.x / grid.y));
      dynamic_shared.assign(shared + 16, 0xFF);  // NaN in every format
      run_block(block);
    }
  }

  std::vector<unsigned char> dynamic_shared;
  Fiber& current() { return fibers_[current_]; }
  unsigned lane() const { return static_cast<unsigned>(current_ % 32); }

  void wait(Wait kind) {
    Fiber& f = current();
    f.wait = kind;
    if (!_setjmp(f.at)) _longjmp(scheduler_, 1);
  }
  /// Gives every lane's value to the warp; the result holds those of all lanes until the exchange
  /// after the next.
  template <class T>
  const unsigned char (*exchange(const T& value))[64] {
    static_assert(sizeof(T) <= 64);
    Warp& warp = warps_[current_ / 32];
    auto& slots = warp.slots[current().exchanges++ % 2];
    std::memcpy(slots[current_ % 32], &value, sizeof(T));
    wait(Wait::warp);
    return slots;
  }
  template <class T>
  T value_of(const unsigned char (*slots)[64], unsigned lane) {
    T x;
    std::memcpy(&x, slots[lane % 32], sizeof(T));
    return x;
  }
  /// Whether `value` holds in any thread of the block.
  bool any_in_block(bool value) {
    if (value) any_ = true;
    wait(Wait::block);
    const bool result = any_;
    wait(Wait::block);
    any_ = false;
    wait(Wait::block);
    return result;
  }

 private:
  static constexpr std::size_t stack_bytes = 256 * 1024;

  static void enter();

  [[noreturn]] static void stop(const char* what) {
    std::fprintf(stderr, "emulated kernel, block (%u, %u, %u): %s\n", blockIdx.x, blockIdx.y,
                 blockIdx.z, what);
    std::abort();
  }

  void run_block(dim3 block) {
    const std::size_t count = std::size_t{block.x} * block.y * block.z;
    if (count % 32 != 0) stop("a block is not a whole number of warps");
    if (fibers_.size() < count) fibers_.resize(count);
    warps_.resize(count / 32);
    for (std::size_t i = 0; i < count; ++i) {
      Fiber& f = fibers_[i];
      const auto n = static_cast<unsigned>(i);
      f.index = dim3(n % block.x, n / block.x % block.y, n / block.x / block.y);
      f.wait = Wait::none;
      f.exchanges = 0;
    }
    for (;;) {
      for (std::size_t k = 0; k < count; ++k) {
        const std::size_t i = reversed ? count - 1 - k : k;
        if (fibers_[i].wait == Wait::none) resume(i);
      }
      if (!release(count)) return;
    }
  }
  /// Opens the barriers that all have reached; false when the block is done.
  bool release(std::size_t count) {
    bool progress = false;
    std::size_t at_block = 0, done = 0;
    for (std::size_t w = 0; w < count / 32; ++w) {
      std::size_t at_warp = 0, finished = 0;
      for (std::size_t i = w * 32; i < w * 32 + 32; ++i) {
        at_warp += fibers_[i].wait == Wait::warp;
        finished += fibers_[i].wait == Wait::done;
        at_block += fibers_[i].wait == Wait::block;
      }
      done += finished;
      if (at_warp == 0) continue;
      if (at_warp != 32) stop("a warp exchange without all lanes");
      for (std::size_t i = w * 32; i < w * 32 + 32; ++i) fibers_[i].wait = Wait::none;
      progress = true;
    }
    if (done == count) return false;
    if (progress) return true;
    if (at_block != count) stop("a barrier that not all threads of the block reach");
    for (std::size_t i = 0; i < count; ++i) fibers_[i].wait = Wait::none;
    return true;
  }
  void resume(std::size_t i) {
    Fiber& f = fibers_[i];
    current_ = i;
    threadIdx = f.index;
    if (_setjmp(scheduler_)) return;
    if (f.started) _longjmp(f.at, 1);
    f.started = true;
    if (!f.stack) f.stack = std::make_unique<char[]>(stack_bytes);
    getcontext(&f.start);
    f.start.uc_stack.ss_sp = f.stack.get();
    f.start.uc_stack.ss_size = stack_bytes;
    f.start.uc_link = nullptr;
    makecontext(&f.start, &Machine::enter, 0);
    setcontext(&f.start);
  }

  std::vector<Fiber> fibers_;
  std::vector<Warp> warps_;
  std::size_t current_ = 0;
  const std::function<void()>* kernel_ = nullptr;
  std::jmp_buf scheduler_;
  bool any_ = false;
};

inline Machine machine;

/// A fiber lives on from block to block and from kernel to kernel.
inline void Machine::enter() {
  for (;;) {
    (*machine.kernel_)();
    Fiber& f = machine.current();
    if (!f.copies.empty() || !f.groups.empty()) stop("asynchronous copies are not waited for");
    machine.wait(Wait::done);
  }
}

}  // namespace simt

// ---- built-in functions
// -----------------------------------------------------------------------------
inline void __syncthreads() { simt::machine.wait(simt::Wait::block); }
inline int __syncthreads_or(int x) { return simt::machine.any_in_block(x != 0); }
inline void __syncwarp(unsigned = 0xFFFFFFFFu) { simt::machine.wait(simt::Wait::warp); }
template <class T>
T __shfl_sync(unsigned, T x, int lane) {
  return simt::machine.value_of<T>(simt::machine.exchange(x), static_cast<unsigned>(lane));
}
template <class T>
T __shfl_xor_sync(unsigned, T x, int mask) {
  const auto slots = simt::machine.exchange(x);
  return simt::machine.value_of<T>(slots, simt::machine.lane() ^ static_cast<unsigned>(mask));
}
template <class T>
T __shfl_up_sync(unsigned, T x, unsigned distance) {
  const auto slots = simt::machine.exchange(x);
  const unsigned lane = simt::machine.lane();
  return lane < distance ? x : simt::machine.value_of<T>(slots, lane - distance);
}
inline unsigned __ballot_sync(unsigned, bool x) {
  const auto slots = simt::machine.exchange(x);
  unsigned result = 0;
  for (unsigned l = 0; l < 32; ++l) result |= unsigned{simt::machine.value_of<bool>(slots, l)} << l;
  return result;
}
struct float2 {
  float x, y;
};
inline float __uint_as_float(unsigned x) {
  float y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int min(int a, int b) { return b < a ? b : a; }
inline int max(int a, int b) { return a < b ? b : a; }
