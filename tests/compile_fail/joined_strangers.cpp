// expect: parameters_are_not_neighbours
#include "albef/core/param.hpp"

struct Model {
  albef::Param<4> a, b, c;

  static constexpr void fields(auto& m, auto&& f) {
    f("a", m.a);
    f("b", m.b);
    f("c", m.c);
  }
};

constexpr Model model = albef::laid_out<Model>();
constexpr albef::ParamSpan span = albef::joined(model.a, model.c);
