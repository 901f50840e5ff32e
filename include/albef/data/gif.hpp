// The first frame of GIF files to RGB pictures with giflib, as Pillow shows it. Use open_picture or
// decode_image of codec.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "albef/core/compiled.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/picture_reader.hpp"

namespace albef::detail {

bool is_gif(std::span<const std::uint8_t> bytes);

PicturePtr open_gif(std::span<const std::uint8_t> bytes, std::string_view name,
                    const DecodeOptions& options);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include <gif_lib.h>

#include "albef/data/pixel_rows.hpp"

namespace albef::detail {

ALBEF_DATA_INLINE bool is_gif(std::span<const std::uint8_t> bytes) {
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()),
                               std::min<std::size_t>(bytes.size(), 6));
  return start == "GIF87a" || start == "GIF89a";
}

class GifReader : public PictureReader {
 public:
  GifReader(std::span<const std::uint8_t> bytes, std::string_view name,
            const DecodeOptions& options)
      : PictureReader(bytes, name, options), left_(bytes) {
    int code = D_GIF_SUCCEEDED;
    gif_.reset(DGifOpen(this, read, &code));
    if (!gif_) refuse("damaged GIF: ", text_of(code));
    find_frame();
    const auto& frame = gif_->Image;
    left_edge_ = static_cast<std::size_t>(std::max(frame.Left, 0));
    top_ = static_cast<std::size_t>(std::max(frame.Top, 0));
    frame_width_ = static_cast<std::size_t>(std::max(frame.Width, 0));
    frame_height_ = static_cast<std::size_t>(std::max(frame.Height, 0));
    if (frame_width_ == 0 || frame_height_ == 0) refuse("a GIF whose picture has no pixels");
    // A frame that reaches outside makes the picture larger.
    set_size(
        std::max(static_cast<std::size_t>(std::max(gif_->SWidth, 0)), left_edge_ + frame_width_),
        std::max(static_cast<std::size_t>(std::max(gif_->SHeight, 0)), top_ + frame_height_));
    take_colors();
    line_.resize(std::max(columns(), frame_width_));
    if (frame.Interlace) read_interlaced();
  }

 protected:
  void decode_row(std::uint8_t* rgb) override {
    std::fill(line_.begin(), line_.end(), background_);
    if (row() >= top_ && row() - top_ < frame_height_) {
      if (!frame_.empty())
        std::copy_n(frame_.data() + (row() - top_) * frame_width_, frame_width_,
                    line_.data() + left_edge_);
      else
        (void)read_line(line_.data() + left_edge_);
    }
    palette_.to_rgb(line_.data(), columns(), rgb);
  }

 private:
  struct Close {
    void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
  };

  static int read(GifFileType* gif, GifByteType* out, int count) {
    auto& reader = *static_cast<GifReader*>(gif->UserData);
    const auto wanted = static_cast<std::size_t>(std::max(count, 0));
    const std::size_t n = std::min(reader.left_.size(), wanted);
    if (n > 0) std::memcpy(out, reader.left_.data(), n);
    reader.left_ = reader.left_.subspan(n);
    if (n == wanted || wanted != 1 || reader.options_.damaged == Damaged::refuse)
      return static_cast<int>(n);
    *out = 0;  // a block of no bytes ends the data, which is all that some files lack
    return count;
  }
  static std::string_view text_of(int code) {
    const char* const text = GifErrorString(code);
    return text ? text : "unknown error";
  }
  [[noreturn]] void refuse_data() const {
    refuse("damaged or cut-off GIF: ", text_of(gif_->Error));
  }

  /// Reads up to the data of the first frame.
  void find_frame() {
    for (;;) {
      GifRecordType type{};
      if (DGifGetRecordType(gif_.get(), &type) == GIF_ERROR) refuse_data();
      if (type == TERMINATE_RECORD_TYPE) refuse("a GIF without a picture");
      if (type == IMAGE_DESC_RECORD_TYPE) {
        if (DGifGetImageDesc(gif_.get()) == GIF_ERROR) refuse_data();
        return;
      }
      int code = 0;
      GifByteType* block = nullptr;  // its length, then its bytes
      if (DGifGetExtension(gif_.get(), &code, &block) == GIF_ERROR) refuse_data();
      if (code == GRAPHICS_EXT_FUNC_CODE && block && block[0] >= 4 && (block[1] & 1) != 0)
        transparent_ = block[4];
      while (block)
        if (DGifGetExtensionNext(gif_.get(), &block) == GIF_ERROR) refuse_data();
    }
  }

  void take_colors() {
    const ColorMapObject* const map = gif_->Image.ColorMap ? gif_->Image.ColorMap : gif_->SColorMap;
    palette_ = Palette::gray();
    bool gray = true;
    const auto entries = map ? static_cast<std::size_t>(std::clamp(map->ColorCount, 0, 256)) : 0;
    Palette given;
    for (std::size_t i = 0; i < entries; ++i) {
      const GifColorType& color = map->Colors[i];
      given.color[i] = {color.Red, color.Green, color.Blue};
      gray = gray && given.color[i] == palette_.color[i];
    }
    if (!gray) palette_ = given;
    if (transparent_ < 0) return;
    background_ = static_cast<std::uint8_t>(transparent_);
    if (options_.over_white) palette_.color[background_] = white;
  }

  /// False: the data ended, and the line is to be left as it is.
  bool read_line(std::uint8_t* out) {
    if (!ended_ && DGifGetLine(gif_.get(), out, static_cast<int>(frame_width_)) == GIF_ERROR) {
      if (options_.damaged != Damaged::keep) refuse_data();
      ended_ = true;
      std::fill_n(out, frame_width_, background_);
    }
    return !ended_;
  }

  void read_interlaced() {
    check_held_size(std::uint64_t{frame_width_} * frame_height_, bytes_.size(), "an interlaced GIF",
                    name_, options_);
    frame_.assign(frame_width_ * frame_height_, background_);
    constexpr std::array<std::size_t, 4> first{0, 4, 2, 1}, step{8, 8, 4, 2};
    for (std::size_t pass = 0; pass < 4; ++pass)
      for (std::size_t y = first[pass]; y < frame_height_; y += step[pass])
        if (!read_line(frame_.data() + y * frame_width_)) return;
  }

  std::span<const std::uint8_t> left_;
  std::unique_ptr<GifFileType, Close> gif_;
  int transparent_ = -1;
  std::uint8_t background_ = 0;  // index around the frame
  std::size_t left_edge_ = 0, top_ = 0, frame_width_ = 0, frame_height_ = 0;
  Palette palette_;
  std::vector<std::uint8_t> line_, frame_;
  bool ended_ = false;
};

ALBEF_DATA_INLINE PicturePtr open_gif(std::span<const std::uint8_t> bytes, std::string_view name,
                                      const DecodeOptions& options) {
  return std::make_unique<GifReader>(bytes, name, options);
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
