// Gradients of the layers and blocks that models are made of, by differences.
#include <doctest/doctest.h>

#include <vector>

#include "albef/cpu.hpp"
#include "albef/nn/block.hpp"
#include "albef/testing/gradcheck.hpp"

using albef::Cpu;
using albef::gradcheck;
using albef::GradcheckOptions;
using albef::ragged;
using albef::sequences;
using albef::vectors;
using Indices = std::vector<std::int32_t>;

namespace {

constexpr albef::Init weight = albef::init::normal(0.02f);
constexpr GradcheckOptions plain{.entries = 8}, dropped{.entries = 8, .dropout = true};

/// Text x, states of images: text s looks at image index[s].
const auto cross_attend = [](auto& ctx, const auto& layer, const auto& x, const auto& states) {
  const auto kv = layer.keys_values(ctx, states);
  return layer(ctx, x, kv, ctx.upload(Indices{1, 0, 1}));
};
const auto fuse = [](auto& ctx, const auto& layer, const auto& x, const auto& image) {
  const auto kv = layer.crossattention.keys_values(ctx, image);
  return layer(ctx, x, kv, ctx.upload(Indices{1, 0, 1}));
};
/// The same for the rows 0, 2 | 3 | of texts with 3, 1 and 2 rows.
const auto fuse_rows = [](auto& ctx, const auto& layer, const auto& x, const auto& image) {
  const auto kv = layer.crossattention.keys_values(ctx, image);
  const albef::RowSelection rows{ctx.upload(Indices{0, 2, 3}), ctx.sequences(Indices{0, 2, 3, 3})};
  return layer(ctx, x, kv, ctx.upload(Indices{1, 0, 1}), rows);
};

}  // namespace

TEST_CASE("Mlp and blocks with other activations: gradients") {
  using albef::Activation;
  CHECK(gradcheck<Cpu>(albef::Mlp<6, 20, Activation::quick_gelu>{weight}, ragged<6>({3, 1, 2})));
  CHECK(gradcheck<Cpu>(albef::VitBlock<8, 2, 12, albef::NormPlace::pre, Activation::silu>{weight},
                       ragged<8>({3, 2})));
  CHECK(gradcheck<Cpu>(albef::BertLayer<8, 2, 12, albef::NormPlace::post, Activation::tanh>{weight},
                       ragged<8>({3, 2})));
}

TEST_CASE("CLIP's block, all rows and the last of each text: gradients") {
  using Block = albef::ResidualAttentionBlock<8, 2, 12, albef::Activation::quick_gelu, true>;
  CHECK(
      gradcheck<Cpu>(plain, albef::MultiheadAttention<8, 2>{weight, weight}, ragged<8>({3, 1, 2})));
  CHECK(gradcheck<Cpu>(plain, Block(2), ragged<8>({3, 1, 2})));
  const auto last = [](auto& ctx, const auto& block, const auto& x) {
    return block(ctx, x, last_rows(ctx, x.seq));
  };
  CHECK(gradcheck<Cpu>(plain, Block(2), last, ragged<8>({3, 1, 2})));
  const auto projected = [](auto& ctx, const auto& layer, const auto& x) {
    return albef::project<5>(ctx, x, layer.weight);
  };
  CHECK(gradcheck<Cpu>(plain, albef::Linear<5, 8>{weight}, projected, ragged<8>({3, 1, 2})));
}

TEST_CASE("Linear, LayerNorm and Mlp: gradients") {
  CHECK(gradcheck<Cpu>(plain, albef::Linear<6, 9>{weight}, ragged<6>({3, 1, 2})));
  CHECK(gradcheck<Cpu>(plain, albef::LayerNorm<6>{}, ragged<6>({3, 1, 2})));
  CHECK(gradcheck<Cpu>(plain, albef::Mlp<6, 20>{weight}, ragged<6>({3, 1, 2})));
}

TEST_CASE("VitAttention and VitBlock: gradients") {
  CHECK(gradcheck<Cpu>(plain, albef::VitAttention<8, 2>{weight}, sequences<8>(2, 5)));
  CHECK(gradcheck<Cpu>(plain, albef::VitBlock<8, 2, 32>{}, sequences<8>(2, 5)));
}

TEST_CASE("BertAttention: gradients as self- and as cross-attention") {
  const albef::BertAttention<8, 8, 2> self(weight, 1e-12, 0.2f);
  const albef::BertAttention<8, 12, 2> cross(weight, 1e-12, 0.2f);
  for (const auto& options : {plain, dropped}) {
    CHECK(gradcheck<Cpu>(options, self, ragged<8>({3, 1, 2})));
    CHECK(gradcheck<Cpu>(options, cross, cross_attend, ragged<8>({3, 1, 2}), sequences<12>(2, 4)));
  }
}

TEST_CASE("BertLayer: gradients") {
  for (const auto& options : {plain, dropped})
    CHECK(gradcheck<Cpu>(options, albef::BertLayer<8, 2, 20>{albef::init::normal(0.02f), 0.2f},
                         ragged<8>({3, 1, 2})));
}

TEST_CASE("BertFusionLayer: gradients of all rows and of selected ones") {
  const albef::BertFusionLayer<8, 12, 2, 20> layer{albef::init::normal(0.02f), 0.2f};
  for (const auto& options : {plain, dropped}) {
    CHECK(gradcheck<Cpu>(options, layer, fuse, ragged<8>({3, 1, 2}), sequences<12>(2, 4)));
    CHECK(gradcheck<Cpu>(options, layer, fuse_rows, ragged<8>({3, 1, 2}), sequences<12>(2, 4)));
  }
}

TEST_CASE("heads of one layer share nothing but their input") {
  // Two heads, the values of the second zero: the output's second half is the bias of proj alone.
  using Attention = albef::VitAttention<8, 2>;
  static constexpr auto attention = albef::laid_out(Attention{weight});
  Cpu cpu(1);
  albef::ParamStore<Cpu, albef::Fp64> store(cpu, attention, albef::Storage::inference);
  albef::Context<Cpu, albef::Fp64> ctx(cpu, store);
  double* w = store.data(albef::Plane::online);
  const auto qkv = w + attention.qkv.weight.offset;
  std::fill(qkv + 20 * 8, qkv + 24 * 8, 0.0);  // values of head 1: rows 20 .. 23
  const auto proj = w + attention.proj.weight.offset;
  std::fill(proj, proj + 64, 0.0);
  for (int i = 0; i < 8; ++i) proj[i * 9] = 1;  // identity
  const std::vector<double> x(2 * 3 * 8, 0.5);
  const auto y = ctx.read(attention(ctx, ctx.variable<8>(x, albef::uniform_sequences(2, 3))));
  for (std::size_t i = 0; i < y.size(); ++i) CHECK((y[i] == 0) == (i % 8 >= 4));
}

TEST_CASE(
    "VitBlock with drop path: gradients, pre- and post-norm; without, the draws are the same") {
  albef::VitBlock<8, 2, 12> pre{weight};
  albef::VitBlock<8, 2, 12, albef::NormPlace::post> post{weight};
  pre.drop_path = post.drop_path = 0.4f;
  for (const auto& options : {plain, dropped}) {
    CHECK(gradcheck<Cpu>(options, pre, ragged<8>({3, 2, 1, 1})));
    CHECK(gradcheck<Cpu>(options, post, ragged<8>({3, 2, 1, 1})));
  }
}
