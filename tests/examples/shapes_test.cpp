// Generated pictures of three boxes: what they show, and whether what is said about them is right.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "datasets/shape_texts.hpp"

using namespace examples;

namespace {

ShapePicture picture(std::uint64_t number) {
  albef::RandomStream random(3, number);
  return draw_shapes(random);
}
std::string name(ShapeColor c) { return std::string(shape_colors[static_cast<std::size_t>(c)]); }
std::string name(ShapeKind k) { return std::string(shape_kinds[static_cast<std::size_t>(k)]); }

/// The number that a word or digit stands for.
int number(const std::string& word) {
  const std::vector<std::string> words{"no", "one", "two", "three", "four", "five", "six", "seven"};
  const auto found = std::find(words.begin(), words.end(), word);
  return found == words.end() ? std::stoi(word) : static_cast<int>(found - words.begin());
}

/// Whether a statement of some of the forms is true, found another way; none for other forms.
std::optional<bool> truth(const ShapePicture& shown, const std::string& text) {
  std::smatch m;
  const auto boxes = [&](auto&& holds) {
    return static_cast<int>(std::count_if(shown.boxes.begin(), shown.boxes.end(), holds));
  };
  const auto color_at = [](const ShapeBox& b, const std::string& end, const std::string& color) {
    return name((end == "top" ? b.back() : b.front()).color) == color;
  };
  if (std::regex_match(text, m, std::regex("there (?:is|are) exactly (\\w+) (\\w+) (\\w+?)s?"))) {
    int count = 0;
    const bool block = m.str(3) == "block" || m.str(3) == "item" || m.str(3) == "object";
    if (!block && m.str(3) != "circle" && m.str(3) != "square" && m.str(3) != "triangle") return {};
    if (m.str(2) == "small" || m.str(2) == "big") return {};
    for (const ShapeBox& box : shown.boxes)
      for (const Shape& s : box)
        count += name(s.color) == m.str(2) && (block || name(s.kind) == m.str(3));
    return count == number(m.str(1));
  }
  if (std::regex_match(text, m,
                       std::regex("there is a tower with a (\\w+) block at the (top|base)")))
    return boxes([&](auto& b) { return color_at(b, m.str(2), m.str(1)); }) > 0;
  if (std::regex_match(text, m, std::regex("there is a box with exactly (\\w+) (item|object)s?")))
    return boxes([&](auto& b) { return static_cast<int>(b.size()) == number(m.str(1)); }) > 0;
  if (std::regex_match(text, m, std::regex("there is a (\\w+) block on a (\\w+) block")))
    return boxes([&](const ShapeBox& b) {
             for (std::size_t i = 1; i < b.size(); ++i)
               if (name(b[i].color) == m.str(1) && name(b[i - 1].color) == m.str(2)) return true;
             return false;
           }) > 0;
  if (std::regex_match(text, m, std::regex("there is a (\\w+) touching the base"))) {
    int count = 0;
    for (const ShapeBox& box : shown.boxes)
      for (const Shape& s : box)
        count += s.y + s.size == 100 &&
                 (name(s.kind) == m.str(1) || m.str(1) == "item" || m.str(1) == "object");
    return count > 0;
  }
  return {};
}

}  // namespace

TEST_CASE("shapes: boxes hold shapes apart from each other, or towers") {
  int towers = 0, walls = 0, corners = 0;
  for (std::uint64_t n = 0; n < 300; ++n) {
    const ShapePicture shown = picture(n);
    towers += shown.towers;
    for (const ShapeBox& box : shown.boxes) {
      REQUIRE(box.size() >= 1);
      CHECK(box.size() <= (shown.towers ? 4u : 7u));
      for (std::size_t i = 0; i < box.size(); ++i) {
        const Shape& a = box[i];
        CHECK(a.x >= 0);
        CHECK(a.y >= 0);
        CHECK(a.x + a.size <= 100);
        CHECK(a.y + a.size <= 100);
        if (!shown.towers) walls += a.at_wall(), corners += a.at_corner();
        if (shown.towers) CHECK(a.y == 80 - 21 * static_cast<int>(i));
        for (std::size_t j = 0; j < i; ++j) {
          const Shape& b = box[j];
          CHECK((a.x + a.size < b.x || b.x + b.size < a.x || a.y + a.size < b.y ||
                 b.y + b.size < a.y));
        }
      }
    }
  }
  CHECK(towers > 150);
  CHECK(towers < 250);
  CHECK(walls > 100);
  CHECK(corners > 10);
}

