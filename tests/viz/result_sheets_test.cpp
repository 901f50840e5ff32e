// Sheets of results: answers of retrieval and search marked, located expressions with their boxes.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "../tasks/grounding_files.hpp"
#include "albef/viz/grounding_sheet.hpp"
#include "albef/viz/retrieval_sheet.hpp"

namespace result_sheets_test {

using albef::Mark;
using train_test::TemporaryFolder;

TEST_CASE("retrieval sheet: answers are marked where the query is of the pool") {
  const auto source = train_test::pictures(4);
  const auto set = albef::retrieval_set(*source);
  albef::PoolItems items(*source, set);
  const std::vector<albef::Answer> answers{{2, 0.5f, 0}, {1, 0.25f, 0}};
  const auto row = items.pictures_for(items.text(1), answers, 1);
  REQUIRE(row.answers.size() == 2);
  CHECK(row.item.text == "pic 1 of x");
  CHECK(row.answers[0].mark == Mark::wrong);
  CHECK(row.answers[1].mark == Mark::right);
  CHECK(row.answers[1].score == 0.25);
  CHECK(row.answers[1].item.text == "pic 1 of x");
  CHECK(row.answers[1].item.image.width == 12);
  const auto texts = items.texts_for(items.image(2), answers, 2);
  CHECK(texts.item.image.rgb == row.answers[0].item.image.rgb);  // read once
  CHECK(texts.answers[0].mark == Mark::right);
  CHECK(texts.answers[1].mark == Mark::wrong);
  CHECK_FALSE(texts.answers[0].item.image);
  for (const auto& a : items.pictures_for({.text = "else"}, answers).answers)
    CHECK(a.mark == Mark::none);
}

TEST_CASE("retrieval and search sheets are written") {
  const TemporaryFolder folder;
  const auto source = train_test::pictures(3);
  const auto set = albef::retrieval_set(*source);
  albef::RetrievalResult result;
  result.images = result.texts = 3;
  result.itm_i2t = result.itm_t2i = {3, 1, 2, 1, 3, 2, 1, 2, 3};
  albef::write_retrieval_sheet(folder / "few.png", "pics", *source, set, result, 1);
  albef::write_retrieval_sheet(folder / "all.png", "pics", *source, set, result, 9);
  const auto few = albef::load_image(folder / "few.png"),
             all = albef::load_image(folder / "all.png");
  CHECK(all.height > few.height);
  CHECK(all.width == few.width);

  const albef::SearchQueries queries{{"pic"}, {}};
  albef::write_search_sheet(folder / "text.png", *source, set, queries, {{{{1, 2, 0.5f}}}, {}});
  CHECK(albef::load_image(folder / "text.png").height > 0);
}

TEST_CASE("grounding sheet: the best box is marked, maps have a row for every word") {
  const grounding_test_files::Corpus corpus(4);
  const albef::GroundingSet set(corpus.files());
  const auto& tokenizer = train_test::tokenizer();
  albef::GroundedText found;
  found.text = "p c";
  found.tokens = {tokenizer.id("[CLS]"), tokenizer.id("p"), tokenizer.id("c")};
  // The largest value is in the right lower quarter, where only the second box is.
  found.maps.assign(3, {2, {0, 0, 0, 1}});
  found.sentence = found.maps.front();
  found.width = found.height = 12;
  albef::GroundingExamples shown(set, 2);
  for (std::size_t i = 0; i < 4; ++i) shown(i, found);
  CHECK(shown.sheets().size() == 2);
  const auto boxes = shown.sheets().boxes();
  REQUIRE(boxes.size() == 2);
  CHECK(boxes[0].boxes.size() == 3);
  CHECK(boxes[0].boxes[0].x == 6);
  CHECK(boxes[0].boxes[0].score == 1);
  CHECK(boxes[0].boxes[1].score < 1);
  CHECK(boxes[0].mark == Mark::wrong);
  CHECK(boxes[1].truth->x == 2);  // of expression 2: evenly spread
  CHECK(boxes[0].pointed->x > 6);
  CHECK(boxes[0].picture.width == 12);

  albef::GroundingSheets sheets;
  const std::vector<albef::RealBox> one{{6, 6, 6, 6}};
  albef::GroundingTarget target;
  target.box = {6, 6, 6, 6}, target.candidates = one;
  sheets.add(albef::load_image(corpus.picture(0)), found, target);
  sheets.add(albef::load_image(corpus.picture(0)), found);
  CHECK(sheets.boxes()[0].mark == Mark::right);
  CHECK(sheets.boxes()[1].boxes.empty());
  CHECK_FALSE(sheets.boxes()[1].truth);
  const auto maps = sheets.heat_maps(tokenizer);
  REQUIRE(maps.size() == 2);
  REQUIRE(maps[0].rows.size() == 3);
  CHECK(maps[0].rows[0].word == "(all)");
  CHECK(maps[0].rows[2].word == "c");
  CHECK(maps[0].rows[2].map.rows == 2);

  const TemporaryFolder folder;
  shown.write(folder / "boxes.png", folder / "maps.png", tokenizer);
  CHECK(albef::load_image(folder / "boxes.png").width > 500);
  CHECK(albef::load_image(folder / "maps.png").height > 0);
}

}  // namespace result_sheets_test
