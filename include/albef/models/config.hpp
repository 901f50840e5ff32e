// The configurations that ship with the library. Names follow the official configuration files.
#pragma once

#include <utility>
#include <vector>

#include "albef/core/image_statistics.hpp"
#include "albef/core/primitives/elementwise.hpp"
#include "albef/nn/norm_place.hpp"

namespace albef {

/// ALBEF as published: ViT-B/16 at 256 pixels and BERT-base split into 6 text and 6 fusion layers.
/// Derive from a configuration and replace what differs. What a configuration may say besides is
/// listed below: image_channels, image_mean and image_std, vision_norm, vision_activation,
/// vision_final_norm, position_offset, drop_path, text_activation, text_norm, and for FLAVA
/// multimodal_hidden_size, multimodal_num_hidden_layers, multimodal_num_attention_heads,
/// multimodal_intermediate_size, image_vocab_size.
struct Base {
  static constexpr int image_res = 256, patch_size = 16;
  static constexpr int vision_width = 768, vision_depth = 12, vision_heads = 12, mlp_ratio = 4;
  static constexpr int hidden_size = 768, num_hidden_layers = 12, fusion_layer = 6;
  static constexpr int num_attention_heads = 12, intermediate_size = 3072;
  static constexpr int vocab_size = 30522, max_position_embeddings = 512, type_vocab_size = 2;
  static constexpr int embed_dim = 256;
  static constexpr float dropout = 0.1f;             ///< of BERT; the vision transformer has none
  static constexpr float initializer_range = 0.02f;  ///< deviation of fresh matrices
  static constexpr int queue_size = 65536;
};

/// Base at the size the official code fine-tunes it.
struct Base384 : Base {
  static constexpr int image_res = 384;
};

/// About an eighth of Base: for one good GPU or a patient CPU.
struct Small : Base {
  static constexpr int image_res = 128;
  static constexpr int vision_width = 384, vision_depth = 8, vision_heads = 6;
  static constexpr int hidden_size = 384, num_hidden_layers = 8, fusion_layer = 4;
  static constexpr int num_attention_heads = 6, intermediate_size = 1536;
  static constexpr int max_position_embeddings = 64, queue_size = 16384;
};

/// Learns the emoji data set in minutes on two CPU cores.
struct Tiny : Base {
  static constexpr int image_res = 64, patch_size = 16;
  static constexpr int vision_width = 128, vision_depth = 4, vision_heads = 4;
  static constexpr int hidden_size = 128, num_hidden_layers = 4, fusion_layer = 2;
  static constexpr int num_attention_heads = 4, intermediate_size = 512;
  static constexpr int vocab_size = 2048, max_position_embeddings = 32;
  static constexpr int embed_dim = 64, queue_size = 1024;
  static constexpr float initializer_range = 0.05f;  // Base's times sqrt(768 / 128)
  static constexpr float dropout = 0.0f;             // minutes of training do not overfit
};

/// Tiny for pictures with several objects: a finer view of 37 instead of 17 positions.
struct Tiny96 : Tiny {
  static constexpr int image_res = 96;
};

/// Tiny for shapes smaller than its patches: 65 positions of 8 pixels.
struct TinyPatch8 : Tiny {
  static constexpr int patch_size = 8;
};

/// The same for pictures with several of them: 145 positions.
struct Tiny96Patch8 : Tiny96 {
  static constexpr int patch_size = 8;
};

/// FLAVA as published: two encoders of 12 layers and one of 6 over both. (FLAVA itself reads any
/// configuration: its text encoder has all `num_hidden_layers`.)
struct FlavaBase : Base {
  static constexpr int image_res = 224, embed_dim = 768;
  static constexpr float dropout = 0.0f;
};

/// Small enough for tests that compare every number.
struct Nano : Base {
  static constexpr int image_res = 32, patch_size = 8;
  static constexpr int vision_width = 64, vision_depth = 2, vision_heads = 4;
  static constexpr int hidden_size = 48, num_hidden_layers = 4, fusion_layer = 2;
  static constexpr int num_attention_heads = 4, intermediate_size = 192;
  static constexpr int vocab_size = 131, max_position_embeddings = 32;
  static constexpr int embed_dim = 24, queue_size = 32;
};

/// How many channels the images of configuration C have: its `image_channels`, or 3.
template <class C>
constexpr int image_channels() {
  if constexpr (requires { C::image_channels; })
    return C::image_channels;
  else
    return 3;
}

/// By what pixels become the values configuration C reads: its `image_mean` and `image_std`, arrays
/// of double with one entry a channel, or CLIP's.
template <class C>
constexpr ImageStatistics image_statistics() {
  if constexpr (requires { C::image_mean, C::image_std; }) {
    constexpr ImageStatistics statistics{C::image_mean, C::image_std};
    static_assert(statistics.channels() == image_channels<C>() &&
                      statistics.std.size() == statistics.mean.size(),
                  "image_mean and image_std of a configuration need one entry a channel");
    return statistics;
  } else {
    static_assert(image_channels<C>() == 3,
                  "a configuration whose images have other than 3 channels needs image_mean and "
                  "image_std");
    return clip_statistics;
  }
}

/// The norm's place in the image encoder's blocks: `vision_norm` of configuration C, or timm's.
template <class C>
constexpr NormPlace vision_norm() {
  if constexpr (requires { C::vision_norm; })
    return C::vision_norm;
  else
    return NormPlace::pre;
}

/// The activation in the image encoder's blocks: `vision_activation` of configuration C, or GELU.
template <class C>
constexpr Activation vision_activation() {
  if constexpr (requires { C::vision_activation; })
    return C::vision_activation;
  else
    return Activation::gelu;
}

/// Whether the image encoder ends in a norm: `vision_final_norm` of configuration C, or yes.
template <class C>
constexpr bool vision_final_norm() {
  if constexpr (requires { C::vision_final_norm; })
    return C::vision_final_norm;
  else
    return true;
}

/// Added to the size of the grid that position embeddings are resized to, see GridResize::offset:
/// `position_offset` of configuration C (DINO, FLAVA: 0.1), or 0.
template <class C>
constexpr double position_offset() {
  if constexpr (requires { C::position_offset; })
    return C::position_offset;
  else
    return 0;
}

/// The rate at which the last block of the image encoder drops its sub-layers (stochastic depth):
/// `drop_path` of configuration C, or 0.
template <class C>
constexpr float drop_path() {
  if constexpr (requires { C::drop_path; })
    return C::drop_path;
  else
    return 0;
}

/// The norm's place in the text encoder's layers: `text_norm` of configuration C, or BERT's.
template <class C>
constexpr NormPlace text_norm() {
  if constexpr (requires { C::text_norm; })
    return C::text_norm;
  else
    return NormPlace::post;
}

/// The activation in the text encoder's layers: `text_activation` of configuration C, or GELU.
template <class C>
constexpr Activation text_activation() {
  if constexpr (requires { C::text_activation; })
    return C::text_activation;
  else
    return Activation::gelu;
}

/// The width of FLAVA's multimodal encoder: `multimodal_hidden_size` of configuration C, or the text
/// encoder's.
template <class C>
constexpr int multimodal_hidden_size() {
  if constexpr (requires { C::multimodal_hidden_size; })
    return C::multimodal_hidden_size;
  else
    return C::hidden_size;
}

/// Its layers: `multimodal_num_hidden_layers` of configuration C, or half as many as the text
/// encoder has, at least one.
template <class C>
constexpr int multimodal_num_hidden_layers() {
  if constexpr (requires { C::multimodal_num_hidden_layers; })
    return C::multimodal_num_hidden_layers;
  else
    return C::num_hidden_layers > 1 ? C::num_hidden_layers / 2 : 1;
}

/// Its attention heads: `multimodal_num_attention_heads` of configuration C, or the text encoder's.
template <class C>
constexpr int multimodal_num_attention_heads() {
  if constexpr (requires { C::multimodal_num_attention_heads; })
    return C::multimodal_num_attention_heads;
  else
    return C::num_attention_heads;
}

/// The width of its hidden layers: `multimodal_intermediate_size` of configuration C, or four times
/// its own.
template <class C>
constexpr int multimodal_intermediate_size() {
  if constexpr (requires { C::multimodal_intermediate_size; })
    return C::multimodal_intermediate_size;
  else
    return 4 * multimodal_hidden_size<C>();
}

/// How many codes an image tokenizer tells patches apart by: `image_vocab_size` of configuration C,
/// or DALL-E's 8,192.
template <class C>
constexpr int image_vocab_size() {
  if constexpr (requires { C::image_vocab_size; })
    return C::image_vocab_size;
  else
    return 8192;
}

/// The fields of configuration C that decide what its parameters are, by name, as far as it
/// has them: checkpoints carry them, and tests choose a configuration by them.
template <class C>
std::vector<std::pair<const char*, int>> config_fields(const C&) {
  std::vector<std::pair<const char*, int>> fields;
#define ALBEF_CONFIG_FIELD(name) \
  if constexpr (requires { C::name; }) fields.emplace_back(#name, static_cast<int>(C::name));
  ALBEF_CONFIG_FIELD(image_res)
  ALBEF_CONFIG_FIELD(image_channels)
  ALBEF_CONFIG_FIELD(patch_size)
  ALBEF_CONFIG_FIELD(vision_width)
  ALBEF_CONFIG_FIELD(vision_depth)
  ALBEF_CONFIG_FIELD(vision_heads)
  ALBEF_CONFIG_FIELD(mlp_ratio)
  ALBEF_CONFIG_FIELD(hidden_size)
  ALBEF_CONFIG_FIELD(num_hidden_layers)
  ALBEF_CONFIG_FIELD(fusion_layer)
  ALBEF_CONFIG_FIELD(num_attention_heads)
  ALBEF_CONFIG_FIELD(intermediate_size)
  ALBEF_CONFIG_FIELD(vocab_size)
  ALBEF_CONFIG_FIELD(max_position_embeddings)
  ALBEF_CONFIG_FIELD(type_vocab_size)
  ALBEF_CONFIG_FIELD(embed_dim)
  ALBEF_CONFIG_FIELD(vision_norm)
  ALBEF_CONFIG_FIELD(vision_final_norm)
  ALBEF_CONFIG_FIELD(text_norm)
  ALBEF_CONFIG_FIELD(multimodal_hidden_size)
  ALBEF_CONFIG_FIELD(multimodal_num_hidden_layers)
  ALBEF_CONFIG_FIELD(multimodal_num_attention_heads)
  ALBEF_CONFIG_FIELD(multimodal_intermediate_size)
  ALBEF_CONFIG_FIELD(image_vocab_size)
  ALBEF_CONFIG_FIELD(out_dim)
  ALBEF_CONFIG_FIELD(head_nlayers)
  ALBEF_CONFIG_FIELD(head_hidden_dim)
  ALBEF_CONFIG_FIELD(bottleneck_dim)
#undef ALBEF_CONFIG_FIELD
  return fields;
}

}  // namespace albef
