// Bicubic resizing with the arithmetic of Pillow's Image.resize(size, BICUBIC): a = -0.5, widened
// by the scale when shrinking, two 8-bit passes in fixed point, the horizontal one first. Pixels
// are equal to those of Pillow up to version 12, not close (13 may take the vertical pass first).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/image.hpp"
#include "albef/data/picture_reader.hpp"
#include "albef/data/rounding.hpp"

namespace albef {
namespace detail {

/// The input pixels of each output pixel along one axis, and their fixed-point weights.
struct ResizeTaps {
  static constexpr int bits = 22;  // 32 - 8 of the pixel - 2 for overshoot, as in Pillow
  std::size_t stride = 0;          // weights kept per output pixel
  std::vector<int> first, count;
  std::vector<std::int32_t> weight;

  void fill(int in_size, int out_size);

 private:
  static double cubic(double x);

  std::vector<double> raw_;
};

/// Sum of weighted rows: out[j] = clip(sum_i weight[i] * in[i * stride + j]) for j < Lanes.
template <int Lanes>
void weighted_sum(const std::uint8_t* in, std::size_t stride, const std::int32_t* weight, int count,
                  std::uint8_t* out) {
  std::array<std::int32_t, Lanes> sum;
  sum.fill(1 << (ResizeTaps::bits - 1));
  for (int i = 0; i < count; ++i, in += stride) {
    const std::int32_t w = weight[i];
    for (std::size_t j = 0; j < Lanes; ++j) sum[j] += w * in[j];
  }
  for (std::size_t j = 0; j < Lanes; ++j)
    out[j] = static_cast<std::uint8_t>(std::clamp(sum[j] >> ResizeTaps::bits, 0, 255));
}

}  // namespace detail

/// Resizes pictures, keeping its work buffers for the next one. One per thread.
class BicubicResizer {
 public:
  /// Resizes the part of `image` inside `box` to out.width x out.height; pixels outside the box
  /// play no part, the aspect ratio is not kept. Throws Error for empty sizes or a box that reaches
  /// outside. `out` must not overlap the image.
  void operator()(const Image& image, const Box& box, ImageSpan out);

  /// The same for a picture of which no row was read yet; it is read to its end, so that damage
  /// anywhere is found. Memory is taken for the rows that an output row depends on.
  void operator()(PictureReader& picture, const Box& box, ImageSpan out);

 private:
  static constexpr std::size_t block_rows = 16;  // rows handled side by side in vector lanes

  /// `next_row()` yields the rows of the box one after another; each stays for block_rows calls.
  template <class Next>
  void resize(Next&& next_row, const Box& box, ImageSpan out);

  /// Narrows or widens the next `rows` rows to out_width, at most block_rows: they are transposed
  /// to (column, channel, row) for that.
  template <class Next>
  void horizontal(Next&& next_row, std::size_t rows, int in_width, int out_width,
                  std::uint8_t* out) {
    constexpr std::size_t lanes = 3 * block_rows;
    const std::size_t in_bytes = static_cast<std::size_t>(in_width) * 3;
    const std::size_t out_bytes = static_cast<std::size_t>(out_width) * 3;
    std::array<const std::uint8_t*, block_rows> source;
    for (std::size_t r = 0; r < block_rows; ++r) source[r] = r < rows ? next_row() : source[0];
    if (in_width == out_width) {  // the weights of an equal size are one 1 each
      for (std::size_t r = 0; r < rows; ++r) std::copy_n(source[r], out_bytes, out + r * out_bytes);
      return;
    }
    std::uint8_t* const block = block_.data();
    for (std::size_t j = 0; j < in_bytes; ++j)
      for (std::size_t r = 0; r < block_rows; ++r) block[j * block_rows + r] = source[r][j];
    std::array<std::uint8_t, lanes> column;
    for (std::size_t o = 0; o < static_cast<std::size_t>(out_width); ++o) {
      detail::weighted_sum<lanes>(block + static_cast<std::size_t>(across_.first[o]) * lanes, lanes,
                                  across_.weight.data() + o * across_.stride, across_.count[o],
                                  column.data());
      std::uint8_t* to = out + o * 3;
      for (std::size_t r = 0; r < rows; ++r, to += out_bytes)
        for (std::size_t c = 0; c < 3; ++c) to[c] = column[c * block_rows + r];
    }
  }

  void vertical(const std::uint8_t* in, const std::int32_t* weight, int count,
                std::size_t row_bytes, std::uint8_t* out) const;

