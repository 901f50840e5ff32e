// The second file of the small program: a model of the user's own, and its training loop.
#include <vector>

#include "albef/cpu.hpp"

struct Classifier {
  albef::Linear<4, 8> hidden;
  albef::Linear<8, 3> head;

  static constexpr void fields(auto& m, auto&& f) { f("hidden", m.hidden), f("head", m.head); }
  auto operator()(auto& ctx, const auto& x) const { return head(ctx, hidden.gelu(ctx, x)); }
};
inline constexpr auto classifier = albef::laid_out<Classifier>();

float first_loss_minus_last(albef::Cpu& device);
float first_loss_minus_last(albef::Cpu& device) {
  albef::ParamStore<albef::Cpu> store(device, classifier, albef::Storage::training);
  albef::Context<albef::Cpu> ctx(device, store);
  albef::AdamW optimizer;
  const std::vector<float> x{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1};
  float first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    ctx.begin_step(static_cast<std::uint64_t>(step));
    const auto rows = ctx.constant<4>(ctx.upload(x), albef::batch_of(3));  // row r has label r
    const auto loss = albef::cross_entropy(ctx, classifier(ctx, rows), albef::SoftTargets<float>{});
    ctx.backward(loss);
    optimizer.step(store, 1e-2);
    last = ctx.item(loss);
    if (step == 0) first = last;
  }
  return first - last;
}
