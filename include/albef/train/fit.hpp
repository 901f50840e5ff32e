// Trains an objective over a loader: fit(), and Trainer, its parts one by one.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/readback.hpp"
#include "albef/train/training.hpp"
#include "albef/train/training_loop.hpp"

namespace albef {

/// Runs a Training over a loader. Everything a resume needs is in the checkpoint: weights, momentum
/// weights, optimizer, named state, step (which is also the state of all random draws) and the
/// loader's position, so that a resumed run equals one that never stopped.
///
/// A loader hands out by next() the batches the objective takes, which have size, indices, epoch
/// and batch, and has position(), seek(), batches_per_epoch() and options().batch_size, as
/// BatchLoader does.
template <class T, class LoaderT>
class Trainer final : public TrainingLoop {
  using Device = typename T::Device;
  static_assert(
      requires(LoaderT & loader) {
        loader.next();
        loader.position();
        loader.seek(loader.position());
        loader.batches_per_epoch();
        loader.options().batch_size;
      },
      "Trainer: the loader lacks next(), position(), seek(), batches_per_epoch() or "
      "options().batch_size");
  static_assert(
      requires(LoaderT & loader, const typename T::Batch& b, void (*take)(decltype(b))) {
        take(loader.next());
      },
      "Trainer: the loader's batches are not those the objective learns from (its Batch)");

 public:
  /// `extra` is kept in every checkpoint, e.g. the vocabulary. Error if the output folder cannot be
  /// written to, has a run or files that options.existing says nothing of, or is another run's, at
  /// work there; it is this one's until run() returns.
  Trainer(T& training, LoaderT& loader, TrainOptions options, CheckpointInfo extra = {})
      : TrainingLoop(std::move(options), std::move(extra),
                     {loader.batches_per_epoch(), loader.options().batch_size, T::deferred,
                      training.options().optimizer.max_norm > 0}),
        training_(training),
        loader_(loader),
        norms_{Norm(training.device()), Norm(training.device())} {
    this->open_folder();
  }

 private:
  /// The gradient's norm of a step; its square is on its way to the host while it is `open`.
  struct Norm {
    explicit Norm(Device& device) : square(device, 1) {}
    GradientNorm norm;
    Readback<Device, double> square;
    bool open = false;
    double value = 0;
  };

  int start_pass(const Step& step, Place& place) override {
    if constexpr (T::shares_features)
      if (this->options().accumulate > 1) return start_part(step, place);
    const auto& batch = loader_.next();
    place = {batch.epoch, batch.batch, batch.indices};
    training_.start(batch, step);
    return batch.size;
  }
  /// The same where the passes of a step see the features of each other.
  int start_part(const Step& step, Place& place) requires T::shares_features {
    const auto passes = static_cast<std::size_t>(this->options().accumulate);
    const std::size_t k = step.number % passes;
    parts_.resize(passes);
    if (k == 0) {
      for (auto& part : parts_) part = loader_.next();
      training_.share_features(parts_, step);
    }
    place = {parts_[k].epoch, parts_[k].batch, parts_[k].indices};
    training_.start_part(parts_, k, step);
    return parts_[k].size;
  }
  void finish_pass(PassLosses& losses) override { training_.finish(losses); }
  void update(std::int64_t step, double lr) override {
    gradient_norm(step + 1);  // of the step before, which this one builds on: it is known by now
    Norm& n = norms_[step % 2];
    n.norm = training_.update(lr, 1.0 / this->options().accumulate, this->pace(step));
    n.square.clear();
    n.square.fetch(n.norm.square);
    n.square.close();
    n.open = true;
  }
  double gradient_norm(std::int64_t step) override {
    Norm& n = norms_[step % 2];
    if (n.open) {
      n.value = n.norm.of(n.square.wait().front());
      n.open = false;
      if (T::deferred && !std::isfinite(n.value)) training_.take_back();
    }
    return n.value;
  }
  DataPosition position() const override {
    const auto position = loader_.position();
    return {position.epoch, position.batch};
  }
  void seek(DataPosition position) override { loader_.seek({position.epoch, position.batch}); }
  std::vector<PlateauRule> plateaus() const override {
    const int batches = T::shares_features ? this->options().accumulate : 1;
    return training_.plateaus(loader_.options().batch_size * batches);
  }
  CheckpointInfo info() const override { return training_.info(); }
  CheckpointInfo training_course() const override {
    CheckpointInfo course = training_.course();
    if constexpr (requires { loader_.options().seed; })
      course["data.seed"] = concat(loader_.options().seed);
    if constexpr (requires { described(loader_.options().decode); })
      for (const auto& [name, value] : described(loader_.options().decode))
        course["data." + name] = value;
    return course;
  }
  void save(const std::string& path, const CheckpointInfo& info) override {
    training_.checkpoint().save(path, info);
  }
  void save_weights(const std::string& path, const CheckpointInfo& info) override {
    training_.model_checkpoint().save(path, info);
  }
  CheckpointInfo load(const std::string& path, const CheckpointInfo& found) override {
    T::check(path, found);
    return training_.checkpoint().load(path).info;
  }
  void after_validation() override { training_.store().clear_gradients(); }

  T& training_;
  LoaderT& loader_;
  std::vector<typename T::Batch> parts_;  // of a step whose passes share features
  Norm norms_[2];                         // of the step under way, and of the one before
};

/// What fit() is told beside the options.
struct FitExtras {
  CheckpointInfo info = {};  ///< kept in every checkpoint; a run that goes on must have the same
  std::function<Validation()> validate = {};  ///< see TrainingLoop::validate()
};

/// Trains to the end, or to a signal: learning-rate schedule, checkpoints, metrics.jsonl, progress,
/// validation, the best epoch; goes on with the run in options.output if told so. See Trainer.
///   Training<MyObjective> training(cpu);
///   fit(training, loader, {.output = "run", .epochs = 10, .lr = 5e-4});
template <class T, class LoaderT>
TrainSummary fit(T& training, LoaderT& loader, const TrainOptions& options, FitExtras extras = {}) {
  Trainer trainer(training, loader, options, std::move(extras.info));
  trainer.validate(std::move(extras.validate));
  return trainer.run();
}

}  // namespace albef
