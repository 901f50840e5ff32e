// Colour jitter, grey, blur and solarisation against values of Pillow; multi-crop and its loader.
#include "albef/data/color_jitter.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "albef/data/multi_crop.hpp"
#include "albef/data/sources.hpp"
#include "data_files.hpp"
#include "jitter_values.hpp"

namespace jitter_test {

using albef::CropBatch;
using albef::CropKind;
using albef::Image;
using albef::ImageSpan;
using albef::LoaderOptions;
using albef::MultiCrop;
using albef::MultiCropLoader;
using albef::RandomStream;

namespace {

/// The picture of make_jitter_values.py.
Image picture() {
  Image image(7, 5);
  for (std::size_t n = 0; n < image.rgb.size(); ++n)
    image.rgb[n] = static_cast<std::uint8_t>(n * n * 31 + n * 57 + n % 3 * 90);
  return image;
}

void apply(std::string_view name, double argument, Image& image) {
  if (name == "contrast") albef::enhance_contrast(image, argument);
  if (name == "color") albef::enhance_color(image, argument);
  if (name == "hue") albef::shift_hue(image, argument);
  if (name == "gray") albef::to_gray(image);
  if (name == "solarize") albef::solarize(image, static_cast<int>(argument));
  if (name == "brightness") albef::adjust_brightness(image, argument);
  if (name == "blur") albef::GaussianBlur{}(image, argument);
}

LoaderOptions options(int workers = 2) {
  LoaderOptions o;
  o.batch_size = 4;
  o.workers = workers;
  o.on_bad_record = nullptr;
  return o;
}
MultiCrop small() {
  MultiCrop crops;
  crops.global_size = 12;
  crops.local = {{6, 3}, {4, 1}, {5, 0}};
  return crops;
}
/// Pictures without captions; the second cannot be read.
std::shared_ptr<albef::MemorySource> pictures(int size, bool bad = false) {
  auto source = std::make_shared<albef::MemorySource>();
  for (int i = 0; i < size; ++i) {
    auto bytes = data_test::png(static_cast<std::uint8_t>(10 * i));
    if (bad && i == 1) bytes.resize(20);
    source->add({.key = "p" + std::to_string(i), .image_id = i}, std::move(bytes));
  }
  return source;
}
auto content(const CropBatch& b) {
  std::vector<std::tuple<int, int, std::vector<std::uint8_t>>> groups;
  for (const auto& g : b.groups) groups.emplace_back(g.size, g.crops, g.images);
  return std::make_tuple(b.epoch, b.batch, b.size, b.indices, groups);
}

}  // namespace

TEST_CASE("operations of colour and blur equal those of Pillow") {
  for (const Expected& e : expected) {
    CAPTURE(e.name);
    CAPTURE(e.argument);
    Image image = picture();
    apply(e.name, e.argument, image);
    CHECK(image.rgb == e.rgb);
  }
}

TEST_CASE("operations of colour equal those of Pillow for every eleventh colour") {
  Image colours(1200, 1270);
  for (std::size_t i = 0; i < colours.rgb.size(); ++i)
    colours.rgb[i] = static_cast<std::uint8_t>(i / 3 * 11 >> 8 * (2 - i % 3));
  for (const Checksum& c : checksums) {
    CAPTURE(c.name);
    CAPTURE(c.argument);
    Image image = colours;
    apply(c.name, c.argument, image);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < image.rgb.size(); ++i) sum += image.rgb[i] * (i % 65521 + 1);
    CHECK(sum == c.sum);
  }
}

TEST_CASE("what changes nothing, and what is refused") {
  const Image before = picture();
  Image image = before;
  RandomStream random(1, 2);
  albef::ColorJitter{0, 0, 0, 0}(image, random);
  albef::enhance_contrast(image, 1);
  albef::enhance_color(image, 1);
  albef::GaussianBlur{}(image, 0);
  CHECK(image == before);
  Image none(0, 3);
  albef::enhance_contrast(none, 2);
  albef::GaussianBlur{}(none, 2);
  CHECK_THROWS_WITH_AS(albef::ColorJitter({.hue = 0.6f}).check(),
                       "[ColorJitter] got hue 0.6, expected 0 to 0.5", albef::Error);
  CHECK_THROWS_AS(albef::GaussianBlur{}(image, -1), albef::Error);
  MultiCrop crops;
  crops.blur_local = 1.5f;
  CHECK_THROWS_WITH_AS(crops.check(), "[MultiCrop] got blur_local 1.5, expected 0 to 1",
                       albef::Error);
  crops = {};
  crops.local = {{0, 2}};
  CHECK_THROWS_AS(crops.check(), albef::Error);
}

