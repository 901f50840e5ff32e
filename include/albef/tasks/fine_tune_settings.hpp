// The settings of runs that fine-tune a head for classes, and what checkpoints say of these.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "albef/checkpoint/info.hpp"
#include "albef/core/json.hpp"
#include "albef/data/labelled.hpp"
#include "albef/models/encoders.hpp"
#include "albef/tasks/settings.hpp"

namespace albef {

/// Tiny's numbers are those of the library's other small classifiers, the others the paper's order
/// of magnitude (section 5: a learning rate of 1e-5, batches of hundreds).
inline const Recipe fine_tune_tiny{.epochs = 20,
                                   .batch_size = 64,
                                   .lr = 2e-4,
                                   .min_lr = 1e-5,
                                   .new_model_lr = 1e-3,
                                   .crop_low = 0.6f};
inline const Recipe fine_tune_paper{.epochs = 10, .batch_size = 64, .lr = 1e-5, .min_lr = 1e-6};

/// The domain called so.
inline Domain domain_called(const std::string& name) {
  for (const Domain d : {Domain::image, Domain::text, Domain::multimodal})
    if (name == domain_name(d)) return d;
  fail("unknown domain '", name, "', expected image, text or multimodal");
}

/// What a user may set of a run that fine-tunes.
struct FineTuneSettings : TaskSettings {
  std::string model = "flava", encoder = "image", class_names{}, field = LabelledOptions{}.field;

  FineTuneSettings() {
    no_distill = true;
    train.alpha = 0;
  }

  Domain domain() const { return domain_called(encoder); }
  /// The training set.
  LabelledPtr labelled() const {
    LabelledOptions options{.field = field, .image_root = image_root};
    if (!class_names.empty()) options.classes = read_class_names(class_names);
    return open_labelled(data, options);
  }
  /// The set of --val, in the classes of the training set; null without.
  LabelledPtr validation_labelled(const std::vector<std::string>& classes) const {
    if (val.empty()) return nullptr;
    return open_labelled(val,
                         {.classes = classes, .field = field, .image_root = validation_root()});
  }
};

/// What a checkpoint of a fine-tuned model says of its classes and of what it reads.
inline CheckpointInfo class_info(const std::vector<std::string>& classes, Domain domain) {
  return {{"classes", nlohmann::json(classes).dump()}, {"domain", domain_name(domain)}};
}
/// The classes that it says. Error if it says none.
inline std::vector<std::string> classes_of(const std::string& path, const CheckpointInfo& info) {
  const std::string& text = info_entry(path, info, "classes");
  const nlohmann::json list = parse_json(text);
  require(list.is_array() && list.size() > 1, path, ": entry 'classes' is no list of names");
  std::vector<std::string> names;
  for (const auto& name : list) {
    require(name.is_string(), path, ": entry 'classes' is no list of names");
    names.push_back(name.get<std::string>());
  }
  return names;
}

}  // namespace albef
