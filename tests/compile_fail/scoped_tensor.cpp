// expect: scoped: the tensor returned would lie in memory that scoped() has freed
#include "albef/cpu.hpp"

using Context = albef::Context<albef::Cpu>;

auto copy(Context& ctx, const Context::TensorOf<8>& x) {
  return ctx.scoped([&] { return ctx.like(x); });
}
