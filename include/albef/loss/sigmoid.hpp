// The pairwise sigmoid loss of SigLIP (Zhai et al. 2023, "Sigmoid loss for language image
// pre-training").
#pragma once

#include "albef/ops/elementwise.hpp"
#include "albef/ops/sigmoid_cross_entropy.hpp"
#include "albef/ops/similarity.hpp"

namespace albef {

/// Mean over the rows i of weight * sum_j -log sigmoid(z_ij (exp(logit_scale) x_i . y_j +
/// logit_bias)), z = 1 where x_i and y_j are a pair, else -1: x (B, E) and y (B', E), usually
/// normalised; two scalar parameters, which SigLIP starts at log 10 and -10 -> scalar.
template <class Ctx, class Real, int E>
Tensor<accumulator_t<Real>, 1> sigmoid_pairwise_loss(Ctx& ctx, const Tensor<Real, E>& x,
                                                     const Tensor<Real, E>& y,
                                                     ParamSpan logit_scale, ParamSpan logit_bias,
                                                     PairIdentities pairs = {}, double weight = 1) {
  const auto logits = scale_exp(ctx, matmul_nt(ctx, x, y), logit_scale);  // (B, B')
  return sigmoid_cross_entropy(ctx, logits, logit_bias, pairs, weight);
}

}  // namespace albef
