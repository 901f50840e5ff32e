// Device code of the losses: soft cross entropy and self-distillation, one block per row, and the
// drawing of negatives.
#pragma once

#include <cmath>
#include <limits>

#include "albef/core/primitives/losses.hpp"
#include "albef/cuda/kernels/philox.cuh"
#include "albef/cuda/kernels/reduce.cuh"

namespace albef::detail {

inline constexpr int loss_threads = 512;

/// sum = sum of exp(x - high) and weighted = sum of exp(x - high) * weight over the values seen.
template <class A>
struct OnlineSum {
  A high, sum, weighted;

  /// Of no values. A finite bound: values may be -infinity.
  __device__ __forceinline__ static OnlineSum none() { return {lowest<A>, A(0), A(0)}; }
  /// Adds N values with their weights.
  template <int N>
  __device__ __forceinline__ void add(const Values<A, N>& x, const Values<A, N>& weight) {
    A top = high;
#pragma unroll
    for (int k = 0; k < N; ++k) top = x[k] > top ? x[k] : top;
    if (top > high) {
      const A factor = std::exp(high - top);
      sum *= factor;
      weighted *= factor;
      high = top;
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const A e = std::exp(x[k] - high);
      sum += e;
      weighted += e * weight[k];
    }
  }
  __device__ __forceinline__ A log_sum_exp() const { return high + std::log(sum); }
};

template <class A>
__device__ __forceinline__ OnlineSum<A> shuffle_xor(const OnlineSum<A>& x, int distance) {
  OnlineSum<A> y;
  y.high = gpu::shuffle_xor(x.high, distance);
  y.sum = gpu::shuffle_xor(x.sum, distance);
  y.weighted = gpu::shuffle_xor(x.weighted, distance);
  return y;
}
struct JoinOnlineSums {
  template <class A>
  __device__ __forceinline__ OnlineSum<A> operator()(const OnlineSum<A>& a,
                                                     const OnlineSum<A>& b) const {
    // Symmetric in a and b, so that all lanes get the same bits. An empty side has sum 0.
    const A high = a.high > b.high ? a.high : b.high;
    const A fa = a.sum > 0 ? std::exp(a.high - high) : A(0);
    const A fb = b.sum > 0 ? std::exp(b.high - high) : A(0);
    OnlineSum<A> y;
    y.high = high;
    y.sum = a.sum * fa + b.sum * fb;
    y.weighted = a.weighted * fa + b.weighted * fb;
    return y;
  }
};

/// lse and teacher_lse of row blockIdx.x, and its loss before the factors.
template <class T, int N>
__global__ void __launch_bounds__(loss_threads)
    soft_cross_entropy_rows_kernel(primitive::SoftCrossEntropy<T> a, accumulator_t<T>* row_loss) {
  using A = accumulator_t<T>;
  const int i = static_cast<int>(blockIdx.x), cols = a.logits.cols;
  const bool teaches = a.teacher.data != nullptr;
  const T* s = row_of(a.logits, i);
  const T* t = teaches ? row_of(a.teacher, i) : s;
  OnlineSum<A> student = OnlineSum<A>::none(), teacher = student;
  A positive = 0;  // sum of the logits of the row's identity, and their number
  int positives = 0;
  for (int j = static_cast<int>(threadIdx.x) * N; j < cols; j += loss_threads * N) {
    const auto v = load<N>(s + j);
    student.add(v, Values<A, N>{});
    if (teaches) teacher.add(load<N>(t + j), v);
    if (a.row_identities) {
#pragma unroll
      for (int k = 0; k < N; ++k)
        if (a.column_identities[j + k] == a.row_identities[i]) positive += v[k], ++positives;
    }
  }
  student = block_reduce<loss_threads>(student, OnlineSum<A>::none(), JoinOnlineSums{});
  if (teaches)
    teacher = block_reduce<loss_threads>(teacher, OnlineSum<A>::none(), JoinOnlineSums{});
  if (a.row_identities) {
    positive = block_reduce<loss_threads>(positive, A(0), Plus{});
    positives = block_reduce<loss_threads>(positives, 0, Plus{});
  }
  if (threadIdx.x != 0) return;
  const A lse = a.lse[i] = student.log_sum_exp();
  const int label = a.labels ? a.labels[i] : i;
  if (teaches) a.teacher_lse[i] = teacher.log_sum_exp();
  A value = 0;
  if (label >= 0) {
    if (a.row_identities)
      value = positives > 0 ? lse - positive / static_cast<A>(positives) : A(0);
    else  // a label that is no column has a loss of NaN
      value = lse - (label < cols ? static_cast<A>(s[label]) : std::numeric_limits<A>::quiet_NaN());
    value *= A(1) - a.alpha;
    if (teaches) value += a.alpha * (lse - teacher.weighted / teacher.sum);
  }
  if (a.row_losses) a.row_losses[i] = value;
  row_loss[i] = a.weights ? a.weights[i] * value : value;
}

/// positives[i] = number of the columns whose identity is that of row i. One block per row.
template <class T>
__global__ void __launch_bounds__(loss_threads)
    count_positives_kernel(primitive::SoftCrossEntropy<T> a, int* positives) {
  const int i = static_cast<int>(blockIdx.x);
  int count = 0;
  for (int j = static_cast<int>(threadIdx.x); j < a.logits.cols; j += loss_threads)
    count += a.column_identities[j] == a.row_identities[i];
  count = block_reduce<loss_threads>(count, 0, Plus{});
  if (threadIdx.x == 0) positives[i] = count;
}

/// *loss = scale * factor * sum of the rows. One block.
template <class T>
__global__ void __launch_bounds__(loss_threads)
    soft_cross_entropy_total_kernel(primitive::SoftCrossEntropy<T> a,
                                    const accumulator_t<T>* row_loss, accumulator_t<T>* loss) {
  using A = accumulator_t<T>;
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < a.logits.rows; i += loss_threads)
    sum += static_cast<double>(row_loss[i]);
  sum = block_reduce<loss_threads>(sum, 0.0, Plus{});
  if (threadIdx.x != 0) return;
  const double factor = a.factor ? static_cast<double>(*a.factor) : 1.0;
  *loss = static_cast<A>(static_cast<double>(a.scale) * factor * sum);
}

