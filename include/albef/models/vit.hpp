// The vision transformer that encodes images (models/vit.py; Dosovitskiy et al. 2021).
#pragma once

#include <array>

#include "albef/models/config.hpp"
#include "albef/nn/block.hpp"
#include "albef/ops/embedding.hpp"

namespace albef {

/// Images (B, 3, S, S), a row each, as normalised values; see Vit.
template <class Real, class C>
using ImageTensor = Tensor<Real, 3 * C::image_res * C::image_res>;

/// Convolution that cuts an image into patches and embeds each: weight (D, 3, patch, patch).
template <int Patch, int D>
struct PatchEmbedding {
  Param<D, 3, Patch, Patch> weight{init::uniform(detail::inverse_sqrt(3 * Patch * Patch))};
  Param<D> bias{init::uniform(detail::inverse_sqrt(3 * Patch * Patch))};

  static constexpr void fields(auto& m, auto&& f) {
    f("proj.weight", m.weight);
    f("proj.bias", m.bias);
  }

  auto operator()(auto& ctx, const auto& image, PatchGrid grid) const {
    const auto patches = patchify<3 * Patch * Patch>(ctx, image, grid);  // (B, N, 3 patch^2)
    return linear<D>(ctx, patches, weight, bias);                        // (B, N, D)
  }
};

/// images (B, 3, S, S) -> states (B, N + 1, D) of the class token and N = (S / patch)^2 patches,
/// after the final norm.
template <class C>
struct Vit {
  static constexpr int size = C::image_res, patch = C::patch_size, width = C::vision_width;
  static_assert(size % patch == 0, "Vit: the image size is not a multiple of the patch size");
  static constexpr int patches = (size / patch) * (size / patch);
  using Block = VitBlock<width, C::vision_heads, C::mlp_ratio * width>;

  static constexpr Init weight = init::trunc_normal(C::initializer_range);

  Param<1, 1, width> cls_token{weight};
  Param<1, patches + 1, width> pos_embed{weight};
  PatchEmbedding<patch, width> patch_embed;
  std::array<Block, C::vision_depth> blocks = stack<Block, C::vision_depth>(weight);
  LayerNorm<width> norm{Block::eps};

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
    const PatchGrid grid{image.rows(), 3, size, patch};
    return add_class_token(ctx, patch_embed(ctx, image, grid), cls_token, pos_embed);
  }
  template <class Ctx>
  auto operator()(Ctx& ctx, const ImageTensor<typename Ctx::Real, C>& image) const {
    auto x = embed(ctx, image);  // (B, N + 1, D)
    for (const auto& block : blocks)
      x = ctx.checkpoint(x, [c = &ctx, b = &block](const auto& h) { return (*b)(*c, h); });
    return norm(ctx, x);  // (B, N + 1, D)
  }
};

}  // namespace albef
