// What the picture decoders accept, how much memory they take, and how they turn other pixel
// formats into RGB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"

namespace albef {

/// What becomes of pictures that are cut off or damaged after their header. A file without readable
/// header is always an error.
enum class Damaged {
  refuse,     ///< every damage is an error: files must be whole, a PNG's checksums must hold
  as_pillow,  ///< those that Pillow reads by default are read, with the same pixels
  keep        ///< what can be decoded is kept, as by Pillow with LOAD_TRUNCATED_IMAGES: the rest is
              ///< black (PNG; the first palette entry) or grey (JPEG)
};

struct DecodeOptions {
  /// Larger pictures are refused before memory is taken; Pillow's limit.
  std::uint64_t max_pixels = 178'956'970;
  /// The same for width and height.
  std::uint64_t max_side = 100'000;
  /// Most pictures are decoded row by row. Those that have to be held whole (progressive JPEG,
  /// interlaced PNG and GIF, WebP, TIFF in tiles) may take 48 MiB and this many bytes for each byte
  /// of their file, which no photograph comes near: a file of a few bytes cannot take gigabytes.
  std::uint64_t memory_per_byte = 1024;
  /// By default what Pillow reads is read. Cut-off files are errors then, damage that the format's
  /// library can pass over (missing JPEG data before an end mark, a wrong PNG checksum) is not.
  Damaged damaged = Damaged::as_pillow;
  /// Put transparent pictures on white. Default, as Pillow: forget the transparency, which shows
  /// whatever colour the file holds under transparent pixels.
  bool over_white = false;
  /// Keep the upper byte of 16-bit grey levels. Default, as Pillow: cut them off at 255.
  bool scale_gray16 = false;
};

/// Names and values of the options, e.g. to see whether two runs read pictures alike.
inline std::vector<std::pair<std::string, std::string>> described(const DecodeOptions& o) {
  const char* const damaged = o.damaged == Damaged::refuse ? "refuse"
                              : o.damaged == Damaged::keep ? "keep"
                                                           : "as-pillow";
  return {{"max_pixels", concat(o.max_pixels)},
          {"max_side", concat(o.max_side)},
          {"memory_per_byte", concat(o.memory_per_byte)},
          {"damaged_pictures", damaged},
          {"over_white", o.over_white ? "yes" : "no"},
          {"scale_gray16", o.scale_gray16 ? "yes" : "no"}};
}

/// The options where none are given: a program may change them before it reads pictures, as the
/// programs' --max-pixels and --damaged-pictures do; not while others read.
inline DecodeOptions& default_decoding() {
  static DecodeOptions options;
  return options;
}

namespace detail {

/// Refuses a size of zero or beyond the limits.
void check_picture_size(std::uint64_t width, std::uint64_t height, std::string_view name,
                        const DecodeOptions& options);

/// Refuses a picture that has to be held whole, in `needed` bytes, where its file is too small for
/// that; `kind` says what it is.
void check_held_size(std::uint64_t needed, std::size_t file_size, std::string_view kind,
                     std::string_view name, const DecodeOptions& options);
std::uint64_t held_limit(std::size_t file_size, const DecodeOptions& options);

/// f(), with an Error that names the picture where memory runs out.
template <class F>
decltype(auto) within_memory(std::string_view name, F&& f) {
  constexpr const char* text = "': it needs more memory than there is";
  try {
    return std::forward<F>(f)();
  } catch (const std::bad_alloc&) {
    fail("cannot decode '", name, text);
  } catch (const std::length_error&) { fail("cannot decode '", name, text); }
}

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
  require(width <= options.max_side && height <= options.max_side, "cannot decode '", name,
          "': ", width, " x ", height, " pixels are beyond the limit of ", options.max_side,
          " for a side (option max_side)");
}

ALBEF_DATA_INLINE std::uint64_t held_limit(std::size_t file_size, const DecodeOptions& options) {
  constexpr std::uint64_t always = 48 << 20, most = std::uint64_t{1} << 62;
  const std::uint64_t per_byte = options.memory_per_byte;
  return per_byte > 0 && file_size > most / per_byte ? most : always + per_byte * file_size;
}

ALBEF_DATA_INLINE void check_held_size(std::uint64_t needed, std::size_t file_size,
                                       std::string_view kind, std::string_view name,
                                       const DecodeOptions& options) {
  const std::uint64_t limit = held_limit(file_size, options);
  require(needed <= limit, "cannot decode '", name, "': ", kind, " of ", file_size,
          " bytes that takes ", needed, " bytes to decode, more than the ", limit,
          " for a file of this size (option memory_per_byte)");
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
