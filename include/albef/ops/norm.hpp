// Layer norm, the residual sum in front of it, RMS norm, L2 normalisation, and weight norm.
#pragma once

#include "albef/core/context.hpp"

namespace albef {

namespace detail {

/// Error unless scale and shift of a norm over `width` values have as many.
inline void check_norm(ParamSpan weight, ParamSpan bias, int width) {
  require(weight.size == width && bias.size == width, "[layer_norm] weight and bias have ",
          weight.size, " and ", bias.size, " values, expected ", width);
}

}  // namespace detail

/// y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimension: x (..., D) -> (...,
/// D).
template <class Ctx, class Real, int D>
Tensor<Real, D> layer_norm(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan weight, ParamSpan bias,
                           double eps) {
  detail::check_norm(weight, bias, x.cols);
  auto y = ctx.like(x);
  using A = accumulator_t<Real>;
  A* mean = ctx.template allocate<A>(x.rows());
  A* rstd = ctx.template allocate<A>(x.rows());
  run(ctx.device(), primitive::LayerNorm<Real>{.x = x.mat(),
                                               .weight = ctx.weight(weight),
                                               .bias = ctx.weight(bias),
                                               .y = y.mat(),
                                               .mean = mean,
                                               .rstd = rstd,
                                               .eps = static_cast<A>(eps)});
  ctx.record(y, ctx.from(x, weight, bias), [x, y, weight, bias, mean, rstd](auto& bwd) {
    primitive::LayerNormGrad<Real> args{
        .dy = bwd.grad(y), .x = x.mat(), .weight = bwd.weight(weight), .mean = mean, .rstd = rstd};
    bwd.into(weight, bias, [&](auto dw, auto db) {
      args.dweight = dw.data, args.beta_weight = dw.beta;
      args.dbias = db.data, args.beta_bias = db.beta;
      bwd.into(x, [&](Mat<Real> d, A beta) { args.dx = d, args.beta_x = beta; });
      run(bwd.device(), args);
    });
  });
  return y;
}

/// y = x / sqrt(mean(x^2) + eps) * weight over the last dimension (Zhang & Sennrich 2019): x (...,
/// D)
/// -> (..., D).
template <class Ctx, class Real, int D>
Tensor<Real, D> rms_norm(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan weight, double eps) {
  require(weight.size == x.cols, "[rms_norm] weight has ", weight.size, " values, expected ",
          x.cols);
  auto y = ctx.like(x);  // (..., D)
  using A = accumulator_t<Real>;
  A* rstd = ctx.template allocate<A>(x.rows());
  run(ctx.device(), primitive::LayerNorm<Real>{.x = x.mat(),
                                               .weight = ctx.weight(weight),
                                               .y = y.mat(),
                                               .rstd = rstd,
                                               .eps = static_cast<A>(eps)});
  ctx.record(y, ctx.from(x, weight), [x, y, weight, rstd](auto& bwd) {
    primitive::LayerNormGrad<Real> args{
        .dy = bwd.grad(y), .x = x.mat(), .weight = bwd.weight(weight), .rstd = rstd};
    bwd.into(weight, [&](A* d, A beta) { args.dweight = d, args.beta_weight = beta; });
    bwd.into(x, [&](Mat<Real> d, A beta) { args.dx = d, args.beta_x = beta; });
    run(bwd.device(), args);
  });
  return y;
}

/// y = layer_norm(residual + dropout(x)), the post-norm sub-block of BERT in one pass.
template <class Ctx, class Real, int D>
Tensor<Real, D> add_layer_norm(Ctx& ctx, const Tensor<Real, D>& x, const Tensor<Real, D>& residual,
                               float p, ParamSpan weight, ParamSpan bias, double eps) {
  ctx.check(residual);
  require(x.size() == residual.size(), "[add_layer_norm] got ", x.rows(), " and ", residual.rows(),
          " rows of width ", x.cols);
  detail::check_norm(weight, bias, x.cols);
  auto y = ctx.like(x);
  auto sum = ctx.like(x);
  using A = accumulator_t<Real>;
  A* mean = ctx.template allocate<A>(x.rows());
  A* rstd = ctx.template allocate<A>(x.rows());
  const float rate = ctx.dropout() ? p : 0.0f;
  const std::uint64_t stream = ctx.next_stream();
  const Philox philox = ctx.philox();
  run(ctx.device(), primitive::LayerNorm<Real>{.x = x.mat(),
                                               .residual = residual.mat(),
                                               .sum = sum.mat(),
                                               .weight = ctx.weight(weight),
                                               .bias = ctx.weight(bias),
                                               .y = y.mat(),
                                               .mean = mean,
                                               .rstd = rstd,
                                               .eps = static_cast<A>(eps),
                                               .dropout = rate,
                                               .philox = philox,
                                               .stream = stream});
  const bool inputs = ctx.from(x, residual);
  // sum's gradient reaches residual unchanged and x through the mask.
  ctx.record(sum, inputs, [x, residual, sum, rate, philox, stream](auto& bwd) {
    const Mat<const Real> ds = bwd.grad(sum);
    if (rate > 0) {
      bwd.into(x, [&](Mat<Real> dx, A beta) {
        run(bwd.device(),
            primitive::Dropout<Real>{
                .x = ds, .y = dx, .beta = beta, .p = rate, .philox = philox, .stream = stream});
      });
    } else {
      bwd.pass(sum, x, false);
    }
    bwd.pass(sum, residual, true);
  });
  ctx.record(y, inputs || ctx.from(weight, bias), [y, sum, weight, bias, mean, rstd](auto& bwd) {
    primitive::LayerNormGrad<Real> args{.dy = bwd.grad(y),
                                        .x = sum.mat(),
                                        .weight = bwd.weight(weight),
                                        .mean = mean,
                                        .rstd = rstd};
    bwd.into(weight, bias, [&](auto dw, auto db) {
      args.dweight = dw.data, args.beta_weight = dw.beta;
      args.dbias = db.data, args.beta_bias = db.beta;
      bwd.into(sum, [&](Mat<Real> d, A beta) { args.dx = d, args.beta_x = beta; });
      run(bwd.device(), args);
    });
  });
  return y;
}

/// y = x / max(|x|, 1e-12) per row (torch.nn.functional.normalize): (..., D) -> (..., D). Features
/// are normalised, and compared, in the accumulator's precision.
template <class Ctx, class Real, int D>
Tensor<accumulator_t<Real>, D> l2_normalize(Ctx& ctx, const Tensor<Real, D>& x) {
  using A = accumulator_t<Real>;
  ctx.check(x);
  auto y = ctx.template tensor<D, A>(x.seq, x.cols);
  A* norm = ctx.template allocate<A>(x.rows());
  run(ctx.device(), primitive::L2Normalize<Real>{.x = x.mat(), .y = y.mat(), .norm = norm});
  ctx.record(y, ctx.from(x), [x, y, norm](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, A beta) {
      run(bwd.device(), primitive::L2NormalizeGrad<Real>{
                            .dy = bwd.grad(y), .y = y.mat(), .norm = norm, .dx = dx, .beta = beta});
    });
  });
  return y;
}

