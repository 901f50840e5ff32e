// expect: WidthsAgree<48, 64>
#include "albef/cpu.hpp"
#include "albef/ops/attention.hpp"

using Context = albef::Context<albef::Cpu>;

void attend(Context& ctx, const Context::TensorOf<32>& q, const Context::TensorOf<48>& kv) {
  albef::cross_attention(ctx, q, kv, nullptr, 4, 0.0f);
}
