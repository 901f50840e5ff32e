// albef_ground: locates what an expression refers to by Grad-CAM of the cross-attention: training
// on expressions, evaluation on a referring expression corpus, heat maps of a picture.
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "albef/data/sources.hpp"
#include "common/grounding_run.hpp"
#include "common/load_model.hpp"
#include "common/open_data.hpp"
#include "common/pair_training.hpp"
#include "common/program.hpp"

namespace {

using namespace albef;
using Json = nlohmann::ordered_json;

constexpr const char* layer_help =
    "BERT layer whose cross-attention is looked at, counted from 0 with the text layers; default: "
    "the third fusion layer as in the official code (8 of 12), or the last but one where there are "
    "fewer";
constexpr const char* expressions_help =
    "expressions: JSON lists of {\"image\", \"text\", \"ref_id\"}";

/// The files that say where the objects are; see GroundingTargets.
struct TargetArguments {
  std::string refs, instances, detections;

  void add_to(examples::Command& app, bool required, const std::string& group) {
    app.add_option("--refs", refs, "JSON list of {\"ref_id\", \"ann_id\", \"image_id\", \"split\"}")
        .required(required)
        .group(group);
    app.add_option("--instances", instances,
                   "COCO's JSON object with \"images\" (sizes) and \"annotations\" (boxes)")
        .required(required)
        .group(group);
    app.add_option("--detections", detections,
                   "boxes to choose from: JSON object of lists [[x, y, width, height], ...] by "
                   "image_id; without it only pointing is measured")
        .group(group);
  }
  GroundingTargets open() const { return {refs, instances, detections}; }
};

struct TrainArguments : examples::PairTrainArguments {
  std::vector<std::string> val;
  std::string val_image_root;
  TargetArguments targets;
  int layer = -1;

