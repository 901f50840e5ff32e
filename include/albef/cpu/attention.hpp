// Multi-head attention over packed sequences on the CPU, forward and backward.
//
// One task is one (sequence, head) pair: scores by the serial product engine, softmax and dropout
// by packs, a block of queries at a time so that the scores stay in the cache. The backward pass
// recomputes the probabilities from the stored log-sum-exp and belongs to (key sequence, head): the
// query sequences that read those keys are visited in order, so sums never depend on threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "albef/core/error.hpp"
#include "albef/core/primitives/attention.hpp"
#include "albef/cpu/device.hpp"
#include "albef/cpu/gemm.hpp"
#include "albef/cpu/philox.hpp"
#include "albef/cpu/simd.hpp"

namespace albef {
namespace detail {

/// Sizes common to all tasks of one call, and the layout of a thread's scratch memory.
template <class T>
struct AttentionPlan {
  int query_rows;     // queries per block
  int stride;         // of a row of scores: the longest key sequence in whole packs
  int factor_stride;  // of a row of dropout factors: keys in whole Philox counters
  std::size_t scores, factors, workspace;  // elements of a score block, of the dropout factors
                                           // of one, of the product workspace

  explicit AttentionPlan(const primitive::Attention<T>& a) {
    constexpr int score_elements = 1 << 17;
    const int keys = a.kv_seq.max_length(), dim = a.head_dim();
    stride = round_up(std::max(keys, 1), Pack<T>::width);
    factor_stride = round_up(keys, 4);
    query_rows = std::clamp(score_elements / stride, 4 * Tile<T>::rows,
                            std::max(a.q_seq.max_length(), 4 * Tile<T>::rows));
    scores = static_cast<std::size_t>(query_rows) * static_cast<std::size_t>(stride);
    const int pad = Pack<T>::width;  // rows of factors are read in whole packs
    factors = a.dropout > 0
                  ? static_cast<std::size_t>(query_rows) * static_cast<std::size_t>(factor_stride) +
                        static_cast<std::size_t>(pad)
                  : 0;
    workspace = std::max({gemm_workspace<T>(query_rows, keys, dim),
                          gemm_workspace<T>(query_rows, dim, keys),
                          gemm_workspace<T>(keys, dim, query_rows)});
  }
  /// Elements for `blocks` score blocks, dropout factors and the products.
  std::size_t scratch(std::size_t blocks) const { return blocks * scores + factors + workspace; }
};

/// A block of consecutive queries of one sequence and one head, and the keys they read.
template <class T>
struct AttentionTile {
  const primitive::Attention<T>* args;
  int head, query, queries;  // first row in the batch, number of rows
  int key, keys;             // first row in the batch, number of rows
  int position, length;      // of the first query in its sequence; length of the sequence

