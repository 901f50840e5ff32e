// Tokens, images and row selections of the CUDA backend.
#pragma once

#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/kernels/tokens.cuh"

namespace albef {

template <class T>
void embedding_forward(Cuda& cuda, const EmbeddingArgs<T>& a) {
  using namespace detail;
  const dim3 grid(static_cast<unsigned>(a.seq.count + 1),
                  static_cast<unsigned>(a.seq.max_length()));
  with_width<T>(
      [&](int n) {
        return rows_aligned(a.y, n) && row_aligned(a.word, n) && row_aligned(a.position, n) &&
               row_aligned(a.type, n);
      },
      [&](auto width) {
        constexpr int n = decltype(width)::value;
        launch(cuda, "[embedding]", embedding_forward_kernel<T, n>, grid, dim3(token_threads), 0,
               a);
      });
}

namespace detail {

/// y[index[i]] += x[i] over the rows of x below *limit (null: all).
template <class X, class T>
void scatter_add(Cuda& cuda, const char* name, Mat<X> x, const std::int32_t* index,
                 const int* limit, Mat<T> y) {
  const dim3 grid(static_cast<unsigned>(x.rows)), block(scatter_threads);
  if (rows_aligned(x, 4) && rows_aligned(y, 4))
    launch(cuda, name, scatter_add_kernel<X, T, 4>, grid, block, 0, x, index, limit, y);
  else
    launch(cuda, name, scatter_add_kernel<X, T, 1>, grid, block, 0, x, index, limit, y);
}

}  // namespace detail

template <class T>
void embedding_backward(Cuda& cuda, const EmbeddingGradArgs<T>& a) {
  using namespace detail;
  using A = accumulator_t<T>;
  const int cols = a.dy.cols;
  const int* limit = a.seq.offsets ? a.seq.offsets + a.seq.count : nullptr;
  if (a.word)
    scatter_add(cuda, "[embedding_backward]", a.dy, a.ids, limit, mat(a.word, a.vocabulary, cols));
  if (a.position) {
    const dim3 grid(static_cast<unsigned>(a.seq.max_length())), block(token_threads);
    if (rows_aligned(a.dy, 4) && row_aligned(a.position, 4))
      launch(cuda, "[embedding_backward]", position_gradient_kernel<T, A, 4>, grid, block, 0, a.dy,
             a.seq, a.position);
    else
      launch(cuda, "[embedding_backward]", position_gradient_kernel<T, A, 1>, grid, block, 0, a.dy,
             a.seq, a.position);
  }
  if (a.type) column_sum(cuda, a.dy, a.type, A(1));
}

/// Pixels (B, H, W, C) of 0..255 -> (v / 255 - mean) / std as (B, C, H, W).
template <class T>
void normalize_images(Cuda& cuda, const std::uint8_t* pixels, PatchGrid grid,
                      const ImageStatistics& statistics, Mat<T> out) {
  using namespace detail;
  using A = accumulator_t<T>;
  const int area = grid.pixels();
  constexpr int threads = 256;
  for (int first = 0; first < grid.channels; first += pixel_channels) {
    const int count = std::min(pixel_channels, grid.channels - first);
    PixelScale<A> s = {};
    for (int c = 0; c < count; ++c) {
      const double mean = statistics.mean[static_cast<std::size_t>(first + c)];
      const double std = statistics.std[static_cast<std::size_t>(first + c)];
      s.scale[c] = static_cast<A>(1.0 / (255.0 * std));
      s.shift[c] = static_cast<A>(mean / std);
    }
    const auto run = [&](auto width) {
      constexpr int n = decltype(width)::value;
      const dim3 blocks(static_cast<unsigned>(blocks_for(area, n * threads)),
                        static_cast<unsigned>(grid.images));
      launch(cuda, "[normalize_images]", normalize_images_kernel<T, n>, blocks, dim3(threads), 0,
             pixels, grid.channels, first, count, area, s, out);
    };
    if (area % 4 == 0 && rows_aligned(out, 4))
      run(std::integral_constant<int, 4>{});
    else
      run(std::integral_constant<int, 1>{});
  }
}

/// (B, C, H, W) -> (B * patches, C * patch * patch)
template <class X, class T>
void patchify(Cuda& cuda, Mat<X> image, PatchGrid g, Mat<T> patches) {
  using namespace detail;
  for_elements<T>(
      cuda, "[patchify]", patches.rows, patches.cols,
      [&](int n) { return g.patch % n == 0 && rows_aligned(image, n) && rows_aligned(patches, n); },
      Patchify<X, T>{image, g, patches});
}

/// The reverse of patchify, image = values + beta image.
template <class X, class T>
void unpatchify(Cuda& cuda, Mat<X> patches, PatchGrid g, Mat<T> image, accumulator_t<T> beta) {
  using namespace detail;
  for_elements<T>(
      cuda, "[unpatchify]", patches.rows, patches.cols,
      [&](int n) { return g.patch % n == 0 && rows_aligned(image, n) && rows_aligned(patches, n); },
      Unpatchify<X, T>{patches, g, image, beta});
}

/// Bicubic resize of a grid of rows: x (from_height * from_width, cols) -> y (height * width,
/// cols).
template <class X, class T>
void resize_grid_forward(Cuda& cuda, Mat<X> x, const GridResize& g, Mat<T> y) {
  using namespace detail;
  for_elements<T>(
      cuda, "[resize_grid]", y.rows, y.cols,
      [&](int n) { return rows_aligned(x, n) && rows_aligned(y, n); }, ResizeGrid<X, T>{x, g, y});
}

/// Its transpose: dx = the gradient from dy (height * width, cols) + beta dx.
template <class X, class T>
void resize_grid_backward(Cuda& cuda, Mat<X> dy, const GridResize& g, Mat<T> dx,
                          accumulator_t<T> beta) {
  using namespace detail;
  for_elements<T>(
      cuda, "[resize_grid_backward]", dx.rows, dx.cols,
      [&](int n) { return rows_aligned(dy, n) && rows_aligned(dx, n); },
      ResizeGridGradient<X, T>{dy, g, dx, beta});
}

/// y[i] = x[index[i]], zeros for a negative index
template <class X, class T>
void gather_rows(Cuda& cuda, Mat<X> x, const std::int32_t* index, Mat<T> y) {
  using namespace detail;
  for_elements<T>(
      cuda, "[gather_rows]", y.rows, y.cols,
      [&](int n) { return rows_aligned(x, n) && rows_aligned(y, n); },
      GatherRows<X, T>{x, index, y});
}

/// y[index[i]] += x[i] where the index is not negative, in the order of i
template <class X, class T>
void scatter_add_rows(Cuda& cuda, Mat<X> x, const std::int32_t* index, Mat<T> y) {
  detail::scatter_add(cuda, "[scatter_add_rows]", x, index, nullptr, y);
}

/// index[i] = first row of sequence i
inline void first_rows(Cuda& cuda, const Sequences& seq, std::int32_t* index) {
  using namespace detail;
  launch(cuda, "[first_rows]", first_rows_kernel<>,
         dim3(static_cast<unsigned>(blocks_for(seq.count, 256))), dim3(256), 0, seq, index);
}

/// Sequences index[0..n) one after the other: their rows, and where each begins (n + 1 offsets).
/// Rows past `capacity` are cut off.
inline Sequences select_sequences(Cuda& cuda, const Sequences& seq, const std::int32_t* index,
                                  int n, int capacity, std::int32_t* offsets, std::int32_t* rows) {
  using namespace detail;
  launch(cuda, "[select]", select_offsets_kernel<>, dim3(1), dim3(warp_size), 0, seq, index, n,
         capacity, offsets);
  launch(cuda, "[select]", select_rows_kernel<>, dim3(static_cast<unsigned>(n + 1)), dim3(128), 0,
         seq, index, n, capacity, static_cast<const std::int32_t*>(offsets), rows);
  Sequences selected;
  selected.count = n;
  selected.offsets = offsets;
  selected.total = capacity;
  selected.longest = seq.max_length();
  return selected;
}

/// The 3 B image-text pairs of ITM: matching pairs (b, b), then text b with its negative image,
/// then image b with its negative text.
inline void pair_indices(Cuda& cuda, int batch, const std::int32_t* negative_image,
                         const std::int32_t* negative_text, std::int32_t* text,
                         std::int32_t* image) {
  using namespace detail;
  launch(cuda, "[pair_indices]", pair_indices_kernel<>,
         dim3(static_cast<unsigned>(blocks_for(batch, 256))), dim3(256), 0, batch, negative_image,
         negative_text, text, image);
}

}  // namespace albef
