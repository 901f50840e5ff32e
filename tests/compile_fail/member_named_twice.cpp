// expect: laid_out: a fields() names one of its members twice
#include "albef/nn/linear.hpp"

struct Model {
  albef::Linear<8, 8> first, second;

  static constexpr void fields(auto& m, auto&& f) {
    f("first", m.first);
    f("second", m.first);
    f("third", m.second);
  }
};

constexpr Model model = albef::laid_out<Model>();
