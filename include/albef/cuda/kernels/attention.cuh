// What all attention kernels share: how blocks divide the work, which keys a query sees.
#pragma once

#include "albef/core/primitives/attention.hpp"
#include "albef/cuda/kernels/philox.cuh"
#include "albef/cuda/kernels/reduce.cuh"

namespace albef::detail {

/// A block works on one tile of one sequence and head. Blocks that read the same keys follow each
/// other. Sequence `count` stands for the padding rows.
struct AttentionBlock {
  int tile, head, sequence;
};
__device__ __forceinline__ AttentionBlock attention_block(int tiles, int heads) {
  const int b = static_cast<int>(blockIdx.x), pair = b / tiles;
  return {b - pair * tiles, pair % heads, pair / heads};
}

template <class T>
__device__ __forceinline__ int key_sequence(const primitive::Attention<T>& a, int s) {
  return a.kv_index ? a.kv_index[s] : s;
}

/// How many of `keys` keys query i of `queries` sees; clamped, so that i may lie past the end.
ALBEF_HOST_DEVICE inline int visible_keys(bool causal, int i, int queries, int keys) {
  if (!causal) return keys;
  const int n = i + 1 + keys - queries;
  return n < 0 ? 0 : n > keys ? keys : n;
}

/// The first query sequence from `from` on that reads key sequence t and is not empty, or count.
/// All lanes of the warp call it with the same arguments.
template <class T>
__device__ __forceinline__ int next_query_sequence(const primitive::Attention<T>& a, int t,
                                                   int from) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size, count = a.q_seq.count;
  if (!a.kv_index) return from <= t && sequence_length(a.q_seq, t) > 0 ? t : count;
  for (int begin = from; begin < count; begin += warp_size) {
    const int s = begin + lane;
    const bool match = s < count && a.kv_index[s] == t && sequence_length(a.q_seq, s) > 0;
    const unsigned matches = __ballot_sync(all_lanes, match);
    if (matches) return begin + __ffs(static_cast<int>(matches)) - 1;
  }
  return count;
}

/// Number of the first counter of the dropout words of (query row, head): words of its key j are
/// word j % 4 of counter first + j / 4.
__device__ __forceinline__ std::uint64_t dropout_counter(std::int64_t row, int heads, int head,
                                                         int counters) {
  return static_cast<std::uint64_t>((row * heads + head) * counters);
}

/// Multiplies the rows behind the last sequence by beta (0 never reads them), in head `head`;
/// block `tile` of `tiles` takes every tiles-th row.
template <class T>
__device__ __forceinline__ void scale_padding(const Sequences& seq, const Mat<T>& m, int head,
                                              int dim, int tile, int tiles, accumulator_t<T> beta) {
  if (beta == 1) return;
  for (int r = sequence_begin(seq, seq.count) + tile; r < m.rows; r += tiles)
    for (int j = static_cast<int>(threadIdx.x); j < dim; j += static_cast<int>(blockDim.x))
      store_with_beta(row_of(m, r) + head * dim + j, accumulator_t<T>(0), beta);
}

}  // namespace albef::detail
