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

/// Pixels (B, S, S, C) of 0..255 -> (v / 255 - mean) / std as (B, C, S, S).
template <class T>
void normalize_images(Cpu& cpu, const std::uint8_t* pixels, PatchGrid grid, Mat<T> out) {
  const std::int64_t area = std::int64_t{grid.size} * grid.size;
  cpu.for_each(grid.images, [&](std::int64_t b) {
    const std::uint8_t* from = pixels + b * area * grid.channels;
    for (int c = 0; c < grid.channels; ++c) {
      const auto scale = static_cast<T>(1.0 / (255.0 * pixel_std[c]));
      const auto shift = static_cast<T>(pixel_mean[c] / pixel_std[c]);
      T* to = out.row(static_cast<int>(b)) + c * area;
      for (std::int64_t i = 0; i < area; ++i)
        to[i] = static_cast<T>(from[i * grid.channels + c]) * scale - shift;
    }
  });
}

namespace detail {

/// Calls f(image values of one line of one patch, patch values, count) for every such line.
template <class F>
void for_patch_lines(Cpu& cpu, PatchGrid g, F&& f) {
  const int side = g.side();
  cpu.for_each(std::int64_t{g.images} * side, [&](std::int64_t task) {
    const auto b = static_cast<int>(task / side), py = static_cast<int>(task % side);
    for (int px = 0; px < side; ++px)
      for (int c = 0; c < g.channels; ++c)
        for (int y = 0; y < g.patch; ++y) {
          const std::int64_t pixel =
              (std::int64_t{c} * g.size + py * g.patch + y) * g.size + px * g.patch;
          f(b, pixel, b * g.patches() + py * side + px, (c * g.patch + y) * g.patch);
        }
  });
}

}  // namespace detail

/// (B, C, S, S) -> (B * patches, C * patch * patch)
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
