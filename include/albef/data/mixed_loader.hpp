// Several data sets in one run: of each step's batch, one of them is drawn.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/batch_loader.hpp"

namespace albef {

/// A part of a run in which the data sets are drawn with these weights.
struct MixedStage {
  std::int64_t steps = 0;         ///< how long; the last stage never ends
  std::vector<double> weights{};  ///< one a data set; empty: all are drawn alike
};

struct MixedOptions {
  std::uint64_t seed = 42;
  std::int64_t steps_per_epoch = 0;  ///< what counts as an epoch; 0: the batches of all data sets
  int accumulate = 1;                ///< batches of a step, which are of one data set
  std::vector<MixedStage> stages{};  ///< empty: one stage, all data sets alike
};

/// Loaders as one (TorchMultimodal's MultiDataModule): each step takes its batches from one of
/// them, drawn by weight. Which one is a function of the seed and the step's number alone, so that
/// it is the same in all processes of a run and after a resume; the data sets may be of any sizes,
/// each starts again by itself when it is used up, and goes on where it was when it is drawn again.
///
/// position() is the number of batches handed out, as epoch and batch. A batch says its place in
/// its own data set.
template <class Batch>
class MixedLoader {
 public:
  using Loader = BatchLoader<Batch>;

  /// The loaders have one batch size. Throws Error for weights out of range.
  MixedLoader(std::vector<std::unique_ptr<Loader>> parts, MixedOptions options)
      : parts_(std::move(parts)), options_(std::move(options)), taken_(parts_.size()) {
    require(!parts_.empty(), "loader: no data set given");
    require(options_.accumulate > 0, "accumulate is ", options_.accumulate,
            ", expected at least 1");
    if (options_.steps_per_epoch == 0)
      for (const auto& part : parts_)
        options_.steps_per_epoch += part->batches_per_epoch() / options_.accumulate;
    require(options_.steps_per_epoch > 0, "an epoch has ", options_.steps_per_epoch,
            " steps, expected at least 1");
    if (options_.stages.empty()) options_.stages.emplace_back();
    for (const auto& part : parts_)
      require(part->options().batch_size == parts_.front()->options().batch_size,
              "loaders with batches of ", parts_.front()->options().batch_size, " and ",
              part->options().batch_size, " examples, expected one size");
    for (MixedStage& stage : options_.stages) check(stage);
  }

  /// The next batch, valid until the next call.
  Batch& next() {
    const std::size_t part = part_of(number_of(position_));
    Batch& batch = parts_[part]->next();
    ++taken_[part];
    if (++position_.batch == batches_per_epoch()) ++position_.epoch, position_.batch = 0;
    return batch;
  }
  LoaderPosition position() const { return position_; }
  /// The next batch will be the one at `position`: every draw before it is counted again.
  void seek(const LoaderPosition& position) {
    require(position.epoch >= 0 && position.batch >= 0 && position.batch < batches_per_epoch(),
            "loader position epoch ", position.epoch, ", batch ", position.batch,
            ", expected a batch below ", batches_per_epoch(), ": other data or batch size?");
    std::fill(taken_.begin(), taken_.end(), 0);
    const std::int64_t number = number_of(position);
    for (std::int64_t first = 0; first < number; first += options_.accumulate)
      taken_[part_of(first)] += std::min<std::int64_t>(options_.accumulate, number - first);
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const std::int64_t epoch = parts_[i]->batches_per_epoch();
      parts_[i]->seek({taken_[i] / epoch, taken_[i] % epoch});
    }
    position_ = position;
  }
  std::int64_t batches_per_epoch() const { return options_.steps_per_epoch * options_.accumulate; }
  /// Those that all data sets have in common.
  const LoaderOptions& options() const { return parts_.front()->options(); }

  /// The number of the data set that step `step` draws.
  std::size_t drawn(std::int64_t step) const {
    const MixedStage* stage = options_.stages.data();
    for (std::int64_t begin = 0; stage != &options_.stages.back(); ++stage) {
      begin += stage->steps;
      if (step < begin) break;
    }
    const auto& weights = stage->weights;
    constexpr std::uint64_t purpose = 0x0DA7A010;  // no other stream of the seed has this name
    RandomStream random(options_.seed, mix(purpose, static_cast<std::uint64_t>(step)));
    double left = random.uniform() * std::accumulate(weights.begin(), weights.end(), 0.0);
    std::size_t last = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] == 0) continue;
      last = i;
      if (left < weights[i]) break;
      left -= weights[i];
    }
    return last;
  }
  /// Batches that were handed out, by data set.
  std::span<const std::int64_t> taken() const { return taken_; }

 private:
  void check(MixedStage& stage) const {
    if (stage.weights.empty()) stage.weights.assign(parts_.size(), 1);
    require(stage.weights.size() == parts_.size(), "got ", stage.weights.size(), " weights for ",
            parts_.size(), " data sets");
    require(stage.steps >= 0, "a stage has ", stage.steps, " steps, expected at least 0");
    bool any = false;
    for (const double weight : stage.weights) {
      require(weight >= 0 && std::isfinite(weight), "the weight of a data set is ", weight,
              ", expected a number of at least 0");
      any = any || weight > 0;
    }
    require(any, "all data sets have weight 0");
  }
  std::int64_t number_of(const LoaderPosition& p) const {
    return p.epoch * batches_per_epoch() + p.batch;
  }
  std::size_t part_of(std::int64_t batch) const { return drawn(batch / options_.accumulate); }

  std::vector<std::unique_ptr<Loader>> parts_;
  MixedOptions options_;
  std::vector<std::int64_t> taken_;  // batches, by part
  LoaderPosition position_;
};

}  // namespace albef
