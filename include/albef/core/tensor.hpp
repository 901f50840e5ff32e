// Tensors: matrices of static width whose rows are grouped into sequences. Non-owning handles.
#pragma once

#include <concepts>
#include <cstdint>

#include "albef/core/matrix.hpp"
#include "albef/core/sequences.hpp"

namespace albef {

inline constexpr int dynamic_width = 0;

/// The context that made something in device memory, and which of its steps that was. Memory of
/// someone else, valid until they say otherwise, has none.
struct Stamp {
  std::uint32_t context = 0;  ///< contexts count from 1; 0: nobody's
  std::uint32_t step = 0;     ///< how many steps the context had begun
  constexpr bool operator==(const Stamp&) const = default;
};

/// A (rows, W) activation; W is dynamic_width where data decides (similarity matrices). The rows
/// belong to sequences: the tokens of image i or text i are rows seq.begin(i) .. + seq.length(i).
/// Memory belongs to the context that made it and lives until the context is reset.
template <class T, int W>
struct Tensor {
  using Scalar = T;
  static constexpr int width = W;

  T* data = nullptr;
  int cols = W;
  Sequences seq;
  int id = -1;  ///< entry in the tape's value table; -1: a constant
  Stamp stamp;  ///< the context and step it was made in

  constexpr int rows() const { return seq.rows(); }
  constexpr std::int64_t size() const { return std::int64_t{rows()} * cols; }
  constexpr Mat<T> mat() const { return {data, rows(), cols, cols}; }
  /// Columns [first, first + n) as a strided view.
  constexpr Mat<T> columns(int first, int n) const { return {data + first, rows(), n, cols}; }
};

namespace detail {

/// Refuses two widths that differ; the numbers stand in the name the compiler prints.
template <int Input, int Layer>
struct WidthsAgree {
  static_assert(Input == Layer,
                "the width of the input (the first number of WidthsAgree) differs "
                "from the layer's (the second)");
  static constexpr bool value = true;
};

}  // namespace detail

template <class>
inline constexpr bool is_tensor = false;
template <class T, int W>
inline constexpr bool is_tensor<Tensor<T, W>> = true;

/// `n` sequences of one row each: a plain batch of n vectors.
constexpr Sequences batch_of(int n) {
  Sequences s;
  s.count = n;
  s.uniform = 1;
  return s;
}

}  // namespace albef
