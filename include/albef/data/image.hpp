// An 8-bit RGB picture in memory, and its simplest operations: pixel access, crop, mirror.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "albef/core/error.hpp"

namespace albef {

/// A picture: height x width x 3 bytes, row-major, red, green, blue, rows without padding.
struct Image {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;

  Image() = default;
  /// A picture of one colour (grey of the given level). Throws Error for negative sizes.
  Image(int w, int h, std::uint8_t level = 0) : width(w), height(h) {
    require(w >= 0 && h >= 0, "[Image] got size ", w, " x ", h, ", expected no negative number");
    rgb.assign(static_cast<std::size_t>(w) * static_cast<std::size_t>(h) * 3, level);
  }

  /// The three bytes of a pixel; x from the left, y from the top, not checked.
  std::uint8_t* pixel(int x, int y) { return rgb.data() + offset(x, y); }
  const std::uint8_t* pixel(int x, int y) const { return rgb.data() + offset(x, y); }

  bool empty() const { return rgb.empty(); }
  bool operator==(const Image&) const = default;

 private:
  std::size_t offset(int x, int y) const {
    return (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
            static_cast<std::size_t>(x)) *
           3;
  }
};

/// A writable picture that someone else owns, e.g. one row of a batch; laid out as Image.
struct ImageSpan {
  int width, height;
  std::uint8_t* rgb;

  ImageSpan(int w, int h, std::uint8_t* bytes) : width(w), height(h), rgb(bytes) {}
  ImageSpan(Image& image)  // NOLINT: an Image is a span of itself
      : width(image.width), height(image.height), rgb(image.rgb.data()) {}

  std::size_t pixels() const {
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  }
  std::size_t bytes() const { return pixels() * 3; }
  std::size_t row_bytes() const { return static_cast<std::size_t>(width) * 3; }
};

/// A rectangle of pixels: columns left .. left+width-1, rows top .. top+height-1.
struct Box {
  int left = 0, top = 0, width = 0, height = 0;
  bool operator==(const Box&) const = default;
};

/// Throws Error unless the box has pixels and lies inside a picture of that size.
inline void check_box(const Box& box, int width, int height) {
  require(box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0 &&
              box.width <= width - box.left && box.height <= height - box.top,
          "[crop] got box (left ", box.left, ", top ", box.top, ", width ", box.width, ", height ",
          box.height, "), expected a part of the ", width, " x ", height, " picture");
}

/// A copy of a part. Throws Error if the box is empty or reaches outside.
inline Image crop(const Image& image, const Box& box) {
  check_box(box, image.width, image.height);
  Image out(box.width, box.height);
  const auto row_bytes = static_cast<std::size_t>(box.width) * 3;
  for (int y = 0; y < box.height; ++y)
    std::copy_n(image.pixel(box.left, box.top + y), row_bytes, out.pixel(0, y));
  return out;
}

/// Mirrors left and right in place.
inline void hflip(ImageSpan image) {
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* left = image.rgb + static_cast<std::size_t>(y) * image.row_bytes();
    std::uint8_t* right = left + image.row_bytes();
    for (int x = 0; x < image.width / 2; ++x, left += 3) {
      right -= 3;
      std::swap_ranges(left, left + 3, right);
    }
  }
}

}  // namespace albef
