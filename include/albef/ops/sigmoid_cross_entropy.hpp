// Sigmoid cross entropy of every pair of a row and a column.
#pragma once

#include "albef/core/context.hpp"

namespace albef {

/// Which rows and columns belong together: those of equal identities, or, without, the diagonal.
struct PairIdentities {
  const std::int64_t* rows = nullptr;     ///< (rows) on the device, or null
  const std::int64_t* columns = nullptr;  ///< (V) on the device, with rows
};

/// Mean over rows of weight * sum_j -log sigmoid(z_ij (logits_ij + bias)), z = 1 for pairs, else
/// -1: logits (rows, V), bias () or absent (size 0) -> scalar. With no rows the loss is 0.
template <class Ctx, class Real, int V>
Tensor<accumulator_t<Real>, 1> sigmoid_cross_entropy(Ctx& ctx, const Tensor<Real, V>& logits,
                                                     ParamSpan bias = {}, PairIdentities pairs = {},
                                                     double weight = 1) {
  using A = accumulator_t<Real>;
  ctx.check(logits);
  auto loss = ctx.scalar();
  const primitive::SigmoidCrossEntropy<Real> args{
      .logits = logits.mat(),
      .bias = bias.size ? ctx.master_weight(bias) : nullptr,
      .row_identities = pairs.rows,
      .column_identities = pairs.columns,
      .scale = static_cast<A>(logits.rows() ? weight / logits.rows() : 0.0),
      .loss = loss.data};
  run(ctx.device(), args);
  const bool any = ctx.from(logits) || (bias.size && ctx.from(bias));
  ctx.record(loss, any, [logits, bias, loss, args](auto& bwd) {
    primitive::SigmoidCrossEntropyGrad<Real> grad{.forward = args, .dloss = bwd.grad(loss).data};
    bwd.into(logits, [&](Mat<Real> d, A beta) { grad.d = d, grad.beta = beta; });
    if (bias.size) bwd.into(bias, [&](A* d, A beta) { grad.dbias = d, grad.beta_bias = beta; });
    run(bwd.device(), grad);
  });
  return loss;
}

}  // namespace albef
