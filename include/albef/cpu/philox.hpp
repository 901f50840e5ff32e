// Many Philox words at a time: the same bits as core/rng.hpp, several counters per instruction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "albef/core/rng.hpp"
#include "albef/cpu/simd.hpp"

namespace albef {
namespace detail {

/// Philox of one counter per 64-bit lane; each of c0 ... c3 holds 32 bits in 64.
struct PhiloxLanes {
  using Lanes = Pack<double>::Bits;
  static constexpr int count = Pack<double>::width;
  Lanes c0, c1, c2, c3;

  template <int... I>
  PhiloxLanes(std::uint64_t stream, std::uint64_t counter, std::integer_sequence<int, I...>) {
    const Lanes counters = Lanes{} + counter + Lanes{I...};
    c0 = counters & low, c1 = counters >> 32;
    c2 = Lanes{} + (stream & low), c3 = Lanes{} + (stream >> 32);
  }
  [[gnu::always_inline]] void round(std::uint32_t k0, std::uint32_t k1) {
    const Lanes p0 = multiply_low_halves(c0, Lanes{} + 0xD2511F53ull),
                p1 = multiply_low_halves(c2, Lanes{} + 0xCD9E8D57ull);
    c0 = (p1 >> 32) ^ c1 ^ std::uint64_t{k0};
    c2 = (p0 >> 32) ^ c3 ^ std::uint64_t{k1};
    c1 = p1 & low, c3 = p0 & low;
  }
  /// The four words of every counter, in order (little endian).
  template <int... I>
  void store(std::uint32_t* out, std::integer_sequence<int, I...>) const {
    const Lanes front = c0 | c1 << 32, back = c2 | c3 << 32;
    const Lanes first = __builtin_shufflevector(front, back, (I / 2 + I % 2 * count)...);
    const Lanes second = __builtin_shufflevector(front, back, ((count + I) / 2 + I % 2 * count)...);
    std::memcpy(out, &first, sizeof first);
    std::memcpy(out + 2 * count, &second, sizeof second);
  }

 private:
  static constexpr std::uint64_t low = 0xFFFFFFFFull;
};

/// Counters computed together: two registers of lanes hide the latency of the multiplications.
inline constexpr int philox_counters = 2 * PhiloxLanes::count;

/// The words of `philox_counters` consecutive counters, four per counter.
inline void philox_block(const Philox& philox, std::uint64_t stream, std::uint64_t counter,
                         std::uint32_t* out) {
  constexpr auto lanes = std::make_integer_sequence<int, PhiloxLanes::count>{};
  PhiloxLanes a(stream, counter, lanes), b(stream, counter + PhiloxLanes::count, lanes);
  auto k0 = static_cast<std::uint32_t>(philox.key);
  auto k1 = static_cast<std::uint32_t>(philox.key >> 32);
  for (int round = 0; round < 10; ++round) {
    a.round(k0, k1);
    b.round(k0, k1);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  a.store(out, lanes);
  b.store(out + 4 * PhiloxLanes::count, lanes);
}

}  // namespace detail

/// Calls f(words, i, count) for consecutive pieces of the elements [first, first + n) of a stream:
/// words[0..count) are those of elements first + i ..., element e being word e % 4 of counter e
/// / 4. f may read one float pack past `count`.
template <class F>
void philox_words(const Philox& philox, std::uint64_t stream, std::uint64_t first, int n, F&& f) {
  constexpr int block = 4 * detail::philox_counters;
  std::uint32_t words[block + Pack<float>::width] = {};
  stream = philox.resolve(stream);
  int skip = static_cast<int>(first % 4);
  std::uint64_t counter = first / 4;
  for (int i = 0; i < n; counter += detail::philox_counters) {
    detail::philox_block(philox, stream, counter, words);
    const int count = std::min(block - skip, n - i);
    f(static_cast<const std::uint32_t*>(words + skip), i, count);
    i += count;
    skip = 0;
  }
}

/// out[i] = 0 where the word of element first + i is below dropout_threshold(p), else 1 / (1 - p);
/// p in [0, 1).
template <class T>
void dropout_scale(const Philox& philox, std::uint64_t stream, std::uint64_t first, T* out, int n,
                   float p) {
  const std::uint32_t threshold = dropout_threshold(p);
  const T scale = T(1) / (T(1) - static_cast<T>(p));
  philox_words(philox, stream, first, n, [&](const std::uint32_t* words, int i, int count) {
    using P = Pack<float>;
    if constexpr (sizeof(T) == 4) {
      for (int j = 0; j < count; j += P::width) {
        P::Bits w;
        std::memcpy(&w, words + j, sizeof w);
        const P::Mask kept = w >= P::Bits{} + threshold;
        select(kept, P(scale), P(0.0f)).store_n(out + i + j, count - j);
      }
    } else {
      for (int j = 0; j < count; ++j) out[i + j] = words[j] < threshold ? T(0) : scale;
    }
  });
}

}  // namespace albef
