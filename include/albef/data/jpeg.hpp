// JPEG files to RGB pictures with libjpeg-turbo: the accurate integer transform and smooth colour
// upsampling, so the pixels equal Pillow's. Use open_picture or decode_image of codec.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "albef/core/compiled.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/picture_reader.hpp"

namespace albef::detail {

bool is_jpeg(std::span<const std::uint8_t> bytes);

PicturePtr open_jpeg(std::span<const std::uint8_t> bytes, std::string_view name,
                     const DecodeOptions& options);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <vector>

#include <jpeglib.h>  // needs <cstdio> first

#include <jerror.h>

#include "albef/data/pixel_rows.hpp"

namespace albef::detail {

ALBEF_DATA_INLINE bool is_jpeg(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

/// One decompression. libjpeg reports errors by calling back and must not be left by a C++
/// exception: the call-back jumps to the setjmp in guarded(), which has no objects to destroy.
class JpegDecompressor {
 public:
  JpegDecompressor(std::span<const std::uint8_t> bytes, Damaged damaged) : damaged_(damaged) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = [](j_common_ptr info) { self(info).stop(info); };
    errors_.emit_message = [](j_common_ptr info, int level) { self(info).warn(info, level); };
    errors_.output_message = [](j_common_ptr) {};
    created_ = guarded([this] { jpeg_create_decompress(&info_); });
    if (!created_) return;
    info_.client_data = this;
    progress_.progress_monitor = [](j_common_ptr info) { self(info).count_scans(); };
    info_.progress = &progress_;
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
  JpegDecompressor(const JpegDecompressor&) = delete;
  JpegDecompressor& operator=(const JpegDecompressor&) = delete;
  ~JpegDecompressor() {
    if (created_) jpeg_destroy_decompress(&info_);
  }

  /// Reads up to the picture data; false if the header is damaged.
  bool read_header() {
    return created_ && guarded([this] { (void)jpeg_read_header(&info_, TRUE); });
  }
  /// Decodes the next row of width * components() bytes; false if the data is damaged.
  bool read_row(std::uint8_t* out) {
    row_ = out;
    return guarded([this] {
      if (!started_) {
        info_.out_color_space = info_.num_components == 1   ? JCS_GRAYSCALE
                                : info_.num_components == 3 ? JCS_RGB
                                                            : JCS_CMYK;
        (void)jpeg_start_decompress(&info_);
        started_ = true;
      }
      (void)jpeg_read_scanlines(&info_, &row_, 1);
    });
  }

  std::uint64_t width() const { return info_.image_width; }
  std::uint64_t height() const { return info_.image_height; }
  int components() const { return info_.num_components; }
  const char* message() const { return message_.data(); }
  /// What libjpeg keeps of a picture whose data comes in several scans: all its coefficients.
  std::uint64_t held_bytes() {
    if (!jpeg_has_multiple_scans(&info_)) return 0;
    std::uint64_t blocks = 0;
    for (int c = 0; c < info_.num_components; ++c)
      blocks +=
          std::uint64_t{info_.comp_info[c].width_in_blocks} * info_.comp_info[c].height_in_blocks;
    return blocks * sizeof(JBLOCK);
  }

 private:
  static constexpr int max_scans = 500;

  template <class Info>
  static JpegDecompressor& self(Info* info) {
    return *static_cast<JpegDecompressor*>(info->client_data);
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
        if (damaged_ == Damaged::refuse) stop(info);
    }
  }

  /// Each scan costs a pass over the picture, however few bytes it has.
  void count_scans() {
    if (info_.input_scan_number <= max_scans) return;
    std::snprintf(message_.data(), message_.size(), "more than %d scans", max_scans);
    std::longjmp(jump_, 1);
  }

  boolean end_of_data() {
    if (damaged_ != Damaged::keep) {
      info_.err->msg_code = JERR_INPUT_EOF;
      stop(reinterpret_cast<j_common_ptr>(&info_));
    }
    static constexpr std::array<JOCTET, 2> end_marker{0xFF, JPEG_EOI};
    source_.next_input_byte = end_marker.data();
    source_.bytes_in_buffer = end_marker.size();
    return TRUE;
  }

  Damaged damaged_;
  bool created_ = false, started_ = false;
  JSAMPROW row_ = nullptr;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  jpeg_source_mgr source_{};
  std::jmp_buf jump_{};
  std::array<char, JMSG_LENGTH_MAX> message_{};
};

class JpegReader : public PictureReader {
 public:
  JpegReader(std::span<const std::uint8_t> bytes, std::string_view name,
             const DecodeOptions& options)
      : PictureReader(bytes, name, options), jpeg_(bytes, options.damaged) {
    if (!jpeg_.read_header()) refuse("damaged JPEG: ", jpeg_.message());
    set_size(jpeg_.width(), jpeg_.height());
    const int components = jpeg_.components();
    if (components != 1 && components != 3 && components != 4)
      refuse("a JPEG with ", components, " colour components, expected 1, 3 or 4");
    check_held_size(jpeg_.held_bytes(), bytes.size(), "a JPEG in several scans", name, options);
    if (components != 3) other_.resize(columns() * static_cast<std::size_t>(components));
  }

 protected:
  void decode_row(std::uint8_t* rgb) override {
    std::uint8_t* const to = other_.empty() ? rgb : other_.data();
    if (!ended_ && !jpeg_.read_row(to)) {
      if (options_.damaged != Damaged::keep) refuse("damaged or cut-off JPEG: ", jpeg_.message());
      ended_ = true;
    }
    if (ended_)  // black
      std::fill_n(rgb, 3 * columns(), std::uint8_t{0});
    else if (jpeg_.components() == 1)
      for (std::size_t i = 0; i < columns(); ++i) std::fill_n(rgb + 3 * i, 3, other_[i]);
    else if (jpeg_.components() == 4)
      inverted_cmyk_to_rgb(other_.data(), columns(), rgb);
  }

 private:
  JpegDecompressor jpeg_;
  std::vector<std::uint8_t> other_;  // a row of grey or CMYK
  bool ended_ = false;
};

ALBEF_DATA_INLINE PicturePtr open_jpeg(std::span<const std::uint8_t> bytes, std::string_view name,
                                       const DecodeOptions& options) {
  return std::make_unique<JpegReader>(bytes, name, options);
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
