// expect: the configuration lacks vocab_size: the number of tokens of the vocabulary
#include "albef/models/bert.hpp"

struct Config {
  static constexpr int vision_width = 64, hidden_size = 48, num_hidden_layers = 4, fusion_layer = 2;
  static constexpr int num_attention_heads = 4, intermediate_size = 192;
  static constexpr int max_position_embeddings = 32, type_vocab_size = 2;
  static constexpr float initializer_range = 0.02f, dropout = 0.1f;
};

constexpr auto model = albef::laid_out<albef::Bert<Config>>();
