// What is said about scenes: captions, expressions that point at one object, questions with
// answers, hypotheses about one scene and statements about two.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "datasets/scene.hpp"
#include "datasets/scene_art.hpp"

namespace examples {
namespace grammar {

/// Names that are counted in pieces.
inline bool is_mass(std::string_view name) {
  constexpr std::array<std::string_view, 6> mass{"bacon", "broccoli", "garlic",
                                                 "soap",  "sushi",    "yarn"};
  return std::find(mass.begin(), mass.end(), name) != mass.end();
}
inline std::string one(const std::string& name) {
  return is_mass(name) ? "piece of " + name : name;
}
/// "a key", "an anchor", "a piece of soap".
inline std::string a(const std::string& name) {
  const bool vowel = std::string_view("aeiou").find(one(name)[0]) != std::string_view::npos;
  return (vowel ? "an " : "a ") + one(name);
}
inline std::string plural(const std::string& name) {
  static const std::map<std::string, std::string> irregular{
      {"bison", "bison"},     {"blowfish", "blowfish"}, {"deer", "deer"},       {"fish", "fish"},
      {"potato", "potatoes"}, {"squid", "squid"},       {"tomato", "tomatoes"}, {"wolf", "wolves"}};
  if (const auto found = irregular.find(name); found != irregular.end()) return found->second;
  if (is_mass(name)) return "pieces of " + name;
  for (const std::string_view end : {"s", "x", "ch", "sh"})
    if (name.ends_with(end)) return name + "es";
  const std::size_t n = name.size();
  const bool consonant_y = n > 1 && name[n - 1] == 'y' &&
                           std::string_view("aeiou").find(name[n - 2]) == std::string_view::npos;
  return consonant_y ? name.substr(0, n - 1) + "ies" : name + "s";
}
inline std::string number(int count) {
  constexpr std::array<const char*, 9> names{"zero", "one", "two",   "three", "four",
                                             "five", "six", "seven", "eight"};
  return names.at(static_cast<std::size_t>(count));
}

}  // namespace grammar

template <class T>
const T& pick(albef::RandomStream& random, const std::vector<T>& from) {
  return from[static_cast<std::size_t>(random.below(static_cast<int>(from.size())))];
}
template <class T>
void shuffle(albef::RandomStream& random, std::vector<T>& items) {
  for (std::size_t left = items.size(); left > 1; --left)
    std::swap(items[left - 1],
              items[static_cast<std::size_t>(random.below(static_cast<int>(left)))]);
}

/// The relation's words with a space on either side.
inline std::string spaced(Relation r) { return albef::concat(" ", words(r), " "); }

/// Two things whose names are unmistakable and that stand to each other in a clear way.
struct RelatedThings {
  SceneObject first, second;
  Relation relation;
};

/// All of a scene, with or without the closed box.
inline std::vector<RelatedThings> related_things(const Scene& scene, bool with_box) {
  const std::vector<SceneObject> things = with_box ? scene.things() : scene.objects;
  const auto counts = scene.counts();
  const auto unmistakable = [&](const SceneObject& o) {
    return o.name == closed_box || counts.at(o.name) == 1;
  };
  std::vector<RelatedThings> out;
  for (std::size_t i = 0; i < things.size(); ++i)
    for (std::size_t j = 0; j < things.size(); ++j) {
      if (i == j || !unmistakable(things[i]) || !unmistakable(things[j])) continue;
      if (const auto r = relation(things[i], things[j], scene.size))
        out.push_back({things[i], things[j], *r});
    }
  return out;
}

/// "a key, two lemons and a closed box", in random order.
inline std::string listing(albef::RandomStream& random, const Scene& scene) {
  std::vector<std::string> items;
  for (const auto& [name, count] : scene.counts())
    items.push_back(count == 1 ? grammar::a(name)
                               : grammar::number(count) + " " + grammar::plural(name));
  if (scene.box) items.push_back(grammar::a(scene.box->name));
  shuffle(random, items);
  std::string text = items[0];
  for (std::size_t i = 1; i < items.size(); ++i)
    text += (i + 1 < items.size() ? ", " : " and ") + items[i];
  return text;
}

/// Two captions: what there is and on which ground, and a relation where there is one.
inline std::vector<std::string> captions(albef::RandomStream& random, const Scene& scene) {
  const std::string ground = " on a " + scene.background + " background";
  std::vector<std::string> out{listing(random, scene) + ground};
  const auto related = related_things(scene, true);
  if (related.empty()) {
    const std::string list = listing(random, scene);
    out.push_back((list.starts_with("a") ? "there is " : "there are ") + list);
  } else {
    const RelatedThings& r = pick(random, related);
    std::string text = grammar::a(r.first.name);
    text += spaced(r.relation) + grammar::a(r.second.name);
    out.push_back(text + (random.bernoulli(0.5f) ? ground : ""));
  }
  return out;
}

/// Words that are right for one thing of a scene and no other.
struct Expression {
  std::string text;
  albef::Box box;
};

inline std::vector<Expression> expressions(albef::RandomStream& random, const Scene& scene) {
  const std::vector<SceneObject> things = scene.things();
  const auto related = related_things(scene, true);
  const auto same_name = [&](const std::string& name) {
    return std::count_if(things.begin(), things.end(), [&](auto& o) { return o.name == name; });
  };
  std::vector<Expression> out;
  for (std::size_t i = 0; i < things.size(); ++i) {
    const SceneObject& thing = things[i];
    const auto add = [&](const std::string& text) { out.push_back({text, thing.box}); };
    if (same_name(thing.name) == 1) {
      add("the " + thing.name);
      std::vector<RelatedThings> own;
      for (const RelatedThings& r : related)
        if (r.first.name == thing.name) own.push_back(r);
      if (own.empty()) continue;
      const RelatedThings& r = pick(random, own);
      const auto fits = std::count_if(things.begin(), things.end(), [&](const SceneObject& o) {
        return o.name != r.second.name && relation(o, r.second, scene.size) == r.relation;
      });
      if (fits == 1) add("the object" + spaced(r.relation) + "the " + r.second.name);
    } else if (same_name(thing.name) == 2) {
      const auto twin = std::find_if(things.begin(), things.end(), [&](const SceneObject& o) {
        return &o != &thing && o.name == thing.name;
      });
      if (const auto r = relation(thing, *twin, scene.size)) {
        constexpr std::array<const char*, 4> side{"left", "right", "upper", "lower"};
        add(albef::concat("the ", side[static_cast<std::size_t>(*r)], " ", thing.name));
      }
      for (const SceneObject& o : things) {
        if (same_name(o.name) != 1) continue;
        const auto r = relation(thing, o, scene.size);
        if (!r || relation(*twin, o, scene.size) == r) continue;
        add("the " + thing.name + spaced(*r) + "the " + o.name);
        break;
      }
    }
  }
  return out;
}

struct Question {
  std::string text, answer, type;
};

/// Questions about what is in sight. `names` are all objects there are.
inline std::vector<Question> questions(albef::RandomStream& random, const Scene& scene,
                                       const std::vector<std::string>& names) {
  std::vector<std::string> seen, unseen;
  const auto counts = scene.counts();
  for (const SceneObject& object : scene.objects) seen.push_back(object.name);
  for (const std::string& name : names)
    if (!counts.contains(name)) unseen.push_back(name);
  const std::string& here = pick(random, seen);
  const std::string& elsewhere = pick(random, unseen);

  std::vector<Question> out;
  out.push_back({"what color is the background?", scene.background, "color"});
  out.push_back(
      {albef::concat("how many objects are there", scene.box ? " apart from the closed box?" : "?"),
       std::to_string(seen.size()), "count"});
  if (random.bernoulli(0.7f))
    out.push_back({"how many " + grammar::plural(here) + " are there?",
                   std::to_string(counts.at(here)), "count"});
  else
    out.push_back({"how many " + grammar::plural(elsewhere) + " can you see?", "0", "count"});
  if (random.bernoulli(0.5f))
    out.push_back({"can you see " + grammar::a(pick(random, seen)) + "?", "yes", "exist"});
  else
    out.push_back({"can you see " + grammar::a(elsewhere) + "?", "no", "exist"});

  std::vector<RelatedThings> related = related_things(scene, true);
  std::erase_if(related, [](const RelatedThings& r) { return r.first.name == closed_box; });
  if (!related.empty()) {
    const RelatedThings& r = pick(random, related);
    const auto things = scene.things();
    const auto fits = std::count_if(things.begin(), things.end(), [&](const SceneObject& o) {
      return o.name != r.second.name && relation(o, r.second, scene.size) == r.relation;
    });
    if (fits == 1)
      out.push_back({"what is" + spaced(r.relation) + "the " + r.second.name + "?", r.first.name,
                     "relation"});
    const RelatedThings& v = pick(random, related);
    const bool yes = random.bernoulli(0.5f);
    out.push_back({"is the " + v.first.name + spaced(yes ? v.relation : opposite(v.relation)) +
                       "the " + v.second.name + "?",
                   yes ? "yes" : "no", "verify"});
  }
  if (seen.size() == 1)
    out.push_back(
        {scene.box ? "what is outside the closed box?" : "what is the object?", seen[0], "name"});
  return out;
}

/// All answers that questions() gives for these objects, sorted.
inline std::vector<std::string> possible_answers(const std::vector<std::string>& names) {
  std::set<std::string> all(names.begin(), names.end());
  for (const Background& b : backgrounds) all.insert(std::string(b.name));
  for (int count = 0; count <= 4; ++count) all.insert(std::to_string(count));
  all.insert({"yes", "no"});
  return {all.begin(), all.end()};
}

/// A sentence with its label; `form` names the wording, whatever objects it is about.
struct Statement {
  std::string text, label, form;
};

/// Chooses statements so that each form is used equally often with each label it can have: the
/// wording alone then says nothing about the label.
class Balance {
 public:
  /// Up to `count` different statements of the candidates, fewer where all would tip the balance.
  std::vector<Statement> choose(albef::RandomStream& random, std::vector<Statement> candidates,
                                int count) {
    for (const Statement& s : candidates) used_[s.form][s.label];  // a label that the form can have
    std::vector<Statement> out;
    while (static_cast<int>(out.size()) < count && !candidates.empty()) {
      shuffle(random, candidates);
      const auto best = std::min_element(candidates.begin(), candidates.end(),
                                         [&](auto& a, auto& b) { return surplus(a) < surplus(b); });
      if (surplus(*best).first > 2) break;
      ++used_[best->form][best->label];
      out.push_back(*best);
      std::erase_if(candidates, [&](const Statement& s) { return s.text == out.back().text; });
    }
    return out;
  }

