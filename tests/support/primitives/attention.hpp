// Multi-head attention: ragged and shared keys, rows that see nothing, dropout, padding.
#pragma once

#include "../operands.hpp"

namespace cases {

struct AttentionShape {
  std::vector<int> q, kv;  // lengths
  int heads, dim;
  std::vector<int> kv_index = {};  // empty: each sequence its own
  bool causal = false;
  float dropout = 0;
  int q_padding = 0, kv_padding = 0;
  int gap = 0;  // between rows; one that is no multiple of 8 values excludes the tensor cores
};

inline const AttentionShape attention_shapes[] = {
    {.q = {5}, .kv = {7}, .heads = 1, .dim = 64},
    {.q = {65, 3}, .kv = {70, 129}, .heads = 2, .dim = 64, .gap = 8},
    {.q = {20, 0, 17, 64}, .kv = {20, 3, 17, 64}, .heads = 2, .dim = 32, .causal = true},
    {.q = {3, 66}, .kv = {5, 2}, .heads = 1, .dim = 32, .causal = true},  // rows that see nothing
    {.q = {9, 25, 70}, .kv = {33, 90, 11}, .heads = 3, .dim = 64, .dropout = 0.25f},
    {.q = {9, 66}, .kv = {13, 70}, .heads = 2, .dim = 32, .causal = true, .dropout = 0.5f},
    {.q = {6, 2, 0, 19, 5},  // shared keys, and keys nobody reads
     .kv = {10, 4, 30, 65},
     .heads = 2,
     .dim = 64,
     .kv_index = {3, 0, 1, 3, 3},
     .dropout = 0.1f,
     .q_padding = 4,
     .kv_padding = 3},
    {.q = {8, 6}, .kv = {0, 9}, .heads = 1, .dim = 64},  // no keys at all
    {.q = {7, 40}, .kv = {37, 6}, .heads = 2, .dim = 24, .dropout = 0.3f, .gap = 3},
};
inline const AttentionShape base_attention{
    .q = std::vector<int>(4, 257), .kv = std::vector<int>(4, 257), .heads = 12, .dim = 64};

/// Calls f(query row, key row, head, score, kept) for every visible score of a query row.
template <class F>
void for_scores(const primitive::Attention<double>& a, int s, int t, int head, F f) {
  const int k = a.key_sequence(s), d = a.head_dim();
  const int queries = a.q_seq.length(s), keys = a.kv_seq.length(k);
  const int r = a.q_seq.begin(s) + t, m = (a.kv_seq.max_length() + 3) / 4 * 4;
  for (int j = 0; j < keys && (!a.causal || j <= t + keys - queries); ++j) {
    const int c = a.kv_seq.begin(k) + j;
    double score = 0;
    for (int x = 0; x < d; ++x) score += a.q.row(r)[head * d + x] * a.k.row(c)[head * d + x];
    const auto word = (static_cast<std::uint64_t>(r) * static_cast<std::uint64_t>(a.heads) +
                       static_cast<std::uint64_t>(head)) *
                          static_cast<std::uint64_t>(m) +
                      static_cast<std::uint64_t>(j);
    const bool keeps = a.dropout == 0 || a.philox(a.stream, word / 4)[word % 4] >=
                                             albef::dropout_threshold(a.dropout);
    f(r, c, a.scale * score, keeps ? 1 / (1 - static_cast<double>(a.dropout)) : 0.0);
  }
}
/// Calls f(s, t, head) for every query.
template <class F>
void for_queries(const primitive::Attention<double>& a, F f) {
  for (int s = 0; s < a.q_seq.count; ++s)
    for (int t = 0; t < a.q_seq.length(s); ++t)
      for (int head = 0; head < a.heads; ++head) f(s, t, head);
}
inline double naive_lse(const primitive::Attention<double>& a, int s, int t, int head) {
  double high = -std::numeric_limits<double>::infinity(), total = 0;
  for_scores(a, s, t, head, [&](int, int, double x, double) { high = std::max(high, x); });
  for_scores(a, s, t, head, [&](int, int, double x, double) { total += std::exp(x - high); });
  return std::isinf(high) ? high : high + std::log(total);
}
inline void naive_scale(Mat<double> m, int first, double beta) {
  for (int i = first; i < m.rows; ++i)
    for (int j = 0; j < m.cols; ++j) m.row(i)[j] = beta == 0 ? 0 : beta * m.row(i)[j];
}

inline void run(Naive&, const primitive::Attention<double>& a) {
  naive_scale(a.out, 0, 0);
  for_queries(a, [&](int s, int t, int head) {
    const double lse = naive_lse(a, s, t, head);
    const int d = a.head_dim();
    if (a.lse) a.lse[(a.q_seq.begin(s) + t) * a.heads + head] = lse;
    for_scores(a, s, t, head, [&](int r, int c, double score, double factor) {
      for (int x = head * d; x < (head + 1) * d; ++x)
        a.out.row(r)[x] += factor * std::exp(score - lse) * a.v.row(c)[x];
    });
  });
}
inline void run(Naive&, const primitive::AttentionGrad<double>& g) {
  const auto& a = g.forward;
  naive_scale(g.dq, 0, g.beta_q), naive_scale(g.dk, 0, g.beta_kv), naive_scale(g.dv, 0, g.beta_kv);
  for_queries(a, [&](int s, int t, int head) {
    const double lse = naive_lse(a, s, t, head);
    const int d = a.head_dim(), from = head * d, to = from + d;
    const auto d_probability = [&](int r, int c, double factor) {
      double sum = 0;
      for (int x = from; x < to; ++x) sum += g.d_out.row(r)[x] * a.v.row(c)[x];
      return factor * sum;
    };
    double mean = 0;
    for_scores(a, s, t, head, [&](int r, int c, double score, double factor) {
      mean += std::exp(score - lse) * d_probability(r, c, factor);
    });
    for_scores(a, s, t, head, [&](int r, int c, double score, double factor) {
      const double p = std::exp(score - lse);
      const double ds = a.scale * p * (d_probability(r, c, factor) - mean);
      for (int x = from; x < to; ++x) {
        g.dq.row(r)[x] += ds * a.k.row(c)[x];
        g.dk.row(c)[x] += ds * a.q.row(r)[x];
        g.dv.row(c)[x] += factor * p * g.d_out.row(r)[x];
      }
    });
  });
}
inline void run(Naive&, const primitive::AttentionProbabilities<double>& m) {
  const auto& a = m.forward;
  const int keys = a.kv_seq.length(a.key_sequence(m.sequence));
  const int queries = a.q_seq.length(m.sequence), d = a.head_dim();
  std::fill_n(m.probabilities, std::int64_t{a.heads} * queries * keys, 0.0);
  for (int head = 0; head < a.heads; ++head)
    for (int t = 0; t < queries; ++t) {
      double* row = m.probabilities + (std::int64_t{head} * queries + t) * keys;
      const double lse = naive_lse(a, m.sequence, t, head);
      const int first = a.kv_seq.begin(a.key_sequence(m.sequence));
      if (!m.d_out.data)
        for_scores(a, m.sequence, t, head, [&](int, int c, double score, double) {
          row[c - first] = std::exp(score - lse);
        });
      else  // of keys that are hidden, too
        for (int j = 0; j < keys; ++j) {
          const int r = a.q_seq.begin(m.sequence) + t;
          double factor = 1;
          if (a.dropout > 0) {
            const auto pitch = static_cast<std::uint64_t>((a.kv_seq.max_length() + 3) / 4 * 4);
            const auto word = static_cast<std::uint64_t>(r * a.heads + head) * pitch +
                              static_cast<std::uint64_t>(j);
            factor = a.philox(a.stream, word / 4)[word % 4] >= albef::dropout_threshold(a.dropout)
                         ? 1 / (1 - static_cast<double>(a.dropout))
                         : 0;
          }
          for (int x = head * d; x < (head + 1) * d; ++x)
            row[j] += factor * m.d_out.row(r)[x] * a.v.row(first + j)[x];
        }
    }
}

/// The operands of one problem.
template <class T>
struct AttentionOperands {
  const AttentionShape& shape;
  Lengths q_seq{shape.q, shape.q_padding}, kv_seq{shape.kv, shape.kv_padding};
  int width = shape.heads * shape.dim, gap = shape.gap;
  Matrix<T> q = Matrix<T>::random(q_seq.total, width, gap),
            k = Matrix<T>::random(kv_seq.total, width),
            v = Matrix<T>::random(kv_seq.total, width, gap),
            d = Matrix<T>::random(q_seq.total, width);
  Matrix<T> out{q_seq.total, width, gap}, dq{q_seq.total, width}, dk{kv_seq.total, width, gap},
      dv{kv_seq.total, width};
  Matrix<accumulator_t<T>> lse{q_seq.total, shape.heads};
  Array<int> index{shape.kv_index};

