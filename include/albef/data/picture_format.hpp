// What a file is, by its first bytes and whatever its name says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "albef/core/compiled.hpp"

namespace albef::detail {

/// Whether files with this extension (in small letters, without the dot) are pictures.
bool is_picture_extension(std::string_view extension);

/// What a file that is no picture of a format read here seems to be, e.g. "a HEIC file"; empty if
/// that cannot be told.
std::string what_file_is(std::span<const std::uint8_t> bytes);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <array>
#include <cctype>

namespace albef::detail {

ALBEF_DATA_INLINE bool is_picture_extension(std::string_view extension) {
  static constexpr std::array<std::string_view, 19> known{
      "png", "apng", "jpg",  "jpeg", "jpe", "jfif", "jfi", "webp", "gif",  "bmp",
      "dib", "tif",  "tiff", "pnm",  "ppm", "pgm",  "pbm", "mpo",  "pjpeg"};
  return std::find(known.begin(), known.end(), extension) != known.end();
}

ALBEF_DATA_INLINE std::string what_file_is(std::span<const std::uint8_t> bytes) {
  using namespace std::string_view_literals;
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()),
                               std::min<std::size_t>(bytes.size(), 1024));
  struct Mark {
    std::size_t at;
    std::string_view bytes, file;
  };
  static constexpr std::array marks{
      Mark{4, "ftypavif"sv, "an AVIF file"},
      Mark{4, "ftypavis"sv, "an AVIF file"},
      Mark{4, "ftyphe"sv, "a HEIC file"},
      Mark{4, "ftypmif1"sv, "a HEIC file"},
      Mark{4, "ftypmsf1"sv, "a HEIC file"},
      Mark{4, "ftypcrx"sv, "a raw photograph (CR3)"},
      Mark{4, "ftyp"sv, "an MP4 video"},
      Mark{0, "\xFF\x0A"sv, "a JPEG XL file"},
      Mark{0, "\0\0\0\x0CJXL \r\n\x87\n"sv, "a JPEG XL file"},
      Mark{0, "\0\0\0\x0CjP  \r\n\x87\n"sv, "a JPEG 2000 file"},
      Mark{0, "\xFF\x4F\xFF\x51"sv, "a JPEG 2000 file"},
      Mark{0, "8BPS"sv, "a PSD file"},
      Mark{0, "\0\0\1\0"sv, "an ICO file"},
      Mark{0, "\0\0\2\0"sv, "a CUR file"},
      Mark{0, "icns"sv, "an ICNS file"},
      Mark{0, "qoif"sv, "a QOI file"},
      Mark{0, "DDS "sv, "a DDS file"},
      Mark{0, "farbfeld"sv, "a farbfeld file"},
      Mark{0, "\x76\x2F\x31\x01"sv, "an OpenEXR file"},
      Mark{0, "#?RADIANCE"sv, "a Radiance HDR file"},
      Mark{0, "II\xBC\1"sv, "a JPEG XR file"},
      Mark{0, "FUJIFILMCCD-RAW"sv, "a raw photograph (RAF)"},
      Mark{0, "gimp xcf"sv, "an XCF file"},
      Mark{0, "%PDF"sv, "a PDF file"},
      Mark{0, "%!PS"sv, "a PostScript file"},
      Mark{0, "PK\3\4"sv, "a ZIP file"},
      Mark{0, "PK\5\6"sv, "a ZIP file"},
      Mark{0, "\x1F\x8B"sv, "a gzip file"},
      Mark{0, "BZh"sv, "a bzip2 file"},
      Mark{0,
           "\xFD"
           "7zXZ\0"sv,
           "an xz file"},
      Mark{0, "\x28\xB5\x2F\xFD"sv, "a zstd file"},
      Mark{0, "7z\xBC\xAF\x27\x1C"sv, "a 7z file"},
      Mark{0, "Rar!"sv, "a RAR file"},
      Mark{257, "ustar"sv, "a tar file"},
      Mark{0, "\x1A\x45\xDF\xA3"sv, "a Matroska or WebM video"},
      Mark{8, "AVI "sv, "an AVI video"},
      Mark{8, "WAVE"sv, "a WAV file"},
      Mark{0, "ID3"sv, "an MP3 file"},
      Mark{0, "OggS"sv, "an Ogg file"},
      Mark{0, "\x93NUMPY"sv, "a NumPy file"},
      Mark{0, "\x89HDF"sv, "an HDF5 file"},
      Mark{0,
           "\x7F"
           "ELF"sv,
           "a program"},
      Mark{0, "version https://git-lfs"sv,
           "a Git LFS pointer; the picture itself was not downloaded (git lfs pull)"},
  };
  for (const Mark& mark : marks)
    if (start.size() >= mark.at + mark.bytes.size() &&
        start.substr(mark.at, mark.bytes.size()) == mark.bytes)
      return std::string(mark.file);

  if (start.find_first_not_of('\0') == start.npos) return "nothing but zero bytes";
  std::string text(start);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  if (text.find("<svg") != text.npos && text.starts_with('<')) return "an SVG file";
  if (text.starts_with("<!doctype html") || text.starts_with("<html") ||
      text.starts_with("<head") || text.starts_with("<body"))
    return "an HTML page";
  if (text.starts_with("<?xml")) return "an XML file";
  if (text.starts_with('{') || text.starts_with('[')) return "a JSON file";
  const bool printable = std::all_of(start.begin(), start.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 32 && byte != 127) || byte == '\n' || byte == '\r' || byte == '\t';
  });
  return printable && !start.empty() ? "a text file" : "";
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
