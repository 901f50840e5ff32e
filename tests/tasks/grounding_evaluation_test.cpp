// Locating expressions with a model: layers, maps of words, metrics by split, settings of a run.
#include "albef/tasks/grounding_evaluation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "../train/nano_training.hpp"
#include "albef/tasks/grounding_settings.hpp"
#include "grounding_files.hpp"

namespace grounding_evaluation_test {

using albef::Error;
using grounding_test_files::Corpus;
using train_test::Cpu;
using train_test::Nano;

namespace {

/// An untrained model in the middle of a run.
struct Bench {
  Cpu cpu{1};
  train_test::Training training{cpu, {.seed = 7}};
  albef::Session<albef::Albef<Nano>> session{training, train_test::tokenizer()};
};

}  // namespace

TEST_CASE("grounding: the layer is the third of the fusion, or as asked for among them") {
  CHECK(albef::default_grounding_layer<albef::Base>() == 8);
  CHECK(albef::grounding_layer<albef::Base>(-1) == 8);
  CHECK(albef::grounding_layer<albef::Base>(11) == 11);
  CHECK(albef::default_grounding_layer<Nano>() >= Nano::fusion_layer);
  CHECK_THROWS_WITH_AS(albef::grounding_layer<albef::Base>(5),
                       "layer 5: the layers with cross-attention are 6 to 11", Error);
  CHECK_THROWS_AS(albef::grounding_layer<albef::Base>(12), Error);
}

TEST_CASE("grounding: words are put together from their pieces, and their maps averaged") {
  const auto& tokenizer = train_test::tokenizer();
  albef::GroundedText found;
  found.text = "ab c";
  found.tokens = {tokenizer.id("[CLS]"), tokenizer.id("a"), tokenizer.id("##b"), tokenizer.id("c")};
  found.maps = {{1, {8}}, {1, {1}}, {1, {3}}, {1, {4}}};
  found.sentence = {1, {4}};
  found.width = found.height = 2;
  const auto words = albef::word_maps(found, tokenizer);
  REQUIRE(words.size() == 3);
  CHECK(words[0].word == "(all)");
  CHECK(words[0].map.values == std::vector<float>{4});
  CHECK(words[1].word == "ab");
  CHECK(words[1].map.values == std::vector<float>{2});
  CHECK(words[2].word == "c");
  CHECK(words[2].map.values == std::vector<float>{4});
  const std::vector<albef::RealBox> boxes{{0, 0, 2, 2}, {0, 0, 1, 1}};
  CHECK(albef::grounding_text(found, tokenizer, boxes) ==
        "ab c\n"
        "  (all)          largest at (0, 0)\n"
        "  ab             largest at (0, 0)\n"
        "  c              largest at (0, 0)\n"
        "  1. box 0,0,2,2  score 1.00\n"
        "  2. box 0,0,1,1  score 0.50\n");
}

TEST_CASE("grounding: boxes as text") {
  const auto box = albef::parse_box("1,2.5,3,4", 10, 10);
  CHECK(box.x == 1);
  CHECK(box.y == 2.5);
  CHECK(box.width == 3);
  CHECK(box.height == 4);
  for (const char* wrong : {"1,2,3", "1,2,3,4,5", "a", "", "1,2,3,4x"})
    CHECK_THROWS_WITH_AS(albef::parse_box(wrong, 10, 10),
                         doctest::Contains("expected x,y,width,height in pixels"), Error);
  CHECK_THROWS_WITH_AS(albef::parse_box("8,0,3,1", 10, 10),
                       doctest::Contains("outside the picture of 10 x 10"), Error);
}

TEST_CASE("grounding: expressions are evaluated by split, as each alone, and by layer") {
  const Corpus corpus(5);
  const albef::GroundingSet set(corpus.files());
  REQUIRE(set.size() == 5);
  Bench bench;
  std::vector<albef::GroundedText> seen;
  const auto result = albef::evaluate_grounding(bench.session, set, -1, {.batch_size = 2},
                                                [&](std::size_t i, albef::GroundedText found) {
                                                  CHECK(i == seen.size());
                                                  seen.push_back(std::move(found));
                                                });
  REQUIRE(seen.size() == 5);
  albef::GroundingMetrics first, second;
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(seen[i].text == "pic " + std::to_string(i));
    CHECK(seen[i].maps.size() == seen[i].tokens.size());
    CHECK(seen[i].width == 12);
    (i % 2 ? second : first)
        .add(albef::resized(seen[i].sentence, 12, 12), set.target(i).box, set.target(i).candidates);
  }
  REQUIRE(result.splits.size() == 3);
  CHECK(result.json() == nlohmann::ordered_json{{"all", result.all().json()},
                                                {"testA", first.json()},
                                                {"testB", second.json()},
                                                {"records", 5},
                                                {"skipped", 0}});
  CHECK(result.all().expressions == 5);
  CHECK(result.all().ranked == 5);
  CHECK(result.splits.at("testA").expressions == 3);
  const std::string rows = albef::grounding_rows(4, result);
  CHECK(std::count(rows.begin(), rows.end(), '\n') == 3);
  CHECK(rows.starts_with("    4  all                  5 "));

