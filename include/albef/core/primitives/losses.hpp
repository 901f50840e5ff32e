// Soft cross entropy, self-distillation, and the drawing of negatives.
#pragma once

#include <cstdint>

#include "albef/core/matrix.hpp"
#include "albef/core/rng.hpp"

namespace albef::primitive {

/// Rows of soft targets over the columns of `logits`:
///   target = alpha * softmax(teacher) + (1 - alpha) * hard, teacher may be absent
/// hard is onehot(label); with identities it is uniform over the columns whose identity is the
/// row's (none: no such part).
/// loss = scale * sum over rows r of weights[r] * -sum_v target_v log_softmax(logits)_v.
/// A row with a negative label is padding: it adds nothing and its gradient is zero.
template <class T>
struct SoftCrossEntropy {
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
  accumulator_t<T>* loss = nullptr;         ///< the result
};

/// Gradient of the soft cross entropy that `forward` computed:
/// d = scale * dloss * weight * (softmax - target) + beta d.
template <class T>
struct SoftCrossEntropyGrad {
  SoftCrossEntropy<T> forward;
  const accumulator_t<T>* dloss = nullptr;
  Mat<T> d;
  accumulator_t<T> beta = 0;
};

/// Every pair of a row and a column as a yes-or-no question (SigLIP, Zhai et al. 2023): z_ij = 1
/// where they belong together, which is on the diagonal or, with identities, where these are equal;
/// else -1. loss = scale * sum_ij -log sigmoid(z_ij (logits_ij + bias))
template <class T>
struct SigmoidCrossEntropy {
  Mat<const T> logits;
  const accumulator_t<T>* bias = nullptr;           ///< a scalar on the device; null: 0
  const std::int64_t* row_identities = nullptr;     ///< (rows) or null
  const std::int64_t* column_identities = nullptr;  ///< (columns), with row_identities
  accumulator_t<T> scale = 1;
  accumulator_t<T>* loss = nullptr;  ///< the result
};

/// d = scale * dloss * (sigmoid(logits + bias) - [z = 1]) + beta d, and dbias = the sum of the same
/// + beta_bias dbias. Null outputs are skipped.
template <class T>
struct SigmoidCrossEntropyGrad {
  SigmoidCrossEntropy<T> forward;
  const accumulator_t<T>* dloss = nullptr;
  Mat<T> d = {};
  accumulator_t<T> beta = 0;
  accumulator_t<T>* dbias = nullptr;
  accumulator_t<T> beta_bias = 0;
};

/// Self-distillation between views of `batch` examples (DINO, Caron et al. 2021, algorithm 1). Rows
/// are view by view; the teacher sees the first views, the student more of them:
///   targets = softmax(teacher_scale (teacher - center)), which take no gradient
///   loss = scale * sum over student rows (v, b) and teacher views t != v
///          of -sum_k targets[t, b]_k log_softmax(student_scale student[v, b])_k
template <class T>
struct SelfDistillation {
  Mat<const T> student;       ///< (student views * batch, K)
  Mat<const T> teacher;       ///< (teacher views * batch, K)
  const T* center = nullptr;  ///< (K)
  int batch = 0;
  T student_scale = 1, teacher_scale = 1;  ///< 1 / temperature
  T scale = 1;
  Mat<T> targets;     ///< (teacher views * batch, K) result
  T* lse = nullptr;   ///< (student rows) log-sum-exp of student_scale student, for the backward
  T* loss = nullptr;  ///< the result
};

/// Gradient of the self-distillation that `forward` computed:
/// d = scale * dloss * student_scale * sum over t of (softmax - targets_t) + beta d.
template <class T>
struct SelfDistillationGrad {
  SelfDistillation<T> forward;
  const T* dloss = nullptr;
  Mat<T> d;
  T beta = 0;
};

/// Draws one negative column per row: weights softmax(logits[r, :n]) (all equal when `uniform`),
/// zero on the diagonal and where identities agree, plus `epsilon` elsewhere. A row all of whose
/// candidates are excluded falls back to any column off the diagonal.
template <class T>
struct SampleNegatives {
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

}  // namespace albef::primitive
