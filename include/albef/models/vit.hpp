// The vision transformer that encodes images (models/vit.py; Dosovitskiy et al. 2021).
#pragma once

#include <array>
#include <concepts>
#include <type_traits>

#include "albef/models/config.hpp"
#include "albef/models/config_members.hpp"
#include "albef/models/images.hpp"
#include "albef/nn/block.hpp"
#include "albef/ops/embedding.hpp"

namespace albef {

/// Convolution that cuts an image into patches and embeds each: weight (D, Channels, Patch, Patch).
template <int Patch, int D, int Channels = 3>
struct PatchEmbedding {
  static constexpr int values = Channels * Patch * Patch;
  Param<D, Channels, Patch, Patch> weight{init::uniform(detail::inverse_sqrt(values))};
  Param<D> bias{init::uniform(detail::inverse_sqrt(values))};

  static constexpr void fields(auto& m, auto&& f) {
    f("proj.weight", m.weight);
    f("proj.bias", m.bias);
  }

  auto operator()(auto& ctx, const auto& image, PatchGrid grid) const {
    const auto patches = patchify<values>(ctx, image, grid);  // (B, N, C patch^2)
    return linear<D>(ctx, patches, weight, bias);             // (B, N, D)
  }
};

namespace detail {

/// The block of timm's vision transformer, of the size a configuration says.
template <class C>
struct VitBlockOf {
  static_assert(CheckVitConfig<C>::ok);
  using Type = VitBlock<C::vision_width, C::vision_heads, C::mlp_ratio * C::vision_width,
                        vision_norm<C>(), vision_activation<C>()>;
};

}  // namespace detail

/// images (B, C, H, W) -> states (B, N + 1, D) of the class token and N = (H / patch) (W / patch)
/// patches, after the final norm. Images are of the configured size (ImageTensor) or of any whose
/// sides are multiples of the patch size (Images): position embeddings, of which there are those of
/// the configured size, are then resized (bicubic, as interpolate_pos_embed; see
/// position_offset()), with their gradient. With a drop_path<C>() above 0, block i of n drops its
/// sub-layers at a rate of i / (n - 1) of it.
///
/// Block is any layer (B, L, D) -> (B, L, D) made from the Init of its matrices or from nothing.
template <class C, class BlockT = typename detail::VitBlockOf<C>::Type>
struct Vit {
  static_assert(detail::CheckVitConfig<C>::ok);
  static constexpr int size = C::image_res, patch = C::patch_size, width = C::vision_width;
  static constexpr int channels = image_channels<C>();
  static_assert(size % patch == 0, "Vit: the image size is not a multiple of the patch size");
  static constexpr int side = size / patch, patches = side * side;  ///< at the configured size
  using Block = BlockT;
  static_assert(std::constructible_from<Block, Init> || std::default_initializable<Block>,
                "Vit: a block is made from the Init of its matrices or from nothing");
  using Norm = std::conditional_t<vision_final_norm<C>(), LayerNorm<width>, Identity>;

  static constexpr Init weight = init::trunc_normal(C::initializer_range);
  static constexpr double eps = 1e-6;

  Param<1, 1, width> cls_token{weight};
  Param<1, patches + 1, width> pos_embed{weight};
  PatchEmbedding<patch, width, channels> patch_embed;
  std::array<Block, C::vision_depth> blocks = make_blocks();
  Norm norm = make_norm();

  static constexpr void fields(auto& m, auto&& f) {
    f("cls_token", m.cls_token);
    f("pos_embed", m.pos_embed);
    f("patch_embed", m.patch_embed);
    f("blocks", m.blocks);
    f("norm", m.norm);
  }

  /// What enters the first block: (B, N + 1, D).
  template <class Ctx>
  auto embed(Ctx& ctx, const ImageTensor<typename Ctx::Real, C>& image) const {
    return embed(ctx, image, size, size);
  }
  template <class Ctx>
  auto embed(Ctx& ctx, const Images<typename Ctx::Real>& images) const {
    require(images.channels == channels, "Vit: got images of ", images.channels,
            " channels, expected ", channels);
    return embed(ctx, images.values, images.height, images.width);
  }
  /// States (B, N + 1, D).
  template <class Ctx>
  auto operator()(Ctx& ctx, const ImageTensor<typename Ctx::Real, C>& image) const {
    return encode(ctx, embed(ctx, image));
  }
  template <class Ctx>
  auto operator()(Ctx& ctx, const Images<typename Ctx::Real>& images) const {
    return encode(ctx, embed(ctx, images));
  }

 private:
  static constexpr auto make_blocks() {
    auto made = [] {
      if constexpr (std::constructible_from<Block, Init>)
        return stack<Block, C::vision_depth>(weight);
      else
        return stack<Block, C::vision_depth>();
    }();
    if constexpr (drop_path<C>() > 0)
      for (std::size_t i = 1; i < made.size(); ++i)
        made[i].drop_path =
            drop_path<C>() * static_cast<float>(i) / static_cast<float>(made.size() - 1);
    return made;
  }
  static constexpr Norm make_norm() {
    if constexpr (vision_final_norm<C>())
      return Norm{eps};
    else
      return {};
  }

  auto embed(auto& ctx, const auto& image, int height, int columns) const {
    const PatchGrid grid{image.rows(), channels, height, columns, patch};
    const auto x = patch_embed(ctx, image, grid);  // (B, N, D)
    return add_class_token(
        ctx, x, cls_token, pos_embed,
        {side, side, grid.rows(), grid.columns(), position_offset<C>()});  // (B, N + 1, D)
  }
  template <class Ctx, class X>
  auto encode(Ctx& ctx, X x) const {
    static_assert(std::is_same_v<decltype(blocks[0](ctx, x)), X>,
                  "Vit: a block maps (B, L, D) to (B, L, D)");
    for (const auto& block : blocks)
      x = ctx.checkpoint(x, [c = &ctx, b = &block](const auto& h) { return (*b)(*c, h); });
    return norm(ctx, x);  // (B, N + 1, D)
  }
};

}  // namespace albef
