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
  run(ctx.device(), primitive::Add<Real>{.x = b.mat(), .y = y.mat(), .beta = 1});
  ctx.record(y, ctx.from(a, b), [a, b, y](auto& bwd) {
    bwd.pass(y, b, false);
    bwd.pass(y, a, true);
  });
  return y;
}

/// y = a + factor * b, one shape: a residual that is scaled down.
template <class Ctx, class Real, int D>
Tensor<Real, D> add_scaled(Ctx& ctx, const Tensor<Real, D>& a, const Tensor<Real, D>& b,
                           double factor) {
  ctx.check(b);
  require(a.size() == b.size(), "[add_scaled] got ", a.rows(), " and ", b.rows(), " rows of width ",
          D);
  using A = accumulator_t<Real>;
  auto y = ctx.like(a);  // (..., D)
  copy_on_device(ctx.device(), y.data, b.data, b.size());
  run(ctx.device(),
      primitive::Add<Real>{.x = a.mat(), .y = y.mat(), .beta = static_cast<A>(factor)});
  ctx.record(y, ctx.from(a, b), [a, b, y, factor](auto& bwd) {
    bwd.into(b, [&](Mat<Real> db, auto beta) {
      const auto scale = bwd.template temporary<A>(1);
      fill(bwd.device(), scale.data(), static_cast<A>(factor), 1);
      run(bwd.device(),
          primitive::Scale<Real>{.x = bwd.grad(y), .s = scale.data(), .y = db, .beta = beta});
    });
    bwd.pass(y, a, true);
  });
  return y;
}

/// y = a * b, element by element, one shape: gates.
template <class Ctx, class Real, int D>
Tensor<Real, D> multiply(Ctx& ctx, const Tensor<Real, D>& a, const Tensor<Real, D>& b) {
  ctx.check(b);
  require(a.size() == b.size(), "[multiply] got ", a.rows(), " and ", b.rows(), " rows of width ",
          D);
  auto y = ctx.like(a);  // (..., D)
  run(ctx.device(), primitive::Multiply<Real>{.a = a.mat(), .b = b.mat(), .y = y.mat()});
  ctx.record(y, ctx.from(a, b), [a, b, y](auto& bwd) {
    const Mat<const Real> dy = bwd.grad(y);
    bwd.into(a, [&](Mat<Real> da, auto beta) {
      run(bwd.device(), primitive::Multiply<Real>{.a = dy, .b = b.mat(), .y = da, .beta = beta});
    });
    bwd.into(b, [&](Mat<Real> db, auto beta) {
      run(bwd.device(), primitive::Multiply<Real>{.a = dy, .b = a.mat(), .y = db, .beta = beta});
    });
  });
  return y;
}

/// y = f(x) for every value: (..., D) -> (..., D).
template <class Ctx, class Real, int D>
Tensor<Real, D> activate(Ctx& ctx, const Tensor<Real, D>& x, Activation function) {
  auto y = ctx.like(x);  // (..., D)
  run(ctx.device(), primitive::Activate<Real>{.function = function, .x = x.mat(), .y = y.mat()});
  ctx.record(y, ctx.from(x), [x, y, function](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {
      run(bwd.device(),
          primitive::ActivateGrad<Real>{
              .function = function, .dy = bwd.grad(y), .x = x.mat(), .dx = dx, .beta = beta});
    });
  });
  return y;
}

/// y = max(x, 0), NaN where x is: (..., D) -> (..., D).
template <class Ctx, class Real, int D>
Tensor<Real, D> relu(Ctx& ctx, const Tensor<Real, D>& x) {
  return activate(ctx, x, Activation::relu);  // (..., D)
}

/// y = x * sigmoid(x): (..., D) -> (..., D).
template <class Ctx, class Real, int D>
Tensor<Real, D> silu(Ctx& ctx, const Tensor<Real, D>& x) {
  return activate(ctx, x, Activation::silu);  // (..., D)
}

