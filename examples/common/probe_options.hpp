// The options of probes, which several programs have.
#pragma once

#include <string>

#include "albef/viz/probe_report.hpp"
#include "common/options.hpp"

namespace examples {

inline constexpr const char* labelled_help =
    "labelled pictures: a folder of a folder per class, .csv or .tsv (picture, label), .json or "
    ".jsonl (objects with image, text or both, and label), or WebDataset shards with .cls entries";

inline constexpr const char* classes_help =
    "file with the names of the classes, one a line; a label that is a number is then the line, "
    "from 0; default: the labels of the training set, sorted";
inline constexpr const char* label_field_help = "field of JSON objects, or column, with the label";

struct ProbeOptions : albef::ProbeRequest {
  std::string domain_option = "image";
  std::vector<int> neighbours;
  std::vector<float> penalties;

  /// `needed`: the sets must be given.
  void add_to(Command& app, bool needed) {
    const auto set = [&](const char* name, std::vector<std::string>& value, const char* what) {
      const std::string help = std::string(what) + labelled_help;
      needed ? app.add(name, value, help, required) : app.add(name, value, help);
    };
    set("--train", train, "what the probes are fitted to; ");
    set("--test", test, "what they are tried on; ");
    app.add("--classes", class_names, classes_help);
    app.add("--image-root", image_root, "where the pictures of JSON files and tables are");
    app.add("--test-image-root", test_image_root, "those of --test, if elsewhere");
    app.add("--label-field", field, label_field_help);
    app.add("--method", methods, "linear (logistic regression) and knn (vote of the neighbours)",
            one_of({"linear", "knn"}));
    app.add("--penalty", penalties,
            "of the squared weights of linear; default: the best of six on a fifth of --train that "
            "is held out");
    app.add("--neighbours", neighbours,
            "neighbours that vote, weighted by their similarity; default: the best of six numbers "
            "likewise",
            positive);
    app.add("--probe-seed", settings.seed, "which fifth is held out");
    app.add("--pictures", pictures,
            "folder for pictures: features.png, the test set placed by two principal components of "
            "its features, and attention.png, what each head of the class token looks at");
    app.add("--shown", shown, "pictures in attention.png", range(1, 40));
  }
  void add_domain(Command& app) {
    app.add("--encoder", domain_option, "whose features: image, text or multimodal",
            one_of({"image", "text", "multimodal"}));
  }
  /// After parsing: what the other options say.
  const albef::ProbeRequest& request(const ModelArguments& model) {
    if (!neighbours.empty()) settings.neighbours = neighbours;
    if (!penalties.empty()) settings.penalties.assign(penalties.begin(), penalties.end());
    for (const auto d : {albef::Domain::image, albef::Domain::text, albef::Domain::multimodal})
      if (domain_option == albef::domain_name(d)) domain = d;
    encoding = model.encoding;
    strict = model.strict;
    return *this;
  }
};

}  // namespace examples
