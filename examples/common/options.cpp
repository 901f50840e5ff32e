#include "common/options.hpp"

#include "albef/data/codec_options.hpp"
#include "albef/tasks/flava_settings.hpp"
#include "albef/tasks/vqa_settings.hpp"

namespace examples {

void add_picture_options(const Command& app) {
  using albef::Damaged;
  static std::string damaged = "as-pillow";
  albef::DecodeOptions& decoding = albef::default_decoding();
  app.add("--max-pixels", decoding.max_pixels, "larger pictures are unusable", positive);
  app.add("--max-side", decoding.max_side, "the same for width and height", positive);
  app.add(
      "--damaged-pictures", damaged,
      "what becomes of them: refuse all; read those that Pillow reads by default, with the same "
      "pixels; keep what can be decoded of all",
      one_of({"refuse", "as-pillow", "keep"}), when_given([&](const std::string& value) {
        decoding.damaged = value == "refuse" ? Damaged::refuse
                           : value == "keep" ? Damaged::keep
                                             : Damaged::as_pillow;
      }));
}

void add_data(const Command& app, std::vector<std::string>& data, std::string& image_root,
              const std::string& help) {
  app.add("-d,--data", data, help, required);
  app.add("--image-root", image_root,
          "where the pictures are that .json files name: a folder, or WebDataset shards; default: "
          "the folder of each file");
  add_picture_options(app);
}

void add_options(Command& app, albef::RunSettings& s, const std::string& what, bool validates) {
  const Command model = app.group("Model"), data = app.group("Data"), run = app.group("Training");
  auto& train = s.train;
  auto& optimizer = s.training.optimizer;
  model.add("--init", s.init,
            "start from the weights of this checkpoint: its configuration and vocabulary are taken "
            "over; without it the model is new");
  model.add("--config", s.config,
            "configuration of a new model (default: tiny), of a checkpoint that does not name its "
            "own (official ones), or the same for another image size: " +
                config_names(configs));
  model.add("--vocab", s.vocab,
            "BERT vocab.txt or Hugging Face tokenizer.json; default: the checkpoint's, or one "
            "learned from the texts");
  model.add("--vocab-size", s.vocab_size,
            "size of a learned vocabulary, at most the model's; 0: the model's", non_negative);

  add_data(data, s.data, s.image_root, what);
  data.add("--max-text-length", s.max_text_length,
           "tokens kept of a text, [CLS] included; 0: the program's default", non_negative);
  data.add("--crop", s.crop, "share of the picture that a random crop keeps, low and high",
           expected(2), share);
  data.add("--flip", s.flip,
           "probability of mirroring a picture; choose 0 where texts say left and right", share);
  data.add("--augment", s.augment, "RandAugment operations per picture, 0 for none", non_negative);
  data.add("--workers", s.workers, "threads that prepare batches", range(0, 256));
  data.add("--max-bad-share", s.max_bad_share,
           "share of unusable records that stops the run (of --val: a half, or one with 0)", share);

  run.add("-o,--output", train.output, "folder for checkpoints, metrics and curves");
  run.add("--resume", s.resume, "continue the output folder's run exactly, with the same options");
  run.add("--overwrite", s.overwrite, "replace the run in the output folder, if there is one");
  run.add("--epochs", train.epochs, "passes over the data", positive);
  run.add("--max-steps", train.max_steps,
          "stop after this many optimizer steps; 0: after the epochs", non_negative);
  run.add("--batch-size", s.batch_size, "examples per batch", positive);
  run.add("--accumulate", train.accumulate, "batches per optimizer step", positive);
  run.add("--lr", train.lr, "peak learning rate", non_negative);
  run.add("--min-lr", train.min_lr, "learning rate at the end", non_negative);
  run.add("--warmup-lr", train.warmup_lr, "learning rate at the start", non_negative);
  run.add("--warmup", train.warmup, "iterations until the peak", non_negative);
  run.add("--weight-decay", optimizer.weight_decay, "of AdamW", non_negative);
  run.add("--max-norm", optimizer.max_norm, "clip the gradient norm; 0: off", non_negative);
  run.add(
      "--max-bad-steps", train.max_bad_steps,
      "steps in a row that may have a loss or gradient that is not finite and so change nothing; "
      "one more stops the run",
      non_negative);
  run.add("--freeze", s.groups.freeze,
          "parameters that are not trained: patterns of names such as 'visual_encoder.*'");
  run.add("--lr-scale", s.groups.lr_scale,
          "PATTERN=FACTOR: the learning rate of these parameters, relative to --lr");
  run.add("--layer-decay", s.groups.layer_decay,
          "factor on the learning rate from each layer to the one below; 1: none", share);
  if (!s.no_distill) {
    run.add("--momentum", s.training.momentum, "of the momentum model", share);
    run.add("--alpha", train.alpha, "weight of the momentum model's soft targets", share);
    run.add("--alpha-epochs", train.alpha_epochs,
            "epochs over which the soft targets gain their weight; 0: at once", non_negative);
    run.add("--no-distill", s.no_distill, "no soft targets of the momentum model: --alpha 0");
  }
  run.add("--seed", s.training.seed, "of weights, order, augmentation, masks and dropout");
  run.add("--save-every", train.save_every, "optimizer steps between checkpoints; 0: every epoch",
          non_negative);
  run.add(
      "--keep-last", train.keep_last,
      "checkpoints that stay, the newest included; the older ones are for --resume if the newest "
      "is damaged",
      positive);
  run.add("--keep-epochs", train.keep_epochs, "keep the checkpoint of every epoch");
  run.add("--checkpointing", s.training.checkpointing,
          "keep only block inputs and compute blocks again in the backward pass: less memory, a "
          "third more time");

  if (!validates) return;
  const Command val = app.group("Validation");
  val.add("--val", s.val, "set like --data, evaluated after each epoch to keep the best weights");
  val.add("--val-image-root", s.val_image_root, "where its pictures are; default: --image-root");
}

void add_options(Command& app, albef::TaskSettings& s, const std::string& what, bool validates) {
  add_options(app, static_cast<albef::RunSettings&>(s), what, validates);
  app.remove({"--keep-epochs"});
  if (validates)
    app.group("Data").add(
        "--by-picture", s.by_picture,
        "examples about the same picture come together and share its pass through the image "
        "encoder: several times faster where pictures have several examples");
}

void add_options(Command& app, albef::PairSettings& s, const std::string& what, bool validates) {
  add_options(app, static_cast<albef::RunSettings&>(s), what, validates);
  const Command data = app.group("Data"), run = app.group("Training");
  if (!s.finetunes)
    data.add("--mask-probability", s.mask_probability,
             "share of tokens that the model has to guess (BERT: 0.15); much, where captions are "
             "short or all alike",
             share);
  data.add("--mismatch", s.noise.mismatch,
           "spoil captions: share that is swapped with another record's", share);
  data.add("--partial", s.noise.partial, "spoil captions: share that loses half its words", share);
  data.add("--keywords", s.noise.keywords, "spoil captions: share replaced by keywords", share);
  data.add("--noise-seed", s.noise.seed, "which captions are spoiled");
  run.add("--temp-min", s.temp_min, "lowest temperature (the paper: 0.001)", non_negative);
  run.add("--negative-epsilon", s.negative_epsilon,
          "weight of every pair in the draw of negatives, beside its similarity", non_negative);
  run.add("--queue-size", s.queue_size, "features kept as negatives; 0: none", non_negative);
  const std::string negatives =
      s.finetunes ? "negatives drawn by similarity alone, a temperature without limits"
                  : "negatives that may be true matches";
  run.add("--official", s.official,
          "repeat the official code's oddities: teacher dropout, " + negatives +
              ", stairs of the schedule (--warmup then counts hundreds)");
}

void add_options(Command& app, albef::FlavaSettings& s, const std::string& what, bool validates) {
  add_options(app, static_cast<albef::RunSettings&>(s), what, validates);
  app.remove({"--data", "--epochs", "--image-root"});
  const Command data = app.group("Data"), stages = app.group("Stages"), model = app.group("Model");
  data.add("-d,--data", s.data, what);
  data.add(
      "--images", s.images,
      "pictures alone: folders, .txt lists of files, .json or shards, with captions or without");
  data.add(
      "--texts", s.texts,
      "texts alone: .txt files, one a line, .json with \"caption\", \"text\" or \"sentence\", or "
      "shards, of which the captions are taken");
  data.add("--image-root", s.image_root,
           "where the pictures of lists and .json files are: a folder, or shards; default: the "
           "folder of each file");
  data.add(
      "--mask-probability", s.mask_probability,
      "share of a text's tokens to be guessed: single ones of texts alone, whole words of pairs",
      share);
  data.add("--mismatch", s.mismatch,
           "share of the pairs that get another picture's caption, for matching", share);
  stages.add("--image-epochs", s.image_epochs,
             "epochs of pictures alone, with which the run begins", non_negative);
  stages.add("--text-epochs", s.text_epochs, "epochs of texts alone, which come next",
             non_negative);
  stages.add(
      "--epochs", s.joint_epochs,
      "epochs of everything together, each step's data drawn by weight; an epoch of any stage "
      "has as many steps as there are batches of pairs",
      non_negative);
  stages.add("--image-weight", s.image_weight, "how often pictures alone are drawn then",
             non_negative);
  stages.add("--text-weight", s.text_weight, "how often texts alone are drawn", non_negative);
  stages.add("--pair-weight", s.pair_weight, "how often pairs are drawn", non_negative);
  stages.add(
      "--init-image", s.init_image,
      "start the image encoder from this checkpoint of dino (its teacher) or flava_pretrain");
  stages.add("--init-text", s.init_text,
             "start the text encoder from this checkpoint of flava_pretrain, with its vocabulary");
  model.add(
      "--objective", s.objective,
      "full, or contrastive: of pairs only the contrast of whole pictures and texts, no masks "
      "and no matching",
      one_of({"full", "contrastive"}));
  model.add(
      "--tokenizer", s.image_tokenizer,
      "file of an image tokenizer, which says what hidden patches show: DALL-E's encoder or one of "
      "that shape, or clusters of pixels; default: 512 clusters of the pictures' own 8 x 8 pixels");
}

void ModelArguments::add_to(Command& app, bool needed) {
  const char* const help = "a run's checkpoint.safetensors";
  if (needed)
    app.add("-m,--checkpoint", checkpoint, help, required);
  else
    app.add("-m,--checkpoint", checkpoint, help);
  app.add("--config", config,
          "configuration of a checkpoint that does not name its own (official ones): " +
              config_names(configs));
  app.add("--vocab", session.vocab, "vocab.txt or tokenizer.json; default: the checkpoint's own");
  app.add("--momentum", session.momentum, "use the momentum model's weights");
  app.add("--resize-positions", session.resize_positions,
          "accept a checkpoint trained at another image size");
  compute.add_to(app);
}
void ModelArguments::add_encoding(Command& app, bool cuts_texts) {
  if (cuts_texts)
    app.add("--max-text-length", session.max_text_length, "tokens of a text; 0: as in training",
            non_negative);
  app.add("--batch", encoding.batch_size, "pictures or texts encoded at once", positive);
  app.add("--workers", encoding.workers, "threads that read pictures ahead", range(0, 256));
}
void ModelArguments::add_data(Command& app, std::vector<std::string>& sets, std::string& root,
                              const std::string& help) {
  examples::add_data(app, sets, root, help);
  app.add("--strict", strict,
          "stop at the first record that cannot be used; else it is named, left out and counted, "
          "and half of the records must be usable");
}
albef::LoaderOptions ModelArguments::loader() const {
  albef::LoaderOptions options;
  options.batch_size = encoding.batch_size;
  options.workers = encoding.workers;
  if (strict) options.max_bad_share = 0;
  return options;
}
void ModelArguments::add_results(Command& app, const std::string& sheet_help, int most,
                                 const std::string& name, const std::string& shown_help) {
  app.add("-o,--output", output, "write the results to this JSON file", output_file);
  app.add("--sheet", sheet, "write a PNG with " + sheet_help, output_file);
  app.add(name, shown, shown_help, range(1, most));
}

void ModelArguments::add_evaluation(Command& app, const std::string& help) {
  add_to(app);
  add_encoding(app, false);
  add_data(app, data, image_root, help);
  add_results(app, "examples and what the model says", 200, "--sheet-entries",
              "pictures, or pairs of them, on the sheet");
  app.add("--by", by, "field of the annotations whose values are also scored one by one");
}

void ModelArguments::add_prediction(Command& app, int pictures, const char* text,
                                    const char* help) {
  add_to(app);
  app.add(pictures == 1 ? "-i,--image" : "-i,--images", images, "picture files", required,
          expected(pictures));
  add_picture_options(app);
  app.add(text, texts, help, required);
  app.add("-o,--output", output, "write pictures and answers to this PNG", output_file);
}

void add_options(Command& app, albef::AnswerSettings& answers, Use use) {
  app.add("-a,--answers", answers.file,
          std::string("answer_list.json, the answers to rank; default: ") +
              (use == Use::train ? "all answers of the training data"
                                 : "those the checkpoint was trained with"));
  app.add("-k,--k", answers.k, "answers of the list that are scored as a whole", positive);
  if (use != Use::predict)
    app.add("--allow-unlisted", answers.allow_unlisted,
            "questions whose right answers are all missing in the list count as wrong instead of "
            "being an error");
  if (use == Use::train) return;
  app.add("--generate", answers.generate,
          "let the model write its answers instead of ranking the list");
  app.add("--beams", answers.beams, "of the search with --generate", range(1, 64));
  if (use == Use::evaluate)
    app.add("--official-ranking", answers.official_ranking,
            "count the first word of an answer twice, as the official code does");
}

}  // namespace examples
