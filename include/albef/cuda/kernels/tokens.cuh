// Device code for tokens and row selections: data movement, and sums in a fixed order.
#pragma once

#include "albef/core/primitives/tokens.hpp"
#include "albef/cuda/kernels/reduce.cuh"

namespace albef::detail {

inline constexpr int token_threads = 128;

/// Block (s, t) writes row t of sequence s; blocks (count, t) write the padding rows.
template <class T, int N>
__global__ void __launch_bounds__(token_threads)
    embedding_forward_kernel(primitive::Embedding<T> a) {
  const int s = static_cast<int>(blockIdx.x), t = static_cast<int>(blockIdx.y), cols = a.y.cols;
  const int begin = sequence_begin(a.seq, s), first = static_cast<int>(threadIdx.x) * N;
  if (s == a.seq.count) {
    const Values<accumulator_t<T>, N> zeros = {};
    for (int r = begin + t; r < a.y.rows; r += static_cast<int>(gridDim.y))
      for (int j = first; j < cols; j += token_threads * N) store(row_of(a.y, r) + j, zeros);
    return;
  }
  if (t >= sequence_length(a.seq, s)) return;
  const int r = begin + t;
  const T* word = a.word + std::int64_t{a.ids[r]} * cols;
  const T* position = a.position + std::int64_t{t} * cols;
  for (int j = first; j < cols; j += token_threads * N) {
    auto v = load<N>(word + j);
    const auto p = load<N>(position + j);
    if (a.type) {
      const auto y = load<N>(a.type + j);
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] = v[k] + y[k];
    }
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = v[k] + p[k];
    store(row_of(a.y, r) + j, v);
  }
}

/// Block t: position[t] += sum over the sequences, in order, of dy of their row t.
template <class T, class S, int N>
__global__ void __launch_bounds__(token_threads)
    position_gradient_kernel(Mat<const T> dy, Sequences seq, S* position) {
  using A = accumulator_t<T>;
  const int t = static_cast<int>(blockIdx.x), cols = dy.cols;
  for (int j = static_cast<int>(threadIdx.x) * N; j < cols; j += token_threads * N) {
    Values<A, N> sum = {};
#pragma unroll 4
    for (int s = 0; s < seq.count; ++s) {
      if (t >= sequence_length(seq, s)) continue;
      const auto v = load<N>(row_of(dy, sequence_begin(seq, s) + t) + j);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += v[k];
    }
    store_with_beta(position + std::int64_t{t} * cols + j, sum, A(1));
  }
}

/// Whether a step with this square of its gradient's norm changes anything (null: it does).
__device__ __forceinline__ bool takes_effect(const double* square_norm) {
  return !square_norm || *square_norm - *square_norm == 0;
}

/// Block i: ring[(*at + i) % ring.rows] = x[i].
template <class T>
__global__ void __launch_bounds__(token_threads) push_rows_kernel(primitive::PushRows<T> a) {
  if (!takes_effect(a.square_norm)) return;
  const int i = static_cast<int>(blockIdx.x);
  const T* from = row_of(a.x, i);
  T* to = row_of(a.ring, static_cast<int>((*a.at + i) % a.ring.rows));
  for (int j = static_cast<int>(threadIdx.x); j < a.x.cols; j += token_threads) to[j] = from[j];
}

/// One block.
template <class = void>
__global__ void advance_ring_kernel(primitive::AdvanceRing a) {
  if (threadIdx.x == 0 && takes_effect(a.square_norm)) *a.at = (*a.at + a.rows) % a.size;
}

inline constexpr int scatter_threads = 256;

