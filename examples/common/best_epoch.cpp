#include "common/best_epoch.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "albef/core/file.hpp"

namespace examples {

BestEpoch::BestEpoch(const std::string& folder, std::int64_t next_step, bool validates)
    : folder_(folder) {
  const std::string log = folder + "/validation.jsonl";
  if (next_step == 0)
    for (const std::string& old : {log, checkpoint_path(), folder + "/results.json"})
      std::filesystem::remove(old);
  if (!validates) return;
  log_ = std::make_unique<albef::MetricsLog>(log, next_step);
  const auto* epochs = log_->history().find("epoch");
  const auto* scores = log_->history().find("score");
  if (!epochs || !scores) return;
  for (std::size_t i = 0; i < std::min(epochs->values.size(), scores->values.size()); ++i)
    if (scores->values[i] > score_) {
      score_ = scores->values[i];
      epoch_ = static_cast<int>(epochs->values[i]);
    }
}

void BestEpoch::add(int epoch, std::int64_t step, const Validation& validation) {
  const albef::MetricsLog::Value values[] = {{"epoch", static_cast<double>(epoch)},
                                             {"score", validation.score}};
  log_->write(step, values);
  if (!is_best(validation.score)) return;
  epoch_ = epoch;
  score_ = validation.score;
  Json results = {{"epoch", epoch}};
  results.update(validation.results);
  albef::write_file(folder_ + "/results.json", results.dump(2) + '\n');
}

std::string BestEpoch::text() const {
  return epoch_ == 0 ? "" : albef::concat("best epoch ", epoch_, ": ", percent(score_));
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

}  // namespace examples