/// y = x * sigmoid(1.702 x), CLIP's activation: (..., D) -> (..., D).
template <class Ctx, class Real, int D>
Tensor<Real, D> quick_gelu(Ctx& ctx, const Tensor<Real, D>& x) {
  return activate(ctx, x, Activation::quick_gelu);  // (..., D)
}

/// y = 1 / (1 + exp(-x)): (..., D) -> (..., D).
template <class Ctx, class Real, int D>
Tensor<Real, D> sigmoid(Ctx& ctx, const Tensor<Real, D>& x) {
  return activate(ctx, x, Activation::sigmoid);  // (..., D)
}

/// y = tanh(x): (..., D) -> (..., D).
template <class Ctx, class Real, int D>
Tensor<Real, D> tanh(Ctx& ctx, const Tensor<Real, D>& x) {
  return activate(ctx, x, Activation::tanh);  // (..., D)
}

/// y = x P(Z <= x), the exact GELU: (..., D) -> (..., D). Behind a linear layer, linear_gelu()
/// saves a pass over memory.
template <class Ctx, class Real, int D>
Tensor<Real, D> gelu(Ctx& ctx, const Tensor<Real, D>& x) {
  return activate(ctx, x, Activation::gelu);  // (..., D)
}

/// y = 1 where x >= 0, else -1: (..., D) -> (..., D). Its gradient is that of tanh(x), in whose
/// limits it lies (a straight-through estimator: Bengio et al. 2013).
template <class Ctx, class Real, int D>
Tensor<Real, D> binarize(Ctx& ctx, const Tensor<Real, D>& x) {
  auto y = ctx.like(x);  // (..., D)
  run(ctx.device(), primitive::Sign<Real>{.x = x.mat(), .y = y.mat()});
  ctx.record(y, ctx.from(x), [x, y](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {
      run(bwd.device(), primitive::ActivateGrad<Real>{.function = Activation::tanh,
                                                      .dy = bwd.grad(y),
                                                      .x = x.mat(),
                                                      .dx = dx,
                                                      .beta = beta});
    });
  });
  return y;
}

/// The mean of (x - target)^2 over all values; no gradient goes to the target.
template <class Ctx, class Real, int D>
Tensor<accumulator_t<Real>, 1> mean_squared_error(Ctx& ctx, const Tensor<Real, D>& x,
                                                  const Tensor<Real, D>& target) {
  using A = accumulator_t<Real>;
  ctx.check(x, target);
  require(x.size() == target.size() && x.size() > 0, "[mean_squared_error] got ", x.size(),
          " values and ", target.size(), " targets");
  auto loss = ctx.scalar();
  const Mat<Real> difference = mat(ctx.allocate(x.size()), x.rows(), x.cols);
  copy_on_device(ctx.device(), difference.data, target.data, target.size());
  run(ctx.device(), primitive::Add<Real>{.x = x.mat(), .y = difference, .beta = -1});
  const A share = A(1) / static_cast<A>(x.size());
  run(ctx.device(),
      primitive::Dot<Real>{.a = difference, .b = difference, .out = loss.data, .alpha = share});
  ctx.record(loss, ctx.from(x), [x, loss, difference, share](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {  // 2 (x - target) / n * dloss
      const auto scale = bwd.template temporary<A>(2);
      const Mat<A> factor = mat(scale.data(), 1, 1), product = mat(scale.data() + 1, 1, 1);
      fill(bwd.device(), factor.data, 2 * share, 1);
      run(bwd.device(), primitive::Multiply<A>{.a = factor, .b = bwd.grad(loss), .y = product});
      run(bwd.device(),
          primitive::Scale<Real>{.x = difference, .s = product.data, .y = dx, .beta = beta});
    });
  });
  return loss;
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
  run(ctx.device(), primitive::Dropout<Real>{
                        .x = x.mat(), .y = y.mat(), .p = p, .philox = philox, .stream = stream});
  ctx.record(y, ctx.from(x), [x, y, p, philox, stream](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {
      run(bwd.device(),
          primitive::Dropout<Real>{
              .x = bwd.grad(y), .y = dx, .beta = beta, .p = p, .philox = philox, .stream = stream});
    });
  });
  return y;
}