  auto args(auto on) {
    primitive::Attention<typename decltype(on)::Real> a;
    a.q = on(q), a.k = on(k), a.v = on(v), a.out = on(out);
    a.lse = on.data(lse);
    a.q_seq = on(q_seq), a.kv_seq = on(kv_seq);
    if (!shape.kv_index.empty()) a.kv_index = on(index);
    a.heads = shape.heads;
    a.causal = shape.causal;
    a.scale = on.sum(0.2f);
    a.dropout = shape.dropout;
    a.philox = {99}, a.stream = 0x123456789ull;
    return a;
  }
  /// Probabilities of the tensor-core kernels are rounded to bf16 before they meet the values.
  static constexpr double bound = std::is_same_v<T, albef::bfloat16> ? 2e-2 : 20 * tolerance<T>;
};

template <class T>
struct PrimitiveCase<primitive::Attention<T>> {
  static void each(const auto& h) {
    for (const auto& shape : h.sizes(attention_shapes, base_attention)) {
      AttentionOperands<T> o{shape};
      o.out.set(undefined);
      h.template check<T>(
          o.bound, [&](auto on) { return o.args(on); }, o.out, o.lse);
    }
  }
};
template <class T>
struct PrimitiveCase<primitive::AttentionGrad<T>> {
  static void each(const auto& h) {
    for (const auto& shape : h.sizes(attention_shapes, base_attention)) {
      AttentionOperands<T> o{shape};
      for (const float beta : {0.0f, 0.5f}) {
        const double old = beta == 0 ? undefined : 1.5;
        o.dq.set(old), o.dk.set(old), o.dv.set(old);
        h.template check<T>((std::is_same_v<T, albef::bfloat16> ? 4 : 2) * o.bound,
                            [&](auto on) {
                              using R = typename decltype(on)::Real;
                              run(on.device, o.args(on));
                              return primitive::AttentionGrad<R>{o.args(on),   on(o.d),  on(o.dq),
                                                                 on.sum(beta), on(o.dk), on(o.dv),
                                                                 on.sum(beta)};
                            },
                            o.dq, o.dk, o.dv);
      }
    }
  }
};
template <class T>
struct PrimitiveCase<primitive::AttentionProbabilities<T>> {
  static void each(const auto& h) {
    for (const auto& shape : h.sizes(attention_shapes, base_attention)) {
      AttentionOperands<T> o{shape};
      for (int s = 0; s < static_cast<int>(shape.q.size()); ++s) {
        const int t = shape.kv_index.empty() ? s : shape.kv_index[static_cast<std::size_t>(s)];
        const int queries = shape.q[static_cast<std::size_t>(s)];
        const int keys = shape.kv[static_cast<std::size_t>(t)];
        if (queries == 0 || keys == 0) continue;
        Matrix<T> maps(shape.heads * queries, keys);
        for (const bool gradient : {false, true})
          h.template check<T>(
              o.bound,
              [&](auto on) {
                using R = typename decltype(on)::Real;
                primitive::AttentionProbabilities<R> a{o.args(on), s, on.data(maps)};
                if (gradient) a.d_out = on(o.d);
                return a;
              },
              maps);
      }
    }
  }
};

}  // namespace cases
