#include "common/run_options.hpp"

#include "albef/text/clean.hpp"

namespace examples {

RunArguments::RunArguments() {
  train.epochs = 0;
  train.lr = train.min_lr = train.warmup_lr = train.optimizer.weight_decay = -1;
  train.warmup = train.alpha_epochs = -1;
  train.momentum = -1;
}

void RunArguments::add_picture_options(Command& app, const std::string& group) {
  app.add_option("--crop", crop, "share of the picture that a random crop keeps, low and high")
      .expected(2)
      .group(group);
  app.add_option("--flip", flip,
                 "probability of mirroring a picture; choose 0 where texts say left and right")
      .group(group);
  app.add_option("--augment", augment, "RandAugment operations per picture, 0 for none")
      .group(group);
  app.add_option("--workers", workers, "threads that prepare batches")
      .capture_default_str()
      .group(group);
  app.add_option("--max-bad-share", max_bad_share,
                 "share of unusable records at which the run stops")
      .capture_default_str()
      .group(group);
}

void RunArguments::add_optimizer_options(Command& app, const std::string& group,
                                         const std::string& items) {
  app.add_option("--epochs", train.epochs, "passes over the data").group(group);
  app.add_option("--max-steps", train.max_steps, "stop after this many optimizer steps")
      .group(group);
  app.add_option("--batch-size", batch_size, items + " per batch").group(group);
  app.add_option("--accumulate", train.accumulate, "batches per optimizer step")
      .capture_default_str()
      .group(group);
  app.add_option("--lr", train.lr, "peak learning rate").group(group);
  app.add_option("--min-lr", train.min_lr, "learning rate at the end").group(group);
  app.add_option("--warmup-lr", train.warmup_lr, "learning rate at the start").group(group);
  app.add_option("--warmup", train.warmup, "iterations until the peak").group(group);
  app.add_option("--weight-decay", train.optimizer.weight_decay, "of AdamW").group(group);
  app.add_option("--max-norm", train.optimizer.max_norm, "clip the gradient norm; 0: off")
      .group(group);
}

void RunArguments::add_distillation_options(Command& app, const std::string& group,
                                            const std::string& alpha_epochs_note) {
  app.add_option("--momentum", train.momentum, "of the momentum model").group(group);
  app.add_option("--alpha", train.alpha, "weight of the momentum model's soft targets")
      .capture_default_str()
      .group(group);
  app.add_option("--alpha-epochs", train.alpha_epochs,
                 "epochs over which the soft targets gain their weight" + alpha_epochs_note)
      .group(group);
}

void RunArguments::add_state_options(Command& app, const std::string& group) {
  app.add_option("--seed", train.seed, "of weights, order, augmentation, masks and dropout")
      .capture_default_str()
      .group(group);
  app.add_option("--save-every", train.save_every,
                 "optimizer steps between checkpoints; 0: every epoch")
      .group(group);
  app.add_flag("--checkpointing", checkpointing,
               "keep only block inputs and compute blocks again in the backward pass: less "
               "memory, a third more time")
      .group(group);
}

albef::TrainTransform RunArguments::transform(int image_size) const {
  albef::TrainTransform transform{.size = image_size};
  transform.crop.scale_low = crop.at(0);
  transform.crop.scale_high = crop.at(1);
  transform.flip = flip;
  transform.augment.count = augment;
  return transform;
}

std::vector<std::string> clean_captions(const albef::Source& source) {
  std::vector<std::string> captions;
  for (std::size_t i = 0; i < source.size(); ++i)
    for (const auto& caption : source.record(i).captions) try {
        captions.push_back(albef::pre_caption(caption));
      } catch (const albef::Error&) {}
  return captions;
}

std::string vocabulary_text(const albef::WordPiece& tokenizer) {
  std::string text;
  for (int i = 0; i < tokenizer.size(); ++i) {
    if (i) text += '\n';
    text += tokenizer.token(i);
  }
  return text;
}

}  // namespace examples
