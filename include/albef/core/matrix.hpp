// Non-owning strided matrix views: what shape-typed layers hand to shape-erased kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "albef/core/bfloat16.hpp"
#include "albef/core/error.hpp"

namespace albef {

/// Row-major view; element (i, j) is at data[i * stride + j].
template <class T>
struct Mat {
  T* data = nullptr;
  int rows = 0, cols = 0;
  std::int64_t stride = 0;

  constexpr T* row(int i) const { return data + i * stride; }
  template <class U>
  requires std::is_same_v<U, const T>
  constexpr operator Mat<U>() const { return {data, rows, cols, stride}; }
};

/// A read-only view whose number type follows from the other arguments of a call.
template <class T>
using ConstMat = Mat<const std::type_identity_t<T>>;

template <class T>
constexpr Mat<T> mat(T* data, int rows, int cols) {
  return {data, rows, cols, cols};
}

/// The transpose of a matrix (rows, cols) on the host.
template <class T>
std::vector<T> transposed(const std::vector<T>& values, int rows, int cols) {
  std::vector<T> out;
  out.reserve(values.size());
  for (int j = 0; j < cols; ++j)
    for (int i = 0; i < rows; ++i)
      out.push_back(values[static_cast<std::size_t>(i) * static_cast<std::size_t>(cols) +
                           static_cast<std::size_t>(j)]);
  return out;
}

}  // namespace albef