/// y[index[i]] += x[i] over the rows below *limit (null: all): the block of the first row with some
/// index adds up all rows with it, in order; the others do nothing. Negative indices are skipped.
template <class X, class T, int N>
__global__ void __launch_bounds__(scatter_threads)
    scatter_add_kernel(Mat<X> x, const std::int32_t* index, const int* limit, Mat<T> y) {
  using A = accumulator_t<T>;
  constexpr int warps = scatter_threads / warp_size;
  __shared__ int list[scatter_threads], counts[warps];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % warp_size;
  const int warp = thread / warp_size, first = static_cast<int>(blockIdx.x);
  const int rows = limit ? min(x.rows, *limit) : x.rows;
  if (first >= rows) return;
  const std::int32_t target = index[first];
  if (target < 0) return;
  bool earlier = false;
  for (int i = thread; i < first; i += scatter_threads) earlier = earlier || index[i] == target;
  if (__syncthreads_or(earlier)) return;

  for (int tile = 0; tile < x.cols; tile += scatter_threads * N) {
    const int j = tile + thread * N;
    Values<A, N> sum = {};
    for (int begin = first; begin < rows; begin += scatter_threads) {
      // The rows of this stretch that match, in order.
      const bool match = begin + thread < rows && index[begin + thread] == target;
      const unsigned matches = __ballot_sync(all_lanes, match);
      if (lane == 0) counts[warp] = __popc(matches);
      __syncthreads();
      int place = __popc(matches & ((1u << lane) - 1)), total = 0;
      for (int w = 0; w < warps; ++w) {
        if (w < warp) place += counts[w];
        total += counts[w];
      }
      if (match) list[place] = begin + thread;
      __syncthreads();
      if (j < x.cols) {
#pragma unroll 4
        for (int m = 0; m < total; ++m) {
          const auto v = load<N>(row_of(x, list[m]) + j);
#pragma unroll
          for (int k = 0; k < N; ++k) sum[k] += v[k];
        }
      }
      __syncthreads();
    }
    if (j < x.cols) store_with_beta(row_of(y, target) + j, sum, A(1));
  }
}

template <class X, class T>
struct GatherRows {  // y[i] = x[index[i]], zeros for a negative index
  Mat<X> x;
  const std::int32_t* index;
  Mat<T> y;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    const std::int32_t from = index[i];
    Raw<T, N> raw = {};
    if (from >= 0) raw = Raw<T, N>::read(row_of(x, from) + j);
    raw.write(row_of(y, i) + j);
  }
};

template <class T>
struct GatherRowsOnto {  // y[i] = x[index[i]] + beta y[i]
  Mat<const T> x;
  const std::int32_t* index;
  Mat<T> y;
  accumulator_t<T> beta;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    const std::int32_t from = index[i];
    Values<accumulator_t<T>, N> v = {};
    if (from >= 0) v = load<N>(row_of(x, from) + j);
    store_with_beta(row_of(y, i) + j, v, beta);
  }
};

template <class T>
struct SumSequenceRows {  // y[s] = sum or mean of the rows of s + beta y[s]
  primitive::SumSequences<T> a;
  template <int N>
  __device__ __forceinline__ void apply(int s, int j) const {
    using A = accumulator_t<T>;
    const int begin = sequence_begin(a.seq, s), length = sequence_length(a.seq, s);
    Values<A, N> sum = {};
#pragma unroll 4
    for (int r = begin; r < begin + length; ++r) {
      const auto v = load<N>(row_of(a.x, r) + j);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += v[k];
    }
    const A factor = a.mean && length > 0 ? A(1) / static_cast<A>(length) : A(1);
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] *= factor;
    store_with_beta(row_of(a.y, s) + j, sum, a.beta);
  }
};

/// Block (s, t) writes row t of sequence s; blocks (count, t) write the padding rows.
template <class T, int N>
__global__ void __launch_bounds__(token_threads)
    spread_sequences_kernel(primitive::SpreadSequences<T> a) {
  using A = accumulator_t<T>;
  const int s = static_cast<int>(blockIdx.x), t = static_cast<int>(blockIdx.y), cols = a.y.cols;
  const int begin = sequence_begin(a.seq, s), first = static_cast<int>(threadIdx.x) * N;
  if (s == a.seq.count) {
    for (int r = begin + t; r < a.y.rows; r += static_cast<int>(gridDim.y))
      for (int j = first; j < cols; j += token_threads * N)
        store_with_beta(row_of(a.y, r) + j, Values<A, N>{}, a.beta);
    return;
  }
  const int length = sequence_length(a.seq, s);
  if (t >= length) return;
  const A factor = a.mean ? A(1) / static_cast<A>(length) : A(1);
  for (int j = first; j < cols; j += token_threads * N) {
    auto v = load<N>(row_of(a.x, s) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= factor;
    store_with_beta(row_of(a.y, begin + t) + j, v, a.beta);
  }
}

template <class = void>
__global__ void gather_ids_kernel(primitive::GatherIds a) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < a.n) a.y[i] = a.x[a.index[i]];
}

