// The files of a scene data set: shards of pictures, and annotations for every task in the formats
// of the official code.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/file.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/shard_writer.hpp"
#include "datasets/json_list.hpp"
#include "datasets/scene_art.hpp"
#include "datasets/scene_texts.hpp"

namespace examples {

struct SceneOptions {
  std::string output = "scenes";
  std::uint64_t seed = 1;
  int distractors = 2;  // boxes per picture that hold no object, among those to choose from
  bool png = false;     // the pictures as files, too
};

/// Writes the splits of a data set one after the other, then what they have in common. A split is a
/// function of the scene maker, the seed and the split's name only.
class SceneFiles {
 public:
  SceneFiles(const SceneMaker& maker, SceneOptions options)
      : maker_(maker), options_(std::move(options)) {
    std::filesystem::create_directories(options_.output);
  }

  /// Training and validation show no held-out look; of a test split, every other scene does.
  void write_split(const std::string& split, int count) {
    albef::require(count >= 2, "split '", split, "' of ", count, " scenes, expected at least 2");
    if (options_.png) std::filesystem::create_directories(options_.output + "/" + split);
    const bool train = split == "train", test = split.starts_with("test");
    albef::ShardWriter shard(path(split + ".tar"));
    Json retrieval, vqa, ve, nlvr, grounding;
    Balance hypothesis_balance, pair_balance;
    Scene last;
    for (int i = 0; i < count; ++i) {
      albef::RandomStream random(options_.seed,
                                 albef::mix(name_of(split), static_cast<std::uint64_t>(i)));
      const NewLooks looks = !maker_.holds_out()  ? NewLooks::any
                             : test && i % 2 == 1 ? NewLooks::some
                                                  : NewLooks::none;
      const Scene scene = maker_.draw(random, pool(random, i > 0 ? &last : nullptr), looks);
      const std::string image = picture_name(split, i);
      const auto& names = maker_.names();

      const std::vector<std::string> texts = captions(random, scene);
      write_picture(scene, image, texts, shard);
      if (train)
        for (const auto& text : texts)
          retrieval.push_back({{"image_id", i}, {"image", image}, {"caption", text}});
      else
        retrieval.push_back({{"image", image}, {"caption", texts}});
      for (const Question& q : questions(random, scene, names))
        vqa.push_back({{"dataset", "vqa"},
                       {"image", image},
                       {"question", q.text},
                       {"question_id", question_id_++},
                       {"answer", Json::array({q.answer})},
                       {"type", q.type}});
      for (const Statement& s :
           hypothesis_balance.choose(random, hypotheses(random, scene, names), 3))
        ve.push_back({{"image", image}, {"sentence", s.text}, {"label", s.label}});
      if (i > 0)
        for (const Statement& s : pair_balance.choose(random, pair_statements(last, scene), 2))
          nlvr.push_back({{"images", {picture_name(split, i - 1), image}},
                          {"sentence", s.text},
                          {"label", s.label}});
      add_boxes(random, scene, split, image, grounding);
      last = scene;
    }
    shard.commit();
    write(split, "retrieval", retrieval);
    write(split, "vqa", vqa);
    write(split, "ve", ve);
    write(split, "nlvr", nlvr);
    write(split, "grounding", grounding);
    std::printf(
        "%-5s %d scenes: %zu captions, %zu questions, %zu hypotheses, %zu pair statements, "
        "%zu expressions\n",
        split.c_str(), count, 2 * static_cast<std::size_t>(count), vqa.size(), ve.size(),
        nlvr.size(), grounding.size());
  }

  /// The answer list and the boxes of all splits.
  void finish() {
    write_json("answer_list.json", possible_answers(maker_.names()));
    write_json("refs.json", refs_);
    albef::write_file(path("instances.json"), "{\"images\": " + json_list(images_) +
                                                  ",\n\"annotations\": " + json_list(annotations_) +
                                                  "}\n");
    albef::write_file(path("dets.json"), detections_.dump() + "\n");
  }

 private:
  using Json = nlohmann::ordered_json;

  std::string path(const std::string& name) const { return options_.output + "/" + name; }
  static std::uint64_t name_of(const std::string& split) {
    std::uint64_t name = 0x5CE7E5;
    for (const char c : split) name = albef::mix(name, static_cast<unsigned char>(c));
    return name;
  }
  static std::string picture_name(const std::string& split, int number) {
    char text[16];
    std::snprintf(text, sizeof text, "/%05d.png", number);
    return split + text;
  }

