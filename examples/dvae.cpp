// Trains an image tokenizer: a discrete autoencoder of pictures, whose encoder gives the codes that
// FLAVA's masked image modelling predicts.
#include "albef/tasks/dvae.hpp"

#include "albef/data/flava_loader.hpp"
#include "albef/data/unpaired.hpp"
#include "albef/tasks/pixel_clusters.hpp"
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
  constexpr int codes = DvaeTiny::vocab_size;
  bool clusters = false, resume = false, overwrite = false;
  app.add("-d,--data", data, "pictures: a folder, a list, annotations or shards");
  app.add("--val", held_out, "pictures to judge it by after each epoch");
  app.add("-o,--output", run.output,
          "folder of the run; tokenizer.safetensors there is for flava_pretrain --tokenizer");
  app.add("--image-size", size, "side of the pictures: a code stands for 8 x 8 pixels",
          examples::range(8, 1024));
  app.add("--epochs", run.epochs, "passes over the data", examples::positive);
  app.add("--batch-size", loading.batch_size, "pictures a step", examples::positive);
  app.add("--lr", run.lr, "highest learning rate", examples::positive);
  app.add("--clusters", clusters,
          "no training: codes are clusters of patches of pixels, found by k-means");
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

    const CheckpointInfo info{{"task", "dvae"}, {"image_size", concat(size)}};
    const std::string tokenizer = run.output + "/tokenizer.safetensors";
    const auto report = [&](auto& model) {
      const RestorationScore score = restoration_score(model, val);
      val.seek({});
      const FlavaBatch& shown = val.next();
      const auto restored = restore_pictures(model, std::span(shown.images), size);
      write_restored_sheet(run.output + "/restored.png", "Pictures, and what their codes say",
                           shown.images, restored.pixels, size);
      std::printf(
          "%s: %.1f %% of the variance explained, PSNR %.2f dB, %d of %d codes used, "
          "perplexity %.1f\n",
          tokenizer.c_str(), 100 * score.explained(), score.psnr(), score.usage.used, codes,
          score.usage.perplexity);
    };

    using Device = std::remove_reference_t<decltype(device)>;
    if (clusters) {
      RunFolder folder(run.output);
      folder.open(run.existing);
      ModelTokenizer<PixelClusters<codes>, Device> model(device);
      std::vector<std::uint8_t> pixels;
      for (std::int64_t b = 0; b < loader.batches_per_epoch(); ++b) {
        const auto& images = loader.next().images;
        pixels.insert(pixels.end(), images.begin(), images.end());
      }
      cluster_pixels(model, std::span(pixels), size, size, seed);
      save_pixel_clusters(model, tokenizer, info);
      report(model);
      return 0;
    }
    Training<DvaeTraining<DvaeTiny>, Device> training(
        device, {.seed = seed, .optimizer = {.weight_decay = 0, .max_norm = 1}});
    const auto validate = [&] {
      const RestorationScore score = restoration_score(training, val);
      return Validation{score.explained(), to_json(score)};
    };
    const auto ended = fit(training, loader, run, {info, validate});
    if (ended.signal) return 128 + ended.signal;
    save_image_tokenizer<DvaeTiny>(training.store(), tokenizer, info);
    report(training);
    return 0;
  });
}