/// y = a + b, where each sequence of b is left out with probability p and else scaled by 1 / (1 -
/// p) (stochastic depth, timm's drop_path); add() unless the context's dropout is on.
template <class Ctx, class Real, int D>
Tensor<Real, D> add_drop_path(Ctx& ctx, const Tensor<Real, D>& a, const Tensor<Real, D>& b,
                              float p) {
  const std::uint64_t stream = ctx.next_stream();
  if (!ctx.dropout() || p <= 0) return add(ctx, a, b);
  ctx.check(b);
  require(a.size() == b.size(), "[add_drop_path] got ", a.rows(), " and ", b.rows(),
          " rows of width ", D);
  require(p < 1, "[add_drop_path] the rate is ", p, ", expected a number below 1");
  auto y = ctx.like(a);
  copy_on_device(ctx.device(), y.data, a.data, a.size());
  primitive::DropSequences<Real> args{.x = b.mat(),
                                      .seq = b.seq,
                                      .y = y.mat(),
                                      .beta = 1,
                                      .p = p,
                                      .philox = ctx.philox(),
                                      .stream = stream};
  run(ctx.device(), args);
  ctx.record(y, ctx.from(a, b), [a, b, y, args](auto& bwd) {
    bwd.into(b, [&](Mat<Real> db, auto beta) {
      auto grad = args;
      grad.x = bwd.grad(y), grad.y = db, grad.beta = beta;
      run(bwd.device(), grad);
    });
    bwd.pass(y, a, true);
  });
  return y;
}

namespace detail {

template <class Ctx, class Real, int D>
Tensor<Real, D> scale_by_parameter(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan s,
                                   ScaleKind kind) {
  auto y = ctx.like(x);
  run(ctx.device(),
      primitive::Scale<Real>{.x = x.mat(), .s = ctx.master_weight(s), .kind = kind, .y = y.mat()});
  ctx.record(y, ctx.from(x, s), [x, y, s, kind](auto& bwd) {
    const Mat<const Real> dy = bwd.grad(y);
    bwd.into(s, [&](auto* ds, auto beta) {
      run(bwd.device(), primitive::ScaleGrad<Real>{.dy = dy,
                                                   .x = x.mat(),
                                                   .s = bwd.master_weight(s),
                                                   .kind = kind,
                                                   .ds = ds,
                                                   .beta = beta});
    });
    bwd.into(x, [&](Mat<Real> dx, auto beta) {
      run(bwd.device(),
          primitive::Scale<Real>{
              .x = dy, .s = bwd.master_weight(s), .kind = kind, .y = dx, .beta = beta});
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

/// Puts a scalar parameter into [low, high], in place and outside the tape: its gradient is that of
/// the value it then has.
template <class Ctx>
void clamp_parameter(Ctx& ctx, ParamSpan p, double low, double high) {
  using Master = typename Ctx::Master;
  run(ctx.device(), primitive::Clamp<Master>{ctx.store().data(Plane::online, p), p.size,
                                             static_cast<Master>(low), static_cast<Master>(high)});
}

/// sum(x * weights) for constant weights of the shape of x: turns any output into a loss.
template <class Ctx, class Real, int D>
Tensor<accumulator_t<Real>, 1> weighted_sum(Ctx& ctx, const Tensor<Real, D>& x,
                                            const Real* weights) {
  ctx.check(x);
  auto loss = ctx.scalar();
  const Mat<const Real> w = mat(weights, x.rows(), x.cols);
  run(ctx.device(), primitive::Dot<Real>{.a = x.mat(), .b = w, .out = loss.data});
  ctx.record(loss, ctx.from(x), [x, w, loss](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {  // dx = w * dloss
      run(bwd.device(),
          primitive::Scale<Real>{.x = w, .s = bwd.grad(loss).data, .y = dx, .beta = beta});
    });
  });
  return loss;
}

}  // namespace albef
