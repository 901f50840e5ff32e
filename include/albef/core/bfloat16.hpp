// The 16-bit brain float, and which number type accompanies an activation type.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#define ALBEF_HOST_DEVICE __host__ __device__
#else
#define ALBEF_HOST_DEVICE
#endif

namespace albef {

/// The upper half of a float: 8 bits of exponent, 7 of mantissa. A storage type: arithmetic is done
/// in float. The same type for every compiler; its bits are those of __nv_bfloat16.
struct alignas(2) bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN.
  ALBEF_HOST_DEVICE explicit bfloat16(float x) {
#if defined(__CUDA_ARCH__)
    bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
    const auto word = std::bit_cast<std::uint32_t>(x);
    const bool nan = (word & 0x7FFFFFFFu) > 0x7F800000u;
    bits = static_cast<std::uint16_t>(nan ? word >> 16 | 0x40u
                                          : (word + 0x7FFFu + (word >> 16 & 1u)) >> 16);
#endif
  }
  ALBEF_HOST_DEVICE explicit bfloat16(double x) : bfloat16(static_cast<float>(x)) {}
  ALBEF_HOST_DEVICE explicit bfloat16(int x) : bfloat16(static_cast<float>(x)) {}
  ALBEF_HOST_DEVICE operator float() const {
#if defined(__CUDA_ARCH__)
    return __uint_as_float(static_cast<unsigned>(bits) << 16);
#else
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
#endif
  }
};
static_assert(sizeof(bfloat16) == 2 && std::is_trivially_copyable_v<bfloat16>);

/// The type of sums, statistics, losses, scale factors and parameter gradients that go with
/// activations and weights of type T: float for bfloat16, else T itself.
template <class T>
struct Accumulator {
  using type = T;
};
template <>
struct Accumulator<bfloat16> {
  using type = float;
};
template <class T>
using accumulator_t = typename Accumulator<T>::type;

}  // namespace albef