  // A picture alone gives the same maps, up to the rounding of another batch.
  const std::string texts[] = {"Pic 3"};
  const auto alone = albef::ground_texts(bench.session, corpus.picture(3), texts);
  REQUIRE(alone.size() == 1);
  REQUIRE(alone[0].sentence.values.size() == seen[3].sentence.values.size());
  for (std::size_t i = 0; i < alone[0].sentence.values.size(); ++i)
    CHECK(alone[0].sentence.values[i] == doctest::Approx(seen[3].sentence.values[i]).epsilon(1e-3));

  const auto validation = albef::validate_grounding(bench.session, set);
  CHECK(validation.score == result.all().box_accuracy());
  auto expected = result.all().json();
  expected["records"] = 5, expected["skipped"] = 0;
  CHECK(validation.results == expected);

  std::vector<int> layers;
  std::size_t shown = 0;
  const int last = Nano::num_hidden_layers - 1;
  const auto by_layer = albef::evaluate_grounding_layers(
      bench.session, set, {Nano::fusion_layer, last}, {}, [&](auto&&...) { ++shown; },
      [&](int layer, const auto&) { layers.push_back(layer); });
  CHECK(shown == 5);  // of the first layer alone
  CHECK(layers == std::vector<int>{Nano::fusion_layer, last});
  CHECK(by_layer.size() == 2);
  CHECK(by_layer.contains(albef::concat("layer ", last)));
}

TEST_CASE("grounding: one split stands for all, and without boxes only pointing is measured") {
  albef::GroundingResult result;
  albef::GroundingMetrics m;
  m.expressions = 4, m.pointed = 3;
  result.splits = {{"val", m}, {"all", m}};
  result.skipped = {5, 1, 0};
  CHECK(result.json().dump() ==
        R"({"val":{"expressions":4,"pointing_accuracy":0.75},"records":5,"skipped":1})");
  CHECK(albef::grounding_rows(8, result) ==
        "    8  val                  4     75.0        -        -\n"
        "  skipped 1 of 5 records (20.0 %)\n");
  CHECK(m.score() == 0.75);
  CHECK(albef::GroundingResult{}.all().expressions == 0);
}

TEST_CASE("grounding: pictures of another size than the corpus says are named") {
  const Corpus corpus(2, 13);
  const albef::GroundingSet set(corpus.files());
  Bench bench;
  CHECK_THROWS_WITH_AS(
      albef::evaluate_grounding(bench.session, set),
      doctest::Contains("has 12 x 12 pixels, its entry among the instances says 13 x 13"), Error);
}

TEST_CASE("grounding: expressions that cannot be used are left out, the others as they were") {
  const Corpus corpus(4);
  Bench bench;
  const albef::GroundingSet whole(corpus.files());
  std::vector<albef::GroundedText> expected;
  const auto keep = [&](std::size_t, albef::GroundedText f) { expected.push_back(std::move(f)); };
  albef::evaluate_grounding(bench.session, whole, -1, {.batch_size = 1}, keep);
  albef::write_file(corpus.picture(1), "no picture");
  std::vector<std::string> told;
  const auto note = [&](const std::string& message) { told.push_back(message); };
  albef::GroundingSet set(corpus.files(), albef::BadRecords(0.5, note));
  std::vector<std::size_t> seen;
  const auto compare = [&](std::size_t i, const albef::GroundedText& found) {
    seen.push_back(i);
    CHECK(found.text == expected[i].text);
    CHECK(found.sentence.values == expected[i].sentence.values);
  };
  const auto result = albef::evaluate_grounding(bench.session, set, -1, {.batch_size = 1}, compare);
  CHECK(seen == std::vector<std::size_t>{0, 2, 3});
  CHECK(result.all().expressions == 3);
  CHECK(result.skipped.records == 4);
  CHECK(result.skipped.skipped == 1);
  set.check_pictures();
  CHECK(set.bad.has(1));
  CHECK(albef::validate_grounding(bench.session, set).results["skipped"] == 1);
  REQUIRE(told.size() == 2);
  CHECK(told[0].find("record 1") != std::string::npos);
  albef::GroundingSet strict(corpus.files(), albef::evaluation_records(true));
  CHECK_THROWS_WITH_AS(strict.check_pictures(), doctest::Contains("an unusable record: "), Error);
}

TEST_CASE("grounding: settings of a run neither mirror nor crop, and validate on a corpus") {
  const Corpus corpus(3);
  albef::GroundingSettings settings;
  settings.complete<albef::Base>();
  CHECK(settings.flip == 0);
  CHECK_FALSE(settings.use_crop);
  CHECK(settings.train.epochs == 5);
  CHECK(settings.train.lr == 1e-5);
  CHECK(settings.layer == 8);
  CHECK(settings.validation_set() == nullptr);
  albef::GroundingSettings official;
  official.official = true;
  official.complete<albef::Base>();
  CHECK(official.flip == 0.5f);

  const auto files = corpus.files();
  settings.data = settings.val = files.expressions;
  CHECK(settings.source()->size() == 3);
  CHECK_THROWS_WITH_AS(settings.validation_set(), doctest::Contains("--val needs --refs"), Error);
  settings.targets = {.refs = files.refs, .instances = files.instances};
  const auto val = settings.validation_set();
  REQUIRE(val);
  CHECK(val->size() == 3);
  CHECK(val->target(0).candidates.empty());
}

}  // namespace grounding_evaluation_test