/// The rows of a weight-normed matrix, w_i = g_i v_i / |v_i| (torch.nn.utils.weight_norm):
/// parameters v (Out, In) and g (Out, 1) -> (Out, In), in the precision of the parameters.
template <int In, class Ctx>
Tensor<typename Ctx::Master, In> weight_norm(Ctx& ctx, ParamSpan v, ParamSpan g) {
  using A = typename Ctx::Master;
  require(v.size == g.size * In, "[weight_norm] got ", v.size, " values and ", g.size,
          " lengths of rows of ", In);
  const int rows = static_cast<int>(g.size);
  auto w = ctx.template tensor<In, A>(batch_of(rows));  // (Out, In)
  A* norm = ctx.template allocate<A>(rows);
  run(ctx.device(), primitive::WeightNorm<A>{.v = mat(ctx.master_weight(v), rows, In),
                                             .g = ctx.master_weight(g),
                                             .w = w.mat(),
                                             .norm = norm});
  ctx.record(w, ctx.from(v, g), [w, v, g, norm](auto& bwd) {
    primitive::WeightNormGrad<A> args{.dw = bwd.grad(w),
                                      .v = mat(bwd.master_weight(v), w.rows(), In),
                                      .g = bwd.master_weight(g),
                                      .norm = norm};
    bwd.into(v, g, [&](auto dv, auto dg) {
      if (dv.data) args.dv = mat(dv.data, w.rows(), In), args.beta = dv.beta;
      args.dg = dg.data, args.beta_g = dg.beta;
      run(bwd.device(), args);
    });
  });
  return w;
}

}  // namespace albef
