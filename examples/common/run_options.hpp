// What every training run takes: options of data, pictures, optimizer and device, their defaults,
// and the vocabulary.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "albef/data/record.hpp"
#include "albef/data/transform.hpp"
#include "albef/models/config.hpp"
#include "albef/text/wordpiece.hpp"
#include "albef/train/training_loop.hpp"
#include "common/compiled.hpp"
#include "common/device.hpp"
#include "common/program.hpp"

namespace examples {

/// What a run takes where the user says nothing.
struct RunDefaults {
  static constexpr int whole_run = -1;

  int epochs = 10, batch_size = 32;
  int warmup = 100, official_warmup = 1;  // iterations; hundreds of them with --official
  int alpha_epochs = 1;  // over which the soft targets gain their weight; 0: at once; or whole_run
  double lr = 2e-5, min_lr = 1e-6;
  double new_model_lr = lr;  // peak for a model that is not pre-trained
  int max_text_length = 0;   // tokens of a text; 0: the model's positions
  float crop_low = 0.5f;     // smallest share of the picture that a crop keeps
};

/// How the help of a program speaks of a run.
struct RunHelp {
  std::string data;                // what --data is
  std::string items = "examples";  // of which there are --batch-size in a batch
  bool distills = true;            // there is a momentum model
};

/// What a user may set of any run. Unset numbers (0 or below) take a default; see complete().
struct RunArguments {
  std::string config, init;                // of a new model; checkpoint to start from
  bool resume = false, overwrite = false;  // the run in the output folder
  std::vector<std::string> data;
  std::string image_root, vocab;
  int vocab_size = 0, max_text_length = 0;
  int batch_size = 0, workers = 1;
  std::vector<float> crop;
  float flip = -1;
  int augment = -1;
  double max_bad_share = 0.01;
  albef::TrainOptions train;
  bool no_distill = false;
  DeviceArguments compute;
  bool checkpointing = false;

  RunArguments();
  virtual ~RunArguments() = default;

  void add_to(Command& app, const RunHelp& help);
  /// Fills in what was not set for configuration C: `tiny` for one of that kind, else `paper`.
  template <class C>
  void complete(const RunDefaults& tiny, const RunDefaults& paper) {
    constexpr bool is_tiny = std::is_base_of_v<albef::Tiny, C>;
    complete(is_tiny, is_tiny ? tiny : paper, C::vocab_size, C::max_position_embeddings);
  }
  void complete(bool is_tiny, const RunDefaults& defaults, int model_vocabulary,
                int model_positions);

  /// The checkpoint that the run starts from or goes on with; empty: a new model.
  std::string start() const { return resume ? train.output + "/checkpoint.safetensors" : init; }
  bool distills() const { return train.alpha > 0; }
  /// The given vocabulary, the starting checkpoint's, or one learned from the texts. Words it
  /// cannot spell are added to the end of it while the model has room.
  albef::WordPiece tokenizer(const std::vector<std::string>& texts, int model_vocabulary) const;
  albef::TrainTransform transform(int image_size) const;
  /// What the run's checkpoints say beside weights and schedule: what it takes to use them, and
  /// what a run that goes on must have in common.
  virtual albef::CheckpointInfo metadata(const albef::WordPiece& tokenizer) const;

 protected:
  /// The given vocabulary or that of the checkpoint to start from. Without either, and unless
  /// `must` for a checkpoint without one, nothing. Error if the model has no room for it.
  std::optional<albef::WordPiece> given_vocabulary(int model_vocabulary, bool must) const;
  albef::WordPiece learned_vocabulary(const std::vector<std::string>& texts,
                                      int model_vocabulary) const;
};

/// The cleaned captions of a source, without those the loader will report.
std::vector<std::string> clean_captions(const albef::Source& source);

}  // namespace examples
