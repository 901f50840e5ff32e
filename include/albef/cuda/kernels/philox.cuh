// Philox and dropout factors in device code: the bits of core/rng.hpp.
#pragma once

#include <cstdint>

#include "albef/core/rng.hpp"
#include "albef/cuda/kernels/vector.cuh"

namespace albef::detail {

/// The four words of one counter.
struct PhiloxWords {
  std::uint32_t w[4];
};

__device__ __forceinline__ PhiloxWords philox_words(std::uint64_t key, std::uint64_t stream,
                                                    std::uint64_t counter) {
  auto c0 = static_cast<std::uint32_t>(counter), c1 = static_cast<std::uint32_t>(counter >> 32);
  auto c2 = static_cast<std::uint32_t>(stream), c3 = static_cast<std::uint32_t>(stream >> 32);
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
    const std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const std::uint32_t n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c0 = n0, c1 = static_cast<std::uint32_t>(p1), c2 = n2, c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Word i of the four without an indexed register array.
__device__ __forceinline__ std::uint32_t word_of(const PhiloxWords& p, int i) {
  const std::uint32_t low = i & 1 ? p.w[1] : p.w[0], high = i & 1 ? p.w[3] : p.w[2];
  return i & 2 ? high : low;
}

/// mix of core/rng.hpp in device code.
__device__ __forceinline__ std::uint64_t device_mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a * 0x9E3779B97F4A7C15ull + b + 0x632BE59BD9B4E019ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}
/// Philox::resolve in device code.
__device__ __forceinline__ std::uint64_t resolve_stream(const Philox& philox,
                                                        std::uint64_t stream) {
  return philox.step ? device_mix(*philox.step, stream) : stream;
}

/// The factors of a dropout layer: element e of its stream becomes 0 iff its word is below
/// `threshold`, else it is multiplied by `scale`.
struct DropoutFactors {
  Philox philox;
  std::uint64_t stream = 0;
  std::uint32_t threshold = 0;  // 0: nothing is dropped
  double scale = 1;             // 1 / (1 - p), rounded in the number type the kernel works with

  /// For kernels that calculate in A.
  template <class A>
  static DropoutFactors of(const Philox& philox, std::uint64_t stream, float p) {
    if (!(p > 0)) return {};
    return {philox, stream, dropout_threshold(p),
            static_cast<double>(A(1) / (A(1) - static_cast<A>(p)))};
  }

  /// The same with the stream of this step: once per thread, before the first words().
  __device__ __forceinline__ DropoutFactors resolved() const {
    DropoutFactors d = *this;
    d.stream = resolve_stream(philox, stream);
    return d;
  }
  __device__ __forceinline__ PhiloxWords words(std::uint64_t counter) const {
    return philox_words(philox.key, stream, counter);
  }
  template <class A>
  __device__ __forceinline__ A apply(std::uint32_t word, A x) const {
    return word < threshold ? A(0) : x * static_cast<A>(scale);
  }
  /// x times the factors of the elements first ... first + N - 1; `first` is a multiple of N or 4.
  template <class A, int N>
  __device__ __forceinline__ void apply(std::uint64_t first, Values<A, N>& x) const {
    constexpr int step = N < 4 ? N : 4;
#pragma unroll
    for (int k = 0; k < N; k += step) {
      const std::uint64_t e = first + static_cast<std::uint64_t>(k);
      const PhiloxWords p = words(e / 4);
#pragma unroll
      for (int j = 0; j < step; ++j) {
        const std::uint32_t w = N < 4 ? word_of(p, static_cast<int>(e % 4) + j) : p.w[j];
        x[k + j] = apply(w, x[k + j]);
      }
    }
  }
};

/// Element number of the first value of row i: rows start at whole counters.
__device__ __forceinline__ std::uint64_t dropout_element(int row, int cols, int col) {
  return static_cast<std::uint64_t>(row) * static_cast<std::uint64_t>((cols + 3) / 4 * 4) +
         static_cast<std::uint64_t>(col);
}

}  // namespace albef::detail
