// Validations during training: their scores, and the weights and results of the best epoch.
#pragma once

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "albef/checkpoint/info.hpp"
#include "albef/checkpoint/safetensors.hpp"
#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/train/run_folder.hpp"

namespace albef {

/// "91.2 %" for a share.
std::string percent(double share);

/// The object in a JSON file such as results.json or summary.json.
inline nlohmann::ordered_json read_results(const std::string& path) {
  try {
    auto results = nlohmann::ordered_json::parse(read_file(path));
    require(results.is_object(), path, ": expected a JSON object");
    return results;
  } catch (const nlohmann::json::exception& error) { fail(path, ": ", error.what()); }
}

/// The result of a validation: what the best epoch is chosen by, a share, and all there is to say.
/// The numbers among the results become metrics of the run, val.<name>.
struct Validation {
  double score = 0;
  nlohmann::ordered_json results = {};

  /// Names and values of the numbers, the score first.
  std::vector<std::pair<std::string, double>> numbers() const;
};

/// The best epoch of a run: checkpoint_best.safetensors holds its weights, its score and its
/// results, from which results.json is written.
class BestEpoch {
 public:
  explicit BestEpoch(const RunFolder& folder);

  /// Goes on where the folder's best checkpoint stands.
  void resume();
  /// Whether an epoch of this score is the best so far.
  bool is_best(double score) const { return epoch_ == 0 || score > score_; }

  /// Takes the validation of an epoch; if it is the best so far, save(path, info) writes the
  /// weights with what it says, before its results.
  template <class Save>
  void add(int epoch, const Validation& validation, CheckpointInfo info, Save&& save) {
    if (!is_best(validation.score)) return;
    info["epoch"] = concat(epoch);
    info["validation.score"] = concat(validation.score);
    info["validation.results"] = validation.results.dump();
    save(folder_.file(RunFolder::best), info);
    epoch_ = epoch;
    score_ = validation.score;
    write_results(validation.results);
  }
  /// "best epoch 3: 91.2 %", or nothing before the first.
  std::string text() const;
  int epoch() const { return epoch_; }
  double score() const { return score_; }

 private:
  void write_results(const nlohmann::ordered_json& found) const;

  const RunFolder& folder_;
  int epoch_ = 0;
  double score_ = 0;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

ALBEF_DATA_INLINE std::vector<std::pair<std::string, double>> Validation::numbers() const {
  std::vector<std::pair<std::string, double>> out{{"val.score", score}};
  for (const auto& [name, value] : results.items())
    if (value.is_number()) out.emplace_back("val." + name, value.get<double>());
  return out;
}

ALBEF_DATA_INLINE BestEpoch::BestEpoch(const RunFolder& folder) : folder_(folder) {}

ALBEF_DATA_INLINE void BestEpoch::resume() {
  if (!folder_.has(RunFolder::best)) return;
  const std::string path = folder_.file(RunFolder::best);
  const CheckpointInfo info = SafeTensors::open(path).metadata();
  try {
    epoch_ = std::stoi(info_entry(path, info, "epoch"));
    score_ = nlohmann::json::parse(info_entry(path, info, "validation.score")).get<double>();
    if (const auto found = info.find("validation.results"); found != info.end())
      write_results(nlohmann::ordered_json::parse(found->second));
  } catch (const std::exception& error) {
    fail(path, ": not the best checkpoint of a run: ", error.what());
  }
}

ALBEF_DATA_INLINE std::string BestEpoch::text() const {
  return epoch_ == 0 ? "" : concat("best epoch ", epoch_, ": ", percent(score_));
}

ALBEF_DATA_INLINE void BestEpoch::write_results(const nlohmann::ordered_json& found) const {
  nlohmann::ordered_json results = {{"epoch", epoch_}};
  if (found.is_object()) results.update(found);
  write_file(folder_.file(RunFolder::results), results.dump(2) + '\n');
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