TEST_CASE("ColorJitter draws its order and factors from the stream") {
  const auto jittered = [](std::uint64_t stream) {
    Image image = picture();
    RandomStream random(3, stream);
    albef::ColorJitter{}(image, random);
    return image.rgb;
  };
  CHECK(jittered(1) == jittered(1));
  std::set<std::vector<std::uint8_t>> different;
  for (std::uint64_t s = 0; s < 50; ++s) different.insert(jittered(s));
  CHECK(different.size() == 50);
}

TEST_CASE("the kinds of crops have their own changes") {
  // A grey ramp: blur makes its black and white columns less so, solarisation turns them.
  Image ramp(64, 64);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x) std::fill_n(ramp.pixel(x, y), 3, x % 2 ? 250 : 200);
  MultiCrop crops;
  crops.flip = crops.jitter_probability = crops.gray = 0;
  crops.global_crop = crops.local_crop = {1, 1, 1, 1};
  albef::TransformBuffers buffers;
  const auto changed = [&](CropKind kind) {
    int blurred = 0, solarised = 0;
    for (std::uint64_t s = 0; s < 200; ++s) {
      RandomStream random(s, 0);
      Image out(64, 64);
      crops(ramp, kind, random, out, buffers);
      blurred += out.rgb[30 * 3] != 200 && out.rgb[30 * 3] != 55;
      solarised += out.rgb[30 * 3] < 128;
    }
    return std::pair(blurred, solarised);
  };
  const auto first = changed(CropKind::first_global), second = changed(CropKind::second_global),
             local = changed(CropKind::local);
  CHECK(first.first > 170);
  CHECK(first.second == 0);
  CHECK(second.first > 5);
  CHECK(second.first < 40);
  CHECK(second.second > 20);
  CHECK(second.second < 65);
  CHECK(local.first > 70);
  CHECK(local.first < 125);
  CHECK(local.second == 0);
}

TEST_CASE("the loader's batches: groups by size, crop by crop; resumed exactly, any workers") {
  const auto source = pictures(11);
  MultiCropLoader one(source, small(), options(0)), two(source, small(), options(2));
  std::vector<decltype(content(one.next()))> batches;
  for (int i = 0; i < 5; ++i) {
    batches.push_back(content(one.next()));
    CHECK(content(two.next()) == batches.back());
  }
  const CropBatch& b = one.next();
  CHECK(b.size == 4);
  CHECK(b.image_size == 12);
  REQUIRE(b.groups.size() == 3);
  CHECK(b.groups[0].crops == 2);
  CHECK(b.groups[0].images.size() == 2u * 4 * 12 * 12 * 3);
  CHECK(b.groups[1].images.size() == 3u * 4 * 6 * 6 * 3);
  CHECK(b.groups[2].images.size() == 1u * 4 * 4 * 4 * 3);
  two.seek({1, 1});
  CHECK(content(two.next()) == batches[3]);
  // Crop c of picture i is at row c * B + i: its level is the picture's unless colours changed.
  MultiCrop plain = small();
  plain.jitter_probability = plain.gray = plain.solarize_second = 0;
  MultiCropLoader levels(source, plain, options(1));
  const CropBatch& p = levels.next();
  for (const auto& g : p.groups)
    for (std::size_t c = 0; c < static_cast<std::size_t>(g.crops); ++c)
      for (std::size_t i = 0; i < 4; ++i)
        CHECK(g.images[(c * 4 + i) * g.bytes()] == 10 * p.indices[i]);
  const CropBatch half = albef::first_examples(p, 2);
  CHECK(half.groups[1].images.size() == 3u * 2 * 6 * 6 * 3);
  CHECK(half.groups[1].images[(2 * 2 + 1) * half.groups[1].bytes()] == 10 * p.indices[1]);
}

TEST_CASE("pictures that cannot be read are replaced, or left out of smaller batches") {
  LoaderOptions o = options(1);
  o.max_bad_share = 0.5;
  MultiCropLoader replaced(pictures(8, true), small(), o);
  for (int i = 0; i < 4; ++i) CHECK(replaced.next().size == 4);
  CHECK(replaced.bad_records() == 1);
  o.replace_bad = o.shuffle = false;
  MultiCropLoader left_out(pictures(8, true), small(), o);
  const CropBatch& b = left_out.next();
  CHECK(b.size == 3);
  CHECK(b.indices == std::vector<std::int64_t>{0, 2, 3});
  CHECK(b.groups[1].images.size() == 3u * 3 * 6 * 6 * 3);
}

}  // namespace jitter_test
