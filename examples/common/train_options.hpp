// Options of programs that train on pictures with captions, and the run they describe.
#pragma once

#include <string>
#include <type_traits>

#include "albef/data/loader.hpp"
#include "albef/data/noise.hpp"
#include "albef/tasks/pretrain.hpp"
#include "albef/text/wordpiece.hpp"
#include "common/program.hpp"
#include "common/run_options.hpp"

namespace examples {

/// Pre-training: tiny's numbers come from the emoji data set, the others from the paper
/// (configs/Pretrain.yaml).
inline const RunDefaults pretrain_tiny{.epochs = 40,
                                       .batch_size = 64,
                                       .official_warmup = 20,
                                       .alpha_epochs = RunDefaults::whole_run,
                                       .lr = 1e-3,
                                       .min_lr = 1e-5,
                                       .max_text_length = 25,
                                       .crop_low = 0.75f};
inline const RunDefaults pretrain_paper{.epochs = 30,
                                        .batch_size = 64,
                                        .warmup = 1000,
                                        .official_warmup = 20,
                                        .lr = 1e-4,
                                        .min_lr = 1e-5,
                                        .max_text_length = 25,
                                        .crop_low = 0.2f};

/// What a user may set of a run on pictures with captions. Unset numbers (0 or below) take a
/// default; see complete().
struct TrainArguments : RunArguments {
  int queue_size = -1;
  float temp_min = -1, negative_epsilon = -1;
  bool use_crop = true;            // else the whole picture is resized
  float mask_probability = 0.15f;  // of a token; 0: no masked copies
  albef::CaptionNoise noise;
  bool official = false;

  TrainArguments() { data = {"examples/data/emoji/emoji-train.tar"}; }
  void add_to(Command& app);

  template <class C>
  void complete(const RunDefaults& tiny = pretrain_tiny,
                const RunDefaults& paper = pretrain_paper) {
    train.official_schedule = official;
    RunArguments::complete<C>(tiny, paper);
    complete_objectives(std::is_base_of_v<albef::Tiny, C>, C::queue_size);
  }

  albef::SourcePtr source() const;
  /// The given vocabulary, that of the checkpoint to start from or to go on with, if it has one, or
  /// one learned from the captions of `source`.
  albef::WordPiece caption_tokenizer(const albef::Source& source, int model_vocabulary) const;
  albef::Loader loader(albef::SourcePtr source, const albef::WordPiece& tokenizer,
                       int image_size) const;
  albef::PretrainOptions objective_options() const;
  albef::CheckpointInfo metadata(const albef::WordPiece& tokenizer) const override;

 private:
  void complete_objectives(bool is_tiny, int model_queue);
};

}  // namespace examples
