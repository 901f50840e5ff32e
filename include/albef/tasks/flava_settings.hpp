// The settings of FLAVA's pre-training: three kinds of data, two stages, and what follows from
// them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/data/flava_loader.hpp"
#include "albef/data/mixed_loader.hpp"
#include "albef/data/open.hpp"
#include "albef/data/retrieval_set.hpp"
#include "albef/data/unpaired.hpp"
#include "albef/tasks/flava_start.hpp"
#include "albef/tasks/settings.hpp"

namespace albef {

/// The recipe of the joint stage: tiny's numbers come from the emoji data set, the others from the
/// paper (appendix B).
inline const Recipe flava_tiny{.epochs = 30,
                               .batch_size = 64,
                               .lr = 1e-3,
                               .min_lr = 1e-5,
                               .max_text_length = 25,
                               .crop_low = 0.75f};
inline const Recipe flava_paper{.epochs = 30,
                                .batch_size = 64,
                                .warmup = 10000,
                                .lr = 1e-3,
                                .min_lr = 0,
                                .max_text_length = 77,
                                .crop_low = 0.9f};

/// What FLAVA learns from; null: not given.
struct FlavaSources {
  SourcePtr images, texts, pairs;

  const SourcePtr& of(FlavaKind kind) const {
    return kind == FlavaKind::images ? images : kind == FlavaKind::texts ? texts : pairs;
  }
};

/// What a user may set of FLAVA's pre-training. `data` are the pairs. Unset numbers (0 or below)
/// take a default; see complete().
struct FlavaSettings : RunSettings {
  std::vector<std::string> images{}, texts{};
  std::string init_image{}, init_text{};  // checkpoints that the encoders start from
  int image_epochs = 0, text_epochs = 0;  // of pictures alone, then of texts alone, then jointly:
  int joint_epochs = -1;
  double image_weight = 1, text_weight = 1, pair_weight = 1;  // in the joint stage
  float mask_probability = 0.15f;                             // of a token
  float mismatch = 0.1f;           // share of pairs with another picture's caption
  std::string objective = "full";  // or contrastive: of pairs, only their global contrast
  std::string image_tokenizer{};   // file of an image tokenizer; empty: clusters of pixels

  FlavaSettings() {
    no_distill = true;
    train.alpha = 0;
  }

  template <class C>
  void complete(const Recipe& tiny, const Recipe& paper) {
    constexpr bool is_tiny = std::is_base_of_v<Tiny, C>;
    if (joint_epochs < 0) joint_epochs = is_tiny ? tiny.epochs : paper.epochs;
    train.epochs = image_epochs + text_epochs + joint_epochs;
    require(train.epochs > 0,
            "--epochs 0: there is nothing to do without --image-epochs and "
            "--text-epochs");
    if (training.optimizer.weight_decay < 0 && !is_tiny) training.optimizer.weight_decay = 0.1;
    if (objective == "contrastive") mismatch = 0;  // nothing asks which pairs match
    RunSettings::complete<C>(tiny, paper);
  }

