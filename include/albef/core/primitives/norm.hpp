// Layer norm, L2 normalisation and weight norm.
#pragma once

#include <cstdint>

#include "albef/core/matrix.hpp"
#include "albef/core/rng.hpp"

namespace albef::primitive {

/// y = (x - mean(x)) * rstd * weight + bias over each row, rstd = 1 / sqrt(var(x) + eps); with
/// `residual`, x is first replaced by residual + dropout(x) and that sum is written to `sum`.
/// Without `mean` rows are not centred (RMS norm: mean(x) is 0, rstd = 1 / sqrt(mean(x^2) + eps)).
template <class T>
struct LayerNorm {
  Mat<const T> x;
  Mat<const T> residual = {};
  Mat<T> sum = {};
  const T* weight = nullptr;
  const T* bias = nullptr;  ///< null: 0
  Mat<T> y;
  accumulator_t<T>* mean = nullptr;  ///< (rows), or null
  accumulator_t<T>* rstd = nullptr;  ///< (rows)
  accumulator_t<T> eps = 0;
  float dropout = 0;
  Philox philox = {};
  std::uint64_t stream = 0;
};

/// Gradient of a layer norm over `x` (the sum, where there was a residual):
/// dx = rstd * (g - mean(g) - xhat * mean(g * xhat)) + beta_x * dx, g = dy * weight;
/// dweight = sum(dy * xhat) + beta_weight * dweight; dbias likewise. Null outputs are skipped.
/// Without `mean`, as forward: no mean(g).
template <class T>
struct LayerNormGrad {
  Mat<const T> dy, x;
  const T* weight = nullptr;
  const accumulator_t<T>* mean = nullptr;
  const accumulator_t<T>* rstd = nullptr;
  Mat<T> dx = {};
  accumulator_t<T> beta_x = 0;
  accumulator_t<T>* dweight = nullptr;
  accumulator_t<T> beta_weight = 0;
  accumulator_t<T>* dbias = nullptr;
  accumulator_t<T> beta_bias = 0;
};

/// y = x / max(|x|, 1e-12) over each row; norm (rows) is the divisor.
template <class T>
struct L2Normalize {
  Mat<const T> x;
  Mat<accumulator_t<T>> y;
  accumulator_t<T>* norm = nullptr;
};

/// dx = (dy - y (y . dy)) / norm + beta dx; at the clamped norm of a zero row, dx = dy / norm.
template <class T>
struct L2NormalizeGrad {
  Mat<const accumulator_t<T>> dy, y;
  const accumulator_t<T>* norm = nullptr;
  Mat<T> dx;
  accumulator_t<T> beta = 0;
};

/// w_i = g_i v_i / |v_i| for each row i (torch.nn.utils.weight_norm; Salimans & Kingma 2016); norm
/// (rows) is |v_i|.
template <class T>
struct WeightNorm {
  Mat<const T> v;
  const T* g = nullptr;
  Mat<T> w;
  T* norm = nullptr;
};

/// With u_i = v_i / |v_i|: dv_i = g_i / |v_i| (dw_i - u_i (u_i . dw_i)) + beta dv_i and
/// dg_i = u_i . dw_i + beta_g dg_i. Null outputs are skipped.
template <class T>
struct WeightNormGrad {
  Mat<const T> dw, v;
  const T* g = nullptr;
  const T* norm = nullptr;
  Mat<T> dv = {};
  T beta = 0;
  T* dg = nullptr;
  T beta_g = 0;
};

}  // namespace albef::primitive
