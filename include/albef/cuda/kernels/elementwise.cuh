// Device code of the element-wise primitives and of sums over whole matrices.
#pragma once

#include <cmath>

#include "albef/core/primitives/elementwise.hpp"
#include "albef/cuda/kernels/philox.cuh"
#include "albef/cuda/kernels/reduce.cuh"
#include "albef/cuda/loops.cuh"

namespace albef::detail {

template <class T>
__global__ void fill_kernel(T* x, T value, std::int64_t n) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += stride)
    x[i] = value;
}

/// Eight values a thread and turn: 16 bytes of the narrower type.
template <class From, class To>
__global__ void convert_kernel(const From* from, To* to, std::int64_t n) {
  constexpr int width = 8;
  struct alignas(width * sizeof(From)) FromPack {
    From v[width];
  };
  struct alignas(width * sizeof(To)) ToPack {
    To v[width];
  };
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  const std::int64_t thread = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const bool aligned = reinterpret_cast<std::uintptr_t>(from) % alignof(FromPack) == 0 &&
                       reinterpret_cast<std::uintptr_t>(to) % alignof(ToPack) == 0;
  const std::int64_t packs = aligned ? n / width : 0;
  for (std::int64_t i = thread; i < packs; i += stride) {
    const FromPack in = reinterpret_cast<const FromPack*>(from)[i];
    ToPack out;
#pragma unroll
    for (int k = 0; k < width; ++k) out.v[k] = static_cast<To>(in.v[k]);
    reinterpret_cast<ToPack*>(to)[i] = out;
  }
  for (std::int64_t i = packs * width + thread; i < n; i += stride)
    to[i] = static_cast<To>(from[i]);
}

template <class X, class T>
struct AddElements {  // y = x + beta y
  Mat<X> x;
  Mat<T> y;
  accumulator_t<T> beta;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    store_with_beta(row_of(y, i) + j, load<N>(row_of(x, i) + j), beta);
  }
};

template <class R, class T>
struct SetRows {  // y[i] = row + beta y[i]
  const R* row;
  Mat<T> y;
  accumulator_t<T> beta;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    store_with_beta(row_of(y, i) + j, load<N>(row + j), beta);
  }
};

template <class X, class R, class T>
struct MulRow {  // y = x * row + beta y
  Mat<X> x;
  const R* row;
  Mat<T> y;
  accumulator_t<T> beta;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    auto v = load<N>(row_of(x, i) + j);
    const auto r = load<N>(row + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= r[k];
    store_with_beta(row_of(y, i) + j, v, beta);
  }
};

