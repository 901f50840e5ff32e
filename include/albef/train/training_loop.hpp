// The training loop without model and data: schedule, accumulation, metrics, validation,
// checkpoints, resume and stopping.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/checkpoint/info.hpp"
#include "albef/core/compiled.hpp"
#include "albef/core/file.hpp"
#include "albef/optim/schedule.hpp"
#include "albef/train/metrics.hpp"
#include "albef/train/objective.hpp"
#include "albef/train/pass_losses.hpp"
#include "albef/train/plateau.hpp"
#include "albef/train/progress.hpp"
#include "albef/train/run_folder.hpp"
#include "albef/train/signals.hpp"
#include "albef/train/validation.hpp"

namespace albef {

/// What a run is made of besides model and data. Learning rates as in optim/schedule.hpp.
struct TrainOptions {
  std::string output = "run";  ///< folder for checkpoint.safetensors, metrics.jsonl, summary.json
  Existing existing = Existing::refuse;  ///< what fit() does with a run that is there already
  int epochs = 30;
  std::int64_t max_steps = 0;  ///< stop after this many optimizer steps in all; 0: after `epochs`
  /// Batches per optimizer step. Their losses are averaged; those that compare all examples with
  /// each other (Contrastive) are the losses of one large batch.
  int accumulate = 1;
  double lr = 1e-4, min_lr = 1e-5, warmup_lr = 1e-5;
  bool official_schedule = false;  ///< stairs of the official loop instead of per-iteration cosine
  bool dino_schedule = false;      ///< warm-up that ends at lr, see CosineSchedule
  int warmup = 1000;               ///< iterations; units of 100 iterations with official_schedule
  double alpha = 0.4;              ///< weight of the momentum model's targets
  int alpha_epochs = 1;  ///< epochs over which alpha grows from 0 (the paper: one; 0: at once)
  std::int64_t save_every = 0;  ///< optimizer steps between checkpoints; 0: each epoch
  int keep_last = 2;            ///< checkpoints that stay: the newest, and those before it
  bool keep_epochs = false;     ///< also keep checkpoint_<epoch>.safetensors of every epoch
  int plateau_steps = 200;      ///< block length of the no-learning warning
  /// A step whose loss or gradient is not finite changes nothing; more of them in a row than this
  /// stop the run.
  int max_bad_steps = 10;
  ProgressOptions progress = {};
};

/// How a run ended.
struct TrainSummary {
  std::int64_t steps = 0;  ///< optimizer steps of the whole run, resumed parts included
  std::int64_t pairs = 0;  ///< examples seen
  double seconds = 0;      ///< time spent training
  /// Steps that changed nothing, since their loss or gradient was not finite.
  std::int64_t bad_steps = 0;
  bool finished = false;  ///< false: stopped by a signal, to be resumed
  int signal = 0;
  double pairs_per_second() const { return seconds > 0 ? static_cast<double>(pairs) / seconds : 0; }
};

/// A place in the data: the batch that comes next.
struct DataPosition {
  std::int64_t epoch = 0, batch = 0;
};

/// What of Trainer does not depend on the types of training and loader.
class TrainingLoop {
 public:
  TrainingLoop(const TrainingLoop&) = delete;
  TrainingLoop& operator=(const TrainingLoop&) = delete;

  const RunFolder& folder() const { return folder_; }
  std::string checkpoint_path() const { return folder_.file(RunFolder::checkpoint); }
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

  /// Continues from this folder's newest checkpoint, exactly; false if there is none. If it cannot
  /// be read, is damaged or missing, the run goes on from the one before it, which is told. Error
  /// if it belongs to another configuration, another setting of what decides the run's course, or
  /// has another `extra`.
  bool resume();

  /// Trains to the end, or until SIGINT or SIGTERM: then the step is finished and a checkpoint
  /// written. Throws Error if losses or gradients of too many steps are not finite (naming step,
  /// loss and batch; the last checkpoint stays) or too many records are unusable.
  TrainSummary run();

