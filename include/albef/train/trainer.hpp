// Trains a task over a loader; the loop itself is in training_loop.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/readback.hpp"
#include "albef/data/loader.hpp"
#include "albef/train/training_loop.hpp"

namespace albef {

/// Runs a task (see PretrainTask) over a loader. Everything a resume needs is in the checkpoint:
/// weights, momentum weights, optimizer, queues, step (which is also the state of all random
/// draws) and the loader's position, so that a resumed run equals one that never stopped.
///
/// A task has the types Store and Losses, `deferred`, start(batch, number, alpha), finish(losses),
/// store(), checkpoint(), info(), check(path, info) and plateaus(batch size). A loader is like
/// Loader and hands out the batches the task takes, which have size, indices, epoch and batch.
template <class Task, class LoaderT = Loader>
class Trainer : public TrainingLoop<typename Task::Losses> {
  using Losses = typename Task::Losses;
  using Loop = TrainingLoop<Losses>;
  using Device = typename Task::Store::Device;

 public:
  /// `extra` is kept in every checkpoint, e.g. the vocabulary. Error if the output folder cannot be
  /// written to.
  Trainer(Task& task, LoaderT& loader, TrainOptions options, CheckpointInfo extra = {})
      : Loop(std::move(options), std::move(extra),
             {loader.batches_per_epoch(), loader.options().batch_size, Task::deferred}),
        task_(task),
        loader_(loader),
        optimizer_(this->options().optimizer),
        norms_{Norm(task.store().device()), Norm(task.store().device())} {}

 private:
  /// The gradient's norm of a step; its square is on its way to the host.
  struct Norm {
    explicit Norm(Device& device) : square(device, 1) {}
    GradientNorm norm;
    Readback<Device, double> square;
  };

  int start_pass(std::uint64_t number, double alpha, typename Loop::Place& place) override {
    const auto& batch = loader_.next();
    place = {batch.epoch, batch.batch, batch.indices};
    task_.start(batch, number, alpha);
    return batch.size;
  }
  void finish_pass(Losses& losses) override { task_.finish(losses); }
  void update(std::int64_t step, double lr) override {
    const TrainOptions& options = this->options();
    Norm& n = norms_[step % 2];
    n.norm = optimizer_.step(
        task_.store(), lr, 1.0 / options.accumulate,
        task_.store().has(Plane::ema) ? std::optional(options.momentum) : std::nullopt);
    if (!n.norm.square) return;
    n.square.clear();
    n.square.fetch(n.norm.square);
    n.square.close();
  }
  double gradient_norm(std::int64_t step) override {
    Norm& n = norms_[step % 2];
    return n.norm.of(n.square.wait().front());
  }
  LoaderPosition position() const override {
    const auto position = loader_.position();
    return {position.epoch, position.batch};
  }
  void seek(LoaderPosition position) override { loader_.seek({position.epoch, position.batch}); }
  std::vector<PlateauRule> plateaus() const override {
    return task_.plateaus(loader_.options().batch_size);
  }
  CheckpointInfo info() const override { return task_.info(); }
  void save(const std::string& path, const CheckpointInfo& info) override {
    task_.checkpoint().with(optimizer_).save(path, info);
  }
  CheckpointInfo load(const std::string& path, const CheckpointInfo& found) override {
    Task::check(path, found);
    return task_.checkpoint().with(optimizer_).load(path).info;
  }

  Task& task_;
  LoaderT& loader_;
  AdamW optimizer_;
  Norm norms_[2];  // of the step under way, and of the one before
};

}  // namespace albef
