// Between the library's buffers and xtensor arrays, without copies: token ids, pictures, embedding
// and score matrices that programs hand in and get out.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xtensor.hpp>

#include "albef/core/error.hpp"
#include "albef/core/matrix.hpp"

namespace albef {
namespace detail {

template <class Array>
std::string xtensor_shape_text(const Array& array) {
  std::string text = "(";
  for (const auto n : array.shape()) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + ")";
}

template <class Array>
constexpr void check_row_major() {
  static_assert(Array::static_layout == xt::layout_type::row_major,
                "the array must be row-major: evaluate it into an xt::xarray or xt::xtensor first");
}

}  // namespace detail

/// Views row-major memory as an xtensor expression of the given shape. The memory must outlive it;
/// writing to the view writes to the memory.
template <class T, std::size_t N>
auto as_xtensor(T* data, const std::array<std::size_t, N>& shape) {
  std::size_t size = 1;
  for (const std::size_t n : shape) size *= n;
  return xt::adapt(data, size, xt::no_ownership(), shape);
}

/// Views a matrix, e.g. embeddings (B, D) or scores (images, texts); rows may be strided.
template <class T>
auto as_xtensor(Mat<T> matrix) {
  const auto rows = static_cast<std::size_t>(matrix.rows);
  const auto cols = static_cast<std::size_t>(matrix.cols);
  const std::array<std::size_t, 2> shape{rows, cols};
  const std::array<std::ptrdiff_t, 2> strides{static_cast<std::ptrdiff_t>(matrix.stride), 1};
  // xtensor wants the number of elements here, not the extent in memory.
  return xt::adapt(matrix.data, rows * cols, xt::no_ownership(), shape, strides);
}

/// Views 8-bit RGB pixels as (height, width, 3).
template <class Byte>
auto image_as_xtensor(Byte* rgb, int width, int height) {
  return as_xtensor(rgb, std::array<std::size_t, 3>{static_cast<std::size_t>(height),
                                                    static_cast<std::size_t>(width), 3});
}
/// Views a picture with members `rgb`, `width` and `height` (such as Image) likewise.
template <class Picture>
auto image_as_xtensor(Picture& picture) {
  return image_as_xtensor(picture.rgb.data(), picture.width, picture.height);
}

/// A copy of a (height, width, 3) array of bytes as a Picture(width, height) with a member `rgb`
/// (such as Image). Error for other shapes.
template <class Picture, class Array>
Picture image_from_xtensor(const Array& array) {
  detail::check_row_major<Array>();
  require(array.dimension() == 3 && array.shape(2) == 3, "image_from_xtensor: got shape ",
          detail::xtensor_shape_text(array), ", expected (height, width, 3)");
  Picture picture(static_cast<int>(array.shape(1)), static_cast<int>(array.shape(0)));
  std::copy_n(array.data(), array.size(), picture.rgb.data());
  return picture;
}

/// The elements of a row-major array, in memory order.
template <class Array>
auto as_span(Array& array) {
  detail::check_row_major<Array>();
  return std::span(array.data(), array.size());
}

/// Views a two-dimensional row-major array as a matrix. Error for another number of dimensions.
template <class Array>
auto as_mat(Array& array) {
  detail::check_row_major<Array>();
  require(array.dimension() == 2, "as_mat: got shape ", detail::xtensor_shape_text(array),
          ", expected two dimensions");
  return mat(array.data(), static_cast<int>(array.shape(0)), static_cast<int>(array.shape(1)));
}

}  // namespace albef
