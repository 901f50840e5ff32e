// Drawings of what frozen features tell: maps of them, and what the class token looks at.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "../train/nano_training.hpp"
#include "albef/viz/attention_sheet.hpp"
#include "albef/viz/feature_map.hpp"
#include "albef/viz/model_comparison.hpp"

namespace features_test {

using albef::Canvas;
using albef::FeatureMap;
using albef::RgbPicture;
using train_test::Cpu;
using train_test::Nano;
using train_test::TemporaryFolder;

namespace {

/// Pixels of exactly a colour.
int count(const Canvas& canvas, albef::Color color) {
  const auto rgb = canvas.rgb();
  const double want[] = {255 * color.r, 255 * color.g, 255 * color.b};
  int found = 0;
  for (std::size_t i = 0; i < rgb.size(); i += 3) {
    bool same = true;
    for (std::size_t c = 0; c < 3; ++c) same = same && std::abs(rgb[i + c] - want[c]) < 2;
    found += same;
  }
  return found;
}

}  // namespace

TEST_CASE("feature map: points at the principal components") {
  // Along (1, 1, 0) by t, across by (-1)^i: variances in the ratio of 35 / 12 * 2 to 1.2.
  std::vector<float> features;
  for (int i = 0; i < 6; ++i) {
    const float t = static_cast<float>(i), s = i % 2 ? 1.0f : -1.0f;
    features.insert(features.end(), {t, t, s});
  }
  const FeatureMap map = albef::feature_map(albef::mat(features.data(), 6, 3));
  REQUIRE(map.points.size() == 6);
  CHECK(map.share[0] + map.share[1] == doctest::Approx(1));
  CHECK(map.share[0] > 0.8);
  for (std::size_t i = 1; i < 6; ++i) CHECK(map.points[i].x > map.points[i - 1].x);
  CHECK_THROWS_AS(albef::feature_map(albef::mat(features.data(), 1, 3)), albef::Error);
}

TEST_CASE("feature map: colours of classes, pictures where there is room") {
  FeatureMap map{.points = {{0, 0}, {1, 1}, {1.001, 1}, {0, 2}},
                 .share = {0.5, 0.25},
                 .labels = {0, 1, 1, 0},
                 .classes = {"cat", "dog"}};
  const Canvas plain = albef::draw_feature_map(map, {.title = "Map"});
  CHECK(plain.width() == 1000);
  CHECK(count(plain, albef::detail::plot_colors[0]) > 2 * 16 + 60);  // and in the legend
  CHECK(count(plain, albef::detail::plot_colors[1]) > 16 + 60);

  const RgbPicture green{2, 2, {0, 250, 0, 0, 250, 0, 0, 250, 0, 0, 250, 0}};
  map.pictures = {green, green, green, albef::ImageView{}};
  const Canvas shown = albef::draw_feature_map(map);
  const int pixels = count(shown, {0, 250 / 255.0, 0});  // of the first and one of the next two
  CHECK(pixels == doctest::Approx(2 * 44 * 44).epsilon(0.06));

  FeatureMap many = map;
  many.pictures.clear();
  many.classes.assign(100, "x");
  CHECK(albef::draw_feature_map(many).width() == 1000);
  const auto color = [](int label) { return albef::detail::class_color(label, 100); };
  for (int c = 1; c < 100; ++c)
    CHECK(std::abs(color(c).r - color(c - 1).r) + std::abs(color(c).g - color(c - 1).g) +
              std::abs(color(c).b - color(c - 1).b) >
          0.1);

  map.labels[2] = 2;
  CHECK_THROWS_WITH_AS(albef::draw_feature_map(map), "feature map: label 2 of 2 classes",
                       albef::Error);
  map.labels.pop_back();
  CHECK_THROWS_WITH_AS(albef::draw_feature_map(map), "feature map: 3 labels for 4 points",
                       albef::Error);
  CHECK_THROWS_AS(albef::draw_feature_map({}), albef::Error);
  FeatureMap one{.points = {{3, 3}, {3, 3}}};  // no range to speak of
  CHECK(albef::draw_feature_map(one).height() == 800);
}

TEST_CASE("comparison: a line for each model, a dash for what it cannot do") {
  const auto models = nlohmann::ordered_json::parse(R"({
    "flava": {"retrieval": {"a/b": {"tr1": 50.25, "tr5": 75, "ir1": 25, "ir5": 100}},
              "linear": {"accuracy": 0.5}, "knn": {"accuracy": 0.125}},
    "dino": {"linear": {"accuracy": 1}}})");
  CHECK(albef::comparison_table(models) ==
        "model  a/b TR@1  a/b TR@5  a/b IR@1  a/b IR@5  linear    knn\n"
        "flava      50.2      75.0      25.0     100.0    50.0   12.5\n"
        "dino          -         -         -         -   100.0      -\n");
}

