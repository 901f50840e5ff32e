// Probes of labelled sets: features of a model's encoders, settings chosen on a held-out part.
#include "albef/tasks/probe_evaluation.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "../train/nano_training.hpp"
#include "albef/core/file.hpp"
#include "albef/models/albef.hpp"

namespace probe_evaluation_test {

using albef::Domain;
using albef::LabelledFeatures;
using albef::ProbeSettings;
using train_test::Cpu;
using train_test::Nano;
using train_test::TemporaryFolder;
using Nano_session = albef::Session<albef::Albef<Nano>>;

namespace {

/// Clouds around the corners of a triangle, `each` points of each; `spread` is their radius.
LabelledFeatures clouds(int each, double spread, std::uint64_t seed) {
  LabelledFeatures out{.width = 3, .classes = {"a", "b", "c"}};
  albef::RandomStream random(seed, 1);
  for (int i = 0; i < 3 * each; ++i) {
    for (int d = 0; d < 3; ++d)
      out.values.push_back(static_cast<float>((i % 3 == d ? 100.0 : 0.0) +
                                              100 * spread * static_cast<double>(random.normal())));
    out.labels.push_back(i % 3);
    out.records.push_back(static_cast<std::uint32_t>(i));
  }
  out.skipped = {out.labels.size(), 0};
  return out;
}

}  // namespace

TEST_CASE("score interval: Wilson's") {
  // statsmodels.stats.proportion.proportion_confint(method='wilson')
  const auto [low, high] = albef::score_interval(8, 10);
  CHECK(low == doctest::Approx(0.4901624715366418).epsilon(1e-12));
  CHECK(high == doctest::Approx(0.9433178485456248).epsilon(1e-12));
  CHECK(albef::score_interval(0, 5).first == 0);
  CHECK(albef::score_interval(5, 5).second == 1);
}

TEST_CASE("a held-out part has its share of each class, and leaves one example of each") {
  LabelledFeatures all = clouds(10, 0.1, 1);
  all.labels[0] = 1;  // a: 9, b: 11
  const auto [kept, held] = albef::detail::hold_out(all, 0.2, 7);
  CHECK(kept.rows() == 24);
  CHECK(held.rows() == 6);
  for (int i = 0; i < held.rows(); ++i) {
    const auto from = held.records[static_cast<std::size_t>(i)];
    CHECK(held.labels[static_cast<std::size_t>(i)] == all.labels[from]);
    CHECK(held.values[static_cast<std::size_t>(3 * i)] == all.values[3 * from]);
  }
  CHECK(albef::detail::hold_out(all, 0.2, 7).second.records == held.records);
  CHECK(albef::detail::hold_out(all, 0.2, 8).second.records != held.records);
  CHECK(albef::detail::hold_out(clouds(1, 0.1, 1), 0.5, 1).second.rows() == 0);
  CHECK(albef::detail::hold_out(clouds(2, 0.1, 1), 1, 1).second.rows() == 3);
}

TEST_CASE("probes tell clouds apart, and how well") {
  const LabelledFeatures train = clouds(40, 0.3, 1), test = clouds(100, 0.3, 2);
  const auto linear = albef::linear_probe(train, test);
  const auto knn = albef::neighbour_probe(train, test);
  for (const auto& result : {linear, knn}) {
    CAPTURE(result.method);
    CHECK(result.score.accuracy() > 0.9);
    CHECK(result.held_out > 0.8);
    CHECK(result.converged);
    const auto [low, high] = result.score.interval();
    CHECK(low < result.score.accuracy());
    CHECK(high > result.score.accuracy());
    const auto json = result.json();
    CHECK(json["count"] == 300);
    CHECK(json["train"] == 120);
    CHECK(json["classes"]["b"]["count"] == 100);
    CHECK(json["class_mean"].get<double>() == doctest::Approx(result.score.accuracy()));
  }
  CHECK(linear.json()["penalty"] == linear.setting);
  CHECK(knn.json()["neighbours"] == knn.setting);

  ProbeSettings one;
  one.penalties = {10};
  one.neighbours = {3};
  CHECK(std::isnan(albef::linear_probe(train, test, one).held_out));
  CHECK(albef::neighbour_probe(train, test, one).setting == 3);
  CHECK(albef::neighbour_probe(clouds(1, 0.1, 1), test).setting == 1);  // nothing to choose by
  CHECK(albef::linear_probe(clouds(1, 0.1, 1), test).setting == 1);
}

TEST_CASE("a value that never changes says nothing, whatever its size") {
  LabelledFeatures train = clouds(20, 0.2, 1);
  for (std::size_t i = 0; i < train.values.size(); i += 3) train.values[i] = 1e6f;
  const auto standard = albef::detail::Standardizer(train, true)(train);
  double square = 0;
  for (std::size_t i = 0; i < standard.size(); i += 3) {
    CHECK(standard[i] == 0);
    square += standard[i + 1] * standard[i + 1];
  }
  CHECK(square / 60 == doctest::Approx(1));
}

TEST_CASE("a probe of one class is refused") {
  LabelledFeatures train = clouds(5, 0.2, 1);
  const LabelledFeatures test = train;
  for (auto& label : train.labels) label = 1;
  CHECK_THROWS_WITH_AS(
      albef::linear_probe(train, test),
      "probe: all 15 training examples are of one class, 'b', expected at least two", albef::Error);
  CHECK_THROWS_AS(albef::neighbour_probe(train, test), albef::Error);
  train = test;
  train.classes.push_back("d");
  CHECK_THROWS_WITH_AS(albef::linear_probe(train, test),
                       "probe: the sets have 4 and 3 classes, expected the same", albef::Error);
}

TEST_CASE("features of a labelled set: every domain, without what cannot be used") {
  const TemporaryFolder folder;
  for (const int level : {10, 90, 200})
    albef::write_file(folder / (std::to_string(level) + ".png"), [&] {
      const auto bytes = albef::encode_png(albef::Image(12, 12, static_cast<std::uint8_t>(level)));
      return std::string(bytes.begin(), bytes.end());
    }());
  albef::write_file(folder / "a.jsonl", R"({"image": "10.png", "text": "a b", "label": "x"}
{"image": "90.png", "label": "y"}
{"image": "none.png", "text": "c", "label": "x"}
{"text": "d e f", "label": "y"}
{"image": "200.png", "text": "!?", "label": "y"}
{"image": "200.png", "text": "g", "label": "y"}
{"image": "200.png", "text": "no label"}
)");
  const auto set = albef::open_labelled(folder / "a.jsonl");
  Cpu cpu(1);
  train_test::Training training(cpu, {.seed = 7});
  albef::Session session(training, train_test::tokenizer());
  using Rows = std::vector<std::uint32_t>;
  const auto all = [] { return albef::BadRecords(1, nullptr); };
  const auto features = [&](Domain domain) {
    return albef::labelled_features(session, domain, *set, {.batch_size = 2, .workers = 1}, all());
  };
  const LabelledFeatures image = features(Domain::image), text = features(Domain::text),
                         both = features(Domain::multimodal),
                         pixels = albef::pixel_features(*set, 4, {.workers = 1}, all());
  CHECK(image.records == Rows{0, 1, 4, 5});
  CHECK(text.records == Rows{0, 2, 3, 5});
  CHECK(both.records == Rows{0, 5});
  CHECK(pixels.records == Rows{0, 1, 4, 5});
  CHECK(image.width == Nano::vision_width);
  CHECK(text.width == Nano::hidden_size);
  CHECK(both.width == Nano::hidden_size);
  CHECK(pixels.width == 48);
  CHECK(image.labels == std::vector<std::int32_t>{0, 1, 1, 1});
  CHECK(both.skipped.skipped == 5);
  CHECK(pixels.values[0] == doctest::Approx(10.0 / 255));

  // One by one they are the same, and those of the class token.
  auto& ctx = session.context();
  const std::vector<std::uint8_t> grey(32 * 32 * 3, 200);
  const std::vector<std::string> words{"g"};
  ctx.begin_step(0);
  const auto pictures = albef::upload_images<Nano>(ctx, std::span<const std::uint8_t>(grey));
  const auto tokens = albef::upload_tokens<Nano>(
      ctx, albef::encode_texts(session.tokenizer(), words, session.encoding()));
  const auto& model = Nano_session::model;
  const auto compare = [&](const LabelledFeatures& found, const auto& state) {
    const auto expected = ctx.read(state);
    REQUIRE(expected.size() == static_cast<std::size_t>(found.width));
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK(found.values[found.values.size() - expected.size() + i] ==
            doctest::Approx(expected[i]).epsilon(1e-4));
  };
  ctx.no_grad([&] {
    const auto states = model.visual_encoder(ctx, pictures);
    compare(image, albef::first(ctx, states));
    const auto x = model.text_encoder.bert.text(ctx, tokens);
    compare(text, albef::first(ctx, x));
    compare(both,
            albef::first(ctx, model.text_encoder.bert.fusion(
                                  ctx, x, model.text_encoder.bert.image_keys_values(ctx, states))));
  });
  CHECK_THROWS_AS(
      albef::labelled_features(session, Domain::image, *set, {}, albef::evaluation_records(true)),
      albef::Error);
}

TEST_CASE("a session of a new model has the first values of its seed") {
  Cpu cpu(1);
  Nano_session a(cpu, albef::NewModel{3}), b(cpu, albef::NewModel{3}), c(cpu, albef::NewModel{4});
  const auto values = [](Nano_session& s) {
    return std::vector<float>(s.store().data(albef::Plane::online),
                              s.store().data(albef::Plane::online) + s.store().size());
  };
  CHECK(values(a) == values(b));
  CHECK(values(a) != values(c));
  CHECK_THROWS_AS(a.tokenizer(), albef::Error);
}

}  // namespace probe_evaluation_test