TEST_CASE("shapes: a shuffled picture has the same shapes in other places") {
  const auto kinds = [](const ShapePicture& shown) {
    std::multiset<std::string> all;
    for (const ShapeBox& box : shown.boxes)
      for (const Shape& s : box)
        all.insert(albef::concat(name(s.color), " ", name(s.kind), " ", s.size));
    return all;
  };
  int moved = 0;
  for (std::uint64_t n = 0; n < 100; ++n) {
    const ShapePicture shown = picture(n);
    albef::RandomStream random(4, n);
    const ShapePicture other = shuffle_shapes(random, shown);
    CHECK(other.towers == shown.towers);
    CHECK(kinds(other) == kinds(shown));
    for (std::size_t i = 0; i < 3; ++i) {
      const ShapeBox& box = other.boxes[i];
      REQUIRE(!box.empty());
      moved += box.size() != shown.boxes[i].size();
      if (other.towers)
        for (std::size_t j = 0; j < box.size(); ++j)
          CHECK(box[j].y == 80 - 21 * static_cast<int>(j));
    }
    albef::RandomStream first(9, n), second(9, n);  // the same statements, with a truth for each
    const auto a = ShapeTexts(first, shown).statements(30);
    const auto b = ShapeTexts(second, other).statements(30);
    int differ = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      CHECK(a[i].text == b[i].text);
      differ += a[i].label != b[i].label;
      if (const auto expected = truth(other, b[i].text)) CHECK((b[i].label == "True") == *expected);
    }
    CHECK(differ < 30);
  }
  CHECK(moved > 150);
}

TEST_CASE("shapes: pictures of boxes show each shape in its color") {
  const ShapeBox box{{ShapeColor::yellow, ShapeKind::square, 10, 20, 10},
                     {ShapeColor::blue, ShapeKind::circle, 40, 40, 20},
                     {ShapeColor::black, ShapeKind::triangle, 70, 70, 30}};
  const albef::Image image = render(box);
  const auto is = [&](int x, int y, int r, int g, int b) {
    const std::uint8_t* p = image.pixel(x, y);
    return p[0] == r && p[1] == g && p[2] == b;
  };
  CHECK(is(0, 0, 211, 211, 211));
  CHECK(is(10, 20, 255, 255, 0));
  CHECK(is(19, 29, 255, 255, 0));
  CHECK(is(20, 29, 211, 211, 211));
  CHECK(is(50, 50, 0, 153, 255));
  CHECK(is(40, 40, 211, 211, 211));  // a corner of the circle's square
  CHECK(is(72, 99, 0, 0, 0));
  CHECK(is(71, 71, 211, 211, 211));
  CHECK(is(85, 80, 0, 0, 0));
}

TEST_CASE("shapes: statements are right about their picture and say nothing without it") {
  Balance balance;
  std::map<std::string, std::pair<int, int>> labels;  // of a text: true, false
  int checked = 0, truths = 0, all = 0;
  for (std::uint64_t n = 0; n < 1500; ++n) {
    const ShapePicture shown = picture(n);
    albef::RandomStream random(5, n);
    ShapeTexts texts(random, shown);
    for (const Statement& s : balance.choose(random, texts.statements(60), 6)) {
      const bool is_true = s.label == "True";
      ++(is_true ? labels[s.text].first : labels[s.text].second);
      ++all, truths += is_true;
      const auto expected = truth(shown, s.text);
      if (!expected) continue;
      CAPTURE(s.text);
      CHECK(is_true == *expected);
      ++checked;
    }
  }
  CHECK(checked > 100);
  CHECK(all > 7000);
  CHECK(truths > all * 2 / 5);
  CHECK(truths < all * 3 / 5);
  int lead = 0;
  for (const auto& [text, n] : labels) lead = std::max(lead, std::abs(n.first - n.second));
  CHECK(lead <= 3);  // of no text does one label lead by more
}

TEST_CASE("shapes: questions have the answers that the picture gives, captions name its boxes") {
  std::set<std::string> types;
  int checked = 0;
  for (std::uint64_t n = 0; n < 400; ++n) {
    const ShapePicture shown = picture(n);
    albef::RandomStream random(6, n);
    ShapeTexts texts(random, shown);
    for (const Question& q : texts.questions(6)) {
      types.insert(q.type);
      std::smatch m;
      if (std::regex_match(q.text, m, std::regex("how many (blocks|items) are in the first .*"))) {
        CHECK(q.answer == std::to_string(shown.boxes[0].size()));
        ++checked;
      }
      if (q.text == "what is the color of the block at the top of the second tower?") {
        CHECK(q.answer == name(shown.boxes[1].back().color));
        ++checked;
      }
    }
    const std::string caption = texts.caption();
    if (shown.towers)
      CHECK(caption.starts_with("first tower " + name(shown.boxes[0][0].color)));
    else
      CHECK(caption.starts_with("the "));
  }
  CHECK(checked > 50);
  CHECK(types == std::set<std::string>{"color", "count", "place", "shape", "towers"});
}
