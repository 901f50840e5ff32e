// A recorded forward and backward pass, replayed with other inputs and another step's random
// numbers.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "albef/cuda.hpp"
#include "test_device.hpp"

#include "../../models/micro.hpp"

namespace {

using albef::Cuda;
using albef::Plane;
using C = model_test::Micro;

/// The same texts with every word replaced by the next, and the pictures upside down: other input
/// of the same shape.
model_test::HostBatch changed(model_test::HostBatch batch) {
  const auto next = [](std::vector<std::int32_t>& ids) {
    for (auto& id : ids)
      if (id >= 5) id = 5 + (id - 4) % (C::vocab_size - 5);
  };
  next(batch.text.ids);
  next(batch.masked.text.ids);
  next(batch.masked.labels);
  std::reverse(batch.pixels.begin(), batch.pixels.end());
  return batch;
}

/// A model and its context; run() does one pass.
template <class Precision>
struct Training {
  using Master = typename Precision::Master;
  static constexpr auto model = albef::laid_out<albef::Albef<C>>();
  Cuda& cuda = test_device();
  albef::ParamStore<Cuda, Precision> store{cuda, model, albef::Storage::momentum};
  albef::Context<Cuda, Precision> ctx{cuda, store};
  albef::FeatureQueue<Cuda, Master> queue{cuda, 5, C::embed_dim};
  albef::PretrainBatch<typename Precision::Compute, C> batch;
  albef::PretrainResult<typename Precision::Compute, C::embed_dim> result;

  Training() { ctx.set_dropout(true); }
  void begin(std::uint64_t step, const model_test::HostBatch& data) {
    ctx.begin_step(step);
    batch = model_test::upload<C>(ctx, data);
    store.clear_gradients();
  }
  void run() {
    result = albef::AlbefObjectives{}(ctx, model, batch, queue, 0.4);
    ctx.backward(result.loss);
  }
  /// The loss, then the gradient.
  std::vector<Master> outcome() {
    std::vector<Master> all(static_cast<std::size_t>(store.size()) + 1);
    all[0] = ctx.item(result.loss);
    copy_to_host(cuda, all.data() + 1, static_cast<const Master*>(store.data(Plane::grad)),
                 store.size());
    return all;
  }
};

template <class Precision>
void check_replay() {
  const auto one = model_test::random_batch<C>(4, 1), two = changed(one);
  Training<Precision> plain, recorded;
  std::vector<std::vector<typename Precision::Master>> want;
  for (const std::uint64_t step : {1, 2, 3, 4}) {
    plain.begin(step, step % 2 ? one : two);
    plain.run();
    want.push_back(plain.outcome());
  }
  CHECK(want[0] != want[2]);  // other masks

  for (const std::uint64_t step : {1, 2}) {  // memory settles
    recorded.begin(step, step % 2 ? one : two);
    recorded.run();
    CHECK(model_test::bit_equal(recorded.outcome(), want[step - 1]));
  }
  albef::CudaGraph graph;
  recorded.begin(3, one);
  graph.record(recorded.cuda, [&] { recorded.run(); });
  graph.replay(recorded.cuda);
  CHECK(model_test::bit_equal(recorded.outcome(), want[2]));
  recorded.begin(4, two);
  graph.replay(recorded.cuda);
  CHECK(model_test::bit_equal(recorded.outcome(), want[3]));
}

}  // namespace

TEST_CASE("graph: a replayed pass is the one launched plainly, bit for bit" *
          doctest::skip(no_test_device())) {
  check_replay<albef::Fp32>();
  check_replay<albef::Bf16>();
}

TEST_CASE("graph: uploads are refused while launches are recorded" *
          doctest::skip(no_test_device())) {
  Cuda& cuda = test_device();
  albef::Buffer<Cuda, float> buffer(cuda, 4);
  const float values[4] = {};
  albef::CudaGraph graph;
  CHECK_THROWS_AS(
      graph.record(cuda, [&] { albef::copy_to_device(cuda, buffer.data(), values, 4); }),
      albef::Error);
  CHECK_THROWS_AS(graph.replay(cuda), albef::Error);
  albef::copy_to_device(cuda, buffer.data(), values, 4);  // the device is usable afterwards
  cuda.synchronize();
}
