// expect: record: a backward closure must capture plain data (handles, numbers) only
#include <vector>

#include "albef/cpu.hpp"

using Context = albef::Context<albef::Cpu>;

void twice(Context& ctx, const Context::TensorOf<8>& x) {
  const auto y = ctx.like(x);
  const std::vector<float> factors{2.0f};
  ctx.record(y, ctx.from(x), [factors](auto&) {});
}
