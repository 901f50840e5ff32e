// PNG files to RGB pictures and back with libpng. Use decode_image and save_png of codec.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/image.hpp"

namespace albef {
namespace detail {

bool is_png(std::span<const std::uint8_t> bytes);

Image decode_png(std::span<const std::uint8_t> bytes, std::string_view name,
                 const DecodeOptions& options);

}  // namespace detail

/// A picture with opacity: height x width x 4 bytes, row-major, red, green, blue, alpha (not
/// premultiplied).
struct RgbaImage {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgba;
};

/// Decodes a PNG file held in memory with its opacity, 255 where it has none. Throws Error as
/// decode_image does.
RgbaImage decode_png_rgba(std::span<const std::uint8_t> bytes, std::string_view name,
                          const DecodeOptions& options = {});

/// The bytes of an 8-bit RGB PNG file. Throws Error for a picture without pixels.
std::vector<std::uint8_t> encode_png(const Image& image);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <png.h>

namespace albef::detail {

ALBEF_DATA_INLINE bool is_png(std::span<const std::uint8_t> bytes) {
  static constexpr std::array<std::uint8_t, 8> signature{137, 'P', 'N', 'G', 13, 10, 26, 10};
  return bytes.size() >= signature.size() &&
         std::equal(signature.begin(), signature.end(), bytes.begin());
}

/// What reading and writing share. libpng reports errors by calling back and must not be left by a
/// C++ exception: the call-back jumps to the setjmp in guarded(), which has no objects to destroy.
class PngSession {
 public:
  PngSession() = default;
  PngSession(const PngSession&) = delete;
  PngSession& operator=(const PngSession&) = delete;
  const char* message() const { return message_.data(); }

 protected:
  template <class Step>
  bool guarded(Step step) {
    if (!png_ || !info_) return false;
    if (setjmp(png_jmpbuf(png_))) return false;
    step();
    return true;
  }

  [[noreturn]] static void on_error(png_structp png, png_const_charp text) {
    auto& message = static_cast<PngSession*>(png_get_error_ptr(png))->message_;
    std::snprintf(message.data(), message.size(), "%s", text);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}  // the pixels are intact

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;

 private:
  std::array<char, 200> message_{"out of memory"};
};

class PngReader : public PngSession {
 public:
  PngReader(std::span<const std::uint8_t> bytes, const DecodeOptions& options)
      : bytes_(bytes), options_(options) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_) info_ = png_create_info_struct(png_);
  }
  ~PngReader() {
    if (png_) png_destroy_read_struct(&png_, &info_, nullptr);
  }

