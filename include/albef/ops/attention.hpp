// Multi-head attention of queries over keys and values, with dropout on the probabilities.
#pragma once

#include <cmath>

#include "albef/core/context.hpp"

namespace albef {

namespace detail {

/// Attention of rows `q` grouped as q_seq to the rows of `kv`, keys and values side by side.
template <class Real>
primitive::Attention<Real> attention_args(Mat<Real> q, Sequences q_seq, Mat<Real> kv,
                                          Sequences kv_seq, const std::int32_t* kv_index,
                                          int heads) {
  const int d = q.cols;
  primitive::Attention<Real> args;
  args.q = q;
  args.k = Mat<Real>{kv.data, kv.rows, d, kv.stride};
  args.v = Mat<Real>{kv.data + d, kv.rows, d, kv.stride};
  args.q_seq = q_seq;
  args.kv_seq = kv_seq;
  args.kv_index = kv_index;
  args.heads = heads;
  args.scale = static_cast<accumulator_t<Real>>(1 / std::sqrt(static_cast<double>(d) / heads));
  return args;
}

/// Error unless a width is a multiple of the heads.
inline void check_heads(const char* name, int width, int heads) {
  require(heads > 0 && width % heads == 0, "[", name, "] a width of ", width,
          " is not a multiple of ", heads, " heads");
}

/// Runs attention into y, with dropout if the context's is on.
template <class Ctx, class Real, int D>
void run_attention(Ctx& ctx, primitive::Attention<Real>& args, const Tensor<Real, D>& y, float p) {
  args.out = y.mat();
  args.lse = ctx.template allocate<accumulator_t<Real>>(std::int64_t{y.rows()} * args.heads);
  args.dropout = ctx.dropout() ? p : 0.0f;
  args.philox = ctx.philox();
  args.stream = ctx.next_stream();
  run(ctx.device(), args);
  if (ctx.noted_attention()) *ctx.noted_attention() = args;
}

}  // namespace detail

/// Queries attend to keys/values: q (Bq, Lq, D); kv (Bk, Lk, 2 D) holds keys, then values.
/// Query sequence s reads kv sequence kv_index[s] (null: s itself) -> (Bq, Lq, D).
/// Scores are scaled by 1/sqrt(D / heads); only rows that exist are computed, so no mask is needed.
template <class Ctx, class Real, int D, int D2>
Tensor<Real, D> cross_attention(Ctx& ctx, const Tensor<Real, D>& q, const Tensor<Real, D2>& kv,
                                const std::int32_t* kv_index, int heads, float p) {
  static_assert(detail::WidthsAgree<D2, 2 * D>::value,
                "cross_attention: kv must be twice as wide as q");
  ctx.check(kv);
  detail::check_heads("cross_attention", q.cols, heads);
  require(kv_index || q.seq.count == kv.seq.count, "[cross_attention] got ", q.seq.count,
          " sequences of queries and ", kv.seq.count, " of keys and values");
  auto y = ctx.like(q);  // (Bq, Lq, D)
  auto args = detail::attention_args(q.mat(), q.seq, kv.mat(), kv.seq, kv_index, heads);
  detail::run_attention(ctx, args, y, p);
  ctx.record(y, ctx.from(q, kv), [q, kv, y, args](auto& bwd) {
    // Both gradients come from one call; a side that needs none writes to temporary memory.
    const auto spare_q = bwd.template temporary<Real>(bwd.needs(q) ? 0 : q.size());
    const auto spare_kv = bwd.template temporary<Real>(bwd.needs(kv) ? 0 : kv.size());
    Mat<Real> dq = mat(spare_q.data(), q.rows(), D), dkv = mat(spare_kv.data(), kv.rows(), D2);
    accumulator_t<Real> beta_q = 0, beta_kv = 0;
    bwd.into(q, [&](Mat<Real> d, auto beta) { dq = d, beta_q = beta; });
    bwd.into(kv, [&](Mat<Real> d, auto beta) { dkv = d, beta_kv = beta; });
    run(bwd.device(), primitive::AttentionGrad<Real>{.forward = args,
                                                     .d_out = bwd.grad(y),
                                                     .dq = dq,
                                                     .beta_q = beta_q,
                                                     .dk = {dkv.data, dkv.rows, D, dkv.stride},
                                                     .dv = {dkv.data + D, dkv.rows, D, dkv.stride},
                                                     .beta_kv = beta_kv});
  });
  return y;
}

/// Every sequence attends to itself: qkv (B, L, 3 D) holds queries, keys, values -> (B, L, D).
/// `causal`: position i sees positions <= i.
template <class Ctx, class Real, int D3>
Tensor<Real, D3 / 3> self_attention(Ctx& ctx, const Tensor<Real, D3>& qkv, int heads, float p,
                                    bool causal = false) {
  constexpr int D = D3 / 3;
  static_assert(detail::WidthsAgree<D3, 3 * D>::value,
                "self_attention: qkv must be three times as wide as the output");
  ctx.check(qkv);
  detail::check_heads("self_attention", D, heads);
  auto y = ctx.template tensor<D>(qkv.seq);  // (B, L, D)
  auto args = detail::attention_args(qkv.columns(0, D), qkv.seq, qkv.columns(D, 2 * D), qkv.seq,
                                     nullptr, heads);
  args.causal = causal;
  detail::run_attention(ctx, args, y, p);
  ctx.record(y, ctx.from(qkv), [qkv, y, args](auto& bwd) {
    bwd.into(qkv, [&](Mat<Real> d, auto beta) {
      run(bwd.device(), primitive::AttentionGrad<Real>{.forward = args,
                                                       .d_out = bwd.grad(y),
                                                       .dq = {d.data, d.rows, D, d.stride},
                                                       .beta_q = beta,
                                                       .dk = {d.data + D, d.rows, D, d.stride},
                                                       .dv = {d.data + 2 * D, d.rows, D, d.stride},
                                                       .beta_kv = beta});
    });
  });
  return y;
}

}  // namespace albef
