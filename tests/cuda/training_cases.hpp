// Training steps of ALBEF on a CUDA device against the same steps on the CPU in double: one model
// source, in double, float and bf16.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../models/micro.hpp"
#include "albef/optim/adamw.hpp"

namespace {

using albef::Bf16;
using albef::Cpu;
using albef::Cuda;
using albef::Fp32;
using albef::Fp64;
using albef::Plane;

/// Head sizes 32, so that bf16 runs on the tensor cores; widths that no tile divides.
struct Mini : albef::Nano {
  static constexpr int image_res = 16, patch_size = 4;
  static constexpr int vision_width = 64, vision_depth = 2, vision_heads = 2, mlp_ratio = 2;
  static constexpr int hidden_size = 96, num_hidden_layers = 3, fusion_layer = 1;
  static constexpr int num_attention_heads = 3, intermediate_size = 104;
  static constexpr int vocab_size = 61, max_position_embeddings = 12;
  static constexpr int embed_dim = 24, queue_size = 7;
};

struct Trained {
  std::vector<double> losses, gradient, weights, teacher;
};

/// Steps of the full objective. The gradient is that of the first step.
template <class Precision, class Device>
Trained train(Device& device, int steps, bool draw_negatives) {
  using Store = albef::ParamStore<Device, Precision>;
  using Master = typename Precision::Master;
  static constexpr auto model = albef::laid_out<albef::Albef<Mini>>();
  Store store(device, model, albef::Storage::momentum);
  const auto plane = [&](Plane p) {
    std::vector<Master> values(static_cast<std::size_t>(store.size()));
    copy_to_host(device, values.data(), static_cast<const Master*>(store.data(p)), store.size());
    return values;
  };
  for (const Plane p : {Plane::online, Plane::ema}) {  // larger than a fresh model's
    albef::RandomStream random(static_cast<std::uint64_t>(p), 3);
    auto values = plane(p);
    for (const auto& info : store.params()) {
      if (info.name == "temp") continue;
      const double fan =
          info.shape.size() >= 2 ? static_cast<double>(info.size) / info.shape[0] : 25;
      for (std::int64_t i = 0; i < info.size; ++i)
        values[static_cast<std::size_t>(info.offset + i)] +=
            static_cast<Master>(static_cast<double>(random.normal()) / std::sqrt(fan));
    }
    copy_to_device(device, store.data(p), values.data(), store.size());
  }
  store.refresh();

  albef::Context<Device, Precision> ctx(device, store);
  albef::FeatureQueue<Device, Master> queue(device, Mini::queue_size, Mini::embed_dim);
  albef::AdamW adamw{{.max_norm = 1}};
  Trained out;
  const auto as_double = [](const std::vector<Master>& v) {
    return std::vector<double>(v.begin(), v.end());
  };
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
    if (step == 0) {
      const auto all = plane(Plane::grad);
      for (std::size_t i = 0; i < store.params().size(); ++i) {
        const auto& p = store.params()[i];
        for (std::int64_t k = 0; k < p.size; ++k)
          out.gradient.push_back(
              store.touched(static_cast<int>(i))
                  ? static_cast<double>(all[static_cast<std::size_t>(p.offset + k)])
                  : 0.0);
      }
    }
    queue.push(r.image_m.mat(), r.text_m.mat());
    adamw.step(store, 1e-3, 1, 0.9);
  }
  out.weights = as_double(plane(Plane::online));
  out.teacher = as_double(plane(Plane::ema));
  return out;
}

/// |a - b| / |b| in the Euclidean norm.
double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, square = 0;
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    square += b[i] * b[i];
  }
  return std::isfinite(difference) ? std::sqrt(difference / square) : 1e30;
}

template <class Precision>
void check_training(bool draw_negatives, double losses, double gradient, double weights) {
  Cpu cpu(1);
  const Trained want = train<Fp64>(cpu, 2, draw_negatives);
  const Trained got = train<Precision>(test_device(), 2, draw_negatives);
  CHECK(distance(got.losses, want.losses) < losses);
  CHECK(distance(got.gradient, want.gradient) < gradient);
  CHECK(distance(got.weights, want.weights) < weights);
  CHECK(distance(got.teacher, want.teacher) < weights);
  other_order(true);
  const Trained again = train<Precision>(test_device(), 2, draw_negatives);
  other_order(false);
  CHECK(again.losses == got.losses);
  CHECK(again.gradient == got.gradient);
  CHECK(again.weights == got.weights);
  CHECK(again.teacher == got.teacher);
}

}  // namespace

TEST_CASE("training in double is the CPU's" * doctest::skip(no_test_device())) {
  check_training<Fp64>(true, 1e-10, 1e-9, 1e-6);
}
TEST_CASE("training in float is the CPU's within rounding" * doctest::skip(no_test_device())) {
  check_training<Fp32>(true, 1e-5, 1e-4, 1e-4);
}
TEST_CASE("training in bf16 stays near" * doctest::skip(no_test_device())) {
  check_training<Bf16>(false, 2e-2, 5e-2, 5e-3);
}
