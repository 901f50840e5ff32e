// expect: checkpoint: the function must not capture by reference
#include "albef/cpu.hpp"
#include "albef/nn/linear.hpp"

using Context = albef::Context<albef::Cpu>;

auto run(Context& ctx, const albef::Linear<8, 8>& layer, const Context::TensorOf<8>& x) {
  return ctx.checkpoint(x, [&](const auto& h) { return layer(ctx, h); });
}
