// The training loop: resuming, stopping, accumulation, and what goes wrong.
#include "albef/train/fit.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "nano_training.hpp"

namespace trainer_test {

using namespace train_test;
using albef::concat;
using albef::Error;
using albef::TrainOptions;
using albef::TrainSummary;

namespace {

/// A training that calls `on_pass` before every pass, and `after_pass` behind it.
struct Watched : Training {
  using Training::Training;
  std::function<void(std::uint64_t)> on_pass = [](std::uint64_t) {}, after_pass = on_pass;

  void start(const albef::PairBatch& batch, const albef::Step& step) {
    on_pass(step.number);
    Training::start(batch, step);
    after_pass(step.number);
  }
};
using Trainer = albef::Trainer<Watched, albef::Loader>;

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
struct Late : Training {
  using Training::Training;
  static constexpr bool deferred = true;
};

std::string error_of(auto&& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  FAIL("expected an Error");
  return {};
}

/// One process of a run: its own device, training, loader and trainer.
struct Process {
  Cpu cpu{2};
  Watched training;
  albef::Loader data = loader(4);
  Trainer trainer;

  explicit Process(const TrainOptions& o, const albef::TrainingOptions& t = {.seed = 1})
      : training(cpu, t), trainer(training, data, o) {}
};
/// Changes what a checkpoint says beside its tensors.
void change_info(const std::string& path, auto&& change) {
  const auto file = albef::SafeTensors::open(path);
  std::vector<albef::TensorSource> tensors;
  for (const auto& e : file.entries()) tensors.push_back(albef::source_of(file, e));
  auto info = file.metadata();
  change(info);
  albef::write_safetensors(path, tensors, info);
}
/// Flips a bit in the middle of a file.
void damage(const std::string& path) {
  std::string bytes = albef::read_file(path);
  bytes[bytes.size() / 2] ^= 1;
  albef::write_file(path, bytes);
}
TrainOptions resuming(TrainOptions o) {
  o.existing = albef::Existing::resume;
  return o;
}

}  // namespace

TEST_CASE(
    "trainer: a run stopped by a signal within an epoch and resumed equals one that was not") {
  // 22 pictures, batches of 4, two per step: 5 batches and 2 steps an epoch; one batch is left out.
  TemporaryFolder folder;
  const auto opts = [&](const char* name) {
    TrainOptions o = options(folder / name);
    o.epochs = 3;
    o.accumulate = 2;
    return o;
  };
  const albef::TrainingOptions clipped{.seed = 1, .optimizer = {.max_norm = 2}};
  Process whole(opts("whole"), clipped);
  const TrainSummary all = whole.trainer.run();
  CHECK(all.finished);
  CHECK(all.steps == 6);
  CHECK(all.pairs == 6 * 8);
  CHECK(all.pairs_per_second() > 0);

  for (const int stop_in_pass : {4, 7}) {  // in step 2 (its first batch) and step 3 (its second)
    const std::string name = "parts" + std::to_string(stop_in_pass);
    {
      Process first(opts(name.c_str()), clipped);
      first.training.on_pass = [&](std::uint64_t pass) {
        if (pass == static_cast<std::uint64_t>(stop_in_pass)) std::raise(SIGTERM);
      };
      const TrainSummary part = first.trainer.run();
      CHECK_FALSE(part.finished);
      CHECK(part.signal == SIGTERM);
      CHECK(part.steps == stop_in_pass / 2 + 1);  // the step was finished
    }
    Process second(resuming(opts(name.c_str())), clipped);
    const TrainSummary rest = second.trainer.run();
    CHECK(rest.finished);
    CHECK(rest.steps == 6);
    CHECK(rest.pairs == all.pairs);
    for (const Plane p : {Plane::online, Plane::ema, Plane::exp_avg, Plane::exp_avg_sq}) {
      CAPTURE(static_cast<int>(p));
      CHECK(equal(whole.training, second.training, p));
    }
    CHECK(queues_equal(whole.training, second.training));
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
    return o;
  };
  const albef::TrainingOptions clipped{.seed = 1, .optimizer = {.max_norm = 2}};
  Process now(opts("now"), clipped);
  CHECK(now.trainer.run().steps == 4);
  Cpu cpu(2);
  Late training(cpu, clipped);
  albef::Loader data = loader(4);
  albef::Trainer<Late, albef::Loader> late(training, data, opts("late"));
  CHECK(late.run().steps == 4);
  CHECK(equal(now.training, training, Plane::online));
  CHECK(albef::read_file(folder / "now/metrics.jsonl") ==
        albef::read_file(folder / "late/metrics.jsonl"));
}

TEST_CASE("trainer: the files of a run") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.keep_epochs = true;
  o.max_steps = 7;
  Process p(o);
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
  CHECK(error_of([&] { Process other(resuming(changed)); }) ==
        folder / "run/checkpoint.safetensors: the run was started with lr 0.001, now it is 5e-04");
  CHECK(error_of([&] { Process(resuming(o), {.seed = 1, .momentum = 0.5}); }) ==
        folder /
            "run/checkpoint.safetensors: the run was started with momentum 0.995, now it is 0.5");
  CHECK(error_of([&] { Process(resuming(o), {.seed = 1, .optimizer = {.eps = 2e-8}}); }) ==
        folder / "run/checkpoint.safetensors: the run was started with eps 1e-08, now it is 2e-08");
  // How the loader reads: its own seed, and what becomes of pictures.
  const auto loader_error = [&](auto&& change) {
    return error_of([&] {
      Cpu cpu(1);
      Watched training(cpu, {.seed = 1});
      albef::LoaderOptions other = loader(4).options();
      change(other);
      albef::Loader data = loader(4, 22, other);
      Trainer(training, data, resuming(o));
    });
  };
  CHECK(loader_error([](auto& data) {
          data.seed = 7;
        }).ends_with("the run was started with data.seed 42, now it is 7"));
  CHECK(loader_error([](auto& data) {
          data.decode.damaged = albef::Damaged::keep;
        }).ends_with("the run was started with data.damaged_pictures as-pillow, now it is keep"));
  CHECK(loader_error([](auto& data) {
          data.decode.max_side = 5;
        }).ends_with("the run was started with data.max_side 100000, now it is 5"));
  // What the program keeps beside it: once another value, once another text that is too long to
  // be shown.
  const auto extra_error = [&](const std::string& crop, const std::string& vocabulary) {
    Cpu cpu(1);
    Watched training(cpu, {.seed = 1});
    albef::Loader data = loader(4);
    TrainOptions again = options(folder / "kept");
    again.max_steps = 1;
    const bool there = std::filesystem::exists(folder / "kept/checkpoint.safetensors");
    if (there) again.existing = albef::Existing::resume;
    Trainer trainer(training, data, again, {{"run.crop", crop}, {"vocab", vocabulary}});
    if (there) return std::string("resumed");
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

  // Checkpoints of versions that kept less.
  const std::string path = folder / "run/checkpoint.safetensors";
  change_info(path, [](auto& info) { info.erase("data.seed"), info.erase("data.max_side"); });
  { Process same(resuming(o)); }
  std::string dropout;
  change_info(path, [&](auto& info) {
    dropout = info.at("train.dropout");
    info.erase("train.dropout");
  });
  CHECK(error_of([&] { Process same(resuming(o)); }) ==
        path +
            ": a run whose checkpoints do not say 'dropout': of an older version or of another "
            "kind; it cannot go on here, but a new run can start from its weights");
  change_info(path, [&](auto& info) { info["train.dropout"] = dropout; });

  // The same file, but with the configuration of another model in it.
  change_info(path, [](auto& info) { info["config.embed_dim"] = "16"; });
  CHECK(error_of([&] { Process same(resuming(o)); }) ==
        path + ": checkpoint of another configuration: config.embed_dim is 16, the model has 24");
}

TEST_CASE("trainer: a loss that is not finite stops the run; the checkpoint stays as it was") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.save_every = 2;
  o.max_bad_steps = 0;
  Process p(o);
  std::string saved;
  p.training.on_pass = [&](std::uint64_t pass) {
    if (pass != 3) return;
    saved = albef::read_file(p.trainer.checkpoint_path());
    *p.training.store().data(Plane::online, Training::model.itm_head.bias) = NAN;
  };
  const std::string message = error_of([&] { p.trainer.run(); });
  CHECK(message.starts_with("step 3: the loss 'loss' is not finite (epoch 0, batch 3, records "));
  CHECK(message.ends_with("nothing was updated, the last checkpoint is " +
                          p.trainer.checkpoint_path()));
  CHECK(albef::read_file(p.trainer.checkpoint_path()) == saved);
  {
    Process older(resuming(o));  // the newest checkpoint that there is
    older.training.on_pass = [&](std::uint64_t pass) {
      if (pass != 3) return;
      std::filesystem::rename(p.trainer.checkpoint_path(), folder / "run/checkpoint.1.safetensors");
      *older.training.store().data(Plane::online, Training::model.itm_head.bias) = NAN;
    };
    CHECK(error_of([&] {
            older.trainer.run();
          }).ends_with("the last checkpoint is " + folder / "run/checkpoint.1.safetensors"));
  }
  Process again(resuming(o));  // the run can go on from before
  CHECK(again.trainer.run().finished);
}

