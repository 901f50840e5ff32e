// What every task has in common: weights, context, and the losses of a pass.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/checkpoint/pretrained.hpp"
#include "albef/core/context.hpp"
#include "albef/train/pass_losses.hpp"
#include "albef/train/plateau.hpp"

namespace albef {

class Cpu;

/// Weights and context of a model M that is trained on one device; see Trainer.
template <class M, class Device = Cpu, class Precision = Fp32>
class TrainingTask {
 public:
  using Model = M;
  using Config = typename M::Config;
  using Store = ParamStore<Device, Precision>;
  using Ctx = Context<Device, Precision>;
  using Real = typename Ctx::Real;
  using Master = typename Ctx::Master;
  static constexpr auto model = laid_out<M>();

  /// Without `distills` there are no momentum weights, and alpha must be 0.
  TrainingTask(Device& device, std::uint64_t seed, bool distills = true)
      : store_(device, model, distills ? Storage::momentum : Storage::training, seed),
        ctx_(device, store_, seed),
        losses_(device) {
    ctx_.set_dropout(true);
  }

  Store& store() { return store_; }
  Ctx& context() { return ctx_; }

  using Losses = PassLosses;
  /// See LossReadings.
  static constexpr bool deferred = LossReadings<Device, Master>::deferred;

  /// The losses of the earliest pass that was started and not yet asked for; waits for them.
  void finish(Losses& losses) { losses_.finish(losses); }

  /// Starts from a pre-training checkpoint; see load_pretrained().
  LoadReport start_from(const std::string& path, bool resize_positions = false) {
    return load_pretrained<M>(store_, path, resize_positions);
  }
  auto checkpoint() { return Checkpoint<Device, Precision>(store_); }
  CheckpointInfo info() const { return config_info<Config>(); }
  static void check(const std::string& path, const CheckpointInfo& info) {
    check_config<Config>(path, info);
  }
  std::vector<PlateauRule> plateaus(int) const { return {}; }

 protected:
  using Part = std::pair<std::string_view, const Master*>;
  /// Reports the loss, its parts (null: there is none of that name) and the temperature, if the
  /// model has one; back-propagates the loss unless one of them is known not to be finite (then
  /// false, and the trainer stops).
  bool learn(const Tensor<Master, 1>& loss, std::initializer_list<Part> parts = {},
             const Master* temperature = nullptr) {
    losses_.open();
    losses_.fetch("loss", loss.data);
    for (const auto& [name, data] : parts) losses_.fetch(name, data);
    if (temperature) losses_.fetch_temperature(temperature);
    if (!losses_.close()) return false;
    ctx_.backward(loss);
    return true;
  }

  Store store_;
  Ctx ctx_;
  LossReadings<Device, Master> losses_;
};

}  // namespace albef
