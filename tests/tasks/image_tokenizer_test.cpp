// Image tokenizers: a trained autoencoder's encoder in DALL-E's form, clusters of pixels, files
// that hold something else.
#include "albef/tasks/image_tokenizer.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/tasks/dvae.hpp"
#include "albef/tasks/pixel_clusters.hpp"
#include "albef/testing/gradcheck.hpp"

namespace image_tokenizer_test {

using namespace albef;

namespace {

struct Micro {
  static constexpr int n_hid = 8, n_blk_per_group = 2, vocab_size = 16;
};
struct MicroShallow : Micro {
  static constexpr int n_hid = 4, n_blk_per_group = 1;
};
struct MicroWide : Micro {
  static constexpr int n_hid = 12;
};
using Known = TokenizerList<DalleEncoder<Micro>, PixelClusters<4>>;

struct File {
  std::string path = (std::filesystem::temp_directory_path() /
                      ("albef_image_tokenizer_" + std::to_string(::getpid()) + ".safetensors"))
                         .string();
  ~File() { std::filesystem::remove(path); }
};

/// Pictures (n, side, side, 3) of random pixels.
std::vector<std::uint8_t> noise(int n, int side) {
  RandomStream random(5, 1);
  std::vector<std::uint8_t> out(static_cast<std::size_t>(n * side * side * 3));
  for (auto& v : out) v = static_cast<std::uint8_t>(random.below(256));
  return out;
}

/// Writes a value into the middle of all parameters of a store.
template <class Store>
void randomize(Store& store) {
  RandomStream random(6, 1);
  for (const auto& p : store.params())
    for (std::int64_t i = 0; i < p.size; ++i)
      store.data(Plane::online)[p.offset + i] =
          random.normal() * (p.shape.size() > 1 ? 0.3f : 0.1f);
}

}  // namespace

TEST_CASE("the encoder of an autoencoder gives the codes of its bits") {
  static constexpr auto model = laid_out<Dvae<Micro>>();
  Cpu cpu(2);
  ParamStore<Cpu, Fp32> store(cpu, model, Storage::inference);
  randomize(store);
  const auto pixels = noise(3, 24);
  std::vector<std::int32_t> want;
  {
    Context<Cpu> ctx(cpu, store);
    ctx.begin_step(0);
    ctx.no_grad([&] {
      const auto images = upload_images(ctx, std::span(pixels), 24, 24, dalle_statistics);
      const auto z = ctx.read(model.encode(ctx, feature_maps<3>(ctx, images)).values);
      for (std::size_t i = 0; i < z.size(); i += 4) {
        int code = 0;
        for (int b = 0; b < 4; ++b) code |= (z[i + static_cast<std::size_t>(b)] >= 0) << b;
        want.push_back(code);
      }
    });
  }
  REQUIRE(want.size() == 27);
  CHECK(code_usage(want).used > 1);
  const File file;
  save_image_tokenizer<Micro>(store, file.path, {{"task", "dvae"}});
  const auto tokenizer = open_image_tokenizer(cpu, file.path, Known{});
  CHECK(tokenizer->codes() == 16);
  CHECK(read_codes(*tokenizer, std::span(pixels), 24, 24) == want);
  CHECK_THROWS_WITH_AS(
      read_codes(*tokenizer, std::span(pixels), 12, 24),
      "image tokenizer: got 5184 pixel values, expected pictures of 12 x 24 x 3 with sides that "
      "are multiples of 8",
      Error);

  const TokenizedPictures<Cpu> codes{tokenizer.get()};
  FlavaBatch batch;
  batch.size = 3, batch.image_size = 24, batch.images = pixels;
  Context<Cpu> ctx(cpu, store);
  const std::int32_t* on_device = codes(ctx, batch);
  CHECK(std::vector<std::int32_t>(on_device, on_device + 27) == want);
}

TEST_CASE("files that hold no image tokenizer, or another, are named") {
  Cpu cpu(1);
  const File file;
  static constexpr auto wide = laid_out<DalleEncoder<MicroWide>>();
  ParamStore<Cpu, Fp32> store(cpu, wide, Storage::inference);
  Checkpoint(store).save(file.path, {});
  CHECK_THROWS_WITH_AS(
      open_image_tokenizer(cpu, file.path, Known{}),
      (file.path + ": holds an encoder of width 12, 2 blocks a group and 16 codes, known are "
                   "an encoder of width 8, 2 blocks a group and 16 codes; 4 clusters of pixels")
          .c_str(),
      Error);
  static constexpr auto other = laid_out<Linear<2, 3>>();
  ParamStore<Cpu, Fp32> none(cpu, other, Storage::inference);
  Checkpoint(none).save(file.path, {});
  CHECK_THROWS_WITH_AS(open_image_tokenizer(cpu, file.path, Known{}),
                       (file.path + ": holds no image tokenizer, expected 'blocks.input.w' and "
                                    "'blocks.output.conv.w' or 'centroids.weight'")
                           .c_str(),
                       Error);
}

TEST_CASE("clusters of pixels: the same for a seed, all in use, near what they stand for") {
  // Patches of four colours, a little different from each other.
  const int colours[4][3] = {{250, 10, 10}, {10, 240, 20}, {20, 30, 230}, {128, 128, 128}};
  std::vector<std::uint8_t> pixels;
  std::vector<int> colour_of;
  RandomStream random(9, 0);
  for (int b = 0; b < 12; ++b)
    for (int y = 0; y < 16; ++y)
      for (int x = 0; x < 16; ++x) {
        const int colour = (b + x / 8 + y / 8) % 4;
        if (y % 8 == 0 && x % 8 == 0) colour_of.push_back(colour);
        for (int c = 0; c < 3; ++c)
          pixels.push_back(static_cast<std::uint8_t>(colours[colour][c] + random.below(6)));
      }
  Cpu one(1), two(2);
  ModelTokenizer<PixelClusters<4>, Cpu> first(one), second(two);
  cluster_pixels(first, std::span(pixels), 16, 16, 3);
  cluster_pixels(second, std::span(pixels), 16, 16, 3);
  const auto codes = read_codes(first, std::span(pixels), 16, 16);
  CHECK(read_codes(second, std::span(pixels), 16, 16) == codes);
  CHECK(code_usage(codes).used == 4);
  CHECK(code_usage(codes).perplexity == doctest::Approx(4));
  int mixed = 0;
  for (std::size_t i = 0; i < codes.size(); ++i)
    for (std::size_t j = 0; j < codes.size(); ++j)
      mixed += (codes[i] == codes[j]) != (colour_of[i] == colour_of[j]);
  CHECK(mixed == 0);

  const File file;
  save_pixel_clusters(first, file.path);
  const auto opened = open_image_tokenizer(one, file.path, Known{});
  CHECK(opened->codes() == 4);
  CHECK(read_codes(*opened, std::span(pixels), 16, 16) == codes);
  const auto restored = restore_pictures(first, std::span(pixels), 16);
  CHECK(restored.codes == codes);
  REQUIRE(restored.pixels.size() == pixels.size());
  int worst = 0;
  for (std::size_t i = 0; i < pixels.size(); ++i)
    worst = std::max(worst, std::abs(pixels[i] - restored.pixels[i]));
  CHECK(worst <= 6);
  CHECK_THROWS_WITH_AS(cluster_pixels(first, std::span(pixels).first(3 * 64), 8, 8, 3),
                       "cluster_pixels: the pictures have 1 different patches, expected at least 4",
                       Error);
}

TEST_CASE("the autoencoder's gradients agree with differences, but for the signs") {
  // What the signs pass on is no derivative, so each side on its own. Steps are short, because
  // maxima and ReLUs have kinks.
  const GradcheckOptions options{.tolerance = 1e-5, .step = 1e-6, .entries = 2, .entries_twice = 1};
  const auto decode = [](auto& ctx, const auto& m, const auto& bits) {
    using Real = typename std::remove_cvref_t<decltype(bits)>::Scalar;
    return m(ctx, FeatureMaps<Real, 4>{bits, 1, 2}).values;
  };
  CHECK(gradcheck<Cpu>(options, DvaeDecoder<MicroShallow>{}, decode, sequences<4>(1, 2)));
  const auto encode = [](auto& ctx, const auto& m, const auto& pixels) {
    using Real = typename std::remove_cvref_t<decltype(pixels)>::Scalar;
    return m(ctx, FeatureMaps<Real, 3>{pixels, 8, 16}).values;
  };
  CHECK(gradcheck<Cpu>(options, DalleTrunk<MicroShallow>{}, encode, sequences<3>(1, 128)));
}

}  // namespace image_tokenizer_test
