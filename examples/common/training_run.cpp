#include "common/training_run.hpp"

#include "albef/viz/plot.hpp"

namespace examples {

void write_loss_curves(const std::string& path, const std::string& title,
                       const albef::MetricHistory& history,
                       const std::vector<albef::PlateauRule>& plateaus) {
  const bool parts = history.find("itc") || history.find("itm") || history.find("mlm");
  std::vector<albef::PlotSeries> curves;
  for (const char* name : {"itc", "itm", "mlm", "loss"}) {
    if (parts && name == std::string("loss")) continue;  // their sum
    if (const auto* series = history.find(name); series && !series->steps.empty())
      curves.push_back({name, series->steps, series->values});
  }
  if (curves.empty()) return;
  albef::PlotOptions options{.title = title};
  for (const auto& rule : plateaus)
    if (history.find(rule.loss))
      options.plateaus.push_back({rule.loss + ": nothing learned", rule.value, rule.loss});
  albef::write_plot(path, curves, options);
}

}  // namespace examples