namespace {

/// From step 3 on no gradient is finite.
struct Spoiled : Training {
  using Training::Training;
  void start(const albef::PairBatch& batch, const albef::Step& step) {
    Training::start(batch, step);
    if (step.number >= 3) *store().data(Plane::grad, model.itm_head.bias) = INFINITY;
  }
};
struct SpoiledLate : Spoiled {
  using Spoiled::Spoiled;
  static constexpr bool deferred = true;
};

/// All that a step may change.
std::vector<float> everything(Training& training) {
  std::vector<float> out;
  const auto& store = training.store();
  for (const Plane p : {Plane::online, Plane::ema, Plane::exp_avg, Plane::exp_avg_sq})
    out.insert(out.end(), store.data(p), store.data(p) + store.size());
  const auto& queue = training.state().queue;
  for (const auto& m : {queue.image(), queue.text()})
    out.insert(out.end(), m.data, m.data + m.rows * m.cols);
  out.push_back(static_cast<float>(queue.pointer()));
  for (const auto n : training.optimizer().steps()) out.push_back(static_cast<float>(n));
  return out;
}
bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("trainer: a step whose loss or gradient is not finite changes nothing, and is counted") {
  for (const int accumulate : {1, 2})
    for (const double max_norm : {0.0, 2.0})
      for (const bool loss : {false, true}) {
        CAPTURE(accumulate);
        CAPTURE(max_norm);
        CAPTURE(loss);
        TemporaryFolder folder;
        TrainOptions o = options(folder / "run");
        o.accumulate = accumulate;
        o.epochs = 4;
        o.max_steps = 6;
        o.max_bad_steps = 1;
        Process p(o, {.seed = 1, .optimizer = {.max_norm = max_norm}});
        Training& t = p.training;
        // The first pass of steps 2 and 4 goes wrong.
        const auto spoils = [&](std::uint64_t pass) {
          const int step = static_cast<int>(pass) / accumulate;
          return static_cast<int>(pass) % accumulate == 0 && (step == 2 || step == 4);
        };
        float* bias = t.store().data(Plane::online, Training::model.itm_head.bias);
        float kept = 0;
        std::vector<float> before;
        int unchanged = 0;
        p.training.on_pass = [&](std::uint64_t pass) {
          if (pass == 3u * static_cast<unsigned>(accumulate) ||
              pass == 5u * static_cast<unsigned>(accumulate))
            unchanged += same(everything(t), before);
          if (!spoils(pass)) return;
          before = everything(t);
          kept = *bias;
          if (loss) *bias = NAN;
        };
        p.training.after_pass = [&](std::uint64_t pass) {
          if (!spoils(pass)) return;
          *bias = kept;
          if (!loss) *t.store().data(Plane::grad, Training::model.itm_head.bias) = INFINITY;
        };
        const TrainSummary summary = p.trainer.run();
        CHECK(summary.finished);
        CHECK(summary.bad_steps == 2);
        CHECK(unchanged == 2);
        CHECK_FALSE(same(everything(t), before));
        CHECK(t.optimizer().steps()[0] == 4);
        const auto* counted = p.trainer.history().find("bad_steps");
        REQUIRE(counted != nullptr);
        CHECK(counted->steps == std::vector<double>{2, 3, 4, 5});
        CHECK(counted->values == std::vector<double>{1, 1, 2, 2});
        CHECK(
            nlohmann::json::parse(albef::read_file(folder / "run/summary.json")).at("bad_steps") ==
            2);
        o.max_steps = 7;  // the count goes on
        Process again(resuming(o), {.seed = 1, .optimizer = {.max_norm = max_norm}});
        CHECK(again.trainer.run().bad_steps == 2);
      }
}

TEST_CASE("trainer: too many steps in a row that are not finite stop the run") {
  TemporaryFolder folder;
  for (const bool late : {false, true}) {
    TrainOptions o = options(folder / (late ? "late" : "now"));
    o.save_every = 2;
    o.max_bad_steps = 2;
    const auto message = [&]<class T>(std::type_identity<T>) {
      Cpu cpu(1);
      T training(cpu, {.seed = 1});
      albef::Loader data = loader(4);
      albef::Trainer<T, albef::Loader> trainer(training, data, o);
      return error_of([&] { trainer.run(); });
    };
    const std::string checkpoint = o.output + "/checkpoint.safetensors";
    const std::string expected = concat(
        "step 5: the gradient is not finite (epoch 1, batch 0); nothing was updated, nor in the 2 "
        "steps before, the last checkpoint is ",
        checkpoint);
    CHECK((late ? message(std::type_identity<SpoiledLate>{})
                : message(std::type_identity<Spoiled>{})) == expected);
  }
}

TEST_CASE("trainer: numbers that are not finite are no learning rates") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.lr = INFINITY;
  CHECK(error_of([&] { Process p(o); }) == "lr is inf, expected a finite number of at least 0");
  o.lr = 1e-3, o.min_lr = NAN;
  CHECK(error_of([&] { Process p(o); }) == "min_lr is nan, expected a finite number of at least 0");
  o.min_lr = 0, o.max_bad_steps = -1;
  CHECK(error_of([&] { Process p(o); }) == "max_bad_steps is -1, expected at least 0");
}