  void add_to(examples::Command& app) {
    PairTrainArguments::add_to(app);
    app.get_option("--data").description(expressions_help);
    for (const char* name :
         {"--crop", "--mismatch", "--partial", "--keywords", "--noise-seed", "--max-bad-share"})
      app.remove_option(name);
    const auto group = "Validation";
    app.add_option("--val", val, "expressions evaluated after each epoch to keep the best weights")
        .group(group);
    app.add_option("--val-image-root", val_image_root,
                   "where their pictures are; default: --image-root")
        .group(group);
    targets.add_to(app, false, group);
    app.add_option("--layer", layer, layer_help).group(group);
  }
};

struct EvaluateArguments : examples::ModelArguments {
  std::vector<std::string> data;
  std::vector<int> layers;
  std::string image_root, output, sheet, heat_maps;
  TargetArguments targets;
  int examples = 8;
};

struct PredictArguments : examples::ModelArguments {
  std::string image, output, sheet;
  std::vector<std::string> texts, boxes;
  int layer = -1;
};

using Metrics = std::map<std::string, GroundingMetrics>;  // by split; "all"

SourcePtr open_expressions(const std::vector<std::string>& files, const std::string& image_root) {
  return grounding_expressions(files, examples::annotation_options(image_root));
}

Json to_json(const GroundingMetrics& m) {
  Json json{{"expressions", m.expressions}, {"pointing_accuracy", m.pointing_accuracy()}};
  if (m.ranked) json["ranked"] = m.ranked, json["box_accuracy"] = m.box_accuracy();
  return json;
}

/// How well all expressions are located; also calls seen(i, GroundedText).
template <class Model, class Seen>
Metrics locate(Model& model, const Source& expressions, const std::vector<std::string>& refs,
               const GroundingTargets& targets, int layer, const EncodingOptions& options,
               Seen&& seen) {
  Metrics metrics;
  examples::for_each_grounding(
      model, expressions, layer, options, [&](std::size_t i, examples::GroundedText found) {
        const GroundingTarget& target = targets[refs[i]];
        require(found.width == target.width && found.height == target.height,
                expressions.describe(i), ": the picture has ", found.width, " x ", found.height,
                " pixels, its entry in --instances says ", target.width, " x ", target.height);
        const PixelMap map = resized(found.sentence, target.width, target.height);
        GroundingMetrics one;
        try {
          one.add(map, target.box, target.candidates);
        } catch (const Error& error) { fail(expressions.describe(i), ": ", error.what()); }
        metrics[target.split.empty() ? "-" : target.split] += one;
        metrics["all"] += one;
        seen(i, std::move(found));
      });
  return metrics;
}

template <class C>
void check_layer(int layer) {
  require(layer >= C::fusion_layer && layer < C::num_hidden_layers, "--layer ", layer,
          ": the layers with cross-attention are ", C::fusion_layer, " to ",
          C::num_hidden_layers - 1);
}

template <class C, class Precision>
int train(TrainArguments args, auto& device) {
  if (args.flip < 0 && !args.official) args.flip = 0;  // left would become right
  args.use_crop = false;
  constexpr examples::RunDefaults paper{.epochs = 5, .lr = 1e-5};  // configs/Grounding.yaml
  examples::RunDefaults tiny = examples::pairs_tiny;
  tiny.lr = tiny.new_model_lr;  // expressions are not the captions of the pre-training
  args.complete<C>(tiny, paper);
  const int layer = args.layer < 0 ? examples::default_layer<C>() : args.layer;
  check_layer<C>(layer);
  SourcePtr val;
  std::optional<GroundingTargets> targets;
  std::vector<std::string> refs;
  if (!args.val.empty()) {
    require(!args.targets.refs.empty() && !args.targets.instances.empty(),
            "--val needs --refs and --instances, which say where the objects are");
    val = open_expressions(args.val,
                           args.val_image_root.empty() ? args.image_root : args.val_image_root);
    targets = args.targets.open();
    refs = expression_refs(*val, *targets);
    examples::check_pictures(*val);
  }
  const auto validate = [&](auto& model) {
    const EncodingOptions options{.batch_size = args.batch_size, .workers = args.workers};
    auto all = locate(model, *val, refs, *targets, layer, options, [](auto&&...) {})["all"];
    return examples::Validation{all.ranked ? all.box_accuracy() : all.pointing_accuracy(),
                                to_json(all)};
  };
  return examples::train_pairs<C, Precision>("grounding", args, device,
                                             open_expressions(args.data, args.image_root),
                                             val != nullptr, args.max_text_length, validate);
}

void print_row(int layer, const std::string& split, const GroundingMetrics& m) {
  std::printf("%5d  %-10s %11lld %8.1f", layer, split.c_str(),
              static_cast<long long>(m.expressions), 100 * m.pointing_accuracy());
  if (m.ranked)
    std::printf(" %8lld %8.1f\n", static_cast<long long>(m.ranked), 100 * m.box_accuracy());
  else
    std::printf(" %8s %8s\n", "-", "-");
  std::fflush(stdout);
}

/// The examples of an evaluation that its sheets show.
class Shown {
 public:
  Shown(std::size_t expressions, int wanted) {
    const auto n = std::min(expressions, static_cast<std::size_t>(wanted));
    for (std::size_t i = 0; i < n; ++i) chosen_.insert(i * expressions / n);
  }
  void keep(std::size_t i, examples::GroundedText found) {
    if (chosen_.contains(i)) kept_.emplace_back(i, std::move(found));
  }

  void write(const EvaluateArguments& args, const Source& expressions,
             const std::vector<std::string>& refs, const GroundingTargets& targets,
             const WordPiece& tokenizer) const {
    std::vector<Image> pictures;
    std::vector<std::uint8_t> bytes;
    for (const auto& [i, found] : kept_)
      pictures.push_back(albef::detail::load_picture(expressions, i, bytes, {}));
    std::vector<RgbPicture> overlays;
    for (std::size_t n = 0; n < kept_.size(); ++n) {
      const HeatMap& map = kept_[n].second.sentence;
      overlays.push_back(overlay_heat(pictures[n], {map.values, map.side, map.side}));
    }
    std::vector<BoxEntry> boxes;
    std::vector<HeatExample> maps;
    for (std::size_t n = 0; n < kept_.size(); ++n) {
      const auto& [i, found] = kept_[n];
      maps.push_back(examples::heat_example(pictures[n], found, tokenizer));
      const GroundingTarget& target = targets[refs[i]];
      BoxEntry entry =
          examples::ranked_entry(found, target.width, target.height, target.candidates);
      entry.picture = overlays[n];
      entry.truth = {target.box.x, target.box.y, target.box.width, target.box.height};
      if (!entry.boxes.empty()) {
        const DrawnBox& b = entry.boxes.front();
        const bool right = box_iou({b.x, b.y, b.width, b.height}, target.box) >= 0.5;
        entry.mark = right ? Mark::right : Mark::wrong;
      }
      boxes.push_back(std::move(entry));
    }
    if (!args.sheet.empty())
      write_box_sheet(args.sheet, boxes, {.title = "Located expressions", .max_boxes = 3});
    if (!args.heat_maps.empty())
      write_heat_sheet(args.heat_maps, maps, {.title = "Where the model looks for each word"});
  }