/// d = scale * factor * weight * dloss * (softmax(logits) - target) + beta d
template <class T, class S>
struct SoftCrossEntropyGradient {
  primitive::SoftCrossEntropy<T> a;
  const S* dloss;
  const int* positives;  // of each row, with identities
  Mat<T> d;
  accumulator_t<T> beta;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    using A = accumulator_t<T>;
    const int label = a.labels ? a.labels[i] : i;
    auto v = load<N>(row_of(a.logits, i) + j);
    if (label < 0) {
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] = 0;
      return store_with_beta(row_of(d, i) + j, v, beta);
    }
    const A scale = a.scale * static_cast<A>(*dloss) * (a.factor ? *a.factor : A(1)) *
                    (a.weights ? a.weights[i] : A(1));
    const bool shared = a.row_identities != nullptr;
    const A hard = (A(1) - a.alpha) / (shared ? static_cast<A>(max(positives[i], 1)) : A(1));
    const A lse = a.lse[i];
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = std::exp(v[k] - lse);
    if (a.teacher.data) {
      const auto t = load<N>(row_of(a.teacher, i) + j);
      const A teacher_lse = a.teacher_lse[i];
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] -= a.alpha * std::exp(t[k] - teacher_lse);
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
      if (shared ? a.column_identities[j + k] == a.row_identities[i] : j + k == label) v[k] -= hard;
      v[k] *= scale;
    }
    store_with_beta(row_of(d, i) + j, v, beta);
  }
};

// ---- self-distillation
// ---------------------------------------------------------------------------

