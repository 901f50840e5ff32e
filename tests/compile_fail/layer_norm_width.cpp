// expect: WidthsAgree<48, 64>
#include "albef/cpu.hpp"
#include "albef/nn/layer_norm.hpp"

using Context = albef::Context<albef::Cpu>;

auto run(Context& ctx, const albef::LayerNorm<64>& layer, const Context::TensorOf<48>& x) {
  return layer(ctx, x);
}
