// Similarity matrices between feature rows, in one batch or against a queue of constant rows.
#pragma once

#include "albef/core/context.hpp"

namespace albef {

/// y = a b^T: a (M, D), b (N, D) -> (M, N).
template <class Ctx, class Real, int D>
Tensor<Real, dynamic_width> matmul_nt(Ctx& ctx, const Tensor<Real, D>& a,
                                      const Tensor<Real, D>& b) {
  ctx.check(a, b);
  require(a.cols == b.cols, "[matmul_nt] got rows of ", a.cols, " and ", b.cols, " values");
  auto y = ctx.template tensor<dynamic_width, Real>(a.seq, b.rows());  // (M, N)
  run(ctx.device(),
      primitive::Gemm<Real>{.a = a.mat(), .b = b.mat(), .c = y.mat(), .transpose_b = true});
  ctx.record(y, ctx.from(a, b), [a, b, y](auto& bwd) {
    const Mat<const Real> dy = bwd.grad(y);
    bwd.into(a, [&](Mat<Real> da, auto beta) {  // da = dy b
      run(bwd.device(), primitive::Gemm<Real>{.a = dy, .b = b.mat(), .c = da, .beta = beta});
    });
    bwd.into(b, [&](Mat<Real> db, auto beta) {  // db = dy^T a
      run(bwd.device(),
          primitive::Gemm<Real>{.a = dy, .b = a.mat(), .c = db, .transpose_a = true, .beta = beta});
    });
  });
  return y;
}

/// y = a [keys; queue]^T for constant keys (B, D) and queue (Q, D): a (M, D) -> (M, B + Q). The
/// queue must not change before the backward pass.
template <class Ctx, class Real, int D>
Tensor<Real, dynamic_width> similarity(Ctx& ctx, const Tensor<Real, D>& a, ConstMat<Real> keys,
                                       ConstMat<Real> queue) {
  ctx.check(a);
  require(keys.cols == a.cols && (queue.rows == 0 || queue.cols == a.cols),
          "[similarity] got keys ", keys.cols, " and a queue ", queue.cols, " wide, expected ",
          a.cols);
  const int n = keys.rows + queue.rows;
  auto y = ctx.template tensor<dynamic_width, Real>(a.seq, n);  // (M, B + Q)
  const auto block = [n](const Real* data, int rows, int first, int cols) {
    return Mat<Real>{const_cast<Real*>(data) + first, rows, cols, n};
  };
  const int m = a.rows();
  run(ctx.device(),
      primitive::Gemm<Real>{
          .a = a.mat(), .b = keys, .c = block(y.data, m, 0, keys.rows), .transpose_b = true});
  if (queue.rows)
    run(ctx.device(), primitive::Gemm<Real>{.a = a.mat(),
                                            .b = queue,
                                            .c = block(y.data, m, keys.rows, queue.rows),
                                            .transpose_b = true});
  ctx.record(y, ctx.from(a), [a, y, keys, queue, block, m](auto& bwd) {
    bwd.into(a, [&](Mat<Real> da, auto beta) {  // da = dy [keys; queue]
      const Real* dy = bwd.grad(y).data;
      run(bwd.device(),
          primitive::Gemm<Real>{.a = block(dy, m, 0, keys.rows), .b = keys, .c = da, .beta = beta});
      if (queue.rows)
        run(bwd.device(),
            primitive::Gemm<Real>{
                .a = block(dy, m, keys.rows, queue.rows), .b = queue, .c = da, .beta = 1});
    });
  });
  return y;
}

}  // namespace albef
