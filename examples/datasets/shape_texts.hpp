// What is said about pictures of shapes in three boxes, in the manner of the first NLVR corpus:
// captions, questions with answers, and statements that are true or false.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/rng.hpp"
#include "datasets/scene_texts.hpp"
#include "datasets/shape_boxes.hpp"

namespace examples {

/// Where a shape lies, as a condition and in words that follow its name.
struct ShapePlace {
  std::string text;
  bool (*holds)(const Shape&);
};

/// Which shapes are meant: those of a color, of a kind, of a size, at a place.
struct ShapeFilter {
  std::optional<ShapeColor> color{};
  std::optional<ShapeKind> kind{};
  std::string noun{};  // of shapes of any kind: "item", "object", "block"
  int size = 0;        // 0: any
  ShapePlace place{"", [](const Shape&) { return true; }};

  bool operator()(const Shape& s) const {
    return (!color || s.color == *color) && (!kind || s.kind == *kind) &&
           (size == 0 || s.size == size) && place.holds(s);
  }
  int count(const ShapeBox& box) const {
    return static_cast<int>(std::count_if(box.begin(), box.end(), *this));
  }
  int count(const ShapePicture& picture) const {
    int sum = 0;
    for (const ShapeBox& box : picture.boxes) sum += count(box);
    return sum;
  }

  /// "small yellow circle touching the wall"; of several: "yellow circles".
  std::string text(bool several = false) const {
    std::string out = size == 10 ? "small " : size == 30 ? "big " : "";
    if (color) out += std::string(shape_colors[static_cast<std::size_t>(*color)]) + ' ';
    const std::string name =
        kind ? std::string(shape_kinds[static_cast<std::size_t>(*kind)]) : noun;
    out += several ? grammar::plural(name) : name;
    return out + (place.text.empty() ? "" : " " + place.text);
  }
  /// "a yellow circle", "an item".
  std::string a() const {
    const std::string words = text();
    return (words[0] == 'i' || words[0] == 'o' ? "an " : "a ") + words;
  }
};

/// How many there are, in words, and the condition.
struct ShapeCount {
  enum Kind { some, plain, exactly, at_least, at_most, more_than, none };
  Kind kind;
  int n = 1;
  bool digits = false;

  bool holds(int count) const {
    switch (kind) {
      case some:
        return count >= 1;
      case exactly:
        return count == n;
      case plain:
      case at_least:
        return count >= n;
      case at_most:
        return count >= 1 && count <= n;
      case more_than:
        return count > n;
      default:
        return count == 0;
    }
  }
  bool several() const { return kind != some && kind != none && n > 1; }
  std::string number() const { return digits ? std::to_string(n) : grammar::number(n); }
  /// "exactly two yellow circles".
  std::string text(const ShapeFilter& filter) const {
    if (kind == some) return filter.a();
    return words() + " " + filter.text(several());
  }
  /// "exactly two", "no"; not of `some`.
  std::string words() const {
    constexpr std::array<const char*, 7> before{"",         "",           "exactly ", "at least ",
                                                "at most ", "more than ", ""};
    return kind == none ? "no" : before[static_cast<std::size_t>(kind)] + number();
  }
};

/// Questions, captions and statements about one picture. The wordings, mistakes in grammar
/// included, are those that are frequent in the training part of the corpus.
class ShapeTexts {
 public:
  ShapeTexts(albef::RandomStream& random, const ShapePicture& picture)
      : random_(random), picture_(picture) {}

  /// The colors of the three towers from their bases up, or the shapes of one of the boxes.
  std::string caption() {
    std::string text;
    if (picture_.towers) {
      for (std::size_t i = 0; i < 3; ++i) {
        text += albef::concat(i == 0 ? "" : ", ", names[i], " tower");
        for (const Shape& block : picture_.boxes[i]) text += albef::concat(" ", color_of(block));
      }
      return text;
    }
    const auto i = static_cast<std::size_t>(random_.below(3));
    std::vector<std::string> items;
    for (const Shape& s : picture_.boxes[i])
      items.push_back(color_of(s) + " " +
                      std::string(shape_kinds[static_cast<std::size_t>(s.kind)]));
    std::sort(items.begin(), items.end());
    for (const std::string& item : items) text += albef::concat(" ", item);
    return albef::concat("the ", names[i], " box has", text);
  }

