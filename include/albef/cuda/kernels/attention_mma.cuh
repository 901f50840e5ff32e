// Attention in bf16 on the tensor cores, head sizes 32 and 64: no score matrix in memory (Dao et
// al. 2022; Dao 2023), probabilities never leave the registers. Sums run in a fixed order: dq has
// its own kernel, so that no block adds to the results of another.
//
// A block has 4 warps of 16 rows: of queries (forward and dq) or of keys (dk and dv), whose
// fragments stay in registers. Tiles of 64 rows of the other side pass through shared memory, the
// next one arriving while one is worked on.
#pragma once

#include "albef/cuda/kernels/attention.cuh"
#include "albef/cuda/kernels/mma.cuh"
#include "albef/cuda/launch.cuh"

namespace albef::detail {

inline constexpr int mma_tile = 64;      // rows of a block, and of a tile in shared memory
inline constexpr int mma_threads = 128;  // 4 warps of 16 rows
inline constexpr float log2_e = 1.44269504088896f;

/// A tile of 64 rows in shared memory. Rows are 16 bytes longer than their values, so that the 8
/// rows of a block load lie in different banks.
template <int D>
struct SharedTile {
  static constexpr int stride = D + 8;
  bfloat16 v[mma_tile * stride];

  __device__ __forceinline__ bfloat16* at(int row, int col) { return v + row * stride + col; }
  __device__ __forceinline__ const bfloat16* at(int row, int col) const {
    return v + row * stride + col;
  }
  /// Starts copying columns [column, column + D) of rows [first, first + 64), zeros from `end` on.
  __device__ __forceinline__ void copy(const Mat<const bfloat16>& m, int first, int end,
                                       int column) {
    constexpr int pieces = D / 8;
#pragma unroll
    for (int e = static_cast<int>(threadIdx.x); e < mma_tile * pieces; e += mma_threads) {
      const int r = e / pieces, j = e % pieces * 8, row = first + r;
      const bool valid = row < end;
      copy_async(at(r, j), row_of(m, valid ? row : first) + column + j, valid);
    }
  }
  /// The factor b of rows [row, row + 16) for the columns [col, col + 16): summed along the
  /// columns. b[0], b[1] belong to the first 8 rows, b[2], b[3] to the others.
  __device__ __forceinline__ void load_rows(std::uint32_t (&b)[4], int row, int col) const {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    load_blocks(b, at(row + lane % 8 + lane / 16 * 8, col + lane / 8 % 2 * 8));
  }
  /// The factor b summed along the rows [row, row + 16) for the columns [col, col + 16): b[0], b[1]
  /// belong to the first 8 columns.
  __device__ __forceinline__ void load_columns(std::uint32_t (&b)[4], int row, int col) const {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    load_blocks_transposed(b, at(row + lane % 16, col + lane / 16 * 8));
  }
};

/// The factor a of 16 rows in registers, from the matrix in memory.
template <int D>
struct Fragment {
  std::uint32_t r[D / 16][4];

  /// Rows [first, first + 16), zeros from `end` on.
  __device__ __forceinline__ void load(const Mat<const bfloat16>& m, int first, int end,
                                       int column) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size, g = lane / 4, c = lane % 4;
#pragma unroll
    for (int k = 0; k < D / 16; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = first + g + i % 2 * 8;
        r[k][i] = row < end ? *reinterpret_cast<const std::uint32_t*>(row_of(m, row) + column +
                                                                      k * 16 + i / 2 * 8 + 2 * c)
                            : 0;
      }
  }
};
__device__ __forceinline__ float low_bf16(std::uint32_t pair) {
  return __uint_as_float(pair << 16);
}
__device__ __forceinline__ float high_bf16(std::uint32_t pair) {
  return __uint_as_float(pair & 0xFFFF0000u);
}

