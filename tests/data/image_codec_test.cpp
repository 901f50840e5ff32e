// Decoding in every format and pixel format against stored results of Pillow; damaged files,
// limits.
#include "albef/data/codec.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/data/picture_format.hpp"

namespace image_codec_test {

namespace fs = std::filesystem;
using namespace albef;
using namespace std::string_literals;

namespace {

const std::string folder = ALBEF_TEST_DATA "/data/image_files/";

std::vector<std::uint8_t> bytes_of(const std::string& name) {
  const std::string text = read_file(folder + name);
  return {text.begin(), text.end()};
}

/// The message of the Error that decoding throws; empty if it succeeds.
std::string error_of(const std::vector<std::uint8_t>& bytes, const DecodeOptions& options = {}) {
  try {
    (void)decode_image(bytes, "some/file", options);
  } catch (const Error& e) { return e.what(); }
  return "";
}

const DecodeOptions strict{.damaged = Damaged::refuse};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::uint8_t> first(const std::vector<std::uint8_t>& bytes, std::size_t count) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count)};
}

/// A PNG file's header chunk says this size (its checksum is adapted by a table-free CRC-32).
void set_png_size(std::vector<std::uint8_t>& png, std::uint32_t width, std::uint32_t height) {
  const auto put = [&](std::size_t at, std::uint32_t v) {
    for (std::size_t i = 0; i < 4; ++i) png[at + i] = static_cast<std::uint8_t>(v >> (24 - 8 * i));
  };
  put(16, width), put(20, height);
  std::uint32_t crc = 0xFFFFFFFFu;
  for (std::size_t i = 12; i < 29; ++i) {
    crc ^= png[i];
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0u);
  }
  put(29, ~crc);
}

}  // namespace

TEST_CASE("decoding gives Pillow's pixels") {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (!fs::exists(path + ".expected.png")) continue;
    INFO(path);
    const Image image = load_image(path), expected = load_image(path + ".expected.png");
    CHECK(image.width == 19);
    CHECK(image.height == 13);
    CHECK(image.rgb == expected.rgb);
    ++files;
  }
  CHECK(files == 73);
}

TEST_CASE("transparent pictures are put on white if asked for") {
  DecodeOptions white;
  white.over_white = true;
  for (const std::string name : {"rgba.png", "palette_transparent.png"}) {
    INFO(name);
    const Image image = load_image(folder + name, white);
    CHECK(image.rgb == load_image(folder + name + ".white.png").rgb);
    CHECK(image.rgb != load_image(folder + name).rgb);
  }
  CHECK(load_image(folder + "color.jpg", white) == load_image(folder + "color.jpg"));
  CHECK(load_image(folder + "rgb.png", white) == load_image(folder + "rgb.png"));
}

TEST_CASE("16-bit grey keeps its upper byte if asked for") {
  DecodeOptions scaled;
  scaled.scale_gray16 = true;
  const Image image = load_image(folder + "gray16.png", scaled);
  CHECK(*std::max_element(image.rgb.begin(), image.rgb.end()) == 2);  // levels up to 599
}

TEST_CASE("PNG files are written and read back") {
  Image image(37, 5);
  RandomStream random(1, 2);
  for (auto& v : image.rgb) v = static_cast<std::uint8_t>(random.bits());
  CHECK(decode_image(encode_png(image), "memory") == image);

  const std::string path =
      (fs::temp_directory_path() / ("albef_codec_" + std::to_string(::getpid()) + ".png")).string();
  save_png(path, image);
  CHECK(load_image(path) == image);
  fs::remove(path);
  CHECK_THROWS_WITH_AS(save_png("/nonexistent/folder/a.png", image),
                       doctest::Contains("/nonexistent/folder/a.png"), Error);
  CHECK_THROWS_WITH_AS((void)encode_png(Image{}), doctest::Contains("0 x 0"), Error);
}

TEST_CASE("files that are no picture") {
  CHECK_THROWS_WITH_AS((void)load_image(folder + "none.png"), doctest::Contains("none.png"), Error);
  CHECK_THROWS_WITH_AS((void)load_image(folder), doctest::Contains("directory"), Error);
  CHECK(error_of({}) == "cannot decode 'some/file': it is empty");
  CHECK(has(error_of({'a', 1, 2, 3}), "no known format, expected a PNG, JPEG, WebP"));
  CHECK(has(error_of(first(bytes_of("rgb.png"), 8)), "the file ends early"));
  CHECK(has(error_of(first(bytes_of("color.jpg"), 30)), "'some/file': damaged JPEG"));
}