 private:
  /// By how much this label leads the rarest of its form, then how often it was used. A form waits
  /// until a second label was met.
  std::pair<int, int> surplus(const Statement& s) const {
    const auto& labels = used_.at(s.form);
    if (labels.size() < 2) return {std::numeric_limits<int>::max(), 0};
    int least = labels.at(s.label);
    for (const auto& [label, count] : labels) least = std::min(least, count);
    return {labels.at(s.label) - least, labels.at(s.label)};
  }

  std::map<std::string, std::map<std::string, int>> used_;
};

/// Hypotheses about a scene whose closed box, if there is one, hides one object of an unknown name:
/// what depends on that object is neutral.
inline std::vector<Statement> hypotheses(albef::RandomStream& random, const Scene& scene,
                                         const std::vector<std::string>& names) {
  const char *const yes = "entailment", *const no = "contradiction", *const open = "neutral";
  const auto counts = scene.counts();
  std::vector<std::string> seen, unseen;
  for (const auto& [name, count] : counts) seen.push_back(name);
  for (const std::string& name : names)
    if (!counts.contains(name)) unseen.push_back(name);
  const std::string here = pick(random, seen), elsewhere = pick(random, unseen);
  const int count = counts.at(here);
  const bool hidden = scene.box.has_value();

  std::vector<Statement> out;
  const auto add = [&](const std::string& text, const char* label, const std::string& form) {
    out.push_back({text, label, (hidden ? "box " : "plain ") + form});
  };
  add("there is " + grammar::a(here), yes, "is");
  add("there is " + grammar::a(elsewhere), hidden ? open : no, "is");
  add("there is no " + here, no, "no");
  add("there is no " + elsewhere, hidden ? open : yes, "no");
  for (int n = 1; n <= 3; ++n) {
    const bool reachable = hidden && n == count + 1;
    add(n == 1 ? "there is exactly one " + grammar::one(here)
               : "there are exactly " + grammar::number(n) + " " + grammar::plural(here),
        n == count && !hidden                 ? yes
        : reachable || (hidden && n == count) ? open
                                              : no,
        albef::concat("exactly ", n));
    if (n > 1)
      add("there are at least " + grammar::number(n) + " " + grammar::plural(here),
          count >= n  ? yes
          : reachable ? open
                      : no,
          albef::concat("at least ", n));
  }
  const auto related = related_things(scene, false);
  if (!related.empty()) {
    const RelatedThings& r = pick(random, related);
    add("the " + r.first.name + " is" + spaced(r.relation) + "the " + r.second.name, yes,
        "relation");
    add("the " + r.first.name + " is" + spaced(opposite(r.relation)) + "the " + r.second.name, no,
        "relation");
    const RelatedThings& s = pick(random, related);
    add(grammar::a(s.first.name) + " is" + spaced(s.relation) + grammar::a(s.second.name), yes,
        "some relation");
  }
  if (count == 1) {  // an unseen object can only stand where the closed box does
    const auto object = std::find_if(scene.objects.begin(), scene.objects.end(),
                                     [&](auto& o) { return o.name == here; });
    std::vector<Relation> possible;
    if (hidden)
      if (const auto r = relation(*scene.box, *object, scene.size)) possible.push_back(*r);
    if (!hidden || !possible.empty()) {
      const Relation r = !possible.empty() && random.bernoulli(0.6f)
                             ? possible[0]
                             : relations[random.below(std::size(relations))];
      const bool is_possible = !possible.empty() && r == possible[0];
      add(grammar::a(elsewhere) + " is" + spaced(r) + grammar::a(here), is_possible ? open : no,
          "some relation");
    }
  }
  return out;
}

/// Statements about what is in sight in two scenes, labelled "True" or "False".
inline std::vector<Statement> pair_statements(const Scene& left, const Scene& right) {
  const auto in_left = left.counts(), in_right = right.counts();
  std::set<std::string> names;
  for (const auto& [name, count] : in_left) names.insert(name);
  for (const auto& [name, count] : in_right) names.insert(name);
  const auto count_of = [](const std::map<std::string, int>& counts, const std::string& name) {
    const auto found = counts.find(name);
    return found == counts.end() ? 0 : found->second;
  };

  std::vector<Statement> out;
  const auto add = [&](const std::string& text, bool truth, const std::string& form) {
    out.push_back({text, truth ? "True" : "False", form});
  };
  for (const std::string& name : names) {
    const int l = count_of(in_left, name), r = count_of(in_right, name);
    add("both images contain " + grammar::a(name), l > 0 && r > 0, "both");
    add("only one of the two images contains " + grammar::a(name), (l > 0) != (r > 0), "only one");
    add("the left image contains " + grammar::a(name), l > 0, "left");
    add("the right image contains " + grammar::a(name), r > 0, "right");
    for (int n = 1; n <= 4; ++n)
      add(n == 1 ? "there is one " + grammar::one(name) + " in total"
                 : "there are " + grammar::number(n) + " " + grammar::plural(name) + " in total",
          l + r == n, albef::concat("total ", n));
  }
  const std::size_t l = left.objects.size(), r = right.objects.size();
  add("the left image shows more objects than the right image", l > r, "more");
  add("the right image shows more objects than the left image", r > l, "more");
  add("both images have the same background color", left.background == right.background, "ground");
  add("both images show a closed box", left.box && right.box, "both boxes");
  add("only one of the images shows a closed box", left.box.has_value() != right.box.has_value(),
      "one box");
  return out;
}

}  // namespace examples
