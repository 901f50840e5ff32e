// The training loop without model and data: schedule, accumulation, metrics, checkpoints, resume
// and stopping. A template of the losses only, so that a program with several models has it once.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/core/file.hpp"
#include "albef/data/batch_loader.hpp"
#include "albef/optim/adamw.hpp"
#include "albef/optim/schedule.hpp"
#include "albef/train/metrics.hpp"
#include "albef/train/plateau.hpp"
#include "albef/train/progress.hpp"
#include "albef/train/signals.hpp"

namespace albef {

/// What a run is made of besides model and data. Learning rates as in optim/schedule.hpp.
struct TrainOptions {
  std::string output = "run";  ///< folder for checkpoint.safetensors, metrics.jsonl, summary.json
  int epochs = 30;
  std::int64_t max_steps = 0;  ///< stop after this many optimizer steps in all; 0: after `epochs`
  int accumulate = 1;          ///< batches per optimizer step
  double lr = 1e-4, min_lr = 1e-5, warmup_lr = 1e-5;
  bool official_schedule = false;  ///< stairs of the official loop instead of per-iteration cosine
  int warmup = 1000;               ///< iterations; units of 100 iterations with official_schedule
  AdamWOptions optimizer = {};
  double momentum = 0.995;  ///< of the moving average; 0: the momentum model is the model itself
  double alpha = 0.4;       ///< weight of the momentum model's targets
  int alpha_epochs = 1;     ///< epochs over which alpha grows from 0 (the paper: one; 0: at once)
  std::uint64_t seed = 42;
  std::int64_t save_every = 0;  ///< optimizer steps between checkpoints; 0: each epoch
  bool keep_epochs = false;     ///< also keep checkpoint_<epoch>.safetensors of every epoch
  int plateau_steps = 200;      ///< block length of the no-learning warning
  ProgressOptions progress = {};
};

/// How a run ended.
struct TrainSummary {
  std::int64_t steps = 0;  ///< optimizer steps of the whole run, resumed parts included
  std::int64_t pairs = 0;  ///< image-text pairs seen
  double seconds = 0;      ///< time spent training
  bool finished = false;   ///< false: stopped by a signal, to be resumed
  int signal = 0;
  double pairs_per_second() const { return seconds > 0 ? static_cast<double>(pairs) / seconds : 0; }
};

/// What of Trainer does not depend on the types of task and loader.
template <class Losses>
class TrainingLoop {
 public:
  TrainingLoop(const TrainingLoop&) = delete;
  TrainingLoop& operator=(const TrainingLoop&) = delete;

  std::string checkpoint_path() const { return options_.output + "/checkpoint.safetensors"; }
  std::int64_t steps_per_epoch() const { return data_.batches_per_epoch / options_.accumulate; }
  std::int64_t total_steps() const {
    const std::int64_t all = options_.epochs * steps_per_epoch();
    return options_.max_steps > 0 ? std::min(all, options_.max_steps) : all;
  }
  /// Learning rate and weight of the soft targets at an optimizer step.
  double lr(std::int64_t step) const;
  double alpha(std::int64_t step) const {
    return AlphaRamp{options_.alpha, options_.alpha_epochs * steps_per_epoch()}.at(step);
  }

  /// Continues from this folder's checkpoint, exactly; false if there is none. Error if it belongs
  /// to another configuration, another setting of what decides the run's course, or has another
  /// `extra`.
  bool resume();

  /// Trains to the end, or until SIGINT or SIGTERM: then the step is finished and a checkpoint
  /// written. Throws Error if a loss is not finite (naming step, loss and batch; the last
  /// checkpoint stays) or too many records are unusable.
  TrainSummary run();

  /// Calls f(epochs done) after each epoch, e.g. to evaluate on a validation set and to keep the
  /// best weights; its time does not count as training. f must leave the weights as they are, and
  /// needs a context of its own over the task's store (the task's has dropout on).
  void after_epoch(std::function<void(int)> f) { after_epoch_ = std::move(f); }

  /// The metrics of the run so far, after run().
  const MetricHistory& history() const { return history_; }

 protected:
  /// Where a batch came from, for error messages.
  struct Place {
    std::int64_t epoch = 0, batch = 0;
    std::vector<std::int64_t> records;
  };
  /// What the loop must know of loader and task.
  struct Data {
    std::int64_t batches_per_epoch;
    int batch_size;
    bool deferred;  ///< the losses of a step are asked for after the next one was started
  };

  TrainingLoop(TrainOptions options, CheckpointInfo extra, Data data);

  ~TrainingLoop();

  const TrainOptions& options() const { return options_; }

 private:
  using Clock = std::chrono::steady_clock;

