// Convolutions as layers: the parameters of torch.nn.Conv2d and ConvTranspose2d.
#pragma once

#include "albef/nn/linear.hpp"
#include "albef/ops/convolution.hpp"

namespace albef {

/// torch.nn.Conv2d with bias: feature maps of In channels -> of Out. Initialised as PyTorch does,
/// U(-1/sqrt(n), 1/sqrt(n)) of the n = In kernel^2 values of a window.
template <int In, int Out, int Kernel, int Stride = 1, int Padding = 0, int Dilation = 1>
struct Conv2d {
  static constexpr Window window{Kernel, Stride, Padding, Dilation};
  Param<Out, In, Kernel, Kernel> weight{init::uniform(detail::inverse_sqrt(In * Kernel * Kernel))};
  Param<Out> bias{init::uniform(detail::inverse_sqrt(In * Kernel * Kernel))};

  static constexpr void fields(auto& m, auto&& f) {
    f("weight", m.weight);
    f("bias", m.bias);
  }
  template <class Ctx, class X>
  auto operator()(Ctx& ctx, const X& x) const {
    static_assert(detail::WidthsAgree<X::channels, In>::value,
                  "Conv2d: the number of channels differs from In");
    return conv2d<Out>(ctx, x, weight, bias, window);  // (B, H' W', Out)
  }
};

/// torch.nn.ConvTranspose2d with bias: feature maps of In channels -> of Out. Initialised as
/// PyTorch does, by the Out kernel^2 values of a window.
template <int In, int Out, int Kernel, int Stride = 1, int Padding = 0, int Dilation = 1>
struct ConvTranspose2d {
  static constexpr Window window{Kernel, Stride, Padding, Dilation};
  Param<In, Out, Kernel, Kernel> weight{init::uniform(detail::inverse_sqrt(Out * Kernel * Kernel))};
  Param<Out> bias{init::uniform(detail::inverse_sqrt(Out * Kernel * Kernel))};

  static constexpr void fields(auto& m, auto&& f) {
    f("weight", m.weight);
    f("bias", m.bias);
  }
  template <class Ctx, class X>
  auto operator()(Ctx& ctx, const X& x) const {
    static_assert(detail::WidthsAgree<X::channels, In>::value,
                  "ConvTranspose2d: the number of channels differs from In");
    return conv_transpose2d<Out>(ctx, x, weight, bias, window);  // (B, H' W', Out)
  }
};

}  // namespace albef
