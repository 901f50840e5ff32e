// How good a probe of frozen features is: its settings chosen on a held-out part of the training
// set, then fitted to all of it and tried on another set.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/number.hpp"
#include "albef/data/record.hpp"
#include "albef/tasks/class_score.hpp"
#include "albef/tasks/labelled_features.hpp"
#include "albef/tasks/probe.hpp"
#include "albef/train/validation.hpp"

namespace albef {

struct ProbeSettings {
  /// Of a linear probe, see LogisticOptions::penalty; of several the best is taken.
  std::vector<double> penalties{0.1, 1, 10, 100, 1000, 10000};
  /// Of a vote by nearest neighbours; of several the best is taken.
  std::vector<int> neighbours{1, 5, 10, 20, 50, 100};
  double temperature = NeighbourOptions{}.temperature;
  double held_out = 0.2;    ///< share of each class by which the best is chosen
  std::uint64_t seed = 42;  ///< of that choice
  /// Linear probes see features from which the mean over the training set is taken, divided by the
  /// deviation.
  bool standardize = true;
};

/// A probe that was fitted and tried.
struct ProbeResult {
  std::string method;         ///< "linear" or "knn"
  ClassificationScore score;  ///< on the test set
  double setting = 0;         ///< the penalty or the number of neighbours
  double held_out = 0;        ///< accuracy on the held-out part; NaN where nothing was chosen
  bool converged = true;
  int train = 0, width = 0;  ///< examples and values of each that it was fitted to
  double seconds = 0;

  const char* setting_name() const { return method == "linear" ? "penalty" : "neighbours"; }
  nlohmann::ordered_json json() const {
    nlohmann::ordered_json json{{"train", train}, {"width", width}, {setting_name(), setting}};
    if (!std::isnan(held_out)) json["held_out_accuracy"] = held_out;
    if (!converged) json["converged"] = false;
    json.update(score.json());
    json["seconds"] = seconds;
    return json;
  }
};

namespace detail {

/// Error unless a probe can be fitted to the set.
inline void check_probe_set(const LabelledFeatures& train, const LabelledFeatures& test) {
  require(train.classes == test.classes, "probe: the sets have ", train.classes.size(), " and ",
          test.classes.size(), " classes, expected the same");
  std::vector<char> seen(train.classes.size());
  for (const std::int32_t label : train.labels) seen[static_cast<std::size_t>(label)] = 1;
  const auto count = std::count(seen.begin(), seen.end(), 1);
  if (count > 1) return;
  const auto only = static_cast<std::size_t>(std::find(seen.begin(), seen.end(), 1) - seen.begin());
  fail("probe: all ", train.rows(), " training examples are of one class, '", train.classes[only],
       "', expected at least two");
}

/// Some rows of features.
inline LabelledFeatures rows_of(const LabelledFeatures& all, std::span<const std::uint32_t> rows) {
  LabelledFeatures out{.width = all.width, .classes = all.classes};
  const auto width = static_cast<std::size_t>(all.width);
  for (const std::uint32_t row : rows) {
    const auto from = all.values.begin() + static_cast<std::ptrdiff_t>(row * width);
    out.values.insert(out.values.end(), from, from + all.width);
    out.labels.push_back(all.labels[row]);
    out.records.push_back(all.records[row]);
  }
  return out;
}

/// Two parts of a set: what is fitted, and the given share of each class, rounded but at most all
/// but one, drawn from the seed.
inline std::pair<LabelledFeatures, LabelledFeatures> hold_out(const LabelledFeatures& all,
                                                              double share, std::uint64_t seed) {
  std::vector<std::size_t> left(all.classes.size());
  for (const std::int32_t label : all.labels) ++left[static_cast<std::size_t>(label)];
  for (std::size_t& n : left)
    n = std::min(n > 0 ? n - 1 : 0,
                 static_cast<std::size_t>(std::llround(share * static_cast<double>(n))));
  std::vector<std::uint32_t> kept, held;
  for (const std::uint32_t row : random_order(all.labels.size(), seed, 0)) {
    std::size_t& n = left[static_cast<std::size_t>(all.labels[row])];
    (n > 0 ? held : kept).push_back(row);
    n -= n > 0;
  }
  std::sort(kept.begin(), kept.end());
  std::sort(held.begin(), held.end());
  return {rows_of(all, kept), rows_of(all, held)};
}

/// Of the settings the one with the highest accuracy(setting), the first of equal ones, and that
/// accuracy; of one it is not asked, and NaN.
template <class T, class F>
std::pair<T, double> best_setting(const char* what, std::span<const T> settings, F&& accuracy) {
  require(!settings.empty(), "probe: no ", what, " given");
  if (settings.size() == 1) return {settings[0], std::nan("")};
  std::pair<T, double> best{settings[0], -1.0};
  for (const T& setting : settings)
    if (const double found = accuracy(setting); found > best.second) best = {setting, found};
  return best;
}

/// Shifts and scales features by mean and deviation of the training set; a value that is always the
/// same becomes 0.
class Standardizer {
 public:
  Standardizer(const LabelledFeatures& train, bool standardize)
      : mean_(static_cast<std::size_t>(train.width)), scale_(mean_.size(), 1.0) {
    if (!standardize) return;
    const double n = train.rows();
    std::vector<double> square(mean_.size());
    const auto each = [&](auto&& f) {
      for (std::size_t i = 0; i < train.values.size(); ++i)
        f(i % mean_.size(), static_cast<double>(train.values[i]));
    };
    each([&](std::size_t d, double v) { mean_[d] += v / n; });
    each([&](std::size_t d, double v) { square[d] += (v - mean_[d]) * (v - mean_[d]) / n; });
    for (std::size_t d = 0; d < mean_.size(); ++d) {
      const double deviation = std::sqrt(square[d]);
      scale_[d] = deviation > 1e-9 * std::abs(mean_[d]) ? 1 / deviation : 0;
    }
  }
  std::vector<double> operator()(const LabelledFeatures& set) const {
    std::vector<double> out(set.values.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t d = i % mean_.size();
      out[i] = (static_cast<double>(set.values[i]) - mean_[d]) * scale_[d];
    }
    return out;
  }

