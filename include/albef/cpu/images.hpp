// Images of the CPU backend: pixels to planes, planes to patches, grids to other sizes.
#pragma once

#include <algorithm>

#include "albef/core/primitives/images.hpp"
#include "albef/cpu/loops.hpp"

namespace albef {

template <class T>
void run(Cpu& cpu, const primitive::NormalizeImages<T>& a) {
  const PatchGrid grid = a.grid;
  const std::int64_t area = grid.pixels();
  cpu.for_each(grid.images, [&](std::int64_t b) {
    const std::uint8_t* from = a.pixels + b * area * grid.channels;
    for (int c = 0; c < grid.channels; ++c) {
      const double mean = a.statistics.mean[static_cast<std::size_t>(c)];
      const double std = a.statistics.std[static_cast<std::size_t>(c)];
      const auto scale = static_cast<T>(1.0 / (255.0 * std));
      const auto shift = static_cast<T>(mean / std);
      T* to = a.out.row(static_cast<int>(b)) + c * area;
      for (std::int64_t i = 0; i < area; ++i)
        to[i] = static_cast<T>(from[i * grid.channels + c]) * scale - shift;
    }
  });
}

namespace detail {

/// Calls f(image, place in it, patch row, place in it) for every line of every patch.
template <class F>
void for_patch_lines(Cpu& cpu, PatchGrid g, F&& f) {
  const int rows = g.rows(), columns = g.columns();
  cpu.for_each(std::int64_t{g.images} * rows, [&](std::int64_t task) {
    const auto b = static_cast<int>(task / rows), py = static_cast<int>(task % rows);
    for (int px = 0; px < columns; ++px)
      for (int c = 0; c < g.channels; ++c)
        for (int y = 0; y < g.patch; ++y) {
          const std::int64_t pixel =
              (std::int64_t{c} * g.height + py * g.patch + y) * g.width + px * g.patch;
          f(b, pixel, b * rows * columns + py * columns + px, (c * g.patch + y) * g.patch);
        }
  });
}

}  // namespace detail

template <class T>
void run(Cpu& cpu, const primitive::Patchify<T>& a) {
  detail::for_patch_lines(cpu, a.grid, [&](int b, std::int64_t pixel, int row, int value) {
    std::copy_n(a.image.row(b) + pixel, a.grid.patch, a.patches.row(row) + value);
  });
}

template <class T>
void run(Cpu& cpu, const primitive::Unpatchify<T>& a) {
  detail::for_patch_lines(cpu, a.grid, [&](int b, std::int64_t pixel, int row, int value) {
    const T* from = a.patches.row(row) + value;
    T* to = a.image.row(b) + pixel;
    for (int i = 0; i < a.grid.patch; ++i) to[i] = a.beta == 0 ? from[i] : from[i] + a.beta * to[i];
  });
}

template <class T>
void run(Cpu& cpu, const primitive::ResizeGrid<T>& a) {
  const GridResize g = a.grid;
  const Mat<const T> x = a.x;
  const Mat<T> y = a.y;
  for_rows(cpu, y.rows, std::int64_t{16} * y.cols, [&](int r) {
    const detail::CubicTaps vertical(r / g.width, g.from_height, g.height, g.offset);
    const detail::CubicTaps horizontal(r % g.width, g.from_width, g.width, g.offset);
    const T* rows[16];
    T weights[16];
    for (int k = 0; k < 16; ++k) {
      rows[k] = x.row(vertical.at[k / 4] * g.from_width + horizontal.at[k % 4]);
      weights[k] = static_cast<T>(vertical.weight[k / 4] * horizontal.weight[k % 4]);
    }
    for_packs<T>(y.cols, [&](std::int64_t j, int n) {
      Pack<T> sum(T{0});
      for (int k = 0; k < 16; ++k)
        sum = fma(Pack<T>::load_n(rows[k] + j, n), Pack<T>(weights[k]), sum);
      sum.store_n(y.row(r) + j, n);
    });
  });
}

template <class T>
void run(Cpu& cpu, const primitive::ResizeGridGrad<T>& a) {
  const GridResize g = a.grid;
  const Mat<const T> dy = a.dy;
  const Mat<T> dx = a.dx;
  const T beta = a.beta;
  for_rows(cpu, dx.rows, std::int64_t{16} * dx.cols, [&](int r) {
    const int sy = r / g.from_width, sx = r % g.from_width;
    const detail::CubicReach down(sy, g.from_height, g.height, g.offset);
    const detail::CubicReach across(sx, g.from_width, g.width, g.offset);
    T* to = dx.row(r);
    for (int j = 0; j < dx.cols; ++j) to[j] = beta == 0 ? T{0} : beta * to[j];
    for (int y = down.begin; y < down.end; ++y) {
      const double vertical = detail::CubicTaps(y, g.from_height, g.height, g.offset).of(sy);
      for (int x = across.begin; x < across.end; ++x) {
        const double horizontal = detail::CubicTaps(x, g.from_width, g.width, g.offset).of(sx);
        const auto weight = static_cast<T>(vertical * horizontal);
        if (weight == 0) continue;
        const T* from = dy.row(y * g.width + x);
        for_packs<T>(dx.cols, [&](std::int64_t j, int n) {
          fma(Pack<T>::load_n(from + j, n), Pack<T>(weight), Pack<T>::load_n(to + j, n))
              .store_n(to + j, n);
        });
      }
    }
  });
}

}  // namespace albef