  /// Questions whose answers are colors, kinds and numbers.
  std::vector<Question> questions(int count) {
    std::vector<Question> out;
    while (static_cast<int>(out.size()) < count) {
      Question q = picture_.towers ? tower_question() : scatter_question();
      const auto same = [&](const Question& other) { return other.text == q.text; };
      if (!q.text.empty() && std::none_of(out.begin(), out.end(), same)) out.push_back(q);
    }
    return out;
  }

  /// Statements of random wording with the labels "True" and "False": from equal streams the same
  /// texts about every picture of towers, or of scattered shapes.
  std::vector<Statement> statements(int count) {
    std::vector<Statement> out;
    std::set<std::string> seen;
    while (static_cast<int>(out.size()) < count) {
      auto [text, truth] = picture_.towers ? tower_statement() : scatter_statement();
      if (!seen.insert(text).second) continue;
      out.push_back({text, truth ? "True" : "False", text});
    }
    return out;
  }

 private:
  static constexpr std::array<const char*, 3> names{"first", "second", "third"};  // of the boxes

  using Claim = std::pair<std::string, bool>;  // a sentence and whether it is true
  /// What boxes can have: words that follow "with" or "that has".
  struct BoxProperty {
    std::string text;
    std::function<bool(const ShapeBox&)> holds;
  };

  template <std::size_t N>
  std::string any(const std::array<const char*, N>& texts) {
    return texts[static_cast<std::size_t>(random_.below(static_cast<int>(N)))];
  }
  ShapeColor any_color() { return static_cast<ShapeColor>(random_.below(3)); }
  static std::string name(ShapeColor c) {
    return std::string(shape_colors[static_cast<std::size_t>(c)]);
  }
  static std::string color_of(const Shape& shape) { return name(shape.color); }
  static int colors(const ShapeBox& box) {
    std::set<ShapeColor> all;
    for (const Shape& shape : box) all.insert(shape.color);
    return static_cast<int>(all.size());
  }

  // How many.

  ShapeCount any_count(int most) {
    using enum ShapeCount::Kind;
    constexpr std::array kinds{some,    some,    plain,    plain,    exactly,   exactly,
                               exactly, exactly, at_least, at_least, more_than, none};
    ShapeCount c{kinds[static_cast<std::size_t>(random_.below(kinds.size()))],
                 1 + std::min(random_.below(most), random_.below(most)), random_.bernoulli(0.3f)};
    if (c.kind == more_than) c.n = std::max(1, c.n - 1);
    return c;
  }
  /// "there are exactly two yellow circles"
  static std::string there(const ShapeCount& count, const ShapeFilter& filter) {
    return (count.several() ? "there are " : "there is ") + count.text(filter);
  }
  /// "there are two boxes"
  static std::string there(const ShapeCount& count, const std::string& noun) {
    ShapeFilter box;
    box.noun = noun;
    return there(count, box);
  }
  int boxes_with(const BoxProperty& property) const {
    return static_cast<int>(
        std::count_if(picture_.boxes.begin(), picture_.boxes.end(), property.holds));
  }
  /// That one box, each box, or a number of boxes has the property. One and each: the words that
  /// come before it.
  template <std::size_t N, std::size_t M>
  Claim boxes_claim(const std::string& noun, const std::array<const char*, N>& one,
                    const std::array<const char*, M>& each, const BoxProperty& property) {
    const int count = boxes_with(property);
    if (random_.bernoulli(0.6f)) return {any(one) + property.text, count >= 1};
    if (random_.bernoulli(0.2f)) return {any(each) + property.text, count == 3};
    const ShapeCount n = any_count(2);
    const bool have = n.several() && random_.bernoulli(0.35f);
    return {there(n, noun) + (have ? " that have " : " with ") + property.text, n.holds(count)};
  }

  // Scattered shapes.

