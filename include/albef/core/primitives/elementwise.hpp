// Values set, converted, added, scaled and masked; activations; plain sums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>

#include "albef/core/matrix.hpp"
#include "albef/core/rng.hpp"
#include "albef/core/sequences.hpp"

namespace albef {

/// Activation functions: relu max(x, 0), NaN where x is; gelu in its exact form x P(Z <= x) of a
/// standard normal Z (Hendrycks & Gimpel 2016); silu x * sigmoid(x) (Elfwing et al. 2017);
/// quick_gelu x * sigmoid(1.702 x), the approximation CLIP was trained with.
enum class Activation { relu, gelu, quick_gelu, silu, sigmoid, tanh };
inline constexpr Activation activations[] = {Activation::relu,       Activation::gelu,
                                             Activation::quick_gelu, Activation::silu,
                                             Activation::sigmoid,    Activation::tanh};

inline constexpr double quick_gelu_slope = 1.702;

/// Calls f(std::integral_constant<Activation, a>), so that kernels branch outside of their loops.
template <class F>
void with_activation(Activation a, F&& f) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    const auto call = [&](auto candidate) {
      if (candidate == a) f(candidate);
    };
    (call(std::integral_constant<Activation, activations[I]>{}), ...);
  }
  (std::make_index_sequence<std::size(activations)>{});
}

/// What a scalar s on the device multiplies by: `plain` s, `reciprocal` 1 / s (a temperature) or
/// `exponential` exp(s) (CLIP's logit scale).
enum class ScaleKind { plain, reciprocal, exponential };

namespace primitive {

/// x[0, size) = value
template <class T>
struct Fill {
  T* x = nullptr;
  T value = {};
  std::int64_t size = 0;
};

/// to[i] = from[i] in the type of `to`.
template <class From, class To>
struct Convert {
  const From* from = nullptr;
  To* to = nullptr;
  std::int64_t size = 0;
};

/// y = x + beta y
template <class T>
struct Add {
  Mat<const T> x;
  Mat<T> y;
  accumulator_t<T> beta = 0;
};

/// y[i] = row + beta y[i] for every i
template <class T>
struct SetRows {
  const T* row = nullptr;
  Mat<T> y;
  accumulator_t<T> beta = 0;
};

/// y = x * row + beta y, the row repeated
template <class T>
struct MultiplyRow {
  Mat<const T> x;
  const T* row = nullptr;
  Mat<T> y;
  accumulator_t<T> beta = 0;
};

/// y = a * b + beta y, element by element
template <class T>
struct Multiply {
  Mat<const T> a, b;
  Mat<T> y;
  accumulator_t<T> beta = 0;
};

/// sum[j] = sum_i x[i][j] + beta sum[j]
template <class T>
struct ColumnSum {
  Mat<const T> x;
  accumulator_t<T>* sum = nullptr;
  accumulator_t<T> beta = 0;
};

/// sum[j] = sum_i a[i][j] b[i][j] + beta sum[j]
template <class T>
struct DotRows {
  Mat<const T> a, b;
  accumulator_t<T>* sum = nullptr;
  accumulator_t<T> beta = 0;
};

/// out = alpha * sum of a * b over all elements + beta out
template <class T>
struct Dot {
  Mat<const T> a, b;
  accumulator_t<T>* out = nullptr;
  accumulator_t<T> alpha = 1, beta = 0;
};

/// y = f(x); y may be x.
template <class T>
struct Activate {
  Activation function = {};
  Mat<const T> x;
  Mat<T> y;
};

/// dx = dy * f'(x) + beta dx; dx may be dy.
template <class T>
struct ActivateGrad {
  Activation function = {};
  Mat<const T> dy, x;
  Mat<T> dx;
  accumulator_t<T> beta = 0;
};

/// y = 1 where x >= 0, else -1; y may be x.
template <class T>
struct Sign {
  Mat<const T> x;
  Mat<T> y;
};

/// y = x * mask / (1 - p) + beta y, p the probability that a value is dropped.
template <class T>
struct Dropout {
  Mat<const T> x;
  Mat<T> y;
  accumulator_t<T> beta = 0;
  float p = 0;
  Philox philox = {};
  std::uint64_t stream = 0;
};

/// y = x * keep(s) / (1 - p) + beta y for the rows of sequence s, keep being 0 with probability p,
/// else 1: 0 iff word s % 4 of Philox counter s / 4 is below dropout_threshold(p).
template <class T>
struct DropSequences {
  Mat<const T> x;
  Sequences seq;
  Mat<T> y;
  accumulator_t<T> beta = 0;
  float p = 0;
  Philox philox = {};
  std::uint64_t stream = 0;
};

/// y = x * factor(s) + beta y for a scalar s on the device
template <class T>
struct Scale {
  Mat<const T> x;
  const accumulator_t<T>* s = nullptr;
  ScaleKind kind = ScaleKind::plain;
  Mat<T> y;
  accumulator_t<T> beta = 0;
};

/// ds = factor'(s) * sum(dy * x) + beta ds
template <class T>
struct ScaleGrad {
  Mat<const T> dy, x;
  const accumulator_t<T>* s = nullptr;
  ScaleKind kind = ScaleKind::plain;
  accumulator_t<T>* ds = nullptr;
  accumulator_t<T> beta = 0;
};

}  // namespace primitive
}  // namespace albef
