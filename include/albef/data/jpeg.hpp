// JPEG files to RGB pictures with libjpeg-turbo: the accurate integer transform and smooth colour
// upsampling, so the pixels equal Pillow's. Use decode_image of codec.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/image.hpp"

namespace albef::detail {

bool is_jpeg(std::span<const std::uint8_t> bytes);

Image decode_jpeg(std::span<const std::uint8_t> bytes, std::string_view name,
                  const DecodeOptions& options);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>  // needs <cstdio> first

#include <jerror.h>

namespace albef::detail {

ALBEF_DATA_INLINE bool is_jpeg(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

/// One decompression. libjpeg reports errors by calling back and must not be left by a C++
/// exception: the call-back jumps to the setjmp in guarded(), which has no objects to destroy.
class JpegReader {
 public:
  JpegReader(std::span<const std::uint8_t> bytes, bool strict) : strict_(strict) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = [](j_common_ptr info) { self(info).stop(info); };
    errors_.emit_message = [](j_common_ptr info, int level) { self(info).warn(info, level); };
    errors_.output_message = [](j_common_ptr) {};
    created_ = guarded([this] { jpeg_create_decompress(&info_); });
    if (!created_) return;
    info_.client_data = this;
    source_.init_source = [](j_decompress_ptr) {};
    source_.term_source = [](j_decompress_ptr) {};
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.fill_input_buffer = [](j_decompress_ptr info) { return self(info).end_of_data(); };
    source_.skip_input_data = [](j_decompress_ptr info, long count) {
      auto& source = *info->src;
      const auto n =
          std::min(static_cast<std::size_t>(std::max(count, 0l)), source.bytes_in_buffer);
      source.next_input_byte += n, source.bytes_in_buffer -= n;
    };
    source_.next_input_byte = bytes.data();
    source_.bytes_in_buffer = bytes.size();
    info_.src = &source_;
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() {
    if (created_) jpeg_destroy_decompress(&info_);
  }

  /// Reads up to the picture data; false if the header is damaged.
  bool read_header() {
    return created_ && guarded([this] { (void)jpeg_read_header(&info_, TRUE); });
  }
  /// Decodes rows of width * components() bytes to `out`; false if it had to stop early.
  bool read_rows(std::uint8_t* out) {
    rows_ = out;
    return guarded([this] {
      info_.out_color_space = info_.num_components == 1   ? JCS_GRAYSCALE
                              : info_.num_components == 3 ? JCS_RGB
                                                          : JCS_CMYK;
      (void)jpeg_start_decompress(&info_);
      const auto stride = static_cast<std::size_t>(info_.output_width) *
                          static_cast<std::size_t>(info_.output_components);
      while (info_.output_scanline < info_.output_height) {
        JSAMPROW row = rows_ + info_.output_scanline * stride;
        (void)jpeg_read_scanlines(&info_, &row, 1);
      }
    });
  }

  std::uint64_t width() const { return info_.image_width; }
  std::uint64_t height() const { return info_.image_height; }
  int components() const { return info_.num_components; }
  const char* message() const { return message_.data(); }

 private:
  template <class Info>
  static JpegReader& self(Info* info) {
    return *static_cast<JpegReader*>(info->client_data);
  }

  template <class Step>
  bool guarded(Step step) {
    if (setjmp(jump_)) return false;
    step();
    return true;
  }

  [[noreturn]] void stop(j_common_ptr info) {
    info->err->format_message(info, message_.data());
    std::longjmp(jump_, 1);
  }

  /// Warnings say that data is damaged; those that leave the pixels intact are passed over.
  void warn(j_common_ptr info, int level) {
    if (level >= 0) return;  // a trace message
    switch (info->err->msg_code) {
      case JWRN_HIT_MARKER:
      case JWRN_HUFF_BAD_CODE:
      case JWRN_ARITH_BAD_CODE:
      case JWRN_MUST_RESYNC:
        if (strict_) stop(info);
    }
  }

  boolean end_of_data() {
    if (strict_) {
      info_.err->msg_code = JERR_INPUT_EOF;
      stop(reinterpret_cast<j_common_ptr>(&info_));
    }
    static constexpr std::array<JOCTET, 2> end_marker{0xFF, JPEG_EOI};
    source_.next_input_byte = end_marker.data();
    source_.bytes_in_buffer = end_marker.size();
    return TRUE;
  }

  bool strict_, created_ = false;
  std::uint8_t* rows_ = nullptr;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_source_mgr source_{};
  std::jmp_buf jump_{};
  std::array<char, JMSG_LENGTH_MAX> message_{};
};

/// Inverted CMYK, as Adobe's programs write it and every other program has to: to RGB.
ALBEF_DATA_INLINE void cmyk_to_rgb(const std::uint8_t* cmyk, std::size_t pixels,
                                   std::uint8_t* rgb) {
  for (std::size_t i = 0; i < pixels; ++i, cmyk += 4, rgb += 3)
    for (std::size_t c = 0; c < 3; ++c) {
      const int light = cmyk[3], product = (255 - cmyk[c]) * light + 128;
      rgb[c] = static_cast<std::uint8_t>(light - ((product + (product >> 8)) >> 8));
    }
}

ALBEF_DATA_INLINE Image decode_jpeg(std::span<const std::uint8_t> bytes, std::string_view name,
                                    const DecodeOptions& options) {
  JpegReader reader(bytes, !options.allow_truncated);
  if (!reader.read_header()) fail("cannot decode '", name, "': damaged JPEG: ", reader.message());
  check_picture_size(reader.width(), reader.height(), name, options);
  const int components = reader.components();
  require(components == 1 || components == 3 || components == 4, "cannot decode '", name,
          "': a JPEG with ", components, " colour components, expected 1, 3 or 4");
  Image image(static_cast<int>(reader.width()), static_cast<int>(reader.height()));
  const std::size_t pixels = image.rgb.size() / 3;
  std::vector<std::uint8_t> other;  // grey or CMYK rows
  if (components != 3) other.assign(pixels * static_cast<std::size_t>(components), 0);
  if (components == 4) std::fill(other.begin(), other.end(), std::uint8_t{255});  // white
  if (!reader.read_rows(components == 3 ? image.rgb.data() : other.data()) &&
      !options.allow_truncated)
    fail("cannot decode '", name, "': damaged or cut-off JPEG: ", reader.message());
  if (components == 1)
    for (std::size_t i = 0; i < pixels; ++i) std::fill_n(image.rgb.data() + 3 * i, 3, other[i]);
  if (components == 4) cmyk_to_rgb(other.data(), pixels, image.rgb.data());
  return image;
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
