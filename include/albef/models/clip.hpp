// CLIP (Radford et al. 2021): an image and a text encoder whose features are compared, with the
// parameter names of the official code (clip/model.py) and open_clip, whose checkpoints load.
#pragma once

#include <string_view>

#include "albef/models/config_members.hpp"
#include "albef/models/images.hpp"
#include "albef/nn/block.hpp"
#include "albef/ops/embedding.hpp"
#include "albef/ops/norm.hpp"

namespace albef {

/// Images (B, C, S, S) -> features (B, E) of the class token.
template <class C>
struct ClipVision {
  static constexpr int width = C::vision_width, depth = C::vision_depth, patch = C::patch_size;
  static constexpr int channels = image_channels<C>(), values = channels * patch * patch;
  static constexpr int side = C::image_res / patch;
  static constexpr Init weight = init::normal(detail::inverse_sqrt(width));
  using Block =
      ResidualAttentionBlock<width, C::vision_heads, C::mlp_ratio * width, vision_activation<C>()>;
  Param<width> class_embedding{weight};
  Param<side * side + 1, width> positional_embedding{weight};
  Param<width, channels, patch, patch> conv1{init::uniform(detail::inverse_sqrt(values))};
  LayerNorm<width> ln_pre{1e-5}, ln_post{1e-5};
  std::array<Block, depth> blocks = stack<Block, depth>(depth);
  Param<width, C::embed_dim> proj{weight};

  static constexpr void fields(auto& m, auto&& f) {
    f("class_embedding", m.class_embedding), f("positional_embedding", m.positional_embedding);
    f("conv1.weight", m.conv1), f("ln_pre", m.ln_pre), f("transformer.resblocks", m.blocks);
    f("ln_post", m.ln_post), f("proj", m.proj);
  }
  /// What enters the first block: (B, N + 1, D).
  auto embed(auto& ctx, const auto& images) const {
    const PatchGrid grid{images.rows(), channels, C::image_res, C::image_res, patch};
    const auto x = linear<width>(ctx, patchify<values>(ctx, images, grid), conv1);  // (B, N, D)
    return ln_pre(ctx, add_class_token(ctx, x, class_embedding, positional_embedding));
  }
  auto operator()(auto& ctx, const auto& images) const {
    const auto x = embed(ctx, images);                                  // (B, N + 1, D)
    const auto h = run_blocks(ctx, blocks, x, first_rows(ctx, x.seq));  // (B, D)
    return project<C::embed_dim>(ctx, ln_post(ctx, h), proj);           // (B, E)
  }
};

/// CLIP of configuration C, of which it reads what ALBEF does but fusion_layer: the text encoder
/// has num_hidden_layers layers. QuickGELU, for the official weights: vision_activation and
/// text_activation = Activation::quick_gelu.
template <class C>
struct Clip {
  static_assert(detail::CheckVitConfig<C>::ok);
  using Config = C;
  static constexpr int width = C::hidden_size, depth = C::num_hidden_layers;
  using Block = ResidualAttentionBlock<width, C::num_attention_heads, C::intermediate_size,
                                       text_activation<C>(), true>;
  ClipVision<C> visual;
  Param<C::vocab_size, width> token_embedding{init::normal(0.02f)};
  Param<C::max_position_embeddings, width> positional_embedding{init::normal(0.01f)};
  std::array<Block, depth> blocks = stack<Block, depth>(depth);
  LayerNorm<width> ln_final{1e-5};
  Param<width, C::embed_dim> text_projection{init::normal(detail::inverse_sqrt(width))};
  Param<> logit_scale{init::constant(2.6592601f)};  // ln(1 / 0.07)

  static constexpr void fields(auto& m, auto&& f) {
    f("visual", m.visual), f("token_embedding.weight", m.token_embedding);
    f("positional_embedding", m.positional_embedding), f("transformer.resblocks", m.blocks);
    f("ln_final", m.ln_final), f("text_projection", m.text_projection);
    f("logit_scale", m.logit_scale);
  }
  static constexpr bool never_decays(std::string_view name) { return name == "logit_scale"; }

  auto encode_image(auto& ctx, const auto& images) const {
    return l2_normalize(ctx, visual(ctx, images));  // (B, E)
  }
  /// Of each text's last token, which is the end token: what would follow it nobody sees.
  auto encode_text(auto& ctx, const Tokens& texts) const {
    const auto x = embed<width>(ctx, texts, token_embedding, positional_embedding);  // (B, L, D)
    const auto h = run_blocks(ctx, blocks, x, last_rows(ctx, x.seq));                // (B, D)
    return l2_normalize(ctx, project<C::embed_dim>(ctx, ln_final(ctx, h), text_projection));
  }
};

}  // namespace albef
