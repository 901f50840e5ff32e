// Sums, dropout, scaling by learned scalars, and the weighted sum that probes gradients.
#pragma once

#include "albef/core/context.hpp"

namespace albef {

/// y = a + b, one shape: residual connections and sums of losses.
template <class Ctx, class Real, int D>
Tensor<Real, D> add(Ctx& ctx, const Tensor<Real, D>& a, const Tensor<Real, D>& b) {
  ctx.check(b);
  require(a.size() == b.size(), "[add] got ", a.rows(), " and ", b.rows(), " rows of width ", D);
  auto y = ctx.like(a);
  copy_on_device(ctx.device(), y.data, a.data, a.size());
  add(ctx.device(), Mat<const Real>(b.mat()), y.mat(), accumulator_t<Real>(1));
  ctx.record(y, ctx.from(a, b), [a, b, y](auto& bwd) {
    bwd.pass(y, b, false);
    bwd.pass(y, a, true);
  });
  return y;
}

/// y = max(x, 0), NaN where x is: (..., D) -> (..., D).
template <class Ctx, class Real, int D>
Tensor<Real, D> relu(Ctx& ctx, const Tensor<Real, D>& x) {
  auto y = ctx.like(x);
  const Mat<const Real> in(x.mat());  // in place of the gradient: x where x > 0
  relu_backward(ctx.device(), in, in, y.mat(), accumulator_t<Real>(0));
  ctx.record(y, ctx.from(x), [x, y](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {
      relu_backward(bwd.device(), Mat<const Real>(bwd.grad(y)), Mat<const Real>(y.mat()), dx, beta);
    });
  });
  return y;
}

/// The sum of several losses.
template <class Ctx, class Real, class... More>
Tensor<Real, 1> total(Ctx& ctx, const Tensor<Real, 1>& first, const More&... more) {
  auto sum = first;
  ((sum = add(ctx, sum, more)), ...);
  return sum;
}

/// Keeps each value with probability 1 - p, scaled by 1 / (1 - p); the identity unless the
/// context's dropout is on. The mask is drawn again in the backward pass, not stored.
template <class Ctx, class Real, int D>
Tensor<Real, D> dropout(Ctx& ctx, const Tensor<Real, D>& x, float p) {
  const std::uint64_t stream = ctx.next_stream();
  if (!ctx.dropout() || p <= 0) return x;
  auto y = ctx.like(x);
  const Philox philox = ctx.philox();
  dropout(ctx.device(), Mat<const Real>(x.mat()), y.mat(), accumulator_t<Real>(0), p, philox,
          stream);
  ctx.record(y, ctx.from(x), [x, y, p, philox, stream](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {
      dropout(bwd.device(), Mat<const Real>(bwd.grad(y)), dx, beta, p, philox, stream);
    });
  });
  return y;
}

namespace detail {

template <class Ctx, class Real, int D>
Tensor<Real, D> scale_by_parameter(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan s,
                                   ScaleKind kind) {
  auto y = ctx.like(x);
  scale_by(ctx.device(), Mat<const Real>(x.mat()), ctx.master_weight(s), kind, y.mat(),
           accumulator_t<Real>(0));
  ctx.record(y, ctx.from(x, s), [x, y, s, kind](auto& bwd) {
    const Mat<const Real> dy = bwd.grad(y);
    bwd.into(s, [&](auto* ds, auto beta) {
      scale_gradient(bwd.device(), dy, Mat<const Real>(x.mat()), bwd.master_weight(s), kind, ds,
                     beta);
    });
    bwd.into(x, [&](Mat<Real> dx, auto beta) {
      scale_by(bwd.device(), dy, bwd.master_weight(s), kind, dx, beta);
    });
  });
  return y;
}

}  // namespace detail

/// y = x / s for a scalar parameter s: ALBEF's temperature.
template <class Ctx, class Real, int D>
Tensor<Real, D> divide(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan s) {
  return detail::scale_by_parameter(ctx, x, s, ScaleKind::reciprocal);
}

/// y = x * exp(s) for a scalar parameter s: CLIP's logit scale.
template <class Ctx, class Real, int D>
Tensor<Real, D> scale_exp(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan s) {
  return detail::scale_by_parameter(ctx, x, s, ScaleKind::exponential);
}

/// sum(x * weights) for constant weights of the shape of x: turns any output into a loss.
template <class Ctx, class Real, int D>
Tensor<accumulator_t<Real>, 1> weighted_sum(Ctx& ctx, const Tensor<Real, D>& x,
                                            const Real* weights) {
  using A = accumulator_t<Real>;
  ctx.check(x);
  auto loss = ctx.scalar();
  const Mat<const Real> w = mat(weights, x.rows(), x.cols);
  dot(ctx.device(), Mat<const Real>(x.mat()), w, loss.data, A(1), A(0));
  ctx.record(loss, ctx.from(x), [x, w, loss](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {  // dx = w * dloss
      scale_rows(bwd.device(), w, static_cast<const A*>(bwd.grad(loss).data), dx, beta);
    });
  });
  return loss;
}

}  // namespace albef
