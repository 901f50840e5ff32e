#include "common/pair_training.hpp"

#include <cstdint>
#include <vector>

namespace examples {

PairTrainArguments::PairTrainArguments() {
  data.clear();
  max_text_length = 30;
  mask_probability = 0;
}

void PairTrainArguments::add_to(Command& app) {
  app.add_option("--init", init,
                 "checkpoint of a pre-trained model to start from; it brings its configuration and "
                 "vocabulary");
  app.add_option("--config", config,
                 "model, where --init does not say it (default: tiny), or the same for another "
                 "image size: " +
                     config_names(Configs{}));
  app.add_flag("--resume", resume,
               "continue the run in the output folder exactly, with the same options");
  TrainArguments::add_to(app);
  app.get_option("--data").required().default_str("");
  app.add_flag("--no-distill", no_distill,
               "learn from the pairs alone, not from the momentum model: --alpha 0")
      .group("Training");
}

void PairTrainArguments::complete(bool tiny, int model_vocabulary, int model_queue,
                                  int model_positions) {
  const auto set = [](auto& value, auto standard) {
    if (value < 0) value = standard;
  };
  if (train.epochs == 0) train.epochs = tiny ? 20 : 10;
  if (batch_size <= 0) batch_size = 32;
  set(train.lr, tiny ? 5e-4 : 1e-5);
  set(train.min_lr, tiny ? 1e-5 : 1e-6);
  set(train.warmup, official ? 1 : 100);
  if (crop.empty()) crop = {0.5f, 1.0f};
  if (no_distill) train.alpha = 0;
  TrainArguments::complete(tiny, model_vocabulary, model_queue, model_positions);
}

albef::WordPiece PairTrainArguments::tokenizer(const albef::Source& source,
                                               int model_vocabulary) const {
  const std::string from = start();
  albef::require(from.empty() || !vocab.empty() || checkpoint_info(from).contains("vocab"), from,
                 ": the checkpoint has no vocabulary; give its vocab.txt or tokenizer.json");
  return TrainArguments::tokenizer(source, model_vocabulary);
}

void check_pictures(const albef::Source& source) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < source.size(); ++i) source.read_image(i, bytes);
}

}  // namespace examples
