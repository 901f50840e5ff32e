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

/// What expressions refer to; `needed` is asked of the files that say so.
inline void add_targets(const Command& app, albef::GroundingFiles& files, const Check& needed) {
  app.add("--refs", files.refs, "JSON list of {\"ref_id\", \"ann_id\", \"image_id\", \"split\"}",
          needed);
  app.add("--instances", files.instances,
          "COCO's JSON object with \"images\" (sizes) and \"annotations\" (boxes)", needed);
  app.add("--detections", files.detections,
          "boxes to choose from: JSON object of lists [[x, y, width, height], ...] by image_id; "
          "without it only pointing is measured");
}

inline void add_options(Command& app, Run<albef::GroundingSettings>& run) {
  add_options(app, run, expressions_help);
  app.remove(
      {"--crop", "--mismatch", "--partial", "--keywords", "--noise-seed", "--max-bad-share"});
  const Command validation = app.group("Validation");
  add_targets(validation, run.targets, {});
  validation.add("--layer", run.layer, layer_help);
}

struct GroundingArguments : ModelArguments {
  albef::GroundingFiles files;
  std::vector<int> layers;
  std::vector<std::string> boxes;
  std::string heat_maps;
  int layer = -1;

  void add_evaluation(Command app) {
    shown = 8;
    add_to(app);
    add_encoding(app);
    add_data(app, files.expressions, files.image_root, expressions_help);
    add_targets(app, files, required);
    app.add("--layer", layers, std::string(layer_help) + "; several are evaluated in turn");
    add_results(app, "boxes of some expressions", 100, "--examples", "expressions on the sheets");
    app.add("--heat-maps", heat_maps, "write a PNG with the map of each word of some expressions",
            output_file);
  }
  void add_prediction(Command app) {
    add_to(app);
    add_encoding(app);
    app.add("-i,--image", images, "picture file", required, expected(1));
    add_picture_options(app);
    app.add("-t,--text", texts, "expressions", required);
    app.add("--box", boxes, "boxes to be ranked, each as x,y,width,height in pixels");
    app.add("--layer", layer, layer_help);
    app.add("-o,--output", output, "write a PNG with the map of each word", output_file);
    app.add("--sheet", sheet, "write a PNG with the ranked boxes over the expression's map",
            output_file);
  }
};

}  // namespace examples