  /// Calls f() after each epoch, once it is saved; its time does not count as training, its numbers
  /// become metrics of the run, and the weights of its best score are kept. f must leave the
  /// weights as they are, and needs a context of its own over the training's store (see Session).
  void validate(std::function<Validation()> f) { validate_ = std::move(f); }
  const BestEpoch& best() const { return best_; }

  /// The metrics of the run so far, after run().
  const MetricHistory& history() const { return history_; }

 protected:
  /// Takes the output folder, and goes on with the run there if that was asked for.
  void open_folder() {
    folder_.open(options_.existing);
    if (options_.existing == Existing::resume) resume();
  }

  /// Where a batch came from, for error messages.
  struct Place {
    std::int64_t epoch = 0, batch = 0;
    std::vector<std::int64_t> records;
  };
  /// What the loop must know of loader and training.
  struct Data {
    std::int64_t batches_per_epoch;
    int batch_size;
    bool deferred;  ///< the losses of a step are asked for after the next one was started
    bool clips;     ///< the gradient by its norm, which is then a metric
  };

  TrainingLoop(TrainOptions options, CheckpointInfo extra, Data data);
  ~TrainingLoop() = default;

  const TrainOptions& options() const { return options_; }
  /// Where a step stands in the schedules, which end with the last epoch.
  Pace pace(std::int64_t step) const {
    return {step, options_.epochs * steps_per_epoch(),
            static_cast<double>(step) / static_cast<double>(steps_per_epoch())};
  }

 private:
  using Clock = std::chrono::steady_clock;

  // What Trainer knows.

  /// Starts the forward and backward pass of the next batch and returns its size.
  virtual int start_pass(const Step& step, Place& place) = 0;
  /// The losses of the earliest pass that was started.
  virtual void finish_pass(PassLosses& losses) = 0;
  /// Updates the weights at the end of step `step`.
  virtual void update(std::int64_t step, double lr) = 0;
  /// The norm of the gradient of one of the last two steps; where it is not finite, the step has
  /// changed nothing.
  virtual double gradient_norm(std::int64_t step) = 0;
  virtual DataPosition position() const = 0;
  virtual void seek(DataPosition position) = 0;
  virtual std::vector<PlateauRule> plateaus() const = 0;
  /// What a checkpoint says of the model, and of the training's course.
  virtual CheckpointInfo info() const = 0;
  virtual CheckpointInfo training_course() const = 0;
  virtual void save(const std::string& path, const CheckpointInfo& info) = 0;
  /// The same without what only a resume needs.
  virtual void save_weights(const std::string& path, const CheckpointInfo& info) = 0;
  /// Reads a checkpoint that says `found` of the model, and returns what it says.
  virtual CheckpointInfo load(const std::string& path, const CheckpointInfo& found) = 0;
  /// Called after a validation, which may have left gradients.
  virtual void after_validation() = 0;

  /// A step that was started, and what its report needs.
  struct StepReport {
    bool open = false;  ///< not yet reported
    std::int64_t number = 0, pairs = 0;
    double lr = 0, alpha = 0;
    std::vector<Place> places;
    std::size_t finished = 0;           ///< passes whose losses are in `sums`
    std::vector<double> sums, metrics;  ///< means over the step's passes
    std::string bad;                    ///< what is not finite, and where; empty: nothing
  };

  void one_step(StepReport& s);

  /// Takes the losses of the next pass of a step.
  void add_losses(StepReport& s);

  /// Metrics, warnings and progress of a step, once.
  void report(StepReport& s, MetricsLog& log, Progress& progress, PlateauDetector& plateau,
              std::int64_t pairs_before);

  /// Notes a loss of the pass that is not finite.
  void check_losses(StepReport& s, const Place& place) const;
  /// Counts a step that is not finite and tells of it; Error if there are too many of them.
  void check_step(const StepReport& s, double norm, Progress& progress);

