// Pre-training as a task for the trainer: model values, queues, and one forward and backward pass.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "albef/data/pair_batch.hpp"
#include "albef/io/pretrained.hpp"
#include "albef/models/inputs.hpp"
#include "albef/train/pass_losses.hpp"
#include "albef/train/plateau.hpp"

namespace albef {

class Cpu;

/// Everything ALBEF's pre-training with `Objectives` (a Pretrain<...>) needs on one device. The
/// queue's size may differ from the configuration's.
template <class C, class Objectives = AlbefObjectives, class Device = Cpu, class Precision = Fp32>
class PretrainTask {
 public:
  using Config = C;
  using Store = ParamStore<Device, Precision>;
  using Ctx = Context<Device, Precision>;
  using Real = typename Ctx::Real;
  using Master = typename Ctx::Master;
  using Queue = FeatureQueue<Device, Master>;
  static constexpr auto model = laid_out<Albef<C>>();

  PretrainTask(Device& device, std::uint64_t seed, int queue_size = C::queue_size,
               PretrainOptions options = {})
      : store_(device, model, Storage::momentum, seed),
        ctx_(device, store_, seed),
        queue_(device, Objectives::momentum_features ? queue_size : 0, C::embed_dim, seed),
        objectives_{options},
        losses_(device) {
    ctx_.set_dropout(true);
  }

  Store& store() { return store_; }
  Ctx& context() { return ctx_; }
  Queue& queue() { return queue_; }

  /// Starts from a checkpoint with fresh queues, e.g. to fine-tune; see load_pretrained().
  LoadReport start_from(const std::string& path, bool resize_positions = false) {
    return load_pretrained<Albef<C>>(store_, path, resize_positions);
  }

  using Losses = PassLosses;
  /// See LossReadings.
  static constexpr bool deferred = LossReadings<Device, Master>::deferred;

  /// Starts the forward and backward pass of one batch, which adds to the store's gradient and
  /// advances the queue. `number` names the pass for its random draws, `alpha` is the weight of the
  /// soft targets. Unless `deferred`, a loss that is not finite leaves gradient and queue alone.
  void start(const PairBatch& host, std::uint64_t number, double alpha) {
    ctx_.begin_step(number);
    PretrainBatch<Real, C> batch;
    batch.image = upload_images<C>(ctx_, std::span<const std::uint8_t>(host.images));
    batch.text = upload_tokens<C>(ctx_, host.text);
    upload_masked<C>(ctx_, host.masked, batch);
    batch.identities = ctx_.upload(host.image_ids);
    const auto result = objectives_(ctx_, model, batch, queue_, alpha);
    losses_.open();
    losses_.fetch("loss", result.loss.data);
    losses_.fetch("itc", result.loss_itc.data);
    losses_.fetch("itm", result.loss_itm.data);
    losses_.fetch("mlm", result.loss_mlm.data);
    losses_.fetch_temperature(store_.data(Plane::online, model.temp));
    if (!losses_.close()) return;
    ctx_.backward(result.loss);
    if constexpr (Objectives::momentum_features)
      queue_.push(result.image_m.mat(), result.text_m.mat(),
                  Objectives::by_identity ? batch.identities : nullptr);
  }
  /// The losses of the earliest pass that was started and not yet asked for; waits for them.
  void finish(Losses& losses) { losses_.finish(losses); }
  /// Both: a pass and its losses.
  void accumulate(const PairBatch& host, std::uint64_t number, double alpha, Losses& losses) {
    start(host, number, alpha);
    finish(losses);
  }

  /// How many pairs of a batch fit into the device's memory: halves it until a pass succeeds; 0 if
  /// not even two do. The gradient and the queue are of no use afterwards.
  int fitting_pairs(const PairBatch& host) {
    Losses losses;
    for (int n = host.size; n >= 2; n /= 2) try {
        losses_.forget();  // nobody will ask for what an interrupted pass left
        ctx_.release();
        accumulate(first_pairs(host, n), 0, 0.4, losses);
        return n;
      } catch (const OutOfMemory&) {}
    return 0;
  }

  double temperature() const {
    Master value;
    copy_to_host(store_.device(), &value,
                 static_cast<const Master*>(store_.data(Plane::online, model.temp)), 1);
    return static_cast<double>(value);
  }

  /// Weights, momentum weights and queues, to which the trainer adds the optimizer.
  auto checkpoint() { return Checkpoint<Device, Precision>(store_).with(queue_); }
  CheckpointInfo info() const { return config_info<C>(); }
  static void check(const std::string& path, const CheckpointInfo& info) {
    check_config<C>(path, info);
  }

  std::vector<PlateauRule> plateaus(int batch_size) const {
    return {{"itc", itc_plateau(queue_.size(), batch_size)},
            {"itm", itm_plateau(), 0.005},
            {"mlm", mlm_plateau(C::vocab_size)}};
  }

 private:
  Store store_;
  Ctx ctx_;
  Queue queue_;
  Objectives objectives_;
  LossReadings<Device, Master> losses_;
};

}  // namespace albef
