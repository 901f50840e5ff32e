// The settings of runs on pictures with captions: pre-training, retrieval, grounding.
#pragma once

#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/data/loader.hpp"
#include "albef/data/noise.hpp"
#include "albef/tasks/pretrain.hpp"
#include "albef/tasks/settings.hpp"

namespace albef {

/// Pre-training: tiny's numbers come from the emoji data set, the others from the paper
/// (configs/Pretrain.yaml).
inline const Recipe pretrain_tiny{.epochs = 40,
                                  .batch_size = 64,
                                  .official_warmup = 20,
                                  .alpha_epochs = Recipe::whole_run,
                                  .lr = 1e-3,
                                  .min_lr = 1e-5,
                                  .max_text_length = 25,
                                  .crop_low = 0.75f};
inline const Recipe pretrain_paper{.epochs = 30,
                                   .batch_size = 64,
                                   .warmup = 1000,
                                   .official_warmup = 20,
                                   .lr = 1e-4,
                                   .min_lr = 1e-5,
                                   .max_text_length = 25,
                                   .crop_low = 0.2f};
/// Retrieval: tiny's numbers from trials on generated scenes and the emoji data, the others from
/// the paper (configs/Retrieval_flickr.yaml).
inline const Recipe pairs_tiny{.epochs = 20,
                               .alpha_epochs = Recipe::whole_run,
                               .lr = 2.5e-4,
                               .min_lr = 1e-5,
                               .new_model_lr = 5e-4};
inline const Recipe pairs_paper{.lr = 1e-5};

/// What a user may set of a run on pictures with captions. Unset numbers (0 or below) take a
/// default; see complete().
struct PairSettings : RunSettings {
  int queue_size = -1;
  float temp_min = -1, negative_epsilon = -1;
  bool use_crop = true;            // else the whole picture is resized
  float mask_probability = 0.15f;  // of a token; 0: no masked copies
  CaptionNoise noise{};
  bool official = false;
  bool finetunes = false;  // the official oddities are then those of retrieval

  template <class C>
  void complete(const Recipe& tiny, const Recipe& paper) {
    const auto set = [](auto& value, auto standard) {
      if (value < 0) value = standard;
    };
    constexpr bool is_tiny = std::is_base_of_v<Tiny, C>;
    train.official_schedule = official;
    RunSettings::complete<C>(tiny, paper);
    set(temp_min, is_tiny ? 0.03f : 0.001f);
    set(negative_epsilon, is_tiny ? 0.02f : 1e-4f);
    set(queue_size, C::queue_size);
  }

  SourcePtr source() const {
    auto opened = open_data(data, image_root);
    if (noise.mismatch > 0 || noise.partial > 0 || noise.keywords > 0)
      opened = std::make_shared<NoisySource>(opened, noise);
    return opened;
  }
  Loader loader(SourcePtr from, const WordPiece& tokenizer, int image_size) const {
    TrainTransform picture = transform(image_size);
    picture.use_crop = use_crop;
    if (official) picture.augment.compat = AugmentCompat::official;
    LoaderOptions options = loader_options();
    options.mask_probability = mask_probability;
    return Loader(std::move(from), tokenizer, picture, options);
  }
  PretrainOptions objective_options() const {
    PretrainOptions options{.negatives = {.epsilon = negative_epsilon}, .temp_min = temp_min};
    if (!official) return options;
    options.negatives = {.epsilon = 0, .exclude_same_identity = finetunes};
    options.teacher_dropout = true;
    if (finetunes) {
      options.temp_max = std::numeric_limits<float>::infinity();
      options.temp_min = -options.temp_max;
    }
    return options;
  }
  CheckpointInfo metadata(const WordPiece& tokenizer) const override {
    auto info = RunSettings::metadata(tokenizer);
    info["run.mask_probability"] = concat(mask_probability);
    info["run.temp_min"] = concat(temp_min);
    info["run.negative_epsilon"] = concat(negative_epsilon);
    info["run.noise"] =
        concat(noise.mismatch, ' ', noise.partial, ' ', noise.keywords, ' ', noise.seed);
    return info;
  }
};

/// What a user may set of fine-tuning for retrieval.
struct RetrievalSettings : PairSettings {
  int k = 0;  // candidates that are re-ranked in validation, see candidates()

  RetrievalSettings() {
    finetunes = true;
    mask_probability = 0;
  }
};

}  // namespace albef