/// 16 x 16 products of a fragment with 16 rows of a tile: x[0] for the first 8 rows, x[1] the rest.
template <int D>
__device__ __forceinline__ void multiply_rows(float (&x)[2][4], const Fragment<D>& a,
                                              const SharedTile<D>& tile, int row) {
#pragma unroll
  for (int i = 0; i < 4; ++i) x[0][i] = x[1][i] = 0;
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    std::uint32_t b[4];
    tile.load_rows(b, row, k * 16);
    multiply_add(x[0], a.r[k], b[0], b[1]);
    multiply_add(x[1], a.r[k], b[2], b[3]);
  }
}
/// sum += weights * 16 rows of a tile; weights are 16 x 16, as multiply_rows gives them.
template <int D>
__device__ __forceinline__ void add_rows(float (&sum)[D / 8][4], const float (&weights)[2][4],
                                         const SharedTile<D>& tile, int row) {
  const std::uint32_t a[4] = {
      pack_bf16(weights[0][0], weights[0][1]), pack_bf16(weights[0][2], weights[0][3]),
      pack_bf16(weights[1][0], weights[1][1]), pack_bf16(weights[1][2], weights[1][3])};
#pragma unroll
  for (int n = 0; n < D / 16; ++n) {
    std::uint32_t b[4];
    tile.load_columns(b, row, n * 16);
    multiply_add(sum[2 * n], a, b[0], b[1]);
    multiply_add(sum[2 * n + 1], a, b[2], b[3]);
  }
}

/// Writes factor[0] * rows g and factor[1] * rows g + 8 of a result, with beta.
template <int D>
__device__ __forceinline__ void store_rows(const float (&x)[D / 8][4], const float (&factor)[2],
                                           const Mat<bfloat16>& m, int first, int end, int column,
                                           float beta) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size, g = lane / 4, c = lane % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = first + g + half * 8;
    if (row >= end) continue;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const Values<float, 2> v = {x[n][2 * half] * factor[half], x[n][2 * half + 1] * factor[half]};
      store_with_beta(row_of(m, row) + column + n * 8 + 2 * c, v, beta);
    }
  }
}

/// Dropout words of an 8-key block of scores, rows = queries: the element i of this lane has word
/// i. Lanes 2 j and 2 j + 1 hold the 4 keys of one counter in two rows; each computes one of the
/// two.
__device__ __forceinline__ PhiloxWords words_of_queries(const DropoutFactors& dropout,
                                                        const std::uint64_t (&first)[2], int key) {
  const int c = static_cast<int>(threadIdx.x) % 4;
  const bool odd = c % 2 != 0;
  const PhiloxWords w =
      dropout.words((odd ? first[1] : first[0]) + static_cast<std::uint64_t>(key / 4 + c / 2));
  const std::uint32_t x0 = shuffle_xor(odd ? w.w[0] : w.w[2], 1);
  const std::uint32_t x1 = shuffle_xor(odd ? w.w[1] : w.w[3], 1);
  if (odd) return {{x0, x1, w.w[2], w.w[3]}};
  return {{w.w[0], w.w[1], x0, x1}};
}
/// The same where rows = 16 keys from `key` and columns = 8 queries; first[i] is the first counter
/// of query 2 c + i. The 4 lanes that hold 4 neighbouring keys compute one counter each: of key
/// half i / 2 and query i % 2.
__device__ __forceinline__ PhiloxWords words_of_keys(const DropoutFactors& dropout,
                                                     const std::uint64_t (&first)[2], int key) {
  const int g = static_cast<int>(threadIdx.x) % warp_size / 4, i = g % 4;
  const PhiloxWords mine = dropout.words((i % 2 ? first[1] : first[0]) +
                                         static_cast<std::uint64_t>((key + i / 2 * 8) / 4 + g / 4));
  PhiloxWords got;  // got[d] is my word of the counter of lane i ^ d
#pragma unroll
  for (int d = 0; d < 4; ++d) got.w[d] = shuffle_xor(word_of(mine, i ^ d), d * 4);
  PhiloxWords w;
#pragma unroll
  for (int e = 0; e < 4; ++e) w.w[e] = word_of(got, e ^ i);
  return w;
}