  /// Validates the weights after `step_` steps.
  void run_validation(MetricsLog& log, Progress& progress);
  /// Whether the last epoch was saved, and its validation lost.
  bool validation_is_due(const MetricHistory& history) const;

  /// Batches that do not fill a last accumulated step are left out.
  void skip_rest_of_epoch() {
    if (position().batch != 0) seek({position().epoch + 1, 0});
  }

  /// The settings that decide the course of a run; a resume must have the same.
  CheckpointInfo course() const;

  /// Goes on from one checkpoint, or throws Error and changes nothing.
  void resume_from(const std::string& name);
  /// Error unless a checkpoint says the same of what decides the run's course.
  void check_course(const std::string& path, const CheckpointInfo& found) const;

  /// Makes the run's folder again if it was removed; whether it was.
  bool restore_folder(MetricsLog& log, Progress& progress);
  void save(MetricsLog& log, Progress& progress);
  /// Keeps the checkpoint of the last epoch.
  void keep_epoch() const;
  void write_summary() const;

  /// Adds the time since started_ to the run's; a clock that was set back adds none.
  void count_time() {
    const auto now = Clock::now();
    if (now > started_) summary_.seconds += std::chrono::duration<double>(now - started_).count();
    started_ = now;
  }

  TrainOptions options_;
  RunFolder folder_;
  CheckpointInfo extra_;
  Data data_;
  std::function<Validation()> validate_;
  BestEpoch best_{folder_};
  std::int64_t step_ = 0, saved_step_ = -1;
  int bad_in_row_ = 0;
  std::string saved_ = RunFolder::checkpoint;  // the checkpoint that the run goes on from
  TrainSummary summary_;
  MetricHistory history_;
  Clock::time_point started_ = Clock::now();
  PassLosses losses_;
  StepReport steps_[2];  // the one under way, and the one before
  std::vector<NamedValue> values_;
  double last_score_ = std::nan("");  // of the last validation
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
namespace albef {

ALBEF_DATA_INLINE TrainingLoop::TrainingLoop(TrainOptions options, CheckpointInfo extra, Data data)
    : options_(std::move(options)),
      folder_(options_.output),
      extra_(std::move(extra)),
      data_(data) {
  require(options_.accumulate >= 1, "accumulate is ", options_.accumulate, ", expected at least 1");
  require(options_.epochs >= 1, "epochs is ", options_.epochs, ", expected at least 1");
  require(options_.max_bad_steps >= 0, "max_bad_steps is ", options_.max_bad_steps,
          ", expected at least 0");
  for (const auto& [name, rate] : {std::pair("lr", options_.lr),
                                   {"min_lr", options_.min_lr},
                                   {"warmup_lr", options_.warmup_lr}})
    require(rate >= 0 && std::isfinite(rate), name, " is ", rate,
            ", expected a finite number of at least 0");
  require(options_.keep_last >= 1, "keep_last is ", options_.keep_last, ", expected at least 1");
  require(steps_per_epoch() >= 1, "an epoch has ", data_.batches_per_epoch,
          " batches, fewer than accumulate = ", options_.accumulate);
}

ALBEF_DATA_INLINE double TrainingLoop::lr(std::int64_t step) const {
  if (options_.official_schedule)
    return OfficialSchedule{{.lr = options_.lr,
                             .min_lr = options_.min_lr,
                             .warmup_lr = options_.warmup_lr,
                             .warmup = options_.warmup,
                             .epochs = options_.epochs},
                            static_cast<int>(steps_per_epoch())}
        .lr(step);
  if (options_.dino_schedule)
    return CosineSchedule{options_.lr, options_.min_lr, options_.epochs * steps_per_epoch(),
                          options_.warmup, options_.warmup_lr}
        .at(step);
  return PerIteration{options_.lr, options_.min_lr, options_.warmup_lr, options_.warmup,
                      options_.epochs * steps_per_epoch()}
      .lr(step);
}

ALBEF_DATA_INLINE bool TrainingLoop::resume() {
  auto names = folder_.checkpoints();
  if (names.empty()) return false;
  std::string problem;
  if (names.front() != RunFolder::checkpoint) problem = checkpoint_path() + " is missing";
  std::exception_ptr first;
  for (const auto& name : names) try {
      resume_from(name);
      if (!problem.empty())
        std::fprintf(
            options_.progress.out,
            "WARNING: %s; the run goes on from the checkpoint before it, %s, at step %lld\n",
            problem.c_str(), name.c_str(), static_cast<long long>(step_));
      return true;
    } catch (const Error& error) {
      if (!first) first = std::current_exception();
      problem += concat(problem.empty() ? "" : "; ", error.what());
    }
  std::rethrow_exception(first);
}

ALBEF_DATA_INLINE void TrainingLoop::check_course(const std::string& path,
                                                  const CheckpointInfo& found) const {
  const CheckpointInfo course = this->course();
  std::vector<std::pair<std::string, std::string>> now{{"train.epochs", course.at("train.epochs")}};
  now.insert(now.end(), course.begin(), course.end());
  now.insert(now.end(), extra_.begin(), extra_.end());
  if (extra_.contains("vocab") && !extra_.contains("tokenizer"))  // one with BERT's options
    require(!found.contains("tokenizer"), path, ": the run was started with another tokenizer");
  for (const auto& [name, value] : now) {
    const auto it = found.find(name);
    const std::string what = name.starts_with("train.") ? name.substr(6) : name;
    if (it == found.end() && name.starts_with("data.")) continue;  // of an older version
    if (it == found.end() && found.contains("train.step"))
      fail(path, ": a run whose checkpoints do not say '", what,
           "': of an older version or of another kind; it cannot go on here, but a new run can "
           "start "
           "from its weights");
    require(it != found.end(), path, ": not a checkpoint of this kind of run: no entry '", name,
            "'");
    constexpr std::size_t readable = 60;
    if (it->second.size() > readable || value.size() > readable)
      require(it->second == value, path, ": the run was started with another ", what);
    require(it->second == value, path, ": the run was started with ", what, " ", it->second,
            ", now it is ", value);
  }
}

ALBEF_DATA_INLINE void TrainingLoop::resume_from(const std::string& name) {
  const std::string path = folder_.file(name);
  const CheckpointInfo found = SafeTensors::open(path).metadata();
  check_course(path, found);
  const auto number = [&](const char* entry, std::int64_t limit) {
    return static_cast<std::int64_t>(stated_number(path, found, entry, static_cast<double>(limit)));
  };
  constexpr std::int64_t exact = std::int64_t{1} << 53;  // whole numbers up to here
  const std::int64_t step = number("train.step", options_.epochs * steps_per_epoch()),
                     pairs = number("train.pairs", exact),
                     bad = found.contains("train.bad_steps") ? number("train.bad_steps", exact) : 0;
  const double seconds = stated_number(path, found, "train.seconds", 1e12, true);
  const DataPosition place{number("train.epoch", options_.epochs),
                           number("train.batch", data_.batches_per_epoch)};
  load(path, found);
  seek(place);
  step_ = step;
  summary_.pairs = pairs;
  summary_.seconds = seconds;
  summary_.bad_steps = bad;
  saved_ = name;
  if (name == RunFolder::checkpoint) saved_step_ = step;
  if (const std::string problem = best_.resume(); !problem.empty())
    std::fprintf(options_.progress.out, "WARNING: %s; the best epoch is looked for anew\n",
                 problem.c_str());
}

ALBEF_DATA_INLINE TrainSummary TrainingLoop::run() {
  StopGuard stop;
  const std::unique_ptr<RunFolder, void (*)(RunFolder*)> open(&folder_,
                                                              [](auto* f) { f->release(); });
  Progress progress(options_.progress);
  MetricsLog log(folder_.file(RunFolder::metrics), step_, folder_.file(RunFolder::damaged_metrics));
  if (!log.problem().empty()) progress.message("WARNING: " + log.problem());
  const int warmup = options_.warmup * (options_.official_schedule ? 100 : 1);
  PlateauDetector plateau(plateaus(), warmup, options_.plateau_steps);
  const std::int64_t pairs_before = summary_.pairs;
  started_ = Clock::now();
  const auto report_step = [&](StepReport& s) { report(s, log, progress, plateau, pairs_before); };
  // What the last process did not come to do.
  if (step_ > 0 && step_ % steps_per_epoch() == 0 && options_.keep_epochs) keep_epoch();
  if (validation_is_due(log.history())) run_validation(log, progress);
  while (step_ < total_steps() && !stop.stop_requested()) {
    StepReport& now = steps_[static_cast<std::size_t>(step_ % 2)];
    one_step(now);
    // The report of a step waits for its losses: where the device works on by itself, until the
    // next step is under way, or the weights are written.
    const bool epoch_ends = step_ % steps_per_epoch() == 0;
    const bool validates = validate_ && (epoch_ends || step_ == total_steps());
    const bool due = options_.save_every > 0 ? step_ % options_.save_every == 0 : epoch_ends;
    const bool keeps = epoch_ends && options_.keep_epochs;
    report_step(steps_[static_cast<std::size_t>(step_ % 2)]);
    if (!data_.deferred || due || keeps || validates || step_ == total_steps()) report_step(now);
    if (epoch_ends) skip_rest_of_epoch();
    // A validation that fails does not lose the epoch.
    if (due || keeps || validates) progress.aside([&] { save(log, progress); });
    if (keeps) keep_epoch();
    if (validates) progress.aside([&] { run_validation(log, progress); });
  }
  report_step(steps_[static_cast<std::size_t>((step_ + 1) % 2)]);
  if (restore_folder(log, progress) || saved_step_ != step_) save(log, progress);
  summary_.steps = step_;
  summary_.finished = step_ >= total_steps();
  summary_.signal = stop.signal();
  history_ = log.history();
  write_summary();
  return summary_;
}

ALBEF_DATA_INLINE void TrainingLoop::one_step(StepReport& s) {
  s.open = true;
  s.number = step_;
  s.lr = lr(step_), s.alpha = alpha(step_);
  s.finished = 0;
  s.sums.clear();
  s.metrics.clear();
  s.bad.clear();
  s.places.resize(static_cast<std::size_t>(options_.accumulate));
  Step step{.step = step_,
            .steps = total_steps(),
            .epoch = static_cast<double>(step_) / static_cast<double>(steps_per_epoch()),
            .alpha = s.alpha};
  for (int i = 0; i < options_.accumulate; ++i) {
    step.number = static_cast<std::uint64_t>(step_ * options_.accumulate + i);
    const int pairs = start_pass(step, s.places[static_cast<std::size_t>(i)]);
    if (!data_.deferred) add_losses(s);
    summary_.pairs += pairs;
  }
  s.pairs = summary_.pairs;
  update(s.number, s.lr);
  ++step_;
}

ALBEF_DATA_INLINE void TrainingLoop::add_losses(StepReport& s) {
  finish_pass(losses_);
  check_losses(s, s.places[s.finished++]);
  const auto add = [&](std::vector<double>& sums, const auto& values) {
    sums.resize(values.size(), 0.0);
    for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += values[k].second / options_.accumulate;
  };
  add(s.sums, losses_.losses);
  add(s.metrics, losses_.metrics);
}

ALBEF_DATA_INLINE void TrainingLoop::report(StepReport& s, MetricsLog& log, Progress& progress,
                                            PlateauDetector& plateau, std::int64_t pairs_before) {
  if (!s.open) return;
  while (s.finished < s.places.size()) add_losses(s);
  s.open = false;
  const double norm = gradient_norm(s.number);
  if (s.bad.empty() && !std::isfinite(norm))
    s.bad =
        concat("the gradient is not finite (epoch ", s.places.front().epoch, ", batch ",
               s.places.front().batch, s.places.size() > 1 ? " and those added to it" : "", ")");
  check_step(s, norm, progress);
  values_.clear();
  for (std::size_t k = 0; k < s.sums.size(); ++k)
    values_.emplace_back(losses_.losses[k].first, s.sums[k]);
  const std::size_t losses = values_.size();
  for (std::size_t k = 0; k < s.metrics.size(); ++k)
    values_.emplace_back(losses_.metrics[k].first, s.metrics[k]);
  if (data_.clips) values_.emplace_back("grad_norm", norm);
  if (summary_.bad_steps > 0)
    values_.emplace_back("bad_steps", static_cast<double>(summary_.bad_steps));
  const std::size_t shown = values_.size();
  values_.emplace_back("lr", s.lr);
  values_.emplace_back("alpha", s.alpha);
  log.write(s.number, values_);
  for (std::size_t k = 0; k < losses && s.bad.empty(); ++k) {
    const std::string warning = plateau.observe(s.number, values_[k].first, values_[k].second);
    if (!warning.empty()) progress.message(warning);
  }
  values_.resize(shown);
  if (!std::isnan(last_score_)) values_.emplace_back("val.score", last_score_);
  progress.update({.step = s.number + 1,
                   .total_steps = total_steps(),
                   .epoch = static_cast<int>(s.number / steps_per_epoch()) + 1,
                   .epochs = options_.epochs,
                   .pairs = s.pairs - pairs_before,
                   .losses = values_,
                   .lr = s.lr});
}

ALBEF_DATA_INLINE void TrainingLoop::check_losses(StepReport& s, const Place& place) const {
  for (const auto& [name, value] : losses_.losses) {
    if (std::isfinite(value) || !s.bad.empty()) continue;
    std::string records;
    for (std::size_t i = 0; i < std::min<std::size_t>(8, place.records.size()); ++i)
      records += (i ? ", " : "") + std::to_string(place.records[i]);
    s.bad =
        concat("the loss '", name, "' is not finite (epoch ", place.epoch, ", batch ", place.batch,
               ", records ", records, place.records.size() > 8 ? ", ..." : "", ")");
  }
}

ALBEF_DATA_INLINE void TrainingLoop::check_step(const StepReport& s, double norm,
                                                Progress& progress) {
  bad_in_row_ = s.bad.empty() ? 0 : bad_in_row_ + 1;
  if (s.bad.empty()) return;
  std::string what = concat("step ", s.number, ": ", s.bad);
  if (!std::isfinite(norm)) what += "; nothing was updated";
  const auto kept = folder_.checkpoints();
  if (bad_in_row_ > options_.max_bad_steps)
    fail(what, bad_in_row_ > 1 ? concat(", nor in the ", bad_in_row_ - 1, " steps before") : "",
         kept.empty() ? ", there is no checkpoint yet"
                      : concat(", the last checkpoint is ", folder_.file(kept.front())));
  constexpr std::int64_t told = 20;
  if (++summary_.bad_steps <= told) progress.message("warning: " + what);
}

ALBEF_DATA_INLINE bool TrainingLoop::validation_is_due(const MetricHistory& history) const {
  if (!validate_ || step_ == 0 || (step_ % steps_per_epoch() != 0 && step_ != total_steps()))
    return false;
  const MetricSeries* scores = history.find("val.score");
  return !scores || scores->steps.back() != static_cast<double>(step_ - 1);
}

ALBEF_DATA_INLINE void TrainingLoop::run_validation(MetricsLog& log, Progress& progress) {
  const auto before = Clock::now();
  const Validation validation = validate_();
  after_validation();
  if (restore_folder(log, progress)) save(log, progress);
  const auto epoch = static_cast<int>((step_ + steps_per_epoch() - 1) / steps_per_epoch());
  progress.message(concat("epoch ", epoch, ": validation ", percent(validation.score),
                          best_.is_best(epoch, validation.score) ? ", the best so far" : ""));
  CheckpointInfo info = this->info();
  info.insert(extra_.begin(), extra_.end());
  best_.add(
      epoch, validation, std::move(info),
      [this](const std::string& path, const CheckpointInfo& all) { save_weights(path, all); });
  last_score_ = validation.score;
  const auto numbers = validation.numbers();
  const std::vector<MetricsLog::Value> values(numbers.begin(), numbers.end());
  log.write(step_ - 1, values);
  started_ += std::max(Clock::now() - before, Clock::duration{});
}

ALBEF_DATA_INLINE CheckpointInfo TrainingLoop::course() const {
  CheckpointInfo course = training_course();
  course.merge(CheckpointInfo{{"train.batch_size", concat(data_.batch_size)},
                              {"train.batches_per_epoch", concat(data_.batches_per_epoch)},
                              {"train.accumulate", concat(options_.accumulate)},
                              {"train.epochs", concat(options_.epochs)},
                              {"train.lr", concat(options_.lr)},
                              {"train.min_lr", concat(options_.min_lr)},
                              {"train.warmup_lr", concat(options_.warmup_lr)},
                              {"train.warmup", concat(options_.warmup)},
                              {"train.schedule", options_.official_schedule ? "official"
                                                 : options_.dino_schedule   ? "dino"
                                                                            : "per iteration"},
                              {"train.alpha", concat(options_.alpha)},
                              {"train.alpha_epochs", concat(options_.alpha_epochs)}});
  return course;
}

ALBEF_DATA_INLINE bool TrainingLoop::restore_folder(MetricsLog& log, Progress& progress) {
  if (!folder_.restore()) return false;
  log.restore();
  progress.message(concat("WARNING: ", folder_.path(),
                          ": the run's files were removed while it runs; the folder is made anew, "
                          "and what is known of the run written into it"));
  if (const std::string problem = best_.resume(); !problem.empty())
    progress.message("WARNING: " + problem);
  return true;
}

ALBEF_DATA_INLINE void TrainingLoop::save(MetricsLog& log, Progress& progress) {
  count_time();
  restore_folder(log, progress);
  log.sync();  // a checkpoint never knows of more than the log
  CheckpointInfo info = this->info();
  info.merge(course());
  info.insert(extra_.begin(), extra_.end());
  info["train.step"] = concat(step_);
  info["train.epoch"] = concat(position().epoch);
  info["train.batch"] = concat(position().batch);
  info["train.pairs"] = concat(summary_.pairs);
  info["train.bad_steps"] = concat(summary_.bad_steps);
  info["train.seconds"] = concat(summary_.seconds);
  save(folder_.file(RunFolder::next_checkpoint), info);
  folder_.advance(options_.keep_last, saved_);
  saved_ = RunFolder::checkpoint;
  saved_step_ = step_;
  started_ = Clock::now();
}

ALBEF_DATA_INLINE void TrainingLoop::keep_epoch() const {
  const std::string kept = folder_.file(RunFolder::of_epoch(step_ / steps_per_epoch() - 1));
  link_or_copy(folder_.file(saved_), kept);
}

ALBEF_DATA_INLINE void TrainingLoop::write_summary() const {
  const nlohmann::ordered_json json = {
      {"train_seconds", summary_.seconds}, {"pairs_per_second", summary_.pairs_per_second()},
      {"steps", summary_.steps},           {"pairs", summary_.pairs},
      {"bad_steps", summary_.bad_steps},   {"finished", summary_.finished}};
  write_file(folder_.file(RunFolder::summary), json.dump(2) + '\n');
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