  ShapePlace any_place() {
    static const std::vector<ShapePlace> places{
        {"touching the wall", [](const Shape& s) { return s.at_wall(); }},
        {"touching the edge", [](const Shape& s) { return s.at_wall(); }},
        {"touching any edge", [](const Shape& s) { return s.at_wall(); }},
        {"touching the side", [](const Shape& s) { return s.at_wall(); }},
        {"closely touching a wall of a box", [](const Shape& s) { return s.at_wall(); }},
        {"not touching the edge", [](const Shape& s) { return !s.at_wall(); }},
        {"not touching any edge", [](const Shape& s) { return !s.at_wall(); }},
        {"not touching the wall", [](const Shape& s) { return !s.at_wall(); }},
        {"touching the base", [](const Shape& s) { return s.at_bottom(); }},
        {"closely touching the bottom of a box", [](const Shape& s) { return s.at_bottom(); }},
        {"closely touching right wall of a box", [](const Shape& s) { return s.at_right(); }},
        {"closely touching the roof of a box", [](const Shape& s) { return s.at_top(); }},
        {"touching the corner", [](const Shape& s) { return s.at_corner(); }},
        {"closely touching a corner", [](const Shape& s) { return s.at_corner(); }},
        {"closely touching a corner of a box", [](const Shape& s) { return s.at_corner(); }}};
    return pick(random_, places);
  }
  ShapeFilter any_filter() {
    ShapeFilter f;
    f.noun = any(std::array{"item", "item", "object"});
    if (random_.bernoulli(0.75f)) f.color = any_color();
    if (random_.bernoulli(f.color ? 0.55f : 0.7f))
      f.kind = static_cast<ShapeKind>(random_.below(3));
    if (random_.bernoulli(0.06f)) f.size = random_.bernoulli(0.7f) ? 10 : 30;
    return f;
  }

  BoxProperty scatter_property() {
    const ShapeFilter f = any_filter();
    ShapeFilter items;
    items.noun = f.noun;
    switch (random_.below(10)) {
      case 0:
      case 1:
      case 2: {
        const ShapeCount n = any_count(4);
        return {n.text(f), [=](const ShapeBox& b) { return n.holds(f.count(b)); }};
      }
      case 3:
      case 4: {
        const ShapeFilter g = any_filter();
        const ShapeCount n = any_count(3), m = any_count(3);
        return {n.text(f) + " and " + m.text(g),
                [=](const ShapeBox& b) { return n.holds(f.count(b)) && m.holds(g.count(b)); }};
      }
      case 5: {
        const ShapeCount n{random_.bernoulli(0.6f) ? ShapeCount::exactly : ShapeCount::plain,
                           1 + random_.below(7), random_.bernoulli(0.4f)};
        return {n.text(items),
                [=](const ShapeBox& b) { return static_cast<int>(b.size()) == n.n; }};
      }
      case 6: {
        const ShapeColor c = any_color();
        const auto d = static_cast<ShapeColor>((static_cast<int>(c) + 1 + random_.below(2)) % 3);
        if (random_.bernoulli(0.3f))
          return {albef::concat("only ", name(c), " ", f.noun, "s"), [=](const ShapeBox& b) {
                    return std::all_of(b.begin(), b.end(),
                                       [=](const Shape& s) { return s.color == c; });
                  }};
        const std::string both = name(c) + " and " + name(d);
        return {random_.bernoulli(0.5f) ? "only " + both + " " + f.noun + "s"
                                        : f.noun + "s of only " + both + " color",
                [=](const ShapeBox& b) {
                  return colors(b) == 2 && std::all_of(b.begin(), b.end(), [=](const Shape& s) {
                           return s.color == c || s.color == d;
                         });
                }};
      }
      case 7: {
        const int n = 1 + random_.below(3);
        const std::string number = random_.bernoulli(0.5f) ? std::to_string(n) : grammar::number(n);
        std::string text = n == 3   ? "of all " + number + " different colors"
                           : n == 1 ? "of only " + number + " color"
                                    : "of " + number + " different colors";
        const bool counted = random_.bernoulli(0.4f);
        const ShapeCount total{ShapeCount::plain, n + random_.below(4), random_.bernoulli(0.4f)};
        text = (counted ? total.text(items) : items.text(true)) + " " + text;
        return {text, [=](const ShapeBox& b) {
                  return colors(b) == n && (!counted || static_cast<int>(b.size()) == total.n);
                }};
      }
      case 8: {
        const int n = 2 + random_.below(5), m = 1 + random_.below(3);
        const ShapeCount total{ShapeCount::plain, n, random_.bernoulli(0.3f)},
            part{ShapeCount::plain, m, total.digits};
        ShapeFilter colored;
        colored.color = any_color();
        const std::string are = m == 1 ? " is " : " are ";
        return {total.text(items) + " of which " + part.words() + are + name(*colored.color),
                [=](const ShapeBox& b) {
                  return static_cast<int>(b.size()) == n && colored.count(b) == m;
                }};
      }
      default:
        return {f.a() + " on top", [=](const ShapeBox& b) {
                  return !b.empty() &&
                         f(*std::min_element(b.begin(), b.end(),
                                             [](auto& x, auto& y) { return x.y < y.y; }));
                }};
    }
  }

