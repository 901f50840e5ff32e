// The pre-training objective: a warm step allocates nothing, gradients accumulate, the queue
// advances.
#include "albef/tasks/pretrain.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "../train/nano_training.hpp"
#include "albef/optim/adamw.hpp"
#include "albef/testing/alloc_guard.hpp"

namespace pretrain_objective_test {

using namespace train_test;
using albef::PassLosses;
using albef::TrainingOptions;

namespace {

/// Copies of some batches.
std::vector<albef::PairBatch> batches(int batch_size, int count) {
  auto data = loader(batch_size);
  std::vector<albef::PairBatch> out;
  for (int i = 0; i < count; ++i) out.push_back(data.next());
  return out;
}

}  // namespace

TEST_CASE("AllocGuard counts every form of operator new") {
  // Calls of the functions: a compiler may leave out new and delete expressions.
  constexpr std::align_val_t wide{128};
  const albef::AllocGuard guard;
  void* const plain[] = {::operator new(1), ::operator new(2, std::nothrow)};
  void* const arrays[] = {::operator new[](4), ::operator new[](8, std::nothrow)};
  void* const aligned[] = {::operator new(16, wide), ::operator new(32, wide, std::nothrow)};
  void* const aligned_arrays[] = {::operator new[](64, wide),
                                  ::operator new[](128, wide, std::nothrow)};
  CHECK(guard.allocations() == 8);
  CHECK(guard.bytes() == 255);
  for (void* p : plain) ::operator delete(p);
  for (void* p : arrays) ::operator delete[](p);
  for (const auto& list : {aligned, aligned_arrays})
    for (int i = 0; i < 2; ++i) CHECK(reinterpret_cast<std::uintptr_t>(list[i]) % 128 == 0);
  for (void* p : aligned) ::operator delete(p, wide);
  for (void* p : aligned_arrays) ::operator delete[](p, wide);
  CHECK(guard.allocations() == 8);
}

TEST_CASE("a warm training step allocates nothing, on one thread or several") {
  const auto data = batches(4, 3);
  for (const int threads : {1, 2})
    for (const bool checkpointing : {false, true}) {
      CAPTURE(threads);
      CAPTURE(checkpointing);
      Cpu cpu(threads);
      Training training(cpu,
                        {.seed = 1, .optimizer = {.max_norm = 1}, .checkpointing = checkpointing});
      PassLosses losses;
      const auto all = [&] {  // texts, masked tokens and negatives of different lengths
        for (std::size_t i = 0; i < data.size(); ++i) {
          training.accumulate(data[i], {.number = i, .alpha = 0.4}, losses);
          training.accumulate(data[i], {.number = 100 + i, .alpha = 0.4}, losses);
          training.update(1e-3, 0.5);
        }
      };
      all();
      all();
      const auto memory = training.context().memory();
      const albef::AllocGuard guard;
      all();
      CHECK(guard.allocations() == 0);
      CHECK(training.context().memory() == memory);
      CHECK(std::isfinite(losses.at("loss")));
    }
}

TEST_CASE("losses are reported by name; absent objectives are not") {
  const auto data = batches(4, 1);
  Cpu cpu(1);
  Training training(cpu, {.seed = 1});
  PassLosses losses;
  training.accumulate(data[0], {.alpha = 0.4}, losses);
  REQUIRE(losses.losses.size() == 4);
  CHECK(losses.at("loss") ==
        doctest::Approx(losses.at("itc") + losses.at("itm") + losses.at("mlm")));
  CHECK(losses.at("temp") == doctest::Approx(0.07));
  CHECK_THROWS_AS(losses.at("none"), albef::Error);
  CHECK(training.state().queue.size() == Nano::queue_size);
  CHECK(training.state().queue.pointer() == 0);
  training.update(1e-3);
  CHECK(training.state().queue.pointer() == 4);

  using Plain = albef::Pretrain<albef::Itm<albef::Uniform>, albef::Mlm<>>;
  albef::Training<albef::AlbefPretraining<Nano, Plain>> plain(cpu, {.seed = 1});
  plain.accumulate(data[0], {.alpha = 0.4}, losses);
  REQUIRE(losses.losses.size() == 3);
  CHECK(losses.losses[1].first == "itm");
  CHECK(plain.state().queue.size() == 0);  // nothing reads it
}

TEST_CASE("gradients of two passes add up; a pass is a function of its number") {
  const auto data = batches(4, 2);
  Cpu cpu(2);
  const auto gradient = [&](std::initializer_list<std::size_t> passes) {
    Training training(cpu, {.seed = 1});
    PassLosses losses;
    for (const std::size_t i : passes)
      training.accumulate(data[i], {.number = i, .alpha = 0.4}, losses);
    const float* g = training.store().data(Plane::grad);
    return std::vector<float>(g, g + training.store().size());
  };
  const auto first = gradient({0}), second = gradient({1}), both = gradient({0, 1});
  CHECK(gradient({0}) == first);
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < both.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(both[i] - first[i] - second[i])));
    largest = std::max(largest, std::abs(static_cast<double>(both[i])));
  }
  CHECK(worst < 1e-5 * largest);
}

