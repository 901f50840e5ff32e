// The settings of DINO's training, and what it is worth by its nearest neighbours meanwhile.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/data/multi_crop.hpp"
#include "albef/data/unpaired.hpp"
#include "albef/tasks/dino.hpp"
#include "albef/tasks/labelled_features.hpp"
#include "albef/tasks/probe.hpp"
#include "albef/tasks/settings.hpp"
#include "albef/train/validation.hpp"

namespace albef {

/// tiny's numbers come from the grocery photographs, the others from main_dino.py.
inline const Recipe dino_tiny{.epochs = 100, .batch_size = 64, .lr = 1e-3, .min_lr = 1e-5};
inline const Recipe dino_paper{.epochs = 100, .batch_size = 64, .lr = -1, .min_lr = 1e-6};

/// What a user may set of DINO's training. Unset numbers (below 0, or empty lists) take a default;
/// see complete().
struct DinoSettings : RunSettings {
  DinoOptions dino{};
  MultiCrop crops{};
  std::vector<int> local_size{}, local_crops{};      // of each size
  std::vector<float> global_scale{}, local_scale{};  // shares of the picture, low and high
  double warmup_epochs = -1, weight_decay_end = -1, momentum_end = 1;
  std::vector<std::string> known{};  // labelled pictures by which those of --val are classified
  std::string label = LabelledOptions{}.field;
  NeighbourOptions neighbours{};

  DinoSettings() {
    no_distill = true;
    training.optimizer.max_norm = 3;
    training.optimizer.clip_each = true;
    train.dino_schedule = true;
    train.warmup_lr = 0;
    dino.teacher_temp = -1;
    crops.blur_high = -1;
  }

  template <class C>
  void complete(const Recipe& tiny, const Recipe& paper) {
    using D = typename Dino<C>::Config;
    constexpr bool is_tiny = D::is_tiny;
    const auto set = [](auto& value, auto otherwise) {
      if (value < 0) value = otherwise;
    };
    const Recipe& recipe = is_tiny ? tiny : paper;
    if (batch_size <= 0) batch_size = recipe.batch_size;
    // main_dino.py: 0.0005 for 256 pictures a step.
    if (!is_tiny) set(train.lr, 5e-4 * batch_size * train.accumulate / 256);
    set(training.optimizer.weight_decay, 0.04);
    set(weight_decay_end, 0.4);
    set(training.momentum, is_tiny ? 0.99 : 0.996);
    set(flip, 0.5f);
    set(dino.teacher_temp, 0.04);
    set(crops.blur_high, is_tiny ? 0.6f : 2.0f);  // 2 is for 224 pixels
    constexpr int any = 512;                      // it has no texts
    RunSettings::complete(is_tiny, recipe, any, any);
    if (warmup_epochs < 0) warmup_epochs = std::min(10.0, train.epochs / 10.0);
    training.weight_decay_end = weight_decay_end;
    training.momentum_end = momentum_end;
    complete_crops(D::image_res, D::patch_size, is_tiny ? 4 : 8);
  }

  SourcePtr source() const {
    return open_mixed(data, [&](const auto& place) { return open_pictures(place, image_root); });
  }
  MultiCropLoader loader(SourcePtr from) const {
    return MultiCropLoader(std::move(from), crops, loader_options());
  }
  /// What depends on the length of an epoch.
  void complete_schedule(std::int64_t batches_per_epoch) {
    const auto steps = static_cast<double>(batches_per_epoch / train.accumulate);
    train.warmup = static_cast<int>(std::lround(warmup_epochs * steps));
  }
  /// The labelled sets of the validation.
  LabelledPtr known_set() const {
    return open_labelled(known.empty() ? data : known, {.field = label, .image_root = image_root});
  }
  LabelledPtr validation_set(const LabelledSource& known_pictures) const {
    return open_labelled(
        val,
        {.classes = known_pictures.classes(), .field = label, .image_root = validation_root()});
  }

  using RunSettings::metadata;
  CheckpointInfo metadata(const NoTexts&) const {
    std::string sizes;
    for (const LocalCrops& g : crops.groups()) sizes += concat(g.crops, " of ", g.size, ", ");
    const auto both = [](const RandomResizedCrop& c) {
      return concat(c.scale_low, ' ', c.scale_high);
    };
    const MultiCrop& m = crops;
    return {{"run.crops", concat(sizes, "shares ", both(m.global_crop), ", ", both(m.local_crop))},
            {"run.flip", concat(m.flip)},
            {"run.jitter",
             concat(m.jitter_probability, ' ', m.jitter.brightness, ' ', m.jitter.contrast, ' ',
                    m.jitter.saturation, ' ', m.jitter.hue, ' ', m.gray)},
            {"run.blur", concat(m.blur_first, ' ', m.blur_second, ' ', m.blur_local, ' ',
                                m.blur_low, ' ', m.blur_high)},
            {"run.solarize", concat(m.solarize_second)}};
  }

 private:
  void complete_crops(int image_size, int patch_size, int standard_crops) {
    crops.global_size = image_size;
    crops.flip = flip;
    if (local_size.empty())  // as 96 is to 224, in whole patches
      local_size = {
          std::max(1, static_cast<int>(std::lround(image_size * 96.0 / 224 / patch_size))) *
          patch_size};
    if (local_crops.empty()) local_crops.assign(local_size.size(), standard_crops);
    require(local_crops.size() == local_size.size(), "--local-crops: ", local_crops.size(),
            " numbers for ", local_size.size(), " sizes of --local-size");
    crops.local.clear();
    for (std::size_t i = 0; i < local_size.size(); ++i) {
      require(local_size[i] > 0 && local_size[i] % patch_size == 0, "--local-size ", local_size[i],
              ": expected a multiple of ", patch_size, ", the patches' side");
      crops.local.push_back({local_size[i], local_crops[i]});
    }
    const auto scale = [](const std::vector<float>& shares, RandomResizedCrop& box) {
      if (!shares.empty()) box.scale_low = shares.at(0), box.scale_high = shares.at(1);
    };
    scale(global_scale, crops.global_crop);
    scale(local_scale, crops.local_crop);
    crops.check();
  }
};

/// The teacher's class tokens of a labelled set, by a session over a training of DINO.
template <class S>
LabelledFeatures teacher_features(S& session, const LabelledSource& set,
                                  const EncodingOptions& options = {},
                                  BadRecords bad = BadRecords()) {
  const std::vector<std::uint32_t> records = set.usable(bad);
  const auto values = image_features(
      session, set, records,
      [](auto& ctx, const auto& images) {
        return ctx.frozen(Plane::ema, [&] { return S::model.feature(ctx, images); });  // (B, D)
      },
      options, &bad);
  return detail::labelled(set, records, values, bad);
}

/// How many pictures of `set` their nearest neighbours among `known` classify rightly, by the
/// teacher (eval_knn.py).
template <class S>
Validation validate_neighbours(S& session, const LabelledSource& known, const LabelledSource& set,
                               NeighbourOptions neighbours, const EncodingOptions& options = {}) {
  const LabelledFeatures memory = teacher_features(session, known, options);
  const LabelledFeatures queries = teacher_features(session, set, options);
  neighbours.neighbours = std::min(neighbours.neighbours, memory.rows());
  const auto predicted =
      nearest_neighbours(memory.mat(), memory.labels, static_cast<int>(memory.classes.size()),
                         queries.mat(), neighbours);
  const double right = accuracy(predicted, queries.labels);
  return {right, {{"knn", right}, {"neighbours", neighbours.neighbours}}};
}

}  // namespace albef
