// Root mean square normalisation with scale.
#pragma once

#include "albef/ops/norm.hpp"

namespace albef {

/// torch.nn.RMSNorm over the last dimension: (..., D) -> (..., D).
template <int D>
struct RMSNorm {
  Param<D> weight{init::ones()};
  double eps;

  constexpr explicit RMSNorm(double e = 1e-6) : eps(e) {}

  static constexpr void fields(auto& m, auto&& f) { f("weight", m.weight); }

  template <class Ctx, class X>
  auto operator()(Ctx& ctx, const X& x) const {
    static_assert(X::width == D, "RMSNorm: the input's width differs from D");
    return rms_norm(ctx, x, weight, eps);  // (..., D)
  }
};

}  // namespace albef
