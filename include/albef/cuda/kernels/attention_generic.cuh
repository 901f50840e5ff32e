// Attention for every number type and head size, in plain arithmetic: tiles of 32 queries and 32
// keys in shared memory, softmax on the fly (Milakov & Gimelshein 2018; Dao et al. 2022).
#pragma once

#include <cmath>

#include "albef/cuda/kernels/attention.cuh"
#include "albef/cuda/launch.cuh"

namespace albef::detail {

inline constexpr int plain_tile = 32;      // queries and keys of a tile
inline constexpr int plain_threads = 256;  // 8 threads a row of scores
inline constexpr int plain_row_threads = plain_threads / plain_tile;
inline constexpr int plain_row_keys = plain_tile / plain_row_threads;  // scores of a thread
inline constexpr int plain_stride = plain_tile + 1;                    // of a row of scores

/// Elements of shared memory for `tiles` tiles of rows, `scores` of scores, and the row statistics.
constexpr std::size_t plain_shared(int tiles, int scores, int dim) {
  return static_cast<std::size_t>(plain_tile) *
         static_cast<std::size_t>(tiles * (dim + 1) + scores * plain_stride + 4);
}

/// Rows [first, first + 32) of a sequence's rows in shared memory, zeros past `end`.
template <class T, class A>
__device__ __forceinline__ void load_tile(const Mat<const T>& m, int first, int end, int column,
                                          int dim, A* tile) {
  for (int e = static_cast<int>(threadIdx.x); e < plain_tile * dim; e += plain_threads) {
    const int r = e / dim, j = e - r * dim;
    tile[r * (dim + 1) + j] =
        first + r < end ? static_cast<A>(row_of(m, first + r)[column + j]) : A(0);
  }
}
template <class A>
__device__ __forceinline__ A dot_product(const A* a, const A* b, int n) {
  A sum = 0;
  for (int j = 0; j < n; ++j) sum += a[j] * b[j];
  return sum;
}
/// out[r][j] = factor(r) * out[r][j] + sum over k of weights[r * row + k * col] * rows[k][j].
template <class A, class F>
__device__ __forceinline__ void add_product(const A* weights, int row, int col, const A* rows,
                                            int dim, A* out, F factor) {
  for (int e = static_cast<int>(threadIdx.x); e < plain_tile * dim; e += plain_threads) {
    const int r = e / dim, j = e - r * dim;
    A sum = factor(r) * out[r * (dim + 1) + j];
    for (int k = 0; k < plain_tile; ++k)
      sum += weights[r * row + k * col] * rows[k * (dim + 1) + j];
    out[r * (dim + 1) + j] = sum;
  }
}
/// Rows of a tile to memory, times factor(r), with beta.
template <class T, class A, class F>
__device__ __forceinline__ void store_tile(const A* tile, int dim, const Mat<T>& m, int first,
                                           int end, int column, A beta, F factor) {
  for (int e = static_cast<int>(threadIdx.x); e < plain_tile * dim; e += plain_threads) {
    const int r = e / dim, j = e - r * dim;
    if (first + r < end)
      store_with_beta(row_of(m, first + r) + column + j, factor(r) * tile[r * (dim + 1) + j], beta);
  }
}
template <class A>
__device__ __forceinline__ void clear_tile(A* tile, int dim) {
  for (int e = static_cast<int>(threadIdx.x); e < plain_tile * (dim + 1); e += plain_threads)
    tile[e] = 0;
}

/// Dropout factors of the 4 keys from j (a multiple of 4) of a query row.
template <class A>
__device__ __forceinline__ Values<A, 4> dropout_of_keys(const DropoutFactors& dropout,
                                                        std::uint64_t first_counter, int j) {
  Values<A, 4> f = {A(1), A(1), A(1), A(1)};
  if (dropout.threshold == 0) return f;
  const PhiloxWords w = dropout.words(first_counter + static_cast<std::uint64_t>(j / 4));
#pragma unroll
  for (int k = 0; k < 4; ++k) f[k] = dropout.apply(w.w[k], A(1));
  return f;
}

template <class T>
__global__ void __launch_bounds__(plain_threads)
    attention_forward_plain_kernel(primitive::Attention<T> a, int tiles, int counters,
                                   DropoutFactors dropout) {
  using A = accumulator_t<T>;
  static_assert(plain_row_keys == 4, "a thread's keys are those of one dropout counter");
  const int dim = a.q.cols / a.heads;
  const auto [tile, head, s] = attention_block(tiles, a.heads);
  if (s == a.q_seq.count) {
    scale_padding(a.q_seq, a.out, head, dim, tile, tiles, A(0));
    return;
  }
  const int queries = sequence_length(a.q_seq, s), first = tile * plain_tile;
  if (first >= queries) return;
  const int t = key_sequence(a, s), keys = sequence_length(a.kv_seq, t);
  const int q_begin = sequence_begin(a.q_seq, s), k_begin = sequence_begin(a.kv_seq, t);
  const int column = head * dim;
  dropout = dropout.resolved();

  A* q = dynamic_shared<A>();
  A *k = q + plain_tile * (dim + 1), *v = k + plain_tile * (dim + 1);
  A *out = v + plain_tile * (dim + 1), *scores = out + plain_tile * (dim + 1);
  A* shrink = scores + plain_tile * plain_stride;  // factor of the sums so far
  A* total = shrink + plain_tile;
  load_tile(a.q, q_begin + first, q_begin + queries, column, dim, q);
  clear_tile(out, dim);

  const int r = static_cast<int>(threadIdx.x) / plain_row_threads;  // my row and keys of a tile
  const int c = static_cast<int>(threadIdx.x) % plain_row_threads * plain_row_keys;
  const int visible = visible_keys(a.causal, first + r, queries, keys);
  const int last_visible = visible_keys(a.causal, first + plain_tile - 1, queries, keys);
  const std::uint64_t counter = dropout_counter(q_begin + first + r, a.heads, head, counters);
  A high = -infinity<A>, sum = 0;
  for (int j = 0; j < last_visible; j += plain_tile) {
    load_tile(a.k, k_begin + j, k_begin + keys, column, dim, k);
    load_tile(a.v, k_begin + j, k_begin + keys, column, dim, v);
    __syncthreads();
    A x[plain_row_keys], top = high;
#pragma unroll
    for (int n = 0; n < plain_row_keys; ++n) {
      x[n] = j + c + n < visible
                 ? a.scale * dot_product(q + r * (dim + 1), k + (c + n) * (dim + 1), dim)
                 : -infinity<A>;
      top = x[n] > top ? x[n] : top;
    }
#pragma unroll
    for (int d = 1; d < plain_row_threads; d *= 2) {
      const A other = shuffle_xor(top, d);
      top = other > top ? other : top;
    }
    const A base = top == -infinity<A> ? A(0) : top;
    const A factor = std::exp(high - base);
    high = top;
    const auto f = dropout_of_keys<A>(dropout, counter, j + c);
    A part = 0;
#pragma unroll
    for (int n = 0; n < plain_row_keys; ++n) {
      const A p = std::exp(x[n] - base);
      part += p;
      scores[r * plain_stride + c + n] = p * f[n];
    }
#pragma unroll
    for (int d = 1; d < plain_row_threads; d *= 2) part += shuffle_xor(part, d);
    sum = sum * factor + part;
    if (c == 0) shrink[r] = factor;
    __syncthreads();
    add_product(scores, plain_stride, 1, v, dim, out, [&](int row) { return shrink[row]; });
    __syncthreads();
  }
  if (c == 0) {
    total[r] = sum > 0 ? A(1) / sum : A(0);
    if (a.lse && first + r < queries)
      a.lse[std::int64_t{q_begin + first + r} * a.heads + head] =
          sum > 0 ? high + std::log(sum) : -infinity<A>;
  }
  __syncthreads();
  store_tile(out, dim, a.out, q_begin + first, q_begin + queries, column, A(0),
             [&](int row) { return total[row]; });
}

/// Probability p and gradient ds of the unscaled score of (row r, keys c ... c + 3) of a tile.
/// `dropped` is p with dropout.
template <class A>
struct ScoreGradient {
  A dropped[plain_row_keys], ds[plain_row_keys];
};
template <class T, class A>
__device__ __forceinline__ ScoreGradient<A> score_gradient(const primitive::Attention<T>& a,
                                                           const A* q, const A* d_out, const A* k,
                                                           const A* v, int c, int left, A lse,
                                                           A delta, int dim,
                                                           const Values<A, 4>& f) {
  ScoreGradient<A> g;
#pragma unroll
  for (int n = 0; n < plain_row_keys; ++n) {
    g.dropped[n] = g.ds[n] = 0;
    if (c + n >= left) continue;
    const A p = std::exp(a.scale * dot_product(q, k + (c + n) * (dim + 1), dim) - lse);
    const A dp = dot_product(d_out, v + (c + n) * (dim + 1), dim) * f[n];
    g.dropped[n] = p * f[n];
    g.ds[n] = a.scale * p * (dp - delta);
  }
  return g;
}

/// dq, and delta = sum over the columns of d_out * out per (query row, head) for the other kernel.
template <class T>
__global__ void __launch_bounds__(plain_threads)
    attention_dq_plain_kernel(primitive::Attention<T> a, Mat<const T> d_out, int tiles,
                              int counters, DropoutFactors dropout, accumulator_t<T>* delta,
                              Mat<T> dq, accumulator_t<T> beta) {
  using A = accumulator_t<T>;
  const int dim = a.q.cols / a.heads;
  const auto [tile, head, s] = attention_block(tiles, a.heads);
  if (s == a.q_seq.count) {
    scale_padding(a.q_seq, dq, head, dim, tile, tiles, beta);
    return;
  }
  const int queries = sequence_length(a.q_seq, s), first = tile * plain_tile;
  if (first >= queries) return;
  const int t = key_sequence(a, s), keys = sequence_length(a.kv_seq, t);
  const int q_begin = sequence_begin(a.q_seq, s), k_begin = sequence_begin(a.kv_seq, t);
  const int column = head * dim;
  dropout = dropout.resolved();

  A* q = dynamic_shared<A>();
  A *d = q + plain_tile * (dim + 1), *k = d + plain_tile * (dim + 1);
  A *v = k + plain_tile * (dim + 1), *sum = v + plain_tile * (dim + 1);
  A* ds = sum + plain_tile * (dim + 1);
  load_tile(a.q, q_begin + first, q_begin + queries, column, dim, q);
  load_tile(d_out, q_begin + first, q_begin + queries, column, dim, d);
  load_tile(read_only(a.out), q_begin + first, q_begin + queries, column, dim, k);
  clear_tile(sum, dim);
  __syncthreads();

  const int r = static_cast<int>(threadIdx.x) / plain_row_threads;
  const int c = static_cast<int>(threadIdx.x) % plain_row_threads * plain_row_keys;
  const bool valid = first + r < queries;
  const std::int64_t row = std::int64_t{q_begin + first + r};
  const A lse = valid ? a.lse[row * a.heads + head] : A(0);
  const A my_delta = dot_product(d + r * (dim + 1), k + r * (dim + 1), dim);
  if (valid && c == 0) delta[row * a.heads + head] = my_delta;
  const int visible = valid ? visible_keys(a.causal, first + r, queries, keys) : 0;
  const int last_visible = visible_keys(a.causal, first + plain_tile - 1, queries, keys);
  const std::uint64_t counter = dropout_counter(row, a.heads, head, counters);
  __syncthreads();
  for (int j = 0; j < last_visible; j += plain_tile) {
    load_tile(a.k, k_begin + j, k_begin + keys, column, dim, k);
    load_tile(a.v, k_begin + j, k_begin + keys, column, dim, v);
    __syncthreads();
    const auto g = score_gradient(a, q + r * (dim + 1), d + r * (dim + 1), k, v, c, visible - j,
                                  lse, my_delta, dim, dropout_of_keys<A>(dropout, counter, j + c));
#pragma unroll
    for (int n = 0; n < plain_row_keys; ++n) ds[r * plain_stride + c + n] = g.ds[n];
    __syncthreads();
    add_product(ds, plain_stride, 1, k, dim, sum, [](int) { return A(1); });
    __syncthreads();
  }
  store_tile(sum, dim, dq, q_begin + first, q_begin + queries, column, beta,
             [](int) { return A(1); });
}

/// dk and dv of a tile of keys, summed over the query sequences that read them, in order.
template <class T>
__global__ void __launch_bounds__(plain_threads)
    attention_dkv_plain_kernel(primitive::Attention<T> a, Mat<const T> d_out, int tiles,
                               int counters, DropoutFactors dropout, const accumulator_t<T>* delta,
                               Mat<T> dk, Mat<T> dv, accumulator_t<T> beta) {
  using A = accumulator_t<T>;
  const int dim = a.q.cols / a.heads;
  const auto [tile, head, t] = attention_block(tiles, a.heads);
  if (t == a.kv_seq.count) {
    scale_padding(a.kv_seq, dk, head, dim, tile, tiles, beta);
    scale_padding(a.kv_seq, dv, head, dim, tile, tiles, beta);
    return;
  }
  const int keys = sequence_length(a.kv_seq, t), first = tile * plain_tile;
  if (first >= keys) return;
  const int k_begin = sequence_begin(a.kv_seq, t), column = head * dim;
  dropout = dropout.resolved();

  A* k = dynamic_shared<A>();
  A *v = k + plain_tile * (dim + 1), *q = v + plain_tile * (dim + 1);
  A *d = q + plain_tile * (dim + 1), *sum_k = d + plain_tile * (dim + 1);
  A *sum_v = sum_k + plain_tile * (dim + 1), *ds = sum_v + plain_tile * (dim + 1);
  A* dropped = ds + plain_tile * plain_stride;
  load_tile(a.k, k_begin + first, k_begin + keys, column, dim, k);
  load_tile(a.v, k_begin + first, k_begin + keys, column, dim, v);
  clear_tile(sum_k, dim);
  clear_tile(sum_v, dim);
  const int r = static_cast<int>(threadIdx.x) / plain_row_threads;
  const int c = static_cast<int>(threadIdx.x) % plain_row_threads * plain_row_keys;
  for (int s = next_query_sequence(a, t, 0); s < a.q_seq.count;
       s = next_query_sequence(a, t, s + 1)) {
    const int q_begin = sequence_begin(a.q_seq, s), queries = sequence_length(a.q_seq, s);
    for (int i = 0; i < queries; i += plain_tile) {
      __syncthreads();
      load_tile(a.q, q_begin + i, q_begin + queries, column, dim, q);
      load_tile(d_out, q_begin + i, q_begin + queries, column, dim, d);
      __syncthreads();
      const bool valid = i + r < queries;
      const std::int64_t row = q_begin + i + r, stat = row * a.heads + head;
      const int visible = valid ? visible_keys(a.causal, i + r, queries, keys) : 0;
      const std::uint64_t counter = dropout_counter(row, a.heads, head, counters);
      const auto g =
          score_gradient(a, q + r * (dim + 1), d + r * (dim + 1), k, v, c, visible - first,
                         valid ? a.lse[stat] : A(0), valid ? delta[stat] : A(0), dim,
                         dropout_of_keys<A>(dropout, counter, first + c));
#pragma unroll
      for (int n = 0; n < plain_row_keys; ++n) {
        ds[r * plain_stride + c + n] = g.ds[n];
        dropped[r * plain_stride + c + n] = g.dropped[n];
      }
      __syncthreads();
      add_product(ds, 1, plain_stride, q, dim, sum_k, [](int) { return A(1); });
      add_product(dropped, 1, plain_stride, d, dim, sum_v, [](int) { return A(1); });
    }
  }
  __syncthreads();
  store_tile(sum_k, dim, dk, k_begin + first, k_begin + keys, column, beta,
             [](int) { return A(1); });
  store_tile(sum_v, dim, dv, k_begin + first, k_begin + keys, column, beta,
             [](int) { return A(1); });
}

}  // namespace albef::detail
