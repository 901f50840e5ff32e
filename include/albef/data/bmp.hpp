// BMP files to RGB pictures: 1, 4, 8, 16, 24 and 32 bits, with palette, bit fields or run lengths,
// from the bottom or the top. Use open_picture or decode_image of codec.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "albef/core/compiled.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/picture_reader.hpp"

namespace albef::detail {

bool is_bmp(std::span<const std::uint8_t> bytes);

PicturePtr open_bmp(std::span<const std::uint8_t> bytes, std::string_view name,
                    const DecodeOptions& options);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <memory>
#include <vector>

#include "albef/data/pixel_rows.hpp"

namespace albef::detail {

/// A number in little-endian order; 0 beyond the end.
inline std::uint32_t little_endian(std::span<const std::uint8_t> bytes, std::size_t at,
                                   std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size && at + i < bytes.size(); ++i)
    value |= static_cast<std::uint32_t>(bytes[at + i]) << (8 * i);
  return value;
}

ALBEF_DATA_INLINE bool is_bmp(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 18 || bytes[0] != 'B' || bytes[1] != 'M') return false;
  const auto header = little_endian(bytes, 14, 4);
  return header >= 12 && header <= 256;
}

class BmpReader : public PictureReader {
 public:
  BmpReader(std::span<const std::uint8_t> bytes, std::string_view name,
            const DecodeOptions& options)
      : PictureReader(bytes, name, options) {
    read_header();
    if (compression_ == rle8 || compression_ == rle4) {
      (void)held_bytes(1, "a BMP with run lengths");
      unpack_runs();
    } else {
      stride_ = (columns() * bits_ + 31) / 32 * 4;
      if (bits_ < 8) index_.resize(columns());
    }
  }

 protected:
  void decode_row(std::uint8_t* rgb) override {
    const auto last = static_cast<std::size_t>(height()) - 1;
    const std::size_t line = top_down_ ? row() : last - row();  // in the file
    if (!runs_.empty()) {
      palette_.to_rgb(runs_.data() + line * columns(), columns(), rgb);
      return;
    }
    // The last line may lack its padding.
    const std::size_t begin = data_ + line * stride_, needed = (columns() * bits_ + 7) / 8;
    if (begin > bytes_.size() || needed > bytes_.size() - begin) {
      if (options_.damaged != Damaged::keep)
        refuse("cut-off BMP: it has ", bytes_.size(), " bytes, expected ",
               data_ + stride_ * (last + 1));
      std::fill_n(rgb, 3 * columns(), std::uint8_t{0});
      return;
    }
    const std::uint8_t* const from = bytes_.data() + begin;
    if (bits_ == 8) {
      palette_.to_rgb(from, columns(), rgb);
    } else if (bits_ < 8) {
      unpack_bits(from, columns(), bits_, index_.data());
      palette_.to_rgb(index_.data(), columns(), rgb);
    } else if (bits_ == 24) {
      for (std::size_t i = 0; i < columns(); ++i)
        for (std::size_t c = 0; c < 3; ++c) rgb[3 * i + c] = from[3 * i + 2 - c];
    } else {
      for (std::size_t i = 0; i < columns(); ++i) mask_pixel(from + i * bits_ / 8, rgb + 3 * i);
    }
  }

 private:
  enum Compression : std::uint32_t { raw = 0, rle8 = 1, rle4 = 2, bit_fields = 3 };

  std::uint32_t number(std::size_t at, std::size_t size = 4) const {
    return little_endian(bytes_, at, size);
  }

  void read_header() {
    const std::uint32_t header = number(14);
    const bool core = header == 12;  // OS/2 1.x: sizes of 16 bits, palette of three bytes
    if (header != 12 && header < 40) refuse("a BMP with a header of ", header, " bytes");
    if (bytes_.size() < 14 + std::size_t{header}) refuse("cut-off BMP: its header is incomplete");
    const std::uint32_t width = number(18, core ? 2 : 4);
    std::uint32_t height = core ? number(20, 2) : number(22);
    top_down_ = !core && height >> 31 != 0;
    if (top_down_) height = 0 - height;
    set_size(width, height);
    bits_ = number(core ? 24 : 28, 2);
    compression_ = core ? raw : number(30);
    std::size_t after = 14 + std::size_t{header};
    if (bits_ != 1 && bits_ != 4 && bits_ != 8 && bits_ != 16 && bits_ != 24 && bits_ != 32)
      refuse("a BMP with ", bits_, " bits per pixel, expected 1, 4, 8, 16, 24 or 32");
    if (compression_ > bit_fields || (compression_ == rle8 && bits_ != 8) ||
        (compression_ == rle4 && bits_ != 4) ||
        (compression_ == bit_fields && bits_ != 16 && bits_ != 32 && bits_ != 24))
      refuse("a BMP with compression ", compression_, " and ", bits_, " bits per pixel");
    if (bits_ == 16) masks_ = {0x7C00, 0x3E0, 0x1F, 0};
    if (compression_ == bit_fields) {
      for (std::size_t c = 0; c < (header >= 56 ? 4 : 3); ++c) masks_[c] = number(54 + 4 * c);
      if (header == 40) after += 12;
      if (masks_[0] == 0 && masks_[1] == 0 && masks_[2] == 0)
        masks_ = {0xFF0000, 0xFF00, 0xFF, 0xFF000000};
      for (std::size_t c = 0; c < 3; ++c) {
        const std::uint32_t m = masks_[c] == 0 ? 0 : masks_[c] >> std::countr_zero(masks_[c]);
        if (m == 0 || (m & (m + 1)) != 0)
          refuse("a BMP whose bit mask ", masks_[c], " is no run of bits");
      }
    }
    data_ = number(10);
    if (bits_ <= 8) {
      const std::size_t entry = core ? 3 : 4, most = std::size_t{1} << bits_;
      std::size_t colors = core ? 0 : number(46);
      if (colors == 0) colors = most;
      for (std::size_t i = 0; i < std::min(colors, most); ++i)
        for (std::size_t c = 0; c < 3; ++c)
          palette_.color[i][c] = static_cast<std::uint8_t>(number(after + i * entry + 2 - c, 1));
      // Some programs forget the palette in the offset.
      if (data_ == after) data_ += entry * colors;
    }
    if (data_ == 0) data_ = after;
  }

