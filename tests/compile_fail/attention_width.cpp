// expect: WidthsAgree<32, 30>
#include "albef/cpu.hpp"
#include "albef/ops/attention.hpp"

using Context = albef::Context<albef::Cpu>;

void attend(Context& ctx, const Context::TensorOf<32>& qkv) {
  albef::self_attention(ctx, qkv, 4, 0.0f);
}
