// The retrieval pool: batches, features and scores against scoring pairs directly; recall.
#include "albef/tasks/retrieval_pool.hpp"

#include <limits>

#include "albef/tasks/recall.hpp"

#include "../models/micro.hpp"

namespace retrieval_test {

using namespace model_test;
using Pool = albef::RetrievalPool<Bench<Micro>::Ctx, albef::Albef<Micro>>;

namespace {

const HostBatch host = random_batch<Micro>(5, 1);

/// Five images, added in batches of 2 and 3, and five texts in batches of 4 and 1.
void fill(Pool& pool, Bench<Micro>& b) {
  constexpr std::size_t image = 3 * 8 * 8;
  const std::span<const std::uint8_t> pixels(host.pixels);
  for (const auto& [begin, count] : {std::pair<std::size_t, std::size_t>{0, 2}, {2, 3}}) {
    b.ctx.begin_step(0);
    pool.add_images(
        albef::upload_images<Micro>(b.ctx, pixels.subspan(begin * image, count * image)));
  }
  for (const auto& [begin, count] : {std::pair<int, int>{0, 4}, {4, 1}}) {
    albef::TextBatch text;
    for (int i = begin; i < begin + count; ++i) text.add(host.text.text(i));
    b.ctx.begin_step(0);
    pool.add_texts(b.tokens(text), text.offsets);
  }
}

/// The ITM logit of one image with one text, computed alone with all rows of all layers.
double pair_score(Bench<Micro>& b, int image, int text) {
  constexpr std::size_t values = 3 * 8 * 8;
  albef::TextBatch single;
  single.add(host.text.text(text));
  b.ctx.begin_step(0);
  return b.ctx.no_grad([&] {
    const auto states = b.model.visual_encoder(
        b.ctx, albef::upload_images<Micro>(
                   b.ctx, std::span<const std::uint8_t>(host.pixels)
                              .subspan(static_cast<std::size_t>(image) * values, values)));
    const auto& bert = b.model.text_encoder.bert;
    const auto fused = bert.fusion(b.ctx, bert.text(b.ctx, b.tokens(single)),
                                   bert.image_keys_values(b.ctx, states));
    return b.ctx.read(b.model.itm_head(b.ctx, albef::first(b.ctx, fused)))[1];
  });
}

}  // namespace

TEST_CASE("features and similarities do not depend on how the pool was filled") {
  Bench<Micro> b(2, Storage::inference);
  Pool pool(b.ctx, b.model);
  fill(pool, b);
  CHECK(pool.images() == 5);
  CHECK(pool.texts() == 5);
  CHECK(pool.text_offsets() == host.text.offsets);
  b.ctx.begin_step(0);
  const auto image =
      b.ctx.read(b.model.image_feature(b.ctx, b.model.visual_encoder(b.ctx, b.images(host))));
  const auto text = b.ctx.read(
      b.model.text_feature(b.ctx, b.model.text_encoder.bert.text(b.ctx, b.tokens(host.text))));
  CHECK(deviation(pool.image_features(), image) < 1e-13);
  CHECK(deviation(pool.text_features(), text) < 1e-13);
  std::vector<double> expected;
  for (std::size_t i = 0; i < 5; ++i)
    for (std::size_t t = 0; t < 5; ++t) {
      expected.push_back(0);
      for (std::size_t e = 0; e < Micro::embed_dim; ++e)
        expected.back() += image[i * Micro::embed_dim + e] * text[t * Micro::embed_dim + e];
    }
  CHECK(deviation(pool.similarities(), expected) < 1e-13);
}

TEST_CASE("ITM scores equal those of single pairs; re-ranking puts them where they belong") {
  Bench<Micro> b(2, Storage::inference);
  Pool pool(b.ctx, b.model);
  fill(pool, b);
  const std::vector<int> texts{3, 0, 4};
  const auto scores = pool.itm_scores(2, texts);
  REQUIRE(scores.size() == 3);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(scores[i] == doctest::Approx(pair_score(b, 2, texts[i])).epsilon(1e-11));

  const auto similarities = pool.similarities();
  const auto ranked = pool.rerank(similarities, 2, 0.5);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto best_texts =
        albef::largest(5, 2, [&](std::size_t t) { return similarities[i * 5 + t]; });
    const auto best_images =
        albef::largest(5, 2, [&](std::size_t j) { return similarities[j * 5 + i]; });
    const auto in = [](const std::vector<int>& list, int v) {
      return std::find(list.begin(), list.end(), v) != list.end();
    };
    for (int j = 0; j < 5; ++j) {
      const auto row = static_cast<int>(i);
      const auto at = i * 5 + static_cast<std::size_t>(j);
      const auto score = [&](int image, int text) {
        const auto s = similarities[static_cast<std::size_t>(image * 5 + text)];
        return doctest::Approx(pair_score(b, image, text) + 0.5 * s).epsilon(1e-5);
      };
      if (in(best_texts, j))
        CHECK(static_cast<double>(ranked.i2t[at]) == score(row, j));
      else
        CHECK(ranked.i2t[at] == -100);
      if (in(best_images, j))
        CHECK(static_cast<double>(ranked.t2i[at]) == score(j, row));
      else
        CHECK(ranked.t2i[at] == -100);
    }
  }
}

TEST_CASE("recall: ranks of the right partners, several texts of one image, ties") {
  // Two images, three texts; texts 0 and 1 belong to image 0.
  const std::vector<int> text_image{0, 0, 1};
  const std::vector<float> i2t{0.1f, 0.9f, 0.5f, 0.8f, 0.3f, 0.2f};
  const std::vector<float> t2i{0.9f, 0.1f, 0.2f, 0.7f, 0.1f, 0.6f};
  const auto r = albef::recall(i2t, t2i, text_image, 2);
  CHECK(r.tr1 == 50);  // image 0 finds text 1 first; image 1 finds text 2 last
  CHECK(r.tr5 == 100);
  CHECK(r.ir1 == doctest::Approx(200.0 / 3));
  CHECK(r.ir5 == 100);
  CHECK(r.tr_mean() == doctest::Approx(250.0 / 3));
  const std::vector<float> broken(6, std::numeric_limits<float>::quiet_NaN());
  CHECK(albef::recall(broken, broken, text_image, 2).tr1 == 0);  // and not everything found
  CHECK(albef::recall(broken, broken, text_image, 2).ir1 == 0);
  CHECK_THROWS_WITH_AS(albef::recall(i2t, t2i, std::vector<int>{0, 0, 2}, 2),
                       "[recall] text 2 belongs to image 2, expected 0..1", albef::Error);
}

}  // namespace retrieval_test
