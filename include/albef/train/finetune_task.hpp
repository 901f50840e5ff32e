// The downstream tasks for the trainer: one forward and backward pass of each. (Retrieval and
// grounding are a PretrainTask: pretrain_task.hpp.)
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/data/pair_batch.hpp"
#include "albef/models/nlvr.hpp"
#include "albef/models/ve.hpp"
#include "albef/models/vqa.hpp"
#include "albef/tasks/text_assignment.hpp"
#include "albef/train/training_task.hpp"

namespace albef {

/// Tasks that choose one of a few classes: M has logits(ctx, input), upload(ctx, ClassBatch) and
/// `classes`.
template <class M, class Device = Cpu, class Precision = Fp32>
class ClassifierTask : public TrainingTask<M, Device, Precision> {
 public:
  using Base = TrainingTask<M, Device, Precision>;
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
class VqaTask : public TrainingTask<AlbefVqa<C>, Device, Precision> {
 public:
  using Base = TrainingTask<AlbefVqa<C>, Device, Precision>;
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
class TextAssignmentTask : public TrainingTask<AlbefNlvrPretrain<C>, Device, Precision> {
 public:
  using Base = TrainingTask<AlbefNlvrPretrain<C>, Device, Precision>;

  TextAssignmentTask(Device& device, std::uint64_t seed, AssignmentOptions options = {})
      : Base(device, seed, false), options_(options) {}

  /// As ClassifierTask::start(); there is no distillation.
  void start(const PairBatch& host, std::uint64_t number, double) {
    auto& ctx = this->ctx_;
    ctx.begin_step(number);
    const auto image = upload_images<C>(ctx, host.images);
    const auto text = upload_tokens<C>(ctx, host.text);
    this->learn(assign_texts(ctx, Base::model, image, text, host.image_ids, options_).loss);
  }
  std::vector<PlateauRule> plateaus(int) const { return {{"loss", std::log(3.0)}}; }

 private:
  AssignmentOptions options_;
};

}  // namespace albef
