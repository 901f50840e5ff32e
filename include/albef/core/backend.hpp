// What a device must provide: the argument structs of the primitives, and the Backend concept.
//
// A device is a handle type (Cpu, ...) with one overload of every function below for it. Layers
// call them unqualified with the device first, so that a new device is one more overload set and
// no layer, loss or model changes.
//
// T is the type of activations, their gradients and the weights kernels read; A = accumulator_t<T>
// that of statistics, scalars, losses, normalised features and parameter gradients. All pointers
// are to memory of the device unless their comment says host. Primitives return as soon as their
// work is queued, in order; only copy_to_host waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "albef/core/attention_args.hpp"
#include "albef/core/bicubic.hpp"
#include "albef/core/image_statistics.hpp"
#include "albef/core/matrix.hpp"
#include "albef/core/rng.hpp"
#include "albef/core/sequences.hpp"

namespace albef {

/// y = (x - mean(x)) * rstd * weight + bias over each row, rstd = 1 / sqrt(var(x) + eps); with
/// `residual`, x is first replaced by residual + dropout(x) and that sum is written to `sum`.
template <class T>
struct LayerNormArgs {
  Mat<const T> x;
  Mat<const T> residual = {};
  Mat<T> sum = {};
  const T* weight = nullptr;
  const T* bias = nullptr;
  Mat<T> y;
  accumulator_t<T>* mean = nullptr;  ///< (rows)
  accumulator_t<T>* rstd = nullptr;  ///< (rows)
  accumulator_t<T> eps = 0;
  float dropout = 0;
  Philox philox = {};
  std::uint64_t stream = 0;
};

/// Gradient of a layer norm over `x` (the sum, where there was a residual):
/// dx = rstd * (g - mean(g) - xhat * mean(g * xhat)) + beta_x * dx, g = dy * weight;
/// dweight = sum(dy * xhat) + beta_weight * dweight; dbias likewise. Null outputs are skipped.
template <class T>
struct LayerNormGradArgs {
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

/// Token embeddings: y[r] = word[ids[r]] + position[r - start of its sequence] + type0; padding
/// rows (see Sequences) become zero and give no gradient.
template <class T>
struct EmbeddingArgs {
  const std::int32_t* ids = nullptr;  ///< (rows)
  Sequences seq;
  const T* word = nullptr;      ///< (vocabulary, width)
  const T* position = nullptr;  ///< (positions, width)
  const T* type = nullptr;      ///< (types, width): row 0 is added
  Mat<T> y;
};
template <class T>
struct EmbeddingGradArgs {
  const std::int32_t* ids = nullptr;
  Sequences seq;
  Mat<const T> dy;
  /// Added to: they already hold beta times the old value. Null: not asked for.
  accumulator_t<T>* word = nullptr;
  accumulator_t<T>* position = nullptr;
  accumulator_t<T>* type = nullptr;
  int vocabulary = 0;  ///< rows of word
};

/// How images of height x width pixels are cut into patches of `patch` x `patch` pixels.
struct PatchGrid {
  int images = 0, channels = 3, height = 0, width = 0, patch = 0;
  constexpr int rows() const { return height / patch; }    ///< of patches, from top to bottom
  constexpr int columns() const { return width / patch; }  ///< of patches, from left to right
  constexpr int patches() const { return rows() * columns(); }
  constexpr int values() const { return channels * patch * patch; }  ///< of a patch
  constexpr int pixels() const { return height * width; }
};

/// Rows of soft targets over the columns of `logits`:
///   target = alpha * softmax(teacher) + (1 - alpha) * hard, teacher may be absent
/// hard is onehot(label); with identities it is uniform over the columns whose identity is the
/// row's (none: no such part).
/// loss = scale * sum over rows r of weights[r] * -sum_v target_v log_softmax(logits)_v.
/// A row with a negative label is padding: it adds nothing and its gradient is zero.
template <class T>
struct SoftTargetArgs {
  Mat<const T> logits;
  Mat<const T> teacher = {};                        ///< teacher.data == nullptr: hard labels only
  const std::int32_t* labels = nullptr;             ///< (rows); null: the label of row r is r
  const std::int64_t* row_identities = nullptr;     ///< (rows) or null; labels are then unused
  const std::int64_t* column_identities = nullptr;  ///< (columns), with row_identities
  const accumulator_t<T>* weights = nullptr;        ///< (rows); null: 1
  accumulator_t<T> alpha = 0;
  accumulator_t<T> scale = 1;
  const accumulator_t<T>* factor = nullptr;  ///< a further factor on the device, or null
  accumulator_t<T>* lse = nullptr;  ///< (rows) log-sum-exp of the logits, for the backward pass
  accumulator_t<T>* teacher_lse = nullptr;  ///< (rows) the same of the teacher
  accumulator_t<T>* row_losses = nullptr;   ///< (rows) or null: losses without scale and weight
};

/// Multiplication by a learned scalar parameter: `reciprocal` x / s (a temperature) or
/// `exponential` x * exp(s) (CLIP's logit scale).
enum class ScaleKind { reciprocal, exponential };

/// Draws one negative column per row: weights softmax(logits[r, :n]) (all equal when `uniform`),
/// zero on the diagonal and where identities agree, plus `epsilon` elsewhere. A row all of whose
/// candidates are excluded falls back to any column off the diagonal.
template <class T>
struct NegativeArgs {
  Mat<const T> logits;  ///< (n, at least n); unused when uniform
  int n = 0;
  bool uniform = false;
  accumulator_t<T> epsilon = 0;
  const std::int64_t* identities = nullptr;  ///< (n) or null: only the diagonal is excluded
  Philox philox = {};
  std::uint64_t stream = 0;
  std::int32_t* index = nullptr;        ///< (n) result
  accumulator_t<T>* weights = nullptr;  ///< (n, n) scratch and result: the weights drawn from
};

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

/// Fused optimizer pass over `runs`: decoupled weight decay, Adam moments, update, and (if ema is
/// set) ema = momentum * ema + (1 - momentum) * param with the new param. The new values are also
/// written to `copy` and `ema_copy` where set: the weights in the type C kernels read.
template <class T, class C = T>
struct AdamWArgs {
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

/// A type is a backend for activations of type T when all primitives exist for it.
template <class D, class T>
concept Backend = requires(D& d, void* p, std::size_t n, std::int64_t m, T* x, const T* cx,
                           accumulator_t<T>* r, const accumulator_t<T>* cr, accumulator_t<T> s,
                           Mat<T> a, Mat<const T> ca, Mat<accumulator_t<T>> b,
                           Mat<const accumulator_t<T>> cb, Sequences seq, std::int32_t* idx,
                           const std::int32_t* cidx, const std::uint8_t* bytes, PatchGrid grid,
                           const ImageStatistics& statistics, GridResize resize, Philox philox,
                           std::uint64_t stream, float f, double* norm, ScaleKind kind,
                           const SoftTargetArgs<T>& soft) {
  // Memory.
  allocate_bytes(d, n);
  release_bytes(d, p, n);
  fill_zero(d, p, n);
  copy_to_device(d, x, cx, m);  // from host memory, which may change right afterwards
  copy_to_host(d, x, cx, m);
  copy_on_device(d, x, cx, m);
  fill(d, x, T(0), m);   // x[0, m) = value
  convert(d, cx, r, m);  // r[0, m) = cx[0, m) in the other type
  convert(d, cr, x, m);  // and back
  // Products and attention.
  gemm(d, GemmArgs<T>{});
  gemm(d, GemmArgs<T, accumulator_t<T>>{});
  weight_gradient(d, ca, ca, b, s, r, s);  // b = dy^T x + s * b, r (or null) = sums of dy + s * r
  attention_forward(d, AttentionArgs<T>{});
  attention_backward(d, AttentionArgs<T>{}, ca, a, s, a, a, s);
  attention_probabilities(d, AttentionArgs<T>{}, 0, x, ca);  // see cpu/attention.hpp
  // Rows and elements.
  add(d, ca, a, s);                         // a = ca + s * a
  set_rows(d, cx, a);                       // every row of a = row
  add_row(d, cx, a);                        // every row of a += row
  scale_rows(d, ca, cr, a, s);              // a = ca * scalar + s * a
  column_sum(d, ca, r, s);                  // r = sum over rows of ca + s * r
  mul_row(d, ca, cx, a, s);                 // a = ca * row + s * a
  dot_rows(d, ca, ca, r, s);                // r = sum over rows of ca * ca + s * r
  dot(d, ca, ca, r, s, s);                  // r = s * sum(ca * ca) + s * r
  gelu_backward(d, ca, ca, a);              // a = ca * gelu'(ca)
  relu_backward(d, ca, ca, a, s);           // a = (0 where the second ca <= 0, else ca) + s * a
  dropout(d, ca, a, s, f, philox, stream);  // a = mask(ca) / (1 - p) + s * a
  layer_norm_forward(d, LayerNormArgs<T>{});
  layer_norm_backward(d, LayerNormGradArgs<T>{});
  l2_normalize_forward(d, ca, b, r);           // b = ca / max(|ca|, 1e-12), r = the divisor
  l2_normalize_backward(d, cb, cb, cr, a, s);  // a = (dy - y (y . dy)) / norm + s * a
  scale_by(d, ca, cr, kind, a, s);             // a = ca * factor(cr) + s * a
  scale_gradient(d, ca, ca, cr, kind, r, s);   // r = d factor / d scalar * sum(dy * in) + s * r
  // Tokens and images. A negative index stands for a row of zeros, and takes no gradient.
  embedding_forward(d, EmbeddingArgs<T>{});
  embedding_backward(d, EmbeddingGradArgs<T>{});
  normalize_images(d, bytes, grid, statistics, a);  // uint8 HWC -> (images, channels * pixels)
  patchify(d, ca, grid, a);                         // -> (images * patches, values)
  unpatchify(d, ca, grid, a, s);
  resize_grid_forward(d, ca, resize, a);      // bicubic: (from_rows, cols) -> (rows, cols)
  resize_grid_backward(d, cb, resize, b, s);  // b = its transpose times cb + s * b
  gather_rows(d, ca, cidx, a);                // a[i] = ca[index[i]]
  scatter_add_rows(d, ca, cidx, a);           // a[index[i]] += ca[i]
  first_rows(d, seq, idx);                    // idx[i] = seq.begin(i)
  // Sequences index[0..n) one after the other: offsets (n + 1), source rows (`capacity` of them,
  // -1 behind the last). The result's total is what the host knows: at most `capacity`.
  select_sequences(d, seq, cidx, 0, 0, idx, idx);
  pair_indices(d, 0, cidx, cidx, idx, idx);
  // Losses.
  soft_cross_entropy_forward(d, soft, r);
  soft_cross_entropy_backward(d, soft, cr, a, s);
  sample_negatives(d, NegativeArgs<T>{});
  // Optimizer, on the master type.
  adamw_update(d, AdamWArgs<accumulator_t<T>, T>{});
  ema_update(d, r, cr, m, 0.0);
  squared_norm(d, cr, m, norm, 0.0);  // *norm = sum of squares + beta * *norm, on the device
  clamp(d, r, m, s, s);
};

}  // namespace albef