TEST_CASE("attention of the class token: rows of the softmax of the last block") {
  Cpu cpu(1);
  albef::Session<albef::Albef<Nano>> session(cpu, albef::NewModel{3});
  const auto source = train_test::pictures(3);
  const std::vector<std::uint32_t> records{0, 2};
  const auto maps = albef::class_attention(session, *source, records, {.workers = 1});
  REQUIRE(maps.size() == 2);
  constexpr int heads = Nano::vision_heads, side = Nano::image_res / Nano::patch_size;
  CHECK(maps[0].side == side);
  REQUIRE(maps[0].heads.size() == heads);

  // The same by hand: softmax(q k^T / sqrt(d)) of the class token's row.
  auto& ctx = session.context();
  albef::for_each_image_tensor(session, *source, records, {.workers = 1}, [&](const auto& images) {
    const auto qkv = ctx.no_grad([&] {
      const auto& vit = session.model.visual_encoder;
      auto x = vit.embed(ctx, images);
      for (std::size_t i = 0; i + 1 < vit.blocks.size(); ++i) x = vit.blocks[i](ctx, x);
      return ctx.read(vit.blocks.back().qkv(ctx, x));
    });
    constexpr std::size_t width = Nano::vision_width, keys = side * side + 1, d = width / heads;
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t h = 0; h < heads; ++h) {
        std::vector<double> scores;
        double sum = 0;
        for (std::size_t k = 0; k < keys; ++k) {
          double dot = 0;
          for (std::size_t j = 0; j < d; ++j)
            dot += static_cast<double>(qkv[b * keys * 3 * width + h * d + j]) *
                   static_cast<double>(qkv[(b * keys + k) * 3 * width + width + h * d + j]);
          scores.push_back(std::exp(dot / std::sqrt(static_cast<double>(d))));
          sum += scores.back();
        }
        const auto& map = maps[b].heads[h];
        REQUIRE(map.size() == keys - 1);
        for (std::size_t k = 0; k + 1 < keys; ++k)
          CHECK(static_cast<double>(map[k]) == doctest::Approx(scores[k + 1] / sum).epsilon(1e-4));
      }
  });
  CHECK(ctx.noted_attention() == nullptr);
  CHECK_THROWS_WITH_AS(albef::last_attention(ctx, [] {}), "[attention map] no attention ran",
                       albef::Error);
}

TEST_CASE("attention sheet: a picture, and a row for each head") {
  const TemporaryFolder folder;
  Cpu cpu(1);
  albef::Session<albef::Albef<Nano>> session(cpu, albef::NewModel{3});
  const auto source = train_test::pictures(5);
  const std::vector<std::uint32_t> all{0, 1, 2, 3, 4};
  const auto records = albef::spread_over(all, 3);
  CHECK(records == std::vector<std::uint32_t>{0, 1, 3});
  const std::vector<std::string> names{"a", "b", "c"};
  albef::write_attention_sheet(folder / "a.png", session, *source, records, names, "Attention");
  const albef::Image drawn = albef::load_image(folder / "a.png");
  CHECK(drawn.width > 3 * 120);
  CHECK(drawn.height > (1 + Nano::vision_heads) * 120);
  CHECK_THROWS_AS(
      albef::write_attention_sheet(folder / "b.png", session, *source, records, {}, "Attention"),
      albef::Error);
}

}  // namespace features_test
