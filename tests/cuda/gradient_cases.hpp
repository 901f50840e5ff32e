// Back-propagation on a CUDA device against differences, in double: the ops with primitives of
// their own, through the context's tape.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "albef/nn/convolution.hpp"
#include "albef/nn/layer_norm.hpp"
#include "albef/nn/linear.hpp"
#include "albef/nn/mlp.hpp"
#include "albef/ops/attention.hpp"
#include "albef/ops/cross_entropy.hpp"
#include "albef/ops/embedding.hpp"
#include "albef/ops/gather.hpp"
#include "albef/ops/norm.hpp"
#include "albef/ops/similarity.hpp"
#include "albef/testing/gradcheck.hpp"

namespace {

using albef::Cuda;
using albef::gradcheck;
using albef::NoParameters;
using albef::ragged;
using albef::sequences;
using albef::vectors;
using Indices = std::vector<std::int32_t>;

constexpr albef::GradcheckOptions with_dropout{.entries = 6, .dropout = true};

/// Positions of 2 x 4 patches behind a class token.
struct Positions {
  albef::Param<1, 1, 4> cls;
  albef::Param<1, 9, 4> position;
  static constexpr void fields(auto& m, auto&& f) {
    f("cls", m.cls);
    f("position", m.position);
  }
};

struct Convolutions {
  albef::Conv2d<3, 4, 3, 1, 2, 2> narrow;
  albef::ConvTranspose2d<4, 2, 2, 2> wide;
  static constexpr void fields(auto& m, auto&& f) {
    f("narrow", m.narrow);
    f("wide", m.wide);
  }
};

}  // namespace

TEST_CASE("gradients of layers agree with differences" * doctest::skip(no_test_device())) {
  CHECK(gradcheck<Cuda>(with_dropout, albef::Linear<7, 5>{}, sequences<7>(2, 3)));
  CHECK(gradcheck(test_device(), with_dropout, albef::Mlp<8, 12>{albef::init::normal(0.5f)},
                  vectors<8>(5)));
  const auto add_norm = [](auto& ctx, const auto& m, const auto& x, const auto& residual) {
    return albef::add_layer_norm(ctx, x, residual, 0.25f, m.weight, m.bias, 1e-6);
  };
  CHECK(gradcheck(test_device(), with_dropout, albef::LayerNorm<13>{}, add_norm, vectors<13>(5),
                  vectors<13>(5)));
}

TEST_CASE("gradients of attention agree with differences" * doctest::skip(no_test_device())) {
  const auto self = [](auto& ctx, const auto&, const auto& qkv) {
    return albef::self_attention(ctx, qkv, 2, 0.3f, true);
  };
  CHECK(gradcheck(test_device(), with_dropout, NoParameters{}, self, ragged<24>({3, 1, 6})));
  const auto cross = [](auto& ctx, const auto&, const auto& q, const auto& kv) {
    return albef::cross_attention(ctx, q, kv, ctx.upload(Indices{1, 1, 3, 0}), 2, 0.3f);
  };
  CHECK(gradcheck(test_device(), with_dropout, NoParameters{}, cross, ragged<8>({3, 1, 2, 4}),
                  ragged<16>({5, 2, 3, 1})));
}

TEST_CASE("gradients of features and losses agree with differences" *
          doctest::skip(no_test_device())) {
  const auto contrast = [](auto& ctx, const auto&, const auto& a, const auto& b) {
    const auto s = albef::matmul_nt(ctx, albef::l2_normalize(ctx, a), albef::l2_normalize(ctx, b));
    return albef::cross_entropy(ctx, s, albef::SoftTargets<double>{});
  };
  CHECK(gradcheck(test_device(), with_dropout, NoParameters{}, contrast, vectors<6>(3),
                  vectors<6>(5)));
  const auto chosen = [](auto& ctx, const auto&, const auto& x) {
    return albef::first(ctx, albef::select(ctx, x, ctx.upload(Indices{2, 0, 2}), 3));
  };
  CHECK(gradcheck(test_device(), with_dropout, NoParameters{}, chosen, ragged<5>({3, 1, 2})));
}

TEST_CASE("gradients of resized position embeddings agree with differences" *
          doctest::skip(no_test_device())) {
  const auto embed = [](auto& ctx, const auto& m, const auto& images) {
    const auto patches = albef::patchify<4>(ctx, images, {2, 1, 6, 4, 2});  // (2, 6, 4)
    return albef::add_class_token(ctx, patches, m.cls, m.position, {2, 4, 3, 2});
  };
  CHECK(gradcheck(test_device(), albef::GradcheckOptions{.entries = 36}, Positions{}, embed,
                  vectors<24>(2)));
}

TEST_CASE("gradients of convolution and pooling agree with differences" *
          doctest::skip(no_test_device())) {
  const auto layers = [](auto& ctx, const auto& m, const auto& planes) {
    const auto x = albef::feature_maps<3>(ctx, planes, 6, 5);            // (2, 30, 3)
    const auto y = albef::max_pool2d(ctx, m.narrow(ctx, x), {3, 2, 1});  // (2, 9, 4)
    return m.wide(ctx, y).values;                                        // (2, 36, 2)
  };
  CHECK(gradcheck(test_device(), albef::GradcheckOptions{.entries = 12}, Convolutions{}, layers,
                  vectors<90>(2)));
}

TEST_CASE("a label that is no column makes loss and gradient NaN and touches no other memory" *
          doctest::skip(no_test_device())) {
  auto& device = test_device();
  static constexpr auto none = albef::laid_out<NoParameters>();
  albef::ParamStore<Cuda, albef::Fp64> store(device, none, albef::Storage::training);
  albef::Context<Cuda, albef::Fp64> ctx(device, store);
  ctx.begin_step(0);
  const auto x = ctx.variable<3>(std::vector<double>(6, 0.5), albef::batch_of(2));
  const auto loss = albef::cross_entropy(
      ctx, x, albef::SoftTargets<double>{.labels = ctx.upload(Indices{1, 1'000'000'000})});
  CHECK(std::isnan(ctx.item(loss)));
  ctx.backward(loss);
  for (const double g : ctx.gradient(x)) CHECK(std::isnan(g));  // the step changes nothing
}
