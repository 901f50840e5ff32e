// The objectives of the downstream tasks: each learns a few examples by heart, a warm step
// allocates nothing, draws differ from step to step, and a trainer runs and resumes them.
#include <numeric>

#include "../train/nano_training.hpp"
#include "albef/tasks/nlvr.hpp"
#include "albef/tasks/text_assignment.hpp"
#include "albef/tasks/ve.hpp"
#include "albef/tasks/vqa.hpp"
#include "albef/testing/alloc_guard.hpp"
#include "albef/train/fit.hpp"

namespace objectives_test {

using namespace train_test;
using albef::PassLosses;
using albef::TrainingOptions;

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
std::pair<double, double> learn(T& training, const Batch& batch, int steps, double alpha) {
  PassLosses losses;
  double first = 0;
  for (int s = 0; s < steps; ++s) {
    training.accumulate(batch, {.number = static_cast<std::uint64_t>(s), .alpha = alpha}, losses);
    if (s == 0) first = losses.at("loss");
    training.update(1e-3);
  }
  return {first, losses.at("loss")};
}
const TrainingOptions learning{.seed = 1, .optimizer = {.max_norm = 1}, .momentum = 0.9};

albef::PairBatch pair_batch() {
  albef::PairBatch pairs;
  const auto same = class_batch(4, 4, 2);
  pairs.size = 4, pairs.image_size = Nano::image_res;
  pairs.images = same.images, pairs.text = same.text;
  pairs.image_ids = {1, 2, 1, 3};
  return pairs;
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
using VeTraining = albef::Training<albef::VisualEntailment<Nano>>;
using NlvrTraining = albef::Training<albef::NlvrReasoning<Nano>>;
using VqaTraining = albef::Training<albef::VqaTraining<Nano>>;

}  // namespace

TEST_CASE("each task learns a batch by heart from the pre-training checkpoint") {
  Cpu cpu(2);
  const auto check = [](std::pair<double, double> losses) {
    CAPTURE(losses.first);
    CAPTURE(losses.second);
    CHECK(losses.second < 0.3 * losses.first);
  };
  VeTraining ve(cpu, learning);
  CHECK(ve.start_from(golden).missing.size() == 4);
  check(learn(ve, class_batch(6, 6, 3), 60, 0));
  NlvrTraining nlvr(cpu, learning);
  nlvr.start_from(golden);
  check(learn(nlvr, class_batch(6, 12, 2), 60, 0));
  VqaTraining vqa(cpu, learning);
  vqa.start_from(golden);
  check(learn(vqa, vqa_batch(4), 60, 0));
  albef::Training<albef::RetrievalTraining<Nano>> retrieval(cpu, learning, {.queue_size = 8});
  CHECK(retrieval.start_from(golden).missing.empty());
  const albef::PairBatch pairs = pair_batch();
  const auto [before, after] = learn(retrieval, pairs, 60, 0);
  CHECK(after < 0.6 * before);
  const auto* identities = retrieval.state().queue.identities();
  CHECK(std::accumulate(identities, identities + 8, std::int64_t{0}) == 14);
  albef::Training<albef::TextAssignmentTraining<Nano>> assign(cpu, learning);
  assign.start_from(golden);
  PassLosses losses;
  assign.accumulate(pairs, {}, losses);
  CHECK(losses.at("loss") == doctest::Approx(std::log(3.0)).epsilon(0.2));
}

TEST_CASE("draws of a task differ from step to step, and are the same in the same step") {
  Cpu cpu(1);
  const auto differ = [](auto& training, const auto& batch) {
    const auto loss = [&](std::uint64_t number) {
      PassLosses losses;
      training.accumulate(batch, {.number = number}, losses);
      training.store().clear_gradients();
      return losses.at("loss");
    };
    int different = 0;
    for (std::uint64_t n = 1; n < 6; ++n) different += loss(0) != loss(n);
    CHECK(loss(3) == loss(3));
    return different;
  };
  const TrainingOptions dry{.seed = 1, .dropout = false};
  albef::Training<albef::TextAssignmentTraining<Nano>> assign(cpu, dry);
  CHECK(differ(assign, pair_batch()) >= 4);  // other labels and negatives
  albef::Training<albef::AlbefPretraining<Nano, albef::Pretrain<albef::Itm<albef::Uniform>>>>
      matching(cpu, dry);
  CHECK(differ(matching, pair_batch()) >= 3);  // other negatives
  albef::Training<albef::AlbefPretraining<Nano, albef::Pretrain<albef::Itc<>, albef::Itm<>>>>
      pretraining(cpu, dry);
  CHECK(differ(pretraining, pair_batch()) >= 3);  // hard ones
  albef::Training<albef::RetrievalTraining<Nano>> retrieval(cpu, dry);
  CHECK(differ(retrieval, pair_batch()) >= 3);
  const TrainingOptions wet{.seed = 1};  // dropout
  VeTraining ve(cpu, wet);
  CHECK(differ(ve, class_batch(4, 4, 3)) == 5);
  NlvrTraining nlvr(cpu, wet);
  CHECK(differ(nlvr, class_batch(4, 8, 2)) == 5);
  VqaTraining vqa(cpu, wet);
  CHECK(differ(vqa, vqa_batch(4)) == 5);
}

TEST_CASE("warm steps of the tasks allocate nothing; without distillation there is no teacher") {
  Cpu cpu(1);
  const auto check = [](auto& training, const auto& batch, double alpha) {
    PassLosses losses;
    const auto step = [&] {
      training.accumulate(batch, {.alpha = alpha}, losses);
      training.update(1e-4);
    };
    step(), step();
    const albef::AllocGuard guard;
    step();
    CHECK(guard.allocations() == 0);
    CHECK(std::isfinite(losses.at("loss")));
  };
  const TrainingOptions options{.seed = 1};
  VeTraining ve(cpu, options), alone(cpu, options, {.distills = false});
  CHECK_FALSE(alone.store().has(Plane::ema));
  check(ve, class_batch(4, 4, 3), 0.4);
  check(alone, class_batch(4, 4, 3), 0.4);
  NlvrTraining nlvr(cpu, options);
  check(nlvr, class_batch(4, 8, 2), 0.4);
  VqaTraining vqa(cpu, options);
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
  const auto run = [&](VeTraining& training, const char* name, std::int64_t steps, bool resume) {
    OneBatch loader;
    albef::TrainOptions o = options(name, steps);
    if (resume) o.existing = albef::Existing::resume;
    albef::Trainer<VeTraining, OneBatch> trainer(training, loader, o);
    int validations = 0;
    trainer.validate([&] { return albef::Validation{0.5 + 0.1 * ++validations}; });
    trainer.run();
    CHECK(trainer.alpha(0) == 0.4);
    return validations;
  };
  const albef::TrainingOptions seed{.seed = 1};
  VeTraining whole(cpu, seed), first(cpu, seed), second(cpu, seed);
  CHECK(run(whole, "whole", 8, false) == 2);
  CHECK(run(first, "parts", 4, false) == 1);
  CHECK(run(second, "parts", 8, true) == 1);
  for (const Plane p : {Plane::online, Plane::ema})
    CHECK(std::memcmp(whole.store().data(p), second.store().data(p),
                      static_cast<std::size_t>(whole.store().size()) * sizeof(float)) == 0);
}

}  // namespace objectives_test
