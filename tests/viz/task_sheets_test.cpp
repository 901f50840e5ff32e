// Drawings of what the tasks' models did: heat maps, questions with answers, ranked boxes.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "albef/viz/box_sheet.hpp"
#include "albef/viz/heat_map.hpp"
#include "albef/viz/question_sheet.hpp"

using albef::Canvas;
using albef::Error;
using albef::HeatGrid;
using albef::ImageView;
using albef::Mark;
using albef::RgbPicture;

namespace {

RgbPicture plain(int width, int height, std::uint8_t level) {
  return {width, height,
          std::vector<std::uint8_t>(static_cast<std::size_t>(3 * width * height), level)};
}
int channel(const RgbPicture& picture, int x, int y, int c) {
  return picture.rgb[static_cast<std::size_t>(3 * (y * picture.width + x) + c)];
}
/// Pixels close to a colour.
int count(const Canvas& canvas, albef::Color color) {
  const auto rgb = canvas.rgb();
  const double want[] = {255 * color.r, 255 * color.g, 255 * color.b};
  int near = 0;
  for (std::size_t i = 0; i < rgb.size(); i += 3) {
    bool is_near = true;
    for (std::size_t c = 0; c < 3; ++c) is_near = is_near && std::abs(rgb[i + c] - want[c]) < 10;
    near += is_near;
  }
  return near;
}

}  // namespace

TEST_CASE("heat map: red where it is largest, the picture where it is nothing") {
  const RgbPicture grey = plain(80, 40, 100);
  HeatGrid map{{0, 0, 0, 0, 0, 0, 0, 5}, 2, 4};  // the lower right cell
  const RgbPicture out = albef::overlay_heat(grey, map);
  CHECK(out.width == 80);
  CHECK(out.height == 40);
  CHECK(channel(out, 75, 35, 0) > 110);
  CHECK(channel(out, 75, 35, 2) < 20);
  for (int c = 0; c < 3; ++c) CHECK(channel(out, 5, 5, c) == 100);

  map.values[7] = 0.01f;  // only ratios matter
  CHECK(albef::overlay_heat(grey, map).rgb == out.rgb);
  const HeatGrid nothing{{0, -1, 0, std::numeric_limits<float>::quiet_NaN()}, 2, 2};
  CHECK(albef::overlay_heat(grey, nothing).rgb == grey.rgb);
  const HeatGrid everywhere{{3}, 1, 1};
  const RgbPicture red = albef::overlay_heat(grey, everywhere);
  CHECK(channel(red, 0, 0, 0) == 128);
  CHECK(channel(red, 79, 39, 0) == 128);
  CHECK(channel(red, 40, 20, 1) == 0);

  map.values.pop_back();
  CHECK_THROWS_WITH_AS(albef::overlay_heat(grey, map), "heat map of 2 x 4 cells has 7 values",
                       Error);
  CHECK_THROWS_AS(albef::overlay_heat(ImageView{}, everywhere), Error);
}

TEST_CASE("heat map: a sheet has a row for every word") {
  const RgbPicture grey = plain(30, 30, 100);
  const HeatGrid map{{0, 1, 0, 0}, 2, 2};
  std::vector<albef::HeatExample> examples{{grey, "a cat", {{"a", map}, {"cat", map}}}};
  const Canvas two = albef::draw_heat_sheet(examples, {.cell = 60});
  examples[0].rows.push_back({"here", map});
  const Canvas three = albef::draw_heat_sheet(examples, {.cell = 60});
  CHECK(three.height() - two.height() >= 60);
  CHECK(three.width() == two.width());
  examples.push_back(examples[0]);
  const Canvas wide = albef::draw_heat_sheet(examples, {.title = "t", .cell = 60});
  CHECK(wide.width() > 1.7 * three.width());
  CHECK_THROWS_AS(albef::draw_heat_sheet({}), Error);
}

TEST_CASE("question sheet: right answers are green, wrong ones red beside the truth") {
  const RgbPicture grey = plain(30, 30, 100);
  std::vector<albef::QuestionEntry> entries{
      {{grey}, {{"how many cats are there?", "two", "", 0.9, Mark::right}}}};
  const Canvas right = albef::draw_question_sheet(entries, {.cell = 60});
  CHECK(count(right, albef::colors::green) > 10);
  CHECK(count(right, albef::colors::red) == 0);
  entries[0].lines[0] = {"how many cats are there?", "two", "three", 0.9, Mark::wrong};
  const Canvas wrong = albef::draw_question_sheet(entries, {.cell = 60});
  CHECK(count(wrong, albef::colors::red) > 10);
  CHECK(count(wrong, albef::colors::green) > 10);
  CHECK(count(wrong, {100 / 255.0, 100 / 255.0, 100 / 255.0}) > 3400);  // the picture, 60 x 60

  entries[0].pictures.push_back(grey);
  CHECK(albef::draw_question_sheet(entries, {.cell = 60}).width() - wrong.width() >= 60);
  for (int i = 0; i < 4; ++i) entries.push_back(entries[0]);
  CHECK(albef::draw_question_sheet(entries, {.cell = 60, .columns = 2}).height() >
        2.5 * wrong.height());
  CHECK_THROWS_AS(albef::draw_question_sheet({}), Error);
}

TEST_CASE("box sheet: the best box stands out, boxes scale with the picture") {
  const RgbPicture grey = plain(50, 100, 100);
  const albef::DrawnBox best{10, 10, 20, 40, 0.8}, other{30, 60, 15, 30, 0.1};
  albef::BoxEntry entry{grey, "the left cat", {best, other}, best, albef::Point{20, 30}};
  entry.mark = Mark::right;
  Canvas canvas(200, 200);
  entry.truth.reset();
  albef::draw_boxes(canvas, 0, 0, 200, entry, 5);
  const auto rgb = canvas.rgb();
  const auto at = [&](int x, int y) { return &rgb[static_cast<std::size_t>(3 * (y * 200 + x))]; };
  // 50 x 100 becomes 100 x 200 from x = 50: the best box is at x 70 .. 110, y 20 .. 100.
  CHECK(at(71, 60)[1] > 1.5 * at(71, 60)[0]);
  CHECK(at(108, 60)[1] > 1.5 * at(108, 60)[0]);
  CHECK(at(90, 80)[0] == 100);
  CHECK(at(120, 60)[0] == 100);
  CHECK(at(10, 60)[0] == 255);  // beside the picture

  entry.mark = Mark::wrong;
  const std::vector<albef::BoxEntry> entries(3, entry);
  const Canvas sheet = albef::draw_box_sheet(entries, {.cell = 120, .columns = 2});
  CHECK(count(sheet, albef::colors::red) > 3 * 100);
  CHECK(count(sheet, albef::colors::green) == 0);
  entry.picture = {};
  CHECK_THROWS_AS(albef::draw_boxes(canvas, 0, 0, 200, entry, 5), Error);

  const std::string path =
      (std::filesystem::temp_directory_path() / "albef_box_sheet_test.png").string();
  albef::write_box_sheet(path, entries);
  CHECK(std::filesystem::file_size(path) > 500);
  std::filesystem::remove(path);
}