template <class T>
struct MultiplyElements {  // y = a * b + beta y
  primitive::Multiply<T> m;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    auto v = load<N>(row_of(m.a, i) + j);
    const auto b = load<N>(row_of(m.b, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= b[k];
    store_with_beta(row_of(m.y, i) + j, v, m.beta);
  }
};

/// The factor a scalar on the device stands for.
template <class S>
__device__ __forceinline__ S factor_of(const S* s, ScaleKind kind) {
  const S v = *s;
  return kind == ScaleKind::plain ? v : kind == ScaleKind::reciprocal ? S(1) / v : std::exp(v);
}

template <class X, class S, class T>
struct ScaleElements {  // y = x * factor + beta y
  Mat<X> x;
  const S* factor;
  ScaleKind kind;
  Mat<T> y;
  accumulator_t<T> beta;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    const auto f = static_cast<accumulator_t<T>>(factor_of(factor, kind));
    auto v = load<N>(row_of(x, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= f;
    store_with_beta(row_of(y, i) + j, v, beta);
  }
};

/// P(Z <= x) of a standard normal Z, and its density at x.
template <class A>
struct Normal {
  A cdf, density;
};
template <class A>
__device__ __forceinline__ Normal<A> normal(A x) {
  return {A(0.5) * std::erfc(x * A(-0.707106781186547524)),
          A(0.398942280401432678) * std::exp(A(-0.5) * x * x)};
}
/// In float one exponential serves both: Abramowitz & Stegun 7.1.26, absolute error below 1e-7.
__device__ __forceinline__ Normal<float> normal(float x) {
  const float e = __expf(-0.5f * x * x);
  const float t = __fdividef(1.0f, 1.0f + 0.231641888f * fabsf(x));
  const float series =
      t * (0.127414796f +
           t * (-0.142248368f + t * (0.7107068705f + t * (-0.7265760135f + t * 0.5307027145f))));
  const float tail = series * e;
  return {x < 0 ? tail : 1.0f - tail, 0.39894228f * e};
}

/// GELU (Hendrycks & Gimpel 2016) in its exact form x P(Z <= x), and its derivative.
template <class A>
__device__ __forceinline__ A gelu(A x) {
  return x * normal(x).cdf;
}
template <class A>
__device__ __forceinline__ A gelu_derivative(A x) {
  const Normal<A> n = normal(x);
  return n.cdf + x * n.density;
}

template <class A>
__device__ __forceinline__ A sigmoid(A x) {
  return A(1) / (A(1) + std::exp(-x));
}

/// Activation functions of one value, and their derivatives.
template <Activation F, class A>
__device__ __forceinline__ A activate(A x) {
  if constexpr (F == Activation::relu) return x <= 0 ? A(0) : x;  // NaN stays NaN
  if constexpr (F == Activation::gelu) return gelu(x);
  if constexpr (F == Activation::quick_gelu) return x * sigmoid(A(quick_gelu_slope) * x);
  if constexpr (F == Activation::silu) return x * sigmoid(x);
  if constexpr (F == Activation::sigmoid) return sigmoid(x);
  if constexpr (F == Activation::tanh) return std::tanh(x);
}
template <Activation F, class A>
__device__ __forceinline__ A activation_derivative(A x) {
  if constexpr (F == Activation::relu) return x <= 0 ? A(0) : A(1);
  if constexpr (F == Activation::gelu) return gelu_derivative(x);
  if constexpr (F == Activation::quick_gelu) {
    const A z = A(quick_gelu_slope) * x, s = sigmoid(z);
    return s * (A(1) + z * (A(1) - s));
  }
  if constexpr (F == Activation::silu) {
    const A s = sigmoid(x);
    return s * (A(1) + x * (A(1) - s));
  }
  if constexpr (F == Activation::sigmoid) {
    const A s = sigmoid(x);
    return s * (A(1) - s);
  }
  if constexpr (F == Activation::tanh) {
    const A y = std::tanh(x);
    return A(1) - y * y;
  }
}

template <class T>
struct SignElements {  // y = 1 where x >= 0, else -1
  Mat<const T> x;
  Mat<T> y;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    using A = accumulator_t<T>;
    auto v = load<N>(row_of(x, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = v[k] >= 0 ? A(1) : A(-1);
    store(row_of(y, i) + j, v);
  }
};

template <Activation F, class T>
struct ActivateElements {  // y = f(x)
  Mat<const T> x;
  Mat<T> y;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    auto v = load<N>(row_of(x, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = activate<F>(v[k]);
    store(row_of(y, i) + j, v);
  }
};

template <Activation F, class T>
struct ActivateGradElements {  // dx = dy * f'(x) + beta dx
  Mat<const T> dy, x;
  Mat<T> dx;
  accumulator_t<T> beta;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    auto v = load<N>(row_of(dy, i) + j);
    const auto z = load<N>(row_of(x, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= activation_derivative<F>(z[k]);
    store_with_beta(row_of(dx, i) + j, v, beta);
  }
};

template <class X, class T>
struct DropoutElements {  // y = x * mask / (1 - p) + beta y
  Mat<X> x;
  Mat<T> y;
  accumulator_t<T> beta;
  DropoutFactors factors;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    auto v = load<N>(row_of(x, i) + j);
    factors.resolved().apply(dropout_element(i, y.cols, j), v);
    store_with_beta(row_of(y, i) + j, v, beta);
  }
};

// ---- terms of sums over rows

template <class X>
struct ColumnTerm {  // x[i][j]
  Mat<X> x;
  template <int N>
  __device__ __forceinline__ auto term(int i, int j) const {
    return load<N>(row_of(x, i) + j);
  }
};

template <class X, class Y>
struct ProductTerm {  // a[i][j] * b[i][j]
  Mat<X> a;
  Mat<Y> b;
  template <int N>
  __device__ __forceinline__ auto term(int i, int j) const {
    auto v = load<N>(row_of(a, i) + j);
    const auto w = load<N>(row_of(b, i) + j);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] *= w[k];
    return v;
  }
};

// ---- sums over a whole matrix
// ---------------------------------------------------------------------

inline constexpr int dot_threads = 256;

/// partial[block] = sum of f's terms over its elements.
template <int N, class A, class F>
__global__ void __launch_bounds__(dot_threads)
    sum_partials_kernel(F f, int rows, unsigned units_per_row, double* partial) {
  const std::int64_t units = std::int64_t{rows} * units_per_row;
  A sum = 0;
  for (std::int64_t u = std::int64_t{blockIdx.x} * dot_threads + threadIdx.x; u < units;
       u += std::int64_t{gridDim.x} * dot_threads) {
    const std::int64_t row = u / units_per_row;
    const auto v =
        f.template term<N>(static_cast<int>(row), static_cast<int>(u - row * units_per_row) * N);
#pragma unroll
    for (int k = 0; k < N; ++k) sum += v[k];
  }
  const double total = block_reduce<dot_threads>(static_cast<double>(sum), 0.0, Plus{});
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

/// *out = alpha * factor * sum of partial[0..blocks) + beta * *out, `factor` the derivative of what
/// factor_of gives; null: 1. One block.
template <class S>
__global__ void __launch_bounds__(dot_threads)
    dot_total_kernel(const double* partial, int blocks, const S* scalar, ScaleKind kind, S alpha,
                     S beta, S* out) {
  double sum = 0;
  for (int b = static_cast<int>(threadIdx.x); b < blocks; b += dot_threads) sum += partial[b];
  sum = block_reduce<dot_threads>(sum, 0.0, Plus{});
  if (threadIdx.x != 0) return;
  if (scalar) {
    const S f = factor_of(scalar, kind);
    alpha *= kind == ScaleKind::plain ? S(1) : kind == ScaleKind::reciprocal ? -f * f : f;
  }
  store_with_beta(out, alpha * static_cast<S>(sum), beta);
}

inline constexpr int drop_threads = 128;

/// Block (s, t) writes row t of sequence s; blocks (count, t) the padding rows.
template <class T, int N>
__global__ void __launch_bounds__(drop_threads)
    drop_sequences_kernel(primitive::DropSequences<T> a, std::uint32_t threshold,
                          accumulator_t<T> scale) {
  using A = accumulator_t<T>;
  const int s = static_cast<int>(blockIdx.x), cols = a.y.cols;
  const int begin = sequence_begin(a.seq, s), first = static_cast<int>(threadIdx.x) * N;
  const bool padding = s == a.seq.count;
  const int end = padding ? a.y.rows : begin + sequence_length(a.seq, s);
  A factor = 0;
  if (!padding) {
    const auto words = philox_words(a.philox.key, resolve_stream(a.philox, a.stream),
                                    static_cast<std::uint64_t>(s) / 4);
    factor = word_of(words, s % 4) < threshold ? A(0) : scale;
  }
  for (int r = begin + static_cast<int>(blockIdx.y); r < end; r += static_cast<int>(gridDim.y))
    for (int j = first; j < cols; j += drop_threads * N) {
      Values<A, N> v = {};
      if (factor != A(0)) {
        v = load<N>(row_of(a.x, r) + j);
#pragma unroll
        for (int k = 0; k < N; ++k) v[k] *= factor;
      }
      store_with_beta(row_of(a.y, r) + j, v, a.beta);
    }
}

}  // namespace albef::detail