 private:
  std::vector<double> mean_, scale_;
};

/// Predictions for `test` by logistic regression on `train`.
inline std::vector<std::int32_t> linear_predictions(const LabelledFeatures& train,
                                                    const LabelledFeatures& test, double penalty,
                                                    bool standardize, bool& converged) {
  const Standardizer standard(train, standardize);
  const std::vector<double> x = standard(train), z = standard(test);
  const auto fit = logistic_probe(mat(x.data(), train.rows(), train.width), train.labels,
                                  static_cast<int>(train.classes.size()),
                                  {.penalty = penalty, .tolerance = 1e-4});
  converged = fit.converged;
  return fit.probe.predict(mat(z.data(), test.rows(), test.width));
}

}  // namespace detail

/// A linear probe: multinomial logistic regression by L-BFGS. Error for a training set of one
/// class.
inline ProbeResult linear_probe(const LabelledFeatures& train, const LabelledFeatures& test,
                                const ProbeSettings& settings = {}) {
  detail::check_probe_set(train, test);
  const auto start = std::chrono::steady_clock::now();
  bool converged = true;
  const auto parts = detail::hold_out(train, settings.held_out, settings.seed);
  std::vector<double> penalties = settings.penalties;
  if (parts.second.rows() == 0 && penalties.size() > 1) penalties = {1};
  std::sort(penalties.rbegin(), penalties.rend());  // of equally good ones the simplest probe
  const auto [penalty, held_out] =
      detail::best_setting("penalty", std::span<const double>(penalties), [&](double p) {
        return accuracy(detail::linear_predictions(parts.first, parts.second, p,
                                                   settings.standardize, converged),
                        parts.second.labels);
      });
  auto predicted =
      detail::linear_predictions(train, test, penalty, settings.standardize, converged);
  ProbeResult out{"linear",   {test.classes, test.labels, std::move(predicted), test.skipped},
                  penalty,    held_out,
                  converged,  train.rows(),
                  train.width};
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

/// The vote of the nearest neighbours, see nearest_neighbours(). Numbers of neighbours that exceed
/// the training set are left out.
inline ProbeResult neighbour_probe(const LabelledFeatures& train, const LabelledFeatures& test,
                                   const ProbeSettings& settings = {}) {
  detail::check_probe_set(train, test);
  const auto start = std::chrono::steady_clock::now();
  const auto classes = static_cast<int>(train.classes.size());
  const auto parts = detail::hold_out(train, settings.held_out, settings.seed);
  std::vector<int> counts = settings.neighbours;
  if (counts.size() > 1) {
    std::erase_if(counts, [&](int k) { return k > parts.first.rows(); });
    if (parts.second.rows() == 0 || counts.empty()) counts = {1};
  }
  const auto predict = [&](const LabelledFeatures& known, const LabelledFeatures& asked, int k) {
    return nearest_neighbours(known.mat(), std::span<const std::int32_t>(known.labels), classes,
                              asked.mat(), {.neighbours = k, .temperature = settings.temperature});
  };
  const auto [count, held_out] = detail::best_setting(
      "number of neighbours", std::span<const int>(counts),
      [&](int k) { return accuracy(predict(parts.first, parts.second, k), parts.second.labels); });
  ProbeResult out{"knn",
                  {test.classes, test.labels, predict(train, test, count), test.skipped},
                  static_cast<double>(count),
                  held_out,
                  true,
                  train.rows(),
                  train.width};
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace albef
