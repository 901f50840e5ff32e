// Tensor-core instructions of compute capability 8.0 as functions: asynchronous copies to shared
// memory, 8 x 8 blocks from shared memory to registers, and the 16 x 8 x 16 bf16 product.
//
// Registers of a product, lane = 4 g + c (PTX ISA, "mma.m16n8k16"): element i of the result is
// (row g + 8 (i / 2), column 2 c + i % 2). Each 32-bit register of a factor holds two neighbouring
// values along the summed dimension: a[i] those of row g + 8 (i % 2) from 2 c + 8 (i / 2) on, b[i]
// those of column g from 2 c + 8 i on.
#pragma once

#include <cstdint>

#include "albef/core/bfloat16.hpp"
#include "albef/cuda/device.cuh"

namespace albef::detail {

/// Starts copying 16 bytes to shared memory; `valid` false: writes zeros and does not read `from`.
__device__ __forceinline__ void copy_async(bfloat16* to, const bfloat16* from, bool valid) {
  const auto place = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(place), "l"(from), "r"(bytes)
               : "memory");
}
/// Copies started since the last call form a group.
__device__ __forceinline__ void copy_group() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}
/// Waits until at most the last `Pending` groups of this thread are under way.
template <int Pending>
__device__ __forceinline__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(Pending) : "memory");
}

/// Four 8 x 8 blocks: lane l gives the address of row l % 8 of block l / 8 and gets, of every
/// block, columns 2 c and 2 c + 1 of row g.
__device__ __forceinline__ void load_blocks(std::uint32_t (&r)[4], const bfloat16* row) {
  const auto place = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(place)
               : "memory");
}
/// The same of the transposed blocks: rows 2 c and 2 c + 1 of column g.
__device__ __forceinline__ void load_blocks_transposed(std::uint32_t (&r)[4], const bfloat16* row) {
  const auto place = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(place)
               : "memory");
}

/// c += a b
__device__ __forceinline__ void multiply_add(float (&c)[4], const std::uint32_t (&a)[4],
                                             std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Two floats rounded to bf16, the first in the low half.
__device__ __forceinline__ std::uint32_t pack_bf16(float low, float high) {
  std::uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(r) : "f"(high), "f"(low));
  return r;
}

/// 2^x within 2 ulp; 0 for -infinity.
__device__ __forceinline__ float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace albef::detail
