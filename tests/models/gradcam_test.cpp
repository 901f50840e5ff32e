// Grad-CAM maps of the fusion encoder and of the image encoder.
#include "albef/models/gradcam.hpp"

#include "micro.hpp"

namespace gradcam_test {

using namespace model_test;
using albef::HeatMap;

namespace {

const HostBatch host = random_batch<Micro>(3, 2);

auto itm_maps(Bench<Micro>& b, const HostBatch& pairs, int layer) {
  b.ctx.begin_step(0);
  return albef::itm_attention(b.ctx, b.model, b.images(pairs), b.tokens(pairs.text), layer);
}
HostBatch only(int i) {
  HostBatch out;
  constexpr std::ptrdiff_t values = 3 * 8 * 8;
  out.pixels.assign(host.pixels.begin() + i * values, host.pixels.begin() + (i + 1) * values);
  out.text.add(host.text.text(i));
  return out;
}

}  // namespace

TEST_CASE("Grad-CAM: maps of a pair do not depend on its batch or on what the store holds") {
  Bench<Micro> b(2, Storage::inference), training;
  for (const int layer : {2, 3}) {
    const auto maps = itm_maps(b, host, layer);
    const auto trained = itm_maps(training, host, layer);
    REQUIRE(maps.size() == 3);
    for (int i = 0; i < 3; ++i) {
      const auto& m = maps[static_cast<std::size_t>(i)];
      CHECK(m.queries == host.text.length(i));
      CHECK(m.keys == 5);
      const auto alone = itm_maps(b, only(i), layer).front();
      CHECK(deviation(alone.probability, m.probability) < 1e-12);
      CHECK(deviation(alone.gradient, m.gradient) < 1e-11);
      CHECK(deviation(trained[static_cast<std::size_t>(i)].gradient, m.gradient) < 1e-12);
      for (std::size_t row = 0; row * 5 < m.probability.size(); ++row) {
        double sum = 0;
        for (std::size_t k = 0; k < 5; ++k) sum += m.probability[row * 5 + k];
        CHECK(sum == doctest::Approx(1));
      }
    }
  }
}

TEST_CASE("Grad-CAM: moving probability along the gradient changes the match score as it says") {
  // With the keys' weights zero all probabilities are equal; a small key at one image position then
  // changes them in a known way, and the score by gradient times change.
  Bench<Micro> b(1, Storage::inference);
  const auto& cross = b.model.text_encoder.bert.fusion_layers[0].crossattention;
  std::fill_n(b.store.data(Plane::online, cross.key.weight), 64, 0.0);
  std::fill_n(b.store.data(Plane::online, cross.key.bias), 8, 0.0);
  const auto score = [&](double h) {
    b.ctx.begin_step(0);
    std::fill_n(b.store.data(Plane::online, cross.key.weight), 64, 0.0);
    b.store.data(Plane::online, cross.key.weight)[3] = h;
    return b.ctx.no_grad([&] {
      const auto one = only(1);
      const auto kv = b.model.text_encoder.bert.image_keys_values(
          b.ctx, b.model.visual_encoder(b.ctx, b.images(one)));
      const auto x = b.model.text_encoder.bert.text(b.ctx, b.tokens(one.text));
      return b.ctx.read(b.model.itm_logits(b.ctx, x, kv, nullptr))[1];
    });
  };
  const auto at = [&](double h) {
    score(h);
    return itm_maps(b, only(1), 2).front();
  };
  constexpr double h = 1e-5;
  const auto m = at(0), up = at(h), down = at(-h);
  double expected = 0;
  for (std::size_t i = 0; i < m.probability.size(); ++i)
    expected += m.gradient[i] * (up.probability[i] - down.probability[i]) / (2 * h);
  CHECK(std::abs(expected) > 1e-6);
  CHECK((score(h) - score(-h)) / (2 * h) == doctest::Approx(expected).epsilon(1e-5));
}

TEST_CASE("Grad-CAM: the image encoder's maps; layers that do not exist are refused") {
  Bench<Micro> b(2, Storage::inference);
  b.ctx.begin_step(0);
  const auto maps = albef::itc_attention(b.ctx, b.model, b.images(host), b.tokens(host.text), 1);
  CHECK(maps.size() == 3);
  CHECK(maps[0].queries == 5);
  for (std::size_t i = 5; i < maps[0].gradient.size() / 2; ++i)
    CHECK(maps[0].gradient[i] == 0);  // the last block: only the class token is read
  CHECK_THROWS_WITH_AS(itm_maps(b, host, 1),
                       "[gradcam] layer 1 has no cross-attention, expected 2 to 3", albef::Error);
  CHECK_THROWS_WITH_AS(albef::itc_attention(b.ctx, b.model, b.images(host), b.tokens(host.text), 2),
                       "[gradcam] no block 2 in the image encoder, expected 0 to 1", albef::Error);
  b.ctx.set_dropout(true);
  CHECK_THROWS_WITH_AS(itm_maps(b, host, 2), "[attention map] dropout is on", albef::Error);
}

TEST_CASE("Grad-CAM: positive gradients times probabilities, mean over heads and words") {
  const albef::AttentionMap<double> m{2,
                                      2,
                                      5,
                                      {.2, .1, .3, .2, .2, 1,  0,  0, 0, 0,  //
                                       .2, .2, .2, .2, .2, .5, .5, 0, 0, 0},
                                      {9, 1, -1, 2,  0, 1,  1, 1, 1, 1,  //
                                       9, 1, 1,  -1, 0, -1, 4, 0, 0, 0}};
  const auto words = albef::word_cams(m);
  REQUIRE(words.size() == 2);
  const auto check = [](const HeatMap& map, std::vector<double> expected) {
    CHECK(map.side == 2);
    for (std::size_t i = 0; i < 4; ++i)
      CHECK(static_cast<double>(map.values[i]) == doctest::Approx(expected[i]));
  };
  check(words[0], {0.15, 0.1, 0.2, 0});
  check(words[1], {1, 0, 0, 0});
  check(albef::sentence_cam(words), {0.575, 0.05, 0.1, 0});
  check(albef::sentence_cam(words, 4), {0.2875, 0.025, 0.05, 0});
}

}  // namespace gradcam_test
