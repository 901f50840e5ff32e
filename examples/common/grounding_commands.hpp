// The options of grounding: the objects of a corpus, evaluation, expressions in a picture.
#pragma once

#include <string>
#include <vector>

#include "albef/tasks/grounding_settings.hpp"
#include "common/options.hpp"

namespace examples {

inline constexpr const char* layer_help =
    "BERT layer whose cross-attention is looked at, counted from 0 with the text layers; default: "
    "the third fusion layer as in the official code (8 of 12), or the last but one where there are "
    "fewer";
inline constexpr const char* expressions_help =
    "expressions: JSON lists of {\"image\", \"text\", \"ref_id\"}";

inline void add_targets(Command& app, albef::GroundingFiles& files, bool required) {
  const auto group = required ? "Options" : "Validation";
  app.add_option("--refs", files.refs,
                 "JSON list of {\"ref_id\", \"ann_id\", \"image_id\", \"split\"}")
      .required(required)
      .group(group);
  app.add_option("--instances", files.instances,
                 "COCO's JSON object with \"images\" (sizes) and \"annotations\" (boxes)")
      .required(required)
      .group(group);
  app.add_option("--detections", files.detections,
                 "boxes to choose from: JSON object of lists [[x, y, width, height], ...] by "
                 "image_id; without it only pointing is measured")
      .group(group);
}

inline void add_options(Command& app, Run<albef::GroundingSettings>& run) {
  add_options(app, run, expressions_help);
  for (const char* name :
       {"--crop", "--mismatch", "--partial", "--keywords", "--noise-seed", "--max-bad-share"})
    app.remove_option(name);
  add_targets(app, run.targets, false);
  app.add_option("--layer", run.layer, layer_help).group("Validation");
}

struct GroundingEvaluate : ModelArguments {
  albef::GroundingFiles files;
  std::vector<int> layers;
  std::string output, sheet, heat_maps;
  int examples = 8;

  explicit GroundingEvaluate(Command app) {
    add_to(app);
    add_encoding_options(app);
    app.add_option("-d,--data", files.expressions, expressions_help).required();
    app.add_option("--image-root", files.image_root, image_root_help);
    add_targets(app, files, true);
    app.add_option("--layer", layers, std::string(layer_help) + "; several are evaluated in turn");
    app.add_option("-o,--output", output, "write the results to this JSON file").output_file();
    app.add_option("--sheet", sheet, "write a PNG with boxes of some expressions").output_file();
    app.add_option("--heat-maps", heat_maps,
                   "write a PNG with the map of each word of some expressions")
        .output_file();
    app.add_option("--examples", examples, "expressions on the sheets")
        .range(1, 100)
        .capture_default_str();
  }
};

struct GroundingPredict : ModelArguments {
  std::string image, output, sheet;
  std::vector<std::string> texts, boxes;
  int layer = -1;

  explicit GroundingPredict(Command app) {
    add_to(app);
    add_encoding_options(app);
    app.add_option("-i,--image", image, "PNG or JPEG file").required();
    app.add_option("-t,--text", texts, "expressions").required();
    app.add_option("--box", boxes, "boxes to be ranked, each as x,y,width,height in pixels");
    app.add_option("--layer", layer, layer_help);
    app.add_option("-o,--output", output, "write a PNG with the map of each word").output_file();
    app.add_option("--sheet", sheet, "write a PNG with the ranked boxes over the expression's map")
        .output_file();
  }
};

}  // namespace examples
