// Counter-based random numbers (Philox4x32-10, Salmon et al., SC 2011): the same bits on every
// device, for every thread count, and after a resume.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "albef/core/compiler.hpp"

namespace albef {

/// Philox4x32-10: four 32-bit random words as a pure function of (key, stream, counter).
/// `key` is the run's seed, `stream` names the purpose (an op, a record), `counter` the position.
/// With `step`, a word in the memory of the device that draws, a stream is that of (*step, stream):
/// recorded launches can then be replayed with the numbers of another step.
struct Philox {
  std::uint64_t key = 0;
  const std::uint64_t* step = nullptr;

  /// The stream that (*step, stream) names; a kernel resolves it once and draws from Philox{key}.
  constexpr std::uint64_t resolve(std::uint64_t stream) const;

  constexpr std::array<std::uint32_t, 4> operator()(std::uint64_t stream,
                                                    std::uint64_t counter) const {
    stream = resolve(stream);
    auto c0 = static_cast<std::uint32_t>(counter), c1 = static_cast<std::uint32_t>(counter >> 32);
    auto c2 = static_cast<std::uint32_t>(stream), c3 = static_cast<std::uint32_t>(stream >> 32);
    auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
      const auto n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
      const auto n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c0 = n0, c1 = static_cast<std::uint32_t>(p1), c2 = n2, c3 = static_cast<std::uint32_t>(p0);
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return {c0, c1, c2, c3};
  }
};

/// Mixes two words into one stream name (splitmix64 finaliser), e.g. (epoch, record index).
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a * 0x9E3779B97F4A7C15ull + b + 0x632BE59BD9B4E019ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

constexpr std::uint64_t Philox::resolve(std::uint64_t stream) const {
  return step ? mix(*step, stream) : stream;
}

/// A sequential reader of one Philox stream; its whole state is (seed, stream, position).
class RandomStream {
 public:
  constexpr RandomStream(std::uint64_t seed, std::uint64_t stream)
      : philox_{seed}, stream_(stream) {}

  constexpr std::uint32_t bits() {
    if (position_ % 4 == 0) block_ = philox_(stream_, position_ / 4);
    return block_[position_++ % 4];
  }
  /// Uniform in [0, 1) with 24 bits.
  constexpr float uniform() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }
  constexpr float uniform(float low, float high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [0, n), n > 0 (multiply-shift; bias below n / 2^32).
  constexpr int below(int n) {
    return static_cast<int>((static_cast<std::uint64_t>(bits()) * static_cast<std::uint64_t>(n)) >>
                            32);
  }
  constexpr bool bernoulli(float p) { return uniform() < p; }
  /// Standard normal (Box-Muller, two words a value).
  float normal() {
    const float u = static_cast<float>((bits() >> 8) + 1) * 0x1p-24f, v = uniform();  // u in (0,1]
    return std::sqrt(-2.0f * std::log(u)) * std::cos(6.283185307f * v);
  }

 private:
  Philox philox_;
  std::uint64_t stream_;
  std::uint64_t position_ = 0;
  std::array<std::uint32_t, 4> block_{};
};

/// An event of probability p happens when a uniform 32-bit word is below this; p in [0, 1).
constexpr std::uint32_t dropout_threshold(float p) {
  return static_cast<std::uint32_t>(static_cast<double>(p) * 0x1p32);
}

}  // namespace albef
