// What the encoders read from a configuration, as concepts and as one sentence per missing member.
#pragma once

#include "albef/models/config.hpp"

namespace albef {

/// What an image encoder reads from its configuration.
template <class C>
concept VitConfig = requires {
  C::image_res, C::patch_size, C::vision_width, C::vision_depth, C::vision_heads, C::mlp_ratio,
      C::initializer_range;
};

/// What BERT and its layers read from their configuration.
template <class C>
concept BertConfig = requires {
  C::hidden_size, C::num_hidden_layers, C::fusion_layer, C::num_attention_heads,
      C::intermediate_size, C::vocab_size, C::max_position_embeddings, C::type_vocab_size,
      C::vision_width, C::initializer_range, C::dropout;
};

/// What models that project images and texts into one space read.
template <class C>
concept AlbefConfig = VitConfig<C> && BertConfig<C> && requires {
  C::embed_dim;
};

namespace detail {

/// Says which member a configuration lacks, or that its numbers do not fit.
template <class C>
struct CheckVitConfig {
  static_assert(
      requires { C::image_res; },
      "the configuration lacks image_res: the height and width of images in pixels");
  static_assert(
      requires { C::patch_size; },
      "the configuration lacks patch_size: the side of a patch in pixels");
  static_assert(
      requires { C::vision_width; },
      "the configuration lacks vision_width: the width of the image encoder");
  static_assert(
      requires { C::vision_depth; },
      "the configuration lacks vision_depth: the number of blocks of the image encoder");
  static_assert(
      requires { C::vision_heads; },
      "the configuration lacks vision_heads: the attention heads of the image encoder");
  static_assert(
      requires { C::mlp_ratio; },
      "the configuration lacks mlp_ratio: how many times wider than the image encoder the "
      "hidden layer of its MLP is");
  static_assert(
      requires { C::initializer_range; },
      "the configuration lacks initializer_range: the deviation of fresh matrices");
  static constexpr bool ok = VitConfig<C>;
};

/// The same for BERT.
template <class C>
struct CheckBertConfig {
  static_assert(
      requires { C::hidden_size; },
      "the configuration lacks hidden_size: the width of the text encoder");
  static_assert(
      requires { C::num_hidden_layers; },
      "the configuration lacks num_hidden_layers: the layers of BERT, text and fusion");
  static_assert(
      requires { C::fusion_layer; },
      "the configuration lacks fusion_layer: how many of BERT's layers read text alone");
  static_assert(
      requires { C::num_attention_heads; },
      "the configuration lacks num_attention_heads: the attention heads of BERT");
  static_assert(
      requires { C::intermediate_size; },
      "the configuration lacks intermediate_size: the width of BERT's hidden layers");
  static_assert(
      requires { C::vocab_size; },
      "the configuration lacks vocab_size: the number of tokens of the vocabulary");
  static_assert(
      requires { C::max_position_embeddings; },
      "the configuration lacks max_position_embeddings: the longest text in tokens");
  static_assert(
      requires { C::type_vocab_size; },
      "the configuration lacks type_vocab_size: the number of token types, 2 in BERT");
  static_assert(
      requires { C::vision_width; },
      "the configuration lacks vision_width: the width of the states that BERT's fusion "
      "layers look at");
  static_assert(
      requires { C::initializer_range; },
      "the configuration lacks initializer_range: the deviation of fresh matrices");
  static_assert(
      requires { C::dropout; }, "the configuration lacks dropout: the dropout rate of BERT");
  static constexpr bool fits = [] {
    if constexpr (BertConfig<C>)
      return C::fusion_layer >= 0 && C::fusion_layer <= C::num_hidden_layers;
    else
      return true;
  }();
  static_assert(fits, "the configuration's fusion_layer is not between 0 and num_hidden_layers");
  static constexpr bool ok = BertConfig<C> && fits;
};

/// The same for models that project images and texts into one space.
template <class C>
struct CheckAlbefConfig {
  static_assert(CheckVitConfig<C>::ok && CheckBertConfig<C>::ok);
  static_assert(
      requires { C::embed_dim; },
      "the configuration lacks embed_dim: the width of the features that are compared");
  static constexpr bool ok = AlbefConfig<C>;
};

/// The same for FLAVA, whose other members have defaults.
template <class C>
struct CheckFlavaConfig {
  static_assert(CheckAlbefConfig<C>::ok);
  static constexpr bool fits = [] {
    if constexpr (AlbefConfig<C>)
      return multimodal_num_hidden_layers<C>() >= 1 && multimodal_intermediate_size<C>() >= 1 &&
             C::num_hidden_layers >= 1 && C::vision_depth >= 1;
    else
      return true;
  }();
  static_assert(fits, "the configuration gives one of FLAVA's encoders no layers");
  static constexpr bool has_codes = image_vocab_size<C>() >= 2;
  static_assert(has_codes, "the configuration's image_vocab_size is below 2");
  static constexpr bool ok = AlbefConfig<C> && fits && has_codes;
};

}  // namespace detail
}  // namespace albef
