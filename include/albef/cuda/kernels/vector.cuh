// What all kernels share: rows and sequences of the argument structs, several values a thread.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "albef/core/matrix.hpp"
#include "albef/core/precision.hpp"
#include "albef/core/sequences.hpp"
#include "albef/cuda/device.cuh"

namespace albef::gpu {

inline constexpr int warp_size = 32;
inline constexpr unsigned all_lanes = 0xFFFFFFFFu;

/// For device code, which may use constants of the host but not its functions.
template <class A>
inline constexpr A infinity = std::numeric_limits<A>::infinity();
template <class A>
inline constexpr A lowest = std::numeric_limits<A>::lowest();

/// How many values of T a thread moves with one 16-byte access.
template <class T>
inline constexpr int vector_width = 16 / static_cast<int>(sizeof(T));

constexpr std::int64_t blocks_for(std::int64_t items, std::int64_t per_block) {
  return (items + per_block - 1) / per_block;
}

// Members of Mat and Sequences for device code, which may only call __device__ functions.
template <class T>
__device__ __forceinline__ T* row_of(const Mat<T>& m, std::int64_t i) {
  return m.data + i * m.stride;
}
template <class T>
__device__ __forceinline__ Mat<const T> read_only(const Mat<T>& m) {
  return {m.data, m.rows, m.cols, m.stride};
}
__device__ __forceinline__ int sequence_begin(const Sequences& s, int i) {
  return s.offsets ? s.offsets[i] : i * s.uniform;
}
__device__ __forceinline__ int sequence_length(const Sequences& s, int i) {
  return s.offsets ? s.offsets[i + 1] - s.offsets[i] : s.uniform;
}

/// N values in the number type kernels calculate with.
template <class A, int N>
struct Values {
  A v[N];
  __device__ __forceinline__ A& operator[](int i) { return v[i]; }
  __device__ __forceinline__ const A& operator[](int i) const { return v[i]; }
};

/// N values as they lie in memory, moved in pieces of at most 16 bytes.
template <class T, int N>
struct Raw {
  static constexpr int piece = N < vector_width<T> ? N : vector_width<T>;
  struct alignas(sizeof(T) * piece) Piece {
    T v[piece];
  };
  Piece pieces[N / piece];

  __device__ __forceinline__ static Raw read(const T* p) {
    Raw r;
#pragma unroll
    for (int i = 0; i < N / piece; ++i)
      r.pieces[i] = *reinterpret_cast<const Piece*>(p + i * piece);
    return r;
  }
  __device__ __forceinline__ void write(T* p) const {
#pragma unroll
    for (int i = 0; i < N / piece; ++i) *reinterpret_cast<Piece*>(p + i * piece) = pieces[i];
  }
  __device__ __forceinline__ Values<accumulator_t<T>, N> values() const {
    Values<accumulator_t<T>, N> x;
#pragma unroll
    for (int i = 0; i < N; ++i)
      x[i] = static_cast<accumulator_t<T>>(pieces[i / piece].v[i % piece]);
    return x;
  }
  template <class A>
  __device__ __forceinline__ static Raw rounded(const Values<A, N>& x) {
    Raw r;
#pragma unroll
    for (int i = 0; i < N; ++i) r.pieces[i / piece].v[i % piece] = static_cast<T>(x[i]);
    return r;
  }
};

/// N consecutive values; p is a multiple of min(16 bytes, N values).
template <int N, class T>
__device__ __forceinline__ auto load(const T* p) {
  return Raw<std::remove_const_t<T>, N>::read(p).values();
}
template <class A, int N, class T>
__device__ __forceinline__ void store(T* p, const Values<A, N>& x) {
  Raw<T, N>::rounded(x).write(p);
}
/// *p = x + beta * *p, never reading when beta is 0.
template <class A, int N, class T>
__device__ __forceinline__ void store_with_beta(T* p, Values<A, N> x, accumulator_t<T> beta) {
  if (beta != 0) {
    const auto old = load<N>(p);
#pragma unroll
    for (int k = 0; k < N; ++k) x[k] += beta * old[k];
  }
  store(p, x);
}
template <class T>
__device__ __forceinline__ void store_with_beta(T* p, accumulator_t<T> x, accumulator_t<T> beta) {
  *p = static_cast<T>(beta == 0 ? x : x + beta * static_cast<accumulator_t<T>>(*p));
}

/// Whether rows of every matrix may be read N values of it at a time.
template <class T>
bool rows_aligned(const Mat<T>& m, int n) {
  const auto bytes = static_cast<std::uintptr_t>(n) * sizeof(T);
  const auto unit = bytes < 16 ? bytes : 16;
  return reinterpret_cast<std::uintptr_t>(m.data) % unit == 0 &&
         static_cast<std::uintptr_t>(m.stride) * sizeof(T) % unit == 0 && m.cols % n == 0;
}
template <class T>
bool row_aligned(const T* p, int n) {
  const auto bytes = static_cast<std::uintptr_t>(n) * sizeof(T);
  return reinterpret_cast<std::uintptr_t>(p) % (bytes < 16 ? bytes : 16) == 0;
}

}  // namespace albef::gpu

namespace albef::detail {
using namespace gpu;  // the kernels of the library
}
