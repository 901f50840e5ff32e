// Tokens, images and row selections of the CPU backend: pure data movement.
#pragma once

#include "albef/cpu/elementwise.hpp"

namespace albef {

template <class T>
void embedding_forward(Cpu& cpu, const EmbeddingArgs<T>& a) {
  const int cols = a.y.cols;
  cpu.for_each(a.seq.count, [&](std::int64_t s) {
    const int begin = a.seq.begin(static_cast<int>(s)), length = a.seq.length(static_cast<int>(s));
    for (int t = 0; t < length; ++t) {
      const T* word = a.word + std::int64_t{a.ids[begin + t]} * cols;
      const T* position = a.position + std::int64_t{t} * cols;
      T* y = a.y.row(begin + t);
      for (int j = 0; j < cols; ++j) y[j] = word[j] + a.type[j] + position[j];
    }
  });
  for (int r = a.seq.begin(a.seq.count); r < a.y.rows; ++r) std::fill_n(a.y.row(r), cols, T{0});
}

template <class T>
void embedding_backward(Cpu& cpu, const EmbeddingGradArgs<T>& a) {
  // Blocks of columns keep tables that several rows share free of races, in a fixed order.
  cpu.for_blocks(a.dy.cols, 64, [&](std::int64_t first, std::int64_t last) {
    const std::int64_t cols = a.dy.cols;
    for (int s = 0; s < a.seq.count; ++s)
      for (int t = 0; t < a.seq.length(s); ++t) {
        const int r = a.seq.begin(s) + t;
        const T* dy = a.dy.row(r);
        const auto add_to = [&](T* sum) {
          for (std::int64_t j = first; j < last; ++j) sum[j] += dy[j];
        };
        if (a.word) add_to(a.word + a.ids[r] * cols);
        if (a.position) add_to(a.position + t * cols);
        if (a.type) add_to(a.type);
      }
  });
}

/// Pixels (B, H, W, C) of 0..255 -> (v / 255 - mean) / std as (B, C, H, W).
template <class T>
void normalize_images(Cpu& cpu, const std::uint8_t* pixels, PatchGrid grid,
                      const ImageStatistics& statistics, Mat<T> out) {
  const std::int64_t area = grid.pixels();
  cpu.for_each(grid.images, [&](std::int64_t b) {
    const std::uint8_t* from = pixels + b * area * grid.channels;
    for (int c = 0; c < grid.channels; ++c) {
      const double mean = statistics.mean[static_cast<std::size_t>(c)];
      const double std = statistics.std[static_cast<std::size_t>(c)];
      const auto scale = static_cast<T>(1.0 / (255.0 * std));
      const auto shift = static_cast<T>(mean / std);
      T* to = out.row(static_cast<int>(b)) + c * area;
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

/// (B, C, H, W) -> (B * patches, C * patch * patch)
template <class T>
void patchify(Cpu& cpu, ConstMat<T> image, PatchGrid g, Mat<T> patches) {
  detail::for_patch_lines(cpu, g, [&](int b, std::int64_t pixel, int row, int value) {
    std::copy_n(image.row(b) + pixel, g.patch, patches.row(row) + value);
  });
}

/// The reverse of patchify, image = values + beta image.
template <class T>
void unpatchify(Cpu& cpu, ConstMat<T> patches, PatchGrid g, Mat<T> image, T beta) {
  detail::for_patch_lines(cpu, g, [&](int b, std::int64_t pixel, int row, int value) {
    const T* from = patches.row(row) + value;
    T* to = image.row(b) + pixel;
    for (int i = 0; i < g.patch; ++i) to[i] = beta == 0 ? from[i] : from[i] + beta * to[i];
  });
}

/// Bicubic resize of a grid of rows: x (from_height * from_width, cols) -> y (height * width,
/// cols).
template <class T>
void resize_grid_forward(Cpu& cpu, ConstMat<T> x, const GridResize& g, Mat<T> y) {
  detail::for_rows(cpu, y.rows, std::int64_t{16} * y.cols, [&](int r) {
    const detail::CubicTaps vertical(r / g.width, g.from_height, g.height);
    const detail::CubicTaps horizontal(r % g.width, g.from_width, g.width);
    const T* rows[16];
    T weights[16];
    for (int k = 0; k < 16; ++k) {
      rows[k] = x.row(vertical.at[k / 4] * g.from_width + horizontal.at[k % 4]);
      weights[k] = static_cast<T>(vertical.weight[k / 4] * horizontal.weight[k % 4]);
    }
    detail::for_packs<T>(y.cols, [&](std::int64_t j, int n) {
      Pack<T> sum(T{0});
      for (int k = 0; k < 16; ++k)
        sum = fma(Pack<T>::load_n(rows[k] + j, n), Pack<T>(weights[k]), sum);
      sum.store_n(y.row(r) + j, n);
    });
  });
}

/// Its transpose: dx = the gradient from dy (height * width, cols) + beta dx.
template <class T>
void resize_grid_backward(Cpu& cpu, ConstMat<T> dy, const GridResize& g, Mat<T> dx, T beta) {
  detail::for_rows(cpu, dx.rows, std::int64_t{16} * dx.cols, [&](int r) {
    const int sy = r / g.from_width, sx = r % g.from_width;
    const detail::CubicReach down(sy, g.from_height, g.height);
    const detail::CubicReach across(sx, g.from_width, g.width);
    T* to = dx.row(r);
    for (int j = 0; j < dx.cols; ++j) to[j] = beta == 0 ? T{0} : beta * to[j];
    for (int y = down.begin; y < down.end; ++y) {
      const double vertical = detail::CubicTaps(y, g.from_height, g.height).of(sy);
      for (int x = across.begin; x < across.end; ++x) {
        const double horizontal = detail::CubicTaps(x, g.from_width, g.width).of(sx);
        const auto weight = static_cast<T>(vertical * horizontal);
        if (weight == 0) continue;
        const T* from = dy.row(y * g.width + x);
        detail::for_packs<T>(dx.cols, [&](std::int64_t j, int n) {
          fma(Pack<T>::load_n(from + j, n), Pack<T>(weight), Pack<T>::load_n(to + j, n))
              .store_n(to + j, n);
        });
      }
    }
  });
}

/// y[i] = x[index[i]], zeros for a negative index
template <class T>
void gather_rows(Cpu& cpu, ConstMat<T> x, const std::int32_t* index, Mat<T> y) {
  detail::for_rows(cpu, y.rows, y.cols, [&](int i) {
    if (index[i] < 0)
      std::fill_n(y.row(i), y.cols, T{0});
    else
      std::copy_n(x.row(index[i]), y.cols, y.row(i));
  });
}

/// y[index[i]] += x[i] where the index is not negative, in the order of i
template <class T>
void scatter_add_rows(Cpu& cpu, ConstMat<T> x, const std::int32_t* index, Mat<T> y) {
  cpu.for_blocks(y.cols, 64, [&](std::int64_t first, std::int64_t last) {
    for (int i = 0; i < x.rows; ++i) {
      if (index[i] < 0) continue;
      const T* from = x.row(i);
      T* to = y.row(index[i]);
      for (std::int64_t j = first; j < last; ++j) to[j] += from[j];
    }
  });
}

/// index[i] = first row of sequence i
inline void first_rows(Cpu&, const Sequences& seq, std::int32_t* index) {
  for (int i = 0; i < seq.count; ++i) index[i] = seq.begin(i);
}

/// Sequences index[0..n) one after the other: their rows, and where each begins (n + 1 offsets).
/// Throws Error if they have more than `capacity` rows.
inline Sequences select_sequences(Cpu&, const Sequences& seq, const std::int32_t* index, int n,
                                  int capacity, std::int32_t* offsets, std::int32_t* rows) {
  offsets[0] = 0;
  for (int i = 0; i < n; ++i) {
    const int begin = seq.begin(index[i]), length = seq.length(index[i]);
    require(offsets[i] + length <= capacity, "[select] the sequences have more than ", capacity,
            " rows");
    for (int t = 0; t < length; ++t) rows[offsets[i] + t] = begin + t;
    offsets[i + 1] = offsets[i] + length;
  }
  return {.count = n, .total = offsets[n], .longest = seq.max_length(), .offsets = offsets};
}

/// The 3 B image-text pairs of ITM: matching pairs (b, b), then text b with its negative image,
/// then image b with its negative text.
inline void pair_indices(Cpu&, int batch, const std::int32_t* negative_image,
                         const std::int32_t* negative_text, std::int32_t* text,
                         std::int32_t* image) {
  for (int b = 0; b < batch; ++b) {
    text[b] = image[b] = b;
    text[batch + b] = b, image[batch + b] = negative_image[b];
    text[2 * batch + b] = negative_text[b], image[2 * batch + b] = b;
  }
}

}  // namespace albef