TEST_CASE("trainer: every pass has a number of its own, which names its draws") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.accumulate = 2;
  Process p(o);
  std::vector<std::uint64_t> numbers;
  p.training.on_pass = [&](std::uint64_t pass) { numbers.push_back(pass); };
  p.trainer.run();
  CHECK(numbers == std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7});
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
  const albef::TrainingOptions quiet{.seed = 1, .dropout = false};
  Training once(cpu, quiet, {.queue_size = 0}), twice(cpu, quiet, {.queue_size = 0});
  auto data = loader(4);
  const albef::PairBatch& batch = data.next();
  albef::PassLosses losses;
  const albef::Step step{.number = 5, .alpha = 0.4};
  once.accumulate(batch, step, losses);
  once.update(1e-3);
  twice.accumulate(batch, step, losses);
  twice.accumulate(batch, step, losses);
  twice.update(1e-3, 0.5);
  double worst = 0;
  for (std::int64_t i = 0; i < once.store().size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(once.store().data(Plane::online)[i] -
                                                         twice.store().data(Plane::online)[i])));
  CHECK(worst < 1e-6);
}

TEST_CASE(
    "trainer: a run in the folder, and files that are not a run's, stay unless told otherwise") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.max_steps = 1;
  Process(o).trainer.run();
  CHECK(error_of([&] { Process again(o); }) ==
        folder / "run: there is a run already; resume or overwrite it, or choose another folder");
  CHECK(error_of([&] { Process none(resuming(options(folder / "new"))); }) ==
        folder / "new/checkpoint.safetensors: there is nothing to resume from");
  const std::string theirs = folder / "theirs/results.json";
  std::filesystem::create_directory(folder / "theirs");
  albef::write_file(theirs, "mine");
  CHECK(error_of([&] { Process mixed(options(folder / "theirs")); }) ==
        theirs + ": the file is there, and not of a run; overwrite it or choose another folder");
  CHECK(albef::read_file(theirs) == "mine");
  o.existing = albef::Existing::overwrite;
  CHECK(Process(o).trainer.run().steps == 1);
}

