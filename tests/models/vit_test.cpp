// The vision transformer away from its configured size, channels, statistics and block.
#include <array>
#include <numeric>

#include "albef/core/interpolate_pos_embed.hpp"
#include "albef/testing/alloc_guard.hpp"
#include "albef/testing/gradcheck.hpp"
#include "micro.hpp"

namespace vit_test {

using namespace model_test;
using albef::gradcheck;
using albef::GradcheckOptions;
using albef::Images;
using albef::Vit;
using Pixels = std::vector<std::uint8_t>;

namespace {

struct Gray : Micro {
  static constexpr int image_channels = 1;
  static constexpr std::array image_mean{0.25}, image_std{0.5};
};
struct Depth : Micro {
  static constexpr int image_channels = 4;
  static constexpr std::array image_mean{0.5, 0.4, 0.3, 0.2}, image_std{0.5, 0.25, 0.3, 0.2};
};
struct ImageNet : Micro {
  static constexpr auto image_mean = albef::imagenet_mean, image_std = albef::imagenet_std;
};

static_assert(albef::image_channels<Micro>() == 3 && albef::image_channels<Gray>() == 1);
static_assert(albef::image_statistics<Micro>().mean[0] == albef::clip_mean[0]);
static_assert(albef::image_statistics<ImageNet>().std[2] == 0.225);
static_assert(decltype(Vit<Depth>::patch_embed.weight)::shape == std::array{8, 4, 4, 4});

Pixels random_pixels(std::size_t count, std::uint64_t seed = 1) {
  albef::RandomStream random(seed, 4);
  Pixels out(count);
  for (auto& p : out) p = static_cast<std::uint8_t>(random.below(256));
  return out;
}

/// A batch of images as a variable that takes a gradient.
template <class Real>
Images<Real> images(const albef::Tensor<Real, 0>& values, int channels, int height, int width) {
  return {values, channels, height, width};
}

/// Checks Vit<C> with images of 8 x 8 (the configured size), 12 x 4 and 4 x 16 pixels in one loss.
template <class C>
void check_sizes() {
  constexpr int channels = albef::image_channels<C>();
  const auto loss = [](auto& ctx, const auto& vit, const auto& a, const auto& b, const auto& c) {
    const auto x = first(ctx, vit(ctx, images(a, channels, 8, 8)));
    const auto y = first(ctx, vit(ctx, images(b, channels, 12, 4)));
    const auto z = first(ctx, vit(ctx, images(c, channels, 4, 16)));
    return add(ctx, add(ctx, x, y), z);
  };
  CHECK(gradcheck<Cpu>(GradcheckOptions{.entries = 8}, Vit<C>{}, loss,
                       albef::vectors<0>(2, channels * 64), albef::vectors<0>(2, channels * 48),
                       albef::vectors<0>(2, channels * 64)));
}

/// A block of one's own: attention and feed-forward side by side (GPT-J, ViT-22B), one norm, no
/// Init in its constructor.
template <int D, int Heads, int Hidden>
struct ParallelBlock {
  albef::LayerNorm<D> norm{1e-6};
  albef::VitAttention<D, Heads> attn{albef::init::trunc_normal(0.02f)};
  albef::Mlp<D, Hidden> mlp{albef::init::trunc_normal(0.02f)};