template <class = void>
__global__ void first_rows_kernel(primitive::FirstRows a) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < a.seq.count)
    a.index[i] = a.last ? sequence_begin(a.seq, i + 1) - 1 : sequence_begin(a.seq, i);
}

/// offsets[i] = sum of the lengths of sequences index[0..i), at most `capacity`; i = 0 ... n. One
/// warp.
template <class = void>
__global__ void select_offsets_kernel(Sequences seq, const std::int32_t* index, int n, int capacity,
                                      std::int32_t* offsets) {
  const int lane = static_cast<int>(threadIdx.x);
  int carried = 0;
  for (int begin = 0; begin < n; begin += warp_size) {
    const int i = begin + lane;
    int sum = i < n ? sequence_length(seq, index[i]) : 0;
    for (int d = 1; d < warp_size; d *= 2) {
      const int other = __shfl_up_sync(all_lanes, sum, static_cast<unsigned>(d));
      if (lane >= d) sum += other;
    }
    if (i < n) offsets[i + 1] = min(capacity, carried + sum);
    carried += __shfl_sync(all_lanes, sum, warp_size - 1);
  }
  if (lane == 0) offsets[0] = 0;
}

/// Block i < n lists the rows of sequence index[i]; block n marks the rest up to `capacity`.
template <class = void>
__global__ void select_rows_kernel(Sequences seq, const std::int32_t* index, int n, int capacity,
                                   const std::int32_t* offsets, std::int32_t* rows) {
  const int i = static_cast<int>(blockIdx.x), to = offsets[i];
  const bool rest = i == n;
  const int from = rest ? 0 : sequence_begin(seq, index[i]);
  const int length = rest ? capacity - to : offsets[i + 1] - to;
  for (int t = static_cast<int>(threadIdx.x); t < length; t += static_cast<int>(blockDim.x))
    rows[to + t] = rest ? -1 : from + t;
}

/// Block i < count lists the rows of a_i and b_i; block `count` marks all padding.
template <class = void>
__global__ void __launch_bounds__(token_threads)
    concat_sequences_kernel(primitive::ConcatSequences c, bool shared, int rows, int a_rows,
                            int b_rows) {
  const int i = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const int b_begin = sequence_begin(c.b, i);
  const int a_begin = shared ? i * sequence_length(c.a, 0) : sequence_begin(c.a, i);
  const int begin = a_begin + b_begin;
  if (thread == 0) c.offsets[i] = begin;
  if (i == c.b.count) {
    for (int r = begin + thread; r < rows; r += token_threads) c.from_a[r] = c.from_b[r] = -1;
    if (c.to_a && !shared)
      for (int r = a_begin + thread; r < a_rows; r += token_threads) c.to_a[r] = -1;
    for (int r = b_begin + thread; r < b_rows; r += token_threads) c.to_b[r] = -1;
    return;
  }
  const int a_length = sequence_length(c.a, shared ? 0 : i), b_length = sequence_length(c.b, i);
  for (int t = thread; t < a_length; t += token_threads) {
    const int r = (shared ? 0 : a_begin) + t;
    c.from_a[begin + t] = r, c.from_b[begin + t] = -1;
    if (c.to_a && (!shared || i == c.b.count - 1)) c.to_a[r] = begin + t;  // one of the copies
  }
  for (int t = thread; t < b_length; t += token_threads) {
    const int r = begin + a_length + t;
    c.from_a[r] = -1, c.from_b[r] = b_begin + t;
    c.to_b[b_begin + t] = r;
  }
}

template <class = void>
__global__ void pair_indices_kernel(int batch, const std::int32_t* negative_image,
                                    const std::int32_t* negative_text, std::int32_t* text,
                                    std::int32_t* image) {
  const int b = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (b >= batch) return;
  text[b] = image[b] = b;
  text[batch + b] = b, image[batch + b] = negative_image[b];
  text[2 * batch + b] = negative_text[b], image[2 * batch + b] = b;
}

}  // namespace albef::detail
