// Generated scenes: what stands where, what is said about it, and the files that programs read.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "../data/data_files.hpp"
#include "albef/data/annotations.hpp"
#include "albef/data/answers.hpp"
#include "albef/data/grounding.hpp"
#include "albef/data/loader.hpp"
#include "albef/data/statements.hpp"
#include "albef/data/vqa.hpp"
#include "datasets/scene_files.hpp"

using namespace examples;
using data_test::error_of;
using data_test::TemporaryFolder;
using Strings = std::vector<std::string>;

namespace {

const std::string folder_of_sprites = ALBEF_TEST_DATA "/../examples/data/scenes/";
const Strings objects{"anchor", "banana",      "cat",   "frog",   "guitar",
                      "house",  "soccer ball", "scarf", "tomato", "whale"};
const Strings styles{"fluent", "noto", "twemoji"};

const Sprites& sprites() {
  static const Sprites made(folder_of_sprites + "sprites.tar.gz");
  return made;
}
const SceneMaker& maker() {
  static const SceneMaker made(sprites(), objects, styles, 96);
  return made;
}
Scene scene(std::uint64_t number, NewLooks looks = NewLooks::any) {
  albef::RandomStream random(7, number);
  return maker().draw(random, objects, looks);
}

/// The names of a sentence "<before>NAME<between>NAME" made by `make`.
template <class Make>
std::optional<std::pair<std::string, std::string>> two_names(const std::string& text, Make make) {
  for (const auto& x : objects)
    for (const auto& y : objects)
      if (make(x, y) == text) return std::pair(x, y);
  return std::nullopt;
}
template <class Make>
std::optional<std::string> one_name(const std::string& text, Make make) {
  for (const auto& x : objects)
    if (make(x) == text) return x;
  return std::nullopt;
}

/// Whether a hypothesis holds if the closed box hides an object called `hidden` (empty: no box).
bool holds(const std::string& text, const Scene& s, const std::string& hidden) {
  std::vector<SceneObject> things = s.objects;
  if (s.box) things.push_back({hidden, "", s.box->box});
  const auto count = [&](const std::string& name) {
    return std::count_if(things.begin(), things.end(), [&](auto& o) { return o.name == name; });
  };
  if (const auto x = one_name(text, [](auto& n) { return "there is " + grammar::a(n); }))
    return count(*x) > 0;
  if (const auto x = one_name(text, [](auto& n) { return "there is no " + n; }))
    return count(*x) == 0;
  if (const auto x = one_name(text, [](auto& n) { return "there is exactly one " + n; }))
    return count(*x) == 1;
  for (int k = 2; k <= 3; ++k) {
    const auto said = [&](const char* how) {
      return one_name(text, [&](auto& n) {
        return "there are " + std::string(how) + " " + grammar::number(k) + " " +
               grammar::plural(n);
      });
    };
    if (const auto x = said("exactly")) return count(*x) == k;
    if (const auto x = said("at least")) return count(*x) >= k;
  }
  for (const Relation r : relations) {
    const auto some = two_names(
        text, [&](auto& x, auto& y) { return grammar::a(x) + " is" + spaced(r) + grammar::a(y); });
    const auto both = some ? some : two_names(text, [&](auto& x, auto& y) {
      return "the " + x + " is" + spaced(r) + "the " + y;
    });
    if (!both) continue;
    // "the" means those in sight.
    const auto& among = some ? things : s.objects;
    for (const auto& a : among)
      for (const auto& b : among)
        if (a.name == both->first && b.name == both->second && relation(a, b, s.size) == r)
          return true;
    return false;
  }
  FAIL("unknown hypothesis: ", text);
  return false;
}

}  // namespace

TEST_CASE("scenes: words for names and numbers") {
  CHECK(grammar::a("anchor") == "an anchor");
  CHECK(grammar::a("soap") == "a piece of soap");
  CHECK(grammar::plural("tomato") == "tomatoes");
  CHECK(grammar::plural("strawberry") == "strawberries");
  CHECK(grammar::plural("key") == "keys");
  CHECK(grammar::plural("axe") == "axes");
  CHECK(grammar::plural("fox") == "foxes");
  CHECK(grammar::plural("sandwich") == "sandwiches");
  CHECK(grammar::plural("yarn") == "pieces of yarn");
  CHECK(grammar::plural("fish") == "fish");
  CHECK(grammar::number(3) == "three");
}

