// A new layer with a backward pass of its own, used in a block, and a check of their gradients.
//
// LayerScale (Touvron et al. 2021, "Going deeper with image transformers") multiplies every channel
// of its input by a learned factor: y = x * gamma.
#include <cstdio>

#include "albef/albef.hpp"
#include "albef/testing/gradcheck.hpp"
#include "common/device.hpp"

using namespace albef;

template <int D>
struct LayerScale {
  Param<D> gamma{init::constant(0.1f)};

  static constexpr void fields(auto& m, auto&& f) { f("gamma", m.gamma); }

  template <class Ctx, class Real, int W>
  auto operator()(Ctx& ctx, const Tensor<Real, W>& x) const {  // (..., D)
    static_assert(W == D, "LayerScale: the input's width differs from D");
    auto y = ctx.like(x);  // (..., D)
    run(ctx.device(),
        primitive::MultiplyRow<Real>{.x = x.mat(), .row = ctx.weight(gamma), .y = y.mat()});
    ctx.record(y, ctx.from(x, gamma), [x, y, g = ParamSpan(gamma)](auto& bwd) {
      const Mat<const Real> dy = bwd.grad(y);
      bwd.into(x, [&](Mat<Real> dx, auto beta) {  // dx = dy * gamma
        run(bwd.device(),
            primitive::MultiplyRow<Real>{.x = dy, .row = bwd.weight(g), .y = dx, .beta = beta});
      });
      bwd.into(g, [&](auto* dg, auto beta) {  // dgamma = sum over rows of dy * x
        run(bwd.device(), primitive::DotRows<Real>{.a = dy, .b = x.mat(), .sum = dg, .beta = beta});
      });
    });
    return y;
  }
};

// Layers compose by calling each other: a residual branch that LayerScale damps.
template <int D>
struct ScaledBranch {
  Linear<D, D> linear;
  LayerScale<D> scale;

  static constexpr void fields(auto& m, auto&& f) {
    f("linear", m.linear);
    f("scale", m.scale);
  }
  auto operator()(auto& ctx, const auto& x) const {
    return add(ctx, x, scale(ctx, linear.gelu(ctx, x)));  // (..., D)
  }
};

// Back-propagation against differences in double precision, for 2 sequences of 5 rows.
bool check(auto& device, const char* name, const auto& layer) {
  const GradcheckResult result = gradcheck(device, layer, sequences<48>(2, 5));
  std::printf("%s: gradients %s; worst is %s\n", name, result ? "agree" : "DIFFER",
              result.message.c_str());
  return result.ok;
}

int main(int argc, char** argv) {
  examples::Program app("Checks the gradients of a layer of one's own", "custom_layer");
  return examples::run_on_device(app, argc, argv, [](auto& device) {
    const bool layer = check(device, "LayerScale<48>", LayerScale<48>{});
    const bool branch = check(device, "ScaledBranch<48>", ScaledBranch<48>{});
    return layer && branch ? 0 : 1;
  });
}
