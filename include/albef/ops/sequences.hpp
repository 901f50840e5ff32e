// Sequences as units: means, one row for all, joining, putting in front, columns, other groupings.
#pragma once

#include "albef/core/context.hpp"

namespace albef {

/// The mean of the rows of every sequence, 0 of an empty one: (B, L, D) -> (B, D).
template <class Ctx, class Real, int D>
Tensor<Real, D> mean(Ctx& ctx, const Tensor<Real, D>& x) {
  ctx.check(x);
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
  ctx.check(rows);
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

namespace detail {

/// A tensor of uniform sequences as a matrix of one sequence a row, rows [first, first + count) of
/// each.
template <class Real>
Mat<Real> sequence_columns(Mat<Real> rows, const Sequences& seq, int first, int count) {
  return {rows.data + std::int64_t{first} * rows.cols, seq.count, count * rows.cols,
          std::int64_t{seq.uniform} * rows.cols};
}

/// Room for the indices of concatenated sequences, until the next step.
template <class Ctx>
primitive::ConcatSequences concat_indices(Ctx& ctx, const Sequences& a, const Sequences& b) {
  primitive::ConcatSequences c{.a = a, .b = b};
  const auto indices = [&](int n) { return ctx.template allocate<std::int32_t>(n); };
  c.offsets = indices(b.count + 1);
  c.from_a = indices(c.rows()), c.from_b = indices(c.rows());
  c.to_a = indices(a.rows()), c.to_b = indices(b.rows());
  return c;
}

}  // namespace detail

/// The sequences [a_i ; b_i]: a (B, L, D), b (B, M, D) -> (B, L + M, D). The result is uniform
/// where both are.
template <class Ctx, class Real, int D>
Tensor<Real, D> concat_sequences(Ctx& ctx, const Tensor<Real, D>& a, const Tensor<Real, D>& b) {
  ctx.check(a, b);
  require(a.seq.count == b.seq.count, "[concat_sequences] got ", a.seq.count, " and ", b.seq.count,
          " sequences");
  if (!a.seq.offsets && !b.seq.offsets) {
    const int n = a.seq.uniform, m = b.seq.uniform;
    auto y = ctx.template tensor<D>(uniform_sequences(a.seq.count, n + m), a.cols);
    const auto part = [](const auto& t, auto mat, int first, int count) {
      return detail::sequence_columns(mat, t.seq, first, count);
    };
    run(ctx.device(),
        primitive::Add<Real>{.x = part(a, a.mat(), 0, n), .y = part(y, y.mat(), 0, n)});
    run(ctx.device(),
        primitive::Add<Real>{.x = part(b, b.mat(), 0, m), .y = part(y, y.mat(), n, m)});
    ctx.record(y, ctx.from(a, b), [a, b, y, n, m, part](auto& bwd) {
      const auto dy = bwd.grad(y);
      bwd.into(a, [&](Mat<Real> d, auto beta) {
        run(bwd.device(),
            primitive::Add<Real>{.x = part(y, dy, 0, n), .y = part(a, d, 0, n), .beta = beta});
      });
      bwd.into(b, [&](Mat<Real> d, auto beta) {
        run(bwd.device(),
            primitive::Add<Real>{.x = part(y, dy, n, m), .y = part(b, d, 0, m), .beta = beta});
      });
    });
    return y;
  }
  auto c = detail::concat_indices(ctx, a.seq, b.seq);
  auto y = ctx.template tensor<D>(run(ctx.device(), c), a.cols);  // (B, L + M, D)
  run(ctx.device(), primitive::GatherRows<Real>{.x = a.mat(), .index = c.from_a, .y = y.mat()});
  run(ctx.device(),
      primitive::GatherRows<Real>{.x = b.mat(), .index = c.from_b, .y = y.mat(), .beta = 1});
  ctx.record(y, ctx.from(a, b), [a, b, y, c](auto& bwd) {
    const Mat<const Real> dy = bwd.grad(y);
    bwd.into(a, [&](Mat<Real> d, auto beta) {
      run(bwd.device(),
          primitive::GatherRows<Real>{.x = dy, .index = c.to_a, .y = d, .beta = beta});
    });
    bwd.into(b, [&](Mat<Real> d, auto beta) {
      run(bwd.device(),
          primitive::GatherRows<Real>{.x = dy, .index = c.to_b, .y = d, .beta = beta});
    });
  });
  return y;
}

/// Puts the n rows of a parameter (n, D) in front of every sequence, as class and register tokens:
/// x (B, L, D) -> (B, n + L, D).
template <class Ctx, class Real, int D>
Tensor<Real, D> prepend(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan rows) {
  ctx.check(x);
  require(rows.size > 0 && rows.size % x.cols == 0, "[prepend] got ", rows.size,
          " values, expected rows of ", x.cols);
  const int n = static_cast<int>(rows.size / x.cols);
  if (!x.seq.offsets) {
    const int length = x.seq.uniform;
    auto y = ctx.template tensor<D>(uniform_sequences(x.seq.count, n + length), x.cols);
    run(ctx.device(),
        primitive::SetRows<Real>{.row = ctx.weight(rows),
                                 .y = detail::sequence_columns(y.mat(), y.seq, 0, n)});
    run(ctx.device(),
        primitive::Add<Real>{.x = detail::sequence_columns(x.mat(), x.seq, 0, length),
                             .y = detail::sequence_columns(y.mat(), y.seq, n, length)});
    ctx.record(y, ctx.from(x, rows), [x, y, rows, n, length](auto& bwd) {
      const auto dy = bwd.grad(y);
      bwd.into(rows, [&](auto* d, auto beta) {
        run(bwd.device(),
            primitive::ColumnSum<Real>{
                .x = detail::sequence_columns(dy, y.seq, 0, n), .sum = d, .beta = beta});
      });
      bwd.into(x, [&](Mat<Real> d, auto beta) {
        run(bwd.device(), primitive::Add<Real>{.x = detail::sequence_columns(dy, y.seq, n, length),
                                               .y = detail::sequence_columns(d, x.seq, 0, length),
                                               .beta = beta});
      });
    });
    return y;
  }
  auto c = detail::concat_indices(ctx, uniform_sequences(1, n), x.seq);
  auto y = ctx.template tensor<D>(run(ctx.device(), c), x.cols);  // (B, n + L, D)
  run(ctx.device(), primitive::GatherRows<Real>{
                        .x = mat(ctx.weight(rows), n, x.cols), .index = c.from_a, .y = y.mat()});
  run(ctx.device(),
      primitive::GatherRows<Real>{.x = x.mat(), .index = c.from_b, .y = y.mat(), .beta = 1});
  ctx.record(y, ctx.from(x, rows), [x, y, rows, n, c](auto& bwd) {
    using Grad = accumulator_t<Real>;
    const Mat<const Real> dy = bwd.grad(y);
    bwd.into(rows, [&](Grad* d, Grad beta) {
      if (beta == 0) fill_zero(bwd.device(), d, static_cast<std::size_t>(rows.size) * sizeof(Grad));
      run(bwd.device(), primitive::ScatterAddRows<Real, Grad>{
                            .x = dy, .index = c.from_a, .y = mat(d, n, x.cols)});
    });
    bwd.into(x, [&](Mat<Real> d, auto beta) {
      run(bwd.device(),
          primitive::GatherRows<Real>{.x = dy, .index = c.to_b, .y = d, .beta = beta});
    });
  });
  return y;
}

/// Columns [First, First + N): (..., D) -> (..., N).
template <int First, int N, class Ctx, class Real, int D>
Tensor<Real, N> columns(Ctx& ctx, const Tensor<Real, D>& x) {
  static_assert(First >= 0 && N > 0 && First + N <= D, "columns: not within the tensor's width");
  ctx.check(x);
  auto y = ctx.template tensor<N>(x.seq);  // (..., N)
  run(ctx.device(), primitive::Add<Real>{.x = x.columns(First, N), .y = y.mat()});
  ctx.record(y, ctx.from(x), [x, y](auto& bwd) {
    bwd.into(x, [&](Mat<Real> d, auto beta) {
      if (beta == 0)  // the other columns have no gradient
        fill_zero(bwd.device(), d.data, static_cast<std::size_t>(x.size()) * sizeof(Real));
      run(bwd.device(),
          primitive::Add<Real>{
              .x = bwd.grad(y), .y = {d.data + First, d.rows, N, d.stride}, .beta = 1});
    });
  });
  return y;
}

/// The rows from number `first` on, as the sequences `seq`: (rows, D) -> (seq.rows(), D).
template <class Ctx, class Real, int D>
Tensor<Real, D> slice(Ctx& ctx, const Tensor<Real, D>& x, int first, const Sequences& seq) {
  ctx.check(x);
  const int n = seq.rows();
  require(first >= 0 && first + n <= x.rows(), "[slice] got rows ", first, " to ", first + n,
          " of ", x.rows());
  const std::int64_t before = std::int64_t{first} * x.cols;
  auto y = ctx.template tensor<D>(seq, x.cols);  // (rows, D)
  copy_on_device(ctx.device(), y.data, x.data + before, y.size());
  ctx.record(y, ctx.from(x), [x, y, before, n](auto& bwd) {
    bwd.into(x, [&](Mat<Real> d, auto beta) {
      if (beta == 0)  // the other rows have no gradient
        fill_zero(bwd.device(), d.data, static_cast<std::size_t>(x.size()) * sizeof(Real));
      run(bwd.device(),
          primitive::Add<Real>{.x = bwd.grad(y), .y = mat(d.data + before, n, x.cols), .beta = 1});
    });
  });
  return y;
}

/// The same rows as other sequences, for example frames (B T, N, D) as videos (B, T N, D): no copy.
template <class Real, int D>
Tensor<Real, D> regroup(const Tensor<Real, D>& x, const Sequences& seq) {
  require(seq.rows() == x.rows(), "[regroup] sequences of ", seq.rows(), " rows over ", x.rows());
  auto y = x;
  y.seq = seq;
  return y;
}

}  // namespace albef
