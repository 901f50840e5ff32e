// Resizing position embeddings: invariants and errors (values: golden case).
#include "albef/core/interpolate_pos_embed.hpp"

#include <doctest/doctest.h>

using albef::interpolate_pos_embed;

TEST_CASE("interpolate_pos_embed: equal grid unchanged, class row kept, constants stay constant") {
  std::vector<float> table{7, 8};  // class token
  for (int i = 0; i < 9; ++i) table.insert(table.end(), {3.0f, static_cast<float>(i % 3)});
  const std::span<const float> view = table;
  CHECK(interpolate_pos_embed(view, 2, 3) == table);

  const auto larger = interpolate_pos_embed(view, 2, 6);
  REQUIRE(larger.size() == 37 * 2);
  CHECK(larger[0] == 7);
  CHECK(larger[1] == 8);
  for (std::size_t row = 1; row < 37; ++row) {
    CHECK(larger[2 * row] == doctest::Approx(3));
    if (row % 6 != 0) CHECK(larger[2 * row + 1] < larger[2 * row + 3]);  // still grows with x
  }
}

TEST_CASE("interpolate_pos_embed: height and width apart") {
  std::vector<double> table{9, 9};  // the class token, then row + 10 * column and its negative
  for (int y = 0; y < 3; ++y)
    for (int x = 0; x < 2; ++x) table.insert(table.end(), {y + 10.0 * x, -y - 10.0 * x});
  const std::span<const double> view(table);
  CHECK(interpolate_pos_embed(view, 2, albef::GridResize{3, 2, 3, 2}) == table);
  // A side that stays as it is keeps its values: every second column is one of the table's.
  const auto wide = interpolate_pos_embed(view, 2, albef::GridResize{3, 2, 3, 6});
  REQUIRE(wide.size() == 2 * 19);
  for (std::size_t y = 0; y < 3; ++y)
    for (std::size_t x = 0; x < 2; ++x) {
      const std::size_t at = 2 * (1 + 6 * y + 3 * x + 1);
      CHECK(wide[at] == doctest::Approx(table[2 * (1 + 2 * y + x)]));
      CHECK(wide[at + 1] == -wide[at]);
    }
  CHECK_THROWS_WITH_AS(interpolate_pos_embed(view, 2, albef::GridResize{2, 2, 3, 2}),
                       "interpolate_pos_embed: 7 rows, expected a class token and 2 x 2 patches",
                       albef::Error);
}

TEST_CASE("interpolate_pos_embed names what does not fit") {
  const std::vector<double> table(12);
  const std::span<const double> view = table;
  CHECK_THROWS_WITH_AS(interpolate_pos_embed(view, 2, 3), doctest::Contains("6 rows"),
                       albef::Error);
  CHECK_THROWS_WITH_AS(interpolate_pos_embed(view, 5, 3), doctest::Contains("12 values"),
                       albef::Error);
  CHECK_THROWS_AS(interpolate_pos_embed(view, 12, 3), albef::Error);  // the class row only
  CHECK_THROWS_AS(interpolate_pos_embed(view, 2, 0), albef::Error);
}
