// The first picture of TIFF files as RGB with libtiff: grey, RGB, palette and CMYK in 1 to 16 bits
// per sample, strips or tiles, any compression that libtiff was built with. Turned as its
// orientation says, as by Pillow. Use open_picture or decode_image of codec.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "albef/core/compiled.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/picture_reader.hpp"

namespace albef::detail {

bool is_tiff(std::span<const std::uint8_t> bytes);

PicturePtr open_tiff(std::span<const std::uint8_t> bytes, std::string_view name,
                     const DecodeOptions& options);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include <tiffio.h>

#include "albef/data/pixel_rows.hpp"

namespace albef::detail {

ALBEF_DATA_INLINE bool is_tiff(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 8) return false;
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), 4);
  using namespace std::string_view_literals;
  return start == "II*\0"sv || start == "MM\0*"sv || start == "II+\0"sv || start == "MM\0+"sv;
}

/// A TIFF file in memory, with the first error that libtiff reports.
class TiffFile {
 public:
  TiffFile(std::span<const std::uint8_t> bytes, std::uint64_t max_bytes) : bytes_(bytes) {
    const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(
        TIFFOpenOptionsAlloc(), TIFFOpenOptionsFree);
    if (!options) return;
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, this);
    TIFFOpenOptionsSetWarningHandlerExtR(
        options.get(), [](TIFF*, void*, const char*, const char*, va_list) { return 1; }, this);
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<tmsize_t>::max());
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(),
                                        static_cast<tmsize_t>(std::min(max_bytes, most)));
    tiff_ =
        TIFFClientOpenExt("", "r", this, read, write, seek, close, size, map, unmap, options.get());
  }
  TiffFile(const TiffFile&) = delete;
  TiffFile& operator=(const TiffFile&) = delete;
  ~TiffFile() {
    if (tiff_) TIFFClose(tiff_);
  }

  TIFF* get() const { return tiff_; }
  const char* message() const { return message_.data(); }
  /// A field of the first directory, or the format's default.
  template <class T>
  T field(std::uint32_t tag, T otherwise) const {
    T value{};
    return TIFFGetFieldDefaulted(tiff_, tag, &value) ? value : otherwise;
  }

 private:
  static TiffFile& self(thandle_t handle) { return *static_cast<TiffFile*>(handle); }
  static tmsize_t read(thandle_t handle, void* out, tmsize_t count) {
    TiffFile& file = self(handle);
    const std::size_t left =
        file.bytes_.size() - static_cast<std::size_t>(std::min<std::uint64_t>(
                                 file.position_, std::uint64_t{file.bytes_.size()}));
    const std::size_t n = std::min(left, static_cast<std::size_t>(std::max<tmsize_t>(count, 0)));
    if (n > 0) std::memcpy(out, file.bytes_.data() + file.position_, n);
    file.position_ += n;
    return static_cast<tmsize_t>(n);
  }
  static tmsize_t write(thandle_t, void*, tmsize_t) { return 0; }
  static toff_t seek(thandle_t handle, toff_t offset, int from) {
    TiffFile& file = self(handle);
    const toff_t base = from == SEEK_SET ? 0 : from == SEEK_CUR ? file.position_ : size(handle);
    return file.position_ = base + offset;
  }
  static int close(thandle_t) { return 0; }
  static toff_t size(thandle_t handle) { return self(handle).bytes_.size(); }
  static int map(thandle_t handle, void** base, toff_t* count) {
    *base = const_cast<std::uint8_t*>(self(handle).bytes_.data());
    *count = size(handle);
    return 1;
  }
  static void unmap(thandle_t, void*, toff_t) {}
  static int on_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
    auto& message = static_cast<TiffFile*>(user)->message_;
    if (message[0] == '\0') std::vsnprintf(message.data(), message.size(), format, arguments);
    return 1;
  }

  std::span<const std::uint8_t> bytes_;
  std::uint64_t position_ = 0;
  std::array<char, 200> message_{};
  TIFF* tiff_ = nullptr;
};

