// Options of programs that train on pictures with captions, and the run they describe.
#pragma once

#include <string>
#include <vector>

#include "albef/data/loader.hpp"
#include "albef/data/noise.hpp"
#include "albef/models/albef_pretrain.hpp"
#include "albef/text/wordpiece.hpp"
#include "albef/train/training_loop.hpp"
#include "common/program.hpp"
#include "common/run_options.hpp"

namespace examples {

/// What a user may set of a run on pictures with captions. Unset numbers (0 or below) take the
/// configuration's default; see complete().
struct TrainArguments : RunArguments {
  std::vector<std::string> data{"examples/data/emoji/emoji-train.tar"};
  std::string image_root, vocab;
  int vocab_size = 0, max_text_length = 25;
  int queue_size = -1;
  float temp_min = -1, negative_epsilon = -1;
  bool use_crop = true;            // else the whole picture is resized
  float mask_probability = 0.15f;  // of a token; 0: no masked copies
  albef::CaptionNoise noise;
  bool official = false;

  void add_to(Command& app);

  /// Fills in what was not set. The numbers of tiny come from the emoji data set, those of the
  /// others from the paper.
  void complete(bool tiny, int model_vocabulary, int model_queue, int model_positions);

  albef::SourcePtr source() const;
  /// The given vocabulary, that of the checkpoint to start from or to go on with, if it has one, or
  /// one learned from the captions of `source`.
  albef::WordPiece tokenizer(const albef::Source& source, int model_vocabulary) const;
  albef::Loader loader(albef::SourcePtr source, const albef::WordPiece& tokenizer,
                       int image_size) const;
  albef::PretrainOptions objective_options() const;
};

}  // namespace examples
