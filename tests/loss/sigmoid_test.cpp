// The pairwise sigmoid loss: its value by the definition, gradients, and three towers trained by
// it.
#include "albef/loss/sigmoid.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/nn/block.hpp"
#include "albef/ops/sequences.hpp"
#include "albef/testing/gradcheck.hpp"

namespace {

using Doubles = std::vector<double>;

/// The two scalars of SigLIP, away from their start.
struct LogitScalars {
  albef::Param<> scale{albef::init::constant(0.4f)}, bias{albef::init::constant(-0.8f)};
  static constexpr void fields(auto& m, auto&& f) {
    f("logit_scale", m.scale);
    f("logit_bias", m.bias);
  }
};

/// Patches, tokens or frames of width In, a block, their mean, a feature of unit length.
template <int In, int D, int E>
struct Tower {
  albef::Linear<In, D> embed;
  albef::Param<1, 1, D> cls{albef::init::normal(0.02f)};
  albef::VitBlock<D, 2, 2 * D, albef::NormPlace::pre, albef::Activation::quick_gelu> block{
      albef::init::trunc_normal(0.02f)};
  albef::Linear<D, E> head;

  static constexpr void fields(auto& m, auto&& f) {
    f("embed", m.embed);
    f("cls", m.cls);
    f("block", m.block);
    f("head", m.head);
  }
  auto operator()(auto& ctx, const auto& x) const {               // (B, L, In)
    const auto h = block(ctx, prepend(ctx, embed(ctx, x), cls));  // (B, 1 + L, D)
    return l2_normalize(ctx, head(ctx, albef::mean(ctx, h)));     // (B, E)
  }
};

/// Images, texts and sounds in one space, each pair of towers with its own scale and bias.
struct ThreeTowers {
  Tower<6, 8, 5> image;
  Tower<4, 8, 5> text;
  Tower<3, 8, 5> sound;
  LogitScalars image_text, image_sound, text_sound;

  static constexpr void fields(auto& m, auto&& f) {
    f("image", m.image);
    f("text", m.text);
    f("sound", m.sound);
    f("image_text", m.image_text);
    f("image_sound", m.image_sound);
    f("text_sound", m.text_sound);
  }
  auto operator()(auto& ctx, const auto& images, const auto& texts, const auto& sounds) const {
    const auto i = image(ctx, images), t = text(ctx, texts), s = sound(ctx, sounds);  // (B, E)
    const auto loss = [&](const auto& x, const auto& y, const LogitScalars& m) {
      return albef::sigmoid_pairwise_loss(ctx, x, y, m.scale, m.bias);
    };
    return total(ctx, loss(i, t, image_text), loss(i, s, image_sound), loss(t, s, text_sound));
  }
};

}  // namespace

TEST_CASE("sigmoid_pairwise_loss: value by the definition, pairs on the diagonal or by identity") {
  static constexpr auto model = albef::laid_out<LogitScalars>();
  albef::Cpu cpu(1);
  albef::ParamStore<albef::Cpu, albef::Fp64> store(cpu, model, albef::Storage::training);
  albef::Context<albef::Cpu, albef::Fp64> ctx(cpu, store);
  ctx.begin_step(0);
  const Doubles x{0.6, 0.8, -1, 0, 0.28, 0.96}, y{0, 1, 0.8, -0.6, 1, 0};
  const auto loss = [&](albef::PairIdentities pairs) {
    return ctx.item(albef::sigmoid_pairwise_loss(ctx, ctx.variable<2>(x, albef::batch_of(3)),
                                                 ctx.variable<2>(y, albef::batch_of(3)),
                                                 model.scale, model.bias, pairs));
  };
  const std::vector<std::int64_t> rows{7, 8, 7}, columns{8, 7, 9};
  const auto expected = [&](auto paired) {
    double sum = 0;
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j) {
        const double t = std::exp(static_cast<double>(0.4f)), b = static_cast<double>(-0.8f);
        const double u = t * (x[2 * i] * y[2 * j] + x[2 * i + 1] * y[2 * j + 1]) + b;
        sum += std::log(1 + std::exp(paired(i, j) ? -u : u)) / 3;
      }
    return sum;
  };
  CHECK(loss({}) ==
        doctest::Approx(expected([](auto i, auto j) { return i == j; })).epsilon(1e-13));
  CHECK(loss({ctx.upload(rows), ctx.upload(columns)}) ==
        doctest::Approx(expected([&](auto i, auto j) {
          return rows[i] == columns[j];
        })).epsilon(1e-13));
}

TEST_CASE("sigmoid_pairwise_loss: gradients of features, scale and bias") {
  const auto f = [](auto& ctx, const auto& m, const auto& x, const auto& y) {
    return albef::sigmoid_pairwise_loss(ctx, x, y, m.scale, m.bias);
  };
  CHECK(
      albef::gradcheck<albef::Cpu>(LogitScalars{}, f, albef::vectors<5>(4), albef::vectors<5>(6)));
  const auto twice = [&](auto& ctx, const auto& m, const auto& x) {
    return total(ctx, f(ctx, m, x, x), f(ctx, m, x, x));
  };
  CHECK(albef::gradcheck<albef::Cpu>(LogitScalars{}, twice, albef::vectors<5>(4)));
}

TEST_CASE("three towers and the pairwise sigmoid loss of each two: gradients") {
  CHECK(albef::gradcheck<albef::Cpu>(albef::GradcheckOptions{.entries = 6}, ThreeTowers{},
                                     albef::sequences<6>(3, 4), albef::ragged<4>({2, 5, 1}),
                                     albef::ragged<3>({3, 3, 6})));
}
