// Selecting rows, columns and whole sequences; the gradient of a row is the sum over its copies.
#pragma once

#include <algorithm>
#include <limits>

#include "albef/core/context.hpp"

namespace albef {

/// Rows of a tensor in a new order and grouping; indices live on the device.
struct RowSelection {
  const std::int32_t* index = nullptr;  ///< (seq.rows()) source rows
  Sequences seq;                        ///< how the selected rows are grouped
  Stamp stamp = {};                     ///< where they were made, if known: see Context::check()
};

/// y[i] = x[index[i]]: (rows, D) -> (selected rows, D).
template <class Ctx, class Real, int D>
Tensor<Real, D> gather(Ctx& ctx, const Tensor<Real, D>& x, RowSelection rows) {
  ctx.check(x, rows);
  auto y = ctx.template tensor<D, Real>(rows.seq, x.cols);
  run(ctx.device(), primitive::GatherRows<Real>{.x = x.mat(), .index = rows.index, .y = y.mat()});
  ctx.record(y, ctx.from(x), [x, y, rows](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {
      if (beta == 0)
        fill_zero(bwd.device(), dx.data, static_cast<std::size_t>(x.size()) * sizeof(Real));
      run(bwd.device(),
          primitive::ScatterAddRows<Real>{.x = bwd.grad(y), .index = rows.index, .y = dx});
    });
  });
  return y;
}

namespace detail {

template <class Ctx>
RowSelection row_of_each(Ctx& ctx, const Sequences& seq, bool last) {
  auto* index = ctx.template allocate<std::int32_t>(seq.count);
  run(ctx.device(), primitive::FirstRows{.seq = seq, .index = index, .last = last});
  return {index, batch_of(seq.count), ctx.stamp()};
}

}  // namespace detail

/// The first row of every sequence ([CLS]): one row per sequence.
template <class Ctx>
RowSelection first_rows(Ctx& ctx, const Sequences& seq) {
  return detail::row_of_each(ctx, seq, false);
}

/// The last row of every sequence (the end token), none of which is empty: one row per sequence.
template <class Ctx>
RowSelection last_rows(Ctx& ctx, const Sequences& seq) {
  return detail::row_of_each(ctx, seq, true);
}

/// The [CLS] states: (B, L, D) -> (B, D).
template <class Ctx, class Real, int D>
Tensor<Real, D> first(Ctx& ctx, const Tensor<Real, D>& x) {
  return gather(ctx, x, first_rows(ctx, x.seq));
}

/// The first n columns: (..., D) -> (..., n).
template <class Ctx, class Real, int D>
Tensor<Real, dynamic_width> first_columns(Ctx& ctx, const Tensor<Real, D>& x, int n) {
  ctx.check(x);
  require(n > 0 && n <= x.cols, "[first columns] got ", n, " of ", x.cols);
  auto y = ctx.template tensor<dynamic_width>(x.seq, n);
  run(ctx.device(), primitive::Add<Real>{.x = x.columns(0, n), .y = y.mat()});
  ctx.record(y, ctx.from(x), [x, y, n](auto& bwd) {
    bwd.into(x, [&](Mat<Real> dx, auto beta) {
      if (beta == 0)
        fill_zero(bwd.device(), dx.data, static_cast<std::size_t>(x.size()) * sizeof(Real));
      run(bwd.device(), primitive::Add<Real>{
                            .x = bwd.grad(y), .y = {dx.data, dx.rows, n, dx.stride}, .beta = beta});
    });
  });
  return y;
}

/// Sequences index[0..n) of x, one after the other: (B, L, D) -> (n, L, D). `capacity` bounds their
/// rows where the caller knows better than n times the longest.
template <class Ctx, class Real, int D>
Tensor<Real, D> select(Ctx& ctx, const Tensor<Real, D>& x, const std::int32_t* index, int n,
                       int capacity = std::numeric_limits<int>::max()) {
  capacity = std::min(capacity, n * x.seq.max_length());
  auto* offsets = ctx.template allocate<std::int32_t>(n + 1);
  auto* rows = ctx.template allocate<std::int32_t>(capacity);
  const Sequences seq = run(ctx.device(), primitive::SelectSequences{.seq = x.seq,
                                                                     .index = index,
                                                                     .n = n,
                                                                     .capacity = capacity,
                                                                     .offsets = offsets,
                                                                     .rows = rows});
  return gather(ctx, x, {rows, seq});
}

/// Sequences that grow by one row: past (m, t, D) and next (n, 1, D) -> (n, t + 1, D), where
/// sequence i continues sequence parent[i] of past (null: i). Without recording only.
template <class Ctx, class Real, int D>
Tensor<Real, D> append(Ctx& ctx, const Tensor<Real, D>& past, const std::int32_t* parent,
                       const Tensor<Real, D>& next) {
  ctx.check(past, next);
  require(!ctx.recording(), "[append] a growing sequence takes no gradient");
  const int n = next.rows(), t = past.seq.uniform, columns = (t + 1) * D;
  require(t == 0 || parent || past.seq.count == n, "[append] got ", next.rows(), " new rows for ",
          past.seq.count, " sequences");
  auto y = ctx.template tensor<D>(uniform_sequences(n, t + 1));  // (n, t + 1, D)
  const Mat<Real> before{y.data, n, t * D, columns};
  const Mat<Real> last{y.data + std::int64_t{t} * D, n, D, columns};
  const Mat<const Real> old = mat(static_cast<const Real*>(past.data), past.seq.count, t * D);
  if (t > 0 && parent)
    run(ctx.device(), primitive::GatherRows<Real>{.x = old, .index = parent, .y = before});
  if (t > 0 && !parent) run(ctx.device(), primitive::Add<Real>{.x = old, .y = before});
  run(ctx.device(), primitive::Add<Real>{.x = next.mat(), .y = last});
  return y;
}

}  // namespace albef
