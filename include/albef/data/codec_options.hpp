// What the picture decoders accept and how they turn other pixel formats into RGB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"

namespace albef {

struct DecodeOptions {
  /// Larger pictures are refused before memory is taken; the default is Pillow's limit.
  std::uint64_t max_pixels = 178'956'970;
  /// Accept files that are cut off or damaged after their header: what can be decoded is kept, the
  /// rest is black (PNG; the first palette entry) or grey (JPEG), as Pillow does with
  /// LOAD_TRUNCATED_IMAGES. A file without readable header is always an error. By default a file
  /// must be whole up to its end mark, and a PNG's checksums must hold.
  bool allow_truncated = false;
  /// Put transparent pictures on white. Default, as Pillow: forget the transparency, which shows
  /// whatever colour the file holds under transparent pixels.
  bool over_white = false;
  /// Keep the upper byte of 16-bit grey levels. Default, as Pillow: cut them off at 255.
  bool scale_gray16 = false;
};

namespace detail {

/// Whether files with this extension (in small letters, without the dot) are pictures.
inline bool is_picture_extension(std::string_view extension) {
  return extension == "png" || extension == "jpg" || extension == "jpeg";
}

/// Refuses a size of zero or beyond the limit.
void check_picture_size(std::uint64_t width, std::uint64_t height, std::string_view name,
                        const DecodeOptions& options);

}  // namespace detail
}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef::detail {

ALBEF_DATA_INLINE void check_picture_size(std::uint64_t width, std::uint64_t height,
                                          std::string_view name, const DecodeOptions& options) {
  require(width > 0 && height > 0, "cannot decode '", name, "': its size is ", width, " x ", height,
          ", expected at least one pixel");
  require(width <= options.max_pixels / height, "cannot decode '", name, "': ", width, " x ",
          height, " pixels are more than the limit of ", options.max_pixels,
          " (option max_pixels)");
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
