// A block of one's own from layers and ops alone: RMS norm, attention, SwiGLU (Shazeer 2020).
#include <doctest/doctest.h>

#include "albef/cpu.hpp"
#include "albef/models/vit.hpp"
#include "albef/nn/block.hpp"
#include "albef/nn/rms_norm.hpp"
#include "albef/ops/sequences.hpp"
#include "albef/testing/gradcheck.hpp"

namespace {

template <int D, int Hidden>
struct SwiGlu {
  albef::Linear<D, 2 * Hidden> gate_up;  // w12 of DINOv2, gate_proj and up_proj of Llama
  albef::Linear<Hidden, D> down;

  constexpr explicit SwiGlu(albef::Init w) : gate_up(w), down(w) {}
  static constexpr void fields(auto& m, auto&& f) {
    f("w12", m.gate_up);
    f("w3", m.down);
  }
  auto operator()(auto& ctx, const auto& x) const {
    const auto h = gate_up(ctx, x);                                  // (..., 2 Hidden)
    const auto gate = silu(ctx, albef::columns<0, Hidden>(ctx, h));  // (..., Hidden)
    const auto up = albef::columns<Hidden, Hidden>(ctx, h);          // (..., Hidden)
    return down(ctx, multiply(ctx, gate, up));                       // (..., D)
  }
};

template <int D, int Heads, int Hidden>
struct SwiGluBlock {
  albef::RMSNorm<D> norm1, norm2;
  albef::VitAttention<D, Heads> attn;
  SwiGlu<D, Hidden> mlp;

  constexpr explicit SwiGluBlock(albef::Init w = albef::init::trunc_normal(0.02f))
      : attn(w), mlp(w) {}
  static constexpr void fields(auto& m, auto&& f) {
    f("norm1", m.norm1);
    f("attn", m.attn);
    f("norm2", m.norm2);
    f("mlp", m.mlp);
  }
  auto operator()(auto& ctx, const auto& x) const {
    const auto y = add(ctx, x, attn(ctx, norm1(ctx, x)));  // (B, L, D)
    return add(ctx, y, mlp(ctx, norm2(ctx, y)));           // (B, L, D)
  }
};

struct SwiGluConfig : albef::Nano {
  static constexpr int image_res = 4, patch_size = 2, vision_width = 8, vision_depth = 2;
  static constexpr int vision_heads = 2;
};

}  // namespace

TEST_CASE("a block of RMS norm and SwiGLU: gradients, also with checkpointing") {
  using albef::Cpu;
  const albef::GradcheckOptions few{.entries = 8};
  CHECK(albef::gradcheck<Cpu>(few, SwiGluBlock<8, 2, 12>{}, albef::sequences<8>(2, 5)));
  CHECK(albef::gradcheck<Cpu>(few, SwiGluBlock<8, 2, 12>{}, albef::ragged<8>({3, 1, 4})));
  const auto twice = [](auto& ctx, const auto& block, const auto& x) {
    const auto f = [c = &ctx, b = &block](const auto& t) { return (*b)(*c, t); };
    return ctx.checkpoint(ctx.checkpoint(x, f), f);
  };
  CHECK(albef::gradcheck<Cpu>(albef::GradcheckOptions{.entries = 8, .checkpointing = true},
                              SwiGluBlock<8, 2, 12>{}, twice, albef::ragged<8>({3, 2})));
}

TEST_CASE("a block of RMS norm and SwiGLU inside a vision transformer") {
  using Encoder = albef::Vit<SwiGluConfig, SwiGluBlock<8, 2, 12>>;
  CHECK(albef::gradcheck<albef::Cpu>(albef::GradcheckOptions{.entries = 6}, Encoder{},
                                     albef::vectors<3 * 4 * 4>(2)));
}
