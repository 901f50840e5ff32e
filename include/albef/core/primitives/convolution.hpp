// Convolution and pooling: windows that move over feature maps.
#pragma once

#include <cstdint>

#include "albef/core/bfloat16.hpp"
#include "albef/core/matrix.hpp"

namespace albef {

/// What an output pixel sees of a feature map, as torch.nn.Conv2d and MaxPool2d say it: `kernel` x
/// `kernel` pixels, `dilation` apart from each other; the windows are `stride` pixels apart, and
/// the first begins `padding` pixels outside of the map.
struct Window {
  int kernel = 1, stride = 1, padding = 0, dilation = 1;
  /// Pixels from the first to the last of a window.
  ALBEF_HOST_DEVICE constexpr int extent() const { return dilation * (kernel - 1) + 1; }
  constexpr int cells() const { return kernel * kernel; }
  /// How many windows fit along a side of `size` pixels.
  ALBEF_HOST_DEVICE constexpr int count(int size) const {
    const int room = size + 2 * padding - extent();
    return room < 0 ? 0 : room / stride + 1;
  }
};

/// Windows over feature maps (B, H, W, C), rows of C channels: one row a pixel, image by image,
/// line by line. Window r of all is the one whose output pixel is row r.
struct WindowGrid {
  int images = 0, height = 0, width = 0;  ///< of the maps the windows move over
  Window window;

  ALBEF_HOST_DEVICE constexpr int out_height() const { return window.count(height); }
  ALBEF_HOST_DEVICE constexpr int out_width() const { return window.count(width); }
  constexpr int pixels() const { return height * width; }
  constexpr int rows() const { return images * pixels(); }
  constexpr int out_pixels() const { return out_height() * out_width(); }
  constexpr int out_rows() const { return images * out_pixels(); }
};

namespace detail {

/// Where window r begins: image, and line and column of its first cell, which may lie outside.
struct WindowPlace {
  int image, y, x;
  ALBEF_HOST_DEVICE constexpr WindowPlace(const WindowGrid& g, int r) : image(0), y(0), x(0) {
    const int columns = g.out_width(), line = r / columns;
    image = line / g.out_height();
    y = (line - image * g.out_height()) * g.window.stride - g.window.padding;
    x = (r - line * columns) * g.window.stride - g.window.padding;
  }
};

/// The window along one side whose cell `cell` is pixel `at`, or -1.
ALBEF_HOST_DEVICE constexpr int window_with(const Window& w, int windows, int at, int cell) {
  const int first = at + w.padding - cell * w.dilation;
  if (first < 0 || first % w.stride != 0) return -1;
  const int window = first / w.stride;
  return window < windows ? window : -1;
}

/// The lines [begin, end) of all maps, counted through, that windows [first, first + count) reach.
struct LineRange {
  int begin, end;
  constexpr LineRange(const WindowGrid& g, int first, int count) : begin(0), end(0) {
    if (count <= 0) return;
    const WindowPlace from(g, first), to(g, first + count - 1);
    const int last = to.y + g.window.extent();
    begin = from.image * g.height + (from.y < 0 ? 0 : from.y < g.height ? from.y : g.height);
    end = to.image * g.height + (last < 0 ? 0 : last < g.height ? last : g.height);
    if (end < begin) end = begin;
  }
};

}  // namespace detail

namespace primitive {

/// y (count, cols, rows) = the transpose of every matrix of x (count, rows, cols) + beta y.
template <class T>
struct TransposeEach {
  const T* x = nullptr;
  int count = 0, rows = 0, cols = 0;
  T* y = nullptr;
  accumulator_t<T> beta = 0;
};

/// The values windows [first, first + columns.rows) see (im2col): columns (rows, kernel * kernel *
/// C) in the order (line, column, channel); 0 outside of the map. x (B * H * W, C).
template <class T>
struct Unfold {
  Mat<const T> x;
  WindowGrid grid;
  int first = 0;
  Mat<T> columns;
};

/// Its transpose (col2im): x += for every pixel, the sum of what the windows have in its place.
template <class T>
struct Fold {
  Mat<const T> columns;
  WindowGrid grid;
  int first = 0;
  Mat<T> x;
};

/// The largest value of every window, a channel on its own, and unless null in `from` (out rows, C)
/// which row of x it is of: the first of several; NaN counts as the largest. Pixels outside of the
/// map do not count.
template <class T>
struct MaxPool {
  Mat<const T> x;
  WindowGrid grid;
  Mat<T> y;
  std::int32_t* from = nullptr;
};

/// dx = the sum over the windows whose largest value a pixel is of dy, + beta dx.
template <class T>
struct MaxPoolGrad {
  Mat<const T> dy;
  const std::int32_t* from = nullptr;
  WindowGrid grid;
  Mat<T> dx;
  accumulator_t<T> beta = 0;
};

/// index[i] = the column of the largest value of row i, the first of several; NaN counts as the
/// largest.
template <class T>
struct ArgmaxRows {
  Mat<const T> x;
  std::int32_t* index = nullptr;
};

}  // namespace primitive
}  // namespace albef