  /// Opens what is given. Error for stages whose data are not.
  FlavaSources sources() const {
    require(image_epochs == 0 || !images.empty(), "--image-epochs ", image_epochs,
            ": there are no --images");
    require(text_epochs == 0 || !texts.empty(), "--text-epochs ", text_epochs,
            ": there are no --texts");
    require(!images.empty() || !texts.empty() || !data.empty(),
            "there is nothing to learn from: give --data, --images or --texts");
    FlavaSources out;
    if (!images.empty())
      out.images = open_mixed(images, [&](const auto& p) { return open_pictures(p, image_root); });
    if (!texts.empty()) out.texts = open_mixed(texts, [](const auto& p) { return open_texts(p); });
    if (!data.empty()) out.pairs = open_data(data, image_root);
    return out;
  }
  /// The given vocabulary, that of the text encoder to start from, or one learned from all texts.
  WordPiece text_tokenizer(const FlavaSources& from, int model_vocabulary) const {
    if (vocab.empty() && start().empty() && !init_text.empty()) {
      const auto given = tokenizer_for(init_text, checkpoint_info(init_text), "");
      require(given.size() <= model_vocabulary, init_text, ": ", given.size(),
              " tokens, the model has room for ", model_vocabulary);
      return given;
    }
    const auto all_texts = [&] {
      std::vector<std::string> all;
      for (const SourcePtr& source : {from.pairs, from.texts})
        if (source)
          for (std::string& text : clean_captions(*source)) all.push_back(std::move(text));
      return all;
    };
    return caption_tokenizer(all_texts, model_vocabulary);
  }
  /// The data sets in one loader, whose epochs have as many steps as there are batches of pairs
  /// (or, without pairs, of pictures or of texts). The first batch of each is prepared, so that
  /// what cannot be read is known before the run. `code_image_size`: see FlavaDataOptions.
  MixedLoader<FlavaBatch> loader(const FlavaSources& from, const WordPiece& tokenizer,
                                 int image_size, int patch_size, int code_image_size) const {
    LoaderOptions options = loader_options();
    options.mask_probability = mask_probability;
    FlavaDataOptions masks;
    masks.patches = block_masking(image_size / patch_size, image_size / patch_size);
    masks.mismatch = mismatch;
    masks.code_image_size = code_image_size;

    MixedOptions mixed{.seed = training.seed, .accumulate = train.accumulate};
    MixedStage of_images, of_texts, joint;
    std::vector<std::unique_ptr<BatchLoader<FlavaBatch>>> parts;
    for (const auto& [kind, weight] : {std::pair{FlavaKind::pairs, pair_weight},
                                       {FlavaKind::images, image_weight},
                                       {FlavaKind::texts, text_weight}}) {
      if (!from.of(kind)) continue;
      LoaderOptions own = options;
      if (kind == FlavaKind::texts) own.max_words = max_text_length;
      auto part = std::make_unique<FlavaLoader>(kind, from.of(kind), tokenizer,
                                                transform(image_size), own, masks);
      part->next();
      part->seek({});
      if (parts.empty()) mixed.steps_per_epoch = part->batches_per_epoch() / train.accumulate;
      parts.push_back(std::move(part));
      of_images.weights.push_back(kind == FlavaKind::images);
      of_texts.weights.push_back(kind == FlavaKind::texts);
      joint.weights.push_back(weight);
    }
    of_images.steps = image_epochs * mixed.steps_per_epoch;
    of_texts.steps = text_epochs * mixed.steps_per_epoch;
    if (image_epochs > 0) mixed.stages.push_back(std::move(of_images));
    if (text_epochs > 0) mixed.stages.push_back(std::move(of_texts));
    if (joint_epochs > 0) mixed.stages.push_back(std::move(joint));
    return MixedLoader<FlavaBatch>(std::move(parts), std::move(mixed));
  }
  /// At most `most` pictures of each data set that has any, drawn by the seed, as an image
  /// tokenizer reads them: (n, size, size, 3). Those that cannot be read are left out.
  std::vector<std::uint8_t> some_pictures(const FlavaSources& from, int size,
                                          std::size_t most) const {
    std::vector<std::uint8_t> out;
    for (const SourcePtr& source : {from.images, from.pairs}) {
      if (!source) continue;
      auto records = random_order(source->size(), training.seed, 0);
      records.resize(std::min(records.size(), most));
      BadRecords bad(1, nullptr);
      for_each_image_batch(
          *source, records, EvalTransform{size}, batch_size, workers,
          [&](const ImageBatch& batch) {
            out.insert(out.end(), batch.images.begin(), batch.images.end());
          },
          default_decoding(), &bad);
    }
    return out;
  }
  /// Takes over --init-image and --init-text; what was loaded is told on stderr.
  template <class Store>
  void start_encoders(Store& store) const {
    const auto tell = [](const std::string& path, const LoadReport& report) {
      std::fprintf(stderr, "%s: %s\n", path.c_str(), report.text().c_str());
    };
    if (!init_image.empty()) tell(init_image, start_image_encoder(store, init_image));
    if (!init_text.empty()) tell(init_text, start_text_encoder(store, init_text));
  }
  CheckpointInfo metadata(const WordPiece& tokenizer) const override {
    auto info = RunSettings::metadata(tokenizer);
    info["run.stages"] = concat(image_epochs, ' ', text_epochs, ' ', joint_epochs);
    info["run.weights"] = concat(image_weight, ' ', text_weight, ' ', pair_weight);
    info["run.mask_probability"] = concat(mask_probability);
    info["run.mismatch"] = concat(mismatch);
    info["run.objective"] = objective;
    info["run.tokenizer"] = image_tokenizer;
    return info;
  }
};

}  // namespace albef