TEST_CASE("scenes: a relation is told only where it is clear") {
  const auto at = [](int x, int y) { return SceneObject{"o", "", {x, y, 20, 20}}; };
  CHECK(relation(at(0, 0), at(40, 10), 96) == Relation::left);
  CHECK(relation(at(40, 10), at(0, 0), 96) == Relation::right);
  CHECK(relation(at(5, 0), at(0, 40), 96) == Relation::above);
  CHECK(relation(at(0, 40), at(5, 0), 96) == Relation::below);
  CHECK(!relation(at(0, 0), at(30, 30), 96));
  CHECK(!relation(at(0, 0), at(12, 0), 96));
  for (const Relation r : relations) CHECK(opposite(opposite(r)) == r);
}

TEST_CASE("scenes: objects have room, and nothing else is painted") {
  std::set<std::size_t> counts;
  int boxes = 0;
  for (std::uint64_t n = 0; n < 60; ++n) {
    const Scene s = scene(n);
    counts.insert(s.objects.size());
    boxes += s.box.has_value();
    CHECK((s.objects.size() < 4 || !s.box));
    const albef::Image image = maker().render(s);
    const auto ground = std::find_if(std::begin(backgrounds), std::end(backgrounds),
                                     [&](auto& b) { return b.name == s.background; });
    const auto is_ground = [&](int x, int y) {
      const auto* p = image.pixel(x, y);
      return p[0] == ground->r && p[1] == ground->g && p[2] == ground->b;
    };
    std::vector<int> covered(96 * 96);
    for (const SceneObject& thing : s.things()) {
      CHECK_NOTHROW(albef::check_box(thing.box, 96, 96));
      int painted = 0;
      for (int y = thing.box.top; y < thing.box.top + thing.box.height; ++y)
        for (int x = thing.box.left; x < thing.box.left + thing.box.width; ++x) {
          ++covered[static_cast<std::size_t>(y * 96 + x)];
          painted += !is_ground(x, y);
        }
      CHECK(painted > thing.box.width * thing.box.height / 5);
    }
    bool outside = false, overlap = false;
    for (int i = 0; i < 96 * 96; ++i) {
      overlap = overlap || covered[static_cast<std::size_t>(i)] > 1;
      outside =
          outside || (covered[static_cast<std::size_t>(i)] == 0 && !is_ground(i % 96, i / 96));
    }
    CHECK(!overlap);
    CHECK(!outside);
  }
  CHECK(counts == std::set<std::size_t>{1, 2, 3, 4});
  CHECK(boxes > 20);
}

TEST_CASE("scenes: held-out looks are shown when asked for only") {
  REQUIRE(maker().holds_out());
  for (const auto& name : objects) {
    int held = 0;
    for (const auto& style : styles) held += maker().held_out(name, style);
    CHECK(held <= 1);
  }
  for (std::uint64_t n = 0; n < 40; ++n) {
    CHECK(scene(n, NewLooks::none).new_looks == 0);
    const Scene shown = scene(n, NewLooks::some);
    CHECK(shown.new_looks == std::count_if(shown.objects.begin(), shown.objects.end(), [](auto& o) {
            return maker().held_out(o.name, o.style);
          }));
    CHECK(shown.new_looks > 0);
  }
  CHECK(!SceneMaker(sprites(), objects, {"noto"}, 96).holds_out());
}

TEST_CASE("scenes: wrong choices are named") {
  CHECK_CONTAINS(error_of([] {
                   SceneMaker(sprites(), {"cat", "frog"}, styles, 96);
                 }),
                 "2 objects, expected at least 6");
  Strings more = objects;
  more.push_back("unicorn");
  CHECK_CONTAINS(error_of([&] { SceneMaker(sprites(), more, styles, 96); }),
                 "no sprite of 'unicorn'");
  CHECK_CONTAINS(error_of([&] { SceneMaker(sprites(), objects, styles, 8); }), "8 pixels");
}

