// Cross entropy against hard labels, a teacher's distribution, or a mixture of both.
#pragma once

#include "albef/core/context.hpp"

namespace albef {

/// What the rows of the logits should predict:
/// (1 - alpha) * onehot(label) + alpha * softmax(teacher logits). With identities, the columns
/// whose identity is the row's share the place of the label evenly. All on the device.
template <class Real>
struct SoftTargets {
  const std::int32_t* labels = nullptr;             ///< (rows); null: row r has label r
  const std::int64_t* row_identities = nullptr;     ///< (rows) or null
  const std::int64_t* column_identities = nullptr;  ///< (V), with row_identities
  const accumulator_t<Real>* weights = nullptr;  ///< (rows), factors of the rows' losses; null: 1
  Mat<const Real> teacher = {};                  ///< teacher logits, or absent
  double alpha = 0;                              ///< weight of the teacher
  /// One over the number of rows that count; null: all of them. Give it where rows are padding
  /// (label -1).
  const accumulator_t<Real>* mean = nullptr;
};

namespace detail {

/// Error if rows have no label among the columns, where the host can tell: without labels, and on
/// devices whose memory it reads. (Elsewhere the loss of such a row is NaN.)
template <class Device>
void check_labels(const Device&, const std::int32_t* labels, int rows, int cols) {
  require(labels || rows <= cols, "[cross_entropy] row r has label r, but there are ", rows,
          " rows and ", cols, " columns");
  if constexpr (requires { Device::host_memory; })
    for (int i = 0; labels && i < rows; ++i)
      require(labels[i] >= -1 && labels[i] < cols, "[cross_entropy] row ", i, " has label ",
              labels[i], ", expected 0 to ", cols - 1, ", or -1 for padding");
}

}  // namespace detail

/// Mean over rows of weight * -sum_v target_v log softmax(logits)_v: logits (rows, V) -> scalar.
/// With no rows the loss is 0. Targets take no gradient; neither one-hot nor soft targets are
/// stored.
template <class Ctx, class Real, int V>
Tensor<accumulator_t<Real>, 1> cross_entropy(Ctx& ctx, const Tensor<Real, V>& logits,
                                             const SoftTargets<Real>& targets, double weight = 1) {
  const int rows = logits.rows();
  ctx.check(logits);
  if (!targets.row_identities)
    detail::check_labels(ctx.device(), targets.labels, rows, logits.cols);
  if (targets.alpha != 0)
    require(targets.teacher.rows == rows && targets.teacher.cols == logits.cols,
            "[cross_entropy] the teacher's logits are (", targets.teacher.rows, ", ",
            targets.teacher.cols, "), expected (", rows, ", ", logits.cols, ")");
  using A = accumulator_t<Real>;
  const double mean = targets.mean ? 1.0 : rows ? 1.0 / rows : 0.0;
  auto loss = ctx.scalar();
  primitive::SoftCrossEntropy<Real> args{.logits = logits.mat(),
                                         .teacher = targets.teacher,
                                         .labels = targets.labels,
                                         .row_identities = targets.row_identities,
                                         .column_identities = targets.column_identities,
                                         .weights = targets.weights,
                                         .alpha = static_cast<A>(targets.alpha),
                                         .scale = static_cast<A>(weight * mean),
                                         .factor = targets.mean,
                                         .lse = ctx.template allocate<A>(rows),
                                         .teacher_lse = ctx.template allocate<A>(rows),
                                         .loss = loss.data};
  if (targets.alpha == 0) args.teacher = {};
  run(ctx.device(), args);
  ctx.record(loss, ctx.from(logits), [logits, loss, args](auto& bwd) {
    bwd.into(logits, [&](Mat<Real> d, A beta) {  // d = scale * dloss * (softmax - target)
      run(bwd.device(), primitive::SoftCrossEntropyGrad<Real>{
                            .forward = args, .dloss = bwd.grad(loss).data, .d = d, .beta = beta});
    });
  });
  return loss;
}

/// The mean cross entropy of rows against the columns `labels` (rows) -> scalar.
template <class Ctx, class Real, int V>
Tensor<accumulator_t<Real>, 1> label_loss(Ctx& ctx, const Tensor<Real, V>& logits,
                                          const std::int32_t* labels) {
  return cross_entropy(ctx, logits, SoftTargets<Real>{.labels = labels});
}

/// -log softmax(logits)[label] of every row, (rows), outside the tape.
template <class Ctx, class Real, int V>
const accumulator_t<Real>* label_losses(Ctx& ctx, const Tensor<Real, V>& logits,
                                        const std::int32_t* labels) {
  using A = accumulator_t<Real>;
  ctx.check(logits);
  detail::check_labels(ctx.device(), labels, logits.rows(), logits.cols);
  A* losses = ctx.template allocate<A>(logits.rows());
  run(ctx.device(),
      primitive::SoftCrossEntropy<Real>{.logits = logits.mat(),
                                        .labels = labels,
                                        .lse = ctx.template allocate<A>(logits.rows()),
                                        .row_losses = losses,
                                        .loss = ctx.template allocate<A>(1)});
  return losses;
}

}  // namespace albef