 private:
  std::set<std::size_t> chosen_;
  std::vector<std::pair<std::size_t, examples::GroundedText>> kept_;
};

template <class Model>
int evaluate(Model& model, const EvaluateArguments& args) {
  const SourcePtr expressions = open_expressions(args.data, args.image_root);
  const GroundingTargets targets = args.targets.open();
  const auto refs = expression_refs(*expressions, targets);
  std::vector<int> layers = args.layers;
  if (layers.empty()) layers = {examples::default_layer<typename Model::Config>()};
  for (const int layer : layers) check_layer<typename Model::Config>(layer);

  std::printf("%5s  %-10s %11s %8s %8s %8s\n", "layer", "split", "expressions", "pointed", "ranked",
              "found");
  Json results = Json::object();
  for (const int layer : layers) {
    Shown shown(expressions->size(), args.examples);
    const Metrics metrics = locate(model, *expressions, refs, targets, layer, args.encoding,
                                   [&](std::size_t i, examples::GroundedText found) {
                                     if (layer == layers.front()) shown.keep(i, std::move(found));
                                   });
    Json& result = results[concat("layer ", layer)];
    for (const auto& [split, m] : metrics) {
      if (split == "all" && metrics.size() == 2) continue;  // there is but one split
      print_row(layer, split, m);
      result[split] = to_json(m);
    }
    if (layer == layers.front() && !(args.sheet.empty() && args.heat_maps.empty()))
      shown.write(args, *expressions, refs, targets, model.tokenizer());
  }
  if (!args.output.empty()) write_file(args.output, results.dump(2) + '\n');
  return 0;
}

/// "x,y,width,height" in a picture of `width` x `height`.
RealBox read_box(const std::string& text, int width, int height) {
  RealBox box;
  char rest;
  require(std::sscanf(text.c_str(), "%lf,%lf,%lf,%lf%c", &box.x, &box.y, &box.width, &box.height,
                      &rest) == 4,
          "--box '", text, "': expected x,y,width,height in pixels");
  try {
    albef::detail::check_box(box, width, height);
  } catch (const Error& error) { fail("--box ", text, ": ", error.what()); }
  return box;
}

template <class Model>
int predict(Model& model, const PredictArguments& args) {
  const Image picture = load_image(args.image);
  std::vector<RealBox> boxes;
  for (const auto& text : args.boxes)
    boxes.push_back(read_box(text, picture.width, picture.height));
  MemorySource expressions;
  const std::string bytes = read_file(args.image);
  for (const auto& text : args.texts)
    expressions.add({.key = args.image, .captions = {text}}, {bytes.begin(), bytes.end()});
  const int layer = args.layer < 0 ? examples::default_layer<typename Model::Config>() : args.layer;

  std::vector<HeatExample> maps;
  std::vector<RgbPicture> overlays;
  std::vector<BoxEntry> entries;
  examples::for_each_grounding(
      model, expressions, layer, args.encoding, [&](std::size_t, examples::GroundedText found) {
        maps.push_back(examples::heat_example(picture, found, model.tokenizer()));
        entries.push_back(examples::ranked_entry(found, picture.width, picture.height, boxes));
        overlays.push_back(overlay_heat(picture, maps.back().rows.front().map));
        std::printf("%s\n", found.text.c_str());
        for (const HeatRow& row : maps.back().rows) {
          const RealBox at =
              peak(resized({row.map.rows, row.map.values}, picture.width, picture.height));
          std::printf("  %-14s largest at (%d, %d)\n", row.word.c_str(), static_cast<int>(at.x),
                      static_cast<int>(at.y));
        }
        int rank = 0;
        for (const DrawnBox& b : entries.back().boxes)
          std::printf("  %d. box %g,%g,%g,%g  score %.2f\n", ++rank, b.x, b.y, b.width, b.height,
                      b.score);
      });
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i].picture = overlays[i];
  if (!args.output.empty()) write_heat_sheet(args.output, maps);
  if (!args.sheet.empty()) write_box_sheet(args.sheet, entries);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Visual grounding with ALBEF: which part of a picture an expression refers to, learned from "
      "pairs of pictures and expressions without boxes, read from the cross-attention by Grad-CAM. "
      "`albef_ground train --help` tells about training, and so on.",
      "albef_ground"};
  app.require_subcommand(1);

  TrainArguments train_args;
  examples::Command train_command = app.add_subcommand(
      "train",
      "Fine-tunes on expressions (ITC and ITM, pictures are not cropped). Writes to the output "
      "folder: checkpoint.safetensors (the last state, to resume), checkpoint_best.safetensors and "
      "results.json (of the best epoch on --val by chosen boxes, or by pointing without "
      "--detections), metrics.jsonl, validation.jsonl, losses.png, summary.json, vocab.txt.");
  train_command.footer(
      "Example:\n"
      "  make_scenes --easy --scenes 2000 --output scenes\n"
      "  albef_ground train --init pretrained/checkpoint.safetensors \\\n"
      "    --data scenes/grounding_train.json --image-root scenes/train.tar \\\n"
      "    --val scenes/grounding_val.json --val-image-root scenes/val.tar --refs scenes/refs.json "
      "\\\n"
      "    --instances scenes/instances.json --detections scenes/dets.json --output grounding");
  train_args.add_to(train_command);

  EvaluateArguments evaluate_args;
  examples::Command evaluate_command = app.add_subcommand(
      "evaluate",
      "Measures in percent how often the largest value of the map lies in the object (pointed), "
      "and how often the box with the highest score, the sum of the map / sqrt(area), overlaps it "
      "by at least a half (found).");
  evaluate_command.footer(
      "Example:\n"
      "  albef_ground evaluate -m grounding/checkpoint_best.safetensors -d "
      "scenes/grounding_test.json \\\n"
      "    --image-root scenes/test.tar --refs scenes/refs.json --instances scenes/instances.json "
      "\\\n"
      "    --detections scenes/dets.json --sheet boxes.png --heat-maps words.png");
  evaluate_args.add_to(evaluate_command);
  evaluate_args.add_encoding_options(evaluate_command);
  evaluate_command.add_option("-d,--data", evaluate_args.data, expressions_help).required();
  evaluate_command.add_option("--image-root", evaluate_args.image_root, examples::image_root_help);
  evaluate_args.targets.add_to(evaluate_command, true, "Options");
  evaluate_command.add_option("--layer", evaluate_args.layers,
                              std::string(layer_help) + "; several are evaluated in turn");
  evaluate_command
      .add_option("-o,--output", evaluate_args.output, "write the results to this JSON file")
      .output_file();
  evaluate_command
      .add_option("--sheet", evaluate_args.sheet, "write a PNG with boxes of some expressions")
      .output_file();
  evaluate_command
      .add_option("--heat-maps", evaluate_args.heat_maps,
                  "write a PNG with the map of each word of some expressions")
      .output_file();
  evaluate_command.add_option("--examples", evaluate_args.examples, "expressions on the sheets")
      .range(1, 100)
      .capture_default_str();

  PredictArguments predict_args;
  examples::Command predict_command = app.add_subcommand(
      "predict",
      "Locates expressions in a picture: where the map of each word is largest, and the ranking of "
      "boxes where some are given.");
  predict_command.footer(
      "Example:\n"
      "  albef_ground predict -m grounding/checkpoint_best.safetensors --image table.jpg \\\n"
      "    --text \"the cup to the left of the book\" --output words.png \\\n"
      "    --box 12,40,80,96 --box 130,38,77,90 --sheet boxes.png");
  predict_args.add_to(predict_command);
  predict_args.add_encoding_options(predict_command);
  predict_command.add_option("-i,--image", predict_args.image, "PNG or JPEG file").required();
  predict_command.add_option("-t,--text", predict_args.texts, "expressions").required();
  predict_command.add_option("--box", predict_args.boxes,
                             "boxes to be ranked, each as x,y,width,height in pixels");
  predict_command.add_option("--layer", predict_args.layer, layer_help);
  predict_command
      .add_option("-o,--output", predict_args.output, "write a PNG with the map of each word")
      .output_file();
  predict_command
      .add_option("--sheet", predict_args.sheet,
                  "write a PNG with the ranked boxes over the expression's map")
      .output_file();

  return app.run(argc, argv, [&] {
    if (train_command)
      return examples::with_training(train_args, [&]<class C, class P>(auto& device) {
        return train<C, P>(train_args, device);
      });
    if (evaluate_command)
      return examples::with_model(evaluate_args,
                                  [&](auto& model) { return evaluate(model, evaluate_args); });
    return examples::with_model(predict_args,
                                [&](auto& model) { return predict(model, predict_args); });
  });
}
