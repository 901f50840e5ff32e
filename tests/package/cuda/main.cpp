// A layer that calls the primitives of layer.cu, trained for a step; plain C++. Without a GPU the
// program says so and is content.
#include <cstdio>
#include <vector>

#include "albef/cuda.hpp"

void square(albef::Cuda& cuda, albef::Mat<const float> x, albef::Mat<float> y);
void square_gradient(albef::Cuda& cuda, albef::Mat<const float> x, albef::Mat<const float> dy,
                     albef::Mat<float> dx, float beta);

namespace {

using namespace albef;

struct Model {
  Linear<8, 8> first, second;
  static constexpr void fields(auto& m, auto&& f) {
    f("first", m.first);
    f("second", m.second);
  }
  auto operator()(auto& ctx, const auto& x) const {
    const auto h = first(ctx, x);  // (B, 8)
    auto y = ctx.like(h);
    square(ctx.device(), h.mat(), y.mat());
    ctx.record(y, ctx.from(h), [h, y](auto& bwd) {
      bwd.into(h, [&](auto dh, auto beta) {
        square_gradient(bwd.device(), h.mat(), bwd.grad(y), dh, beta);
      });
    });
    return second(ctx, y);  // (B, 8)
  }
};
constexpr auto model = laid_out<Model>();

}  // namespace

int main() {
  try {
    Cuda cuda;
    ParamStore<Cuda> store(cuda, model, Storage::training);
    Context<Cuda> ctx(cuda, store);
    AdamW optimizer;
    float first = 0, last = 0;
    for (std::uint64_t step = 0; step < 20; ++step) {
      ctx.begin_step(step);
      const std::vector<float> values(32, 0.5f);
      const auto x = ctx.constant<8>(ctx.upload(values), batch_of(4));
      const auto loss = cross_entropy(ctx, model(ctx, x), SoftTargets<float>{});
      last = ctx.item(loss);
      if (step == 0) first = last;
      ctx.backward(loss);
      optimizer.step(store, 0.01);
    }
    std::printf("loss %g -> %g\n", static_cast<double>(first), static_cast<double>(last));
    return last < first ? 0 : 1;
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess && count > 0 ? 1 : 0;
  }
}