  template <class U>
  Mat<U> query_part(Mat<U> m) const {
    const int d = args->head_dim();
    return {m.row(query) + head * d, queries, d, m.stride};
  }
  template <class U>
  Mat<U> key_part(Mat<U> m) const {
    const int d = args->head_dim();
    return {m.row(key) + head * d, keys, d, m.stride};
  }
  /// How many keys query i of the block sees.
  int visible(int i) const {
    return args->causal ? std::clamp(position + i + 1 + keys - length, 0, keys) : keys;
  }
  std::int64_t lse_index(int i) const { return std::int64_t{query + i} * args->heads + head; }
  /// Dropout factors, 0 or 1 / (1 - p), of all rows, `factor_stride` apart. What lies behind the
  /// keys of a row is finite: there it meets probabilities that are zero.
  void dropout_factors(int factor_stride, T* factors) const {
    for (int i = 0; i < queries; ++i) {
      const std::int64_t row = std::int64_t{query + i} * args->heads + head;
      dropout_scale(args->philox, args->stream, static_cast<std::uint64_t>(row * factor_stride),
                    factors + std::int64_t{i} * factor_stride, factor_stride, args->dropout);
    }
    std::fill_n(factors + std::int64_t{queries} * factor_stride, Pack<T>::width, T(0));
  }
  Mat<T> block(T* scores, int stride) const { return {scores, queries, keys, stride}; }
};

/// c = alpha * op(a) op(b) + beta * c.
template <class T>
void multiply(Mat<const T> a, bool transpose_a, Mat<const T> b, bool transpose_b, T alpha, T beta,
              Mat<T> c, T* workspace) {
  primitive::Gemm<T> g;
  g.a = a, g.transpose_a = transpose_a;
  g.b = b, g.transpose_b = transpose_b;
  g.c = c, g.alpha = alpha, g.beta = beta;
  gemm_serial(g, workspace);
}

/// scores = scale * q k^T, hidden entries and the padding of each row set to -infinity.
template <class T>
void score_block(const AttentionTile<T>& t, T* scores, int stride, T* workspace) {
  const auto& a = *t.args;
  multiply<T>(t.query_part(a.q), false, t.key_part(a.k), true, a.scale, T(0),
              t.block(scores, stride), workspace);
  for (int i = 0; i < t.queries; ++i)
    std::fill(scores + std::int64_t{i} * stride + t.visible(i),
              scores + std::int64_t{i} * stride + round_up(t.keys, Pack<T>::width),
              -std::numeric_limits<T>::infinity());
}

/// Turns a row of n scores (whole packs) into probabilities; returns their log-sum-exp. A row that
/// sees nothing becomes zeros and returns -infinity.
template <class T>
T softmax_row(T* x, int n) {
  using P = Pack<T>;
  P high(-std::numeric_limits<T>::infinity());
  for (int j = 0; j < n; j += P::width) high = max(P::load(x + j), high);
  const T top = max(high);
  if (top == -std::numeric_limits<T>::infinity()) {
    std::fill(x, x + n, T(0));
    return top;
  }
  P total(T(0));
  for (int j = 0; j < n; j += P::width) {
    const P e = exp(P::load(x + j) - top);
    e.store(x + j);
    total += e;
  }
  const T s = sum(total);
  const P factor(T(1) / s);
  for (int j = 0; j < n; j += P::width) (P::load(x + j) * factor).store(x + j);
  return top + std::log(s);
}

/// Backward of softmax and dropout for one row of n entries (whole packs). In: s the scores, dp the
/// gradient of the dropped-out probabilities. Out: s the dropped-out probabilities, dp the gradient
/// of the unscaled scores, scale * p (dp - sum p dp). `factors` are those of dropout, or null.
template <class T>
void softmax_row_backward(T* s, T* dp, const T* factors, T lse, T scale, int n) {
  using P = Pack<T>;
  P total(T(0));
  for (int j = 0; j < n; j += P::width) {
    const P p = exp(P::load(s + j) - lse);
    P d = P::load(dp + j);
    if (factors) (d *= P::load(factors + j)).store(dp + j);
    p.store(s + j);
    total = fma(p, d, total);
  }
  const P mean(sum(total)), c(scale);
  for (int j = 0; j < n; j += P::width) {
    const P p = P::load(s + j);
    (p * c * (P::load(dp + j) - mean)).store(dp + j);
    if (factors) (p * P::load(factors + j)).store(s + j);
  }
}

/// Calls f(tile) for the blocks of queries of sequence s.
template <class T, class F>
void for_query_blocks(const primitive::Attention<T>& a, int s, int head, int query_rows, F&& f) {
  const int t = a.key_sequence(s), length = a.q_seq.length(s);
  for (int i = 0; i < length; i += query_rows)
    f(AttentionTile<T>{&a, head, a.q_seq.begin(s) + i, std::min(query_rows, length - i),
                       a.kv_seq.begin(t), a.kv_seq.length(t), i, length});
}

/// Calls f(item, thread) for every item: on the calling thread alone if the call is small.
template <class T, class F>
void for_attention_tasks(Cpu& cpu, const primitive::Attention<T>& a, int items, F&& f) {
  const double work = 2.0 * a.q.rows * a.kv_seq.max_length() * a.q.cols;
  if (work < 500e3) {
    for (int i = 0; i < items; ++i) f(i, 0);
  } else {
    cpu.for_each(items, [&](std::int64_t i, int thread) { f(static_cast<int>(i), thread); });
  }
}

template <class T>
void check_attention(const primitive::Attention<T>& a) {
  require(a.heads > 0 && a.q.cols % a.heads == 0, "[attention] width ", a.q.cols,
          " is not a multiple of ", a.heads, " heads");
  require(a.k.cols == a.q.cols && a.v.cols == a.q.cols, "[attention] queries have width ", a.q.cols,
          ", keys ", a.k.cols, ", values ", a.v.cols);
  require(a.q_seq.rows() == a.q.rows, "[attention] query sequences cover ", a.q_seq.rows(),
          " rows of ", a.q.rows);
  require(a.kv_seq.rows() == a.k.rows && a.k.rows == a.v.rows, "[attention] key sequences cover ",
          a.kv_seq.rows(), " rows of ", a.k.rows, " keys and ", a.v.rows, " values");
  require(a.kv_index || a.q_seq.count == a.kv_seq.count, "[attention] ", a.q_seq.count,
          " query sequences, but ", a.kv_seq.count, " key sequences and no index");
  for (int s = 0; s < a.q_seq.count; ++s)
    require(a.key_sequence(s) >= 0 && a.key_sequence(s) < a.kv_seq.count, "[attention] sequence ",
            s, " reads key sequence ", a.key_sequence(s), " of ", a.kv_seq.count);
  require(a.dropout >= 0 && a.dropout < 1, "[attention] dropout ", a.dropout,
          ", expected 0 <= p < 1");
}

/// Multiplies the rows behind the last sequence by beta; 0 never reads them.
template <class T>
void scale_padding(const Sequences& seq, Mat<T> m, T beta) {
  for (int r = seq.begin(seq.count); r < m.rows && beta != T(1); ++r)
    for (int j = 0; j < m.cols; ++j) m.row(r)[j] = beta == T(0) ? T(0) : beta * m.row(r)[j];
}

}  // namespace detail

/// Writes args.out and, unless null, args.lse. Throws Error if the shapes do not fit.
template <class T>
void run(Cpu& cpu, const primitive::Attention<T>& args) {
  using namespace detail;
  check_attention(args);
  const AttentionPlan<T> plan(args);
  for_attention_tasks(cpu, args, args.q_seq.count * args.heads, [&](int item, int thread) {
    T* scores = cpu.scratch<T>(thread, plan.scratch(1));
    T *factors = scores + plan.scores, *workspace = factors + plan.factors;
    for_query_blocks(args, item / args.heads, item % args.heads, plan.query_rows, [&](auto tile) {
      const int padded = round_up(tile.keys, Pack<T>::width);
      score_block(tile, scores, plan.stride, workspace);
      if (args.dropout > 0) tile.dropout_factors(plan.factor_stride, factors);
      for (int i = 0; i < tile.queries; ++i) {
        T* row = scores + std::int64_t{i} * plan.stride;
        const T lse = softmax_row(row, padded);
        if (args.lse) args.lse[tile.lse_index(i)] = lse;
        if (args.dropout == 0) continue;
        const T* factor = factors + std::int64_t{i} * plan.factor_stride;
        for (int j = 0; j < padded; j += Pack<T>::width)
          (Pack<T>::load(row + j) * Pack<T>::load(factor + j)).store(row + j);
      }
      multiply<T>(tile.block(scores, plan.stride), false, tile.key_part(args.v), false, T(1), T(0),
                  tile.query_part(args.out), workspace);
    });
  });
  scale_padding(args.q_seq, args.out, T(0));
}

template <class T>
void run(Cpu& cpu, const primitive::AttentionGrad<T>& g) {
  const primitive::Attention<T>& args = g.forward;
  const Mat<const T> d_out = g.d_out;
  const Mat<T> dq = g.dq, dk = g.dk, dv = g.dv;
  const T beta_q = g.beta_q, beta_kv = g.beta_kv;
  using namespace detail;
  check_attention(args);
  require(args.lse != nullptr, "[attention] backward needs the lse of forward");
  const AttentionPlan<T> plan(args);
  for_attention_tasks(cpu, args, args.kv_seq.count * args.heads, [&](int item, int thread) {
    const int t = item / args.heads, head = item % args.heads;
    T* scores = cpu.scratch<T>(thread, plan.scratch(2));
    T *d_scores = scores + plan.scores, *factors = d_scores + plan.scores;
    T* workspace = factors + plan.factors;
    T beta = beta_kv;  // 1 once a block of queries has contributed
    bool touched = false;
    const auto visit = [&](const AttentionTile<T>& tile) {
      const int padded = round_up(tile.keys, Pack<T>::width);
      const Mat<const T> d_out_part = tile.query_part(d_out);
      const Mat<const T> p = tile.block(scores, plan.stride),
                         ds = tile.block(d_scores, plan.stride);
      score_block(tile, scores, plan.stride, workspace);
      multiply<T>(d_out_part, false, tile.key_part(args.v), true, T(1), T(0),
                  tile.block(d_scores, plan.stride), workspace);  // d(dropped-out p) = d_out v^T
      if (args.dropout > 0) tile.dropout_factors(plan.factor_stride, factors);
      for (int i = 0; i < tile.queries; ++i) {
        T *s = scores + std::int64_t{i} * plan.stride,
          *d = d_scores + std::int64_t{i} * plan.stride;
        if (tile.visible(i) == 0) {
          std::fill(s, s + padded, T(0));
          std::fill(d, d + padded, T(0));
          continue;
        }
        std::fill(d + tile.keys, d + padded, T(0));
        softmax_row_backward(
            s, d, args.dropout > 0 ? factors + std::int64_t{i} * plan.factor_stride : nullptr,
            args.lse[tile.lse_index(i)], args.scale, padded);
      }
      multiply<T>(ds, false, tile.key_part(args.k), false, T(1), beta_q, tile.query_part(dq),
                  workspace);
      multiply<T>(ds, true, tile.query_part(args.q), false, T(1), beta, tile.key_part(dk),
                  workspace);
      multiply<T>(p, true, d_out_part, false, T(1), beta, tile.key_part(dv), workspace);
      beta = T(1);
      touched = true;
    };
    const int first = args.kv_index ? 0 : t, last = args.kv_index ? args.q_seq.count : t + 1;
    for (int s = first; s < last; ++s)
      if (args.key_sequence(s) == t) for_query_blocks(args, s, head, plan.query_rows, visit);
    if (touched || beta_kv == T(1)) return;
    const int d = args.head_dim();
    for (int r = args.kv_seq.begin(t); r < args.kv_seq.begin(t + 1); ++r) {
      for (T* row : {dk.row(r) + head * d, dv.row(r) + head * d})
        for (int j = 0; j < d; ++j) row[j] = beta_kv == T(0) ? T(0) : beta_kv * row[j];
    }
  });
  scale_padding(args.q_seq, dq, beta_q);
  scale_padding(args.kv_seq, dk, beta_kv);
  scale_padding(args.kv_seq, dv, beta_kv);
}

template <class T>
void run(Cpu& cpu, const primitive::AttentionProbabilities<T>& a) {
  const primitive::Attention<T>& args = a.forward;
  const Mat<const T> d_out = a.d_out;
  const int s = a.sequence;
  T* probabilities = a.probabilities;
  using namespace detail;
  check_attention(args);
  require(s >= 0 && s < args.q_seq.count, "[attention] no query sequence ", s, " of ",
          args.q_seq.count);
  const AttentionPlan<T> plan(args);
  T* scores = cpu.scratch<T>(0, plan.scratch(1));
  T *factors = scores + plan.scores, *workspace = factors + plan.factors;
  for (int head = 0; head < args.heads; ++head) {
    for_query_blocks(args, s, head, plan.query_rows, [&](const AttentionTile<T>& tile) {
      if (d_out.data)
        multiply<T>(tile.query_part(d_out), false, tile.key_part(args.v), true, T(1), T(0),
                    tile.block(scores, plan.stride), workspace);
      else
        score_block(tile, scores, plan.stride, workspace);
      if (args.dropout > 0) tile.dropout_factors(plan.factor_stride, factors);
      for (int i = 0; i < tile.queries; ++i) {
        T* row = scores + std::int64_t{i} * plan.stride;
        if (!d_out.data) {
          softmax_row(row, round_up(tile.keys, Pack<T>::width));
        } else if (args.dropout > 0) {
          for (int j = 0; j < tile.keys; ++j)
            row[j] *= factors[std::int64_t{i} * plan.factor_stride + j];
        }
        probabilities = std::copy(row, row + tile.keys, probabilities);
      }
    });
  }
}

}  // namespace albef
