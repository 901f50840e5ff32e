// Affine maps: y = x W^T + b, alone or followed by the exact GELU, and y = x P.
#pragma once

#include "albef/core/context.hpp"

namespace albef {

namespace detail {

/// dW = dy^T x, db = sum(dy), dx = dy W, each where it is asked for.
template <class Bwd, class Real, int In>
void linear_backward(Bwd& bwd, const Tensor<Real, In>& x, Mat<const Real> dy, ParamSpan weight,
                     ParamSpan bias) {
  using Grad = accumulator_t<Real>;
  bwd.into(weight, bias, [&](auto dw, auto db) {
    if (dw.data)
      run(bwd.device(), primitive::WeightGradient<Real>{.dy = dy,
                                                        .x = x.mat(),
                                                        .dw = mat(dw.data, dy.cols, x.cols),
                                                        .beta = dw.beta,
                                                        .db = db.data,
                                                        .beta_db = db.beta});
    else if (db.data)
      run(bwd.device(), primitive::ColumnSum<Real>{.x = dy, .sum = db.data, .beta = db.beta});
  });
  bwd.into(x, [&](Mat<Real> dx, Grad beta) {
    run(bwd.device(),
        primitive::Gemm<Real>{
            .a = dy, .b = mat(bwd.weight(weight), dy.cols, x.cols), .c = dx, .beta = beta});
  });
}

/// Error unless the parameters of an affine map from `in` to `out` values have as many.
inline void check_linear(ParamSpan weight, ParamSpan bias, int out, int in) {
  require(weight.size == std::int64_t{out} * in && (bias.size == 0 || bias.size == out),
          "[linear] weight and bias have ", weight.size, " and ", bias.size, " values, expected ",
          std::int64_t{out} * in, " and ", out);
}

}  // namespace detail

/// y = x W^T + b: x (..., In), W (Out, In), b (Out) or absent (size 0) -> (..., Out).
template <int Out, class Ctx, class Real, int In>
Tensor<Real, Out> linear(Ctx& ctx, const Tensor<Real, In>& x, ParamSpan weight,
                         ParamSpan bias = {}) {
  ctx.check(x);
  detail::check_linear(weight, bias, Out, x.cols);
  auto y = ctx.template tensor<Out>(x.seq);  // (..., Out)
  run(ctx.device(), primitive::Gemm<Real>{.a = x.mat(),
                                          .b = mat(ctx.weight(weight), Out, x.cols),
                                          .c = y.mat(),
                                          .transpose_b = true,
                                          .bias = bias.size ? ctx.weight(bias) : nullptr});
  ctx.record(y, ctx.from(x, weight, bias), [x, y, weight, bias](auto& bwd) {
    detail::linear_backward(bwd, x, Mat<const Real>(bwd.grad(y)), weight, bias);
  });
  return y;
}

/// y = gelu(x W^T + b) with gelu(z) = z Phi(z); where a gradient is asked for, the pre-activation z
/// is kept for the backward.
template <int Out, class Ctx, class Real, int In>
Tensor<Real, Out> linear_gelu(Ctx& ctx, const Tensor<Real, In>& x, ParamSpan weight,
                              ParamSpan bias) {
  ctx.check(x);
  detail::check_linear(weight, bias, Out, x.cols);
  auto y = ctx.template tensor<Out>(x.seq);  // (..., Out)
  const bool keep = ctx.recording() && ctx.from(x, weight, bias);
  const Mat<Real> z = keep ? mat(ctx.allocate(y.size()), y.rows(), Out) : Mat<Real>{};
  run(ctx.device(), primitive::Gemm<Real>{.a = x.mat(),
                                          .b = mat(ctx.weight(weight), Out, x.cols),
                                          .c = y.mat(),
                                          .transpose_b = true,
                                          .bias = ctx.weight(bias),
                                          .gelu = true,
                                          .pre = z});
  ctx.record(y, ctx.from(x, weight, bias), [x, y, z, weight, bias](auto& bwd) {
    const auto spare = bwd.template temporary<Real>(bwd.keeps(y) ? y.size() : 0);
    const Mat<Real> dz = bwd.overwrite(y, spare.data());
    run(bwd.device(), primitive::ActivateGrad<Real>{// in place
                                                    .function = Activation::gelu,
                                                    .dy = dz,
                                                    .x = z,
                                                    .dx = dz});
    detail::linear_backward(bwd, x, Mat<const Real>(dz), weight, bias);
  });
  return y;
}

/// y = x P: x (..., D), P (D, Out), the transposed form of CLIP's projections -> (..., Out).
template <int Out, class Ctx, class Real, int D>
Tensor<Real, Out> project(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan matrix) {
  ctx.check(x);
  require(matrix.size == std::int64_t{D} * Out, "[project] the matrix has ", matrix.size,
          " values, expected ", std::int64_t{D} * Out);
  auto y = ctx.template tensor<Out>(x.seq);  // (..., Out)
  run(ctx.device(),
      primitive::Gemm<Real>{.a = x.mat(), .b = mat(ctx.weight(matrix), D, Out), .c = y.mat()});
  ctx.record(y, ctx.from(x, matrix), [x, y, matrix](auto& bwd) {
    const Mat<const Real> dy = bwd.grad(y);
    bwd.into(matrix, [&](accumulator_t<Real>* dp, accumulator_t<Real> beta) {  // dP = x^T dy
      run(bwd.device(), primitive::WeightGradient<Real>{
                            .dy = x.mat(), .x = dy, .dw = mat(dp, D, Out), .beta = beta});
    });
    bwd.into(x, [&](Mat<Real> dx, accumulator_t<Real> beta) {  // dx = dy P^T
      run(bwd.device(), primitive::Gemm<Real>{.a = dy,
                                              .b = mat(bwd.weight(matrix), D, Out),
                                              .c = dx,
                                              .transpose_b = true,
                                              .beta = beta});
    });
  });
  return y;
}

}  // namespace albef