TEST_CASE("trainer: validations are metrics of the run; one that was lost is made up for") {
  TemporaryFolder folder;
  const auto validated = [&](Process& p, std::vector<double> scores) {
    p.trainer.validate([scores, n = std::size_t{0}]() mutable {
      const double score = scores.at(n++);
      if (score < 0) albef::fail("killed while validating");
      return albef::Validation{score, {{"accuracy", score}, {"names", "no number"}}};
    });
  };
  TrainOptions o = options(folder / "run");
  o.epochs = 3;
  Process whole(o);
  validated(whole, {0.5, 0.75, 0.25});
  whole.trainer.run();
  const auto* scores = whole.trainer.history().find("val.accuracy");
  REQUIRE(scores != nullptr);
  CHECK(scores->values == std::vector<double>{0.5, 0.75, 0.25});
  CHECK(scores->steps == std::vector<double>{4, 9, 14});
  CHECK(whole.trainer.best().text() == "best epoch 2: 75.0 %");
  const auto results = nlohmann::json::parse(albef::read_file(folder / "run/results.json"));
  CHECK(results.at("epoch") == 2);
  CHECK(results.at("accuracy") == 0.75);
  const std::string best = folder / "run/checkpoint_best.safetensors";
  CHECK(albef::SafeTensors::open(best).metadata().at("validation.score") == "0.75");
  CHECK(albef::SafeTensors::open(best).find("image_queue") == nullptr);

  // One run dies in its second validation, and in its third, which is the end of training.
  TrainOptions p = options(folder / "parts");
  p.epochs = 3;
  {
    Process first(p);
    validated(first, {0.5, -1});
    CHECK(error_of([&] { first.trainer.run(); }) == "killed while validating");
  }
  {
    Process second(resuming(p));
    validated(second, {0.75, -1});
    CHECK(error_of([&] { second.trainer.run(); }) == "killed while validating");
  }
  Process third(resuming(p));
  validated(third, {0.25});
  CHECK(third.trainer.run().finished);
  CHECK(equal(whole.training, third.training, Plane::online));
  for (const char* name : {"/metrics.jsonl", "/results.json"})
    CHECK(albef::read_file(folder / ("run" + std::string(name))) ==
          albef::read_file(folder / ("parts" + std::string(name))));
}

