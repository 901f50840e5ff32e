// Pre-training on a GPU: equal runs, no allocation in a warm step, what happens when
// memory is short.
#include "albef/tasks/pretrain.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "../../models/micro.hpp"
#include "albef/cuda.hpp"
#include "albef/testing/alloc_guard.hpp"
#include "albef/train/training.hpp"
#include "test_device.hpp"

namespace {

using albef::Cuda;
using C = model_test::Micro;
template <class Precision>
using Pretraining = albef::Training<albef::AlbefPretraining<C>, Cuda, Precision>;

const albef::TrainingOptions plain{.seed = 1, .momentum = 0.99};
const albef::TrainingOptions clipped{.seed = 1, .optimizer = {.max_norm = 1}, .momentum = 0.99};

albef::PairBatch batch(std::uint64_t seed) {
  const auto host = model_test::random_batch<C>(4, seed);
  albef::PairBatch out;
  out.size = 4;
  out.image_size = C::image_res;
  out.images = host.pixels;
  out.text = host.text;
  out.masked = host.masked;
  out.image_ids = out.indices = host.identities;
  return out;
}

template <class Precision>
std::vector<double> train(int steps) {
  Pretraining<Precision> training(test_device(), clipped);
  albef::PassLosses losses;
  std::vector<double> out;
  const auto read = [&] {
    training.finish(losses);
    for (const auto& [name, value] : losses.losses) out.push_back(value);
  };
  for (int i = 0; i < steps; ++i) {
    const auto number = static_cast<std::uint64_t>(i);
    training.start(batch(number), {.number = number, .alpha = 0.4});
    if (i > 0) read();  // a step late, as the trainer does
    training.update(1e-3);
  }
  read();
  return out;
}

}  // namespace

TEST_CASE("pre-training: the same seed gives the same losses bit for bit" *
          doctest::skip(no_test_device())) {
  const auto fp32 = train<albef::Fp32>(4), bf16 = train<albef::Bf16>(4);
  CHECK(fp32.size() == 16);
  CHECK(fp32 == train<albef::Fp32>(4));
  CHECK(bf16 == train<albef::Bf16>(4));
  for (std::size_t i = 0; i < fp32.size(); ++i)
    CHECK(bf16[i] == doctest::Approx(fp32[i]).epsilon(0.1));
}

TEST_CASE("pre-training: a warm step allocates nothing" * doctest::skip(no_test_device())) {
  Pretraining<albef::Bf16> training(test_device(), plain);
  albef::PassLosses losses;
  const std::vector<albef::PairBatch> data{batch(0), batch(1), batch(2)};
  const auto all = [&] {
    for (std::size_t i = 0; i < data.size(); ++i) {
      training.accumulate(data[i], {.number = i, .alpha = 0.4}, losses);
      training.update(1e-3);
    }
    test_device().synchronize();
  };
  const auto free_memory = [] {
    std::size_t free = 0, total = 0;
    albef::check(cudaMemGetInfo(&free, &total), "asking for free memory");
    return free;
  };
  all();
  all();
  const auto before = free_memory();
  const auto held = training.context().memory();
  const albef::AllocGuard guard;
  all();
  CHECK(guard.allocations() == 0);
  CHECK(training.context().memory() == held);
  CHECK(free_memory() == before);
  CHECK(std::isfinite(losses.at("loss")));
}

TEST_CASE(
    "pre-training: an optimizer step with clipping waits for nothing, so that it can be recorded" *
    doctest::skip(no_test_device())) {
  Pretraining<albef::Bf16> training(test_device(), clipped);
  albef::PassLosses losses;
  const auto accumulate = [&](std::uint64_t number) {
    training.accumulate(batch(number), {.number = number, .alpha = 0.4}, losses);
  };
  accumulate(0);
  training.update(1e-3);
  accumulate(1);
  albef::GradientNorm norm;
  albef::CudaGraph graph;
  graph.record(test_device(), [&] { norm = training.update(1e-3); });
  const double before = norm.read(test_device());  // of the first step: nothing has run since
  graph.replay(test_device());
  const double after = norm.read(test_device());
  CHECK(after > 0);
  CHECK(std::isfinite(after));
  CHECK(after != before);
}

TEST_CASE("pre-training: too little memory is told with numbers, and the device goes on" *
          doctest::skip(no_test_device())) {
  Cuda& cuda = test_device();
  std::string message;
  try {
    albef::Buffer<Cuda, float> all(cuda, std::int64_t{1} << 42);
  } catch (const albef::OutOfMemory& error) { message = error.what(); }
  CHECK(message.find("16384.00 GiB more are needed") != std::string::npos);
  CHECK(std::isfinite(train<albef::Fp32>(1).front()));
}
