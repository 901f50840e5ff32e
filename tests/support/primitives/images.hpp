// Images: normalisation and patches.
#pragma once

#include <span>

#include "../operands.hpp"
#include "albef/core/interpolate_pos_embed.hpp"
#include "elementwise.hpp"

namespace cases {

inline constexpr albef::PatchGrid grids[] = {
    {.images = 3, .channels = 3, .height = 8, .width = 8, .patch = 4},
    {.images = 3, .channels = 3, .height = 16, .width = 24, .patch = 8},
    {.images = 3, .channels = 1, .height = 12, .width = 4, .patch = 4},
    {.images = 2, .channels = 5, .height = 4, .width = 8, .patch = 2},
    {.images = 3, .channels = 4, .height = 9, .width = 15, .patch = 3}};
inline constexpr albef::PatchGrid base_grid{.images = 8, .height = 256, .width = 256, .patch = 16};

inline int pixels_of(const albef::PatchGrid& g) { return g.channels * g.pixels(); }

inline void run(Naive&, const primitive::NormalizeImages<double>& a) {
  const int area = a.grid.pixels();
  for (int b = 0; b < a.grid.images; ++b)
    for (int i = 0; i < area; ++i)
      for (int c = 0; c < a.grid.channels; ++c) {
        const auto channel = static_cast<std::size_t>(c);
        a.out.row(b)[c * area + i] =
            (a.pixels[(b * area + i) * a.grid.channels + c] / 255.0 - a.statistics.mean[channel]) /
            a.statistics.std[channel];
      }
}
template <class T>
struct PrimitiveCase<primitive::NormalizeImages<T>> {
  static void each(const auto& h) {
    for (const auto& grid : h.sizes(grids, base_grid))
      for (const int gap : {0, 5}) {
        std::vector<std::uint8_t> values(static_cast<std::size_t>(grid.images * pixels_of(grid)));
        for (std::size_t i = 0; i < values.size(); ++i)
          values[i] = static_cast<std::uint8_t>(i * 37);
        Array<std::uint8_t> pixels(values);
        static constexpr double mean[] = {0.5, 0.25, 0.4, 0.1, 0.3},
                                std[] = {0.25, 0.3, 0.2, 0.5, 0.1};
        const auto channels = static_cast<std::size_t>(grid.channels);
        const albef::ImageStatistics statistics{std::span(mean, channels),
                                                std::span(std, channels)};
        Matrix<T> out(grid.images, pixels_of(grid), gap);
        out.set(undefined);
        h.template check<T>(
            tolerance<T>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::NormalizeImages<R>{on(pixels), grid, statistics, on(out)};
            },
            out);
      }
  }
};

/// Calls f(image, pixel, patch row, value) for every value of every patch.
template <class F>
void for_patch_values(const albef::PatchGrid& g, F f) {
  for (int b = 0; b < g.images; ++b)
    for (int c = 0; c < g.channels; ++c)
      for (int y = 0; y < g.height; ++y)
        for (int x = 0; x < g.width; ++x)
          f(b, (c * g.height + y) * g.width + x,
            (b * g.rows() + y / g.patch) * g.columns() + x / g.patch,
            (c * g.patch + y % g.patch) * g.patch + x % g.patch);
}
inline void run(Naive&, const primitive::Patchify<double>& a) {
  for_patch_values(a.grid, [&](int b, int pixel, int row, int value) {
    a.patches.row(row)[value] = a.image.row(b)[pixel];
  });
}
inline void run(Naive&, const primitive::Unpatchify<double>& a) {
  for_patch_values(a.grid, [&](int b, int pixel, int row, int value) {
    double& to = a.image.row(b)[pixel];
    to = blend(a.patches.row(row)[value], a.beta, to);
  });
}
template <class T>
struct PrimitiveCase<primitive::Patchify<T>> {
  static void each(const auto& h) {
    for (const auto& grid : h.sizes(grids, base_grid))
      for (const int gap : {0, 5}) {
        auto image = Matrix<T>::random(grid.images, pixels_of(grid), gap);
        Matrix<T> patches(grid.images * grid.patches(), grid.values(), gap);
        patches.set(undefined);
        h.template check<T>(
            0,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::Patchify<R>{on(image), grid, on(patches)};
            },
            patches);
      }
  }
};
template <class T>
struct PrimitiveCase<primitive::Unpatchify<T>> {
  static void each(const auto& h) {
    for (const auto& grid : h.sizes(grids, base_grid))
      for (const int gap : {0, 5}) {
        auto patches = Matrix<T>::random(grid.images * grid.patches(), grid.values(), gap);
        Matrix<T> image(grid.images, pixels_of(grid), gap);
        for_betas(image, [&](float beta) {
          h.template check<T>(
              tolerance<T>,
              [&](auto on) {
                using R = typename decltype(on)::Real;
                return primitive::Unpatchify<R>{on(patches), grid, on(image), on.sum(beta)};
              },
              image);
        });
      }
  }
};