TEST_CASE(
    "trainer: the checkpoint before the newest stays, and is gone on from if that is damaged") {
  TemporaryFolder folder;
  const auto opts = [&](const char* name, int last) {
    TrainOptions o = options(folder / name);
    o.keep_last = last;
    o.save_every = 3;
    return o;
  };
  Process whole(opts("whole", 1));
  whole.trainer.run();
  CHECK_FALSE(std::filesystem::exists(folder / "whole/checkpoint.1.safetensors"));
  const auto step_of = [](const std::string& path) {
    return albef::SafeTensors::open(path).metadata().at("train.step");
  };
  const std::string run = folder / "run/", newest = run + "checkpoint.safetensors",
                    second = run + "checkpoint.1.safetensors",
                    third = run + "checkpoint.2.safetensors";
  Process(opts("run", 3)).trainer.run();
  CHECK(step_of(newest) == "10");
  CHECK(step_of(second) == "9");
  CHECK(step_of(third) == "6");
  CHECK_FALSE(std::filesystem::exists(run + "checkpoint.3.safetensors"));

  const auto goes_on = [&](const char* step, const std::string& why, int last) {
    const std::string told = folder / "told";
    std::FILE* const out = std::fopen(told.c_str(), "w");
    TrainOptions o = resuming(opts("run", last));
    o.progress.out = out;
    {
      Process p(o);
      CHECK(p.trainer.run().finished);
      CHECK(equal(whole.training, p.training, Plane::online));
      CHECK(equal(whole.training, p.training, Plane::exp_avg));
    }
    std::fclose(out);
    const std::string text = albef::read_file(told);
    INFO(text);
    CHECK(text.find("WARNING: " + why) == 0);
    CHECK(text.find(std::string("at step ") + step + "\n") != std::string::npos);
    CHECK(albef::read_file(folder / "whole/metrics.jsonl") ==
          albef::read_file(run + "metrics.jsonl"));
    CHECK(step_of(newest) == "10");
  };
  damage(newest);
  goes_on("9", newest + ": tensor '", 3);
  CHECK(step_of(second) == "9");  // not the damaged one
  std::filesystem::remove(newest);
  goes_on("9",
          newest +
              " is missing; the run goes on from the checkpoint before it, "
              "checkpoint.1.safetensors, at step 9",
          3);
  albef::write_file(newest, "");
  albef::write_file(second, albef::read_file(second).substr(0, 5000));
  goes_on("6", newest + ": has 0 bytes", 2);
  CHECK(step_of(second) == "9");
  CHECK_FALSE(std::filesystem::exists(third));
  damage(newest);
  damage(second);
  CHECK(
      error_of([&] { Process none(resuming(opts("run", 2))); }).starts_with(newest + ": tensor '"));
}