template <int D>
struct ForwardTiles {
  SharedTile<D> k[2], v[2];
};

template <int D>
__global__ void __launch_bounds__(mma_threads, 3)
    attention_forward_mma_kernel(primitive::Attention<bfloat16> a, int tiles, int counters,
                                 DropoutFactors dropout) {
  const auto [tile, head, s] = attention_block(tiles, a.heads);
  if (s == a.q_seq.count) {
    scale_padding(a.q_seq, a.out, head, D, tile, tiles, 0.0f);
    return;
  }
  const int queries = sequence_length(a.q_seq, s), first = tile * mma_tile;
  if (first >= queries) return;
  const int t = key_sequence(a, s), keys = sequence_length(a.kv_seq, t);
  const int q_begin = sequence_begin(a.q_seq, s), k_begin = sequence_begin(a.kv_seq, t);
  const int column = head * D, lane = static_cast<int>(threadIdx.x) % warp_size;
  const int g = lane / 4, c = lane % 4;
  const int mine = first + static_cast<int>(threadIdx.x) / warp_size * 16;  // of the warp's rows
  dropout = dropout.resolved();

  auto& shared = *dynamic_shared<ForwardTiles<D>>();
  const int end = visible_keys(a.causal, first + mma_tile - 1, queries, keys);
  const auto fetch = [&](int j, int stage) {
    if (j < end) {
      shared.k[stage].copy(a.k, k_begin + j, k_begin + keys, column);
      shared.v[stage].copy(a.v, k_begin + j, k_begin + keys, column);
    }
    copy_group();
  };
  fetch(0, 0);
  Fragment<D> q;
  q.load(a.q, q_begin + mine, q_begin + queries, column);
  const int visible[2] = {visible_keys(a.causal, mine + g, queries, keys),
                          visible_keys(a.causal, mine + g + 8, queries, keys)};
  const int all_visible = visible_keys(a.causal, mine, queries, keys);
  const std::uint64_t counter[2] = {
      dropout_counter(q_begin + mine + g, a.heads, head, counters),
      dropout_counter(q_begin + mine + g + 8, a.heads, head, counters)};
  const float scale = a.scale * log2_e;

  float out[D / 8][4] = {};
  float high[2] = {-infinity<float>, -infinity<float>};
  float sum[2] = {0, 0};  // of this lane's columns
  for (int j = 0, stage = 0; j < end; j += mma_tile, stage ^= 1) {
    fetch(j + mma_tile, stage ^ 1);
    copy_wait<1>();
    __syncthreads();
    const int left = end - j;
    if (mine < queries) {
      float x[mma_tile / 16][2][4];
      float top[2] = {high[0], high[1]};
#pragma unroll
      for (int n = 0; n < mma_tile / 16; ++n) {
        if (n * 16 >= left) break;
        multiply_rows(x[n], q, shared.k[stage], n * 16);
        const bool edge = j + n * 16 + 16 > all_visible;
#pragma unroll
        for (int b = 0; b < 2; ++b)
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int key = j + n * 16 + b * 8 + 2 * c + i % 2;
            float& v = x[n][b][i];
            v = edge && key >= visible[i / 2] ? -infinity<float> : v * scale;
            top[i / 2] = fmaxf(top[i / 2], v);
          }
      }
      float base[2], shrink[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        top[r] = fmaxf(top[r], shuffle_xor(top[r], 1));
        top[r] = fmaxf(top[r], shuffle_xor(top[r], 2));
        base[r] = top[r] == -infinity<float> ? 0.0f : top[r];
        shrink[r] = fast_exp2(high[r] - base[r]);
        high[r] = top[r];
        sum[r] *= shrink[r];
      }
#pragma unroll
      for (int n = 0; n < D / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) out[n][i] *= shrink[i / 2];
#pragma unroll
      for (int n = 0; n < mma_tile / 16; ++n) {
        if (n * 16 >= left) break;
#pragma unroll
        for (int b = 0; b < 2; ++b) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            x[n][b][i] = fast_exp2(x[n][b][i] - base[i / 2]);
            sum[i / 2] += x[n][b][i];
          }
          if (dropout.threshold) {
            const PhiloxWords w = words_of_queries(dropout, counter, j + n * 16 + b * 8);
#pragma unroll
            for (int i = 0; i < 4; ++i) x[n][b][i] = dropout.apply(w.w[i], x[n][b][i]);
          }
        }
        add_rows<D>(out, x[n], shared.v[stage], n * 16);
      }
    }
    __syncthreads();
  }
  copy_wait<0>();
  if (mine >= queries) return;
  float factor[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] += shuffle_xor(sum[r], 1);
    sum[r] += shuffle_xor(sum[r], 2);
    factor[r] = sum[r] > 0 ? 1 / sum[r] : 0.0f;
    const int row = mine + g + r * 8;
    if (a.lse && c == 0 && row < queries)
      a.lse[std::int64_t{q_begin + row} * a.heads + head] =
          sum[r] > 0 ? high[r] / log2_e + logf(sum[r]) : -infinity<float>;
  }
  store_rows<D>(out, factor, a.out, q_begin + mine, q_begin + queries, column, 0.0f);
}