TEST_CASE("scenes: hypotheses have the label that all possible contents of the box give them") {
  Balance balance;
  std::map<std::string, std::map<std::string, int>> chosen;
  for (std::uint64_t n = 0; n < 300; ++n) {
    const Scene s = scene(n);
    albef::RandomStream random(8, n);
    const auto candidates = hypotheses(random, s, objects);
    for (const Statement& statement : candidates) {
      int truths = 0;
      const Strings worlds = s.box ? objects : Strings{""};
      for (const auto& hidden : worlds) truths += holds(statement.text, s, hidden);
      const std::string label = truths == 0                                 ? "contradiction"
                                : truths == static_cast<int>(worlds.size()) ? "entailment"
                                                                            : "neutral";
      CAPTURE(statement.text);
      CHECK(statement.label == label);
    }
    for (const Statement& c : balance.choose(random, candidates, 3)) ++chosen[c.form][c.label];
  }
  for (const auto& [form, labels] : chosen) {
    CAPTURE(form);
    int total = 0, most = 0;
    for (const auto& [label, count] : labels) total += count, most = std::max(most, count);
    CHECK((total < 20 || most <= 0.6 * total));
  }
}

TEST_CASE("scenes: questions are answered by what is in sight, from the closed list") {
  const Strings answers = possible_answers(objects);
  std::set<std::string> types;
  for (std::uint64_t n = 0; n < 200; ++n) {
    const Scene s = scene(n);
    const auto counts = s.counts();
    albef::RandomStream random(9, n);
    for (const Question& q : questions(random, s, objects)) {
      CAPTURE(q.text);
      types.insert(q.type);
      CHECK(std::binary_search(answers.begin(), answers.end(), q.answer));
      const auto count = [&](const std::string& name) {
        return counts.contains(name) ? counts.at(name) : 0;
      };
      if (const auto x = one_name(
              q.text, [](auto& o) { return "how many " + grammar::plural(o) + " are there?"; }))
        CHECK(q.answer == std::to_string(count(*x)));
      if (const auto x =
              one_name(q.text, [](auto& o) { return "can you see " + grammar::a(o) + "?"; }))
        CHECK(q.answer == (count(*x) > 0 ? "yes" : "no"));
      for (const Relation r : relations)
        if (const auto names = two_names(q.text, [&](auto& x, auto& y) {
              return "is the " + x + spaced(r) + "the " + y + "?";
            })) {
          const auto find = [&](const std::string& name) {
            return *std::find_if(s.objects.begin(), s.objects.end(),
                                 [&](auto& o) { return o.name == name; });
          };
          const bool truth = relation(find(names->first), find(names->second), s.size) == r;
          CHECK(q.answer == (truth ? "yes" : "no"));
        }
    }
  }
  CHECK(types == std::set<std::string>{"color", "count", "exist", "name", "relation", "verify"});
}

TEST_CASE("scenes: an expression points at one thing") {
  for (std::uint64_t n = 0; n < 100; ++n) {
    const Scene s = scene(n);
    albef::RandomStream random(10, n);
    std::map<std::string, albef::Box> seen;
    for (const Expression& e : expressions(random, s)) {
      CAPTURE(e.text);
      const auto [found, added] = seen.try_emplace(e.text, e.box);
      CHECK((added || found->second == e.box));
      const auto things = s.things();
      CHECK(std::any_of(things.begin(), things.end(), [&](auto& t) { return t.box == e.box; }));
    }
  }
}