  Claim scatter_statement() {
    if (random_.bernoulli(0.4f)) {  // about shapes in all boxes
      ShapeFilter f = any_filter();
      if (random_.bernoulli(0.65f)) f.place = any_place();
      const ShapeCount n = any_count(4);
      return {there(n, f), n.holds(f.count(picture_))};
    }
    return boxes_claim("box",
                       std::array{"there is a box with ", "there is a box with ",
                                  "there is a box that has ", "there is 1 box with ",
                                  "one of the grey box has ", "one of the grey square contains "},
                       std::array{"each box has "}, scatter_property());
  }

  Question scatter_question() {
    const auto i = static_cast<std::size_t>(random_.below(3));
    const ShapeBox& box = picture_.boxes[i];
    const std::string in = std::string(" in the ") + names[i] + " box";
    ShapeFilter f = any_filter();
    f.noun = "item";
    switch (random_.below(6)) {
      case 0:
        return {"how many items are" + in + "?", std::to_string(box.size()), "count"};
      case 1: {
        f.place = any_place();
        return {"how many " + f.text(true) + " are there?",
                std::to_string(std::min(10, f.count(picture_))), "place"};
      }
      case 2:
      case 3:
        if (random_.bernoulli(0.5f))
          return {"how many " + f.text(true) + " are there?",
                  std::to_string(std::min(10, f.count(picture_))), "count"};
        return {"how many " + f.text(true) + " are" + in + "?", std::to_string(f.count(box)),
                "count"};
      case 4: {
        const Shape& shape = pick(random_, box);
        f.color = std::nullopt, f.size = 0, f.kind = shape.kind;
        if (f.count(box) != 1) return {};
        return {"what is the color of the " + f.text() + in + "?", color_of(shape), "color"};
      }
      default: {
        const Shape& shape = pick(random_, box);
        f.color = shape.color, f.size = 0, f.kind = std::nullopt;
        if (f.count(box) != 1) return {};
        return {"what is the shape of the " + f.text() + in + "?",
                std::string(shape_kinds[static_cast<std::size_t>(shape.kind)]), "shape"};
      }
    }
  }

  // Towers.

  static bool top_is(const ShapeBox& b, ShapeColor c) { return b.back().color == c; }
  static bool base_is(const ShapeBox& b, ShapeColor c) { return b.front().color == c; }
  static bool has_over(const ShapeBox& b, ShapeColor upper, ShapeColor lower, bool next) {
    for (std::size_t i = 0; i + 1 < b.size(); ++i)
      for (std::size_t j = i + 1; j < b.size() && (!next || j == i + 1); ++j)
        if (b[i].color == lower && b[j].color == upper) return true;
    return false;
  }
  static ShapeFilter block(std::optional<ShapeColor> color = {}) {
    ShapeFilter f;
    f.noun = "block", f.color = color;
    return f;
  }
  /// "two blocks", "exactly three blocks", as a height.
  ShapeCount any_height() {
    using enum ShapeCount::Kind;
    constexpr std::array kinds{plain, plain, exactly, exactly, at_least, at_most, more_than};
    ShapeCount c{kinds[static_cast<std::size_t>(random_.below(kinds.size()))], 1 + random_.below(4),
                 random_.bernoulli(0.2f)};
    if (c.kind == more_than) c.n = std::min(c.n, 3);
    return c;
  }
  static bool is_height(const ShapeCount& c, const ShapeBox& b) {
    const int height = static_cast<int>(b.size());
    return c.kind == ShapeCount::plain ? height == c.n : c.holds(height);
  }

