// Reading PNG and JPEG pictures as 8-bit RGB, with the pixels Pillow's convert('RGB') gives, and
// writing PNG. The two formats are recognised by their first bytes, not by the file name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/image.hpp"
#include "albef/data/jpeg.hpp"
#include "albef/data/png.hpp"

namespace albef {

/// Decodes a PNG or JPEG file held in memory. `name` stands for it in error messages. Throws Error
/// for anything but a complete, undamaged picture within the limits; see DecodeOptions. Orientation
/// marks and colour profiles are ignored, as Pillow does.
Image decode_image(std::span<const std::uint8_t> bytes, std::string_view name,
                   const DecodeOptions& options = {});

/// Reads and decodes a file. Throws Error naming the path if it cannot be read or decoded.
Image load_image(const std::string& path, const DecodeOptions& options = {});

/// Writes an 8-bit RGB PNG file; it appears complete or not at all (see AtomicFile).
void save_png(const std::string& path, const Image& image);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include "albef/core/file.hpp"

namespace albef {

ALBEF_DATA_INLINE Image decode_image(std::span<const std::uint8_t> bytes, std::string_view name,
                                     const DecodeOptions& options) {
  require(!bytes.empty(), "cannot decode '", name, "': it is empty");
  if (detail::is_png(bytes)) return detail::decode_png(bytes, name, options);
  if (detail::is_jpeg(bytes)) return detail::decode_jpeg(bytes, name, options);
  fail("cannot decode '", name, "': its first bytes are those of neither PNG nor JPEG");
}

ALBEF_DATA_INLINE Image load_image(const std::string& path, const DecodeOptions& options) {
  const std::string bytes = read_file(path);
  return decode_image({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, path,
                      options);
}

ALBEF_DATA_INLINE void save_png(const std::string& path, const Image& image) {
  const auto bytes = encode_png(image);
  write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
