// The encoder of DALL-E's discrete VAE, which turns pictures into codes (Ramesh et al. 2021; the
// form FLAVA uses: torchmultimodal/models/flava/image_encoder.py, DalleEncoder).
#pragma once

#include <array>
#include <type_traits>

#include "albef/core/image_statistics.hpp"
#include "albef/models/config.hpp"
#include "albef/models/images.hpp"
#include "albef/nn/convolution.hpp"
#include "albef/nn/norm_place.hpp"

namespace albef {

/// The published encoder: 8,192 codes.
struct DalleBase {
  static constexpr int n_hid = 256, n_blk_per_group = 2, vocab_size = 8192;
};

/// What the encoder reads: pixels v in [0, 1] as 0.8 v + 0.1, which logit-Laplace reconstruction
/// needs; said as mean and deviation.
inline constexpr std::array<double, 3> dalle_mean{-0.125, -0.125, -0.125};
inline constexpr std::array<double, 3> dalle_std{1.25, 1.25, 1.25};
inline constexpr ImageStatistics dalle_statistics{dalle_mean, dalle_std};

/// A convolution that keeps the size of its maps, with the parameters w and b.
template <int In, int Out, int Kernel>
struct DalleConv {
  static_assert(Kernel % 2 == 1, "DalleConv: a kernel of even size does not keep the size of maps");
  static constexpr Window window{Kernel, 1, Kernel / 2};
  Param<Out, In, Kernel, Kernel> w{init::normal(detail::inverse_sqrt(In * Kernel * Kernel))};
  Param<Out> b;

  static constexpr void fields(auto& m, auto&& f) { f("w", m.w), f("b", m.b); }
  auto operator()(auto& ctx, const auto& x) const {
    return conv2d<Out>(ctx, x, w, b, window);  // (B, H W, Out)
  }
  /// The convolution of max(x, 0).
  auto after_relu(auto& ctx, const auto& x) const {
    return (*this)(ctx, x.with(relu(ctx, x.values)));  // (B, H W, Out)
  }
};

/// id_path(x) + gain * res_path(x): three 3 x 3 convolutions and one of 1 x 1, a quarter as wide
/// inside, each after a ReLU. The identity path is a convolution only where the width changes.
template <int In, int Out>
struct DalleBlock {
  static_assert(Out % 4 == 0, "DalleBlock: the width is not a multiple of 4");
  static constexpr int hidden = Out / 4;
  using IdPath = std::conditional_t<In == Out, Identity, DalleConv<In, Out, 1>>;

  float gain = 1;
  IdPath id_path;
  DalleConv<In, hidden, 3> conv_1;
  DalleConv<hidden, hidden, 3> conv_2, conv_3;
  DalleConv<hidden, Out, 1> conv_4;

  static constexpr void fields(auto& m, auto&& f) {
    f("id_path", m.id_path);
    f("res_path.conv_1", m.conv_1), f("res_path.conv_2", m.conv_2);
    f("res_path.conv_3", m.conv_3), f("res_path.conv_4", m.conv_4);
  }
  template <class Ctx, class X>
  auto operator()(Ctx& ctx, const X& x) const {
    const auto a = conv_1.after_relu(ctx, x);                                // (B, H W, Out / 4)
    const auto b = conv_3.after_relu(ctx, conv_2.after_relu(ctx, a));        // (B, H W, Out / 4)
    const auto residual = conv_4.after_relu(ctx, b);                         // (B, H W, Out)
    const auto identity = id_path(ctx, x);                                   // (B, H W, Out)
    return x.with(add_scaled(ctx, identity.values, residual.values, gain));  // (B, H W, Out)
  }
};

namespace detail {

/// "block_1", "block_2", ... at compile time.
struct BlockName {
  char text[16] = "block_";
  std::size_t size = 6;
  constexpr explicit BlockName(int number) {
    int unit = 1;
    while (number / unit >= 10) unit *= 10;
    for (; unit > 0; unit /= 10) text[size++] = static_cast<char>('0' + number / unit % 10);
  }
  constexpr operator std::string_view() const { return {text, size}; }
};

}  // namespace detail

/// `Blocks` blocks: feature maps of In channels -> of Out.
template <int In, int Out, int Blocks>
struct DalleGroup {
  static_assert(Blocks > 0, "DalleGroup: a group has at least one block");
  DalleBlock<In, Out> first;
  std::array<DalleBlock<Out, Out>, Blocks - 1> rest{};

