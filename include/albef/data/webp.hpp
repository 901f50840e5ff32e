// WebP files, lossy and lossless, and the first frame of animations to RGB pictures with libwebp.
// Use open_picture or decode_image of codec.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "albef/core/compiled.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/picture_reader.hpp"

namespace albef::detail {

bool is_webp(std::span<const std::uint8_t> bytes);

PicturePtr open_webp(std::span<const std::uint8_t> bytes, std::string_view name,
                     const DecodeOptions& options);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include <webp/decode.h>
#include <webp/demux.h>

#include "albef/data/pixel_rows.hpp"

namespace albef::detail {

ALBEF_DATA_INLINE bool is_webp(std::span<const std::uint8_t> bytes) {
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()),
                               std::min<std::size_t>(bytes.size(), 12));
  return start.size() == 12 && start.starts_with("RIFF") && start.ends_with("WEBP");
}

/// libwebp decodes a picture at once, because lossless rows depend on any before.
class WebpReader : public PictureReader {
 public:
  WebpReader(std::span<const std::uint8_t> bytes, std::string_view name,
             const DecodeOptions& options)
      : PictureReader(bytes, name, options) {
    const WebPData data{bytes.data(), bytes.size()};
    demux_.reset(options.damaged == Damaged::keep ? WebPDemuxPartial(&data, nullptr)
                                                  : WebPDemux(&data));
    if (!demux_) refuse("damaged or cut-off WebP");
    set_size(WebPDemuxGetI(demux_.get(), WEBP_FF_CANVAS_WIDTH),
             WebPDemuxGetI(demux_.get(), WEBP_FF_CANVAS_HEIGHT));
    frame_.reset(new WebPIterator{});
    if (!WebPDemuxGetFrame(demux_.get(), 1, frame_.get())) refuse("a WebP without a picture");
    const auto frame_columns = static_cast<std::size_t>(frame_->width);
    channels_ = options.over_white ? 4 : 3;
    // Beside the pixels, the decoder has up to four bytes for each.
    (void)held_bytes(channels_ + 4, "a WebP");
    pixels_.assign(channels_ * frame_columns * static_cast<std::size_t>(frame_->height), 0);
    decode(channels_ * frame_columns);
  }

 protected:
  void decode_row(std::uint8_t* rgb) override {
    std::fill_n(rgb, 3 * columns(), options_.over_white ? std::uint8_t{255} : std::uint8_t{0});
    const int y = position() - frame_->y_offset;
    if (y < 0 || y >= frame_->height) return;
    const auto left = static_cast<std::size_t>(frame_->x_offset);
    const std::size_t n =
        std::min(static_cast<std::size_t>(frame_->width), columns() - std::min(left, columns()));
    const std::uint8_t* const from = pixels_.data() + channels_ *
                                                          static_cast<std::size_t>(frame_->width) *
                                                          static_cast<std::size_t>(y);
    if (channels_ == 4)
      rgba_over_white(from, n, rgb + 3 * left);
    else
      std::copy_n(from, 3 * n, rgb + 3 * left);
  }

 private:
  struct Delete {
    void operator()(WebPDemuxer* demux) const { WebPDemuxDelete(demux); }
    void operator()(WebPIDecoder* decoder) const { WebPIDelete(decoder); }
    void operator()(WebPIterator* frame) const {
      WebPDemuxReleaseIterator(frame);
      delete frame;
    }
  };

  void decode(std::size_t stride) {
    const WebPData& data = frame_->fragment;
    const std::unique_ptr<WebPIDecoder, Delete> decoder(
        WebPINewRGB(channels_ == 4 ? MODE_RGBA : MODE_RGB, pixels_.data(), pixels_.size(),
                    static_cast<int>(stride)));
    const VP8StatusCode code =
        decoder ? WebPIUpdate(decoder.get(), data.bytes, data.size) : VP8_STATUS_OUT_OF_MEMORY;
    if (code != VP8_STATUS_OK && options_.damaged != Damaged::keep)
      refuse(code == VP8_STATUS_OUT_OF_MEMORY ? "it needs more memory than there is"
                                              : "damaged or cut-off WebP");
  }

  std::unique_ptr<WebPDemuxer, Delete> demux_;
  std::unique_ptr<WebPIterator, Delete> frame_;
  std::size_t channels_ = 3;
  std::vector<std::uint8_t> pixels_;
};

ALBEF_DATA_INLINE PicturePtr open_webp(std::span<const std::uint8_t> bytes, std::string_view name,
                                       const DecodeOptions& options) {
  return std::make_unique<WebpReader>(bytes, name, options);
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
