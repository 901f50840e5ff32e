// DINO's training: a student learns from crops of a picture what its own moving average says of two
// of them (main_dino.py).
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "albef/data/crop_batch.hpp"
#include "albef/loss/center.hpp"
#include "albef/models/dino.hpp"
#include "albef/models/inputs.hpp"
#include "albef/ops/self_distillation.hpp"
#include "albef/optim/schedule.hpp"
#include "albef/train/training.hpp"

namespace albef {

/// Numbers of main_dino.py by their names there.
struct DinoOptions {
  double student_temp = 0.1, center_momentum = 0.9;
  /// Of the teacher: in equal steps from the first to the second over so many epochs.
  double warmup_teacher_temp = 0.04, teacher_temp = 0.04;
  int warmup_teacher_temp_epochs = 0;
  bool norm_last_layer = true;  ///< the last layer's rows keep length 1: weight_g is not trained
  int freeze_last_layer = 1;    ///< epochs in which the last layer is not trained

  double teacher_temp_at(double epoch) const {
    return LinearRamp{warmup_teacher_temp, teacher_temp, warmup_teacher_temp_epochs}.at(
        static_cast<std::int64_t>(epoch));
  }
};

/// DINO as an objective, in a configuration C (see Dino). The batch's first group are the
/// global crops, which the teacher sees; the student sees all. The teacher's moving average and its
/// schedule are those of Training, after each update.
template <class C>
struct DinoTraining {
  using Model = Dino<C>;
  using Config = typename Model::Config;
  using Batch = CropBatch;
  static constexpr bool distills = true;
  DinoOptions options = {};

  template <class Ctx>
  struct State {
    TeacherCenter<typename Ctx::Device, typename Ctx::Master> center;
    Mat<const typename Ctx::Master> teacher{};  ///< (global crops B, out_dim) of the pass under way

    State(typename Ctx::Device& device, const DinoTraining& o, std::uint64_t)
        : center(device, Config::out_dim, o.options.center_momentum) {}
    void named(auto&& f) { center.named(f); }
    void advance(Ctx&) { center.collect(teacher); }
    void commit(const double* square_norm) { center.commit(square_norm); }
  };

  template <class Ctx>
  auto operator()(Ctx& ctx, const Model& model, const CropBatch& batch, const Step& step,
                  State<Ctx>& state) const {
    detail::check_batch(batch);
    const auto crops = [&](int i) {
      const CropGroup& g = batch.groups[static_cast<std::size_t>(i)];
      return upload_images<Config>(ctx, g.images, g.size, g.size);  // (crops B, 3, S, S)
    };
    return loss(ctx, model, static_cast<int>(batch.groups.size()), crops, batch.size, step, state);
  }
  /// The same for crops(i) that give those of size i of `batch` pictures as Images.
  template <class Ctx>
  auto loss(Ctx& ctx, const Model& model, int sizes, const auto& crops, int batch, const Step& step,
            State<Ctx>& state) const {
    const auto global = crops(0);
    const auto all = [&](int i) { return i == 0 ? global : crops(i); };
    state.teacher = ctx.frozen(Plane::ema, [&] { return model(ctx, 1, all); }).mat();
    const auto student = model(ctx, sizes, all);  // (1, crops B, out_dim)
    return self_distillation(ctx, student, state.teacher, state.center.data(), batch,
                             options.student_temp, options.teacher_temp_at(step.epoch));
  }

  OptimizerGroups groups() const {
    OptimizerGroups groups;
    if (options.norm_last_layer) groups.add({.name = "head.last_layer.weight_g", .frozen = true});
    return groups.add({.name = "head.last_layer.*", .first_epoch = options.freeze_last_layer});
  }
  CheckpointInfo course() const {
    const DinoOptions& o = options;
    return {{"dino.student_temp", concat(o.student_temp)},
            {"dino.teacher_temp", concat(o.warmup_teacher_temp, " to ", o.teacher_temp, " over ",
                                         o.warmup_teacher_temp_epochs)},
            {"dino.center_momentum", concat(o.center_momentum)}};
  }
  /// Where every output is alike: the features have collapsed.
  std::vector<PlateauRule> plateaus(int) const {
    return {{"loss", std::log(static_cast<double>(Config::out_dim))}};
  }
};

}  // namespace albef
