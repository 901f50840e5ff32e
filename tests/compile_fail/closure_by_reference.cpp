// expect: record: a backward closure must not capture by reference
#include "albef/cpu.hpp"

using Context = albef::Context<albef::Cpu>;

void twice(Context& ctx, const Context::TensorOf<8>& x) {
  const auto y = ctx.like(x);
  ctx.record(y, ctx.from(x), [&](auto& bwd) { bwd.pass(y, x, true); });
}
