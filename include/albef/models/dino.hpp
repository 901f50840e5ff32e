// DINO: a vision transformer with a projection head whose outputs are a teacher's classes (Caron et
// al. 2021, "Emerging properties in self-supervised vision transformers").
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include "albef/models/vit.hpp"
#include "albef/ops/gather.hpp"
#include "albef/ops/norm.hpp"
#include "albef/ops/sequences.hpp"
#include "albef/ops/similarity.hpp"

namespace albef {

/// The image encoder of configuration C with what DINO adds: the paper's numbers for its head
/// (small ones for those made of Tiny), drop path, the official resizing of positions, ImageNet's
/// statistics. Derive from it and replace what differs.
template <class C>
struct DinoConfig {
  static constexpr bool is_tiny = std::is_base_of_v<Tiny, C>;
  static constexpr int image_res = C::image_res, patch_size = C::patch_size;
  static constexpr int vision_width = C::vision_width, vision_depth = C::vision_depth;
  static constexpr int vision_heads = C::vision_heads, mlp_ratio = C::mlp_ratio;
  static constexpr float initializer_range = C::initializer_range;
  static constexpr NormPlace vision_norm = albef::vision_norm<C>();
  static constexpr Activation vision_activation = albef::vision_activation<C>();
  static constexpr bool vision_final_norm = albef::vision_final_norm<C>();
  static constexpr auto image_mean = imagenet_mean, image_std = imagenet_std;
  static constexpr double position_offset = 0.1;
  static constexpr float drop_path = 0.1f;
  static constexpr int out_dim = is_tiny ? 1024 : 65536, bottleneck_dim = is_tiny ? 64 : 256;
  static constexpr int head_nlayers = 3, head_hidden_dim = is_tiny ? 256 : 2048;
};

namespace detail {

template <class C>
struct DinoConfigOf {
  using type = DinoConfig<C>;
};
template <class C>
requires requires { C::head_nlayers; }
struct DinoConfigOf<C> {
  using type = C;
};

}  // namespace detail

/// vision_transformer.DINOHead: head_nlayers layers with GELU in between, L2 norm, then a linear
/// layer whose row i has length weight_g[i]: (B, In) -> (B, out_dim).
template <class C, int In>
struct DinoHead {
  static constexpr int nlayers = C::head_nlayers, bottleneck = C::bottleneck_dim;
  static constexpr int hidden = nlayers > 1 ? C::head_hidden_dim : In;
  static constexpr std::size_t between = nlayers > 1 ? nlayers - 2 : 0;
  static_assert(nlayers > 0, "DinoHead: the configuration's head_nlayers is not at least 1");
  static constexpr Init weight = init::trunc_normal(0.02f);

  std::array<Linear<In, hidden>, nlayers != 1> first =
      stack<Linear<In, hidden>, nlayers != 1>(weight);
  std::array<Linear<hidden, hidden>, between> inner =
      stack<Linear<hidden, hidden>, between>(weight);
  std::array<Linear<hidden, bottleneck>, 1> last = stack<Linear<hidden, bottleneck>, 1>(weight);
  Param<C::out_dim, 1> weight_g{init::ones()};
  Param<C::out_dim, bottleneck> weight_v{init::uniform(detail::inverse_sqrt(bottleneck))};

  static constexpr void fields(auto& m, auto&& f) {
    if constexpr (nlayers == 1) {
      f("mlp", m.last[0]);
    } else {
      f("mlp", m.first);
      f("mlp", m.inner, 2, 2);
      f("mlp", m.last, 2 * (nlayers - 1));
    }
    f("last_layer.weight_g", m.weight_g);
    f("last_layer.weight_v", m.weight_v);
  }

  auto operator()(auto& ctx, const auto& x) const {                   // (B, In)
    const auto w = weight_norm<bottleneck>(ctx, weight_v, weight_g);  // (out_dim, bottleneck)
    const auto compare = [&](const auto& h) {                         // (B, hidden)
      return matmul_nt(ctx, l2_normalize(ctx, last[0](ctx, h)), w);   // (B, out_dim)
    };
    if constexpr (nlayers == 1) {
      return compare(x);
    } else {
      auto h = first[0].gelu(ctx, x);                          // (B, hidden)
      for (const auto& layer : inner) h = layer.gelu(ctx, h);  // (B, hidden)
      return compare(h);
    }
  }
};

/// utils.MultiCropWrapper over a vision transformer and the head, of a DinoConfig or for the image
/// encoder of another configuration. Parameter names are the official ones.
template <class C>
struct Dino {
  using Config = typename detail::DinoConfigOf<C>::type;
  Vit<Config> backbone;
  DinoHead<Config, Config::vision_width> head;

  static constexpr void fields(auto& m, auto&& f) {
    f("backbone", m.backbone);
    f("head", m.head);
  }
  /// The class token of images of any size: (B, D).
  auto feature(auto& ctx, const auto& images) const { return first(ctx, backbone(ctx, images)); }
  /// Outputs for crops of several sizes, of which crops(i) gives those of size i as Images: all of
  /// them through the head at once, in their order -> (crops, out_dim).
  auto operator()(auto& ctx, int sizes, const auto& crops) const {
    const auto one = [](const auto& x) { return regroup(x, uniform_sequences(1, x.rows())); };
    auto x = one(feature(ctx, crops(0)));  // (1, crops, D)
    for (int i = 1; i < sizes; ++i) x = concat_sequences(ctx, x, one(feature(ctx, crops(i))));
    return head(ctx, x);  // (1, crops, out_dim)
  }
};

}  // namespace albef
