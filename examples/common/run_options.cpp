#include "common/run_options.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <utility>

#include "albef/text/clean.hpp"
#include "albef/text/tokenizer_json.hpp"
#include "albef/text/vocabulary.hpp"
#include "albef/train/inference_model.hpp"
#include "common/config_dispatch.hpp"
#include "common/open_data.hpp"

namespace examples {

RunArguments::RunArguments() {
  train.epochs = 0;
  train.lr = train.min_lr = train.warmup_lr = train.optimizer.weight_decay = -1;
  train.warmup = train.alpha_epochs = -1;
  train.momentum = -1;
}

void RunArguments::add_to(Command& app, const RunHelp& help) {
  const auto model_group = "Model";
  app.add_option("--init", init,
                 "start from the weights of this checkpoint: its configuration and vocabulary are "
                 "taken over; without it the model is new")
      .group(model_group);
  app.add_option("--config", config,
                 "configuration of a new model (default: tiny), of a checkpoint that does not name "
                 "its own (official ones), or the same for another image size: " +
                     config_names(Configs{}))
      .group(model_group);
  app.add_option("--vocab", vocab,
                 "BERT vocab.txt or Hugging Face tokenizer.json; default: the checkpoint's, or one "
                 "learned from the texts")
      .group(model_group);
  app.add_option("--vocab-size", vocab_size, "size of a learned vocabulary, at most the model's")
      .non_negative()
      .group(model_group);

  const auto data_group = "Data";
  app.add_option("-d,--data", data, help.data).group(data_group);
  app.add_option("--image-root", image_root, image_root_help).group(data_group);
  app.add_option("--max-text-length", max_text_length,
                 "tokens kept of a text, [CLS] included; 0: the program's default")
      .capture_default_str()
      .group(data_group);
  app.add_option("--crop", crop, "share of the picture that a random crop keeps, low and high")
      .expected(2)
      .range(0.0, 1.0)
      .group(data_group);
  app.add_option("--flip", flip,
                 "probability of mirroring a picture; choose 0 where texts say left and right")
      .range(0.0, 1.0)
      .group(data_group);
  app.add_option("--augment", augment, "RandAugment operations per picture, 0 for none")
      .non_negative()
      .group(data_group);
  app.add_option("--workers", workers, "threads that prepare batches")
      .capture_default_str()
      .range(0, 256)
      .group(data_group);
  app.add_option("--max-bad-share", max_bad_share,
                 "share of unusable records at which the run stops")
      .capture_default_str()
      .range(0.0, 1.0)
      .group(data_group);

  compute.add_to(app, true, "Device");

  const auto run_group = "Training";
  app.add_option("-o,--output", train.output, "folder for checkpoints, metrics and curves")
      .capture_default_str()
      .group(run_group);
  app.add_flag("--resume", resume,
               "continue the run in the output folder exactly, with the same options")
      .group(run_group);
  app.add_flag("--overwrite", overwrite, "replace the run in the output folder, if there is one")
      .group(run_group);
  app.add_option("--epochs", train.epochs, "passes over the data").positive().group(run_group);
  app.add_option("--max-steps", train.max_steps, "stop after this many optimizer steps")
      .non_negative()
      .group(run_group);
  app.add_option("--batch-size", batch_size, help.items + " per batch").positive().group(run_group);
  app.add_option("--accumulate", train.accumulate, "batches per optimizer step")
      .capture_default_str()
      .positive()
      .group(run_group);
  app.add_option("--lr", train.lr, "peak learning rate").non_negative().group(run_group);
  app.add_option("--min-lr", train.min_lr, "learning rate at the end")
      .non_negative()
      .group(run_group);
  app.add_option("--warmup-lr", train.warmup_lr, "learning rate at the start")
      .non_negative()
      .group(run_group);
  app.add_option("--warmup", train.warmup, "iterations until the peak")
      .non_negative()
      .group(run_group);
  app.add_option("--weight-decay", train.optimizer.weight_decay, "of AdamW")
      .non_negative()
      .group(run_group);
  app.add_option("--max-norm", train.optimizer.max_norm, "clip the gradient norm; 0: off")
      .non_negative()
      .group(run_group);
  if (help.distills) {
    app.add_option("--momentum", train.momentum, "of the momentum model")
        .range(0.0, 1.0)
        .group(run_group);
    app.add_option("--alpha", train.alpha, "weight of the momentum model's soft targets")
        .capture_default_str()
        .range(0.0, 1.0)
        .group(run_group);
    app.add_option("--alpha-epochs", train.alpha_epochs,
                   "epochs over which the soft targets gain their weight; 0: at once")
        .non_negative()
        .group(run_group);
    app.add_flag("--no-distill", no_distill, "no soft targets of the momentum model: --alpha 0")
        .group(run_group);
  } else {
    no_distill = true;
  }
  app.add_option("--seed", train.seed, "of weights, order, augmentation, masks and dropout")
      .capture_default_str()
      .group(run_group);
  app.add_option("--save-every", train.save_every,
                 "optimizer steps between checkpoints; 0: every epoch")
      .non_negative()
      .group(run_group);
  app.add_flag("--keep-epochs", train.keep_epochs, "keep the checkpoint of every epoch")
      .group(run_group);
  app.add_flag("--checkpointing", checkpointing,
               "keep only block inputs and compute blocks again in the backward pass: less "
               "memory, a third more time")
      .group(run_group);
}

void RunArguments::complete(bool is_tiny, const RunDefaults& defaults, int model_vocabulary,
                            int model_positions) {
  const auto set = [](auto& value, auto otherwise) {
    if (value < 0) value = otherwise;
  };
  if (train.epochs == 0) train.epochs = defaults.epochs;
  if (batch_size <= 0) batch_size = defaults.batch_size;
  set(train.lr, init.empty() ? defaults.new_model_lr : defaults.lr);
  set(train.min_lr, std::min(defaults.min_lr, train.lr));
  set(train.warmup_lr, std::min(1e-5, train.lr));
  set(train.warmup, train.official_schedule ? defaults.official_warmup : defaults.warmup);
  set(train.alpha_epochs,
      defaults.alpha_epochs == RunDefaults::whole_run ? train.epochs : defaults.alpha_epochs);
  set(train.optimizer.weight_decay, 0.02);
  set(train.momentum, is_tiny ? 0.98 : 0.995);
  if (no_distill) train.alpha = 0;
  set(flip, is_tiny ? 0.0f : 0.5f);
  set(augment, is_tiny ? 0 : 2);
  if (crop.empty()) crop = {defaults.crop_low, 1.0f};
  if (max_text_length == 0)
    max_text_length = defaults.max_text_length > 0
                          ? std::min(defaults.max_text_length, model_positions)
                          : model_positions;
  albef::require(max_text_length >= 2 && max_text_length <= model_positions, "--max-text-length ",
                 max_text_length, ": expected 2 to ", model_positions, ", the model's positions");
  albef::require(vocab_size <= model_vocabulary, "--vocab-size ", vocab_size,
                 ": the model has room for ", model_vocabulary, " tokens");
}

std::optional<albef::WordPiece> RunArguments::given_vocabulary(int model_vocabulary,
                                                               bool must) const {
  const std::string from = start();
  if (vocab.empty() && from.empty()) return {};
  const auto info = from.empty() ? albef::CheckpointInfo{} : checkpoint_info(from);
  if (vocab.empty() && !must && !info.contains("vocab")) return {};
  const auto given = albef::detail::vocab_for(from, info, vocab);
  albef::require(given.size() <= model_vocabulary, vocab.empty() ? from : vocab, ": ", given.size(),
                 " tokens, the model has room for ", model_vocabulary);
  return given;
}

albef::WordPiece RunArguments::learned_vocabulary(const std::vector<std::string>& texts,
                                                  int model_vocabulary) const {
  const int size = vocab_size > 0 ? vocab_size : model_vocabulary;
  return albef::WordPiece::from_vocab(albef::learn_vocabulary(texts, size), "learned vocabulary");
}

albef::WordPiece RunArguments::tokenizer(const std::vector<std::string>& texts,
                                         int model_vocabulary) const {
  const auto found = given_vocabulary(model_vocabulary, true);
  if (!found) return learned_vocabulary(texts, model_vocabulary);

  const albef::WordPiece& given = *found;
  std::vector<std::string> tokens = given.tokens();
  const std::size_t room = static_cast<std::size_t>(model_vocabulary);
  std::size_t unknown = 0;
  std::string example;
  for (const auto& word : albef::detail::count_words(texts, given.options().normalization)) {
    const auto ids = given.ids(word.text);
    if (std::find(ids.begin(), ids.end(), given.unk_id()) == ids.end()) continue;
    if (unknown++ == 0) example = word.text;
    if (tokens.size() < room) tokens.push_back(word.text);
  }
  if (unknown == 0) return given;
  const std::string place = vocab.empty() ? start() : vocab;
  std::fprintf(stderr,
               "%s: the vocabulary cannot spell %zu words of the texts, e.g. '%s'; %zu were added "
               "to it\n",
               place.c_str(), unknown, example.c_str(),
               tokens.size() - static_cast<std::size_t>(given.size()));
  return albef::WordPiece::from_vocab(std::move(tokens), place, given.options());
}

albef::TrainTransform RunArguments::transform(int image_size) const {
  albef::TrainTransform transform{.size = image_size};
  transform.crop.scale_low = crop.at(0);
  transform.crop.scale_high = crop.at(1);
  transform.flip = flip;
  transform.augment.count = augment;
  return transform;
}

albef::CheckpointInfo RunArguments::metadata(const albef::WordPiece& tokenizer) const {
  std::string tokens;
  for (int i = 0; i < tokenizer.size(); ++i) tokens += (i ? "\n" : "") + tokenizer.token(i);
  return {{"vocab", tokens},
          {"max_text_length", albef::concat(max_text_length)},
          {"run.crop", albef::concat(crop.at(0), ' ', crop.at(1))},
          {"run.flip", albef::concat(flip)},
          {"run.augment", albef::concat(augment)}};
}

std::vector<std::string> clean_captions(const albef::Source& source) {
  std::vector<std::string> captions;
  for (std::size_t i = 0; i < source.size(); ++i)
    for (const auto& caption : source.record(i).captions) try {
        captions.push_back(albef::pre_caption(caption));
      } catch (const albef::Error&) {}
  return captions;
}

}  // namespace examples
