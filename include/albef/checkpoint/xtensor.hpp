// Between the library and xtensor arrays: token ids, pictures, embedding and score matrices as
// views without copies, tensors of a context from arrays and back, and .npy files.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xtensor.hpp>

#include "albef/checkpoint/npy.hpp"
#include "albef/core/error.hpp"
#include "albef/core/matrix.hpp"
#include "albef/core/tensor.hpp"

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

namespace detail {

/// What an array says of rows and sequences: (N, W) are N sequences of one row, (B, L, W) B
/// sequences of L rows.
template <int W, class Array>
Sequences xtensor_sequences(const char* what, const Array& array) {
  check_row_major<Array>();
  const auto size = [&](std::size_t axis) { return static_cast<int>(array.shape(axis)); };
  const std::size_t n = array.dimension();
  require((n == 2 || n == 3) && (W == dynamic_width || size(n - 1) == W), what, ": got shape ",
          xtensor_shape_text(array), ", expected (rows, width) or (sequences, length, width)",
          W == dynamic_width ? "" : concat(" of width ", W));
  return n == 2 ? batch_of(size(0)) : uniform_sequences(size(0), size(1));
}

}  // namespace detail

/// A tensor that takes no gradient with a copy of an array's values, valid until the next
/// begin_step: (N, W) is a batch of N vectors, (B, L, W) holds B sequences of L rows. Values are
/// converted to the context's activations. Error for other shapes.
///   const auto x = constant_from_xtensor<128>(ctx, features);  // (N, 128)
template <int W, class Ctx, class Array>
auto constant_from_xtensor(Ctx& ctx, const Array& array) {
  using Real = typename Ctx::Real;
  const Sequences seq = detail::xtensor_sequences<W>("constant_from_xtensor", array);
  const std::vector<Real> host(array.data(), array.data() + array.size());
  auto t = ctx.template constant<W>(ctx.upload(host), seq,
                                    static_cast<int>(array.shape(array.dimension() - 1)));
  t.stamp = ctx.stamp();
  return t;
}

/// The same as a variable, which takes a gradient: see Context::variable().
template <int W, class Ctx, class Array>
auto variable_from_xtensor(Ctx& ctx, const Array& array) {
  using Real = typename Ctx::Real;
  const Sequences seq = detail::xtensor_sequences<W>("variable_from_xtensor", array);
  const std::vector<Real> host(array.data(), array.data() + array.size());
  return ctx.template variable<W>(std::span<const Real>(host), seq,
                                  static_cast<int>(array.shape(array.dimension() - 1)));
}

namespace detail {

template <class T, class From, int W>
xt::xarray<T> tensor_as_xtensor(const std::vector<From>& host, const Tensor<From, W>& t) {
  const auto size = [](int n) { return static_cast<std::size_t>(n); };
  std::vector<std::size_t> shape{size(t.rows()), size(t.cols)};
  if (!t.seq.offsets && t.seq.uniform != 1)
    shape = {size(t.seq.count), size(t.seq.uniform), size(t.cols)};
  xt::xarray<T> out(shape);
  std::transform(host.begin(), host.end(), out.data(), [](From v) { return static_cast<T>(v); });
  return out;
}

}  // namespace detail

/// A copy of a tensor's values: (rows, cols), or (sequences, length, cols) where all sequences have
/// the same length, other than 1.
template <class T = float, class Ctx, class From, int W>
xt::xarray<T> read_xtensor(const Ctx& ctx, const Tensor<From, W>& t) {
  return detail::tensor_as_xtensor<T>(ctx.read(t), t);
}

/// The same of a variable's gradient after backward(): see Context::gradient().
template <class T = float, class Ctx, class From, int W>
xt::xarray<T> read_xtensor_gradient(const Ctx& ctx, const Tensor<From, W>& t) {
  return detail::tensor_as_xtensor<T>(ctx.gradient(t), t);
}

/// Writes a row-major array as .npy; see write_npy.
template <class Array>
void write_xtensor(const std::string& path, const Array& array) {
  const std::vector<std::int64_t> shape(array.shape().begin(), array.shape().end());
  write_npy(path, std::span<const typename Array::value_type>(as_span(array)), shape);
}

/// Reads a .npy file of element type T into an array; see read_npy.
template <class T>
xt::xarray<T> read_xtensor(const std::string& path) {
  const NpyArray<T> file = read_npy<T>(path);
  xt::xarray<T> out(std::vector<std::size_t>(file.shape.begin(), file.shape.end()));
  std::copy(file.values.begin(), file.values.end(), out.data());
  return out;
}

}  // namespace albef
