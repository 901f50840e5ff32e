// What every training run takes: options of pictures, optimizer and device, and texts to learn a
// vocabulary from.
#pragma once

#include <string>
#include <vector>

#include "albef/data/record.hpp"
#include "albef/data/transform.hpp"
#include "albef/text/wordpiece.hpp"
#include "albef/train/training_loop.hpp"
#include "common/compiled.hpp"
#include "common/device.hpp"
#include "common/program.hpp"

namespace examples {

/// Unset numbers (0 or below) are filled in by what derives from this.
struct RunArguments {
  std::string config, init;  // of a new model; checkpoint to start from
  bool resume = false;       // the run in the output folder
  int batch_size = 0, workers = 1;
  std::vector<float> crop;
  float flip = -1;
  int augment = -1;
  double max_bad_share = 0.01;
  albef::TrainOptions train;
  DeviceArguments compute;
  bool checkpointing = false;

  RunArguments();
  /// The checkpoint that the run starts from or goes on with; empty: a new model.
  std::string start() const { return resume ? train.output + "/checkpoint.safetensors" : init; }
  /// How pictures are changed and batches prepared.
  void add_picture_options(Command& app, const std::string& group);
  /// Length of the run, batches (of `items`) and learning rate.
  void add_optimizer_options(Command& app, const std::string& group, const std::string& items);
  /// Momentum model and soft targets; `alpha_epochs_note` tells about a special value.
  void add_distillation_options(Command& app, const std::string& group,
                                const std::string& alpha_epochs_note);
  /// Seed, checkpoints, memory.
  void add_state_options(Command& app, const std::string& group);

  albef::TrainTransform transform(int image_size) const;
};

/// The cleaned captions of a source, without those the loader will report.
std::vector<std::string> clean_captions(const albef::Source& source);

/// The tokens of a vocabulary joined by line ends, as checkpoints carry them.
std::string vocabulary_text(const albef::WordPiece& tokenizer);

}  // namespace examples
