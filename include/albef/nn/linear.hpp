// Linear layer: y = x W^T + b.
#pragma once

#include "albef/ops/elementwise.hpp"
#include "albef/ops/linear.hpp"

namespace albef {

namespace detail {

/// 1 / sqrt(n) at compile time (Newton's iteration).
constexpr float inverse_sqrt(int n) {
  double root = n > 1 ? n : 1;
  for (int i = 0; i < 40; ++i) root = 0.5 * (root + n / root);
  return static_cast<float>(1 / root);
}

}  // namespace detail

/// torch.nn.Linear: weight (Out, In), bias (Out). Maps (..., In) to (..., Out). Initialised as
/// PyTorch does, U(-1/sqrt(In), 1/sqrt(In)), or with the given weight initialiser and zero bias.
template <int In, int Out>
struct Linear {
  Param<Out, In> weight{init::uniform(detail::inverse_sqrt(In))};
  Param<Out> bias{init::uniform(detail::inverse_sqrt(In))};

  constexpr Linear() = default;
  constexpr explicit Linear(Init weight_init) : weight(weight_init), bias(init::zeros()) {}

  static constexpr void fields(auto& m, auto&& f) {
    f("weight", m.weight);
    f("bias", m.bias);
  }

  template <class Ctx, class X>
  auto operator()(Ctx& ctx, const X& x) const {
    static_assert(detail::WidthsAgree<X::width, In>::value,
                  "Linear: the input's width differs from In");
    return linear<Out>(ctx, x, weight, bias);  // (..., Out)
  }

  /// f(x W^T + b); the exact GELU is fused into the product.
  template <class Ctx, class X>
  auto activated(Ctx& ctx, const X& x, Activation function) const {
    static_assert(X::width == In, "Linear: the input's width differs from In");
    if (function == Activation::gelu) return linear_gelu<Out>(ctx, x, weight, bias);  // (..., Out)
    return activate(ctx, linear<Out>(ctx, x, weight, bias), function);                // (..., Out)
  }
  /// gelu(x W^T + b), the activation fused into the product.
  template <class Ctx, class X>
  auto gelu(Ctx& ctx, const X& x) const {
    static_assert(detail::WidthsAgree<X::width, In>::value,
                  "Linear: the input's width differs from In");
    return linear_gelu<Out>(ctx, x, weight, bias);  // (..., Out)
  }
};

}  // namespace albef
