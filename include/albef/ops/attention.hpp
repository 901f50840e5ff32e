// Multi-head attention of queries over keys and values, with dropout on the probabilities.
#pragma once

#include <cmath>

#include "albef/core/context.hpp"

namespace albef {

/// Queries attend to keys/values: q (Bq, Lq, D); kv (Bk, Lk, 2 D) holds keys, then values.
/// Query sequence s reads kv sequence kv_index[s] (null: s itself) -> (Bq, Lq, D).
/// Scores are scaled by 1/sqrt(D / heads); only rows that exist are computed, so no mask is needed.
template <class Ctx, class Real, int D, int D2>
Tensor<Real, D> cross_attention(Ctx& ctx, const Tensor<Real, D>& q, const Tensor<Real, D2>& kv,
                                const std::int32_t* kv_index, int heads, float p) {
  static_assert(D2 == 2 * D, "cross_attention: kv must be twice as wide as q");
  auto y = ctx.like(q);  // (Bq, Lq, D)
  const AttentionArgs<Real> args{
      .q = q.mat(),
      .k = kv.columns(0, D),
      .v = kv.columns(D, D),
      .out = y.mat(),
      .lse = ctx.template allocate<accumulator_t<Real>>(std::int64_t{q.rows()} * heads),
      .q_seq = q.seq,
      .kv_seq = kv.seq,
      .kv_index = kv_index,
      .heads = heads,
      .scale = static_cast<accumulator_t<Real>>(1 / std::sqrt(double(D) / heads)),
      .dropout = ctx.dropout() ? p : 0.0f,
      .philox = ctx.philox(),
      .stream = ctx.next_stream()};
  attention_forward(ctx.device(), args);
  ctx.record(y, ctx.from(q, kv), [q, kv, y, args](auto& bwd) {
    // Both gradients come from one call; a side that needs none writes to temporary memory.
    const auto run = [&](Mat<Real> dq, auto beta_q, Mat<Real> dkv, auto beta_kv) {
      attention_backward(bwd.device(), args, Mat<const Real>(bwd.grad(y)), dq, beta_q,
                         Mat<Real>{dkv.data, dkv.rows, D, dkv.stride},
                         Mat<Real>{dkv.data + D, dkv.rows, D, dkv.stride}, beta_kv);
    };
    const auto spare_q = bwd.template temporary<Real>(bwd.needs(q) ? 0 : q.size());
    const auto spare_kv = bwd.template temporary<Real>(bwd.needs(kv) ? 0 : kv.size());
    Mat<Real> dq = mat(spare_q.data(), q.rows(), D), dkv = mat(spare_kv.data(), kv.rows(), D2);
    accumulator_t<Real> beta_q = 0, beta_kv = 0;
    bwd.into(q, [&](Mat<Real> d, auto beta) { dq = d, beta_q = beta; });
    bwd.into(kv, [&](Mat<Real> d, auto beta) { dkv = d, beta_kv = beta; });
    run(dq, beta_q, dkv, beta_kv);
  });
  return y;
}

/// Every sequence attends to itself: qkv (B, L, 3 D) holds queries, keys, values -> (B, L, D).
/// `causal`: position i sees positions <= i.
template <class Ctx, class Real, int D3>
Tensor<Real, D3 / 3> self_attention(Ctx& ctx, const Tensor<Real, D3>& qkv, int heads, float p,
                                    bool causal = false) {
  constexpr int D = D3 / 3;
  static_assert(D3 % 3 == 0, "self_attention: qkv must be three times as wide as the output");
  auto y = ctx.template tensor<D>(qkv.seq);  // (B, L, D)
  const AttentionArgs<Real> args{
      .q = qkv.columns(0, D),
      .k = qkv.columns(D, D),
      .v = qkv.columns(2 * D, D),
      .out = y.mat(),
      .lse = ctx.template allocate<accumulator_t<Real>>(std::int64_t{qkv.rows()} * heads),
      .q_seq = qkv.seq,
      .kv_seq = qkv.seq,
      .heads = heads,
      .causal = causal,
      .scale = static_cast<accumulator_t<Real>>(1 / std::sqrt(double(D) / heads)),
      .dropout = ctx.dropout() ? p : 0.0f,
      .philox = ctx.philox(),
      .stream = ctx.next_stream()};
  attention_forward(ctx.device(), args);
  ctx.record(y, ctx.from(qkv), [qkv, y, args](auto& bwd) {
    bwd.into(qkv, [&](Mat<Real> d, auto beta) {
      attention_backward(bwd.device(), args, Mat<const Real>(bwd.grad(y)),
                         Mat<Real>{d.data, d.rows, D, d.stride}, beta,
                         Mat<Real>{d.data + D, d.rows, D, d.stride},
                         Mat<Real>{d.data + 2 * D, d.rows, D, d.stride}, beta);
    });
  });
  return y;
}

}  // namespace albef
