// The settings of a training run as a user gives them, their defaults by task and model, and what
// follows from them: schedule, tokenizer, transforms, what checkpoints say.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "albef/checkpoint/safetensors.hpp"
#include "albef/core/error.hpp"
#include "albef/data/batch_loader.hpp"
#include "albef/data/open.hpp"
#include "albef/data/transform.hpp"
#include "albef/models/config.hpp"
#include "albef/text/extend_vocabulary.hpp"
#include "albef/train/tokenizer_info.hpp"
#include "albef/train/training.hpp"
#include "albef/train/training_loop.hpp"

namespace albef {

/// What a run of a task takes where the user says nothing.
struct Recipe {
  static constexpr int whole_run = -1;

  int epochs = 10, batch_size = 32;
  int warmup = 100, official_warmup = 1;  // iterations; hundreds of them with --official
  int alpha_epochs = 1;  // over which the soft targets gain their weight; 0: at once; or whole_run
  double lr = 2e-5, min_lr = 1e-6;
  double new_model_lr = lr;  // peak for a model that is not pre-trained
  int max_text_length = 0;   // tokens of a text; 0: the model's positions
  float crop_low = 0.5f;     // smallest share of the picture that a crop keeps
};

/// In place of a tokenizer, for tasks without texts.
struct NoTexts {};

/// What a checkpoint says of itself.
inline CheckpointInfo checkpoint_info(const std::string& path) {
  return SafeTensors::open(path).metadata();
}

/// What a user may set of any run. Unset numbers (0 or below) take a default; see complete().
struct RunSettings {
  std::string config{}, init{};  // of a new model; checkpoint to start from
  StartOptions start_options{.resize_positions = true};
  bool resume = false, overwrite = false;  // the run in the output folder
  std::vector<std::string> data{}, val{};  // to train on, to be evaluated on after each epoch
  std::string image_root{}, val_image_root{}, vocab{};
  int vocab_size = 0, max_text_length = 0;
  int batch_size = 0, workers = 1;
  std::vector<float> crop{};
  float flip = -1;
  int augment = -1;
  double max_bad_share = 0.01;
  TrainOptions train{};
  TrainingOptions training{};
  GroupOptions groups{};
  bool no_distill = false;

  RunSettings() {
    train.epochs = 0;
    train.lr = train.min_lr = train.warmup_lr = training.optimizer.weight_decay = -1;
    train.warmup = train.alpha_epochs = -1;
    training.momentum = -1;
  }
  virtual ~RunSettings() = default;

  /// Fills in what was not set for configuration C: `tiny` for one of that kind, else `paper`.
  template <class C>
  void complete(const Recipe& tiny, const Recipe& paper) {
    constexpr bool is_tiny = std::is_base_of_v<Tiny, C>;
    complete(is_tiny, is_tiny ? tiny : paper, C::vocab_size, C::max_position_embeddings);
  }
  void complete(bool is_tiny, const Recipe& recipe, int model_vocabulary, int model_positions) {
    const auto set = [](auto& value, auto otherwise) {
      if (value < 0) value = otherwise;
    };
    if (train.epochs == 0) train.epochs = recipe.epochs;
    if (batch_size <= 0) batch_size = recipe.batch_size;
    set(train.lr, init.empty() ? recipe.new_model_lr : recipe.lr);
    set(train.min_lr, std::min(recipe.min_lr, train.lr));
    set(train.warmup_lr, std::min(1e-5, train.lr));
    set(train.warmup, train.official_schedule ? recipe.official_warmup : recipe.warmup);
    set(train.alpha_epochs,
        recipe.alpha_epochs == Recipe::whole_run ? train.epochs : recipe.alpha_epochs);
    set(training.optimizer.weight_decay, 0.02);
    set(training.momentum, is_tiny ? 0.98 : 0.995);
    if (no_distill) train.alpha = 0;
    set(flip, is_tiny ? 0.0f : 0.5f);
    set(augment, is_tiny ? 0 : 2);
    if (crop.empty()) crop = {recipe.crop_low, 1.0f};
    if (max_text_length == 0)
      max_text_length = recipe.max_text_length > 0
                            ? std::min(recipe.max_text_length, model_positions)
                            : model_positions;
    require(max_text_length >= 2 && max_text_length <= model_positions, "--max-text-length ",
            max_text_length, ": expected 2 to ", model_positions, ", the model's positions");
    require(vocab_size <= model_vocabulary, "--vocab-size ", vocab_size,
            ": the model has room for ", model_vocabulary, " tokens");
    train.existing = resume ? Existing::resume : overwrite ? Existing::overwrite : Existing::refuse;
  }

  /// The checkpoint that the run starts from or goes on with; empty: a new model.
  std::string start() const {
    return resume ? RunFolder(train.output).readable_checkpoint() : init;
  }
  bool distills() const { return train.alpha > 0; }
  /// Where the pictures of `val` are.
  const std::string& validation_root() const {
    return val_image_root.empty() ? image_root : val_image_root;
  }

