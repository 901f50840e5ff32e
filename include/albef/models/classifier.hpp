// The head of models that choose one of a few classes.
#pragma once

#include "albef/nn/linear.hpp"
#include "albef/ops/elementwise.hpp"

namespace albef {

/// The cls_head of models/model_ve.py and model_nlvr.py: Linear, ReLU, Linear.
/// (B, D) -> (B, Classes).
template <int D, int Classes>
struct ClassifierHead {
  Linear<D, D> hidden;
  Linear<D, Classes> output;

  static constexpr void fields(auto& m, auto&& f) {
    f("0", m.hidden);
    f("2", m.output);
  }
  auto operator()(auto& ctx, const auto& x) const {
    return output(ctx, relu(ctx, hidden(ctx, x)));  // (B, Classes)
  }
};

}  // namespace albef