  constexpr explicit DalleGroup(float gain) {
    first.gain = gain;
    for (auto& block : rest) block.gain = gain;
  }
  static constexpr void fields(auto& m, auto&& f) {
    f(detail::BlockName(1), m.first);
    for (std::size_t i = 0; i < m.rest.size(); ++i)
      f(detail::BlockName(static_cast<int>(i) + 2), m.rest[i]);
  }
  auto operator()(auto& ctx, const auto& x) const {
    auto y = first(ctx, x);                            // (B, H W, Out)
    for (const auto& block : rest) y = block(ctx, y);  // (B, H W, Out)
    return y;
  }
};

/// All of the encoder before its codes: a 7 x 7 convolution and four groups of blocks, of widths
/// n_hid * (1, 2, 4, 8), with 2 x 2 max pooling between them.
template <class C>
struct DalleTrunk {
  static constexpr int groups = 4, blocks = C::n_blk_per_group, n = C::n_hid;
  static constexpr int channels = image_channels<C>();
  static constexpr int width = 8 * n, patch = 8;  ///< of the result; pixels a position stands for
  static constexpr float gain = 1.0f / (groups * blocks * groups * blocks);
  static constexpr Window pooling{2, 2};

  DalleConv<channels, n, 7> input;
  DalleGroup<n, n, blocks> group_1{gain};
  DalleGroup<n, 2 * n, blocks> group_2{gain};
  DalleGroup<2 * n, 4 * n, blocks> group_3{gain};
  DalleGroup<4 * n, 8 * n, blocks> group_4{gain};

  static constexpr void fields(auto& m, auto&& f) {
    f("input", m.input);
    f("group_1", m.group_1), f("group_2", m.group_2);
    f("group_3", m.group_3), f("group_4", m.group_4);
  }
  /// Pixels (B, H W, C) as 0.8 v + 0.1 -> features (B, H W / 64, 8 n). Error unless H and W are
  /// multiples of 8.
  template <class Ctx>
  auto operator()(Ctx& ctx, const FeatureMaps<typename Ctx::Real, channels>& pixels) const {
    require(pixels.height % patch == 0 && pixels.width % patch == 0, "[dalle] got pictures of ",
            pixels.height, " x ", pixels.width, " pixels, expected multiples of ", patch);
    const auto a = pooled_1(ctx, pixels);                      // (B, H W / 4, n)
    const auto b = max_pool2d(ctx, group_2(ctx, a), pooling);  // (B, H W / 16, 2 n)
    const auto c = max_pool2d(ctx, group_3(ctx, b), pooling);  // (B, H W / 64, 4 n)
    return group_4(ctx, c);                                    // (B, H W / 64, 8 n)
  }
  /// What the first group gives: pixels (B, H W, C) -> (B, H W / 4, n).
  auto pooled_1(auto& ctx, const auto& pixels) const {
    return max_pool2d(ctx, group_1(ctx, input(ctx, pixels)), pooling);  // (B, H W / 4, n)
  }
};

/// Pictures -> logits of the code of every 8 x 8 pixels. Parameter names are the official ones.
template <class C>
struct DalleEncoder {
  using Config = C;
  static constexpr int patch = DalleTrunk<C>::patch, codes = C::vocab_size;
  static constexpr ImageStatistics statistics = dalle_statistics;

  DalleTrunk<C> trunk;
  DalleConv<DalleTrunk<C>::width, codes, 1> output;

  static constexpr void fields(auto& m, auto&& f) {
    f("blocks", m.trunk);
    f("blocks.output.conv", m.output);
  }
  /// (B, C, H, W) as 0.8 v + 0.1 -> logits (B, H W / 64, codes); the code is the largest.
  template <class Ctx>
  auto operator()(Ctx& ctx, const Images<typename Ctx::Real>& images) const {
    const auto pixels = feature_maps<DalleTrunk<C>::channels>(ctx, images);  // (B, H W, C)
    return output.after_relu(ctx, trunk(ctx, pixels)).values;                // (B, H W / 64, codes)
  }
};

}  // namespace albef
