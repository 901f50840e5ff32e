// Multi-head attention over packed sequences.
#pragma once

#include <cstdint>

#include "albef/core/matrix.hpp"
#include "albef/core/rng.hpp"
#include "albef/core/sequences.hpp"

namespace albef::primitive {

/// out = dropout(softmax(scale * q k^T)) v for every (sequence, head). Head h lives in columns
/// [h * head_dim, (h + 1) * head_dim) of each matrix, head_dim = q.cols / heads; q, k and v may be
/// column blocks of one matrix. Padding rows (see Sequences) of out and of the gradients become
/// zero (with beta: keep beta times the old value).
template <class T>
struct Attention {
  Mat<const T> q, k, v;  // (query rows, heads * head_dim), (key rows, ...), (key rows, ...)
  Mat<T> out;            // (query rows, heads * head_dim)
  accumulator_t<T>* lse = nullptr;  // (query rows, heads): log-sum-exp of the scaled scores;
                                    // forward writes it (unless null), backward reads it
  Sequences q_seq, kv_seq;
  const int* kv_index = nullptr;  // query sequence s reads keys of kv_index[s]; null: of s
  int heads = 1;
  bool causal = false;         // query i sees keys j <= i + (key length - query length)
  accumulator_t<T> scale = 1;  // usually head_dim^-0.5
  // Dropout on the probabilities: with m = kv_seq.max_length() rounded up to a multiple of 4, the
  // probability of (head h, query row r of the whole batch, key j of its sequence) is element
  // e = (r * heads + h) * m + j of the stream. It is kept iff word e % 4 of Philox counter
  // e / 4 reaches dropout_threshold(dropout), and then divided by 1 - dropout.
  float dropout = 0;
  Philox philox = {};
  std::uint64_t stream = 0;

  constexpr int head_dim() const { return q.cols / heads; }
  constexpr int key_sequence(int s) const { return kv_index ? kv_index[s] : s; }
};

/// Gradients of attention: dq = beta_q * dq + ..., dk and dv likewise with beta_kv, summed over all
/// query sequences that read a key sequence. `forward` as it was run, with the out and lse it
/// wrote; dropout is replayed. beta == 0 never reads the old values.
template <class T>
struct AttentionGrad {
  Attention<T> forward;
  Mat<const T> d_out;
  Mat<T> dq;
  accumulator_t<T> beta_q = 0;
  Mat<T> dk, dv;
  accumulator_t<T> beta_kv = 0;
};

/// Probabilities of one query sequence after softmax and before dropout, (heads, queries, keys);
/// with `d_out`, instead the gradient of the loss with respect to them (what Grad-CAM multiplies
/// them with). Recomputed from q, k and v; for inspection, not for speed.
template <class T>
struct AttentionProbabilities {
  Attention<T> forward;
  int sequence = 0;
  T* probabilities = nullptr;
  Mat<const T> d_out = {};
};

}  // namespace albef::primitive