  static constexpr void fields(auto& m, auto&& f) {
    f("norm", m.norm);
    f("attn", m.attn);
    f("mlp", m.mlp);
  }
  auto operator()(auto& ctx, const auto& x) const {
    const auto h = norm(ctx, x);                              // (B, L, D)
    return add(ctx, x, add(ctx, attn(ctx, h), mlp(ctx, h)));  // (B, L, D)
  }
};

struct Large : Micro {
  static constexpr int image_res = 16;
};
struct PostNorm : Micro {
  static constexpr albef::NormPlace vision_norm = albef::NormPlace::post;
  static constexpr bool vision_final_norm = false;
};
struct PreNormText : Micro {
  static constexpr albef::NormPlace text_norm = albef::NormPlace::pre;
};

/// Names of all parameters of a model, joined.
template <class M>
std::string names() {
  Cpu cpu(1);
  const albef::ParamStore<Cpu> store(cpu, albef::laid_out<M>(), Storage::inference);
  std::string out;
  for (const auto& p : store.params()) out += p.name + ' ';
  return out;
}

}  // namespace

TEST_CASE("Vit: gradients at several sizes in one loss, height and width apart, any channels") {
  check_sizes<Micro>();
  check_sizes<Gray>();
  check_sizes<Depth>();
}

TEST_CASE("Vit: images of the configured size give the same bits either way, gradients too") {
  Bench<Micro> b;
  const Pixels pixels = random_pixels(3 * 8 * 8 * 3);
  const std::span<const std::uint8_t> view(pixels);
  const auto run = [&](bool dynamic) {
    b.store.clear_gradients();
    b.ctx.begin_step(0);
    const auto& vit = b.model.visual_encoder;
    const auto x = dynamic ? vit(b.ctx, albef::upload_images<Micro>(b.ctx, view, 8, 8))
                           : vit(b.ctx, albef::upload_images<Micro>(b.ctx, view));
    b.ctx.backward(weighted_sum(b.ctx, x, b.ctx.read(x).data()));
    return std::pair{b.ctx.read(x), b.plane(Plane::grad)};
  };
  const auto [x, gradient] = run(true);
  const auto [expected, expected_gradient] = run(false);
  CHECK(x.size() == 3 * 5 * 8);
  CHECK(bit_equal(x, expected));
  CHECK(bit_equal(gradient, expected_gradient));
}

TEST_CASE("Vit: another size equals a model of that size with interpolated positions") {
  using Small = Vit<Micro>;
  Bench<Micro, Fp64, Small> small;
  Bench<Large, Fp64, Vit<Large>> large;
  for (const auto& p : large.store.params()) {
    const auto& from = small.store.find(p.name);
    std::vector<double> values(small.store.data(Plane::online) + from.offset,
                               small.store.data(Plane::online) + from.offset + from.size);
    if (p.name == "pos_embed")
      values = albef::interpolate_pos_embed(std::span<const double>(values), 8, 4);
    REQUIRE(static_cast<std::int64_t>(values.size()) == p.size);
    std::copy(values.begin(), values.end(), large.store.data(Plane::online) + p.offset);
  }
  const Pixels pixels = random_pixels(2 * 16 * 16 * 3);
  const std::span<const std::uint8_t> view(pixels);
  const auto x = small.model(small.ctx, albef::upload_images<Micro>(small.ctx, view, 16, 16));
  const auto y = large.model(large.ctx, albef::upload_images<Large>(large.ctx, view));
  CHECK(x.seq.uniform == 17);
  CHECK(deviation(small.ctx.read(x), large.ctx.read(y)) < 1e-13);
}

TEST_CASE("Vit: a warm step with images of two sizes allocates nothing, checkpointed neither") {
  Bench<Micro> b;
  const Pixels pixels = random_pixels(2 * 12 * 16 * 3);
  const std::span<const std::uint8_t> view(pixels);
  const auto step = [&] {
    b.store.clear_gradients();
    b.ctx.begin_step(0);
    const auto& vit = b.model.visual_encoder;
    const auto global = first(b.ctx, vit(b.ctx, albef::upload_images<Micro>(b.ctx, view, 12, 16)));
    const auto local = first(
        b.ctx, vit(b.ctx, albef::upload_images<Micro>(b.ctx, view.first(2 * 8 * 4 * 3), 8, 4)));
    const auto sum = add(b.ctx, global, local);
    b.ctx.backward(weighted_sum(b.ctx, sum, static_cast<const double*>(sum.data)));
  };
  step();
  const auto expected = b.plane(Plane::grad);
  const auto warm = [&] {
    step();
    const albef::AllocGuard guard;
    step();
    CHECK(guard.allocations() == 0);
  };
  warm();
  CHECK(bit_equal(b.plane(Plane::grad), expected));
  b.ctx.set_checkpointing(true);
  warm();
  CHECK(deviation(b.plane(Plane::grad), expected) < 1e-13);
}

TEST_CASE("Vit: frames of videos are images, regrouped by video afterwards") {
  Bench<Micro> b;
  const Pixels pixels = random_pixels(2 * 3 * 8 * 12 * 3);  // 2 videos of 3 frames
  auto states = b.model.visual_encoder(
      b.ctx, albef::upload_images<Micro>(b.ctx, std::span<const std::uint8_t>(pixels), 8, 12));
  CHECK(states.seq.count == 6);
  CHECK(states.seq.uniform == 1 + 2 * 3);
  states.seq = albef::uniform_sequences(2, 3 * 7);  // (videos, frames * (N + 1), D)
  const auto& bert = b.model.text_encoder.bert;
  const auto host = random_batch<Micro>(2, 1);
  const auto fused = bert.fusion(b.ctx, bert.text(b.ctx, b.tokens(host.text)),
                                 bert.image_keys_values(b.ctx, states));
  b.ctx.backward(weighted_sum(b.ctx, fused, b.ctx.read(fused).data()));
  const auto gradient = b.plane(Plane::grad);
  const auto at = static_cast<std::size_t>(b.store.find("visual_encoder.pos_embed").offset);
  CHECK(std::abs(gradient[at + 8]) > 0);
}

TEST_CASE("upload_images: statistics and channels of the configuration, or given") {
  Bench<Micro> b;
  const Pixels pixels = random_pixels(2 * 4 * 8 * 4);
  const std::span<const std::uint8_t> view(pixels);
  const auto check = [&](const auto& x, const albef::ImageStatistics& s) {
    CHECK(x.channels == s.channels());
    CHECK(x.height == 4);
    CHECK(x.width == 8);
    const auto values = b.ctx.read(x.values);
    const auto channels = static_cast<std::size_t>(s.channels());
    REQUIRE(values.size() == pixels.size());
    for (std::size_t i = 0; i < values.size(); ++i) {  // (B, C, 4, 8)
      const std::size_t image = i / (32 * channels), c = i / 32 % channels;
      const double v = pixels[(image * 32 + i % 32) * channels + c] / 255.0;
      REQUIRE(values[i] == doctest::Approx((v - s.mean[c]) / s.std[c]));
    }
  };
  check(albef::upload_images<Depth>(b.ctx, view, 4, 8), albef::image_statistics<Depth>());
  check(albef::upload_images<Gray>(b.ctx, view, 4, 8), albef::image_statistics<Gray>());
  check(albef::upload_images(b.ctx, view, 4, 8, albef::image_statistics<Depth>()),
        albef::image_statistics<Depth>());
  const Pixels colour = random_pixels(2 * 64 * 3);
  const auto x =
      b.ctx.read(albef::upload_images<ImageNet>(b.ctx, std::span<const std::uint8_t>(colour)));
  CHECK(x[64] == doctest::Approx((colour[1] / 255.0 - 0.456) / 0.224));
}

TEST_CASE("Vit: images that do not fit are refused by name") {
  Bench<Micro> b;
  const Pixels pixels = random_pixels(6 * 8 * 4);
  const std::span<const std::uint8_t> view(pixels);
  const auto& vit = b.model.visual_encoder;
  CHECK_THROWS_WITH_AS(vit(b.ctx, albef::upload_images<Micro>(b.ctx, view.first(6 * 8 * 3), 6, 8)),
                       "[patchify] images of 6 x 8 pixels are not whole patches of 4 x 4",
                       albef::Error);
  CHECK_THROWS_WITH_AS(vit(b.ctx, albef::upload_images<Depth>(b.ctx, view, 6, 8)),
                       "Vit: got images of 4 channels, expected 3", albef::Error);
  CHECK_THROWS_WITH_AS(albef::upload_images<Micro>(b.ctx, view, 8, 12),
                       "got 192 pixel values, expected images of 8 x 12 x 3", albef::Error);
  CHECK_THROWS_WITH_AS(albef::upload_images<Micro>(b.ctx, view, 0, 12),
                       "got images of 0 x 12 pixels, expected positive numbers", albef::Error);
}

TEST_CASE("Vit of another block: gradients") {
  using Block = ParallelBlock<Micro::vision_width, Micro::vision_heads, 12>;
  CHECK(gradcheck<Cpu>(GradcheckOptions{.entries = 6}, Vit<Micro, Block>{},
                       albef::vectors<3 * 8 * 8>(2)));
  CHECK(names<Vit<Micro, Block>>().find("blocks.1.mlp.fc2.bias norm.weight norm.bias ") !=
        std::string::npos);
}

TEST_CASE("the norm's place: gradients, and the same names") {
  CHECK(gradcheck<Cpu>(GradcheckOptions{.entries = 6}, Vit<PostNorm>{},
                       albef::vectors<3 * 8 * 8>(2)));
  CHECK(names<Vit<PostNorm>>() + "norm.weight norm.bias " == names<Vit<Micro>>());

  const auto text = [](auto& ctx, const auto& bert) {
    albef::TextBatch batch;
    batch.add(std::vector<std::int32_t>{2, 5, 7});
    batch.add(std::vector<std::int32_t>{2, 6});
    return bert.text(ctx, albef::upload_tokens<Micro>(ctx, batch));
  };
  CHECK(gradcheck<Cpu>(GradcheckOptions{.entries = 4, .dropout = true}, albef::Bert<PreNormText>{},
                       text));
  CHECK(names<albef::Bert<PreNormText>>().find(
            "encoder.layer.1.output.LayerNorm.bias layernorm.weight layernorm.bias ") !=
        std::string::npos);
}

TEST_CASE("post-norm: x is normalised after each sum") {
  Bench<PostNorm, Fp64, Vit<PostNorm>> b;
  const auto& block = b.model.blocks[0];
  std::vector<double> values(2 * 5 * 8);
  std::iota(values.begin(), values.end(), -40.0);
  const auto x = b.ctx.variable<8>(values, albef::uniform_sequences(2, 5));
  const auto y = block.norm1(b.ctx, add(b.ctx, x, block.attn(b.ctx, x)));
  const auto z = block.norm2(b.ctx, add(b.ctx, y, block.mlp(b.ctx, y)));
  CHECK(deviation(b.ctx.read(block(b.ctx, x)), b.ctx.read(z)) < 1e-13);
}

}  // namespace vit_test
