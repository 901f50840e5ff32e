// Notices losses that stand where a model stands that has learned nothing.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/number.hpp"

namespace albef {

/// A loss and the value it has when nothing is learned.
struct PlateauRule {
  std::string loss;
  double value = 0;
  double tolerance = 0.02;  // relative
};

/// Averages each loss over blocks of `steps` steps after the first `warmup` steps (single steps are
/// too noisy to judge) and reports a loss whose average is within the tolerance of its plateau.
class PlateauDetector {
 public:
  PlateauDetector(const std::vector<PlateauRule>& rules, std::int64_t warmup, int steps);

  /// Takes a loss of a step. Returns a warning, once each time the loss enters its plateau,
  /// otherwise an empty text. Losses without a rule are ignored.
  std::string observe(std::int64_t step, std::string_view loss, double value);

 private:
  struct Watched {
    PlateauRule rule;
    double sum = 0;
    int count = 0;
    bool stuck = false;
  };

  std::string observe(Watched& w, std::int64_t step, double value) const;

  std::int64_t warmup_;
  int steps_;
  std::vector<Watched> watched_;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE PlateauDetector::PlateauDetector(const std::vector<PlateauRule>& rules,
                                                   std::int64_t warmup, int steps)
    : warmup_(warmup), steps_(steps) {
  require(steps > 0, "PlateauDetector: blocks of ", steps, " steps, expected at least 1");
  for (const auto& rule : rules) watched_.push_back({rule});
}

ALBEF_DATA_INLINE std::string PlateauDetector::observe(std::int64_t step, std::string_view loss,
                                                       double value) {
  if (step < warmup_) return "";
  for (auto& w : watched_)
    if (w.rule.loss == loss) return observe(w, step, value);
  return "";
}

ALBEF_DATA_INLINE std::string PlateauDetector::observe(Watched& w, std::int64_t step,
                                                       double value) const {
  w.sum += value;
  if (++w.count < steps_) return "";
  const double mean = w.sum / w.count;
  w.sum = 0, w.count = 0;
  const bool was_stuck = std::exchange(
      w.stuck, std::abs(mean - w.rule.value) <= w.rule.tolerance * std::abs(w.rule.value));
  if (!w.stuck || was_stuck) return "";
  return concat("warning: step ", step, ": loss ", w.rule.loss, " was ", fixed(mean, 4),
                " on average over the last ", steps_, " steps; a model that learns nothing has ",
                fixed(w.rule.value, 4));
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