  BoxProperty tower_property() {
    const ShapeColor c = any_color(), d = any_color();
    const std::string at_top = any(std::array{" block at the top", " block at top", " top"});
    const std::string at_base =
        any(std::array{" block at the base", " block at base", " block at the bottom", " base"});
    const auto base = [=](const ShapeBox& b) { return base_is(b, c); };
    const auto top = [=](const ShapeBox& b) { return top_is(b, c); };
    switch (random_.below(11)) {
      case 0:
      case 1:
        return {"a " + name(c) + at_top, top};
      case 2:
      case 3:
        return {"a " + name(c) + at_base, base};
      case 4: {
        const ShapeCount h = any_height();
        return {h.text(block()), [=](const ShapeBox& b) { return is_height(h, b); }};
      }
      case 5: {
        const ShapeCount n = any_count(3);
        const ShapeFilter f = block(c);
        return {n.text(f), [=](const ShapeBox& b) { return n.holds(f.count(b)); }};
      }
      case 6: {
        const ShapeFilter f = block(c), g = block(d);
        const std::string above =
            any(std::array{" above ", " over ", " on ", " on top of ", " directly above "});
        const bool next = above != " above " && above != " over ";
        return {f.a() + above + g.a(), [=](const ShapeBox& b) { return has_over(b, c, d, next); }};
      }
      case 7: {
        const ShapeCount h = any_height();
        const bool upper = random_.bernoulli(0.5f);
        return {h.text(block()) + any(std::array{" with a ", " having a ", " and a "}) + name(c) +
                    (upper ? at_top : at_base),
                [=](const ShapeBox& b) {
                  return is_height(h, b) && (upper ? top_is(b, c) : base_is(b, c));
                }};
      }
      case 8: {
        const int n = 1 + random_.below(3);
        const std::string number = random_.bernoulli(0.5f) ? std::to_string(n) : grammar::number(n);
        return {n == 1 ? any(std::array{"blocks of the same color", "only one color"})
                       : "blocks of " + number + " different colors",
                [=](const ShapeBox& b) { return colors(b) == n; }};
      }
      case 9:
        if (c == d)
          return {"only " + name(c) + " blocks",
                  [=](const ShapeBox& b) { return colors(b) == 1 && base_is(b, c); }};
        return {"only " + name(c) + " and " + name(d) + " blocks", [=](const ShapeBox& b) {
                  return colors(b) == 2 && std::all_of(b.begin(), b.end(), [=](const Shape& s) {
                           return s.color == c || s.color == d;
                         });
                }};
      default:
        return {"a " + name(c) + at_base + " and a " + name(d) + at_top,
                [=](const ShapeBox& b) { return base_is(b, c) && top_is(b, d); }};
    }
  }