TEST_CASE("scenes: statements about two scenes") {
  Scene left = scene(0), right = scene(1);
  left.objects = {{"cat", "noto"}, {"cat", "noto"}, {"frog", "noto"}};
  right.objects = {{"cat", "noto"}};
  left.background = right.background = "pink";
  left.box = SceneObject{std::string(closed_box), ""}, right.box = std::nullopt;
  std::map<std::string, std::string> labels;
  for (const Statement& s : pair_statements(left, right)) labels[s.text] = s.label;
  CHECK(labels.at("both images contain a cat") == "True");
  CHECK(labels.at("both images contain a frog") == "False");
  CHECK(labels.at("only one of the two images contains a frog") == "True");
  CHECK(labels.at("the right image contains a frog") == "False");
  CHECK(labels.at("there are three cats in total") == "True");
  CHECK(labels.at("there are two cats in total") == "False");
  CHECK(labels.at("there is one frog in total") == "True");
  CHECK(labels.at("the left image shows more objects than the right image") == "True");
  CHECK(labels.at("both images have the same background color") == "True");
  CHECK(labels.at("both images show a closed box") == "False");
  CHECK(labels.at("only one of the images shows a closed box") == "True");
}

TEST_CASE("scenes: the files are what every task reads, the same on every run") {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, std::uint64_t seed, bool png) {
    SceneFiles files(maker(), {.output = folder / name, .seed = seed, .png = png});
    files.write_split("train", 12);
    files.write_split("test", 6);
    files.finish();
  };
  write("one", 3, true);
  write("two", 3, false);
  write("three", 4, false);
  for (const char* file : {"train.tar", "test.tar", "vqa_train.json", "refs.json", "dets.json",
                           "ve_test.json", "nlvr_train.json", "instances.json"}) {
    CAPTURE(file);
    const std::string content = albef::read_file(folder / "one/" + file);
    CHECK(content == albef::read_file(folder / "two/" + file));
    CHECK(content != albef::read_file(folder / "three/" + file));
  }

  const std::string at = folder / "one/";
  const albef::AnnotationOptions shards{.strict = true, .images = albef::open_images(at + "*.tar")};
  const albef::AnnotationOptions files{.strict = true};  // pictures next to the annotations
  std::vector<std::uint8_t> from_shard, from_file;
  for (const std::string split : {"train", "test"}) {
    const albef::VqaSet vqa(at + "vqa_" + split + ".json", shards);
    const albef::AnswerList answers(at + "answer_list.json");
    CHECK(answers.size() == objects.size() + 14);
    CHECK_NOTHROW(vqa.check_answers(answers));
    vqa.read_image(0, from_shard);
    albef::VqaSet(at + "vqa_" + split + ".json", files).read_image(0, from_file);
    CHECK(from_shard == from_file);
    CHECK(albef::decode_image(from_shard, "picture").width == 96);

    const albef::StatementSet ve(at + "ve_" + split + ".json", albef::entailment_format(), shards);
    const albef::StatementSet nlvr(at + "nlvr_" + split + ".json", albef::reasoning_format(),
                                   shards);
    ve.read_image(ve.size() - 1, 0, from_shard);
    nlvr.read_image(nlvr.size() - 1, 1, from_file);
    CHECK(from_shard == from_file);  // both are of the last scene

    const albef::GroundingTargets targets(at + "refs.json", at + "instances.json",
                                          at + "dets.json");
    const auto expressions =
        albef::grounding_expressions({at + "grounding_" + split + ".json"}, shards);
    albef::BadRecords strict(0);
    const auto refs = albef::expression_refs(*expressions, targets, strict);
    const auto& target = targets[refs.front()];
    CHECK(target.split == split);
    CHECK(std::count(target.candidates.begin(), target.candidates.end(), target.box) == 1);
    CHECK(target.candidates.size() >= 3);

    const albef::JsonAnnotations retrieval(at + "retrieval_" + split + ".json", shards);
    const std::size_t scenes = split == "train" ? 12 : 6;
    CHECK(retrieval.size() == (split == "train" ? 24 : 6));
    CHECK(retrieval.record(retrieval.size() - 1).image_id == static_cast<int>(scenes) - 1);
    const albef::WebDataset pictures(at + split + ".tar");
    REQUIRE(pictures.size() == scenes);
    CHECK(pictures.record(0).captions.size() == 2);
  }
}
