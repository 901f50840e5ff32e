// expect: fields_does_not_name_every_parameter
#include "albef/nn/layer_norm.hpp"

struct Block {
  albef::LayerNorm<8> norm;
  albef::Param<8> scale;
  int heads;
  constexpr explicit Block(int n) : heads(n) {}

  static constexpr void fields(auto& m, auto&& f) { f("norm", m.norm); }
};

constexpr Block block = albef::laid_out(Block(4));
