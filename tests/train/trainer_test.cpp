// The training loop: resuming, stopping, accumulation, and what goes wrong.
#include "albef/train/trainer.hpp"

#include <unistd.h>

#include <csignal>
#include <functional>

#include "nano_data.hpp"

namespace trainer_test {

using namespace train_test;
using albef::Error;
using albef::TrainOptions;
using albef::TrainSummary;

namespace {

/// A task that calls `on_pass` before every pass.
struct WatchedTask : Task {
  using Task::Task;
  std::function<void(std::uint64_t)> on_pass = [](std::uint64_t) {};

  void start(const albef::PairBatch& batch, std::uint64_t number, double alpha) {
    on_pass(number);
    Task::start(batch, number, alpha);
  }
};
using Trainer = albef::Trainer<WatchedTask>;

TrainOptions options(const std::string& output) {
  TrainOptions o;
  o.output = output;
  o.epochs = 2;
  o.warmup = 2;
  o.lr = 1e-3;
  static std::FILE* const nowhere = std::fopen("/dev/null", "w");
  o.progress.out = nowhere;
  return o;
}

/// What a device that works on by itself makes the trainer do.
struct LateTask : Task {
  using Task::Task;
  static constexpr bool deferred = true;
};

std::string error_of(auto&& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  FAIL("expected an Error");
  return {};
}

/// One process of a run: its own device, task, loader and trainer.
struct Process {
  Cpu cpu{2};
  WatchedTask task{cpu, 1};
  albef::Loader data = loader(4);
  Trainer trainer;

