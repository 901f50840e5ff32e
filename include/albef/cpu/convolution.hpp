// Convolution and pooling of the CPU backend.
#pragma once

#include <algorithm>
#include <cmath>

#include "albef/core/primitives/convolution.hpp"
#include "albef/cpu/loops.hpp"

namespace albef {

namespace detail {

/// Whether a beats b in a maximum that NaN wins.
template <class T>
bool beats(T a, T b) {
  return a > b || (std::isnan(a) && !std::isnan(b));
}

}  // namespace detail

template <class T>
void run(Cpu& cpu, const primitive::TransposeEach<T>& a) {
  for_rows(cpu, a.count * a.cols, a.rows, [&](int line) {
    const int b = line / a.cols, j = line % a.cols;
    const T* from = a.x + std::int64_t{b} * a.rows * a.cols + j;
    T* to = a.y + std::int64_t{line} * a.rows;
    if (a.beta == 0)
      for (int i = 0; i < a.rows; ++i) to[i] = from[std::int64_t{i} * a.cols];
    else
      for (int i = 0; i < a.rows; ++i) to[i] = from[std::int64_t{i} * a.cols] + a.beta * to[i];
  });
}

template <class T>
void run(Cpu& cpu, const primitive::Unfold<T>& a) {
  const WindowGrid g = a.grid;
  const Window w = g.window;
  const int channels = a.x.cols;
  for_rows(cpu, a.columns.rows, a.columns.cols, [&](int r) {
    const detail::WindowPlace place(g, a.first + r);
    T* to = a.columns.row(r);
    for (int ky = 0; ky < w.kernel; ++ky) {
      const int y = place.y + ky * w.dilation;
      const bool inside = y >= 0 && y < g.height;
      const T* line = a.x.row((place.image * g.height + (inside ? y : 0)) * g.width);
      for (int kx = 0; kx < w.kernel; ++kx, to += channels) {
        const int x = place.x + kx * w.dilation;
        if (inside && x >= 0 && x < g.width)
          std::copy_n(line + x * a.x.stride, channels, to);
        else
          std::fill_n(to, channels, T{0});
      }
    }
  });
}

template <class T>
void run(Cpu& cpu, const primitive::Fold<T>& a) {
  const WindowGrid g = a.grid;
  const Window w = g.window;
  const int channels = a.x.cols, high = g.out_height(), wide = g.out_width();
  const detail::LineRange lines(g, a.first, a.columns.rows);
  const std::int64_t work = std::int64_t{channels} * w.kernel * w.kernel;
  for_rows(cpu, (lines.end - lines.begin) * g.width, work, [&](int p) {
    const int line = lines.begin + p / g.width, x = p % g.width;
    const int image = line / g.height, y = line % g.height;
    T* to = a.x.row(line * g.width + x);
    for (int ky = 0; ky < w.kernel; ++ky) {
      const int oy = detail::window_with(w, high, y, ky);
      if (oy < 0) continue;
      for (int kx = 0; kx < w.kernel; ++kx) {
        const int ox = detail::window_with(w, wide, x, kx);
        const int r = (image * high + oy) * wide + ox - a.first;
        if (ox < 0 || r < 0 || r >= a.columns.rows) continue;
        const T* from = a.columns.row(r) + (ky * w.kernel + kx) * channels;
        for (int c = 0; c < channels; ++c) to[c] += from[c];
      }
    }
  });
}

template <class T>
void run(Cpu& cpu, const primitive::MaxPool<T>& a) {
  const WindowGrid g = a.grid;
  const Window w = g.window;
  const int channels = a.x.cols;
  const std::int64_t work = std::int64_t{channels} * w.kernel * w.kernel;
  for_rows(cpu, a.y.rows, work, [&](int r) {
    const detail::WindowPlace place(g, r);
    T* to = a.y.row(r);
    std::int32_t* at = a.from ? a.from + std::int64_t{r} * channels : nullptr;
    bool first = true;
    for (int ky = 0; ky < w.kernel; ++ky)
      for (int kx = 0; kx < w.kernel; ++kx) {
        const int y = place.y + ky * w.dilation, x = place.x + kx * w.dilation;
        if (y < 0 || y >= g.height || x < 0 || x >= g.width) continue;
        const int row = (place.image * g.height + y) * g.width + x;
        const T* from = a.x.row(row);
        for (int c = 0; c < channels; ++c)
          if (first || detail::beats(from[c], to[c])) {
            to[c] = from[c];
            if (at) at[c] = row;
          }
        first = false;
      }
  });
}

template <class T>
void run(Cpu& cpu, const primitive::MaxPoolGrad<T>& a) {
  const WindowGrid g = a.grid;
  const Window w = g.window;
  const int channels = a.dx.cols, high = g.out_height(), wide = g.out_width();
  const std::int64_t work = std::int64_t{channels} * w.kernel * w.kernel;
  for_rows(cpu, a.dx.rows, work, [&](int p) {
    const int line = p / g.width, x = p % g.width;
    const int image = line / g.height, y = line % g.height;
    T* to = a.dx.row(p);
    for (int c = 0; c < channels; ++c) to[c] = a.beta == 0 ? T{0} : a.beta * to[c];
    for (int ky = 0; ky < w.kernel; ++ky) {
      const int oy = detail::window_with(w, high, y, ky);
      if (oy < 0) continue;
      for (int kx = 0; kx < w.kernel; ++kx) {
        const int ox = detail::window_with(w, wide, x, kx);
        if (ox < 0) continue;
        const int r = (image * high + oy) * wide + ox;
        const T* from = a.dy.row(r);
        const std::int32_t* at = a.from + std::int64_t{r} * channels;
        for (int c = 0; c < channels; ++c) to[c] += at[c] == p ? from[c] : T{0};
      }
    }
  });
}

template <class T>
void run(Cpu& cpu, const primitive::ArgmaxRows<T>& a) {
  for_rows(cpu, a.x.rows, a.x.cols, [&](int i) {
    const T* x = a.x.row(i);
    int best = 0;
    for (int j = 1; j < a.x.cols; ++j)
      if (detail::beats(x[j], x[best])) best = j;
    a.index[i] = best;
  });
}

}  // namespace albef
