// expect: the configuration lacks vision_width: the width of the image encoder
#include "albef/models/vit.hpp"

struct Config {
  static constexpr int image_res = 32, patch_size = 8;
  static constexpr int vision_depth = 2, vision_heads = 4, mlp_ratio = 4;
  static constexpr float initializer_range = 0.02f;
};

constexpr auto model = albef::laid_out<albef::Vit<Config>>();
