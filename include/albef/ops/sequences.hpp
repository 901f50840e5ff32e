// Sequences as units: means, one row for all, joining, putting in front, columns, other groupings.
#pragma once

#include "albef/core/context.hpp"

namespace albef {

/// The mean of the rows of every sequence, 0 of an empty one: (B, L, D) -> (B, D).
template <class Ctx, class Real, int D>
Tensor<Real, D> mean(Ctx& ctx, const Tensor<Real, D>& x) {
  auto y = ctx.template tensor<D>(batch_of(x.seq.count), x.cols);  // (B, D)
  run(ctx.device(),
      primitive::SumSequences<Real>{.x = x.mat(), .seq = x.seq, .mean = true, .y = y.mat()});
  ctx.record(y, ctx.from(x), [x, y](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {
      run(bwd.device(), primitive::SpreadSequences<Real>{
                            .x = bwd.grad(y), .seq = x.seq, .mean = true, .y = dx, .beta = beta});
    });
  });
  return y;
}

/// y = x + row of its sequence: x (B, L, D), rows (B, D), one a sequence -> (B, L, D).
template <class Ctx, class Real, int D>
Tensor<Real, D> add_to_sequences(Ctx& ctx, const Tensor<Real, D>& x, const Tensor<Real, D>& rows) {
  require(rows.rows() == x.seq.count, "[add_to_sequences] got ", rows.rows(), " rows for ",
          x.seq.count, " sequences");
  auto y = ctx.like(x);  // (B, L, D)
  copy_on_device(ctx.device(), y.data, x.data, x.size());
  run(ctx.device(),
      primitive::SpreadSequences<Real>{.x = rows.mat(), .seq = x.seq, .y = y.mat(), .beta = 1});
  ctx.record(y, ctx.from(x, rows), [x, rows, y](auto& bwd) {
    bwd.into(rows, [&](Mat<Real> d, auto beta) {
      run(bwd.device(),
          primitive::SumSequences<Real>{.x = bwd.grad(y), .seq = x.seq, .y = d, .beta = beta});
    });
    bwd.pass(y, x, true);
  });
  return y;
}

/// y = x + row for every row, a parameter (D): (..., D) -> (..., D).
template <class Ctx, class Real, int D>
Tensor<Real, D> add_row(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan row) {
  require(row.size == x.cols, "[add_row] got a row of ", row.size, " values, expected ", x.cols);
  auto y = ctx.like(x);  // (..., D)
  copy_on_device(ctx.device(), y.data, x.data, x.size());
  run(ctx.device(), primitive::SetRows<Real>{.row = ctx.weight(row), .y = y.mat(), .beta = 1});
  ctx.record(y, ctx.from(x, row), [x, row, y](auto& bwd) {
    bwd.into(row, [&](auto* d, auto beta) {
      run(bwd.device(), primitive::ColumnSum<Real>{.x = bwd.grad(y), .sum = d, .beta = beta});
    });
    bwd.pass(y, x, true);
  });
  return y;
}

}  // namespace albef