  detail::ResizeTaps across_, down_;
  std::vector<std::uint8_t> block_, middle_, rows_;
};

/// The picture, or a part of it, in another size; see BicubicResizer.
Image resize_bicubic(const Image& image, const Box& box, int out_width, int out_height);
Image resize_bicubic(const Image& image, int out_width, int out_height);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef::detail {

ALBEF_DATA_INLINE void ResizeTaps::fill(int in_size, int out_size) {
  const double scale = static_cast<double>(in_size) / out_size;
  const double filter_scale = std::max(scale, 1.0);
  const double support = 2.0 * filter_scale, inverse = 1.0 / filter_scale;
  stride = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
  const auto outputs = static_cast<std::size_t>(out_size);
  first.resize(outputs), count.resize(outputs);
  weight.resize(outputs * stride);
  raw_.resize(stride);
  for (std::size_t o = 0; o < outputs; ++o) {
    const double center = rounded((static_cast<double>(o) + 0.5) * scale);
    const int begin = std::max(0, static_cast<int>(center - support + 0.5));
    const int end = std::min(in_size, static_cast<int>(center + support + 0.5));
    const auto n = static_cast<std::size_t>(end - begin);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      raw_[i] = cubic((static_cast<double>(i) + begin - center + 0.5) * inverse);
      sum += raw_[i];
    }
    for (std::size_t i = 0; i < n; ++i) {
      const double w = (sum != 0 ? raw_[i] / sum : raw_[i]) * (1 << bits);
      weight[o * stride + i] = static_cast<std::int32_t>(w < 0 ? w - 0.5 : w + 0.5);
    }
    first[o] = begin, count[o] = end - begin;
  }
}

ALBEF_DATA_INLINE double ResizeTaps::cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

}  // namespace albef::detail

namespace albef {

template <class Next>
void BicubicResizer::resize(Next&& next_row, const Box& box, ImageSpan out) {
  require(out.width > 0 && out.height > 0, "[resize] got output size ", out.width, " x ",
          out.height, ", expected positive numbers");
  const std::size_t row_bytes = out.row_bytes();
  const bool equal_height = box.height == out.height;
  std::size_t window = 1;  // rows that an output row depends on
  if (box.width != out.width) {
    across_.fill(box.width, out.width);
    block_.resize(static_cast<std::size_t>(box.width) * 3 * block_rows);
  }
  if (!equal_height) {
    down_.fill(box.height, out.height);
    window = static_cast<std::size_t>(*std::max_element(down_.count.begin(), down_.count.end()));
  }
  // Rows `kept` to `made` - 1 of the box, resized across; moved to the front when room runs out.
  const auto in_rows = static_cast<std::size_t>(box.height);
  const std::size_t room = std::min(in_rows, 2 * window + block_rows);
  middle_.resize(room * row_bytes);
  std::size_t kept = 0, made = 0;
  for (std::size_t o = 0; o < static_cast<std::size_t>(out.height); ++o) {
    const std::size_t first = equal_height ? o : static_cast<std::size_t>(down_.first[o]);
    const std::size_t count = equal_height ? 1 : static_cast<std::size_t>(down_.count[o]);
    while (made < first + count) {
      const std::size_t rows = std::min(block_rows, in_rows - made);
      if (made - kept + rows > room) {
        const std::size_t from = std::min(first, made);
        std::copy(middle_.data() + (from - kept) * row_bytes,
                  middle_.data() + (made - kept) * row_bytes, middle_.data());
        kept = from;
      }
      horizontal(next_row, rows, box.width, out.width, middle_.data() + (made - kept) * row_bytes);
      made += rows;
    }
    const std::uint8_t* const in = middle_.data() + (first - kept) * row_bytes;
    std::uint8_t* const to = out.rgb + o * row_bytes;
    if (equal_height)
      std::copy_n(in, row_bytes, to);
    else
      vertical(in, down_.weight.data() + o * down_.stride, down_.count[o], row_bytes, to);
  }
}

ALBEF_DATA_INLINE void BicubicResizer::operator()(const Image& image, const Box& box,
                                                  ImageSpan out) {
  check_box(box, image.width, image.height);
  const std::uint8_t* row = image.pixel(box.left, box.top);
  const std::size_t stride = static_cast<std::size_t>(image.width) * 3;
  resize([&] { return std::exchange(row, row + stride); }, box, out);
}

ALBEF_DATA_INLINE void BicubicResizer::operator()(PictureReader& picture, const Box& box,
                                                  ImageSpan out) {
  check_box(box, picture.width(), picture.height());
  require(picture.position() == 0, "[resize] got a picture of which ", picture.position(),
          " rows were read, expected none");
  const std::size_t row_bytes = static_cast<std::size_t>(picture.width()) * 3;
  rows_.resize(row_bytes * block_rows);
  std::size_t place = 0;
  const auto next_row = [&] {
    std::uint8_t* const row = rows_.data() + place * row_bytes;
    place = (place + 1) % block_rows;
    picture.read_row(row);
    return row + static_cast<std::size_t>(box.left) * 3;
  };
  for (int y = 0; y < box.top; ++y) (void)next_row();
  resize(next_row, box, out);
  picture.finish();
}

ALBEF_DATA_INLINE void BicubicResizer::vertical(const std::uint8_t* in, const std::int32_t* weight,
                                                int count, std::size_t row_bytes,
                                                std::uint8_t* out) const {
  constexpr std::size_t lanes = 64;
  std::size_t j = 0;
  for (; j + lanes <= row_bytes; j += lanes)
    detail::weighted_sum<lanes>(in + j, row_bytes, weight, count, out + j);
  for (; j < row_bytes; ++j) detail::weighted_sum<1>(in + j, row_bytes, weight, count, out + j);
}

ALBEF_DATA_INLINE Image resize_bicubic(const Image& image, const Box& box, int out_width,
                                       int out_height) {
  Image out(out_width, out_height);
  BicubicResizer{}(image, box, out);
  return out;
}

ALBEF_DATA_INLINE Image resize_bicubic(const Image& image, int out_width, int out_height) {
  return resize_bicubic(image, {0, 0, image.width, image.height}, out_width, out_height);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
