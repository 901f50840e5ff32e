// Images of the CUDA backend: pixels to planes, planes to patches, grids to other sizes.
#pragma once

#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/kernels/images.cuh"

namespace albef {

template <class T>
void run(Cuda& cuda, const primitive::NormalizeImages<T>& a) {
  using namespace detail;
  using A = accumulator_t<T>;
  const PatchGrid grid = a.grid;
  const int area = grid.pixels();
  constexpr int threads = 256;
  for (int first = 0; first < grid.channels; first += pixel_channels) {
    const int count = std::min(pixel_channels, grid.channels - first);
    PixelScale<A> s = {};
    for (int c = 0; c < count; ++c) {
      const double mean = a.statistics.mean[static_cast<std::size_t>(first + c)];
      const double std = a.statistics.std[static_cast<std::size_t>(first + c)];
      s.scale[c] = static_cast<A>(1.0 / (255.0 * std));
      s.shift[c] = static_cast<A>(mean / std);
    }
    const auto start = [&](auto width) {
      constexpr int n = decltype(width)::value;
      const dim3 blocks(static_cast<unsigned>(blocks_for(area, n * threads)),
                        static_cast<unsigned>(grid.images));
      launch(cuda, "[normalize_images]", normalize_images_kernel<T, n>, blocks, dim3(threads), 0,
             a.pixels, grid.channels, first, count, area, s, a.out);
    };
    if (area % 4 == 0 && rows_aligned(a.out, 4))
      start(std::integral_constant<int, 4>{});
    else
      start(std::integral_constant<int, 1>{});
  }
}

template <class T>
void run(Cuda& cuda, const primitive::Patchify<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[patchify]", a.patches.rows, a.patches.cols,
      [&](int n) {
        return a.grid.patch % n == 0 && rows_aligned(a.image, n) && rows_aligned(a.patches, n);
      },
      Patchify<const T, T>{a.image, a.grid, a.patches});
}

template <class T>
void run(Cuda& cuda, const primitive::Unpatchify<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[unpatchify]", a.patches.rows, a.patches.cols,
      [&](int n) {
        return a.grid.patch % n == 0 && rows_aligned(a.image, n) && rows_aligned(a.patches, n);
      },
      Unpatchify<const T, T>{a.patches, a.grid, a.image, a.beta});
}

template <class T>
void run(Cuda& cuda, const primitive::ResizeGrid<T>& a) {
  using namespace detail;
  for_elements<T>(
      cuda, "[resize_grid]", a.y.rows, a.y.cols,
      [&](int n) { return rows_aligned(a.x, n) && rows_aligned(a.y, n); },
      ResizeGrid<const T, T>{a.x, a.grid, a.y});
}

template <class T>
void run(Cuda& cuda, const primitive::ResizeGridGrad<T>& a) {
  using namespace detail;
  using A = accumulator_t<T>;
  for_elements<A>(
      cuda, "[resize_grid_grad]", a.dx.rows, a.dx.cols,
      [&](int n) { return rows_aligned(a.dy, n) && rows_aligned(a.dx, n); },
      ResizeGridGradient<const A, A>{a.dy, a.grid, a.dx, a.beta});
}

}  // namespace albef
