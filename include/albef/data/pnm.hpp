// PBM, PGM and PPM files, as text or bytes, to RGB pictures. Use open_picture or decode_image of
// codec.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "albef/core/compiled.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/picture_reader.hpp"

namespace albef::detail {

bool is_pnm(std::span<const std::uint8_t> bytes);

PicturePtr open_pnm(std::span<const std::uint8_t> bytes, std::string_view name,
                    const DecodeOptions& options);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>

#include "albef/data/pixel_rows.hpp"

namespace albef::detail {

inline bool is_pnm_space(std::uint8_t byte) { return byte == ' ' || (byte >= 9 && byte <= 13); }

ALBEF_DATA_INLINE bool is_pnm(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
         is_pnm_space(bytes[2]);
}

class PnmReader : public PictureReader {
 public:
  PnmReader(std::span<const std::uint8_t> bytes, std::string_view name,
            const DecodeOptions& options)
      : PictureReader(bytes, name, options), at_(3) {
    const int kind = bytes[1] - '0';
    text_ = kind <= 3;
    channels_ = kind % 3 == 0 ? 3 : 1;
    bitmap_ = kind % 3 == 1;
    const unsigned width = number(), height = number();
    set_size(width, height);
    if (!bitmap_) most_ = number();
    if (most_ == 0 || most_ > 65535)
      refuse("damaged PNM: levels up to ", most_, ", expected 1 to 65535");
    if (!text_ && !ended_) ++at_;  // one blank, then the pixels
    if (ended_) refuse("cut-off PNM: its header is incomplete");
  }

 protected:
  void decode_row(std::uint8_t* rgb) override {
    const std::size_t sample_bytes = most_ > 255 ? 2 : 1;
    const std::size_t size = text_     ? 0
                             : bitmap_ ? (columns() + 7) / 8
                                       : columns() * channels_ * sample_bytes;
    const std::size_t begin = at_ + size * row();
    if (!ended_ && (begin > bytes_.size() || size > bytes_.size() - begin)) end();
    for (std::size_t i = 0; i < columns() * channels_; ++i) {
      unsigned value = 0;
      if (ended_)
        value = bitmap_ ? 1 : 0;
      else if (text_)
        value = bitmap_ ? bit() : number();
      else if (bitmap_)
        value = bytes_[begin + i / 8] >> (7 - i % 8) & 1u;
      else if (sample_bytes == 1)
        value = bytes_[begin + i];
      else
        value = 256u * bytes_[begin + 2 * i] + bytes_[begin + 2 * i + 1];
      if (text_ && value > most_) refuse("damaged PNM: level ", value, ", expected 0 to ", most_);
      const std::uint8_t level = level_of(value);
      if (channels_ == 3)
        rgb[i] = level;
      else
        std::fill_n(rgb + 3 * i, 3, level);
    }
  }

 private:
  std::uint8_t level_of(unsigned value) const {
    if (bitmap_) return value == 0 ? 255 : 0;  // 1 is black
    if (most_ == 255) return static_cast<std::uint8_t>(value);
    const bool wide = channels_ == 1 && most_ > 255;
    const double top = wide ? 65535 : 255;
    const double level = std::min(top, std::nearbyint(static_cast<double>(value) / most_ * top));
    return wide ? gray16_level(static_cast<unsigned>(level), options_.scale_gray16)
                : static_cast<std::uint8_t>(level);
  }

  void end() {
    if (options_.damaged != Damaged::keep) refuse("cut-off PNM: row ", row(), " of ", height());
    ended_ = true;
  }

  void skip_blanks() {
    for (; at_ < bytes_.size(); ++at_) {
      if (bytes_[at_] == '#')
        while (at_ + 1 < bytes_.size() && bytes_[at_] != '\n' && bytes_[at_] != '\r') ++at_;
      if (!is_pnm_space(bytes_[at_]) && bytes_[at_] != '#') return;
    }
  }
  /// The next number of the text; 0 where the file ends early.
  unsigned number() {
    skip_blanks();
    unsigned value = 0;
    const std::size_t begin = at_;
    for (; at_ < bytes_.size() && bytes_[at_] >= '0' && bytes_[at_] <= '9'; ++at_)
      if ((value = 10 * value + (bytes_[at_] - '0')) > 1'000'000'000)
        refuse("damaged PNM: a number of more than ten digits");
    if (at_ == begin && at_ < bytes_.size()) refuse("damaged PNM: expected a number at byte ", at_);
    if (at_ == begin) end();
    return value;
  }
  unsigned bit() {
    skip_blanks();
    if (at_ == bytes_.size()) {
      end();
      return 1;
    }
    const std::uint8_t digit = bytes_[at_++];
    if (digit != '0' && digit != '1') refuse("damaged PNM: expected 0 or 1 at byte ", at_ - 1);
    return digit - '0';
  }

  std::size_t at_;
  std::size_t channels_ = 1;
  unsigned most_ = 1;
  bool text_ = false, bitmap_ = false, ended_ = false;
};

ALBEF_DATA_INLINE PicturePtr open_pnm(std::span<const std::uint8_t> bytes, std::string_view name,
                                      const DecodeOptions& options) {
  return std::make_unique<PnmReader>(bytes, name, options);
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