  /// Reads up to the picture data; false if the header is damaged.
  bool read_header() {
    return guarded([this] {
      png_set_read_fn(png_, this, on_read);
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // checked by max_pixels
      if (options_.allow_truncated) {
        png_set_crc_action(png_, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
        // Read byte by byte: libpng drops the whole block in which a file ends.
        if (!has_end(bytes_)) png_set_compression_buffer_size(png_, 1);
      }
      png_read_info(png_, info_);
    });
  }

  std::uint64_t width() const { return png_get_image_width(png_, info_); }
  std::uint64_t height() const { return png_get_image_height(png_, info_); }
  bool is_gray16() const {
    return png_get_bit_depth(png_, info_) == 16 &&
           png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY;
  }
  bool is_transparent() const {
    return (png_get_color_type(png_, info_) & PNG_COLOR_MASK_ALPHA) != 0 ||
           png_get_valid(png_, info_, PNG_INFO_tRNS) != 0;
  }
  /// The colour of pixels that a cut-off file lacks: black or the first entry of the palette.
  std::array<std::uint8_t, 3> missing_color() const {
    png_colorp palette = nullptr;
    int entries = 0;
    if (!png_get_PLTE(png_, info_, &palette, &entries) || entries == 0 ||
        png_get_color_type(png_, info_) != PNG_COLOR_TYPE_PALETTE)
      return {0, 0, 0};
    return {palette[0].red, palette[0].green, palette[0].blue};
  }

  /// Asks for rows of 8-bit RGB, with alpha (RGBA) or without, or of 16-bit grey as stored.
  bool choose_format(bool alpha, bool gray16) {
    return guarded([=, this] {
      if (!gray16) {
        png_set_expand(png_);  // palette to RGB, 1, 2 and 4 bits to 8, tRNS to alpha
        png_set_strip_16(png_);
        png_set_gray_to_rgb(png_);
        if (alpha)
          png_set_add_alpha(png_, 255, PNG_FILLER_AFTER);
        else
          png_set_strip_alpha(png_);
      }
      (void)png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
  }
  std::size_t row_bytes() const { return png_get_rowbytes(png_, info_); }

  /// Decodes into the given rows, then reads on to the end of the file, where the checksums are;
  /// false if it had to stop early.
  bool read_rows(png_bytepp rows) {
    return guarded([this, rows] {
      png_read_image(png_, rows);
      png_read_end(png_, nullptr);
    });
  }

 private:
  static void on_read(png_structp png, png_bytep out, std::size_t count) {
    auto& bytes = static_cast<PngReader*>(png_get_io_ptr(png))->bytes_;
    if (count > bytes.size()) png_error(png, "the file ends early");
    std::memcpy(out, bytes.data(), count);
    bytes = bytes.subspan(count);
  }

  /// Whether the file ends with the chunk that every complete one ends with.
  static bool has_end(std::span<const std::uint8_t> bytes) {
    static constexpr std::array<std::uint8_t, 4> name{'I', 'E', 'N', 'D'};
    return bytes.size() >= 8 && std::equal(name.begin(), name.end(), bytes.end() - 8);
  }

  std::span<const std::uint8_t> bytes_;
  const DecodeOptions& options_;
};

class PngWriter : public PngSession {
 public:
  PngWriter() {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_) info_ = png_create_info_struct(png_);
  }
  ~PngWriter() {
    if (png_) png_destroy_write_struct(&png_, &info_);
  }

  bool write(const Image& image) {
    return guarded([this, &image] {
      png_set_write_fn(png_, this, on_write, nullptr);
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
      png_set_IHDR(png_, info_, static_cast<png_uint_32>(image.width),
                   static_cast<png_uint_32>(image.height), 8, PNG_COLOR_TYPE_RGB,
                   PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
      png_write_info(png_, info_);
      for (int y = 0; y < image.height; ++y) png_write_row(png_, image.pixel(0, y));
      png_write_end(png_, info_);
    });
  }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  static void on_write(png_structp png, png_bytep data, std::size_t count) {
    auto& bytes = static_cast<PngWriter*>(png_get_io_ptr(png))->bytes_;
    try {
      bytes.insert(bytes.end(), data, data + count);
      return;
    } catch (const std::exception&) {}
    png_error(png, "out of memory");
  }

  std::vector<std::uint8_t> bytes_;
};

/// Big-endian 16-bit grey to RGB: the upper byte, or the level cut off at 255.
ALBEF_DATA_INLINE void gray16_to_rgb(const std::uint8_t* gray, std::size_t pixels, bool scale,
                                     std::uint8_t* rgb) {
  for (std::size_t i = 0; i < pixels; ++i) {
    const std::uint8_t high = gray[2 * i], low = gray[2 * i + 1];
    std::fill_n(rgb + 3 * i, 3, scale ? high : high > 0 ? std::uint8_t{255} : low);
  }
}

/// RGBA on a white ground, rounded to nearest.
ALBEF_DATA_INLINE void rgba_over_white(const std::uint8_t* rgba, std::size_t pixels,
                                       std::uint8_t* rgb) {
  for (std::size_t i = 0; i < pixels; ++i, rgba += 4, rgb += 3)
    for (std::size_t c = 0; c < 3; ++c) {
      const int sum = rgba[c] * rgba[3] + 255 * (255 - rgba[3]) + 128;
      rgb[c] = static_cast<std::uint8_t>((sum + (sum >> 8)) >> 8);  // sum / 255
    }
}

/// Reads the picture data into `pixels`, rows of width x channels bytes, which holds what to keep
/// where a file is cut off.
ALBEF_DATA_INLINE void read_pixels(PngReader& reader, std::string_view name,
                                   const DecodeOptions& options, std::size_t channels,
                                   std::vector<std::uint8_t>& pixels) {
  const std::size_t row_bytes = static_cast<std::size_t>(reader.width()) * channels;
  require(reader.row_bytes() == row_bytes, "cannot decode '", name, "': got rows of ",
          reader.row_bytes(), " bytes, expected ", row_bytes);
  std::vector<png_bytep> rows(static_cast<std::size_t>(reader.height()));
  for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = pixels.data() + y * row_bytes;
  if (!reader.read_rows(rows.data()) && !options.allow_truncated)
    fail("cannot decode '", name, "': damaged or cut-off PNG: ", reader.message());
}

ALBEF_DATA_INLINE Image decode_png(std::span<const std::uint8_t> bytes, std::string_view name,
                                   const DecodeOptions& options) {
  PngReader reader(bytes, options);
  if (!reader.read_header()) fail("cannot decode '", name, "': damaged PNG: ", reader.message());
  check_picture_size(reader.width(), reader.height(), name, options);
  const bool alpha = options.over_white && reader.is_transparent();
  const bool gray16 = reader.is_gray16() && !alpha;
  const auto missing = reader.missing_color();
  if (!reader.choose_format(alpha, gray16))
    fail("cannot decode '", name, "': damaged PNG: ", reader.message());

  Image image(static_cast<int>(reader.width()), static_cast<int>(reader.height()));
  const std::size_t pixels = image.rgb.size() / 3, channels = alpha ? 4 : gray16 ? 2 : 3;
  for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = missing[i % 3];
  std::vector<std::uint8_t> other;  // RGBA or 16-bit grey rows
  if (channels != 3) other.assign(pixels * channels, 0);
  read_pixels(reader, name, options, channels, channels == 3 ? image.rgb : other);
  if (alpha) rgba_over_white(other.data(), pixels, image.rgb.data());
  if (gray16) gray16_to_rgb(other.data(), pixels, options.scale_gray16, image.rgb.data());
  return image;
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE RgbaImage decode_png_rgba(std::span<const std::uint8_t> bytes,
                                            std::string_view name, const DecodeOptions& options) {
  require(detail::is_png(bytes), "cannot decode '", name, "': it is no PNG file");
  detail::PngReader reader(bytes, options);
  if (!reader.read_header()) fail("cannot decode '", name, "': damaged PNG: ", reader.message());
  detail::check_picture_size(reader.width(), reader.height(), name, options);
  if (!reader.choose_format(true, false))
    fail("cannot decode '", name, "': damaged PNG: ", reader.message());
  RgbaImage image{static_cast<int>(reader.width()), static_cast<int>(reader.height()), {}};
  image.rgba.resize(4 * static_cast<std::size_t>(reader.width() * reader.height()));
  detail::read_pixels(reader, name, options, 4, image.rgba);
  return image;
}

ALBEF_DATA_INLINE std::vector<std::uint8_t> encode_png(const Image& image) {
  require(!image.empty(), "[encode_png] got a ", image.width, " x ", image.height,
          " picture, expected at least one pixel");
  detail::PngWriter writer;
  if (!writer.write(image)) fail("[encode_png] failed: ", writer.message());
  return writer.take();
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
