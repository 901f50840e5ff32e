#include "common/train_options.hpp"

#include <memory>
#include <utility>

#include "albef/data/transform.hpp"
#include "common/open_data.hpp"

namespace examples {

void TrainArguments::add_to(Command& app) {
  RunArguments::add_to(
      app, {.data = std::string(data_help) + "; PATH=WEIGHT mixes several", .items = "pairs"});
  app.get_option("--data").capture_default_str();
  const auto data_group = "Data";
  app.add_option("--mask-probability", mask_probability,
                 "share of the tokens that the model has to guess (BERT: 0.15); much, where "
                 "captions are short or all alike")
      .capture_default_str()
      .range(0.0, 1.0)
      .group(data_group);
  app.add_option("--mismatch", noise.mismatch,
                 "spoil captions: share that is swapped with another record's")
      .range(0.0, 1.0)
      .group(data_group);
  app.add_option("--partial", noise.partial, "spoil captions: share that loses half its words")
      .range(0.0, 1.0)
      .group(data_group);
  app.add_option("--keywords", noise.keywords, "spoil captions: share replaced by keywords")
      .range(0.0, 1.0)
      .group(data_group);
  app.add_option("--noise-seed", noise.seed, "which captions are spoiled").group(data_group);

  const auto run_group = "Training";
  app.add_option("--temp-min", temp_min, "lower limit of the temperature (the paper: 0.001)")
      .non_negative()
      .group(run_group);
  app.add_option("--negative-epsilon", negative_epsilon,
                 "weight that every pair has beside its similarity in the draw of negatives")
      .non_negative()
      .group(run_group);
  app.add_option("--queue-size", queue_size, "features kept as negatives; 0: none")
      .non_negative()
      .group(run_group);
  app.add_flag("--official", official,
               "repeat the official code's oddities: teacher dropout, negatives that may be "
               "true matches, stairs of the schedule (--warmup then counts hundreds)")
      .group(run_group);
}

void TrainArguments::complete_objectives(bool is_tiny, int model_queue) {
  const auto set = [](auto& value, auto standard) {
    if (value < 0) value = standard;
  };
  set(temp_min, is_tiny ? 0.03f : 0.001f);
  set(negative_epsilon, is_tiny ? 0.02f : 1e-4f);
  set(queue_size, model_queue);
}

albef::SourcePtr TrainArguments::source() const {
  auto opened = open_data(data, image_root);
  if (noise.mismatch > 0 || noise.partial > 0 || noise.keywords > 0)
    opened = std::make_shared<albef::NoisySource>(opened, noise);
  return opened;
}

albef::WordPiece TrainArguments::caption_tokenizer(const albef::Source& source,
                                                   int model_vocabulary) const {
  const auto given = given_vocabulary(model_vocabulary, false);
  return given ? *given : learned_vocabulary(clean_captions(source), model_vocabulary);
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

albef::CheckpointInfo TrainArguments::metadata(const albef::WordPiece& tokenizer) const {
  using albef::concat;
  auto info = RunArguments::metadata(tokenizer);
  info["run.mask_probability"] = concat(mask_probability);
  info["run.temp_min"] = concat(temp_min);
  info["run.negative_epsilon"] = concat(negative_epsilon);
  info["run.noise"] =
      concat(noise.mismatch, ' ', noise.partial, ' ', noise.keywords, ' ', noise.seed);
  return info;
}

}  // namespace examples