  /// All names, or those of the last scene and six more, so that neighbours share objects and
  /// statements about two scenes can be true.
  std::vector<std::string> pool(albef::RandomStream& random, const Scene* last) const {
    std::vector<std::string> names = maker_.names();
    if (!last || random.bernoulli(0.6f)) return names;
    shuffle(random, names);
    names.resize(std::min<std::size_t>(names.size(), 6));
    for (const SceneObject& object : last->objects) names.push_back(object.name);
    return names;
  }

  static Json numbers(const albef::Box& box) {
    return Json::array({box.left, box.top, box.width, box.height});
  }

  void write_picture(const Scene& scene, const std::string& image,
                     const std::vector<std::string>& texts, albef::ShardWriter& shard) const {
    const auto picture = albef::encode_png(maker_.render(scene));
    Json record{{"caption", texts}, {"background", scene.background}, {"objects", Json::array()}};
    for (const SceneObject& object : scene.things())
      record["objects"].push_back(
          {{"name", object.name}, {"style", object.style}, {"box", numbers(object.box)}});
    record["new_looks"] = scene.new_looks;
    shard.add(image, picture);
    shard.add(image.substr(0, image.size() - 3) + "json", record.dump());
    if (options_.png)
      albef::write_file(path(image),
                        {reinterpret_cast<const char*>(picture.data()), picture.size()});
  }

  /// The boxes of a scene's things, the expressions for them, and the boxes to choose from.
  void add_boxes(albef::RandomStream& random, const Scene& scene, const std::string& split,
                 const std::string& image, Json& grounding) {
    const std::size_t image_id = images_.size(), first = annotations_.size();
    images_.push_back(
        {{"id", image_id}, {"file_name", image}, {"width", scene.size}, {"height", scene.size}});
    const std::vector<SceneObject> things = scene.things();
    Json candidates = Json::array();
    for (const SceneObject& thing : things) {
      annotations_.push_back({{"id", annotations_.size()},
                              {"image_id", image_id},
                              {"bbox", numbers(thing.box)},
                              {"category", thing.name}});
      candidates.push_back(numbers(thing.box));
    }
    for (int i = 0; i < options_.distractors; ++i)
      candidates.push_back(numbers(distractor(random, scene)));
    detections_[std::to_string(image_id)] = candidates;
    for (const Expression& expression : expressions(random, scene)) {
      const auto thing = std::find_if(things.begin(), things.end(),
                                      [&](auto& t) { return t.box == expression.box; });
      const std::size_t ref_id = refs_.size();
      refs_.push_back({{"ref_id", ref_id},
                       {"ann_id", first + static_cast<std::size_t>(thing - things.begin())},
                       {"image_id", image_id},
                       {"split", split}});
      grounding.push_back({{"image", image}, {"text", expression.text}, {"ref_id", ref_id}});
    }
  }

  /// A box of an object's size that covers less than half of any thing; the last one tried where
  /// there is no room.
  static albef::Box distractor(albef::RandomStream& random, const Scene& scene) {
    albef::Box box;
    for (int attempt = 0; attempt < 50; ++attempt) {
      const auto side = [&] { return scene.size / 4 + random.below(scene.size / 6); };
      box.width = side(), box.height = side();
      box.left = random.below(scene.size - box.width);
      box.top = random.below(scene.size - box.height);
      const auto covered = [&](const SceneObject& thing) {
        const albef::Box& b = thing.box;
        const int w = std::min(b.left + b.width, box.left + box.width) - std::max(b.left, box.left);
        const int h = std::min(b.top + b.height, box.top + box.height) - std::max(b.top, box.top);
        return w > 0 && h > 0 && 2 * w * h >= b.width * b.height;
      };
      const auto things = scene.things();
      if (std::none_of(things.begin(), things.end(), covered)) break;
    }
    return box;
  }

  void write_json(const std::string& name, const Json& list) const {
    albef::write_file(path(name), json_list(list) + "\n");
  }
  void write(const std::string& split, const std::string& task, const Json& list) const {
    write_json(task + "_" + split + ".json", list);
  }

  const SceneMaker& maker_;
  SceneOptions options_;
  Json images_ = Json::array(), annotations_ = Json::array(), refs_ = Json::array(),
       detections_ = Json::object();
  std::int64_t question_id_ = 0;
};

}  // namespace examples
