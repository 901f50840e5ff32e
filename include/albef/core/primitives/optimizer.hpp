// Passes over the flat planes of a parameter store.
#pragma once

#include <cstdint>
#include <span>

#include "albef/core/matrix.hpp"

namespace albef {

/// A stretch of the flat parameter buffer that one optimizer step treats alike.
struct AdamWRun {
  std::int64_t offset = 0, size = 0;
  std::int64_t shift = 0;  ///< grad and moments hold element i at i - shift; a multiple of 64
  bool touched = true;     ///< false: no gradient arrived; only the moving average moves
  double lr_factor = 1;    ///< on the learning rate
  double weight_decay = 0;
  double correction1 = 1, correction2 = 1;  ///< 1 - beta^t
  /// Clipping: with square_norm = the sum of squares of the raw gradient of all that is clipped
  /// together, on the device, the gradient is also multiplied by
  /// min(1, max_norm / (grad_scale * sqrt(*square_norm) + 1e-6)). Null: not clipped.
  const double* square_norm = nullptr;
  double max_norm = 0;
};

/// Elements [offset, offset + size) of a plane.
struct Stretch {
  std::int64_t offset = 0, size = 0;
};

namespace primitive {

/// Fused optimizer pass over `runs`: decoupled weight decay, Adam moments, update, and (if ema is
/// set) ema = momentum * ema + (1 - momentum) * param with the new param. The new values are also
/// written to `copy` and `ema_copy` where set: the weights in the type C kernels read.
template <class T, class C = T>
struct AdamW {
  T* param = nullptr;
  const T* grad = nullptr;
  T* exp_avg = nullptr;
  T* exp_avg_sq = nullptr;
  T* ema = nullptr;
  C* copy = nullptr;
  C* ema_copy = nullptr;
  std::span<const AdamWRun> runs;  ///< host; ascending, not overlapping
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double grad_scale = 1;  ///< factor on the gradient (accumulation)
  double momentum = 0;
  /// The sum of squares of the whole raw gradient, on the device, or null: where it is infinite or
  /// NaN, the pass changes nothing.
  const double* square_norm = nullptr;
};

/// ema = momentum * ema + (1 - momentum) * scale * param; nothing where *square_norm, a word of the
/// device or null, is infinite or NaN.
template <class T>
struct EmaUpdate {
  T* ema = nullptr;
  const T* param = nullptr;
  std::int64_t size = 0;
  double momentum = 0;
  double scale = 1;
  const double* square_norm = nullptr;
};

/// *out = sum of squares + beta * *out, on the device.
template <class T>
struct SquaredNorm {
  const T* x = nullptr;
  std::int64_t size = 0;
  double* out = nullptr;
  double beta = 0;
};

/// out[i] = sum of squares of part i, and *total = their sum, on the device.
template <class T>
struct SquaredNorms {
  const T* x = nullptr;
  std::span<const Stretch> parts;  ///< host
  double* out = nullptr;           ///< (parts)
  double* total = nullptr;
};

/// x = min(max(x, low), high)
template <class T>
struct Clamp {
  T* x = nullptr;
  std::int64_t size = 0;
  T low = 0, high = 0;
};

}  // namespace primitive
}  // namespace albef
