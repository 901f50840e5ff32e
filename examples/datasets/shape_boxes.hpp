// Pictures like those of the first NLVR corpus: three grey boxes with scattered shapes, or with a
// tower of blocks each.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/data/image.hpp"

namespace examples {

enum class ShapeColor { black, blue, yellow };
enum class ShapeKind { circle, square, triangle };

inline constexpr std::array<std::string_view, 3> shape_colors{"black", "blue", "yellow"};
inline constexpr std::array<std::string_view, 3> shape_kinds{"circle", "square", "triangle"};

/// Width and height of a box, pixels.
inline constexpr int shape_box_size = 100;

struct Shape {
  ShapeColor color;
  ShapeKind kind;
  int x, y, size;  // upper left corner in its box, width and height: pixels

  bool at_left() const { return x == 0; }
  bool at_right() const { return x + size == shape_box_size; }
  bool at_top() const { return y == 0; }
  bool at_bottom() const { return y + size == shape_box_size; }
  bool at_wall() const { return at_left() || at_right() || at_top() || at_bottom(); }
  bool at_corner() const { return (at_left() || at_right()) && (at_top() || at_bottom()); }
};

/// The shapes of a box; those of a tower from its base to its top.
using ShapeBox = std::vector<Shape>;

struct ShapePicture {
  bool towers = false;
  std::array<ShapeBox, 3> boxes;
};

namespace detail {

inline ShapeBox draw_tower(albef::RandomStream& random, int colors) {
  ShapeBox tower;
  for (int left = 1 + random.below(4), y = 80; left > 0; --left, y -= 21)
    tower.push_back({static_cast<ShapeColor>(random.below(colors)), ShapeKind::square, 40, y, 20});
  return tower;
}

/// Finds room for a shape, apart from those of the box; many lie at the right or lower wall.
inline bool place(albef::RandomStream& random, const ShapeBox& box, Shape& shape) {
  const int room = shape_box_size - shape.size;
  const auto along = [&] {
    const int choice = random.below(20);
    return choice == 0 ? 0 : choice <= 4 ? room : 2 + random.below(room - 3);
  };
  for (int attempt = 0; attempt < 60; ++attempt) {
    shape.x = along(), shape.y = along();
    const auto near = [&](const Shape& other) {
      return shape.x <= other.x + other.size && other.x <= shape.x + shape.size &&
             shape.y <= other.y + other.size && other.y <= shape.y + shape.size;
    };
    if (std::none_of(box.begin(), box.end(), near)) return true;
  }
  return false;
}

/// One to seven shapes apart from each other.
inline ShapeBox draw_scatter(albef::RandomStream& random) {
  ShapeBox box;
  for (int left = 1 + random.below(7); left > 0; --left) {
    Shape shape{static_cast<ShapeColor>(random.below(3)), static_cast<ShapeKind>(random.below(3)),
                0, 0, 10 * (1 + random.below(3))};
    if (place(random, box, shape)) box.push_back(shape);
  }
  return box;
}

/// How much of the pixel at (x, y) of a shape's square it covers, 0 to 1, on a grid of 4 x 4
/// points.
inline float coverage(const Shape& shape, int x, int y) {
  if (shape.kind == ShapeKind::square) return 1;
  int inside = 0;
  const int size = 8 * shape.size;  // in eighths of a pixel
  for (int i = 0; i < 16; ++i) {
    const int px = 8 * x + 1 + 2 * (i % 4), py = 8 * y + 1 + 2 * (i / 4);
    const int dx = std::abs(2 * px - size), dy = 2 * py - size;  // from the middle, doubled
    inside += shape.kind == ShapeKind::circle ? dx * dx + dy * dy <= size * size : dx <= py;
  }
  return static_cast<float>(inside) / 16;
}

}  // namespace detail

/// A picture of towers (two in three, as in the corpus) or of scattered shapes.
inline ShapePicture draw_shapes(albef::RandomStream& random) {
  ShapePicture picture{.towers = random.below(3) < 2, .boxes = {}};
  for (ShapeBox& box : picture.boxes)
    box = picture.towers ? detail::draw_tower(random, random.bernoulli(0.1f) ? 1 : 3)
                         : detail::draw_scatter(random);
  return picture;
}

/// The shapes of a picture thrown into its boxes anew, one at least in each: what depends on the
/// colors, kinds and numbers of all shapes alone is as true of it.
inline ShapePicture shuffle_shapes(albef::RandomStream& random, const ShapePicture& picture) {
  ShapeBox all;
  for (const ShapeBox& box : picture.boxes) all.insert(all.end(), box.begin(), box.end());
  const std::size_t most = picture.towers ? 4 : 8;
  for (;;) {
    ShapePicture out{.towers = picture.towers, .boxes = {}};
    for (std::size_t left = all.size(); left > 1; --left)
      std::swap(all[left - 1], all[static_cast<std::size_t>(random.below(static_cast<int>(left)))]);
    bool fits = true;
    for (Shape shape : all) {
      ShapeBox& box = out.boxes[static_cast<std::size_t>(random.below(3))];
      if (picture.towers)
        shape.y = 80 - 21 * static_cast<int>(box.size());
      else
        fits = fits && detail::place(random, box, shape);
      box.push_back(shape);
    }
    for (const ShapeBox& box : out.boxes) fits = fits && !box.empty() && box.size() <= most;
    if (fits) return out;
  }
}

/// The picture of a box, 100 x 100.
inline albef::Image render(const ShapeBox& box) {
  constexpr std::array<std::array<std::uint8_t, 3>, 3> colors{
      {{0, 0, 0}, {0, 153, 255}, {255, 255, 0}}};
  albef::Image image(shape_box_size, shape_box_size, 211);
  for (const Shape& shape : box)
    for (int y = 0; y < shape.size; ++y)
      for (int x = 0; x < shape.size; ++x) {
        const float covered = detail::coverage(shape, x, y);
        std::uint8_t* const to = image.pixel(shape.x + x, shape.y + y);
        for (std::size_t c = 0; c < 3; ++c) {
          const float color = colors[static_cast<std::size_t>(shape.color)][c];
          to[c] = static_cast<std::uint8_t>(static_cast<float>(to[c]) * (1 - covered) +
                                            color * covered + 0.5f);
        }
      }
  return image;
}

}  // namespace examples
