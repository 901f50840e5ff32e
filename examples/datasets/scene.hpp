// Scenes of a few objects on a plain ground, and how two objects stand to each other.
#pragma once

#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "albef/data/image.hpp"

namespace examples {

struct SceneObject {
  std::string name, style;
  albef::Box box{};  // tight
};

/// The object that hides another one.
inline constexpr std::string_view closed_box = "closed box";

struct Scene {
  int size = 0;  // width and height, pixels
  std::string background;
  std::vector<SceneObject> objects;  // those in sight
  std::optional<SceneObject> box;    // a closed box, which holds exactly one unknown object
  int new_looks = 0;                 // objects shown in a look that training has not

  /// Everything in sight, the closed box last.
  std::vector<SceneObject> things() const {
    std::vector<SceneObject> all = objects;
    if (box) all.push_back(*box);
    return all;
  }
  /// How many objects in sight have each name.
  std::map<std::string, int> counts() const {
    std::map<std::string, int> out;
    for (const SceneObject& object : objects) ++out[object.name];
    return out;
  }
};

enum class Relation { left, right, above, below };

inline constexpr Relation relations[] = {Relation::left, Relation::right, Relation::above,
                                         Relation::below};

inline std::string_view words(Relation r) {
  constexpr std::string_view texts[] = {"to the left of", "to the right of", "above", "below"};
  return texts[static_cast<int>(r)];
}
inline Relation opposite(Relation r) {
  constexpr Relation other[] = {Relation::right, Relation::left, Relation::below, Relation::above};
  return other[static_cast<int>(r)];
}

/// How the middle of `a` stands to that of `b` in a scene of `size` pixels, where that is clear: a
/// seventh of the width apart, and by half more along one axis than along the other.
inline std::optional<Relation> relation(const SceneObject& a, const SceneObject& b, int size) {
  const int dx = 2 * a.box.left + a.box.width - 2 * b.box.left - b.box.width;  // twice as far
  const int dy = 2 * a.box.top + a.box.height - 2 * b.box.top - b.box.height;
  const auto clear = [&](int along, int across) {
    return 2 * std::abs(along) >= 3 * std::abs(across) && 7 * std::abs(along) > 2 * size;
  };
  if (clear(dx, dy)) return dx < 0 ? Relation::left : Relation::right;
  if (clear(dy, dx)) return dy < 0 ? Relation::above : Relation::below;
  return std::nullopt;
}

}  // namespace examples