  // What Trainer knows.

  /// Starts the forward and backward pass of the next batch and returns its size.
  virtual int start_pass(std::uint64_t number, double alpha, Place& place) = 0;
  /// The losses of the earliest pass that was started.
  virtual void finish_pass(Losses& losses) = 0;
  /// Updates the weights at the end of step `step`.
  virtual void update(std::int64_t step, double lr) = 0;
  /// The norm of the gradient of one of the last two steps, where it is clipped.
  virtual double gradient_norm(std::int64_t step) = 0;
  virtual LoaderPosition position() const = 0;
  virtual void seek(LoaderPosition position) = 0;
  virtual std::vector<PlateauRule> plateaus() const = 0;
  /// What a checkpoint says of the model.
  virtual CheckpointInfo info() const = 0;
  virtual void save(const std::string& path, const CheckpointInfo& info) = 0;
  /// Reads a checkpoint that says `found` of the model, and returns what it says.
  virtual CheckpointInfo load(const std::string& path, const CheckpointInfo& found) = 0;

  /// A step that was started, and what its report needs.
  struct Step {
    bool open = false;  ///< not yet reported
    std::int64_t number = 0, pairs = 0;
    double lr = 0, alpha = 0, temperature = 0;
    std::vector<Place> places;
    std::size_t finished = 0;  ///< passes whose losses are in `sums`
    std::vector<double> sums;
  };

  void one_step(Step& s);

  /// Takes the losses of the next pass of a step.
  void add_losses(Step& s);

  /// Metrics, warnings and progress of a step, once.
  void report(Step& s, MetricsLog& log, Progress& progress, PlateauDetector& plateau,
              std::int64_t pairs_before);

  void check_finite(const Step& s, const Place& place) const;

  void call_after_epoch() {
    const auto before = Clock::now();
    after_epoch_(static_cast<int>(step_ / steps_per_epoch()));
    started_ += Clock::now() - before;
  }

  /// Batches that do not fill a last accumulated step are left out.
  void skip_rest_of_epoch() {
    if (position().batch != 0) seek({position().epoch + 1, 0});
  }

  /// The settings that decide the course of a run; a resume must have the same.
  CheckpointInfo course() const;

  void save();

  void keep(std::int64_t epoch) const;

  void write_summary() const;