/// dq, and delta = sum over the columns of d_out * out per (query row, head) for the other kernel.
template <int D>
__global__ void __launch_bounds__(mma_threads, 3)
    attention_dq_mma_kernel(primitive::Attention<bfloat16> a, Mat<const bfloat16> d_out, int tiles,
                            int counters, DropoutFactors dropout, float* delta, Mat<bfloat16> dq,
                            float beta) {
  const auto [tile, head, s] = attention_block(tiles, a.heads);
  if (s == a.q_seq.count) {
    scale_padding(a.q_seq, dq, head, D, tile, tiles, beta);
    return;
  }
  const int queries = sequence_length(a.q_seq, s), first = tile * mma_tile;
  if (first >= queries) return;
  const int t = key_sequence(a, s), keys = sequence_length(a.kv_seq, t);
  const int q_begin = sequence_begin(a.q_seq, s), k_begin = sequence_begin(a.kv_seq, t);
  const int column = head * D, lane = static_cast<int>(threadIdx.x) % warp_size;
  const int g = lane / 4, c = lane % 4;
  const int mine = first + static_cast<int>(threadIdx.x) / warp_size * 16;
  dropout = dropout.resolved();

  auto& shared = *dynamic_shared<ForwardTiles<D>>();
  const int end = visible_keys(a.causal, first + mma_tile - 1, queries, keys);
  const auto fetch = [&](int j, int stage) {
    if (j < end) {
      shared.k[stage].copy(a.k, k_begin + j, k_begin + keys, column);
      shared.v[stage].copy(a.v, k_begin + j, k_begin + keys, column);
    }
    copy_group();
  };
  fetch(0, 0);
  Fragment<D> q, d;
  q.load(a.q, q_begin + mine, q_begin + queries, column);
  d.load(d_out, q_begin + mine, q_begin + queries, column);
  float my_delta[2] = {0, 0}, lse[2];
  {
    Fragment<D> o;
    o.load(read_only(a.out), q_begin + mine, q_begin + queries, column);
#pragma unroll
    for (int k = 0; k < D / 16; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        my_delta[i % 2] +=
            low_bf16(o.r[k][i]) * low_bf16(d.r[k][i]) + high_bf16(o.r[k][i]) * high_bf16(d.r[k][i]);
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    my_delta[r] += shuffle_xor(my_delta[r], 1);
    my_delta[r] += shuffle_xor(my_delta[r], 2);
    const int row = mine + g + r * 8;
    const std::int64_t stat = std::int64_t{q_begin + row} * a.heads + head;
    lse[r] = row < queries ? a.lse[stat] * log2_e : 0.0f;
    if (c == 0 && row < queries) delta[stat] = my_delta[r];
  }
  const int visible[2] = {visible_keys(a.causal, mine + g, queries, keys),
                          visible_keys(a.causal, mine + g + 8, queries, keys)};
  const std::uint64_t counter[2] = {
      dropout_counter(q_begin + mine + g, a.heads, head, counters),
      dropout_counter(q_begin + mine + g + 8, a.heads, head, counters)};
  const float scale = a.scale * log2_e;

  float sum[D / 8][4] = {};
  for (int j = 0, stage = 0; j < end; j += mma_tile, stage ^= 1) {
    fetch(j + mma_tile, stage ^ 1);
    copy_wait<1>();
    __syncthreads();
    if (mine < queries) {
#pragma unroll
      for (int n = 0; n < mma_tile / 16; ++n) {
        if (j + n * 16 >= end) break;
        float x[2][4], dp[2][4];
        multiply_rows(x, q, shared.k[stage], n * 16);
        multiply_rows(dp, d, shared.v[stage], n * 16);
#pragma unroll
        for (int b = 0; b < 2; ++b) {
          if (dropout.threshold) {
            const PhiloxWords w = words_of_queries(dropout, counter, j + n * 16 + b * 8);
#pragma unroll
            for (int i = 0; i < 4; ++i) dp[b][i] = dropout.apply(w.w[i], dp[b][i]);
          }
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int key = j + n * 16 + b * 8 + 2 * c + i % 2;
            const float p = key < visible[i / 2] ? fast_exp2(x[b][i] * scale - lse[i / 2]) : 0.0f;
            x[b][i] = p * (dp[b][i] - my_delta[i / 2]);
          }
        }
        add_rows<D>(sum, x, shared.k[stage], n * 16);
      }
    }
    __syncthreads();
  }
  copy_wait<0>();
  if (mine >= queries) return;
  const float factor[2] = {a.scale, a.scale};
  store_rows<D>(sum, factor, dq, q_begin + mine, q_begin + queries, column, beta);
}

