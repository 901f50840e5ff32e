// The pre-training task on a GPU: equal runs, no allocation in a warm step, what happens when
// memory is short.
#include "albef/train/pretrain_task.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "../../models/micro.hpp"
#include "albef/cuda.hpp"
#include "albef/testing/alloc_guard.hpp"
#include "test_device.hpp"

namespace {

using albef::Cuda;
using C = model_test::Micro;
template <class Precision>
using Task = albef::PretrainTask<C, albef::AlbefObjectives, Cuda, Precision>;

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
  Task<Precision> task(test_device(), 1);
  albef::AdamW optimizer{{.max_norm = 1}};
  typename Task<Precision>::Losses losses;
  std::vector<double> out;
  const auto read = [&] {
    task.finish(losses);
    for (const auto& [name, value] : losses.values) out.push_back(value);
  };
  for (int step = 0; step < steps; ++step) {
    task.start(batch(static_cast<std::uint64_t>(step)), static_cast<std::uint64_t>(step), 0.4);
    if (step > 0) read();  // a step late, as the trainer does
    optimizer.step(task.store(), 1e-3, 1, 0.99);
  }
  read();
  return out;
}

}  // namespace

TEST_CASE("task: the same seed gives the same losses bit for bit" *
          doctest::skip(no_test_device())) {
  const auto fp32 = train<albef::Fp32>(4), bf16 = train<albef::Bf16>(4);
  CHECK(fp32.size() == 16);
  CHECK(fp32 == train<albef::Fp32>(4));
  CHECK(bf16 == train<albef::Bf16>(4));
  for (std::size_t i = 0; i < fp32.size(); ++i)
    CHECK(bf16[i] == doctest::Approx(fp32[i]).epsilon(0.1));
}

TEST_CASE("task: a warm step allocates nothing" * doctest::skip(no_test_device())) {
  Task<albef::Bf16> task(test_device(), 1);
  albef::AdamW optimizer;
  Task<albef::Bf16>::Losses losses;
  const std::vector<albef::PairBatch> data{batch(0), batch(1), batch(2)};
  const auto all = [&] {
    for (std::size_t i = 0; i < data.size(); ++i) {
      task.accumulate(data[i], i, 0.4, losses);
      optimizer.step(task.store(), 1e-3, 1, 0.99);
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
  const auto held = task.context().memory();
  const albef::AllocGuard guard;
  all();
  CHECK(guard.allocations() == 0);
  CHECK(task.context().memory() == held);
  CHECK(free_memory() == before);
  CHECK(losses.finite());
}

TEST_CASE("task: an optimizer step with clipping waits for nothing, so that it can be recorded" *
          doctest::skip(no_test_device())) {
  Task<albef::Bf16> task(test_device(), 1);
  albef::AdamW optimizer{{.max_norm = 1}};
  Task<albef::Bf16>::Losses losses;
  const auto accumulate = [&](std::uint64_t number) {
    task.accumulate(batch(number), number, 0.4, losses);
  };
  accumulate(0);
  optimizer.step(task.store(), 1e-3, 1, 0.99);
  accumulate(1);
  albef::GradientNorm norm;
  albef::CudaGraph graph;
  graph.record(test_device(), [&] { norm = optimizer.step(task.store(), 1e-3, 1, 0.99); });
  const double before = norm.read(test_device());  // of the first step: nothing has run since
  graph.replay(test_device());
  const double after = norm.read(test_device());
  CHECK(after > 0);
  CHECK(std::isfinite(after));
  CHECK(after != before);
}

TEST_CASE("task: too little memory is told with numbers, and the device goes on" *
          doctest::skip(no_test_device())) {
  Cuda& cuda = test_device();
  std::string message;
  try {
    albef::Buffer<Cuda, float> all(cuda, std::int64_t{1} << 42);
  } catch (const albef::OutOfMemory& error) { message = error.what(); }
  CHECK(message.find("16384.00 GiB more are needed") != std::string::npos);
  CHECK(std::isfinite(train<albef::Fp32>(1).front()));
}
