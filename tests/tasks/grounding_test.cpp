// From heat maps to places: resizing, boxes, pointing.
#include "albef/tasks/grounding.hpp"

#include <doctest/doctest.h>

namespace grounding_test {

using albef::HeatMap;
using albef::PixelMap;
using albef::RealBox;

TEST_CASE("grounding: a resized map keeps constants, its own size, and torch's bicubic values") {
  const HeatMap map{2, {1, 2, 3, 4}};
  CHECK(albef::resized(map, 2, 2).values == map.values);
  const auto wide = albef::resized(map, 4, 2);
  // torch.nn.functional.interpolate([[1, 2], [3, 4]], size=(2, 4), mode="bicubic")
  const double expected[] = {0.89453125, 1.2265625, 1.7734375, 2.10546875};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(static_cast<double>(wide.values[i]) == doctest::Approx(expected[i]).epsilon(1e-6));
    CHECK(static_cast<double>(wide.values[4 + i]) ==
          doctest::Approx(expected[i] + 2).epsilon(1e-6));
  }
  for (const float v : albef::resized({3, std::vector<float>(9, 2.5f)}, 7, 5).values)
    CHECK(v == doctest::Approx(2.5f));
}

TEST_CASE("grounding: overlap, scores, ranking and pointing") {
  CHECK(albef::box_iou({0, 0, 4, 4}, {0, 0, 4, 4}) == 1);
  CHECK(albef::box_iou({0, 0, 4, 4}, {2, 0, 4, 4}) == doctest::Approx(8.0 / 24));
  CHECK(albef::box_iou({0, 0, 4, 4}, {4, 0, 4, 4}) == 0);
  CHECK(albef::box_iou({0, 0, 4, 4}, {3, 3, 4, 4}) == 0);  // one pixel: the official convention
  PixelMap map{6, 4, std::vector<float>(24, 0.0f)};
  map.values[1 * 6 + 4] = 4;  // x 4, y 1
  map.values[2 * 6 + 0] = 1;
  const std::vector<RealBox> boxes{{0, 2, 2, 2}, {3, 0, 3, 3}, {4, 1, 1, 1}, {0, 0, 6, 4}};
  CHECK(albef::box_score(map, boxes[1]) == doctest::Approx(4.0 / 3));
  CHECK(albef::box_score(map, boxes[1], 0) == 4);
  CHECK(albef::rank_boxes(map, boxes) == std::vector<int>{2, 1, 3, 0});
  CHECK(albef::rank_boxes(map, boxes, 0) == std::vector<int>{3, 1, 2, 0});
  CHECK(albef::points_into(map, boxes[2]));
  CHECK(albef::points_into(map, {albef::peak(map).x - 0.5, albef::peak(map).y - 0.5, 1, 1}));
  CHECK_FALSE(albef::points_into(map, boxes[0]));
  CHECK_THROWS_WITH_AS(albef::box_score(map, {3, 0, 4, 2}),
                       doctest::Contains("at (3, 0) is empty or outside the picture of 6 x 4"),
                       albef::Error);
}

TEST_CASE("grounding: metrics over expressions, with and without boxes to choose from") {
  PixelMap map{6, 4, std::vector<float>(24, 0.0f)};
  map.values[1 * 6 + 4] = 4;  // x 4, y 1
  const std::vector<RealBox> candidates{{0, 2, 2, 2}, {3, 0, 3, 3}};
  albef::GroundingMetrics m;
  CHECK(m.pointing_accuracy() == 0);
  m.add(map, {3, 0, 3, 3}, candidates);
  m.add(map, {3, 0, 3, 2}, candidates);  // two thirds of the best box
  m.add(map, {4, 1, 1, 1}, candidates);
  m.add(map, {0, 0, 2, 2});
  CHECK(m.expressions == 4);
  CHECK(m.ranked == 3);
  CHECK(m.pointing_accuracy() == 0.75);
  CHECK(m.box_accuracy() == doctest::Approx(2.0 / 3));
}

}  // namespace grounding_test
