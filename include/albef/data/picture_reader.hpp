// A picture while it is decoded: row after row, so that a large one need not be held whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/image.hpp"

namespace albef {

/// The rows of a picture from the top, each decoded when it is asked for. Made by open_picture of
/// codec.hpp; the file's bytes must live as long.
class PictureReader {
 public:
  virtual ~PictureReader() = default;
  PictureReader(const PictureReader&) = delete;
  PictureReader& operator=(const PictureReader&) = delete;

  int width() const { return width_; }
  int height() const { return height_; }
  /// Rows read so far.
  int position() const { return position_; }

  /// Writes the next row, width() x 3 bytes: red, green, blue. Throws Error naming the picture if
  /// it is damaged (see DecodeOptions), and after the last row.
  void read_row(std::uint8_t* rgb);
  /// Reads on to the end, so that every damage is found.
  void finish();
  /// All rows; nothing may have been read. Memory is taken as rows are decoded.
  Image read_all();

 protected:
  PictureReader(std::span<const std::uint8_t> bytes, std::string_view name,
                const DecodeOptions& options)
      : bytes_(bytes), name_(name), options_(options) {}

  /// Decodes row position() to `rgb`.
  virtual void decode_row(std::uint8_t* rgb) = 0;

  /// Checks and keeps the size; decoders call it once, before they take memory for pixels.
  void set_size(std::uint64_t width, std::uint64_t height) {
    detail::check_picture_size(width, height, name_, options_);
    width_ = static_cast<int>(width), height_ = static_cast<int>(height);
  }
  /// Takes `bytes_per_pixel` for every pixel, or refuses; see DecodeOptions::memory_per_byte.
  std::size_t held_bytes(std::size_t bytes_per_pixel, std::string_view kind) const {
    const auto size =
        static_cast<std::uint64_t>(width_) * static_cast<std::uint64_t>(height_) * bytes_per_pixel;
    detail::check_held_size(size, bytes_.size(), kind, name_, options_);
    return static_cast<std::size_t>(size);
  }
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail("cannot decode '", name_, "': ", parts...);
  }

  std::size_t columns() const { return static_cast<std::size_t>(width_); }
  std::size_t row() const { return static_cast<std::size_t>(position_); }

  const std::span<const std::uint8_t> bytes_;
  const std::string name_;
  const DecodeOptions options_;

 private:
  int width_ = 0, height_ = 0, position_ = 0;
};

using PicturePtr = std::unique_ptr<PictureReader>;

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <vector>

namespace albef {

ALBEF_DATA_INLINE void PictureReader::read_row(std::uint8_t* rgb) {
  require(position_ < height_, "read_row: all ", height_, " rows of '", name_, "' were read");
  decode_row(rgb);
  ++position_;
}

ALBEF_DATA_INLINE void PictureReader::finish() {
  if (position_ == height_) return;
  std::vector<std::uint8_t> unused(3 * columns());
  while (position_ < height_) read_row(unused.data());
}

ALBEF_DATA_INLINE Image PictureReader::read_all() {
  require(position_ == 0, "read_all: ", position_, " rows of '", name_, "' were read before");
  Image image;
  const std::size_t row_bytes = 3 * columns();
  image.rgb.reserve(row_bytes * static_cast<std::size_t>(height_));
  while (position_ < height_) {
    image.rgb.resize(row_bytes * (row() + 1));
    read_row(image.rgb.data() + row_bytes * row());
  }
  image.width = width_, image.height = height_;
  return image;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