TEST_CASE("what a file is that is no picture") {
  const std::string zeros(300, '\0');
  const std::vector<std::pair<std::string, std::string>> files{
      {"\0\0\0\x18"
       "ftypheic\0\0\0\0mif1heic"s,
       "it is a HEIC file, expected a PNG"},
      {"\0\0\0\x1c"
       "ftypavif\0\0\0\0"s,
       "an AVIF file"},
      {"\xFF\x0A\xFA\x1F"s, "a JPEG XL file"},
      {"8BPS\0\1"s, "a PSD file"},
      {"\0\0\1\0\1\0\x10\x10"s, "an ICO file"},
      {"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"s, "an SVG file"},
      {"\n<!DOCTYPE html><title>403</title>"s, "an HTML page"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"s, "a Git LFS pointer"},
      {"PK\3\4\x14"s, "a ZIP file"},
      {"{\"error\": 404}"s, "a JSON file"},
      {"Not found"s, "a text file"},
      {zeros, "nothing but zero bytes"}};
  for (const auto& [content, what] : files) {
    INFO(what);
    CHECK(has(error_of({content.begin(), content.end()}), what));
  }
  CHECK(detail::is_picture_extension("webp"));
  CHECK(detail::is_picture_extension("jfif"));
  CHECK_FALSE(detail::is_picture_extension("txt"));
}

TEST_CASE("damage beyond what Pillow reads is an error in every format") {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("refused_")) continue;
    INFO(name);
    CHECK(has(error_of(bytes_of(name)), "'some/file': "));
    ++files;
  }
  CHECK(files == 11);
}

TEST_CASE("damage that Pillow passes over is an error if asked for") {
  for (const std::string name :
       {"half_and_end.jpg", "end_in_the_middle.jpg", "lost_part.jpg", "no_end.png",
        "no_checksum.png", "no_adler.png", "few_rows.png", "checksum.png", "no_end.gif"}) {
    INFO(name);
    CHECK(error_of(bytes_of("damaged_" + name)).empty());
    CHECK(has(error_of(bytes_of("damaged_" + name), strict), "damaged or cut-off"));
  }
}

TEST_CASE("pictures from pipes and devices are refused at once") {
  const std::string pipe =
      (fs::temp_directory_path() / ("albef_pipe_" + std::to_string(::getpid()))).string();
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS((void)load_image(pipe), doctest::Contains("pipe or device"), Error);
  fs::remove(pipe);
  CHECK_THROWS_WITH_AS((void)load_image("/dev/zero"), doctest::Contains("pipe or device"), Error);
}

TEST_CASE("a file name of the wrong kind does not matter") {
  CHECK(decode_image(bytes_of("color.jpg"), "picture.png") == load_image(folder + "color.jpg"));
}

TEST_CASE("sizes") {
  auto png = bytes_of("rgb.png");
  set_png_size(png, 0, 13);
  CHECK(error_of(png) != "");
  set_png_size(png, 20000, 10000);
  CHECK(has(error_of(png), "20000 x 10000 pixels are more than the limit of 178956970"));
  set_png_size(png, 0x7fffffff, 0x7fffffff);
  CHECK(has(error_of(png), "limit"));

  DecodeOptions small;
  small.max_pixels = 19 * 13;
  CHECK(error_of(bytes_of("rgb.png"), small) == "");
  CHECK(error_of(bytes_of("color.jpg"), small) == "");
  CHECK(has(error_of(bytes_of("rgb.png"), {.max_side = 18}), "limit of 18 for a side"));
  --small.max_pixels;
  CHECK(has(error_of(bytes_of("rgb.png"), small), "19 x 13 pixels are more than the limit of 246"));
  CHECK(has(error_of(bytes_of("color.jpg"), small), "max_pixels"));
}

TEST_CASE("what has to be held whole is refused where the file is too small for it") {
  auto png = bytes_of("rgb16_interlaced.png");
  set_png_size(png, 13377, 13377);
  CHECK(has(error_of(png), "an interlaced PNG of 1588 bytes that takes 536832387 bytes to decode"));

  // A progressive JPEG whose frame header says the same.
  auto jpeg = bytes_of("progressive.jpg");
  std::size_t at = 2;
  while (jpeg[at + 1] != 0xC2) at += 2u + 256u * jpeg[at + 2] + jpeg[at + 3];
  jpeg[at + 5] = jpeg[at + 7] = 13377 >> 8, jpeg[at + 6] = jpeg[at + 8] = 13377 & 255;
  CHECK(has(error_of(jpeg), "a JPEG in several scans"));
}

