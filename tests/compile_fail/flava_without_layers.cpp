// expect: the configuration gives one of FLAVA's encoders no layers
#include "albef/models/flava.hpp"

struct Config : albef::Nano {
  static constexpr int multimodal_num_hidden_layers = 0;
};

constexpr auto model = albef::laid_out<albef::Flava<Config>>();
