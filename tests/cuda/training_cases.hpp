// Training steps of ALBEF on a CUDA device against the same steps on the CPU in double: one model
// source, in double, float and bf16.
#pragma once

#include "albef/optim/adamw.hpp"
#include "training_runs.hpp"

namespace {

/// Steps of the full objective. The gradient is that of the first step.
template <class Precision, class Device>
Trained train(Device& device, int steps, bool draw_negatives,
              const albef::OptimizerGroups& groups = {}) {
  using Store = albef::ParamStore<Device, Precision>;
  using Master = typename Precision::Master;
  static constexpr auto model = albef::laid_out<albef::Albef<Mini>>();
  Store store(device, model, {.storage = albef::Storage::momentum, .frozen = groups.frozen()});
  enlarge(store);

  albef::Context<Device, Precision> ctx(device, store);
  albef::FeatureQueue<Device, Master> queue(device, Mini::queue_size, Mini::embed_dim);
  albef::AdamW adamw({.max_norm = 1}, groups, store);
  Trained out;
  ctx.set_dropout(true);
  for (int step = 0; step < steps; ++step) {
    const auto data = model_test::random_batch<Mini>(4, static_cast<std::uint64_t>(step), 9);
    ctx.begin_step(static_cast<std::uint64_t>(step));
    auto batch = model_test::upload<Mini>(ctx, data);
    if (!draw_negatives) {
      batch.negatives.image = ctx.upload(std::vector<std::int32_t>{1, 2, 3, 0});
      batch.negatives.text = ctx.upload(std::vector<std::int32_t>{3, 0, 1, 2});
    }
    const auto r = albef::AlbefObjectives{}(ctx, model, batch, queue, 0.4);
    ctx.backward(r.loss);
    for (const auto& loss : {r.loss_itc, r.loss_itm, r.loss_mlm})
      out.losses.push_back(static_cast<double>(ctx.item(loss)));
    if (step == 0) out.gradient = gradient_of(store);
    queue.push(r.image_m.mat(), r.text_m.mat());
    adamw.step(store, 1e-3, 1, 0.9);
  }
  out.weights = numbers_of(store, Plane::online);
  out.teacher = numbers_of(store, Plane::ema);
  return out;
}

template <class Precision>
void check_training(bool draw_negatives, const Bounds& bounds,
                    const albef::OptimizerGroups& groups = {}) {
  Cpu cpu(1);
  const Trained want = train<Fp64>(cpu, 2, draw_negatives, groups);
  const Trained got = train<Precision>(test_device(), 2, draw_negatives, groups);
  check_near(got, want, bounds);
  other_order(true);
  const Trained again = train<Precision>(test_device(), 2, draw_negatives, groups);
  other_order(false);
  check_equal(again, got);
}

/// A frozen tower but for its norms, a third of a product frozen, an own learning rate and norm.
albef::OptimizerGroups some_groups() {
  return {{.name = "visual_encoder.*norm*", .lr_factor = 2},
          {.name = "visual_encoder.*", .frozen = true},
          {.name = "*.layer.1.attention.self.key.weight", .frozen = true},
          {.name = "text_encoder.bert.embeddings.*", .lr_factor = 0.5, .max_norm = 0.1}};
}

}  // namespace

TEST_CASE("training in double is the CPU's" * doctest::skip(no_test_device())) {
  check_training<Fp64>(true, {1e-10, 1e-9, 1e-6});
}
TEST_CASE("training in float is the CPU's within rounding" * doctest::skip(no_test_device())) {
  check_training<Fp32>(true, {1e-5, 1e-4, 1e-4});
}
TEST_CASE("training in bf16 stays near" * doctest::skip(no_test_device())) {
  check_training<Bf16>(false, {2e-2, 5e-2, 5e-3});
}
TEST_CASE("training with groups and frozen parameters is the CPU's" *
          doctest::skip(no_test_device())) {
  check_training<Fp64>(true, {1e-10, 1e-9, 1e-6}, some_groups());
  check_training<Bf16>(false, {2e-2, 5e-2, 5e-3}, some_groups());
}
