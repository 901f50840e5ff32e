// DINO's configuration: that of an image encoder and its head.
#pragma once

#include <type_traits>

#include "albef/models/config.hpp"

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

/// C if it says what DINO's head is like, else DinoConfig<C>.
template <class C>
using dino_config_t = typename detail::DinoConfigOf<C>::type;

}  // namespace albef
