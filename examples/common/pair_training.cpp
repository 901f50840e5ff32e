#include "common/pair_training.hpp"

#include <unistd.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "albef/io/file.hpp"
#include "albef/train/inference_model.hpp"

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
                 "model, where --init does not say it (default: tiny): " + config_names(Configs{}));
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
  if (init.empty() || !vocab.empty()) return TrainArguments::tokenizer(source, model_vocabulary);
  auto own = albef::detail::vocab_of(init, checkpoint_info(init));
  albef::require(own.size() <= model_vocabulary, init, ": ", own.size(),
                 " tokens, the model has room for ", model_vocabulary);
  return own;
}

void check_pictures(const albef::Source& source) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < source.size(); ++i) source.read_image(i, bytes);
}

ValidationLog::ValidationLog(std::string path, bool resume) : path_(std::move(path)) {
  results_["validation"] = nlohmann::ordered_json::array();
  if (!resume || ::access(path_.c_str(), F_OK) != 0) return;
  try {
    const auto old = nlohmann::ordered_json::parse(albef::read_file(path_));
    for (const auto& entry : old.at("validation")) {
      entry.at("epoch").get<int>(), entry.at("score").get<double>();
      results_["validation"].push_back(entry);
      note_best(entry);
    }
  } catch (const nlohmann::json::exception& error) { albef::fail(path_, ": ", error.what()); }
}

bool ValidationLog::add(int epoch, const EpochScore& validation) {
  const auto before = std::exchange(results_, {});
  results_["validation"] = nlohmann::ordered_json::array();
  for (const auto& entry : before["validation"])
    if (entry["epoch"] < epoch) {
      results_["validation"].push_back(entry);
      note_best(entry);
    }
  nlohmann::ordered_json now{{"epoch", epoch}, {"score", validation.score}};
  now.update(validation.numbers);
  results_["validation"].push_back(now);
  const bool best = note_best(now);
  write();
  return best;
}

bool ValidationLog::note_best(const nlohmann::ordered_json& entry) {
  if (results_.contains("best_score") && entry["score"] <= results_["best_score"]) return false;
  results_["best_epoch"] = entry["epoch"];
  results_["best_score"] = entry["score"];
  return true;
}

void ValidationLog::finish(const albef::TrainSummary& summary) {
  results_["steps"] = summary.steps;
  results_["pairs"] = summary.pairs;
  results_["train_seconds"] = summary.seconds;
  results_["finished"] = summary.finished;
  write();
}

std::string ValidationLog::best() const {
  if (!results_.contains("best_epoch")) return "";
  char text[80];
  std::snprintf(text, sizeof text, "epoch %d, score %.2f", results_["best_epoch"].get<int>(),
                results_["best_score"].get<double>());
  return text;
}

void ValidationLog::write() const { albef::write_file(path_, results_.dump(2) + '\n'); }

}  // namespace examples