TEST_CASE("trainer: a checkpoint that says what cannot be is refused in one line") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.max_steps = 3;
  Process(o).trainer.run();
  const std::string path = folder / "run/checkpoint.safetensors", good = albef::read_file(path);
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"train.step", "-1"},
                                                        {"train.step", "nan"},
                                                        {"train.step", "1e300"},
                                                        {"train.step", "abc"},
                                                        {"train.step", ""},
                                                        {"train.step", "2.5"},
                                                        {"train.step", "11"},
                                                        {"train.epoch", "9e18"},
                                                        {"train.epoch", "3"},
                                                        {"train.batch", "6"},
                                                        {"train.batch", "-2"},
                                                        {"train.pairs", "inf"},
                                                        {"train.pairs", "1e17"},
                                                        {"train.seconds", "nan"},
                                                        {"train.seconds", "-3"},
                                                        {"train.seconds", "1e400"}}) {
    INFO(name, " ", value);
    albef::write_file(path, good);
    change_info(path, [&, n = name, v = value](auto& info) { info[n] = v; });
    const std::string error = error_of([&] { Process bad(resuming(o)); });
    CHECK(error.starts_with(path + ": entry '" + name + "' is '" + value + "', expected a "));
    CHECK(error.find('\n') == std::string::npos);
  }
  albef::write_file(path, good);
  CHECK(Process(resuming(o)).trainer.run().finished);
}

TEST_CASE("trainer: what is not finite is not saved, and the checkpoint stays") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.save_every = 2;
  Process p(o);
  const std::string path = p.trainer.checkpoint_path();
  std::string saved;
  p.training.on_pass = [&](std::uint64_t pass) {
    if (pass != 3) return;
    saved = albef::read_file(path);
    p.training.store().data(Plane::exp_avg_sq, Training::model.itm_head.bias)[1] = INFINITY;
  };
  CHECK(error_of([&] { p.trainer.run(); })
            .find("'optimizer.exp_avg_sq.itm_head.bias' is not finite "
                  "at 1: nothing was saved") != std::string::npos);
  CHECK(albef::read_file(path) == saved);
  CHECK(Process(resuming(o)).trainer.run().finished);
}

TEST_CASE("trainer: one run at a time in a folder; a dead one leaves no lock") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run"), over = o;
  over.existing = albef::Existing::overwrite;
  o.save_every = 2;
  {
    Process p(o);
    p.training.on_pass = [&](std::uint64_t pass) {
      if (pass != 3) return;
      for (const auto& other : {over, resuming(o)})
        CHECK(error_of([&] { Process second(other); }) ==
              folder / "run: another run is at work in the folder (process " +
                  std::to_string(::getpid()) + ")");
    };
    CHECK(p.trainer.run().finished);
    CHECK(Process(over).trainer.run().finished);
  }
  const pid_t child = ::fork();
  if (child == 0) {
    albef::RunFolder held(folder / "run");
    held.open(albef::Existing::overwrite);
    std::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(Process(over).trainer.run().finished);
}