/// targets of row blockIdx.x of the teacher.
template <class T, int N>
__global__ void __launch_bounds__(loss_threads)
    distillation_targets_kernel(primitive::SelfDistillation<T> a) {
  const int i = static_cast<int>(blockIdx.x), cols = a.teacher.cols;
  const int first = static_cast<int>(threadIdx.x) * N;
  const auto scaled = [&](int j) {
    auto v = load<N>(row_of(a.teacher, i) + j);
    const auto c = load<N>(a.center + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = (v[k] - c[k]) * a.teacher_scale;
    return v;
  };
  OnlineSum<T> all = OnlineSum<T>::none();
  for (int j = first; j < cols; j += loss_threads * N) all.add(scaled(j), Values<T, N>{});
  all = block_reduce<loss_threads>(all, OnlineSum<T>::none(), JoinOnlineSums{});
  const T lse = all.log_sum_exp();
  for (int j = first; j < cols; j += loss_threads * N) {
    auto v = scaled(j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = std::exp(v[k] - lse);
    store(row_of(a.targets, i) + j, v);
  }
}

/// lse of row blockIdx.x of the student, and its loss without the factor.
template <class T, int N>
__global__ void __launch_bounds__(loss_threads)
    distillation_rows_kernel(primitive::SelfDistillation<T> a, T* row_loss) {
  const int i = static_cast<int>(blockIdx.x), cols = a.student.cols;
  const int views = a.teacher.rows / a.batch, view = i / a.batch;
  OnlineSum<T> student = OnlineSum<T>::none();
  T inner = 0;
  for (int j = static_cast<int>(threadIdx.x) * N; j < cols; j += loss_threads * N) {
    auto v = load<N>(row_of(a.student, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= a.student_scale;
    student.add(v, Values<T, N>{});
    for (int t = 0; t < views; ++t) {
      if (t == view) continue;
      const auto q = load<N>(row_of(a.targets, t * a.batch + i % a.batch) + j);
#pragma unroll
      for (int k = 0; k < N; ++k) inner += q[k] * v[k];
    }
  }
  student = block_reduce<loss_threads>(student, OnlineSum<T>::none(), JoinOnlineSums{});
  inner = block_reduce<loss_threads>(inner, T(0), Plus{});
  if (threadIdx.x != 0) return;
  a.lse[i] = student.log_sum_exp();
  row_loss[i] = static_cast<T>(view < views ? views - 1 : views) * a.lse[i] - inner;
}

/// *loss = scale * sum of the rows. One block.
template <class T>
__global__ void __launch_bounds__(loss_threads)
    distillation_total_kernel(const T* row_loss, int rows, T scale, T* loss) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < rows; i += loss_threads)
    sum += static_cast<double>(row_loss[i]);
  sum = block_reduce<loss_threads>(sum, 0.0, Plus{});
  if (threadIdx.x == 0) *loss = static_cast<T>(static_cast<double>(scale) * sum);
}

template <class T>
struct DistillationGradient {  // see primitive::SelfDistillationGrad
  primitive::SelfDistillationGrad<T> g;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    const auto& a = g.forward;
    const int views = a.teacher.rows / a.batch, view = i / a.batch;
    const T others = static_cast<T>(view < views ? views - 1 : views), lse = a.lse[i];
    const T scale = a.scale * *g.dloss * a.student_scale;
    auto v = load<N>(row_of(a.student, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = others * std::exp(v[k] * a.student_scale - lse);
    for (int t = 0; t < views; ++t) {
      if (t == view) continue;
      const auto q = load<N>(row_of(a.targets, t * a.batch + i % a.batch) + j);
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] -= q[k];
    }
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= scale;
    store_with_beta(row_of(g.d, i) + j, v, g.beta);
  }
};

// ---- negatives ---------------------------------------------------------------------------------

inline constexpr int sample_warps = 4;

struct Smaller {
  __device__ __forceinline__ int operator()(int a, int b) const { return b < a ? b : a; }
};
struct Larger {
  __device__ __forceinline__ int operator()(int a, int b) const { return a < b ? b : a; }
};

/// One warp draws for one row; lane l owns the columns [l * share, (l + 1) * share).
template <class T>
__global__ void __launch_bounds__(sample_warps* warp_size)
    sample_negatives_kernel(primitive::SampleNegatives<T> a) {
  using A = accumulator_t<T>;
  const int lane = static_cast<int>(threadIdx.x) % warp_size, n = a.n;
  const int i =
      static_cast<int>(blockIdx.x) * sample_warps + static_cast<int>(threadIdx.x) / warp_size;
  if (i >= n) return;
  const int share = (n + warp_size - 1) / warp_size;
  const int begin = min(n, lane * share), end = min(n, begin + share);
  A* w = a.weights + std::int64_t{i} * n;

  A lse = 0;
  if (!a.uniform) {
    OnlineSum<A> all = OnlineSum<A>::none();
    for (int j = lane; j < n; j += warp_size)
      all.add(load<1>(row_of(a.logits, i) + j), Values<A, 1>{});
    lse = warp_reduce(all, JoinOnlineSums{}).log_sum_exp();
  }
  double sum = 0;
  for (int j = begin; j < end; ++j) {
    const bool excluded = j == i || (a.identities && a.identities[j] == a.identities[i]);
    A v = 0;
    if (!excluded)
      v = a.uniform ? A(1) : std::exp(static_cast<A>(row_of(a.logits, i)[j]) - lse) + a.epsilon;
    w[j] = v;
    sum += static_cast<double>(v);
  }
  if (warp_sum(sum) <= 0) {  // nothing left to choose: any other pair
    sum = 0;
    for (int j = begin; j < end; ++j) {
      w[j] = j == i ? A(0) : A(1);
      sum += static_cast<double>(w[j]);
    }
  }
  // The weights of the columns before mine, and of all.
  double before = 0;
  for (int l = 0; l < warp_size; ++l) {
    const double other = __shfl_sync(all_lanes, sum, l);
    if (l < lane) before += other;
  }
  const double total = __shfl_sync(all_lanes, before + sum, warp_size - 1);
  const auto word =
      philox_words(a.philox.key, resolve_stream(a.philox, a.stream), static_cast<std::uint64_t>(i))
          .w[0];
  const double target = total * (static_cast<double>(word) * 0x1p-32);
  int chosen = n, last = -1;  // the first column past the target; the last with any weight
  for (int j = begin; j < end; ++j) {
    if (!(w[j] > 0)) continue;
    before += static_cast<double>(w[j]);
    last = j;
    if (chosen == n && target < before) chosen = j;
  }
  chosen = warp_reduce(chosen, Smaller{});
  last = warp_reduce(last, Larger{});
  if (lane == 0) a.index[i] = chosen < n ? chosen : last >= 0 ? last : i;
}

/// Whether row i and column j of a pairwise loss belong together.
template <class T>
__device__ __forceinline__ bool is_pair(const primitive::SigmoidCrossEntropy<T>& a, int i, int j) {
  return a.row_identities ? a.column_identities[j] == a.row_identities[i] : i == j;
}

template <class T>
struct SigmoidLossTerm {  // -log sigmoid(z (logits + bias))
  primitive::SigmoidCrossEntropy<T> a;
  template <int N>
  __device__ __forceinline__ auto term(int i, int j) const {
    using A = accumulator_t<T>;
    const A bias = a.bias ? *a.bias : A(0);
    auto v = load<N>(row_of(a.logits, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const A u = is_pair(a, i, j + k) ? -(v[k] + bias) : v[k] + bias;
      v[k] = (u > 0 ? u : A(0)) + std::log1p(std::exp(u > 0 ? -u : u));
    }
    return v;
  }
};

template <class T>
struct SigmoidSlope {  // scale * dloss * (sigmoid(logits + bias) - [pair])
  primitive::SigmoidCrossEntropyGrad<T> g;
  template <int N>
  __device__ __forceinline__ auto term(int i, int j) const {
    using A = accumulator_t<T>;
    const auto& a = g.forward;
    const A bias = a.bias ? *a.bias : A(0), scale = a.scale * *g.dloss;
    auto v = load<N>(row_of(a.logits, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k)
      v[k] = scale * (A(1) / (A(1) + std::exp(-(v[k] + bias))) - (is_pair(a, i, j + k) ? 1 : 0));
    return v;
  }
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    store_with_beta(row_of(g.d, i) + j, term<N>(i, j), g.beta);
  }
};

}  // namespace albef::detail
