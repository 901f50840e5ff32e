// Device code for images: normalisation and patches.
#pragma once

#include "albef/core/primitives/images.hpp"
#include "albef/cuda/kernels/vector.cuh"

namespace albef::detail {

/// Channels one launch normalises.
inline constexpr int pixel_channels = 4;

template <class A>
struct PixelScale {
  A scale[pixel_channels], shift[pixel_channels];
};

/// Channels first .. first + count of pixels (B, H, W, C) of 0..255 -> v * scale - shift as
/// (B, C, H, W), N pixels a thread.
template <class T, int N>
__global__ void normalize_images_kernel(const std::uint8_t* pixels, int channels, int first,
                                        int count, int area, PixelScale<accumulator_t<T>> s,
                                        Mat<T> out) {
  using A = accumulator_t<T>;
  const int b = static_cast<int>(blockIdx.y);
  const int p = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * N;
  if (p >= area) return;
  const std::uint8_t* from = pixels + (std::int64_t{b} * area + p) * channels + first;
#pragma unroll
  for (int c = 0; c < pixel_channels; ++c) {
    if (c >= count) break;
    Values<A, N> v;
#pragma unroll
    for (int k = 0; k < N; ++k)
      v[k] = static_cast<A>(from[k * channels + c]) * s.scale[c] - s.shift[c];
    store(row_of(out, b) + std::int64_t{first + c} * area + p, v);
  }
}

/// Where value `col` of patch row `row` lies in the images: the row of the image and its column.
struct PatchPlace {
  int image;
  std::int64_t pixel;
};
ALBEF_HOST_DEVICE inline PatchPlace patch_place(const PatchGrid& g, int row, int col) {
  const int columns = g.width / g.patch, patches = g.height / g.patch * columns;
  const int image = row / patches, p = row - image * patches;
  const int py = p / columns, px = p - py * columns;
  const int line = col / g.patch, x = col - line * g.patch;
  const int c = line / g.patch, y = line - c * g.patch;
  return {image, (std::int64_t{c} * g.height + py * g.patch + y) * g.width + px * g.patch + x};
}

template <class X, class T>
struct Patchify {  // patches <- images
  Mat<X> image;
  PatchGrid grid;
  Mat<T> patches;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    const PatchPlace p = patch_place(grid, i, j);
    Raw<T, N>::read(row_of(image, p.image) + p.pixel).write(row_of(patches, i) + j);
  }
};
template <class X, class T>
struct Unpatchify {  // images = patches + beta images
  Mat<X> patches;
  PatchGrid grid;
  Mat<T> image;
  accumulator_t<T> beta;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    const PatchPlace p = patch_place(grid, i, j);
    store_with_beta(row_of(image, p.image) + p.pixel, load<N>(row_of(patches, i) + j), beta);
  }
};

template <class X, class T>
struct ResizeGrid {  // y = bicubic resize of x
  Mat<X> x;
  GridResize grid;
  Mat<T> y;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    using A = accumulator_t<T>;
    const int oy = i / grid.width, ox = i - oy * grid.width;
    const CubicTaps vertical(oy, grid.from_height, grid.height, grid.offset);
    const CubicTaps horizontal(ox, grid.from_width, grid.width, grid.offset);
    Values<A, N> sum = {};
#pragma unroll
    for (int v = 0; v < 4; ++v)
#pragma unroll
      for (int h = 0; h < 4; ++h) {
        const auto weight = static_cast<A>(vertical.weight[v] * horizontal.weight[h]);
        const auto from =
            load<N>(row_of(x, vertical.at[v] * grid.from_width + horizontal.at[h]) + j);
#pragma unroll
        for (int k = 0; k < N; ++k) sum[k] += weight * from[k];
      }
    store(row_of(y, i) + j, sum);
  }
};
template <class X, class T>
struct ResizeGridGradient {  // dx = its transpose times dy + beta dx
  Mat<X> dy;
  GridResize grid;
  Mat<T> dx;
  accumulator_t<T> beta;
  template <int N>
  __device__ __forceinline__ void apply(int i, int j) const {
    using A = accumulator_t<T>;
    const int sy = i / grid.from_width, sx = i - sy * grid.from_width;
    const CubicReach down(sy, grid.from_height, grid.height, grid.offset);
    const CubicReach across(sx, grid.from_width, grid.width, grid.offset);
    Values<A, N> sum = {};
    for (int y = down.begin; y < down.end; ++y) {
      const double vertical = CubicTaps(y, grid.from_height, grid.height, grid.offset).of(sy);
      for (int x = across.begin; x < across.end; ++x) {
        const double horizontal = CubicTaps(x, grid.from_width, grid.width, grid.offset).of(sx);
        const auto weight = static_cast<A>(vertical * horizontal);
        const auto from = load<N>(row_of(dy, y * grid.width + x) + j);
#pragma unroll
        for (int k = 0; k < N; ++k) sum[k] += weight * from[k];
      }
    }
    store_with_beta(row_of(dx, i) + j, sum, beta);
  }
};

}  // namespace albef::detail
