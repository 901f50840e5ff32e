// The tensor-core instructions of the emulation, from their definition in the PTX ISA.
#pragma once

#include <cmath>
#include <cstdint>

#include "albef/core/bfloat16.hpp"
#include "albef/cuda/device.cuh"

namespace albef::detail {

// Copies happen when they are waited for, so that whoever reads too early sees old values; in
// reversed order at once, so that whoever still needs the old ones loses them.
inline void copy_async(bfloat16* to, const bfloat16* from, bool valid) {
  const auto copy = [=] {
    for (int i = 0; i < 8; ++i) to[i] = valid ? from[i] : bfloat16(0);
  };
  if (simt::machine.reversed)
    copy();
  else
    simt::machine.current().copies.push_back(copy);
}
inline void copy_group() {
  auto& f = simt::machine.current();
  f.groups.push_back(std::move(f.copies));
  f.copies.clear();
}
template <int Pending>
void copy_wait() {
  auto& groups = simt::machine.current().groups;
  while (groups.size() > Pending) {
    for (const auto& copy : groups.front()) copy();
    groups.erase(groups.begin());
  }
}

inline std::uint32_t pair_of(bfloat16 low, bfloat16 high) {
  return low.bits | std::uint32_t{high.bits} << 16;
}
inline float half_of(std::uint32_t pair, unsigned half) {
  return bfloat16(__uint_as_float(half ? pair & 0xFFFF0000u : pair << 16));
}

inline void load_blocks(std::uint32_t (&r)[4], const bfloat16* row) {
  const auto rows = simt::machine.exchange(row);
  const unsigned g = simt::machine.lane() / 4, c = simt::machine.lane() % 4;
  for (unsigned i = 0; i < 4; ++i) {
    const auto* p = simt::machine.value_of<const bfloat16*>(rows, i * 8 + g);
    r[i] = pair_of(p[2 * c], p[2 * c + 1]);
  }
}
inline void load_blocks_transposed(std::uint32_t (&r)[4], const bfloat16* row) {
  const auto rows = simt::machine.exchange(row);
  const unsigned g = simt::machine.lane() / 4, c = simt::machine.lane() % 4;
  for (unsigned i = 0; i < 4; ++i)
    r[i] = pair_of(simt::machine.value_of<const bfloat16*>(rows, i * 8 + 2 * c)[g],
                   simt::machine.value_of<const bfloat16*>(rows, i * 8 + 2 * c + 1)[g]);
}

inline void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                         std::uint32_t b1) {
  struct Factors {
    std::uint32_t a[4], b[2];
  };
  const auto all = simt::machine.exchange(Factors{{a[0], a[1], a[2], a[3]}, {b0, b1}});
  const unsigned lane = simt::machine.lane();
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
    for (unsigned k = 0; k < 16; ++k) {
      const auto x = simt::machine.value_of<Factors>(all, row % 8 * 4 + k % 8 / 2);
      const auto y = simt::machine.value_of<Factors>(all, col * 4 + k % 8 / 2);
      c[i] += half_of(x.a[row / 8 + k / 8 * 2], k % 2) * half_of(y.b[k / 8], k % 2);
    }
  }
}

inline std::uint32_t pack_bf16(float low, float high) {
  return pair_of(bfloat16(low), bfloat16(high));
}
inline float fast_exp2(float x) { return std::exp2(x); }

}  // namespace albef::detail