  explicit Process(const TrainOptions& o) : trainer(task, data, o) {}
};

}  // namespace

TEST_CASE(
    "trainer: a run stopped by a signal within an epoch and resumed equals one that was not") {
  // 22 pictures, batches of 4, two per step: 5 batches and 2 steps an epoch; one batch is left out.
  TemporaryFolder folder;
  const auto opts = [&](const char* name) {
    TrainOptions o = options(folder / name);
    o.epochs = 3;
    o.accumulate = 2;
    o.optimizer.max_norm = 2;
    return o;
  };
  Process whole(opts("whole"));
  const TrainSummary all = whole.trainer.run();
  CHECK(all.finished);
  CHECK(all.steps == 6);
  CHECK(all.pairs == 6 * 8);
  CHECK(all.pairs_per_second() > 0);

  for (const int stop_in_pass : {4, 7}) {  // in step 2 (its first batch) and step 3 (its second)
    const std::string name = "parts" + std::to_string(stop_in_pass);
    {
      Process first(opts(name.c_str()));
      first.task.on_pass = [&](std::uint64_t pass) {
        if (pass == static_cast<std::uint64_t>(stop_in_pass)) std::raise(SIGTERM);
      };
      const TrainSummary part = first.trainer.run();
      CHECK_FALSE(part.finished);
      CHECK(part.signal == SIGTERM);
      CHECK(part.steps == stop_in_pass / 2 + 1);  // the step was finished
    }
    Process second(opts(name.c_str()));
    REQUIRE(second.trainer.resume());
    const TrainSummary rest = second.trainer.run();
    CHECK(rest.finished);
    CHECK(rest.steps == 6);
    CHECK(rest.pairs == all.pairs);
    for (const Plane p : {Plane::online, Plane::ema, Plane::exp_avg, Plane::exp_avg_sq}) {
      CAPTURE(static_cast<int>(p));
      CHECK(equal(whole.task, second.task, p));
    }
    CHECK(queues_equal(whole.task, second.task));
    CHECK(albef::read_file(folder / "whole/metrics.jsonl") ==
          albef::read_file(folder / (name + "/metrics.jsonl")));
    const auto* itm = second.trainer.history().find("itm");
    REQUIRE(itm != nullptr);
    CHECK(itm->steps.size() == 6);  // those of the first part too
  }
}

TEST_CASE("trainer: losses read a step later make the same run and the same metrics") {
  TemporaryFolder folder;
  const auto opts = [&](const char* name) {
    TrainOptions o = options(folder / name);
    o.accumulate = 2;
    o.save_every = 3;
    o.max_steps = 4;
    o.optimizer.max_norm = 2;
    return o;
  };
  Process now(opts("now"));
  CHECK(now.trainer.run().steps == 4);
  Cpu cpu(2);
  LateTask task(cpu, 1);
  albef::Loader data = loader(4);
  albef::Trainer<LateTask> late(task, data, opts("late"));
  CHECK(late.run().steps == 4);
  CHECK(equal(now.task, task, Plane::online));
  CHECK(albef::read_file(folder / "now/metrics.jsonl") ==
        albef::read_file(folder / "late/metrics.jsonl"));
}

TEST_CASE("trainer: the files of a run") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.keep_epochs = true;
  o.max_steps = 7;
  Process p(o);
  CHECK_FALSE(p.trainer.resume());
  CHECK(p.trainer.steps_per_epoch() == 5);
  CHECK(p.trainer.total_steps() == 7);
  CHECK(p.trainer.lr(2) == doctest::Approx(o.lr));  // the end of the warm-up
  CHECK(p.trainer.alpha(0) == 0);
  CHECK(p.trainer.alpha(6) == o.alpha);
  CHECK(p.trainer.run().steps == 7);
  CHECK(std::filesystem::exists(folder / "run/checkpoint_00.safetensors"));
  CHECK_FALSE(std::filesystem::exists(folder / "run/checkpoint_01.safetensors"));
  const auto info = albef::SafeTensors::open(p.trainer.checkpoint_path()).metadata();
  CHECK(info.at("train.step") == "7");
  CHECK(info.at("train.epoch") == "1");
  CHECK(info.at("train.batch") == "2");
  CHECK(info.at("config.vocab_size") == "131");
  const auto summary = nlohmann::json::parse(albef::read_file(folder / "run/summary.json"));
  CHECK(summary.at("steps") == 7);
  CHECK(summary.at("finished") == true);
  const std::string metrics = albef::read_file(folder / "run/metrics.jsonl");
  CHECK(std::count(metrics.begin(), metrics.end(), '\n') == 7);
  const auto line = nlohmann::json::parse(metrics.substr(0, metrics.find('\n')));
  for (const char* name : {"step", "loss", "itc", "itm", "mlm", "lr", "alpha", "temp"})
    CHECK(line.contains(name));
}

TEST_CASE("trainer: a resume with other settings or of another configuration is refused") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.max_steps = 1;
  Process(o).trainer.run();
  TrainOptions changed = options(folder / "run");
  changed.lr = 5e-4;
  Process other(changed);
  CHECK(error_of([&] { other.trainer.resume(); }) ==
        folder /
            "run/checkpoint.safetensors: the run was started with lr 0.001000, now it is "
            "0.000500");
  changed = o;
  changed.momentum = 0.5;
  Process slower(changed);
  CHECK(error_of([&] { slower.trainer.resume(); }).find("started with momentum 0.") !=
        std::string::npos);
  // What the program keeps beside it: once another value, once another text that is too long to
  // be shown.
  const auto extra_error = [&](const std::string& crop, const std::string& vocabulary) {
    Cpu cpu(1);
    WatchedTask task(cpu, 1);
    albef::Loader data = loader(4);
    TrainOptions again = options(folder / "kept");
    again.max_steps = 1;
    Trainer trainer(task, data, again, {{"run.crop", crop}, {"vocab", vocabulary}});
    if (trainer.resume()) return std::string("resumed");
    trainer.run();
    return std::string("new");
  };
  const std::string words(100, 'a');
  CHECK(extra_error("0.5 1", words) == "new");
  CHECK(extra_error("0.5 1", words) == "resumed");
  CHECK(error_of([&] { extra_error("0.9 1", words); }) ==
        folder /
            "kept/checkpoint.safetensors: the run was started with run.crop 0.5 1, now it is "
            "0.9 1");
  CHECK(error_of([&] { extra_error("0.5 1", words + "b"); }) ==
        folder / "kept/checkpoint.safetensors: the run was started with another vocab");

  // The same file, but with the configuration of another model in it.
  const std::string path = folder / "run/checkpoint.safetensors";
  const std::string bytes = albef::read_file(path);
  const std::string entry = "\"config.embed_dim\":\"24\"";
  const auto at = bytes.find(entry);
  REQUIRE(at != std::string::npos);
  albef::write_file(path,
                    std::string(bytes).replace(at, entry.size(), "\"config.embed_dim\":\"16\""));
  Process same(o);
  CHECK(error_of([&] { same.trainer.resume(); }) ==
        path + ": checkpoint of another configuration: config.embed_dim is 16, the model has 24");
}

