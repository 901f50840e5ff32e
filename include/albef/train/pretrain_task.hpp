// Pre-training as a task for the trainer: model values, queues, and one forward and backward pass.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "albef/data/pair_batch.hpp"
#include "albef/tasks/pretrain.hpp"
#include "albef/train/training_task.hpp"

namespace albef {

/// Everything ALBEF's pre-training with `Objectives` (a Pretrain<...>) needs on one device. The
/// queue's size may differ from the configuration's.
template <class C, class Objectives = AlbefObjectives, class Device = Cpu, class Precision = Fp32>
class PretrainTask : public TrainingTask<Albef<C>, Device, Precision> {
 public:
  using Base = TrainingTask<Albef<C>, Device, Precision>;
  using Real = typename Base::Real;
  using Master = typename Base::Master;
  using Losses = typename Base::Losses;
  using Queue = FeatureQueue<Device, Master>;
  using Base::model;

  PretrainTask(Device& device, std::uint64_t seed, int queue_size = C::queue_size,
               PretrainOptions options = {})
      : Base(device, seed),
        queue_(device, Objectives::momentum_features ? queue_size : 0, C::embed_dim, seed),
        objectives_{options} {}

  Queue& queue() { return queue_; }

  /// Starts from a checkpoint, e.g. to fine-tune; see load_pretrained(). The features of queues of
  /// the same size are taken over, as the official fine-tuning does; whose they are is not known.
  LoadReport start_from(const std::string& path, bool resize_positions = false) {
    LoadReport report = Base::start_from(path, resize_positions);
    if (load_queue_features(queue_, store_.device(), path)) report.loaded += 2;
    return report;
  }

  /// Starts the forward and backward pass of one batch, which adds to the store's gradient and
  /// advances the queue. `number` names the pass for its random draws, `alpha` is the weight of the
  /// soft targets. Unless `deferred`, a loss that is not finite leaves gradient and queue alone.
  void start(const PairBatch& host, std::uint64_t number, double alpha) {
    ctx_.begin_step(number);
    PretrainBatch<Real, C> batch;
    batch.image = upload_images<C>(ctx_, host.images);
    batch.text = upload_tokens<C>(ctx_, host.text);
    upload_masked<C>(ctx_, host.masked, batch);
    batch.identities = ctx_.upload(host.image_ids);
    const auto result = objectives_(ctx_, model, batch, queue_, alpha);
    const bool learned = this->learn(result.loss,
                                     {{"itc", result.loss_itc.data},
                                      {"itm", result.loss_itm.data},
                                      {"mlm", result.loss_mlm.data}},
                                     store_.data(Plane::online, model.temp));
    if constexpr (Objectives::momentum_features)
      if (learned)
        queue_.push(result.image_m.mat(), result.text_m.mat(),
                    Objectives::by_identity ? batch.identities : nullptr);
  }
  /// Both: a pass and its losses.
  void accumulate(const PairBatch& host, std::uint64_t number, double alpha, Losses& losses) {
    start(host, number, alpha);
    this->finish(losses);
  }

  /// How many pairs of a batch fit into the device's memory: halves it until a pass succeeds; 0 if
  /// not even two do. The gradient and the queue are of no use afterwards.
  int fitting_pairs(const PairBatch& host) {
    Losses losses;
    for (int n = host.size; n >= 2; n /= 2) try {
        this->losses_.forget();  // nobody will ask for what an interrupted pass left
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
  auto checkpoint() { return Base::checkpoint().with(queue_); }

  std::vector<PlateauRule> plateaus(int batch_size) const {
    return {{"itc", itc_plateau(queue_.size(), batch_size)},
            {"itm", itm_plateau(), 0.005},
            {"mlm", mlm_plateau(C::vocab_size)}};
  }

 private:
  using Base::ctx_;
  using Base::store_;
  Queue queue_;
  Objectives objectives_;
};

/// Retrieval and grounding: pairs of pictures and texts; batch.image_ids says which pairs show the
/// same picture, also across batches.
template <class C, class Device = Cpu, class Precision = Fp32>
using RetrievalTask = PretrainTask<C, RetrievalObjectives, Device, Precision>;

}  // namespace albef
