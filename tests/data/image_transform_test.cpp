// Pictures, bicubic resizing, normalisation, RandAugment and the training transform.
#include "albef/data/transform.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "albef/data/codec.hpp"
#include "albef/data/normalize.hpp"

namespace image_transform_test {

using namespace albef;

namespace {

Image random_image(int width, int height, std::uint64_t seed) {
  Image image(width, height);
  RandomStream random(seed, 0);
  for (auto& v : image.rgb) v = static_cast<std::uint8_t>(random.bits());
  return image;
}

Image transformed(const TrainTransform& transform, const Image& image, std::uint64_t seed) {
  Image out(transform.size, transform.size);
  TransformBuffers buffers;
  RandomStream random(seed, 7);
  transform(image, random, out.rgb, buffers);
  return out;
}

/// Red and blue exchanged.
Image swapped(Image image) {
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) std::swap(image.rgb[i], image.rgb[i + 2]);
  return image;
}

}  // namespace

TEST_CASE("crop and mirror") {
  const Image image = random_image(7, 5, 1);
  const Image part = crop(image, {2, 1, 4, 3});
  CHECK(part.width == 4);
  CHECK(part.height == 3);
  CHECK(std::equal(part.pixel(3, 2), part.pixel(3, 2) + 3, image.pixel(5, 3)));
  for (const Box& box : {Box{4, 0, 4, 1}, Box{0, 3, 1, 3}, Box{-1, 0, 2, 2}, Box{0, 0, 0, 1},
                         Box{2, 2, 0x7fffffff, 1}})
    CHECK_THROWS_WITH_AS((void)crop(image, box), doctest::Contains("7 x 5"), Error);

  Image mirrored = image;
  hflip(mirrored);
  for (int x = 0; x < 7; ++x)
    CHECK(std::equal(mirrored.pixel(x, 4), mirrored.pixel(x, 4) + 3, image.pixel(6 - x, 4)));
  hflip(mirrored);
  CHECK(mirrored == image);
}

TEST_CASE("resizing") {
  const Image image = random_image(23, 40, 2);
  CHECK(resize_bicubic(image, 23, 40) == image);
  // The pixels outside the box play no part.
  const Box box{3, 5, 17, 31};
  CHECK(resize_bicubic(image, box, 9, 70) == resize_bicubic(crop(image, box), 9, 70));
  // One colour stays one colour, at any size, and a reused resizer forgets the picture before.
  BicubicResizer resizer;
  for (const auto& [w, h] : {std::pair{1, 1}, {300, 2}, {5, 64}, {64, 5}, {31, 31}}) {
    const Image flat(w, h, 77);
    Image out(48, 33);
    resizer(flat, {0, 0, w, h}, out);
    CHECK(out == Image(48, 33, 77));
    resizer(image, {0, 0, 23, 40}, out);
    CHECK(out == resize_bicubic(image, 48, 33));
  }
  CHECK_THROWS_WITH_AS((void)resize_bicubic(image, 0, 5), doctest::Contains("0 x 5"), Error);
  CHECK_THROWS_AS((void)resize_bicubic(image, -1, 5), Error);
  CHECK_THROWS_AS((void)resize_bicubic(Image{}, 5, 5), Error);
}

TEST_CASE("a picture that is resized while it is decoded comes out the same") {
  BicubicResizer whole, rows;
  for (const auto& [w, h] : {std::pair{23, 40}, {5, 900}, {700, 3}, {1, 1}, {48, 33}, {200, 210}}) {
    const Image image = random_image(w, h, 4);
    const auto png = encode_png(image);
    for (const Box& box : {Box{0, 0, w, h}, Box{w / 3, h / 4, (w + 1) / 2, (h + 1) / 2}})
      for (const auto& [out_w, out_h] : {std::pair{48, 33}, {7, 5}, {w, 3}, {9, h}}) {
        INFO(w, " x ", h, " to ", out_w, " x ", out_h);
        Image expected(out_w, out_h), out(out_w, out_h);
        whole(image, box, expected);
        const PicturePtr picture = open_picture(png, "png");
        rows(*picture, box, out);
        CHECK(out == expected);
        CHECK(picture->position() == h);
        CHECK_THROWS_WITH_AS(rows(*picture, box, out), doctest::Contains("were read"), Error);
      }
  }
  // Damage below the box is found, too.
  auto png = encode_png(random_image(30, 30, 1));
  png.resize(png.size() - 200);
  Image out(4, 4);
  const PicturePtr cut = open_picture(png, "cut");
  CHECK_THROWS_WITH_AS(rows(*cut, {0, 0, 5, 5}, out), doctest::Contains("'cut'"), Error);
}

