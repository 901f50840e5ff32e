// Any text as the metrics or the results of a run.
#include "albef/train/metrics.hpp"
#include "albef/train/validation.hpp"
#include "fuzz.hpp"

FUZZ(bytes, {}) {
  const std::string path = fuzz::file("metrics.jsonl", bytes);
  fuzz::reads([&] {
    albef::MetricsLog log(path, 3);
    for (const auto& series : log.history().all())
      for (const double step : series.steps) fuzz::check(step < 3, "later steps are removed");
  });
  fuzz::reads([&] { (void)albef::read_results(fuzz::file("results.json", bytes)); });
}
