// expect: laid_out: a fields() does not name every parameter and layer of its struct
#include "albef/nn/linear.hpp"

struct Head {
  albef::Linear<8, 8> hidden;
  albef::Linear<8, 2> output;
  float dropout = 0.1f;

  static constexpr void fields(auto& m, auto&& f) { f("hidden", m.hidden); }
};
struct Model {
  Head head;
  static constexpr void fields(auto& m, auto&& f) { f("head", m.head); }
};

constexpr Model model = albef::laid_out<Model>();
