// Reading pictures as 8-bit RGB, with the pixels Pillow's convert('RGB') gives, and writing PNG.
// The formats (PNG, JPEG, WebP, GIF, BMP, TIFF, PNM) are recognised by their first bytes, not by
// the file name; of animations the first picture is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/image.hpp"
#include "albef/data/picture_reader.hpp"
#include "albef/data/png.hpp"

namespace albef {

/// Opens a picture file held in memory, which must live as long: the header is read, the pixels are
/// decoded row by row. `name` stands for it in error messages. Throws Error for anything but a
/// picture within the limits, saying what the file is where that can be told; see DecodeOptions.
/// Orientation marks (but TIFF's, which Pillow heeds) and colour profiles are ignored, as by
/// Pillow.
PicturePtr open_picture(std::span<const std::uint8_t> bytes, std::string_view name,
                        const DecodeOptions& options = default_decoding());

/// All of a picture at once. Throws Error as open_picture does, and for damage in the pixels.
Image decode_image(std::span<const std::uint8_t> bytes, std::string_view name,
                   const DecodeOptions& options = default_decoding());

/// Reads a file and calls f(PictureReader&). Throws Error naming the path if it cannot be read.
template <class F>
auto with_picture_file(const std::string& path, const DecodeOptions& options, F&& f) {
  const std::string bytes = read_file(path, detail::Openable::regular_files);
  return detail::within_memory(path, [&] {
    return f(*open_picture({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                           path, options));
  });
}

/// Reads and decodes a file. Throws Error naming the path if it cannot be read or decoded.
Image load_image(const std::string& path, const DecodeOptions& options = default_decoding());

/// Writes an 8-bit RGB PNG file; it appears complete or not at all (see AtomicFile).
void save_png(const std::string& path, const Image& image);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <array>

#include "albef/data/bmp.hpp"
#include "albef/data/gif.hpp"
#include "albef/data/jpeg.hpp"
#include "albef/data/picture_format.hpp"
#include "albef/data/pnm.hpp"
#include "albef/data/tiff.hpp"
#include "albef/data/webp.hpp"

namespace albef {

ALBEF_DATA_INLINE PicturePtr open_picture(std::span<const std::uint8_t> bytes,
                                          std::string_view name, const DecodeOptions& options) {
  require(!bytes.empty(), "cannot decode '", name, "': it is empty");
  struct Format {
    bool (*recognises)(std::span<const std::uint8_t>);
    PicturePtr (*open)(std::span<const std::uint8_t>, std::string_view, const DecodeOptions&);
  };
  static constexpr std::array formats{
      Format{detail::is_jpeg, detail::open_jpeg}, Format{detail::is_png, detail::open_png},
      Format{detail::is_webp, detail::open_webp}, Format{detail::is_gif, detail::open_gif},
      Format{detail::is_bmp, detail::open_bmp},   Format{detail::is_tiff, detail::open_tiff},
      Format{detail::is_pnm, detail::open_pnm}};
  for (const Format& format : formats)
    if (format.recognises(bytes))
      return detail::within_memory(name, [&] { return format.open(bytes, name, options); });
  constexpr const char* expected = "expected a PNG, JPEG, WebP, GIF, BMP, TIFF or PNM picture";
  const std::string found = detail::what_file_is(bytes);
  if (found.empty())
    fail("cannot decode '", name, "': its first bytes are those of no known format, ", expected);
  fail("cannot decode '", name, "': it is ", found, ", ", expected);
}

ALBEF_DATA_INLINE Image decode_image(std::span<const std::uint8_t> bytes, std::string_view name,
                                     const DecodeOptions& options) {
  const PicturePtr picture = open_picture(bytes, name, options);
  return detail::within_memory(name, [&] { return picture->read_all(); });
}

ALBEF_DATA_INLINE Image load_image(const std::string& path, const DecodeOptions& options) {
  return with_picture_file(path, options,
                           [](PictureReader& picture) { return picture.read_all(); });
}

ALBEF_DATA_INLINE void save_png(const std::string& path, const Image& image) {
  const auto bytes = encode_png(image);
  write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
