#include "common/options.hpp"

#include "albef/tasks/vqa_settings.hpp"
#include "common/configs.hpp"

namespace examples {

void add_options(Command& app, albef::RunSettings& s, DeviceArguments& compute,
                 const RunHelp& help) {
  const auto model = "Model";
  app.add_option("--init", s.init,
                 "start from the weights of this checkpoint: its configuration and vocabulary are "
                 "taken over; without it the model is new")
      .group(model);
  app.add_option("--config", s.config,
                 "configuration of a new model (default: tiny), of a checkpoint that does not name "
                 "its own (official ones), or the same for another image size: " +
                     config_names(configs))
      .group(model);
  app.add_option("--vocab", s.vocab,
                 "BERT vocab.txt or Hugging Face tokenizer.json; default: the checkpoint's, or one "
                 "learned from the texts")
      .group(model);
  app.add_option("--vocab-size", s.vocab_size, "size of a learned vocabulary, at most the model's")
      .non_negative()
      .group(model);

  const auto data = "Data";
  app.add_option("-d,--data", s.data, help.data).group(data);
  app.add_option("--image-root", s.image_root, image_root_help).group(data);
  app.add_option("--max-text-length", s.max_text_length,
                 "tokens kept of a text, [CLS] included; 0: the program's default")
      .capture_default_str()
      .group(data);
  app.add_option("--crop", s.crop, "share of the picture that a random crop keeps, low and high")
      .expected(2)
      .range(0.0, 1.0)
      .group(data);
  app.add_option("--flip", s.flip,
                 "probability of mirroring a picture; choose 0 where texts say left and right")
      .range(0.0, 1.0)
      .group(data);
  app.add_option("--augment", s.augment, "RandAugment operations per picture, 0 for none")
      .non_negative()
      .group(data);
  app.add_option("--workers", s.workers, "threads that prepare batches")
      .capture_default_str()
      .range(0, 256)
      .group(data);
  app.add_option("--max-bad-share", s.max_bad_share,
                 "share of unusable records at which the run stops")
      .capture_default_str()
      .range(0.0, 1.0)
      .group(data);

  compute.add_to(app, true, "Device");

  const auto run = "Training";
  auto& optimizer = s.training.optimizer;
  app.add_option("-o,--output", s.train.output, "folder for checkpoints, metrics and curves")
      .capture_default_str()
      .group(run);
  app.add_flag("--resume", s.resume,
               "continue the run in the output folder exactly, with the same options")
      .group(run);
  app.add_flag("--overwrite", s.overwrite, "replace the run in the output folder, if there is one")
      .group(run);
  app.add_option("--epochs", s.train.epochs, "passes over the data").positive().group(run);
  app.add_option("--max-steps", s.train.max_steps, "stop after this many optimizer steps")
      .non_negative()
      .group(run);
  app.add_option("--batch-size", s.batch_size, help.items + " per batch").positive().group(run);
  app.add_option("--accumulate", s.train.accumulate, "batches per optimizer step")
      .capture_default_str()
      .positive()
      .group(run);
  app.add_option("--lr", s.train.lr, "peak learning rate").non_negative().group(run);
  app.add_option("--min-lr", s.train.min_lr, "learning rate at the end").non_negative().group(run);
  app.add_option("--warmup-lr", s.train.warmup_lr, "learning rate at the start")
      .non_negative()
      .group(run);
  app.add_option("--warmup", s.train.warmup, "iterations until the peak").non_negative().group(run);
  app.add_option("--weight-decay", optimizer.weight_decay, "of AdamW").non_negative().group(run);
  app.add_option("--max-norm", optimizer.max_norm, "clip the gradient norm; 0: off")
      .non_negative()
      .group(run);
  app.add_option("--freeze", s.groups.freeze,
                 "parameters that are not trained: patterns of names such as 'visual_encoder.*'")
      .group(run);
  app.add_option("--lr-scale", s.groups.lr_scale,
                 "PATTERN=FACTOR: the learning rate of these parameters, relative to --lr")
      .group(run);
  app.add_option("--layer-decay", s.groups.layer_decay,
                 "factor on the learning rate from each layer to the one below; 1: none")
      .range(0.0, 1.0)
      .capture_default_str()
      .group(run);
  if (help.distills) {
    app.add_option("--momentum", s.training.momentum, "of the momentum model")
        .range(0.0, 1.0)
        .group(run);
    app.add_option("--alpha", s.train.alpha, "weight of the momentum model's soft targets")
        .capture_default_str()
        .range(0.0, 1.0)
        .group(run);
    app.add_option("--alpha-epochs", s.train.alpha_epochs,
                   "epochs over which the soft targets gain their weight; 0: at once")
        .non_negative()
        .group(run);
    app.add_flag("--no-distill", s.no_distill, "no soft targets of the momentum model: --alpha 0")
        .group(run);
  } else {
    s.no_distill = true;
  }
  app.add_option("--seed", s.training.seed, "of weights, order, augmentation, masks and dropout")
      .capture_default_str()
      .group(run);
  app.add_option("--save-every", s.train.save_every,
                 "optimizer steps between checkpoints; 0: every epoch")
      .non_negative()
      .group(run);
  app.add_flag("--keep-epochs", s.train.keep_epochs, "keep the checkpoint of every epoch")
      .group(run);
  app.add_flag("--checkpointing", s.training.checkpointing,
               "keep only block inputs and compute blocks again in the backward pass: less "
               "memory, a third more time")
      .group(run);
}

void add_options(Command& app, albef::TaskSettings& s, DeviceArguments& compute,
                 const RunHelp& help) {
  add_options(app, static_cast<albef::RunSettings&>(s), compute, help);
  app.get_option("--data").required();
  app.remove_option("--keep-epochs");
  if (!help.validates) return;
  const auto data = "Data";
  app.add_option("--val", s.val, "validation set of the same kind, to keep the best epoch")
      .group(data);
  app.add_option("--val-image-root", s.val_image_root,
                 "where the pictures of --val are; default: --image-root")
      .group(data);
  app.add_flag("--by-picture", s.by_picture,
               "examples about the same picture come together and share its pass through the "
               "image encoder: several times faster where pictures have several examples")
      .group(data);
}

void add_options(Command& app, albef::PairSettings& s, DeviceArguments& compute,
                 const std::string& data) {
  add_options(app, static_cast<albef::RunSettings&>(s), compute, {.data = data, .items = "pairs"});
  const auto group = "Data", run = "Training", validation = "Validation";
  if (s.finetunes) {
    app.get_option("--data").required();
    s.mask_probability = 0;
  } else {
    app.get_option("--data").capture_default_str();
    app.add_option("--mask-probability", s.mask_probability,
                   "share of the tokens that the model has to guess (BERT: 0.15); much, where "
                   "captions are short or all alike")
        .capture_default_str()
        .range(0.0, 1.0)
        .group(group);
  }
  app.add_option("--mismatch", s.noise.mismatch,
                 "spoil captions: share that is swapped with another record's")
      .range(0.0, 1.0)
      .group(group);
  app.add_option("--partial", s.noise.partial, "spoil captions: share that loses half its words")
      .range(0.0, 1.0)
      .group(group);
  app.add_option("--keywords", s.noise.keywords, "spoil captions: share replaced by keywords")
      .range(0.0, 1.0)
      .group(group);
  app.add_option("--noise-seed", s.noise.seed, "which captions are spoiled").group(group);
  app.add_option("--val", s.val, "data set evaluated after each epoch to keep the best weights")
      .group(validation);
  app.add_option("--val-image-root", s.val_image_root,
                 "where its pictures are; default: --image-root")
      .group(validation);
  app.add_option("--temp-min", s.temp_min, "lower limit of the temperature (the paper: 0.001)")
      .non_negative()
      .group(run);
  app.add_option("--negative-epsilon", s.negative_epsilon,
                 "weight that every pair has beside its similarity in the draw of negatives")
      .non_negative()
      .group(run);
  app.add_option("--queue-size", s.queue_size, "features kept as negatives; 0: none")
      .non_negative()
      .group(run);
  app.add_flag("--official", s.official,
               s.finetunes
                   ? "repeat the official code's oddities: teacher dropout, negatives drawn "
                     "by similarity alone, a temperature without limits, stairs of the "
                     "schedule (--warmup then counts hundreds)"
                   : "repeat the official code's oddities: teacher dropout, negatives that "
                     "may be true matches, stairs of the schedule (--warmup then counts "
                     "hundreds)")
      .group(run);
}

void ModelArguments::add_to(Command& app) {
  app.add_option("-m,--checkpoint", checkpoint, "a run's checkpoint.safetensors").required();
  app.add_option("--config", config,
                 "configuration of a checkpoint that does not name its own (official ones): " +
                     config_names(configs));
  app.add_option("--vocab", session.vocab,
                 "vocab.txt or tokenizer.json; default: the checkpoint's own");
  app.add_flag("--momentum", session.momentum, "use the momentum model's weights");
  app.add_flag("--resize-positions", session.resize_positions,
               "accept a checkpoint trained at another image size");
  compute.add_to(app);
}
void ModelArguments::add_batch_options(Command& app) {
  app.add_option("--batch", encoding.batch_size, "pictures or texts encoded at once")
      .positive()
      .capture_default_str();
  app.add_option("--workers", encoding.workers, "threads that read pictures ahead")
      .range(0, 256)
      .capture_default_str();
}
void ModelArguments::add_encoding_options(Command& app) {
  app.add_option("--max-text-length", session.max_text_length,
                 "tokens of a text; 0: as in training")
      .non_negative()
      .capture_default_str();
  add_batch_options(app);
}

void EvaluateArguments::add_to(Command& app, const std::string& data_what) {
  ModelArguments::add_to(app);
  add_batch_options(app);
  app.add_option("-d,--data", data, data_what).required();
  app.add_option("--image-root", image_root, image_root_help);
  app.add_option("-o,--output", output, "write the results to this JSON file").output_file();
  app.add_option("--by", by, "field of the annotations whose values are also scored one by one")
      .capture_default_str();
  app.add_option("--sheet", sheet, "write a PNG with examples and what the model says")
      .output_file();
  app.add_option("--sheet-entries", sheet_entries, "pictures, or pairs of them, on the sheet")
      .range(1, 200)
      .capture_default_str();
}
albef::AnnotationOptions EvaluateArguments::annotations() const {
  auto options = albef::annotation_options(image_root);
  options.strict = true;
  return options;
}
albef::LoaderOptions EvaluateArguments::loader() const {
  return {.batch_size = encoding.batch_size, .workers = encoding.workers};
}

void PredictArguments::add_to(Command& app, int pictures, const char* text, const char* help) {
  ModelArguments::add_to(app);
  const bool one = pictures == 1;
  app.add_option(one ? "-i,--image" : "-i,--images", images,
                 one ? "picture file (PNG or JPEG)" : "picture files (PNG or JPEG)")
      .required()
      .expected(pictures);
  app.add_option(text, texts, help).required();
  app.add_option("-o,--output", output, "write pictures and answers to this PNG").output_file();
}

void add_options(Command& app, albef::AnswerSettings& answers, Use use) {
  app.add_option("-a,--answers", answers.file,
                 std::string("answer_list.json, the answers to rank; default: ") +
                     (use == Use::train ? "all answers of the training data"
                                        : "those the checkpoint was trained with"));
  app.add_option("-k,--k", answers.k, "answers of the list that are scored as a whole")
      .positive()
      .capture_default_str();
  if (use != Use::predict)
    app.add_flag("--allow-unlisted", answers.allow_unlisted,
                 "questions whose right answers are all missing in the list count as wrong instead "
                 "of being an error");
  if (use == Use::train) return;
  app.add_flag("--generate", answers.generate,
               "let the model write its answers instead of ranking the list");
  app.add_option("--beams", answers.beams, "of the search with --generate")
      .range(1, 64)
      .capture_default_str();
  if (use == Use::evaluate)
    app.add_flag("--official-ranking", answers.official_ranking,
                 "count the first word of an answer twice, as the official code does");
}

}  // namespace examples