  TrainOptions options_;
  CheckpointInfo extra_;
  Data data_;
  std::function<void(int)> after_epoch_;
  std::int64_t step_ = 0, saved_step_ = -1;
  TrainSummary summary_;
  MetricHistory history_;
  Clock::time_point started_ = Clock::now();
  Losses losses_;
  Step steps_[2];  // the one under way, and the one before
  std::vector<NamedValue> values_;
};

template <class Losses>
TrainingLoop<Losses>::TrainingLoop(TrainOptions options, CheckpointInfo extra, Data data)
    : options_(std::move(options)), extra_(std::move(extra)), data_(data) {
  require(options_.accumulate >= 1, "accumulate is ", options_.accumulate, ", expected at least 1");
  require(options_.epochs >= 1, "epochs is ", options_.epochs, ", expected at least 1");
  require(options_.momentum >= 0 && options_.momentum <= 1, "momentum is ", options_.momentum,
          ", expected 0 to 1");
  require(steps_per_epoch() >= 1, "an epoch has ", data_.batches_per_epoch,
          " batches, fewer than accumulate = ", options_.accumulate);
  std::error_code error;
  std::filesystem::create_directories(options_.output, error);
  require(!error, options_.output, ": ", error.message());
  require(::access(options_.output.c_str(), W_OK) == 0, options_.output,
          ": the folder is not writable");
}

template <class Losses>
TrainingLoop<Losses>::~TrainingLoop() = default;

template <class Losses>
double TrainingLoop<Losses>::lr(std::int64_t step) const {
  if (options_.official_schedule)
    return OfficialSchedule{{.lr = options_.lr,
                             .min_lr = options_.min_lr,
                             .warmup_lr = options_.warmup_lr,
                             .warmup = options_.warmup,
                             .epochs = options_.epochs},
                            static_cast<int>(steps_per_epoch())}
        .lr(step);
  return PerIteration{options_.lr, options_.min_lr, options_.warmup_lr, options_.warmup,
                      options_.epochs * steps_per_epoch()}
      .lr(step);
}

template <class Losses>
bool TrainingLoop<Losses>::resume() {
  const std::string path = checkpoint_path();
  if (::access(path.c_str(), F_OK) != 0) return false;
  const CheckpointInfo info = load(path, SafeTensors::open(path).metadata());
  const CheckpointInfo course = this->course();
  std::vector<std::pair<std::string, std::string>> now{{"train.epochs", course.at("train.epochs")}};
  now.insert(now.end(), course.begin(), course.end());
  now.insert(now.end(), extra_.begin(), extra_.end());
  for (const auto& [name, value] : now) {
    const auto it = info.find(name);
    require(it != info.end(), path, ": not a checkpoint of this kind of run: no entry '", name,
            "'");
    const std::string what = name.starts_with("train.") ? name.substr(6) : name;
    constexpr std::size_t readable = 60;
    if (it->second.size() > readable || value.size() > readable)
      require(it->second == value, path, ": the run was started with another ", what);
    require(it->second == value, path, ": the run was started with ", what, " ", it->second,
            ", now it is ", value);
  }
  const auto number = [&](const char* name) {
    const auto it = info.find(name);
    require(it != info.end(), path, ": no entry '", name, "'");
    return std::stod(it->second);
  };
  step_ = static_cast<std::int64_t>(number("train.step"));
  summary_.pairs = static_cast<std::int64_t>(number("train.pairs"));
  summary_.seconds = number("train.seconds");
  seek({static_cast<std::int64_t>(number("train.epoch")),
        static_cast<std::int64_t>(number("train.batch"))});
  return true;
}

template <class Losses>
TrainSummary TrainingLoop<Losses>::run() {
  StopGuard stop;
  MetricsLog log(options_.output + "/metrics.jsonl", step_);
  Progress progress(options_.progress);
  const int warmup = options_.warmup * (options_.official_schedule ? 100 : 1);
  PlateauDetector plateau(plateaus(), warmup, options_.plateau_steps);
  const std::int64_t pairs_before = summary_.pairs;
  started_ = Clock::now();
  const auto report_step = [&](Step& s) { report(s, log, progress, plateau, pairs_before); };
  while (step_ < total_steps() && !stop.stop_requested()) {
    Step& now = steps_[static_cast<std::size_t>(step_ % 2)];
    one_step(now);
    // The report of a step waits for its losses: where the device works on by itself, until the
    // next step is under way, or the weights are written.
    const bool epoch_ends = step_ % steps_per_epoch() == 0;
    const bool due = options_.save_every > 0 ? step_ % options_.save_every == 0 : epoch_ends;
    const bool keeps = epoch_ends && options_.keep_epochs;
    report_step(steps_[static_cast<std::size_t>(step_ % 2)]);
    if (!data_.deferred || due || keeps || (epoch_ends && after_epoch_) || step_ == total_steps())
      report_step(now);
    if (epoch_ends) skip_rest_of_epoch();
    // A validation that fails does not lose the epoch.
    if (due || keeps || (epoch_ends && after_epoch_)) progress.aside([&] { save(); });
    if (epoch_ends && after_epoch_) progress.aside([&] { call_after_epoch(); });
    if (keeps) keep(step_ / steps_per_epoch() - 1);
  }
  report_step(steps_[static_cast<std::size_t>((step_ + 1) % 2)]);
  if (saved_step_ != step_) save();
  summary_.steps = step_;
  summary_.finished = step_ >= total_steps();
  summary_.signal = stop.signal();
  history_ = log.history();
  write_summary();
  return summary_;
}

template <class Losses>
void TrainingLoop<Losses>::one_step(Step& s) {
  s.open = true;
  s.number = step_;
  s.lr = lr(step_), s.alpha = alpha(step_);
  s.finished = 0;
  s.sums.clear();
  s.places.resize(static_cast<std::size_t>(options_.accumulate));
  for (int i = 0; i < options_.accumulate; ++i) {
    const auto pass = static_cast<std::uint64_t>(step_ * options_.accumulate + i);
    const int pairs = start_pass(pass, s.alpha, s.places[static_cast<std::size_t>(i)]);
    if (!data_.deferred) add_losses(s);
    summary_.pairs += pairs;
  }
  s.pairs = summary_.pairs;
  update(s.number, s.lr);
  ++step_;
}

template <class Losses>
void TrainingLoop<Losses>::add_losses(Step& s) {
  finish_pass(losses_);
  check_finite(s, s.places[s.finished++]);
  s.sums.resize(losses_.values.size(), 0.0);
  for (std::size_t k = 0; k < s.sums.size(); ++k)
    s.sums[k] += losses_.values[k].second / options_.accumulate;
  s.temperature = losses_.temperature;
}

template <class Losses>
void TrainingLoop<Losses>::report(Step& s, MetricsLog& log, Progress& progress,
                                  PlateauDetector& plateau, std::int64_t pairs_before) {
  if (!s.open) return;
  while (s.finished < s.places.size()) add_losses(s);
  s.open = false;
  values_.clear();
  for (std::size_t k = 0; k < s.sums.size(); ++k)
    values_.emplace_back(losses_.values[k].first, s.sums[k]);
  const std::size_t losses = values_.size();
  values_.emplace_back("lr", s.lr);
  values_.emplace_back("alpha", s.alpha);
  if (!std::isnan(s.temperature)) values_.emplace_back("temp", s.temperature);
  if (options_.optimizer.max_norm > 0) values_.emplace_back("grad_norm", gradient_norm(s.number));
  log.write(s.number, values_);
  for (std::size_t k = 0; k < losses; ++k) {
    const std::string warning = plateau.observe(s.number, values_[k].first, values_[k].second);
    if (!warning.empty()) progress.message(warning);
  }
  progress.update({.step = s.number + 1,
                   .total_steps = total_steps(),
                   .epoch = static_cast<int>(s.number / steps_per_epoch()) + 1,
                   .epochs = options_.epochs,
                   .pairs = s.pairs - pairs_before,
                   .losses = std::span<const NamedValue>(values_).first(losses),
                   .lr = s.lr});
}

template <class Losses>
void TrainingLoop<Losses>::check_finite(const Step& s, const Place& place) const {
  for (const auto& [name, value] : losses_.values) {
    if (std::isfinite(value)) continue;
    std::string records;
    for (std::size_t i = 0; i < std::min<std::size_t>(8, place.records.size()); ++i)
      records += (i ? ", " : "") + std::to_string(place.records[i]);
    fail("step ", s.number, ": the loss '", name, "' is not finite (epoch ", place.epoch,
         ", batch ", place.batch, ", records ", records, place.records.size() > 8 ? ", ..." : "",
         "); nothing was ", data_.deferred ? "saved" : "updated", ", the last checkpoint is ",
         checkpoint_path());
  }
}

template <class Losses>
CheckpointInfo TrainingLoop<Losses>::course() const {
  return {{"train.batch_size", concat(data_.batch_size)},
          {"train.batches_per_epoch", concat(data_.batches_per_epoch)},
          {"train.accumulate", concat(options_.accumulate)},
          {"train.epochs", concat(options_.epochs)},
          {"train.seed", concat(options_.seed)},
          {"train.lr", concat(options_.lr)},
          {"train.min_lr", concat(options_.min_lr)},
          {"train.warmup_lr", concat(options_.warmup_lr)},
          {"train.warmup", concat(options_.warmup)},
          {"train.schedule", options_.official_schedule ? "official" : "per iteration"},
          {"train.weight_decay", concat(options_.optimizer.weight_decay)},
          {"train.betas", concat(options_.optimizer.beta1, ' ', options_.optimizer.beta2)},
          {"train.eps", concat(options_.optimizer.eps)},
          {"train.max_norm", concat(options_.optimizer.max_norm)},
          {"train.momentum", concat(options_.momentum)},
          {"train.alpha", concat(options_.alpha)},
          {"train.alpha_epochs", concat(options_.alpha_epochs)}};
}

template <class Losses>
void TrainingLoop<Losses>::save() {
  const auto now = Clock::now();
  summary_.seconds += std::chrono::duration<double>(now - started_).count();
  CheckpointInfo info = this->info();
  info.merge(course());
  info.insert(extra_.begin(), extra_.end());
  info["train.step"] = concat(step_);
  info["train.epoch"] = concat(position().epoch);
  info["train.batch"] = concat(position().batch);
  info["train.pairs"] = concat(summary_.pairs);
  info["train.seconds"] = concat(summary_.seconds);
  save(checkpoint_path(), info);
  saved_step_ = step_;
  started_ = Clock::now();
}

template <class Losses>
void TrainingLoop<Losses>::keep(std::int64_t epoch) const {
  char name[64];
  std::snprintf(name, sizeof name, "/checkpoint_%02lld.safetensors", static_cast<long long>(epoch));
  const std::string kept = options_.output + name, part = kept + ".part";
  std::error_code error;
  const auto copy = std::filesystem::copy_options::overwrite_existing;
  std::filesystem::copy_file(checkpoint_path(), part, copy, error);
  if (!error) std::filesystem::rename(part, kept, error);
  require(!error, kept, ": ", error.message());
}

template <class Losses>
void TrainingLoop<Losses>::write_summary() const {
  const nlohmann::ordered_json json = {{"train_seconds", summary_.seconds},
                                       {"pairs_per_second", summary_.pairs_per_second()},
                                       {"steps", summary_.steps},
                                       {"pairs", summary_.pairs},
                                       {"finished", summary_.finished}};
  write_file(options_.output + "/summary.json", json.dump(2) + '\n');
}

}  // namespace albef
