// expect: the configuration lacks embed_dim: the width of the features that are compared
#include "albef/models/albef.hpp"

struct Config {
  static constexpr int image_res = 32, patch_size = 8;
  static constexpr int vision_width = 64, vision_depth = 2, vision_heads = 4, mlp_ratio = 4;
  static constexpr int hidden_size = 48, num_hidden_layers = 4, fusion_layer = 2;
  static constexpr int num_attention_heads = 4, intermediate_size = 192, vocab_size = 131;
  static constexpr int max_position_embeddings = 32, type_vocab_size = 2;
  static constexpr float initializer_range = 0.02f, dropout = 0.1f;
};

constexpr auto model = albef::laid_out<albef::Albef<Config>>();