TEST_CASE("trainer: a loss that is not finite stops the run; the checkpoint stays as it was") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.save_every = 2;
  Process p(o);
  std::string saved;
  p.task.on_pass = [&](std::uint64_t pass) {
    if (pass != 3) return;
    saved = albef::read_file(p.trainer.checkpoint_path());
    *p.task.store().data(Plane::online, Task::model.itm_head.bias) = NAN;
  };
  const std::string message = error_of([&] { p.trainer.run(); });
  CHECK(message.starts_with("step 3: the loss 'loss' is not finite (epoch 0, batch 3, records "));
  CHECK(message.ends_with("nothing was updated, the last checkpoint is " +
                          p.trainer.checkpoint_path()));
  CHECK(albef::read_file(p.trainer.checkpoint_path()) == saved);
  Process again(o);  // the run can go on from before
  CHECK(again.trainer.resume());
  CHECK(again.trainer.run().finished);
}

TEST_CASE("trainer: output folders and options that cannot be used") {
  TemporaryFolder folder;
  albef::write_file(folder / "file", "x");
  CHECK(error_of([&] { Process p(options(folder / "file/run")); }).find(folder / "file/run") !=
        std::string::npos);
  if (::geteuid() != 0) {  // root may write anywhere
    std::filesystem::create_directory(folder / "locked");
    std::filesystem::permissions(
        folder / "locked", std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    CHECK(error_of([&] { Process p(options(folder / "locked")); }) ==
          folder / "locked: the folder is not writable");
  }
  TrainOptions o = options(folder / "run");
  o.accumulate = 6;
  CHECK(error_of([&] { Process p(o); }) == "an epoch has 5 batches, fewer than accumulate = 6");
  o.accumulate = 0;
  CHECK(error_of([&] { Process p(o); }) == "accumulate is 0, expected at least 1");
}

TEST_CASE("trainer: a batch size that two runs share by accumulation gives the mean gradient") {
  // With Itm<Uniform> alone, off its random draws, two passes over one batch are the batch itself.
  TemporaryFolder folder;
  Cpu cpu(1);
  Task once(cpu, 1, 0), twice(cpu, 1, 0);
  for (Task* t : {&once, &twice}) t->context().set_dropout(false);
  auto data = loader(4);
  const albef::PairBatch& batch = data.next();
  Task::Losses losses;
  albef::AdamW a, b;
  once.accumulate(batch, 5, 0.4, losses);
  a.step(once.store(), 1e-3);
  twice.accumulate(batch, 5, 0.4, losses);
  twice.accumulate(batch, 5, 0.4, losses);
  b.step(twice.store(), 1e-3, 0.5);
  double worst = 0;
  for (std::int64_t i = 0; i < once.store().size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(once.store().data(Plane::online)[i] -
                                                         twice.store().data(Plane::online)[i])));
  CHECK(worst < 1e-6);
}

}  // namespace trainer_test
