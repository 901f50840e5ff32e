// The two-layer feed-forward network of a transformer block.
#pragma once

#include "albef/nn/linear.hpp"

namespace albef {

/// fc2(F(fc1(x))): (..., D) -> (..., Hidden) -> (..., D).
template <int D, int Hidden, Activation F = Activation::gelu>
struct Mlp {
  Linear<D, Hidden> fc1;
  Linear<Hidden, D> fc2;

  constexpr explicit Mlp(Init weight) : fc1(weight), fc2(weight) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("fc1", m.fc1);
    f("fc2", m.fc2);
  }

  auto operator()(auto& ctx, const auto& x) const {
    return fc2(ctx, fc1.activated(ctx, x, F));  // (..., D)
  }
};

}  // namespace albef