TEST_CASE("normalisation") {
  Image image(2, 1);
  image.rgb = {0, 128, 255, 51, 7, 9};
  std::vector<float> out(6);
  normalize(image, out.data());
  CHECK(out[0] == doctest::Approx((0 - 0.48145466) / 0.26862954));
  CHECK(out[1] == doctest::Approx((0.2 - 0.48145466) / 0.26862954));
  CHECK(out[2] == doctest::Approx((128 / 255.0 - 0.4578275) / 0.26130258));
  CHECK(out[4] == doctest::Approx((1 - 0.40821073) / 0.27577711));
  normalize(image, out.data(), imagenet_normalization);
  CHECK(out[4] == doctest::Approx((1 - 0.406) / 0.225));
}

TEST_CASE("augmentation names and strengths") {
  for (const auto name : augment_op_names) CHECK(augment_op_name(augment_op(name)) == name);
  CHECK_THROWS_WITH_AS((void)augment_op("Blur"), doctest::Contains("Posterize"), Error);
  const std::map<std::string, double> at_seven{
      {"Brightness", 1.36}, {"Sharpness", 1.36}, {"ShearX", 0.21}, {"TranslateY", 7},
      {"Rotate", 21},       {"Solarize", 179},   {"Posterize", 2}, {"Identity", 0}};
  for (const auto& [name, argument] : at_seven)
    CHECK(augment_argument(augment_op(name), 7) == doctest::Approx(argument));
}

TEST_CASE("operations that change nothing") {
  const Image image = random_image(12, 9, 3);
  std::vector<std::uint8_t> buffer;
  for (const AugmentStep step : {AugmentStep{AugmentOp::Brightness, 1},
                                 {AugmentOp::Sharpness, 1},
                                 {AugmentOp::Contrast, 1},
                                 {AugmentOp::Color, 1},
                                 {AugmentOp::Rotate, 0},
                                 {AugmentOp::ShearX, 0},
                                 {AugmentOp::TranslateY, 0},
                                 {AugmentOp::Solarize, 256},
                                 {AugmentOp::Posterize, 8},
                                 {AugmentOp::Identity, 0}}) {
    INFO(augment_op_name(step.op));
    Image copy = image;
    apply_augment(step, copy, buffer);
    CHECK(copy == image);
  }
  Image flat(9, 9, 40);
  for (const AugmentOp op : {AugmentOp::AutoContrast, AugmentOp::Equalize}) {
    apply_augment({op, 0}, flat, buffer);
    CHECK(flat == Image(9, 9, 40));
  }
}

TEST_CASE("where the official augmentation differs from what it intends") {
  std::vector<std::uint8_t> buffer;
  Image image(3, 1);
  image.rgb = {50, 0, 10, 100, 10, 20, 150, 20, 30};
  Image official = image;
  auto_contrast(image);
  CHECK(image.rgb == std::vector<std::uint8_t>{0, 0, 0, 127, 127, 127, 255, 255, 255});
  auto_contrast(official, AugmentCompat::official);
  CHECK(official.rgb == std::vector<std::uint8_t>{255, 0, 255, 255, 127, 255, 255, 255, 255});

  Image spot(3, 3, 200);
  *spot.pixel(1, 1) = 255;
  official = spot;
  sharpen(spot, 1.9, buffer);
  CHECK(*spot.pixel(1, 1) == 255);
  sharpen(official, 1.9, buffer, AugmentCompat::official);
  CHECK(*official.pixel(1, 1) == 285 - 256);  // 221 + 1.9 * (255 - 221)

  for (const AugmentOp op : {AugmentOp::Color, AugmentOp::Contrast}) {
    INFO(augment_op_name(op));
    const Image source = random_image(8, 8, 5);
    Image intended = source, exchanged = swapped(source);
    apply_augment({op, 0.4}, intended, buffer);
    apply_augment({op, 0.4}, exchanged, buffer, AugmentCompat::official);
    if (op == AugmentOp::Contrast) CHECK(swapped(exchanged) == intended);
    for (std::size_t i = 0; i < intended.rgb.size(); ++i)  // sums in another order
      CHECK(std::abs(intended.rgb[i] - swapped(exchanged).rgb[i]) <= 1);
  }
}

TEST_CASE("geometry moves pixels where it says") {
  Image image(8, 6);
  std::fill_n(image.pixel(5, 2), 3, std::uint8_t{200});
  std::vector<std::uint8_t> buffer;
  Image moved = image;
  apply_augment({AugmentOp::TranslateX, 3}, moved, buffer);  // to the left
  CHECK(*moved.pixel(2, 2) == 200);
  CHECK(*moved.pixel(5, 2) == 128);  // the uncovered columns are grey
  moved = image;
  apply_augment({AugmentOp::TranslateY, -2}, moved, buffer);  // downwards
  CHECK(*moved.pixel(5, 4) == 200);
  CHECK(*moved.pixel(0, 0) == 128);
  Image square(7, 7);
  std::fill_n(square.pixel(5, 3), 3, std::uint8_t{200});
  warp_affine(square, rotate_map(90, 7, 7), buffer);  // counter-clockwise about (3.5, 3.5)
  CHECK(*square.pixel(3, 2) == 200);
}

