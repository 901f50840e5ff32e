// Checksums of bytes that come in pieces: XXH64, which is as fast as memory on any CPU.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace albef {

/// XXH64 with seed 0 (xxhash.com, doc/xxhash_spec.md), the value that `xxhsum -H64` prints.
class Checksum {
 public:
  void add(const void* data, std::size_t size) {
    const auto* from = static_cast<const unsigned char*>(data);
    total_ += size;
    if (held_ > 0) {
      const std::size_t taken = std::min(size, stripe - held_);
      if (taken > 0) std::memcpy(rest_.data() + held_, from, taken);
      held_ += taken, from += taken, size -= taken;
      if (held_ < stripe) return;
      mix(rest_.data(), stripe);
      held_ = 0;
    }
    const std::size_t whole = size / stripe * stripe;
    mix(from, whole);
    held_ = size - whole;
    if (held_ > 0) std::memcpy(rest_.data(), from + whole, held_);
  }

  std::uint64_t value() const {
    std::uint64_t h = lanes_[2] + p5;  // the third lane starts as the seed
    if (total_ >= stripe) {
      h = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
          std::rotl(lanes_[3], 18);
      for (const auto lane : lanes_) h = (h ^ round(0, lane)) * p1 + p4;
    }
    h += total_;
    std::size_t at = 0;
    for (; at + 8 <= held_; at += 8)
      h = std::rotl(h ^ round(0, word<std::uint64_t>(rest_.data() + at)), 27) * p1 + p4;
    if (at + 4 <= held_) {
      h = std::rotl(h ^ (word<std::uint32_t>(rest_.data() + at) * p1), 23) * p2 + p3;
      at += 4;
    }
    for (; at < held_; ++at) h = std::rotl(h ^ (rest_[at] * p5), 11) * p1;
    h = (h ^ (h >> 33)) * p2;
    h = (h ^ (h >> 29)) * p3;
    return h ^ (h >> 32);
  }

  static constexpr std::size_t digits = 16;
  /// The value as that many hexadecimal digits.
  std::string text() const {
    std::string out(digits, '0');
    auto v = value();
    for (std::size_t i = digits; i-- > 0; v >>= 4) out[i] = "0123456789abcdef"[v & 15];
    return out;
  }

 private:
  static constexpr std::size_t stripe = 32;
  static constexpr std::uint64_t p1 = 0x9E3779B185EBCA87, p2 = 0xC2B2AE3D27D4EB4F,
                                 p3 = 0x165667B19E3779F9, p4 = 0x85EBCA77C2B2AE63,
                                 p5 = 0x27D4EB2F165667C5;

  template <class T>
  static T word(const unsigned char* at) {  // of a little-endian machine, as the files are
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  static std::uint64_t round(std::uint64_t lane, std::uint64_t input) {
    return std::rotl(lane + input * p2, 31) * p1;
  }
  void mix(const unsigned char* data, std::size_t size) {
    auto [a, b, c, d] = lanes_;
    for (const auto* end = data + size; data != end; data += stripe) {
      a = round(a, word<std::uint64_t>(data));
      b = round(b, word<std::uint64_t>(data + 8));
      c = round(c, word<std::uint64_t>(data + 16));
      d = round(d, word<std::uint64_t>(data + 24));
    }
    lanes_ = {a, b, c, d};
  }

  std::array<std::uint64_t, 4> lanes_{p1 + p2, p2, 0, 0 - p1};
  std::array<unsigned char, stripe> rest_{};
  std::size_t held_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace albef
