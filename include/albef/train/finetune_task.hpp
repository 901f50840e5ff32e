// The downstream tasks for the trainer: the values of a model, and one forward and backward pass.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/data/pair_batch.hpp"
#include "albef/io/pretrained.hpp"
#include "albef/models/nlvr.hpp"
#include "albef/models/ve.hpp"
#include "albef/models/vqa.hpp"
#include "albef/train/pass_losses.hpp"
#include "albef/train/plateau.hpp"
#include "albef/train/pretrain_task.hpp"

namespace albef {

/// Weights and context of a model M that is trained; what the trainer asks of every task.
template <class M, class Device = Cpu, class Precision = Fp32>
class FinetuneTask {
 public:
  using Model = M;
  using Config = typename M::Config;
  using Store = ParamStore<Device, Precision>;
  using Ctx = Context<Device, Precision>;
  using Real = typename Ctx::Real;
  using Master = typename Ctx::Master;
  static constexpr auto model = laid_out<M>();

  /// Without `distills` there are no momentum weights, and alpha must be 0.
  FinetuneTask(Device& device, std::uint64_t seed, bool distills = true)
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
  /// Reports the loss; back-propagates it unless it is known not to be finite (then the trainer
  /// stops).
  void learn(const Tensor<Master, 1>& loss) {
    losses_.open();
    losses_.fetch("loss", loss.data);
    if (losses_.close()) ctx_.backward(loss);
  }

  Store store_;
  Ctx ctx_;
  LossReadings<Device, Master> losses_;
};

/// Retrieval and grounding: pairs of pictures and texts; batch.image_ids says which pairs show the
/// same picture, also across batches.
template <class C, class Device = Cpu, class Precision = Fp32>
using RetrievalTask = PretrainTask<C, RetrievalObjectives, Device, Precision>;

/// Tasks that choose one of a few classes: M has logits(ctx, input), upload(ctx, ClassBatch) and
/// `classes`.
template <class M, class Device = Cpu, class Precision = Fp32>
class ClassifierTask : public FinetuneTask<M, Device, Precision> {
 public:
  using Base = FinetuneTask<M, Device, Precision>;
  using Base::Base;

  /// Starts the forward and backward pass of one batch, which adds to the store's gradient.
  /// `number` names the pass for its random draws, `alpha` is the weight of the soft targets.
  void start(const ClassBatch& host, std::uint64_t number, double alpha) {
    auto& ctx = this->ctx_;
    ctx.begin_step(number);
    const auto in = M::upload(ctx, host);
    require(in.labels != nullptr, "the batch has no labels to learn");
    this->learn(classify(ctx, Base::model, in, alpha).loss);
  }
  std::vector<PlateauRule> plateaus(int) const {
    return {{"loss", std::log(static_cast<double>(M::classes))}};
  }
};
template <class C, class Device = Cpu, class Precision = Fp32>
using VeTask = ClassifierTask<AlbefVe<C>, Device, Precision>;
template <class C, class Device = Cpu, class Precision = Fp32>
using NlvrTask = ClassifierTask<AlbefNlvr<C>, Device, Precision>;

/// Visual question answering.
template <class C, class Device = Cpu, class Precision = Fp32>
class VqaTask : public FinetuneTask<AlbefVqa<C>, Device, Precision> {
 public:
  using Base = FinetuneTask<AlbefVqa<C>, Device, Precision>;
  using Base::Base;

  /// As ClassifierTask::start().
  void start(const VqaBatch& host, std::uint64_t number, double alpha) {
    auto& ctx = this->ctx_;
    ctx.begin_step(number);
    const auto in = AlbefVqa<C>::upload(ctx, host, rows_);
    this->learn(vqa_loss(ctx, Base::model, in, alpha));
  }

 private:
  AnswerRows<typename Base::Real> rows_;
};

/// Text-assignment pre-training of the paired encoder, on pairs of pictures and texts.
template <class C, class Device = Cpu, class Precision = Fp32>
class TextAssignmentTask : public FinetuneTask<AlbefNlvrPretrain<C>, Device, Precision> {
 public:
  using Base = FinetuneTask<AlbefNlvrPretrain<C>, Device, Precision>;

  TextAssignmentTask(Device& device, std::uint64_t seed, AssignmentOptions options = {})
      : Base(device, seed, false), options_(options) {}

  /// As ClassifierTask::start(); there is no distillation.
  void start(const PairBatch& host, std::uint64_t number, double) {
    auto& ctx = this->ctx_;
    ctx.begin_step(number);
    const auto image = upload_images<C>(ctx, std::span<const std::uint8_t>(host.images));
    const auto text = upload_tokens<C>(ctx, host.text);
    this->learn(assign_texts(ctx, Base::model, image, text, host.image_ids, options_).loss);
  }
  std::vector<PlateauRule> plateaus(int) const { return {{"loss", std::log(3.0)}}; }

 private:
  AssignmentOptions options_;
};

}  // namespace albef