/// Queries and their gradients in shared memory, with log-sum-exp (base 2) and delta per query.
template <int D>
struct BackwardTiles {
  SharedTile<D> q[2], d[2];
  float lse[2][mma_tile], delta[2][mma_tile];
};

/// dk and dv of a tile of keys, summed over the query sequences that read them, in order. Scores
/// are computed transposed, keys by queries: the warps own keys.
template <int D>
__global__ void __launch_bounds__(mma_threads, 3)
    attention_dkv_mma_kernel(primitive::Attention<bfloat16> a, Mat<const bfloat16> d_out, int tiles,
                             int counters, DropoutFactors dropout, const float* delta,
                             Mat<bfloat16> dk, Mat<bfloat16> dv, float beta) {
  const auto [tile, head, t] = attention_block(tiles, a.heads);
  if (t == a.kv_seq.count) {
    scale_padding(a.kv_seq, dk, head, D, tile, tiles, beta);
    scale_padding(a.kv_seq, dv, head, D, tile, tiles, beta);
    return;
  }
  const int keys = sequence_length(a.kv_seq, t), first = tile * mma_tile;
  if (first >= keys) return;
  const int k_begin = sequence_begin(a.kv_seq, t);
  const int column = head * D, lane = static_cast<int>(threadIdx.x) % warp_size;
  const int g = lane / 4, c = lane % 4;
  const int mine = first + static_cast<int>(threadIdx.x) / warp_size * 16;
  dropout = dropout.resolved();

  auto& shared = *dynamic_shared<BackwardTiles<D>>();
  // A tile of queries: those of sequence s from i on.
  const auto fetch = [&](int s, int i, int stage) {
    if (s < a.q_seq.count) {
      const int begin = sequence_begin(a.q_seq, s), end = begin + sequence_length(a.q_seq, s);
      shared.q[stage].copy(a.q, begin + i, end, column);
      shared.d[stage].copy(d_out, begin + i, end, column);
      for (int r = static_cast<int>(threadIdx.x); r < mma_tile; r += mma_threads) {
        const int row = begin + i + r;
        const std::int64_t stat = std::int64_t{row} * a.heads + head;
        // Rows that do not exist or see nothing get probability 2^-infinity.
        float lse = infinity<float>;
        if (row < end && a.lse[stat] != -lse) lse = a.lse[stat] * log2_e;
        shared.lse[stage][r] = lse;
        shared.delta[stage][r] = row < end ? delta[stat] : 0.0f;
      }
    }
    copy_group();
  };
  // The tile after (s, i).
  const auto advance = [&](int& s, int& i) {
    i += mma_tile;
    if (i < sequence_length(a.q_seq, s)) return;
    s = next_query_sequence(a, t, s + 1);
    i = 0;
  };
  int s = next_query_sequence(a, t, 0), i = 0;
  fetch(s, i, 0);
  Fragment<D> k, v;
  k.load(a.k, k_begin + mine, k_begin + keys, column);
  v.load(a.v, k_begin + mine, k_begin + keys, column);
  const float scale = a.scale * log2_e;

  float sum_k[D / 8][4] = {}, sum_v[D / 8][4] = {};
  for (int stage = 0; s < a.q_seq.count; stage ^= 1) {
    int next_s = s, next_i = i;
    advance(next_s, next_i);
    fetch(next_s, next_i, stage ^ 1);
    copy_wait<1>();
    __syncthreads();
    const int queries = sequence_length(a.q_seq, s), row = sequence_begin(a.q_seq, s) + i;
    if (mine < keys) {
#pragma unroll
      for (int n = 0; n < mma_tile / 16; ++n) {
        if (i + n * 16 >= queries) break;
        float x[2][4], dp[2][4];
        multiply_rows(x, k, shared.q[stage], n * 16);
        multiply_rows(dp, v, shared.d[stage], n * 16);
#pragma unroll
        for (int b = 0; b < 2; ++b) {
          const int q = n * 16 + b * 8 + 2 * c;  // my two queries of the tile
          const float2 lse = *reinterpret_cast<const float2*>(&shared.lse[stage][q]);
          const float2 my_delta = *reinterpret_cast<const float2*>(&shared.delta[stage][q]);
          PhiloxWords w = {};
          if (dropout.threshold) {
            const std::uint64_t counter[2] = {
                dropout_counter(row + q, a.heads, head, counters),
                dropout_counter(row + q + 1, a.heads, head, counters)};
            w = words_of_keys(dropout, counter, mine);
          }
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const bool second = e % 2 != 0;
            float p = fast_exp2(x[b][e] * scale - (second ? lse.y : lse.x));
            if (a.causal) {
              const int visible = visible_keys(true, i + q + e % 2, queries, keys);
              if (mine + g + e / 2 * 8 >= visible) p = 0;
            }
            float gradient = dp[b][e];
            x[b][e] = p;
            if (dropout.threshold) {
              x[b][e] = dropout.apply(w.w[e], p);
              gradient = dropout.apply(w.w[e], gradient);
            }
            dp[b][e] = p * (gradient - (second ? my_delta.y : my_delta.x));
          }
        }
        add_rows<D>(sum_v, x, shared.d[stage], n * 16);
        add_rows<D>(sum_k, dp, shared.q[stage], n * 16);
      }
    }
    __syncthreads();
    s = next_s, i = next_i;
  }
  copy_wait<0>();
  if (mine >= keys) return;
  const float scales[2] = {a.scale, a.scale}, ones[2] = {1, 1};
  store_rows<D>(sum_k, scales, dk, k_begin + mine, k_begin + keys, column, beta);
  store_rows<D>(sum_v, ones, dv, k_begin + mine, k_begin + keys, column, beta);
}

}  // namespace albef::detail
