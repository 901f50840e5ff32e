// expect: the configuration's image_vocab_size is below 2
#include "albef/models/flava.hpp"

struct Config : albef::Nano {
  static constexpr int image_vocab_size = 1;
};

constexpr auto model = albef::laid_out<albef::Flava<Config>>();