  Claim tower_statement() {
    const ShapeColor c = any_color(), d = any_color();
    const int kind = random_.below(20);
    if (kind < 3) {  // blocks on blocks anywhere
      const std::string on = any(std::array{" block on a ", " block above a ", " block over a "});
      const ShapeCount n = any_count(2);
      const bool next = n.several() || on == " block on a ";
      const int count =
          boxes_with({"", [=](const ShapeBox& b) { return has_over(b, c, d, next); }});
      if (n.several())
        return {"there are " + n.words() + " " + name(c) + " blocks on " + name(d) + " blocks",
                n.holds(count)};
      return {"there is " + (n.kind == ShapeCount::some ? "a" : n.words()) + " " + name(c) + on +
                  name(d) + " block",
              n.holds(count)};
    }
    if (kind < 6) {  // blocks as top or base
      const ShapeCount n = any_count(3);
      const bool upper = random_.bernoulli(0.5f), tall = random_.bernoulli(0.6f);
      const ShapeCount h = any_height();
      const int count =
          boxes_with({"", [=](const ShapeBox& b) {
                        return (upper ? top_is(b, c) : base_is(b, c)) && (!tall || is_height(h, b));
                      }});
      return {there(n, block(c)) + " as the " + (upper ? "top" : "base") + " of a tower" +
                  (tall ? " with " + h.text(block()) : ""),
              n.holds(count)};
    }
    if (kind < 8) {
      const ShapeFilter f = block(c);
      const ShapeCount n = any_count(6);
      return {there(n, f), n.holds(f.count(picture_))};
    }
    if (kind < 10) {  // colored towers
      const ShapeCount n = any_count(2), h = any_height();
      const bool tall = random_.bernoulli(0.5f);
      const int count =
          boxes_with({"", [=](const ShapeBox& b) {
                        return colors(b) == 1 && base_is(b, c) && (!tall || is_height(h, b));
                      }});
      return {there(n, name(c) + " tower") + (tall ? " with " + h.text(block()) : ""),
              n.holds(count)};
    }
    if (kind == 10) {  // of the tower of a height
      const ShapeCount h{random_.bernoulli(0.4f) ? ShapeCount::exactly : ShapeCount::plain,
                         1 + random_.below(4)};
      const bool upper = random_.bernoulli(0.5f);
      const int count =
          boxes_with({"", [=](const ShapeBox& b) {
                        return is_height(h, b) && (upper ? top_is(b, c) : base_is(b, c));
                      }});
      return {"the tower with " + h.text(block()) + " has a " + name(c) + " block at the " +
                  (upper ? "top" : "base"),
              count >= 1};
    }
    return boxes_claim("tower",
                       std::array{"there is a tower with ", "there is a tower with ",
                                  "there is a tower that has ", "there is a tower which has ",
                                  "there is 1 tower with ", "one of the tower has "},
                       std::array{"each tower has ", "all towers have "}, tower_property());
  }

  Question tower_question() {
    constexpr std::array<const char*, 4> levels{"block at the base", "second block from the base",
                                                "third block from the base",
                                                "fourth block from the base"};
    const auto i = static_cast<std::size_t>(random_.below(3));
    const ShapeBox& tower = picture_.boxes[i];
    const std::string of = std::string(" of the ") + names[i] + " tower?";
    const ShapeColor c = any_color();
    switch (random_.below(7)) {
      case 0:
        return {std::string("how many blocks are in the ") + names[i] + " tower?",
                std::to_string(tower.size()), "count"};
      case 1:
        return {"what is the color of the block at the top" + of, color_of(tower.back()), "color"};
      case 2: {
        const auto level = static_cast<std::size_t>(random_.below(static_cast<int>(tower.size())));
        return {albef::concat("what is the color of the ", levels[level], of),
                color_of(tower[level]), "color"};
      }
      case 3:
        return {"how many " + name(c) + " blocks are there?",
                std::to_string(block(c).count(picture_)), "count"};
      case 4:
        return {"how many " + name(c) + " blocks are in the " + names[i] + " tower?",
                std::to_string(block(c).count(tower)), "count"};
      case 5: {
        const bool upper = random_.bernoulli(0.5f);
        return {"how many towers have a " + name(c) + " block at the " + (upper ? "top?" : "base?"),
                std::to_string(boxes_with(
                    {"", [=](const ShapeBox& b) { return upper ? top_is(b, c) : base_is(b, c); }})),
                "towers"};
      }
      default: {
        const ShapeCount h{ShapeCount::exactly, 1 + random_.below(4)};
        return {
            "how many towers have " + h.text(block()) + "?",
            std::to_string(boxes_with({"", [=](const ShapeBox& b) { return is_height(h, b); }})),
            "towers"};
      }
    }
  }

  albef::RandomStream& random_;
  const ShapePicture& picture_;
};

}  // namespace examples