/// The matrix that resizes a grid of rows: its columns are the resized unit vectors.
inline std::vector<double> resize_matrix(const albef::GridResize& g) {
  const auto from = static_cast<std::size_t>(g.from_rows());
  std::vector<double> identity((from + 1) * from);  // behind a row for the class token
  for (std::size_t i = 0; i < from; ++i) identity[(i + 1) * from + i] = 1;
  auto out = albef::interpolate_pos_embed(std::span<const double>(identity), g.from_rows(), g);
  out.erase(out.begin(), out.begin() + g.from_rows());
  return out;
}
inline void run(Naive&, const primitive::ResizeGrid<double>& a) {
  const auto matrix = resize_matrix(a.grid);
  naive_elements(a.y, 0, [&](int i, int j) {
    double sum = 0;
    for (int k = 0; k < a.x.rows; ++k)
      sum += matrix[static_cast<std::size_t>(i * a.x.rows + k)] * a.x.row(k)[j];
    return sum;
  });
}
inline void run(Naive&, const primitive::ResizeGridGrad<double>& a) {
  const auto matrix = resize_matrix(a.grid);
  naive_elements(a.dx, a.beta, [&](int k, int j) {
    double sum = 0;
    for (int i = 0; i < a.dy.rows; ++i)
      sum += matrix[static_cast<std::size_t>(i * a.dx.rows + k)] * a.dy.row(i)[j];
    return sum;
  });
}
inline constexpr albef::GridResize resizes[] = {{4, 4, 6, 6}, {4, 4, 3, 3}, {2, 2, 7, 5},
                                                {5, 3, 1, 8}, {1, 6, 4, 4}, {3, 3, 3, 9},
                                                {3, 4, 3, 4}};
inline constexpr albef::GridResize base_resize{16, 16, 24, 24};
template <class T>
struct PrimitiveCase<primitive::ResizeGrid<T>> {
  static void each(const auto& h) {
    for (const auto& grid : h.sizes(resizes, base_resize))
      for (const auto& [cols, gap] : {std::pair{768 / 8, 0}, std::pair{33, 2}}) {
        auto x = Matrix<T>::random(grid.from_rows(), cols, gap);
        Matrix<T> y(grid.rows(), cols, gap);
        y.set(undefined);
        h.template check<T>(
            4 * tolerance<T>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              return primitive::ResizeGrid<R>{on(x), grid, on(y)};
            },
            y);
      }
  }
};
template <class T>
struct PrimitiveCase<primitive::ResizeGridGrad<T>> {
  static void each(const auto& h) {
    using A = accumulator_t<T>;
    for (const auto& grid : h.sizes(resizes, base_resize))
      for (const auto& [cols, gap] : {std::pair{768 / 8, 0}, std::pair{33, 2}}) {
        auto dy = Matrix<A>::random(grid.rows(), cols, gap);
        Matrix<A> dx(grid.from_rows(), cols, gap);
        for_betas(dx, [&](float beta) {
          h.template check<T>(
              20 * tolerance<A>,
              [&](auto on) {
                using R = typename decltype(on)::Real;
                return primitive::ResizeGridGrad<R>{on(dy), grid, on(dx), on.sum(beta)};
              },
              dx);
        });
      }
  }
};

}  // namespace cases
