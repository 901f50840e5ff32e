// PNG files to RGB pictures and back with libpng. Use open_picture,
// decode_image and save_png of codec.hpp.
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
#include "albef/data/picture_reader.hpp"

namespace albef {
namespace detail {

bool is_png(std::span<const std::uint8_t> bytes);

PicturePtr open_png(std::span<const std::uint8_t> bytes, std::string_view name,
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
#include <zlib.h>

#include "albef/data/pixel_rows.hpp"

namespace albef::detail {

/// What rows are asked of libpng, and its bytes per pixel.
enum class PngFormat : std::size_t { index = 1, gray16 = 2, rgb = 3, rgba = 4 };

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

class PngDecompressor : public PngSession {
 public:
  PngDecompressor(std::span<const std::uint8_t> bytes, Damaged damaged)
      : left_(bytes), file_(bytes), damaged_(damaged) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_) info_ = png_create_info_struct(png_);
  }
  ~PngDecompressor() {
    if (png_) png_destroy_read_struct(&png_, &info_, nullptr);
  }

  /// Reads up to the picture data; false if the header is damaged.
  bool read_header() {
    return guarded([this] {
      png_set_read_fn(png_, this, on_read);
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // checked by set_size
      // Texts, profiles and the like are passed over; they may be packed a thousandfold.
      png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
      if (damaged_ == Damaged::keep) png_set_crc_action(png_, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
      // Read byte by byte: libpng drops the whole block in which a file ends.
      if (damaged_ != Damaged::refuse && !has_end(file_)) png_set_compression_buffer_size(png_, 1);
      png_read_info(png_, info_);
      if (damaged_ == Damaged::as_pillow)
        png_set_crc_action(png_, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
      png_set_read_user_transform_fn(png_, on_row);
      count_rows();
    });
  }

  std::uint64_t width() const { return png_get_image_width(png_, info_); }
  std::uint64_t height() const { return png_get_image_height(png_, info_); }
  bool is_interlaced() const { return png_get_interlace_type(png_, info_) != PNG_INTERLACE_NONE; }
  bool is_gray16() const {
    return png_get_bit_depth(png_, info_) == 16 &&
           png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY;
  }
  bool is_palette() const { return png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE; }
  bool is_transparent() const {
    return (png_get_color_type(png_, info_) & PNG_COLOR_MASK_ALPHA) != 0 ||
           png_get_valid(png_, info_, PNG_INFO_tRNS) != 0;
  }
  Palette palette() const {
    Palette palette;
    png_colorp colors = nullptr;
    int entries = 0;
    if (png_get_PLTE(png_, info_, &colors, &entries))
      for (std::size_t i = 0; i < static_cast<std::size_t>(std::clamp(entries, 0, 256)); ++i)
        palette.color[i] = {colors[i].red, colors[i].green, colors[i].blue};
    return palette;
  }

  /// Asks for rows of 8-bit RGB, of the same with alpha, of 16-bit grey or of indices as stored.
  bool choose_format(PngFormat format) {
    return guarded([=, this] {
      if (format == PngFormat::rgb || format == PngFormat::rgba) {
        png_set_expand(png_);  // palette to RGB, 1, 2 and 4 bits to 8, tRNS to alpha
        png_set_strip_16(png_);
        png_set_gray_to_rgb(png_);
        if (format == PngFormat::rgba)
          png_set_add_alpha(png_, 255, PNG_FILLER_AFTER);
        else
          png_set_strip_alpha(png_);
      } else if (format == PngFormat::index) {
        png_set_packing(png_);
      }
      (void)png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
  }
  std::size_t row_bytes() const { return png_get_rowbytes(png_, info_); }

  /// Decodes the next row; false if the data is damaged.
  bool read_row(png_bytep row) {
    return guarded([this, row] { png_read_row(png_, row, nullptr); });
  }
  /// Decodes all rows of an interlaced picture.
  bool read_rows(png_bytepp rows) {
    return guarded([this, rows] { png_read_image(png_, rows); });
  }
  /// Reads on to the end of the file, where the last checksums are.
  bool read_end() {
    return guarded([this] { png_read_end(png_, nullptr); });
  }

  /// Whether a step that failed did so behind the last row.
  bool has_all_rows() const { return rows_done_ == rows_; }
  /// Whether the picture's data ends as it should, but after fewer rows than the header says.
  bool has_fewer_rows() const;

 private:
  static void on_read(png_structp png, png_bytep out, std::size_t count) {
    auto& bytes = static_cast<PngDecompressor*>(png_get_io_ptr(png))->left_;
    if (count > bytes.size()) png_error(png, "the file ends early");
    std::memcpy(out, bytes.data(), count);
    bytes = bytes.subspan(count);
  }

  static void on_row(png_structp png, png_row_infop, png_bytep) {
    ++static_cast<PngDecompressor*>(png_get_io_ptr(png))->rows_done_;
  }

  /// The rows of all passes and their packed bytes, each with its filter's.
  void count_rows() {
    const auto bits = std::uint64_t{png_get_bit_depth(png_, info_)} * png_get_channels(png_, info_);
    const auto add = [&](std::uint64_t columns, std::uint64_t rows) {
      if (columns == 0) return;
      rows_ += rows;
      packed_bytes_ += rows * (1 + (columns * bits + 7) / 8);
    };
    struct Pass {
      std::uint64_t left, top, across, down;  // first pixel, and steps to the next ones
    };
    static constexpr std::array<Pass, 7> passes{
        Pass{0, 0, 8, 8}, Pass{4, 0, 8, 8}, Pass{0, 4, 4, 8}, Pass{2, 0, 4, 4},
        Pass{0, 2, 2, 4}, Pass{1, 0, 2, 2}, Pass{0, 1, 1, 2}};
    if (is_interlaced())
      for (const Pass& pass : passes)
        add((width() + pass.across - 1 - pass.left) / pass.across,
            (height() + pass.down - 1 - pass.top) / pass.down);
    else
      add(width(), height());
  }

  /// Calls f(name, content) with the chunks of a file until it returns false or the file ends.
  template <class F>
  static void for_each_chunk(std::span<const std::uint8_t> file, F&& f) {
    for (std::size_t at = 8; at + 8 <= file.size();) {
      const std::size_t size = png_get_uint_32(file.data() + at);
      const std::string_view name(reinterpret_cast<const char*>(file.data()) + at + 4, 4);
      const std::size_t rest = file.size() - at - 8;
      if (!f(name, file.subspan(at + 8, std::min(size, rest))) || size + 4 > rest) return;
      at += size + 12;
    }
  }
  /// Whether the file has the chunk that every complete one ends with.
  static bool has_end(std::span<const std::uint8_t> file) {
    bool found = false;
    for_each_chunk(file, [&](std::string_view name, auto) { return !(found = name == "IEND"); });
    return found;
  }

  std::span<const std::uint8_t> left_;
  const std::span<const std::uint8_t> file_;
  const Damaged damaged_;
  std::uint64_t rows_ = 0, rows_done_ = 0, packed_bytes_ = 0;
};

ALBEF_DATA_INLINE bool PngDecompressor::has_fewer_rows() const {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return false;
  int code = Z_OK;
  std::array<std::uint8_t, 1 << 14> unpacked;
  const auto inflate_chunk = [&](std::string_view name, std::span<const std::uint8_t> content) {
    if (name != "IDAT") return true;
    stream.next_in = const_cast<std::uint8_t*>(content.data());
    stream.avail_in = static_cast<uInt>(content.size());
    do {
      stream.next_out = unpacked.data(), stream.avail_out = static_cast<uInt>(unpacked.size());
      code = inflate(&stream, Z_NO_FLUSH);
    } while (code == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0));
    return code == Z_OK || code == Z_BUF_ERROR;
  };
  for_each_chunk(file_, inflate_chunk);
  const std::uint64_t total = stream.total_out;
  inflateEnd(&stream);
  return code == Z_STREAM_END && total < packed_bytes_ &&
         (is_interlaced() || total % (packed_bytes_ / rows_) == 0);
}

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

class PngReader : public PictureReader {
 public:
  PngReader(std::span<const std::uint8_t> bytes, std::string_view name,
            const DecodeOptions& options, bool with_alpha = false)
      : PictureReader(bytes, name, options), png_(bytes, options.damaged) {
    if (!png_.read_header()) refuse("damaged PNG: ", png_.message());
    set_size(png_.width(), png_.height());
    format_ = with_alpha || (options.over_white && png_.is_transparent()) ? PngFormat::rgba
              : png_.is_palette()                                         ? PngFormat::index
              : png_.is_gray16()                                          ? PngFormat::gray16
                                                                          : PngFormat::rgb;
    if (format_ == PngFormat::index) palette_ = png_.palette();
    if (!png_.choose_format(format_)) refuse("damaged PNG: ", png_.message());
    row_bytes_ = columns() * static_cast<std::size_t>(format_);
    if (png_.row_bytes() != row_bytes_)
      refuse("got rows of ", png_.row_bytes(), " bytes, expected ", row_bytes_);
    if (png_.is_interlaced())
      (void)held_bytes(static_cast<std::size_t>(format_), "an interlaced PNG");
    else if (format_ != PngFormat::rgb)
      stored_.resize(row_bytes_);
  }

  /// All rows with their opacity, where that was asked for.
  std::vector<std::uint8_t> read_rgba() {
    std::vector<std::uint8_t> rgba, unused(3 * columns());
    rgba.reserve(row_bytes_ * static_cast<std::size_t>(height()));
    keep_ = &rgba;
    while (position() < height()) read_row(unused.data());
    return rgba;
  }

 protected:
  void decode_row(std::uint8_t* rgb) override {
    const std::uint8_t* const from = stored_row(stored_.empty() ? rgb : stored_.data());
    if (keep_) keep_->insert(keep_->end(), from, from + row_bytes_);
    switch (format_) {
      case PngFormat::rgb:
        if (from != rgb) std::copy_n(from, row_bytes_, rgb);
        break;
      case PngFormat::rgba:
        rgba_over_white(from, columns(), rgb);
        break;
      case PngFormat::index:
        palette_.to_rgb(from, columns(), rgb);
        break;
      case PngFormat::gray16:
        for (std::size_t i = 0; i < columns(); ++i)
          std::fill_n(rgb + 3 * i, 3,
                      gray16_level(256u * from[2 * i] + from[2 * i + 1], options_.scale_gray16));
    }
  }

 private:
  /// The next row in the file's format; what is missing is zero.
  const std::uint8_t* stored_row(std::uint8_t* buffer) {
    if (png_.is_interlaced()) {
      if (row() == 0) read_interlaced();
      buffer = stored_.data() + row() * row_bytes_;
    } else {
      if (!ended_) ended_ = !complete(png_.read_row(buffer));
      if (ended_) std::fill_n(buffer, row_bytes_, std::uint8_t{0});
    }
    if (position() + 1 == height() && options_.damaged == Damaged::refuse)
      (void)complete(png_.read_end());
    return buffer;
  }
  void read_interlaced() {
    stored_.assign(row_bytes_ * static_cast<std::size_t>(height()), 0);
    std::vector<png_bytep> rows(static_cast<std::size_t>(height()));
    for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = stored_.data() + y * row_bytes_;
    (void)complete(png_.read_rows(rows.data()));
  }
  /// Whether the rows are complete; Error if not and that is not to be passed over.
  bool complete(bool done) {
    if (done || (options_.damaged != Damaged::refuse && png_.has_all_rows())) return true;
    if (options_.damaged == Damaged::refuse ||
        (options_.damaged == Damaged::as_pillow && !png_.has_fewer_rows()))
      refuse("damaged or cut-off PNG: ", png_.message());
    return false;
  }

  PngDecompressor png_;
  PngFormat format_ = PngFormat::rgb;
  Palette palette_;
  std::size_t row_bytes_ = 0;
  std::vector<std::uint8_t> stored_;  // a row in the file's format; interlaced: all of them
  std::vector<std::uint8_t>* keep_ = nullptr;
  bool ended_ = false;
};

ALBEF_DATA_INLINE PicturePtr open_png(std::span<const std::uint8_t> bytes, std::string_view name,
                                      const DecodeOptions& options) {
  return std::make_unique<PngReader>(bytes, name, options);
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE RgbaImage decode_png_rgba(std::span<const std::uint8_t> bytes,
                                            std::string_view name, const DecodeOptions& options) {
  require(detail::is_png(bytes), "cannot decode '", name, "': it is no PNG file");
  return detail::within_memory(name, [&] {
    detail::PngReader reader(bytes, name, options, true);
    return RgbaImage{reader.width(), reader.height(), reader.read_rgba()};
  });
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
