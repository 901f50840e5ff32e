// The centre of a teacher's outputs: what keeps self-distillation from collapsing to one class.
#pragma once

#include <cstddef>
#include <cstdint>

#include "albef/core/memory.hpp"
#include "albef/core/primitives/elementwise.hpp"
#include "albef/core/primitives/optimizer.hpp"

namespace albef {

/// A moving average (width), zero at first, of the mean of the teacher's logits over a step
/// (main_dino.py, DINOLoss.update_center). Logits are collected pass by pass after the loss was
/// computed and move the centre at the end of the step, if it changes anything.
template <class Device, class Real>
class TeacherCenter {
 public:
  TeacherCenter(Device& device, int width, double momentum)
      : device_(device), momentum_(momentum), center_(device, width), sum_(device, width) {
    fill_zero(device_, center_.data(), center_.bytes());
  }

  /// (width) on the device.
  const Real* data() const { return center_.data(); }
  int width() const { return static_cast<int>(center_.size()); }

  /// Lists the centre as the official checkpoints have it, (1, width).
  void named(auto&& f) { f("dino_loss.center", center_.data(), {1, width()}); }

  /// Adds the logits of a pass, (rows, width).
  void collect(Mat<const Real> teacher) {
    run(device_, primitive::ColumnSum<Real>{
                     .x = teacher, .sum = sum_.data(), .beta = rows_ == 0 ? Real(0) : Real(1)});
    rows_ += teacher.rows;
  }
  /// center = momentum * center + (1 - momentum) * mean of what was collected; nothing where
  /// *square_norm, a word of the device, is infinite or NaN.
  void commit(const double* square_norm = nullptr) {
    if (rows_ == 0) return;
    run(device_, primitive::EmaUpdate<Real>{.ema = center_.data(),
                                            .param = sum_.data(),
                                            .size = width(),
                                            .momentum = momentum_,
                                            .scale = 1.0 / static_cast<double>(rows_),
                                            .square_norm = square_norm});
    rows_ = 0;
  }

 private:
  Device& device_;
  double momentum_;
  Buffer<Device, Real> center_, sum_;
  std::int64_t rows_ = 0;
};

}  // namespace albef