TEST_CASE("trainer: unfinished files of dead processes are removed, all others stay") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.max_steps = 1;
  Process(o).trainer.run();
  pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ::waitpid(dead, nullptr, 0);
  const auto name = [&](const std::string& target, pid_t pid) {
    return folder / ("run/" + target + ".tmp-" + std::to_string(pid) + "-3");
  };
  const std::vector<std::string> go{
      name("checkpoint.next.safetensors", dead), name("checkpoint_best.safetensors", dead),
      name("metrics.jsonl", dead), folder / "run/checkpoint.next.safetensors"},
      stay{name("checkpoint.safetensors", 1), name("thesis.tex", dead),
           folder / "run/checkpoint.safetensors.tmp-", folder / "run/results.json.tmp-1-2-3"};
  for (const auto& path : go) albef::write_file(path, "x");
  for (const auto& path : stay) albef::write_file(path, "x");
  Process(resuming(o)).trainer.run();
  for (const auto& path : go) CHECK_FALSE(std::filesystem::exists(path));
  for (const auto& path : stay) CHECK(std::filesystem::exists(path));
}

TEST_CASE(
    "trainer: whatever has the name of a run's file is not touched in a folder without mark") {
  TemporaryFolder folder;
  const std::string home = std::filesystem::current_path();
  for (const char* name :
       {"checkpoint_best.safetensors", "checkpoint_03.safetensors", "results.json", "metrics.jsonl",
        "summary.json", "losses.png", "vocab.txt", "tokenizer.json", "run.json"})
    for (const bool here : {false, true}) {
      INFO(name);
      const std::string place = folder / (name + std::string(here ? ".here" : ".there"));
      std::filesystem::create_directory(place);
      albef::write_file(place + "/" + name, "mine");
      if (here) std::filesystem::current_path(place);
      const std::string error = error_of([&] { Process p(options(here ? "." : place)); });
      std::filesystem::current_path(home);
      CHECK(error.find(std::string("/") + name + ": the file is there, and not of a run") !=
            std::string::npos);
      CHECK(albef::read_file(place + "/" + name) == "mine");
      CHECK(std::distance(std::filesystem::directory_iterator(place), {}) == 1);
    }
  // In a run's folder, what is left of it when its checkpoint is gone is still somebody's result.
  TrainOptions o = options(folder / "run");
  o.max_steps = 1;
  Process(o).trainer.run();
  std::filesystem::remove(folder / "run/checkpoint.safetensors");
  CHECK(error_of([&] { Process again(o); }).find("there is a run already") != std::string::npos);
  albef::write_file(folder / "run/notes.txt", "mine");
  o.existing = albef::Existing::overwrite;
  Process(o).trainer.run();
  CHECK(albef::read_file(folder / "run/notes.txt") == "mine");
}

TEST_CASE("trainer: a folder that is removed while the run is at work is made anew") {
  TemporaryFolder folder;
  Process whole(options(folder / "whole"));
  whole.trainer.run();
  TrainOptions o = options(folder / "run");
  o.save_every = 2;
  const std::string told = folder / "told";
  std::FILE* const out = std::fopen(told.c_str(), "w");
  o.progress.out = out;
  {
    Process p(o);
    p.training.on_pass = [&](std::uint64_t pass) {
      if (pass == 5) std::filesystem::remove_all(folder / "run");
    };
    CHECK(p.trainer.run().finished);
  }
  std::fclose(out);
  CHECK(albef::read_file(told).find("WARNING: " + folder / "run: the run's files were removed") !=
        std::string::npos);
  for (const char* name : {"run.json", "checkpoint.safetensors", "summary.json"})
    CHECK(std::filesystem::exists(folder / ("run/" + std::string(name))));
  CHECK(albef::read_file(folder / "whole/metrics.jsonl") ==
        albef::read_file(folder / "run/metrics.jsonl"));
  Process again(resuming(o));
  CHECK(equal(whole.training, again.training, Plane::online));
}

