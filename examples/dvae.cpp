// Trains an image tokenizer: a discrete autoencoder of pictures, whose encoder gives the codes that
// FLAVA's masked image modelling predicts.
#include "albef/tasks/dvae.hpp"

#include "albef/data/flava_loader.hpp"
#include "albef/data/unpaired.hpp"
#include "albef/viz/restored_sheet.hpp"
#include "common/run.hpp"

using namespace albef;

int main(int argc, char** argv) {
  examples::Program app("Trains an image tokenizer: a discrete autoencoder of pictures", "dvae");
  std::string data = "examples/data/emoji/emoji-train.tar";
  std::string held_out = "examples/data/emoji/emoji-val.tar";
  TrainOptions run{.output = "dvae", .epochs = 6, .lr = 3e-3, .warmup = 50};
  LoaderOptions loading{.batch_size = 16, .mask_probability = 0};
  int size = 32;
  std::uint64_t seed = 42;
  bool resume = false, overwrite = false;
  app.add("-d,--data", data, "pictures: a folder, a list, annotations or shards");
  app.add("--val", held_out, "pictures to judge it by after each epoch");
  app.add("-o,--output", run.output,
          "folder of the run; tokenizer.safetensors there is for flava_pretrain --tokenizer");
  app.add("--image-size", size, "side of the pictures: a code stands for 8 x 8 pixels",
          examples::range(8, 1024));
  app.add("--epochs", run.epochs, "passes over the data", examples::positive);
  app.add("--batch-size", loading.batch_size, "pictures a step", examples::positive);
  app.add("--lr", run.lr, "highest learning rate", examples::positive);
  app.add("--seed", seed, "of weights and order of the data");
  app.add("--resume", resume, "continue the run in the folder exactly");
  app.add("--overwrite", overwrite, "begin anew where the folder has a run");
  return examples::run_on_device(app, argc, argv, [&](auto& device) {
    require(size % 8 == 0, "--image-size ", size, ": expected a multiple of 8");
    run.existing = resume ? Existing::resume : overwrite ? Existing::overwrite : Existing::refuse;
    loading.seed = seed;
    const auto no_words = WordPiece::from_vocab({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}, "");
    const auto pictures = [&](const std::string& place, auto transform, LoaderOptions options) {
      return FlavaLoader(FlavaKind::images, open_pictures(place), no_words, transform, options,
                         {.patches = {.patches = 0}});
    };
    const TrainTransform views{size, true, {.scale_low = 0.6f}, 0, {.count = 0}};
    auto loader = pictures(data, views, loading);
    auto val = pictures(held_out, EvalTransform{size}, evaluation_options(loading));

    using Device = std::remove_reference_t<decltype(device)>;
    Training<DvaeTraining<DvaeTiny>, Device> training(
        device, {.seed = seed, .optimizer = {.weight_decay = 0, .max_norm = 1}});
    DvaeScore score;
    const auto validate = [&] {
      score = dvae_score(training, val);
      return Validation{score.psnr(), to_json(score)};
    };
    const CheckpointInfo info{{"task", "dvae"}, {"image_size", concat(size)}};
    const auto ended = fit(training, loader, run, {info, validate});
    if (ended.signal) return 128 + ended.signal;

    const std::string tokenizer = run.output + "/tokenizer.safetensors";
    save_image_tokenizer<DvaeTiny>(training.store(), tokenizer, info);
    val.seek({});
    const FlavaBatch& shown = val.next();
    const auto restored = restore_pictures(training, std::span(shown.images), size);
    write_restored_sheet(run.output + "/restored.png", "Pictures, and what their codes say",
                         shown.images, restored.pixels, size);
    std::printf("%s: PSNR %.2f dB, %d of %d codes used, perplexity %.1f\n", tokenizer.c_str(),
                score.psnr(), score.usage.used, DvaeTiny::vocab_size, score.usage.perplexity);
    return 0;
  });
}