TEST_CASE("RandAugment is a function of seed and stream, and draws evenly") {
  const RandAugment augment;
  const Image image = random_image(16, 16, 6);
  std::vector<std::uint8_t> buffer;
  std::map<AugmentOp, int> counts;
  int applied = 0, negative = 0, directed = 0;
  RandomStream draws(9, 9);
  constexpr int n = 20000;
  for (int i = 0; i < n; ++i)
    if (const auto step = augment.draw(draws)) {
      ++applied, ++counts[step->op];
      if (augment_has_direction(step->op)) ++directed, negative += step->argument < 0;
    }
  CHECK(applied == doctest::Approx(n * 0.5).epsilon(0.03));
  CHECK(counts.size() == albef_augment_ops.size());
  for (const auto& [op, count] : counts) CHECK(count == doctest::Approx(n * 0.05).epsilon(0.15));
  CHECK(negative == doctest::Approx(directed * 0.5).epsilon(0.05));

  bool any_change = false;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Image a = image, b = image;
    RandomStream first(seed, 1), second(seed, 1);
    augment(a, first, buffer);
    augment(b, second, buffer);
    CHECK(a == b);
    CHECK(first.bits() == second.bits());
    any_change |= a != image;
  }
  CHECK(any_change);

  RandAugment wrong;
  wrong.level = 11;
  CHECK_THROWS_WITH_AS(wrong.check(), doctest::Contains("level"), Error);
  wrong = {};
  wrong.ops.clear();
  CHECK_THROWS_WITH_AS(wrong.check(), doctest::Contains("operations"), Error);
}

TEST_CASE("RandomResizedCrop keeps its ranges") {
  const RandomResizedCrop crop{0.3f, 0.9f};
  RandomStream random(1, 1);
  double smallest = 1, largest = 0, ratio_low = 9, ratio_high = 0;
  for (int i = 0; i < 3000; ++i) {
    const Box box = crop.draw(400, 300, random);
    check_box(box, 400, 300);
    const double share = box.width * box.height / (400.0 * 300),
                 ratio = box.width / double(box.height);
    smallest = std::min(smallest, share), largest = std::max(largest, share);
    ratio_low = std::min(ratio_low, ratio), ratio_high = std::max(ratio_high, ratio);
  }
  CHECK(smallest == doctest::Approx(0.3).epsilon(0.02));
  CHECK(largest == doctest::Approx(0.9).epsilon(0.02));
  CHECK(ratio_low == doctest::Approx(0.75).epsilon(0.03));
  CHECK(ratio_high == doctest::Approx(4 / 3.0).epsilon(0.03));

  // Nothing fits into extreme shapes: the central box.
  CHECK(RandomResizedCrop{0.9f, 1}.draw(1000, 10, random) == Box{493, 0, 13, 10});
  CHECK(RandomResizedCrop{0.9f, 1}.draw(10, 1000, random) == Box{0, 493, 10, 13});
  CHECK(RandomResizedCrop{}.draw(1, 1, random) == Box{0, 0, 1, 1});
  CHECK_THROWS_WITH_AS((void)(RandomResizedCrop{0.9f, 0.5f}.draw(5, 5, random)),
                       doctest::Contains("scale"), Error);
  CHECK_THROWS_AS((void)RandomResizedCrop{}.draw(0, 5, random), Error);
}

TEST_CASE("training and evaluation transforms") {
  const Image image = random_image(50, 34, 8);
  TrainTransform train;
  train.size = 24;
  CHECK(transformed(train, image, 5) == transformed(train, image, 5));
  CHECK(transformed(train, image, 5) != transformed(train, image, 6));

  // Everything switched off is the evaluation transform.
  TrainTransform off = train;
  off.use_crop = false, off.flip = 0, off.augment.count = 0;
  Image evaluated(24, 24);
  TransformBuffers buffers;
  EvalTransform{24}(image, evaluated.rgb, buffers);
  CHECK(evaluated == resize_bicubic(image, 24, 24));
  CHECK(transformed(off, image, 5) == evaluated);
  off.flip = 1;
  hflip(evaluated);
  CHECK(transformed(off, image, 5) == evaluated);

  RandomStream random(1, 1);
  std::vector<std::uint8_t> small(24 * 24 * 3 - 1);
  CHECK_THROWS_WITH_AS(train(image, random, small, buffers), doctest::Contains("24 x 24 x 3"),
                       Error);
  CHECK_THROWS_AS((void)transformed(train, Image{}, 1), Error);
  train.flip = 1.5f;
  CHECK_THROWS_WITH_AS(train.check(), doctest::Contains("flip"), Error);
}

}  // namespace image_transform_test