class TiffReader : public PictureReader {
 public:
  TiffReader(std::span<const std::uint8_t> bytes, std::string_view name,
             const DecodeOptions& options)
      : PictureReader(bytes, name, options), file_(bytes, held_limit(bytes.size(), options)) {
    if (!file_.get()) refuse("damaged TIFF: ", file_.message());
    set_size(file_.field<std::uint32_t>(TIFFTAG_IMAGEWIDTH, 0),
             file_.field<std::uint32_t>(TIFFTAG_IMAGELENGTH, 0));
    choose_layout();
    const auto orientation = file_.field<std::uint16_t>(TIFFTAG_ORIENTATION, 1);
    if (layout_ == Layout::rgba)
      read_rgba();
    else if (TIFFIsTiled(file_.get()) || separate_)
      read_planes();
    if (orientation >= 2 && orientation <= 8) turn(orientation);
  }

 protected:
  void decode_row(std::uint8_t* rgb) override {
    if (turned_.empty())
      decode_stored(row(), rgb);
    else
      std::copy_n(turned_.pixel(0, position()), 3 * columns(), rgb);
  }

 private:
  /// How the samples of a pixel become red, green and blue.
  enum class Layout { gray, palette, rgb, cmyk, rgba };

  void choose_layout() {
    photometric_ = file_.field<std::uint16_t>(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    bits_ = file_.field<std::uint16_t>(TIFFTAG_BITSPERSAMPLE, 1);
    samples_ = file_.field<std::uint16_t>(TIFFTAG_SAMPLESPERPIXEL, 1);
    separate_ =
        samples_ > 1 && file_.field<std::uint16_t>(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) ==
                            PLANARCONFIG_SEPARATE;
    const auto compression = file_.field<std::uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    const auto format = file_.field<std::uint16_t>(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    std::uint16_t extra = 0;
    std::uint16_t* kinds = nullptr;
    if (TIFFGetField(file_.get(), TIFFTAG_EXTRASAMPLES, &extra, &kinds) && extra > 0 && kinds)
      alpha_ = kinds[0];
    if (photometric_ == PHOTOMETRIC_YCBCR && compression == COMPRESSION_JPEG && !separate_ &&
        samples_ == 3) {
      TIFFSetField(file_.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      photometric_ = PHOTOMETRIC_RGB;
    }
    const bool whole = bits_ == 8 || bits_ == 16;
    const bool small = bits_ == 1 || bits_ == 2 || bits_ == 4;
    const bool readable = compression != COMPRESSION_OJPEG && format == SAMPLEFORMAT_UINT &&
                          (whole || (small && samples_ == 1));
    const bool gray = photometric_ == PHOTOMETRIC_MINISBLACK ||
                      photometric_ == PHOTOMETRIC_MINISWHITE ||
                      (photometric_ == PHOTOMETRIC_YCBCR && samples_ == 1);
    if (readable && gray)
      layout_ = Layout::gray;
    else if (readable && photometric_ == PHOTOMETRIC_PALETTE && bits_ <= 8)
      layout_ = Layout::palette;
    else if (readable && photometric_ == PHOTOMETRIC_RGB && samples_ >= 3 && whole)
      layout_ = Layout::rgb;
    else if (readable && photometric_ == PHOTOMETRIC_SEPARATED && samples_ >= 4 && whole)
      layout_ = Layout::cmyk;
    else
      layout_ = Layout::rgba;  // what libtiff makes of it
    take_colors();
    const std::uint64_t row_bits = std::uint64_t{bits_} * samples_ * columns();
    check_held_size(row_bits / 8, bytes_.size(), "a row of a TIFF", name_, options_);
    row_bytes_ = (row_bits + 7) / 8;
    if (layout_ == Layout::rgba || separate_ || TIFFIsTiled(file_.get())) return;
    if (TIFFScanlineSize64(file_.get()) != row_bytes_)
      refuse("a TIFF with rows of ", TIFFScanlineSize64(file_.get()), " bytes, expected ",
             row_bytes_);
    stored_.resize(row_bytes_);
  }

  void take_colors() {
    if (layout_ == Layout::palette) {
      std::uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
      if (!TIFFGetField(file_.get(), TIFFTAG_COLORMAP, &red, &green, &blue))
        refuse("a TIFF without its palette");
      for (std::size_t i = 0; i < std::size_t{1} << bits_; ++i)
        palette_.color[i] = {static_cast<std::uint8_t>(red[i] >> 8),
                             static_cast<std::uint8_t>(green[i] >> 8),
                             static_cast<std::uint8_t>(blue[i] >> 8)};
    } else if (layout_ == Layout::gray && bits_ <= 8) {
      const int most = (1 << bits_) - 1;
      for (int i = 0; i <= most; ++i)
        palette_.color[static_cast<std::size_t>(i)].fill(static_cast<std::uint8_t>(
            (photometric_ == PHOTOMETRIC_MINISWHITE ? most - i : i) * 255 / most));
    }
    if (bits_ < 8) index_.resize(columns());
  }

  /// Row y of the file.
  void decode_stored(std::size_t y, std::uint8_t* rgb) {
    if (!whole_.empty()) {
      convert(whole_.data() + y * row_bytes_, rgb);
      return;
    }
    if (!ended_)
      ended_ = !complete(
          TIFFReadScanline(file_.get(), stored_.data(), static_cast<std::uint32_t>(y)) >= 0);
    if (ended_)
      std::fill_n(rgb, 3 * columns(), std::uint8_t{0});
    else
      convert(stored_.data(), rgb);
  }

  void convert(const std::uint8_t* from, std::uint8_t* rgb) {
    if (layout_ == Layout::rgba) {
      for (std::size_t i = 0; i < columns(); ++i) std::copy_n(from + 4 * i, 3, rgb + 3 * i);
    } else if (bits_ < 8) {
      unpack_bits(from, columns(), bits_, index_.data());
      palette_.to_rgb(index_.data(), columns(), rgb);
    } else {
      const std::size_t pixel_bytes = std::size_t{samples_} * bits_ / 8;
      for (std::size_t i = 0; i < columns(); ++i, from += pixel_bytes, rgb += 3)
        convert_pixel(from, rgb);
    }
  }

  std::uint8_t sample(const std::uint8_t* pixel, std::size_t s) const {
    return bits_ == 8 ? pixel[s] : static_cast<std::uint8_t>(wide_sample(pixel, s) >> 8);
  }
  static unsigned wide_sample(const std::uint8_t* pixel, std::size_t s) {
    std::uint16_t value;  // in the machine's order
    std::memcpy(&value, pixel + 2 * s, 2);
    return value;
  }

  void convert_pixel(const std::uint8_t* pixel, std::uint8_t* rgb) const {
    const std::size_t colors = layout_ == Layout::rgb ? 3 : layout_ == Layout::cmyk ? 4 : 1;
    std::array<std::uint8_t, 4> value{};
    if (layout_ == Layout::gray && bits_ == 16) {
      std::fill_n(value.data(), 3, gray16_level(wide_sample(pixel, 0), options_.scale_gray16));
    } else if (colors == 1) {
      std::copy_n(palette_.color[pixel[0]].data(), 3, value.data());
    } else if (layout_ == Layout::cmyk) {
      for (std::size_t s = 0; s < 4; ++s)
        value[s] = static_cast<std::uint8_t>(255 - sample(pixel, s));
      inverted_cmyk_to_rgb(value.data(), 1, rgb);
      return;
    } else {
      for (std::size_t s = 0; s < 3; ++s) value[s] = sample(pixel, s);
    }
    value[3] = samples_ > colors && alpha_ != EXTRASAMPLE_UNSPECIFIED ? sample(pixel, colors) : 255;
    if (layout_ == Layout::rgb && alpha_ == EXTRASAMPLE_ASSOCALPHA && samples_ > colors)
      for (std::size_t s = 0; s < 3; ++s)  // the colours were multiplied by it
        value[s] = value[3] == 0
                       ? std::uint8_t{0}
                       : static_cast<std::uint8_t>(std::min(value[s] * 255 / value[3], 255));
    if (options_.over_white)
      over_white(value.data(), rgb);
    else
      std::copy_n(value.data(), 3, rgb);
  }

  /// Whether a step came to its end; Error if not and that is not to be passed over.
  bool complete(bool done) const {
    if (!done && options_.damaged != Damaged::keep)
      refuse("damaged or cut-off TIFF: ", file_.message());
    return done;
  }

  /// All samples of tiles or separate planes, pixel by pixel.
  void read_planes() {
    if (bits_ < 8 && samples_ > 1) refuse("a TIFF with planes of ", bits_, " bits");
    const auto rows = static_cast<std::size_t>(height());
    check_held_size(std::uint64_t{row_bytes_} * rows, bytes_.size(), "a TIFF in tiles or planes",
                    name_, options_);
    whole_.assign(row_bytes_ * rows, 0);
    const std::size_t planes = separate_ ? samples_ : 1;
    if (TIFFIsTiled(file_.get()))
      read_tiles(planes);
    else
      for (std::size_t s = 0; s < planes; ++s) read_plane(s);
  }

  /// Puts `count` pixels of a plane at column x of row y.
  void place(const std::uint8_t* from, std::size_t count, std::size_t x, std::size_t y,
             std::size_t plane) {
    std::uint8_t* const line = whole_.data() + y * row_bytes_;
    const std::size_t sample_bytes = bits_ / 8;
    if (!separate_) {
      const std::size_t pixel_bits = std::size_t{bits_} * samples_;  // x is a multiple of 16
      std::copy_n(from, (count * pixel_bits + 7) / 8, line + x * pixel_bits / 8);
    } else {
      std::uint8_t* to = line + (x * samples_ + plane) * sample_bytes;
      for (std::size_t i = 0; i < count; ++i, from += sample_bytes, to += samples_ * sample_bytes)
        std::copy_n(from, sample_bytes, to);
    }
  }

  void read_plane(std::size_t plane) {
    const std::size_t size = TIFFScanlineSize64(file_.get());
    if (size != columns() * bits_ / 8)
      refuse("a TIFF with rows of ", size, " bytes, expected ", columns() * bits_ / 8);
    std::vector<std::uint8_t> line(size);
    for (std::size_t y = 0; y < static_cast<std::size_t>(height()); ++y) {
      if (!complete(TIFFReadScanline(file_.get(), line.data(), static_cast<std::uint32_t>(y),
                                     static_cast<std::uint16_t>(plane)) >= 0))
        return;
      place(line.data(), columns(), 0, y, plane);
    }
  }

  void read_tiles(std::size_t planes) {
    const std::size_t tile_width = file_.field<std::uint32_t>(TIFFTAG_TILEWIDTH, 0),
                      tile_height = file_.field<std::uint32_t>(TIFFTAG_TILELENGTH, 0);
    const std::uint64_t size = TIFFTileSize64(file_.get());
    const std::uint64_t line = TIFFTileRowSize64(file_.get());
    const std::uint64_t line_bits = std::uint64_t{tile_width} * bits_ * (separate_ ? 1 : samples_);
    check_held_size(size, bytes_.size(), "a tile of a TIFF", name_, options_);
    if (tile_width == 0 || tile_height == 0 || tile_width % 16 != 0 ||
        line != (line_bits + 7) / 8 || size < line * tile_height)
      refuse("a TIFF with tiles of ", tile_width, " x ", tile_height, " pixels and ", size,
             " bytes");
    std::vector<std::uint8_t> tile(static_cast<std::size_t>(size));
    const auto rows = static_cast<std::size_t>(height());
    for (std::size_t p = 0; p < planes; ++p)
      for (std::size_t top = 0; top < rows; top += tile_height)
        for (std::size_t left = 0; left < columns(); left += tile_width) {
          if (!complete(TIFFReadTile(file_.get(), tile.data(), static_cast<std::uint32_t>(left),
                                     static_cast<std::uint32_t>(top), 0,
                                     static_cast<std::uint16_t>(p)) >= 0))
            continue;
          const std::size_t count = std::min(tile_width, columns() - left);
          for (std::size_t y = 0; y < std::min(tile_height, rows - top); ++y)
            place(tile.data() + y * static_cast<std::size_t>(line), count, left, top + y, p);
        }
  }

  /// What libtiff itself turns into RGBA, such as YCbCr.
  void read_rgba() {
    std::array<char, 1024> reason{};
    if (!TIFFRGBAImageOK(file_.get(), reason.data()))
      refuse("a TIFF of a kind that is not read: ", reason.data());
    row_bytes_ = 4 * columns();
    whole_.resize(held_bytes(8, "a TIFF that is converted as a whole") / 2);
    std::vector<std::uint32_t> raster(whole_.size() / 4);
    TIFFSetField(file_.get(), TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
    (void)complete(TIFFReadRGBAImageOriented(file_.get(), static_cast<std::uint32_t>(width()),
                                             static_cast<std::uint32_t>(height()), raster.data(),
                                             ORIENTATION_TOPLEFT,
                                             options_.damaged != Damaged::keep) != 0);
    for (std::size_t i = 0; i < raster.size(); ++i)
      whole_[4 * i] = static_cast<std::uint8_t>(TIFFGetR(raster[i])),
                 whole_[4 * i + 1] = static_cast<std::uint8_t>(TIFFGetG(raster[i])),
                 whole_[4 * i + 2] = static_cast<std::uint8_t>(TIFFGetB(raster[i]));
  }

  /// Mirrors and turns the picture as the orientation says.
  void turn(int orientation) {
    const std::size_t before = whole_.empty() ? 0 : row_bytes_ / columns() + 1;
    (void)held_bytes(before + 6, "a TIFF that is stored turned");
    Image stored(width(), height());
    for (std::size_t y = 0; y < static_cast<std::size_t>(height()); ++y)
      decode_stored(y, stored.pixel(0, static_cast<int>(y)));
    const bool swaps = orientation >= 5;
    turned_ = swaps ? Image(height(), width()) : Image(width(), height());
    for (int y = 0; y < turned_.height; ++y)
      for (int x = 0; x < turned_.width; ++x) {
        int from_x = swaps ? y : x, from_y = swaps ? x : y;
        if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
          from_x = stored.width - 1 - from_x;
        if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
          from_y = stored.height - 1 - from_y;
        std::copy_n(stored.pixel(from_x, from_y), 3, turned_.pixel(x, y));
      }
    set_size(static_cast<std::uint64_t>(turned_.width), static_cast<std::uint64_t>(turned_.height));
  }

  TiffFile file_;
  Layout layout_ = Layout::rgba;
  std::uint16_t photometric_ = 0, bits_ = 0, samples_ = 0;
  std::uint16_t alpha_ = EXTRASAMPLE_UNASSALPHA;  // what the first further sample is
  bool separate_ = false, ended_ = false;
  std::size_t row_bytes_ = 0;
  Palette palette_;
  std::vector<std::uint8_t> index_, stored_, whole_;
  Image turned_;
};

ALBEF_DATA_INLINE PicturePtr open_tiff(std::span<const std::uint8_t> bytes, std::string_view name,
                                       const DecodeOptions& options) {
  return std::make_unique<TiffReader>(bytes, name, options);
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