  void mask_pixel(const std::uint8_t* from, std::uint8_t* rgb) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < bits_ / 8; ++i)
      value |= static_cast<std::uint32_t>(from[i]) << 8 * i;
    std::array<std::uint8_t, 4> level{0, 0, 0, 255};
    for (std::size_t c = 0; c < 4; ++c) {
      if (masks_[c] == 0) continue;
      const int shift = std::countr_zero(masks_[c]);
      const std::uint64_t most = masks_[c] >> shift, part = (value & masks_[c]) >> shift;
      level[c] = static_cast<std::uint8_t>(part * 255 / most);
    }
    if (options_.over_white)
      over_white(level.data(), rgb);
    else
      std::copy_n(level.data(), 3, rgb);
  }

  /// Indices from run lengths, in the order of the file, as Pillow counts them.
  void unpack_runs() {
    const std::size_t width = columns(), size = width * static_cast<std::size_t>(height());
    const bool nibbles = compression_ == rle4;
    std::size_t at = data_, x = 0;
    const auto more = [&](std::size_t count) { return count <= bytes_.size() - at; };
    const auto part = [&](std::uint8_t byte, std::size_t i) {
      return static_cast<std::uint8_t>(!nibbles ? byte : i % 2 == 0 ? byte >> 4 : byte & 15);
    };
    runs_.reserve(size);
    const auto fill = [&](std::size_t count) {
      runs_.resize(std::min(size, runs_.size() + count));
    };
    bool ended = at > bytes_.size();
    while (!ended && runs_.size() < size && more(2)) {
      const std::size_t count = bytes_[at];
      const std::uint8_t value = bytes_[at + 1];
      at += 2;
      if (count > 0) {
        const std::size_t kept = std::min({count, width - std::min(x, width), size - runs_.size()});
        for (std::size_t i = 0; i < kept; ++i) runs_.push_back(part(value, i));
        x += kept;
      } else if (value == 0) {  // the line ends
        fill((width - runs_.size() % width) % width);
        x = 0;
      } else if (value == 1) {  // the picture ends
        ended = true;
      } else if (value == 2) {  // skips columns and lines
        if (!more(2)) break;
        fill(bytes_[at] + bytes_[at + 1] * width);
        at += 2;
        x = runs_.size() % width;
      } else {  // values as they are, up to an even position
        const std::size_t kept = std::min<std::size_t>(value, size - runs_.size());
        const std::size_t stored = nibbles ? (kept + 1) / 2 : kept;
        if (!more(stored)) break;
        for (std::size_t i = 0; i < kept; ++i)
          runs_.push_back(part(bytes_[at + (nibbles ? i / 2 : i)], i));
        at += stored;
        at += at % 2;
        if (at > bytes_.size()) at = bytes_.size();
        x += value;
      }
    }
    if (runs_.size() < size && options_.damaged != Damaged::keep)
      refuse("damaged or cut-off BMP: ", runs_.size(), " of ", size, " pixels");
    runs_.resize(size);
  }

  bool top_down_ = false;
  std::uint32_t bits_ = 0, compression_ = raw;
  std::array<std::uint32_t, 4> masks_{0xFF0000, 0xFF00, 0xFF, 0};  // red, green, blue, alpha
  std::size_t data_ = 0, stride_ = 0;
  Palette palette_;
  std::vector<std::uint8_t> index_, runs_;
};

ALBEF_DATA_INLINE PicturePtr open_bmp(std::span<const std::uint8_t> bytes, std::string_view name,
                                      const DecodeOptions& options) {
  return std::make_unique<BmpReader>(bytes, name, options);
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