TEST_CASE("a JPEG has a limited number of scans") {
  const auto jpeg = bytes_of("progressive.jpg");
  const std::array<std::uint8_t, 2> scan{0xFF, 0xDA}, table{0xFF, 0xC4};
  const auto begin = std::search(jpeg.begin(), jpeg.end(), scan.begin(), scan.end());
  const auto end = std::search(begin, jpeg.end(), table.begin(), table.end());
  REQUIRE(end != jpeg.end());
  for (const int repeats : {2, 600}) {
    std::vector<std::uint8_t> many(jpeg.begin(), begin);
    for (int i = 0; i < repeats; ++i) many.insert(many.end(), begin, end);
    many.insert(many.end(), end, jpeg.end());
    CHECK(has(error_of(many), "more than 500 scans") == (repeats > 500));
  }
}

TEST_CASE("a program may change what holds where no options are given") {
  const DecodeOptions before = default_decoding();
  default_decoding().max_pixels = 100;
  CHECK_THROWS_WITH_AS((void)load_image(folder + "rgb.png"), doctest::Contains("limit of 100"),
                       Error);
  default_decoding() = before;
  CHECK(load_image(folder + "rgb.png").width == 19);
}

TEST_CASE("missing memory is an error of the picture") {
  const std::string text = "cannot decode 'a.png': it needs more memory than there is";
  CHECK_THROWS_WITH_AS(detail::within_memory("a.png", [] { throw std::bad_alloc(); }), text.c_str(),
                       Error);
  CHECK_THROWS_WITH_AS(detail::within_memory("a.png", [] { throw std::length_error("vector"); }),
                       text.c_str(), Error);
}

TEST_CASE("cut-off files are errors if asked for, and filled up if asked for") {
  DecodeOptions lenient;
  lenient.damaged = Damaged::keep;
  for (const std::string name : {"rgb.png", "rgba.png", "gray16.png", "color.jpg", "gray.jpg",
                                 "cmyk.jpg", "progressive.jpg", "palette2_interlaced.png"}) {
    INFO(name);
    const auto bytes = bytes_of(name);
    for (const std::size_t cut : {1u, 12u, 20u}) {
      const auto part = first(bytes, bytes.size() - cut);
      CHECK(has(error_of(part, strict), "'some/file': damaged or cut-off"));
      CHECK(error_of(part, lenient) == "");
      CHECK(error_of(part, {.damaged = Damaged::keep}) == "");
    }
    // Whatever the place, it is a clear error, never a crash.
    for (std::size_t size = 0; size < bytes.size(); size += 7)
      CHECK(error_of(first(bytes, size), strict) != "");
    CHECK(decode_image(bytes, name, lenient) == decode_image(bytes, name));
  }
  const auto png = bytes_of("rgb.png");
  const Image whole = decode_image(png, "png"),
              part = decode_image(first(png, png.size() / 2), "png", lenient);
  CHECK(std::equal(whole.pixel(0, 0), whole.pixel(0, 4), part.pixel(0, 0)));
  CHECK(std::all_of(part.pixel(0, 10), part.pixel(0, 12), [](auto v) { return v == 0; }));
}

TEST_CASE("damaged bytes never crash, and change nothing silently in a PNG") {
  DecodeOptions lenient;
  lenient.damaged = Damaged::keep;
  lenient.over_white = true;
  lenient.max_pixels = 100'000;  // a damaged size must not make the test slow
  RandomStream random(3, 4);
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (has(name, "expected") || has(name, "white")) continue;
    INFO(name);
    const auto bytes = bytes_of(name);
    for (int trial = 0; trial < 60; ++trial) {
      auto damaged = bytes;
      for (int n = random.below(6); n >= 0; --n)
        damaged[static_cast<std::size_t>(random.below(static_cast<int>(bytes.size())))] =
            static_cast<std::uint8_t>(random.bits());
      (void)error_of(damaged, lenient);
      const std::string error = error_of(damaged, {.max_pixels = 100'000});
      CHECK((error.empty() || has(error, "'some/file'")));
    }
  }
  // Every bit of the compressed pixels is covered by a checksum; Pillow does not look at it.
  auto png = bytes_of("rgb.png");
  for (std::size_t at = png.size() - 60; at < png.size() - 20; ++at) {
    png[at] ^= 4;
    CHECK(has(error_of(png, strict), "damaged"));
    png[at] ^= 4;
  }
}

}  // namespace image_codec_test
