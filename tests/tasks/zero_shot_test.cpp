// Zero-shot classification: prompts, features of classes, scores.
#include "albef/tasks/zero_shot.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/models/albef.hpp"
#include "train/nano_training.hpp"

namespace zero_shot_test {

using Strings = std::vector<std::string>;

TEST_CASE("zero-shot: prompts of a file") {
  train_test::TemporaryFolder folder;
  const auto read = [&](const std::string& text) {
    albef::write_file(folder / "prompts.txt", text);
    return albef::read_prompts(folder / "prompts.txt");
  };
  const auto prompts = read("a {}\r\n\n{} and {}");
  CHECK(prompts == Strings{"a {}", "{} and {}"});
  CHECK(albef::prompts_of("cat", prompts) == Strings{"a cat", "cat and cat"});
  CHECK_THROWS_WITH_AS(
      read("a {}\na cat\n"),
      (folder / "prompts.txt:2: the prompt 'a cat' has no place {} for the name of the class")
          .c_str(),
      albef::Error);
  CHECK_THROWS_WITH_AS(read("\n"), (folder / "prompts.txt: there is no prompt").c_str(),
                       albef::Error);
}

TEST_CASE("zero-shot: a class is the mean of its prompts, a picture of the nearest class") {
  albef::Cpu cpu(1);
  train_test::Training training(cpu);
  albef::Session session(training, train_test::tokenizer());
  const Strings classes{"a b", "pic", "c 9"}, prompts{"x {}", "{}"};
  const auto features = albef::class_features(session, classes, prompts);
  const auto texts = albef::text_features(session, Strings{"x pic", "pic"});
  const std::size_t width = albef::Nano::embed_dim;
  double square = 0;
  for (std::size_t j = 0; j < width; ++j) square += std::pow(texts[j] + texts[width + j], 2);
  for (std::size_t j = 0; j < width; ++j)
    CHECK(features[width + j] ==
          doctest::Approx((texts[j] + texts[width + j]) / std::sqrt(square)).epsilon(1e-5));

  const auto source = train_test::pictures(4);
  const std::vector<std::uint32_t> records{3, 1};
  const auto scores = albef::zero_shot(session, *source, records, features, 3);
  REQUIRE(scores.pictures() == 2);
  const auto images = albef::image_features(session, *source, records);
  double similarity = 0;
  for (std::size_t j = 0; j < width; ++j) similarity += images[width + j] * features[2 * width + j];
  CHECK(scores.of(1)[2] == doctest::Approx(similarity).epsilon(1e-5));
  CHECK(scores.nearest(0, 9).size() == 3);
  const std::vector<std::int32_t> labels{scores.nearest(0, 1)[0], scores.nearest(1, 2)[1]};
  CHECK(scores.accuracy(labels, 1) == 0.5);
  CHECK(scores.accuracy(labels, 2) == 1);
}

}  // namespace zero_shot_test
