// Validations during training: their scores, and the weights and results of the best epoch.
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "albef/checkpoint/info.hpp"
#include "albef/checkpoint/safetensors.hpp"
#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/core/json.hpp"
#include "albef/core/number.hpp"
#include "albef/train/run_folder.hpp"

namespace albef {

/// "91.2 %" for a share.
std::string percent(double share);

/// The object in a JSON file such as results.json or summary.json.
inline nlohmann::ordered_json read_results(const std::string& path) {
  try {
    const std::string text = read_file(path);
    parse_json(text);  // for its depth; it does not keep the order
    auto results = nlohmann::ordered_json::parse(text);
    require(results.is_object(), path, ": expected a JSON object");
    return results;
  } catch (const JsonError& error) { fail(path, ": ", error.what()); }
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

  /// Goes on where the folder's best checkpoint stands. Returns what is wrong with it, in which
  /// case there is none as yet; empty: nothing.
  std::string resume();
  /// Whether an epoch of this score is the best so far. An epoch that is validated again, after a
  /// resume, is the best if it was; a score that is no number is below all others.
  bool is_best(int epoch, double score) const {
    return epoch_ == 0 || epoch == epoch_ || score > score_ ||
           (std::isnan(score_) && !std::isnan(score));
  }

  /// Takes the validation of an epoch; if it is the best so far, save(path, info) writes the
  /// weights with what it says, before its results. Whoever is stopped between the two finds the
  /// results in the weights; see resume().
  template <class Save>
  void add(int epoch, const Validation& validation, CheckpointInfo info, Save&& save) {
    if (!is_best(epoch, validation.score)) return;
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

ALBEF_DATA_INLINE std::string percent(double share) { return fixed(100 * share, 1) + " %"; }

ALBEF_DATA_INLINE std::vector<std::pair<std::string, double>> Validation::numbers() const {
  std::vector<std::pair<std::string, double>> out{{"val.score", score}};
  for (const auto& [name, value] : results.items())
    if (value.is_number()) out.emplace_back("val." + name, value.get<double>());
  return out;
}

ALBEF_DATA_INLINE BestEpoch::BestEpoch(const RunFolder& folder) : folder_(folder) {}

ALBEF_DATA_INLINE std::string BestEpoch::resume() {
  epoch_ = 0;
  if (!folder_.has(RunFolder::best)) return "";
  const std::string path = folder_.file(RunFolder::best);
  int epoch = 0;
  double score = 0;
  nlohmann::ordered_json results;
  try {
    const auto file = SafeTensors::open(path);
    file.verify();
    const CheckpointInfo& info = file.metadata();
    epoch = static_cast<int>(stated_number(path, info, "epoch", 1'000'000'000));
    const std::string& text = info_entry(path, info, "validation.score");
    const auto value = text == "nan" ? std::nan("") : to_number(text);
    require(value.has_value(), path, ": entry 'validation.score' is '", text,
            "', expected a number");
    score = *value;
    if (const auto found = info.find("validation.results"); found != info.end()) {
      parse_json(found->second);  // for its depth
      results = nlohmann::ordered_json::parse(found->second);
    }
  } catch (const Error& error) { return error.what(); }
  epoch_ = epoch;
  score_ = score;
  write_results(results);
  return "";
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
