// The losses of a run as a picture.
#pragma once

#include <string>
#include <vector>

#include "albef/train/metrics.hpp"
#include "albef/train/plateau.hpp"
#include "albef/viz/plot.hpp"

namespace albef {

/// Draws the losses called `names`, as far as there are any, with the levels at which nothing is
/// learned. "loss", the sum of the others, is drawn where it is alone.
inline void write_loss_curves(const std::string& path, const std::string& title,
                              const MetricHistory& history,
                              const std::vector<PlateauRule>& plateaus,
                              const std::vector<std::string>& names = {"itc", "itm", "mlm",
                                                                       "loss"}) {
  std::vector<PlotSeries> curves;
  for (const std::string& name : names) {
    if (name == "loss" && !curves.empty()) continue;
    if (const auto* series = history.find(name); series && !series->steps.empty())
      curves.push_back({name, series->steps, series->values});
  }
  if (curves.empty()) return;
  PlotOptions options{.title = title};
  for (const auto& rule : plateaus)
    if (history.find(rule.loss))
      options.plateaus.push_back({rule.loss + ": nothing learned", rule.value, rule.loss});
  write_plot(path, curves, options);
}

}  // namespace albef
