#include "common/train_options.hpp"

#include <algorithm>
#include <utility>

#include "albef/data/noise.hpp"
#include "albef/data/transform.hpp"
#include "albef/text/tokenizer_json.hpp"
#include "albef/text/vocabulary.hpp"
#include "albef/train/inference_model.hpp"
#include "common/open_data.hpp"

namespace examples {

void TrainArguments::add_to(Command& app) {
  const auto data_group = "Data";
  app.add_option("--data", data, std::string(data_help) + "; PATH=WEIGHT mixes several")
      .capture_default_str()
      .group(data_group);
  app.add_option("--image-root", image_root, image_root_help).group(data_group);
  app.add_option("--vocab", vocab,
                 "BERT vocab.txt or Hugging Face tokenizer.json; default: the checkpoint's, or one "
                 "learned from the captions")
      .group(data_group);
  app.add_option("--vocab-size", vocab_size, "size of a learned vocabulary, at most the model's")
      .group(data_group);
  app.add_option("--max-text-length", max_text_length, "tokens kept of a caption, [CLS] included")
      .capture_default_str()
      .group(data_group);
  add_picture_options(app, data_group);
  app.add_option("--mask-probability", mask_probability,
                 "share of the tokens that the model has to guess (BERT: 0.15); much, where "
                 "captions are short or all alike")
      .capture_default_str()
      .group(data_group);
  app.add_option("--mismatch", noise.mismatch,
                 "spoil captions: share that is swapped with another record's")
      .group(data_group);
  app.add_option("--partial", noise.partial, "spoil captions: share that loses half its words")
      .group(data_group);
  app.add_option("--keywords", noise.keywords, "spoil captions: share replaced by keywords")
      .group(data_group);
  app.add_option("--noise-seed", noise.seed, "which captions are spoiled").group(data_group);

  compute.add_to(app, true, "Device");

  const auto run_group = "Training";
  app.add_option("--output", train.output, "folder for checkpoint, metrics and curves")
      .capture_default_str()
      .group(run_group);
  add_optimizer_options(app, run_group, "pairs");
  add_distillation_options(app, run_group, " (the paper: 1)");
  app.add_option("--temp-min", temp_min, "lower limit of the temperature (the paper: 0.001)")
      .group(run_group);
  app.add_option("--negative-epsilon", negative_epsilon,
                 "weight that every pair has beside its similarity in the draw of negatives")
      .group(run_group);
  app.add_option("--queue-size", queue_size, "features kept as negatives; 0: none")
      .group(run_group);
  add_state_options(app, run_group);
  app.add_flag("--keep-epochs", train.keep_epochs, "keep the checkpoint of every epoch")
      .group(run_group);
  app.add_flag("--official", official,
               "repeat the official code's oddities: teacher dropout, negatives that may be "
               "true matches, stairs of the schedule (--warmup then counts hundreds)")
      .group(run_group);
}

void TrainArguments::complete(bool tiny, int model_vocabulary, int model_queue,
                              int model_positions) {
  const auto set = [](auto& value, auto standard) {
    if (value < 0) value = standard;
  };
  if (train.epochs == 0) train.epochs = tiny ? 40 : 30;
  if (batch_size <= 0) batch_size = 64;
  set(train.lr, tiny ? 1e-3 : 1e-4);
  set(train.min_lr, 1e-5);
  set(train.warmup_lr, 1e-5);
  set(train.warmup, official ? 20 : tiny ? 100 : 1000);
  set(train.optimizer.weight_decay, 0.02);
  set(train.momentum, tiny ? 0.98 : 0.995);
  set(train.alpha_epochs, tiny ? train.epochs : 1);
  set(temp_min, tiny ? 0.03f : 0.001f);
  set(negative_epsilon, tiny ? 0.02f : 1e-4f);
  set(queue_size, model_queue);
  set(flip, tiny ? 0.0f : 0.5f);
  set(augment, tiny ? 0 : 2);
  if (crop.empty()) crop = tiny ? std::vector{0.75f, 1.0f} : std::vector{0.2f, 1.0f};
  if (vocab_size <= 0) vocab_size = model_vocabulary;
  albef::require(vocab_size <= model_vocabulary, "--vocab-size ", vocab_size,
                 ": the model has room for ", model_vocabulary, " tokens");
  albef::require(max_text_length >= 2 && max_text_length <= model_positions, "--max-text-length ",
                 max_text_length, ": expected 2 to ", model_positions, ", the model's positions");
  train.official_schedule = official;
}

albef::SourcePtr TrainArguments::source() const {
  auto opened = open_data(data, image_root);
  if (noise.mismatch > 0 || noise.partial > 0 || noise.keywords > 0)
    opened = std::make_shared<albef::NoisySource>(opened, noise);
  return opened;
}

albef::WordPiece TrainArguments::tokenizer(const albef::Source& source,
                                           int model_vocabulary) const {
  const std::string from = start();
  const auto info = from.empty() ? albef::CheckpointInfo{} : checkpoint_info(from);
  auto made = [&] {
    if (!vocab.empty()) return albef::load_wordpiece(vocab);
    if (info.contains("vocab")) return albef::detail::vocab_of(from, info);
    return albef::WordPiece::from_vocab(albef::learn_vocabulary(clean_captions(source), vocab_size),
                                        "learned vocabulary");
  }();
  albef::require(made.size() <= model_vocabulary, vocab.empty() ? from : vocab, ": ", made.size(),
                 " tokens, the model has room for ", model_vocabulary);
  return made;
}

albef::Loader TrainArguments::loader(albef::SourcePtr source, const albef::WordPiece& tokenizer,
                                     int image_size) const {
  albef::TrainTransform picture = transform(image_size);
  picture.use_crop = use_crop;
  if (official) picture.augment.compat = albef::AugmentCompat::official;
  albef::LoaderOptions options;
  options.batch_size = batch_size;
  options.workers = workers;
  options.seed = train.seed;
  options.encode.max_length = max_text_length;
  options.mask_probability = mask_probability;
  options.max_bad_share = max_bad_share;
  return albef::Loader(std::move(source), tokenizer, picture, options);
}

albef::PretrainOptions TrainArguments::objective_options() const {
  albef::PretrainOptions options{.negatives = {.epsilon = negative_epsilon}, .temp_min = temp_min};
  if (official) {
    options.negatives = {.epsilon = 0, .exclude_same_identity = false};
    options.teacher_dropout = true;
  }
  return options;
}

}  // namespace examples
