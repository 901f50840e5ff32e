// Predictions for host batches.
#include "../models/micro.hpp"
#include "albef/tasks/ve.hpp"
#include "albef/tasks/vqa.hpp"

namespace predictions_test {

using namespace model_test;

namespace {

template <class Batch>
Batch questions(int size) {
  const HostBatch host = random_batch<Micro>(size, 3);
  Batch out;
  out.size = size;
  out.image_size = Micro::image_res;
  out.images = host.pixels;
  out.text = host.text;
  return out;
}

}  // namespace

TEST_CASE("class probabilities are the softmax of the logits, whatever the batch") {
  using Model = albef::AlbefVe<Micro>;
  Bench<Micro, Fp64, Model> b(1, Storage::inference);
  const auto batch = questions<albef::ClassBatch>(3);
  const auto p = albef::class_probabilities(b.ctx, b.model, batch);
  REQUIRE(p.size() == 9);
  const auto logits = b.ctx.no_grad(
      [&] { return b.ctx.read(b.model.logits(b.ctx, upload(b.ctx, b.model, batch))); });
  for (std::size_t i = 0; i < 3; ++i) {
    double total = 0;
    for (std::size_t c = 0; c < 3; ++c) total += std::exp(logits[3 * i + c]);
    for (std::size_t c = 0; c < 3; ++c)
      CHECK(p[3 * i + c] == doctest::Approx(std::exp(logits[3 * i + c]) / total));
  }
}

TEST_CASE("confusion matrix and accuracy") {
  albef::ConfusionMatrix m(2);
  CHECK(m.accuracy() == 0);
  for (const auto& [label, prediction] : {std::pair{0, 0}, {1, 0}, {1, 1}})
    m.add(label, prediction);
  CHECK(m.total() == 3);
  CHECK(m.count(1, 0) == 1);
  CHECK(m.count(0, 1) == 0);
  CHECK(m.accuracy() == doctest::Approx(2.0 / 3));
  CHECK_THROWS_WITH_AS(m.add(2, 0), "[confusion matrix] class 2 taken for 0, expected 0 to 1",
                       albef::Error);
}

TEST_CASE("questions of a batch are answered as one by one") {
  using Model = albef::AlbefVqa<Micro>;
  Bench<Micro, Fp64, Model> b(1, Storage::inference);
  const auto batch = questions<albef::VqaBatch>(3);
  albef::TextBatch list;
  for (const std::vector<std::int32_t>& ids :
       {std::vector<std::int32_t>{2, 5, 3}, {2, 6, 7, 3}, {2, 8, 3}})
    list.add(ids);
  const albef::GenerateOptions options{.first_id = 2, .last_id = 3, .max_length = 3, .beams = 3};
  const auto ranked = albef::rank_answers(b.ctx, b.model, batch, list, {.k = 2});
  const auto written = albef::generate(b.ctx, b.model, batch, options);
  REQUIRE(ranked.size() == 3);
  for (int q = 0; q < 3; ++q) {
    albef::VqaBatch one;
    one.size = 1;
    one.image_size = batch.image_size;
    constexpr std::ptrdiff_t values = 3 * 8 * 8;
    one.images.assign(batch.images.begin() + q * values, batch.images.begin() + (q + 1) * values);
    one.text.add(batch.text.text(q));
    const auto at = static_cast<std::size_t>(q);
    const auto alone = albef::rank_answers(b.ctx, b.model, one, list, {.k = 2}).front();
    REQUIRE(ranked[at].size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(alone[i].index == ranked[at][i].index);
      CHECK(alone[i].probability == doctest::Approx(ranked[at][i].probability).epsilon(1e-10));
    }
    const auto text = albef::generate(b.ctx, b.model, one, options).front();
    CHECK(text.ids == written[at].ids);
    CHECK(text.log_probability == doctest::Approx(written[at].log_probability).epsilon(1e-10));
  }
}

}  // namespace predictions_test
