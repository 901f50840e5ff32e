// DINO in training: it learns, its state is the centre, the last layer waits, a warm step allocates
// nothing, a resumed run is the same, and collapse is told; the program's settings.
#include "albef/tasks/dino.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "../data/data_files.hpp"
#include "../train/nano_training.hpp"
#include "albef/data/multi_crop.hpp"
#include "albef/tasks/dino_settings.hpp"
#include "albef/testing/alloc_guard.hpp"
#include "albef/train/fit.hpp"

namespace dino_test {

using albef::CropBatch;
using albef::DinoOptions;
using albef::Pace;
using albef::PassLosses;
using albef::Plane;
using data_test::error_of;
using train_test::Cpu;
using train_test::TemporaryFolder;

namespace {

struct Config : albef::DinoConfig<albef::Nano> {
  static constexpr int vision_width = 32, out_dim = 24, head_hidden_dim = 16, bottleneck_dim = 8;
  static constexpr float drop_path = 0.3f;
};
using Objective = albef::DinoTraining<Config>;
using Training = albef::Training<Objective>;
const albef::TrainingOptions options{.seed = 3,
                                     .optimizer = {.max_norm = 1, .clip_each = true},
                                     .momentum = 0.9,
                                     .weight_decay_end = 0.4,
                                     .momentum_end = 1};

albef::MultiCropLoader loader() {
  albef::MultiCrop crops;
  crops.global_size = Config::image_res;
  crops.local = {{16, 2}, {8, 1}};
  albef::LoaderOptions o;
  o.batch_size = 4;
  o.workers = 1;
  return {train_test::pictures(22), crops, o};
}
std::vector<float> values(const Training& t, const char* name, Plane plane = Plane::online) {
  const albef::ParamInfo& p = t.store().find(name);
  const float* at = t.store().data(plane, p);
  return {at, at + p.size};
}
std::vector<float> center(Training& t) {
  const float* at = t.state().center.data();
  return {at, at + Config::out_dim};
}

}  // namespace

TEST_CASE("a step: the centre moves after it, the last layer waits, the teacher follows") {
  Cpu cpu(2);
  Training training(cpu, options, {DinoOptions{.freeze_last_layer = 1}});
  auto data = loader();
  const CropBatch& batch = data.next();
  const auto v = values(training, "head.last_layer.weight_v"),
             teacher = values(training, "head.last_layer.weight_v", Plane::ema),
             mlp = values(training, "head.mlp.0.weight");
  CHECK(training.store().find("head.last_layer.weight_g").frozen);
  PassLosses losses;
  training.accumulate(batch, {}, losses);
  CHECK(center(training) == std::vector<float>(Config::out_dim));
  CHECK(losses.at("loss") < std::log(24.0) + 1);
  training.update(1e-2, 1, Pace{0, 10, 0});
  CHECK(center(training) != std::vector<float>(Config::out_dim));
  CHECK(values(training, "head.last_layer.weight_v") == v);
  CHECK(values(training, "head.mlp.0.weight") != mlp);
  training.accumulate(batch, {.number = 1, .epoch = 1}, losses);
  training.update(1e-2, 1, Pace{1, 10, 1});
  CHECK(values(training, "head.last_layer.weight_v") != v);
  CHECK(values(training, "head.last_layer.weight_v", Plane::ema) != teacher);
  const auto index =
      &training.store().find("head.last_layer.weight_v") - training.store().params().data();
  CHECK(training.optimizer().steps()[static_cast<std::size_t>(index)] == 1);
  CHECK(training.weight_decay(Pace{5, 10}) == doctest::Approx((0.02 + 0.4) / 2));
  CHECK(training.momentum(Pace{5, 10}) == doctest::Approx(0.95));
  CHECK(training.momentum({}) == 0.9);
}

TEST_CASE("a step that is not finite leaves the centre, too") {
  Cpu cpu(1);
  Training training(cpu, options);
  auto data = loader();
  const CropBatch& batch = data.next();
  PassLosses losses;
  training.start(batch, {});
  training.finish(losses);
  training.store().data(Plane::grad)[0] = std::numeric_limits<float>::quiet_NaN();
  training.update(1e-2);
  CHECK(center(training) == std::vector<float>(Config::out_dim));
}

TEST_CASE("accumulated passes move the centre once, by the mean of all") {
  Cpu cpu(1);
  albef::TeacherCenter<Cpu, float> center(cpu, 2, 0.5);
  const std::vector<float> first{1, 2, 3, 4}, second{8, 0};
  center.collect(albef::mat(first.data(), 2, 2));
  center.collect(albef::mat(second.data(), 1, 2));
  center.commit();
  CHECK(center.data()[0] == doctest::Approx(0.5 * 4));
  CHECK(center.data()[1] == doctest::Approx(0.5 * 2));
  center.commit();
  CHECK(center.data()[0] == doctest::Approx(2));
}

TEST_CASE("it learns; drop path draws anew each step; a warm step allocates nothing") {
  Cpu cpu(2);
  Training training(cpu, options, {DinoOptions{.freeze_last_layer = 0}});
  auto data = loader();
  const CropBatch& batch = data.next();
  PassLosses losses;
  const auto loss = [&](std::uint64_t number) {
    training.accumulate(batch, {.number = number}, losses);
    training.store().clear_gradients();
    training.state().center.commit();
    return losses.at("loss");
  };
  const double zero = loss(0);
  CHECK(loss(1) != zero);
  double first = 0;
  for (int s = 0; s < 60; ++s) {
    training.accumulate(batch, {.number = static_cast<std::uint64_t>(s)}, losses);
    if (s == 0) first = losses.at("loss");
    training.update(3e-3, 1, Pace{s, 60, 1});
  }
  CHECK(losses.at("loss") < 0.8 * first);
  const albef::AllocGuard guard;
  training.accumulate(batch, {.number = 60}, losses);
  training.update(3e-3, 1, Pace{60, 60, 1});
  CHECK(guard.allocations() == 0);
}

TEST_CASE("a run stopped and resumed equals one that was not; other settings are refused") {
  Cpu cpu(1);
  const TemporaryFolder folder;
  const auto run = [&](const std::string& name, std::int64_t steps, bool resume,
                       const Objective& objective, const albef::TrainingOptions& how) {
    Training training(cpu, how, objective);
    auto data = loader();
    albef::TrainOptions o{.output = folder / name,
                          .existing = resume ? albef::Existing::resume : albef::Existing::refuse,
                          .epochs = 3,
                          .max_steps = steps,
                          .lr = 2e-3,
                          .warmup_lr = 0,
                          .dino_schedule = true,
                          .warmup = 3,
                          .save_every = 1};
    o.progress.seconds = 1e9;
    fit(training, data, o);
    return std::pair(values(training, "backbone.pos_embed"), center(training));
  };
  const Objective objective{DinoOptions{.teacher_temp = 0.07, .warmup_teacher_temp_epochs = 2}};
  const auto whole = run("whole", 0, false, objective, options);
  run("parts", 4, false, objective, options);
  run("parts", 9, true, objective, options);
  const auto resumed = run("parts", 0, true, objective, options);
  CHECK(resumed.first == whole.first);
  CHECK(resumed.second == whole.second);
  const auto refused = [&](const Objective& other, const albef::TrainingOptions& how) {
    return error_of([&] { run("parts", 0, true, other, how); });
  };
  CHECK_CONTAINS(
      refused({DinoOptions{.teacher_temp = 0.05, .warmup_teacher_temp_epochs = 2}}, options),
      "the run was started with dino.teacher_temp 0.04 to 0.07 over 2, now it is 0.04 to "
      "0.05 over 2");
  auto changed = options;
  changed.momentum_end = {};
  CHECK_CONTAINS(refused(objective, changed), "momentum 0.9 to 1, now it is 0.9");
  changed = options;
  changed.optimizer.clip_each = false;
  CHECK_CONTAINS(refused(objective, changed), "max_norm 1 of each parameter, now it is 1");
  auto later = objective;
  later.options.freeze_last_layer = 2;
  CHECK_CONTAINS(refused(later, options), "groups");
}

TEST_CASE("outputs that are all alike are at the level that is warned of") {
  const auto rules = Objective{}.plateaus(4);
  REQUIRE(rules.size() == 1);
  CHECK(rules.front().value == doctest::Approx(std::log(24.0)));
  albef::PlateauDetector detector(rules, 0, 10);
  std::string said;
  for (int s = 0; s < 10; ++s) said += detector.observe(s, "loss", 3.17);
  CHECK_CONTAINS(said, "a model that learns nothing has 3.1781");
}

TEST_CASE("batches without the pixels of their crops are refused") {
  Cpu cpu(1);
  Training training(cpu, options);
  auto data = loader();
  CropBatch batch = data.next();
  batch.groups[1].images.pop_back();
  PassLosses losses;
  CHECK_THROWS_WITH_AS(training.accumulate(batch, {}, losses),
                       "got 6143 pixel values, expected 8 crops of 16 x 16 x 3", albef::Error);
  batch.groups.clear();
  CHECK_THROWS_WITH_AS(training.accumulate(batch, {}, losses), "the batch has no crops",
                       albef::Error);
}

TEST_CASE("settings: defaults by configuration, crops, a schedule in epochs") {
  albef::DinoSettings tiny;
  tiny.complete<albef::Tiny>(albef::dino_tiny, albef::dino_paper);
  CHECK(tiny.crops.global_size == 64);
  REQUIRE(tiny.crops.local.size() == 1);
  CHECK(tiny.crops.local[0].size == 32);
  CHECK(tiny.crops.local[0].crops == 4);
  CHECK(tiny.warmup_epochs == 10);
  tiny.complete_schedule(15);
  CHECK(tiny.train.warmup == 150);
  CHECK(tiny.training.weight_decay_end == 0.4);

  albef::DinoSettings base;
  base.batch_size = 64;
  base.train.epochs = 30;
  base.local_size = {96, 48};
  base.local_crops = {6, 2};
  base.local_scale = {0.1f, 0.3f};
  base.complete<albef::Base>(albef::dino_tiny, albef::dino_paper);
  CHECK(base.train.lr == doctest::Approx(5e-4 * 64 / 256));
  CHECK(base.warmup_epochs == 3);
  CHECK(base.crops.groups().size() == 3);
  CHECK(base.crops.local_crop.scale_high == 0.3f);
  CHECK(base.metadata(albef::NoTexts{}).at("run.crops") ==
        "2 of 256, 6 of 96, 2 of 48, shares 0.4 1, 0.1 0.3");

  const auto refused = [](std::vector<int> sizes, std::vector<int> counts) {
    return error_of([&] {
      albef::DinoSettings s;
      s.local_size = std::move(sizes), s.local_crops = std::move(counts);
      s.complete<albef::Tiny>(albef::dino_tiny, albef::dino_paper);
    });
  };
  CHECK(refused({24}, {}) == "--local-size 24: expected a multiple of 16, the patches' side");
  CHECK(refused({32, 16}, {4}) == "--local-crops: 1 numbers for 2 sizes of --local-size");
}

}  // namespace dino_test