TEST_CASE("trainer: a folder that is removed by the last validation, or after the last save") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.epochs = 1;
  Process p(o);
  p.trainer.validate([&] {
    std::filesystem::remove_all(folder / "run");
    return albef::Validation{0.5, {}};
  });
  CHECK(p.trainer.run().finished);
  for (const char* name : {"run.json", "checkpoint.safetensors", "checkpoint_best.safetensors",
                           "results.json", "metrics.jsonl", "summary.json"})
    CHECK(std::filesystem::exists(folder / ("run/" + std::string(name))));
  Process again(resuming(o));
  CHECK(equal(p.training, again.training, Plane::exp_avg));
  CHECK(again.trainer.best().epoch() == 1);
}

TEST_CASE("trainer: the checkpoint of an epoch is kept by the next process if the last did not") {
  TemporaryFolder folder;
  TrainOptions o = options(folder / "run");
  o.keep_epochs = true;
  o.epochs = 1;
  Process(o).trainer.run();
  const std::string kept = folder / "run/checkpoint_00.safetensors", good = albef::read_file(kept);
  std::filesystem::remove(kept);
  Process(resuming(o)).trainer.run();
  CHECK(albef::read_file(kept) == good);
}

TEST_CASE("trainer: the best epoch when a process is stopped between any two of its files") {
  TemporaryFolder folder;
  const auto validated = [&](Process& p, std::vector<double> scores) {
    p.trainer.validate([scores, n = std::size_t{0}]() mutable {
      const double score = scores.at(n++);
      return albef::Validation{score, {{"accuracy", score}}};
    });
  };
  const auto opts = [&](const std::string& name) { return options(folder / name); };
  {
    Process p(opts("whole"));
    validated(p, {0.5, 0.75});
    p.trainer.run();
  }
  const auto all = [&](const std::string& name) {
    std::string text;
    for (const char* file : {"metrics.jsonl", "results.json"})
      text += albef::read_file(folder / (name + "/" + file));
    const auto best = albef::SafeTensors::open(folder / (name + "/checkpoint_best.safetensors"));
    return text + best.metadata().at("epoch") + best.metadata().at("validation.score");
  };
  // What there is of the second epoch's validation: nothing, the weights, results.json as well,
  // half a line of the log as well; and weights that were damaged.
  for (const int there : {0, 1, 2, 3, 4}) {
    CAPTURE(there);
    const std::string name = "run" + std::to_string(there), run = folder / (name + "/");
    {
      Process p(opts(name));
      validated(p, {0.5, 0.75});
      const std::string first = run + "checkpoint_best.safetensors";
      p.training.on_pass = [&](std::uint64_t pass) {
        if (pass != 5) return;
        for (const char* file : {"checkpoint_best.safetensors", "results.json"})
          std::filesystem::copy_file(run + file, run + file + std::string(".first"));
      };
      p.trainer.run();
    }
    for (const char* file : {"checkpoint_best.safetensors", "results.json"})
      if (there == 0 || (there == 1 && file == std::string("results.json")))
        std::filesystem::rename(run + file + std::string(".first"), run + file);
    std::string log = albef::read_file(run + "metrics.jsonl");
    log.resize(log.rfind("{\"step\":9,\"val") + (there == 3 ? 15 : 0));
    albef::write_file(run + "metrics.jsonl", log);
    if (there == 4) damage(run + "checkpoint_best.safetensors");
    Process again(resuming(opts(name)));
    validated(again, {0.75});
    again.trainer.run();
    CHECK(again.trainer.best().text() == "best epoch 2: 75.0 %");
    CHECK(all(name) == all("whole"));
  }
}

TEST_CASE("trainer: a score that is no number is no better than one that is") {
  TemporaryFolder folder;
  const auto run = [&](TrainOptions o, std::vector<double> scores) {
    Process p(o);
    p.trainer.validate([scores, n = std::size_t{0}]() mutable {
      return albef::Validation{scores.at(n++), {}};
    });
    p.trainer.run();
    return p.trainer.best().epoch();
  };
  TrainOptions o = options(folder / "a");
  o.epochs = 3;
  CHECK(run(o, {NAN, 0.25, NAN}) == 2);
  TrainOptions one = options(folder / "b"), rest = one;
  one.max_steps = 5;
  CHECK(run(one, {NAN}) == 1);
  CHECK(run(resuming(rest), {0.5}) == 2);
}

}  // namespace trainer_test