TEST_CASE("a loss that is not finite leaves weights and queue alone") {
  const auto data = batches(4, 1);
  Cpu cpu(1);
  Training training(cpu, {.seed = 1});
  const float* weights = training.store().data(Plane::online);
  const std::vector<float> before(weights, weights + training.store().size());
  float& bias = *training.store().data(Plane::online, Training::model.itm_head.bias);
  const float kept = std::exchange(bias, NAN);
  PassLosses losses;
  training.accumulate(data[0], {.alpha = 0.4}, losses);
  CHECK(std::isnan(losses.at("itm")));
  bias = kept;
  CHECK_FALSE(std::isfinite(training.update(1e-3).read(cpu)));
  CHECK(training.state().queue.pointer() == 0);
  CHECK(std::equal(before.begin(), before.end(), weights));
  CHECK(training.optimizer().steps()[0] == 0);
}

TEST_CASE("fine-tuning starts with the features of queues of the same size, of unknown identity") {
  const TemporaryFolder folder;
  const auto data = batches(4, 1);
  Cpu cpu(1);
  Training trained(cpu, {.seed = 1});
  PassLosses losses;
  trained.accumulate(data[0], {.alpha = 0.4}, losses);
  trained.checkpoint().save(folder / "trained.safetensors", trained.info());
  const auto same = [&](auto& training_a, auto& training_b) {
    auto &a = training_a.state().queue, &b = training_b.state().queue;
    const auto n = static_cast<std::size_t>(a.size() * a.width());
    return std::equal(a.image().data, a.image().data + n, b.image().data) &&
           std::equal(a.text().data, a.text().data + n, b.text().data);
  };
  using Tuning = albef::Training<albef::RetrievalTraining<Nano>>;
  Tuning tuned(cpu, {.seed = 2}), shorter(cpu, {.seed = 2}, {.queue_size = 8});
  CHECK_FALSE(same(tuned, trained));
  tuned.start_from(folder / "trained.safetensors");
  CHECK(same(tuned, trained));
  CHECK(tuned.state().queue.pointer() == 0);
  CHECK(tuned.state().queue.identities()[0] == decltype(tuned.state().queue)::no_identity);
  shorter.start_from(folder / "trained.safetensors");  // keeps its random features
  CHECK(shorter.state().queue.size() == 8);

  // Features that are not finite change nothing.
  const std::string path = folder / "damaged.safetensors";
  {
    const auto file = albef::SafeTensors::open(folder / "trained.safetensors");
    std::vector<albef::TensorSource> tensors;
    for (const auto& e : file.entries())
      if (e.name != "text_queue") tensors.push_back(albef::source_of(file, e));
    const auto& queue = trained.state().queue;
    std::vector<float> features(static_cast<std::size_t>(queue.size() * queue.width()));
    features[5] = INFINITY;
    tensors.push_back(
        {.name = "text_queue", .shape = {queue.width(), queue.size()}, .data = features.data()});
    albef::write_safetensors(path, tensors, file.metadata());
  }
  Tuning other(cpu, {.seed = 3});
  const auto weights = [&] {
    const auto* first = other.store().data(albef::Plane::online);
    return std::vector<float>(first, first + other.store().size());
  };
  const auto before = weights();
  CHECK_THROWS_WITH_AS(
      other.start_from(path),
      (path + ": tensor 'text_queue' has the value inf at 5, expected finite ones").c_str(),
      albef::Error);
  CHECK(weights() == before);
}

TEST_CASE("the first pairs of a batch, and how many of them fit into memory") {
  const auto data = batches(4, 1);
  const albef::PairBatch two = albef::first_examples(data[0], 2);
  CHECK(two.size == 2);
  CHECK(two.images.size() * 2 == data[0].images.size());
  CHECK(two.text.count() == 2);
  CHECK(two.masked.text.count() == 2);
  CHECK(two.masked.masked() == data[0].masked.offsets[2]);
  CHECK(two.masked.labels.size() == two.masked.rows.size());
  albef::PairBatch unmasked = data[0];
  unmasked.masked.clear();
  CHECK(albef::first_examples(unmasked, 2).text.count() == 2);
  CHECK(albef::first_examples(unmasked, 2).masked.text.count() == 0);
  Cpu cpu(1);
  Training training(cpu, {.seed = 1});
  CHECK(training.fitting_examples(data[0]) == 4);
  CHECK(training.fitting_examples(two) == 2);
}

}  // namespace pretrain_objective_test
