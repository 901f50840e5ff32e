// The settings of a grounding run: pairs of pictures and expressions, what the expressions of the
// validation set refer to, and the layer that is looked at.
#pragma once

#include <memory>
#include <string>

#include "albef/data/open.hpp"
#include "albef/tasks/grounding_evaluation.hpp"
#include "albef/tasks/pair_settings.hpp"

namespace albef {

/// Grounding: tiny's learning rate is that of a new model, since expressions are not the captions
/// of the pre-training; the others' numbers are the paper's (configs/Grounding.yaml).
inline const Recipe grounding_tiny{
    .epochs = 20, .alpha_epochs = Recipe::whole_run, .lr = 5e-4, .min_lr = 1e-5};
inline const Recipe grounding_paper{.epochs = 5, .lr = 1e-5};

/// What a user may set of a grounding run; `data` and `val` are files of expressions.
struct GroundingSettings : PairSettings {
  GroundingFiles targets{};  ///< refs, instances and detections of the validation set
  int layer = -1;            ///< see grounding_layer()

  GroundingSettings() {
    finetunes = true;
    use_crop = false;
    mask_probability = 0;
  }
  template <class C>
  void complete() {
    if (flip < 0 && !official) flip = 0;  // left would become right
    PairSettings::complete<C>(grounding_tiny, grounding_paper);
    layer = grounding_layer<C>(layer);
  }
  SourcePtr source() const { return grounding_expressions(data, annotation_options(image_root)); }
  /// The expressions of --val, their pictures checked; null without.
  std::shared_ptr<const GroundingSet> validation_set() const {
    if (val.empty()) return nullptr;
    require(!targets.refs.empty() && !targets.instances.empty(),
            "--val needs --refs and --instances, which say where the objects are");
    GroundingFiles files = targets;
    files.expressions = val;
    files.image_root = validation_root();
    auto set = std::make_shared<GroundingSet>(files, validation_records());
    set->check_pictures();
    return set;
  }
};

}  // namespace albef