  /// The pictures with captions of `val`; null without.
  SourcePtr validation_source() const {
    if (val.empty()) return nullptr;
    return open_data(val, validation_root());
  }

  /// What is done about unusable records of `val`.
  BadRecords validation_records() const { return evaluation_records(max_bad_share == 0); }

  /// The given vocabulary, the starting checkpoint's, or one learned from the texts. Words it
  /// cannot spell are added to the end of it while the model has room, which is said on stderr.
  WordPiece tokenizer(const std::vector<std::string>& texts, int model_vocabulary) const {
    const auto given = given_vocabulary(model_vocabulary, true);
    if (!given) return learned_vocabulary(texts, model_vocabulary);
    const std::string place = vocab.empty() ? start() : vocab;
    const ExtendedVocabulary extended = extend_vocabulary(*given, texts, model_vocabulary, place);
    if (extended.unknown > 0)
      std::fprintf(stderr,
                   "%s: the vocabulary cannot spell %zu words of the texts, e.g. '%s'; %zu were "
                   "added to it\n",
                   place.c_str(), extended.unknown, extended.example.c_str(), extended.added);
    return extended.tokenizer;
  }
  /// The same where texts say less than a vocabulary that was chosen: nothing is added to it. The
  /// texts are asked for only if it is to be learned from them.
  template <class Texts>
  requires std::is_invocable_v<Texts> WordPiece caption_tokenizer(Texts&& texts,
                                                                  int model_vocabulary)
  const {
    const auto given = given_vocabulary(model_vocabulary, false);
    return given ? *given : learned_vocabulary(texts(), model_vocabulary);
  }
  WordPiece caption_tokenizer(const Source& source, int model_vocabulary) const {
    return caption_tokenizer([&] { return clean_captions(source); }, model_vocabulary);
  }
  TrainTransform transform(int image_size) const {
    TrainTransform transform{.size = image_size};
    transform.crop.scale_low = crop.at(0);
    transform.crop.scale_high = crop.at(1);
    transform.flip = flip;
    transform.augment.count = augment;
    return transform;
  }
  /// What all loaders of the run have in common.
  LoaderOptions loader_options() const {
    LoaderOptions options;
    options.batch_size = batch_size;
    options.workers = workers;
    options.seed = training.seed;
    options.encode.max_length = max_text_length;
    options.max_bad_share = max_bad_share;
    return options;
  }
  /// What the run's checkpoints say beside weights and schedule: what it takes to use them, and
  /// what a run that goes on must have in common.
  virtual CheckpointInfo metadata(const WordPiece& tokenizer) const {
    CheckpointInfo info = tokenizer_info(tokenizer, max_text_length);
    info["run.crop"] = concat(crop.at(0), ' ', crop.at(1));
    info["run.flip"] = concat(flip);
    info["run.augment"] = concat(augment);
    return info;
  }

 private:
  /// The given vocabulary or that of the checkpoint to start from. Without either, and unless
  /// `must` for a checkpoint without one, nothing. Error if the model has no room for it.
  std::optional<WordPiece> given_vocabulary(int model_vocabulary, bool must) const {
    const std::string from = start();
    if (vocab.empty() && from.empty()) return {};
    const auto info = from.empty() ? CheckpointInfo{} : checkpoint_info(from);
    if (vocab.empty() && !must && !info.contains("vocab")) return {};
    const auto given = tokenizer_for(from, info, vocab);
    require(given.size() <= model_vocabulary, vocab.empty() ? from : vocab, ": ", given.size(),
            " tokens, the model has room for ", model_vocabulary);
    return given;
  }
  WordPiece learned_vocabulary(const std::vector<std::string>& texts, int model_vocabulary) const {
    const int size = vocab_size > 0 ? vocab_size : model_vocabulary;
    return WordPiece::from_vocab(learn_vocabulary(texts, size), "learned vocabulary");
  }
};

/// What a user may set of a fine-tuning run on annotations.
struct TaskSettings : RunSettings {
  bool by_picture = false;

  /// How the training set, or that of --val, is read.
  AnnotationOptions annotations(bool validation) const {
    return annotation_options(validation ? validation_root() : image_root);
  }
  LoaderOptions loader() const {
    LoaderOptions options = loader_options();
    options.by_picture = by_picture;
    options.mask_probability = 0;
    options.on_bad_record = [reported = 0](const std::string& message) mutable {
      constexpr int limit = 5;
      if (++reported <= limit) std::fprintf(stderr, "skipped %s\n", message.c_str());
      if (reported == limit + 1) std::fprintf(stderr, "skipped more records\n");
    };
    return options;
  }
  /// Of a validation set, see statement_loader() and question_loader(): unusable records are named
  /// once, by whichever copy of the options.
  LoaderOptions validation_loader() const {
    LoaderOptions options = loader();
    options.on_bad_record = print_skipped_once();
    return options;
  }
  CheckpointInfo metadata(const WordPiece& tokenizer) const override {
    auto info = RunSettings::metadata(tokenizer);
    info["run.by_picture"] = by_picture ? "yes" : "no";
    return info;
  }
};

}  // namespace albef
