// A small referring expression corpus on disk: pictures, expressions, objects and boxes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../train/nano_training.hpp"
#include "albef/core/file.hpp"
#include "albef/tasks/grounding_evaluation.hpp"

namespace grounding_test_files {

/// `count` pictures of 12 x 12 pixels, said to have `side`, with an expression each: those of even
/// number are of the split testA, the others of testB.
class Corpus {
 public:
  explicit Corpus(int count, int side = 12) {
    using nlohmann::json;
    json expressions = json::array(), refs = json::array(), sizes = json::array(),
         boxes = json::array(), detections = json::object();
    const auto source = train_test::pictures(count);
    for (int i = 0; i < count; ++i) {
      std::vector<std::uint8_t> bytes;
      source->read_image(static_cast<std::size_t>(i), bytes);
      albef::write_file(picture(i), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      expressions.push_back({{"image", "p" + std::to_string(i) + ".png"},
                             {"text", "Pic " + std::to_string(i)},
                             {"ref_id", 100 + i}});
      refs.push_back({{"ref_id", 100 + i},
                      {"ann_id", 200 + i},
                      {"image_id", i},
                      {"split", i % 2 ? "testB" : "testA"}});
      sizes.push_back({{"id", i}, {"width", side}, {"height", side}});
      boxes.push_back({{"id", 200 + i}, {"bbox", {i % 4, 1, 6, 5}}});
      detections[std::to_string(i)] = {{0, 0, 5, 5}, {6, 6, 6, 6}, {i % 4, 1, 6, 5}};
    }
    albef::write_file(folder_ / "expressions.json", expressions.dump());
    albef::write_file(folder_ / "refs.json", refs.dump());
    albef::write_file(folder_ / "instances.json",
                      json{{"images", sizes}, {"annotations", boxes}}.dump());
    albef::write_file(folder_ / "dets.json", detections.dump());
  }
  std::string picture(int i) const { return folder_ / ("p" + std::to_string(i) + ".png"); }
  albef::GroundingFiles files() const {
    return {.expressions = {folder_ / "expressions.json"},
            .refs = folder_ / "refs.json",
            .instances = folder_ / "instances.json",
            .detections = folder_ / "dets.json"};
  }

 private:
  train_test::TemporaryFolder folder_;
};

}  // namespace grounding_test_files
