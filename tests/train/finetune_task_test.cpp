// The downstream tasks: each learns a few examples by heart, a warm step allocates nothing, and the
// trainer runs and resumes them.
#include "albef/train/finetune_task.hpp"
#include "albef/train/pretrain_task.hpp"

#include <numeric>

#include "albef/optim/adamw.hpp"
#include "albef/testing/alloc_guard.hpp"
#include "albef/train/trainer.hpp"
#include "nano_data.hpp"

namespace finetune_task_test {

using namespace train_test;
using albef::AdamW;

namespace {

const std::string golden = ALBEF_TEST_DATA "/golden/base_nano/weights.safetensors";

void fill(albef::TaskBatch& batch, int size, int pictures, std::uint64_t seed) {
  albef::RandomStream random(seed, 1);
  batch.size = size;
  batch.image_size = Nano::image_res;
  batch.images.resize(static_cast<std::size_t>(pictures) * 3 * Nano::image_res * Nano::image_res);
  for (auto& v : batch.images) v = static_cast<std::uint8_t>(random.below(256));
  for (int i = 0; i < size; ++i) {
    std::vector<std::int32_t> ids{2};
    for (int t = 0; t < 2 + i % 3; ++t) ids.push_back(5 + random.below(100));
    batch.text.add(ids);
    batch.indices.push_back(i);
  }
}
albef::ClassBatch class_batch(int size, int pictures, int classes, std::uint64_t seed = 1) {
  albef::ClassBatch batch;
  fill(batch, size, pictures, seed);
  for (int i = 0; i < size; ++i) batch.labels.push_back(i % classes);
  return batch;
}
albef::VqaBatch vqa_batch(int size, std::uint64_t seed = 1) {
  albef::VqaBatch batch;
  fill(batch, size, size, seed);
  for (int i = 0; i < size; ++i) {
    batch.answer_counts.push_back(1 + i % 2);
    for (int a = 0; a <= i % 2; ++a) {
      batch.answers.add(std::vector<std::int32_t>{2, 10 + i, 3});
      batch.weights.push_back(1.0f / static_cast<float>(1 + i % 2));
    }
  }
  return batch;
}

/// Loss before and after some steps on one batch.
template <class T, class Batch>
std::pair<double, double> learn(T& task, const Batch& batch, int steps, double alpha) {
  AdamW adamw{{.max_norm = 1}};
  typename T::Losses losses;
  double first = 0;
  for (int s = 0; s < steps; ++s) {
    task.start(batch, static_cast<std::uint64_t>(s), alpha);
    task.finish(losses);
    if (s == 0) first = losses.values.front().second;
    adamw.step(task.store(), 1e-3, 1,
               task.store().has(Plane::ema) ? std::optional(0.9) : std::nullopt);
  }
  return {first, losses.values.front().second};
}

/// A loader of one batch, as the trainer needs it.
struct OneBatch {
  albef::ClassBatch batch = class_batch(6, 6, 3);
  struct Options {
    int batch_size = 6;
  } settings;
  struct Position {
    std::int64_t epoch = 0, batch = 0;
  } at;
  const Options& options() const { return settings; }
  std::int64_t batches_per_epoch() const { return 4; }
  Position position() const { return at; }
  void seek(Position p) { at = p; }
  const albef::ClassBatch& next() {
    batch.epoch = at.epoch, batch.batch = at.batch;
    if (++at.batch == batches_per_epoch()) at = {at.epoch + 1, 0};
    return batch;
  }
};
using VeTask = albef::VeTask<Nano>;

}  // namespace

TEST_CASE("each task learns a batch by heart from the pre-training checkpoint") {
  Cpu cpu(2);
  const auto check = [](std::pair<double, double> losses) {
    CAPTURE(losses.first);
    CAPTURE(losses.second);
    CHECK(losses.second < 0.3 * losses.first);
  };
  VeTask ve(cpu, 1);
  CHECK(ve.start_from(golden).missing.size() == 4);
  check(learn(ve, class_batch(6, 6, 3), 60, 0));
  albef::NlvrTask<Nano> nlvr(cpu, 1);
  nlvr.start_from(golden);
  check(learn(nlvr, class_batch(6, 12, 2), 60, 0));
  albef::VqaTask<Nano> vqa(cpu, 1);
  vqa.start_from(golden);
  check(learn(vqa, vqa_batch(4), 60, 0));
  albef::RetrievalTask<Nano> retrieval(cpu, 1, 8);
  CHECK(retrieval.start_from(golden).missing.empty());
  albef::PairBatch pairs;
  const auto same = class_batch(4, 4, 2);
  pairs.size = 4, pairs.images = same.images, pairs.text = same.text;
  pairs.image_ids = {1, 2, 1, 3};
  const auto [before, after] = learn(retrieval, pairs, 60, 0);
  CHECK(after < 0.6 * before);
  CHECK(std::accumulate(retrieval.queue().identities(), retrieval.queue().identities() + 8,
                        std::int64_t{0}) == 14);
  albef::TextAssignmentTask<Nano> assign(cpu, 1);
  assign.start_from(golden);
  typename albef::TextAssignmentTask<Nano>::Losses losses;
  assign.start(pairs, 0, 0);
  assign.finish(losses);
  CHECK(losses.values.front().second == doctest::Approx(std::log(3.0)).epsilon(0.2));
}

TEST_CASE("warm steps of the tasks allocate nothing; without distillation there is no teacher") {
  Cpu cpu(1);
  const auto check = [](auto& task, const auto& batch, double alpha) {
    typename std::remove_reference_t<decltype(task)>::Losses losses;
    AdamW adamw{{}};
    const auto step = [&] {
      task.start(batch, 0, alpha);
      task.finish(losses);
      adamw.step(task.store(), 1e-4);
    };
    step(), step();
    const albef::AllocGuard guard;
    step();
    CHECK(guard.allocations() == 0);
    CHECK(std::isfinite(losses.values.front().second));
  };
  VeTask ve(cpu, 1), alone(cpu, 1, false);
  CHECK_FALSE(alone.store().has(Plane::ema));
  check(ve, class_batch(4, 4, 3), 0.4);
  check(alone, class_batch(4, 4, 3), 0);
  albef::NlvrTask<Nano> nlvr(cpu, 1);
  check(nlvr, class_batch(4, 8, 2), 0.4);
  albef::VqaTask<Nano> vqa(cpu, 1);
  check(vqa, vqa_batch(4), 0.4);
}

TEST_CASE("the trainer runs a task with a loader of its own, calls back and resumes bit for bit") {
  const TemporaryFolder folder;
  Cpu cpu(1);
  const auto options = [&](const char* name, std::int64_t steps) {
    albef::TrainOptions o;
    o.output = folder / name;
    o.epochs = 2, o.max_steps = steps, o.alpha_epochs = 0, o.warmup = 2;
    static std::FILE* nowhere = std::fopen("/dev/null", "w");
    o.progress.out = nowhere;
    return o;
  };
  const auto run = [&](VeTask& task, const char* name, std::int64_t steps, bool resume) {
    OneBatch loader;
    albef::Trainer<VeTask, OneBatch> trainer(task, loader, options(name, steps));
    std::vector<int> epochs;
    trainer.after_epoch([&](int epoch) { epochs.push_back(epoch); });
    CHECK(trainer.resume() == resume);
    trainer.run();
    CHECK(trainer.alpha(0) == 0.4);
    return epochs;
  };
  VeTask whole(cpu, 1), first(cpu, 1), second(cpu, 1);
  CHECK(run(whole, "whole", 8, false) == std::vector<int>{1, 2});
  CHECK(run(first, "parts", 5, false) == std::vector<int>{1});
  CHECK(run(second, "parts", 8, true) == std::vector<int>{2});
  for (const Plane p : {Plane::online, Plane::ema})
    CHECK(std::memcmp(whole.store().data(p), second.store().data(p),
                      static_cast<std::size_t>(whole.store().size()) * sizeof(float)) == 0);
}

}  // namespace finetune_task_test
