// The options of DINO's loss and of the head's last layer.
#pragma once

#include <cstdint>

#include "albef/checkpoint/info.hpp"
#include "albef/core/error.hpp"
#include "albef/optim/groups.hpp"
#include "albef/optim/schedule.hpp"

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

  /// What the optimizer treats otherwise.
  OptimizerGroups groups() const {
    OptimizerGroups groups;
    if (norm_last_layer)
      groups.add({.name = "head.last_layer.weight_g", .frozen = true, .may_be_empty = true});
    return groups.add(
        {.name = "head.last_layer.*", .first_epoch = freeze_last_layer, .may_be_empty = true});
  }
  /// What a resumed run must have in common.
  CheckpointInfo course() const {
    return {{"dino.student_temp", concat(student_temp)},
            {"dino.teacher_temp", concat(warmup_teacher_temp, " to ", teacher_temp, " over ",
                                         warmup_teacher_temp_epochs)},
            {"dino.center_momentum", concat(center_momentum)}};
  }
};

}  // namespace albef
