// Layer normalisation with scale and shift.
#pragma once

#include "albef/ops/norm.hpp"

namespace albef {

/// torch.nn.LayerNorm over the last dimension: (..., D) -> (..., D).
template <int D>
struct LayerNorm {
  Param<D> weight{init::ones()};
  Param<D> bias;
  double eps;

  constexpr explicit LayerNorm(double e = 1e-5) : eps(e) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("weight", m.weight);
    f("bias", m.bias);
  }

  template <class Ctx, class X>
  auto operator()(Ctx& ctx, const X& x) const {
    static_assert(detail::WidthsAgree<X::width, D>::value,
                  "LayerNorm: the input's width differs from D");
    return layer_norm(ctx, x, weight, bias, eps);
  }
  /// LayerNorm(residual + dropout(x, p)).
  template <class Ctx, class X>
  auto add(Ctx& ctx, const X& x, const X& residual, float p) const {
    static_assert(detail::WidthsAgree<X::width, D>::value,
                  "LayerNorm: the input's width differs from D");
    return add_layer_norm(ctx, x, residual, p, weight, bias, eps);
  }
};

}  // namespace albef
