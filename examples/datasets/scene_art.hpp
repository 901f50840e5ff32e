// Composing scenes from sprites: which objects stand where, and the picture of it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/data/png.hpp"
#include "albef/data/resize.hpp"
#include "albef/data/webdataset.hpp"
#include "datasets/scene.hpp"

namespace examples {

/// A picture with opacity, its colours multiplied by it, so that it can be resized.
struct Sprite {
  albef::Image color, alpha;
};

/// The sprites of a shard whose records are named STYLE/NAME, '_' for spaces in names.
class Sprites {
 public:
  explicit Sprites(const std::string& path) {
    const albef::WebDataset shard(path, {.pictures_alone = true});
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < shard.size(); ++i) {
      const std::string& key = shard.record(i).key;
      const auto slash = key.find('/');
      albef::require(slash != std::string::npos, shard.describe(i), ": expected STYLE/NAME.png");
      std::string name = key.substr(slash + 1);
      std::replace(name.begin(), name.end(), '_', ' ');
      shard.read_image(i, bytes);
      sprites_[{name, key.substr(0, slash)}] = sprite(albef::decode_png_rgba(bytes, key));
    }
  }

  /// Null if there is none.
  const Sprite* find(const std::string& name, const std::string& style) const {
    const auto found = sprites_.find({name, style});
    return found == sprites_.end() ? nullptr : &found->second;
  }
  /// All names and all styles, sorted.
  std::vector<std::string> names() const { return distinct(&Key::first); }
  std::vector<std::string> styles() const { return distinct(&Key::second); }

 private:
  using Key = std::pair<std::string, std::string>;  // name, style

  static Sprite sprite(const albef::RgbaImage& image) {
    Sprite out{albef::Image(image.width, image.height), albef::Image(image.width, image.height)};
    for (std::size_t i = 0; i < out.color.rgb.size(); ++i) {
      const int alpha = image.rgba[i / 3 * 4 + 3], value = image.rgba[i / 3 * 4 + i % 3];
      out.color.rgb[i] = static_cast<std::uint8_t>((value * alpha + 127) / 255);
      out.alpha.rgb[i] = static_cast<std::uint8_t>(alpha);
    }
    return out;
  }
  std::vector<std::string> distinct(std::string Key::*part) const {
    std::set<std::string> all;
    for (const auto& entry : sprites_) all.insert(entry.first.*part);
    return {all.begin(), all.end()};
  }

  std::map<Key, Sprite> sprites_;
};

struct Background {
  std::string_view name;
  std::uint8_t r, g, b;
};
inline constexpr Background backgrounds[] = {
    {"blue", 190, 220, 255},   {"gray", 190, 190, 195},   {"green", 200, 240, 195},
    {"pink", 255, 205, 220},   {"purple", 222, 205, 250}, {"white", 255, 255, 255},
    {"yellow", 255, 243, 170},
};

/// Whether a scene must, must not, or may show a held-out look.
enum class NewLooks { none, some, any };

/// Draws scenes of one to four of the given objects. About one look (an object in a style) in eight
/// is held out for testing, at most one of an object and none of an object with a single style.
class SceneMaker {
 public:
  /// Throws Error for fewer than six objects, one without a sprite in any of the styles, or a size
  /// below 32. `sprites` must outlive it.
  SceneMaker(const Sprites& sprites, std::vector<std::string> objects,
             std::vector<std::string> styles, int size)
      : sprites_(sprites), size_(size) {
    albef::require(size >= 32, "scenes of ", size, " pixels, expected at least 32");
    std::sort(objects.begin(), objects.end());
    objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
    albef::require(objects.size() >= 6, "scenes of ", objects.size(),
                   " objects, expected at least 6");
    std::sort(styles.begin(), styles.end());
    for (std::string& name : objects) {
      std::vector<std::string> drawn;
      for (const std::string& style : styles)
        if (sprites.find(name, style)) drawn.push_back(style);
      albef::require(!drawn.empty(), "there is no sprite of '", name, "' in the styles chosen");
      const auto choice = hash(name) % 8;
      if (drawn.size() > 1 && choice < drawn.size()) held_out_[name] = drawn[choice];
      styles_[name] = std::move(drawn);
    }
    names_ = std::move(objects);
  }

  const std::vector<std::string>& names() const { return names_; }
  bool held_out(const std::string& name, const std::string& style) const {
    const auto found = held_out_.find(name);
    return found != held_out_.end() && found->second == style;
  }
  bool holds_out() const { return !held_out_.empty(); }

  /// A scene of objects from `pool` (names, at least one) or, where none fits, of any.
  Scene draw(albef::RandomStream& random, const std::vector<std::string>& pool,
             NewLooks looks) const {
    for (int attempt = 0; attempt < 5000; ++attempt) {
      auto scene = try_draw(random, attempt < 200 ? pool : names_);
      if (!scene || (looks == NewLooks::none && scene->new_looks > 0) ||
          (looks == NewLooks::some && scene->new_looks == 0))
        continue;
      scene->background = backgrounds[random.below(std::size(backgrounds))].name;
      return *std::move(scene);
    }
    albef::fail("no scene could be composed: too few looks are left for it");
  }

