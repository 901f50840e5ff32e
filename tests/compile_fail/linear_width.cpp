// expect: WidthsAgree<48, 64>
#include "albef/cpu.hpp"
#include "albef/nn/linear.hpp"

using Context = albef::Context<albef::Cpu>;

auto run(Context& ctx, const albef::Linear<64, 8>& layer, const Context::TensorOf<48>& x) {
  return layer(ctx, x);
}
