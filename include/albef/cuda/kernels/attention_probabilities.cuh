// Attention probabilities of one sequence, or the gradient with respect to them: for inspection.
#pragma once

#include <cmath>

#include "albef/cuda/kernels/attention_generic.cuh"
#include "albef/cuda/kernels/reduce.cuh"

namespace albef::detail {

inline constexpr int probability_threads = 128;

struct Maximum {
  template <class A>
  __device__ __forceinline__ A operator()(A a, A b) const {
    return a > b ? a : b;
  }
};

/// Row blockIdx.x of sequence s, head blockIdx.y: scores by products of query and key rows, or with
/// d_out of gradient and value rows; written to out (heads, queries, keys).
template <class T>
__global__ void __launch_bounds__(probability_threads)
    attention_probabilities_kernel(primitive::Attention<T> a, int s, Mat<const T> d_out,
                                   int counters, DropoutFactors dropout, T* out) {
  using A = accumulator_t<T>;
  const int dim = a.q.cols / a.heads, i = static_cast<int>(blockIdx.x);
  const int head = static_cast<int>(blockIdx.y), column = head * dim;
  const int queries = sequence_length(a.q_seq, s), t = key_sequence(a, s);
  if (i >= queries) return;
  const int keys = sequence_length(a.kv_seq, t);
  const int row = sequence_begin(a.q_seq, s) + i, k_begin = sequence_begin(a.kv_seq, t);
  const bool gradient = d_out.data != nullptr;
  const T* left = row_of(gradient ? d_out : a.q, row) + column;
  out += (std::int64_t{head} * queries + i) * keys;
  dropout = dropout.resolved();
  const std::uint64_t counter = dropout_counter(row, a.heads, head, counters);
  const int visible = visible_keys(a.causal, i, queries, keys);

  const auto product = [&](int j) {
    const T* right = row_of(gradient ? a.v : a.k, k_begin + j) + column;
    A sum = 0;
    for (int c = 0; c < dim; ++c) sum += static_cast<A>(left[c]) * static_cast<A>(right[c]);
    return sum;
  };
  if (gradient) {
    for (int j = static_cast<int>(threadIdx.x); j < keys; j += probability_threads) {
      const A factor = dropout_of_keys<A>(dropout, counter, j)[j % 4];
      out[j] = static_cast<T>(product(j) * factor);
    }
    return;
  }
  A high = -infinity<A>;
  for (int j = static_cast<int>(threadIdx.x); j < visible; j += probability_threads)
    high = Maximum{}(high, a.scale * product(j));
  high = block_reduce<probability_threads>(high, -infinity<A>, Maximum{});
  A sum = 0;
  for (int j = static_cast<int>(threadIdx.x); j < visible; j += probability_threads)
    sum += std::exp(a.scale * product(j) - high);
  sum = block_reduce<probability_threads>(sum, A(0), Plus{});
  for (int j = static_cast<int>(threadIdx.x); j < keys; j += probability_threads)
    out[j] = static_cast<T>(j < visible ? std::exp(a.scale * product(j) - high) / sum : A(0));
}

}  // namespace albef::detail