  albef::Image render(const Scene& scene) const {
    albef::Image image(scene.size, scene.size);
    const auto ground = std::find_if(std::begin(backgrounds), std::end(backgrounds),
                                     [&](auto& b) { return b.name == scene.background; });
    const std::uint8_t color[] = {ground->r, ground->g, ground->b};
    for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = color[i % 3];
    for (const SceneObject& object : scene.objects)
      paint(*sprites_.find(object.name, object.style), object.box, image);
    if (scene.box) paint_closed_box(scene.box->box, image);
    return image;
  }

 private:
  static std::uint64_t hash(std::string_view text) {
    std::uint64_t h = 0xcbf29ce484222325ull;  // FNV-1a
    for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    return albef::mix(h, 0);
  }
  /// Pixels of a scene of `size` for those of one of 96.
  int scaled(int pixels) const { return std::max(1, (pixels * size_ + 48) / 96); }

  std::optional<Scene> try_draw(albef::RandomStream& random,
                                const std::vector<std::string>& pool) const {
    constexpr int counts[] = {1, 2, 2, 3, 3, 4};
    const int count = counts[random.below(std::size(counts))];
    Scene scene{.size = size_, .background = {}, .objects = {}, .box = {}, .new_looks = 0};
    for (int i = 0; i < count; ++i) {
      const auto pick = [&](const std::vector<std::string>& from) {
        return from[static_cast<std::size_t>(random.below(static_cast<int>(from.size())))];
      };
      std::string name = pick(pool);
      if (i == 1 && random.bernoulli(0.4f)) name = scene.objects[0].name;
      std::string style = pick(styles_.at(name));
      scene.new_looks += held_out(name, style);
      scene.objects.push_back({std::move(name), std::move(style)});
    }
    if (count < 4 && random.bernoulli(0.75f)) scene.box = SceneObject{std::string(closed_box), ""};

    std::vector<albef::Box> taken;
    for (SceneObject& object : scene.objects) {
      const albef::Image& image = sprites_.find(object.name, object.style)->color;
      if (!place(random, image.width, image.height, taken, object.box)) return std::nullopt;
    }
    if (scene.box && !place(random, 0, 0, taken, scene.box->box)) return std::nullopt;
    return scene;
  }

  /// Finds room for a sprite of the given proportions, or for the closed box (0 x 0).
  bool place(albef::RandomStream& random, int width, int height, std::vector<albef::Box>& taken,
             albef::Box& box) const {
    for (int attempt = 0; attempt < 60; ++attempt) {
      const int longest = std::max(width, height);
      const int side = longest > 0 ? scaled(28) + random.below(scaled(40) - scaled(28) + 1) : 0;
      const auto extent = [&](int pixels) {
        if (longest == 0) return scaled(28);
        return std::max(scaled(6), (2 * pixels * side + longest) / (2 * longest));
      };
      const int w = extent(width), h = extent(height);
      box = {1 + random.below(size_ - w - 1), 1 + random.below(size_ - h - 1), w, h};
      if (std::none_of(taken.begin(), taken.end(), [&](auto& other) { return near(box, other); })) {
        taken.push_back(box);
        return true;
      }
    }
    return false;
  }
  static bool near(const albef::Box& a, const albef::Box& b) {
    constexpr int gap = 2;
    return a.left < b.left + b.width + gap && b.left < a.left + a.width + gap &&
           a.top < b.top + b.height + gap && b.top < a.top + a.height + gap;
  }

  static void paint(const Sprite& sprite, const albef::Box& box, albef::Image& image) {
    const albef::Image color = albef::resize_bicubic(sprite.color, box.width, box.height);
    const albef::Image alpha = albef::resize_bicubic(sprite.alpha, box.width, box.height);
    for (int y = 0; y < box.height; ++y) {
      std::uint8_t* to = image.pixel(box.left, box.top + y);
      const std::uint8_t* c = color.pixel(0, y);
      const std::uint8_t* a = alpha.pixel(0, y);
      for (int i = 0; i < 3 * box.width; ++i)
        to[i] = static_cast<std::uint8_t>(std::min(255, c[i] + (to[i] * (255 - a[i]) + 127) / 255));
    }
  }

  static void paint_closed_box(const albef::Box& box, albef::Image& image) {
    const int edge = std::max(1, box.width / 14), lid = box.height / 2;
    for (int y = 0; y < box.height; ++y)
      for (int x = 0; x < box.width; ++x) {
        const bool inner = x >= edge && x < box.width - edge && y >= edge &&
                           y < box.height - edge && (y < lid - edge / 2 || y >= lid + edge);
        const std::uint8_t dark[] = {92, 62, 36}, bright[] = {140, 98, 58};
        std::copy_n(inner ? bright : dark, 3, image.pixel(box.left + x, box.top + y));
      }
  }

  const Sprites& sprites_;
  int size_;
  std::vector<std::string> names_;
  std::map<std::string, std::vector<std::string>> styles_;  // that there are of each name
  std::map<std::string, std::string> held_out_;             // name -> style
};

}  // namespace examples
