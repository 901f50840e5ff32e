// How good a classification of a labelled set is: accuracy with its interval, and class by class.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/number.hpp"
#include "albef/tasks/classification.hpp"
#include "albef/tasks/skipped.hpp"
#include "albef/train/validation.hpp"

namespace albef {

/// The interval that holds the true share with a probability of 95 %, where `right` of `total`
/// examples drawn from it were: Wilson's score interval.
inline std::pair<double, double> score_interval(std::int64_t right, std::int64_t total) {
  require(total > 0 && right >= 0 && right <= total, "score_interval: ", right, " of ", total);
  constexpr double z = 1.959963984540054;
  const double n = static_cast<double>(total), p = static_cast<double>(right) / n;
  const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {right == 0 ? 0 : middle - half, right == total ? 1 : middle + half};
}

/// What a classification of a labelled set was worth.
struct ClassificationScore {
  ConfusionMatrix matrix;
  std::vector<std::string> classes{};
  std::vector<std::int32_t> predictions{};  ///< (N)
  Skipped skipped{};

  ClassificationScore(std::vector<std::string> names, std::span<const std::int32_t> labels,
                      std::vector<std::int32_t> predicted, const Skipped& left_out)
      : matrix(static_cast<int>(names.size())),
        classes(std::move(names)),
        predictions(std::move(predicted)),
        skipped(left_out) {
    require(predictions.size() == labels.size(), "classification: ", predictions.size(),
            " predictions for ", labels.size(), " labels");
    for (std::size_t i = 0; i < labels.size(); ++i) matrix.add(labels[i], predictions[i]);
  }

  double accuracy() const { return matrix.accuracy(); }
  /// Mean over the classes that have examples.
  double class_mean() const {
    double sum = 0;
    int seen = 0;
    for (int c = 0; c < matrix.classes(); ++c) {
      sum += matrix.accuracy(c);
      seen += matrix.count(c) > 0;
    }
    return seen ? sum / seen : 0;
  }
  /// Of the accuracy, see score_interval().
  std::pair<double, double> interval() const {
    return score_interval(std::llround(accuracy() * static_cast<double>(matrix.total())),
                          matrix.total());
  }
  /// {"accuracy", "interval": [low, high], "class_mean", "count", "records", "skipped", "classes":
  /// {name: {"count", "accuracy"}}}
  nlohmann::ordered_json json() const {
    const auto [low, high] = interval();
    nlohmann::ordered_json json{{"accuracy", accuracy()},
                                {"interval", {low, high}},
                                {"class_mean", class_mean()},
                                {"count", matrix.total()}};
    skipped.add_to(json);
    auto each = nlohmann::ordered_json::object();
    for (int c = 0; c < matrix.classes(); ++c)
      each[classes[static_cast<std::size_t>(c)]] = {{"count", matrix.count(c)},
                                                    {"accuracy", matrix.accuracy(c)}};
    json["classes"] = std::move(each);
    return json;
  }
  /// "61.2 % (58.0 to 64.3), mean of 81 classes 60.9 %, 486 examples"
  std::string text() const {
    const auto [low, high] = interval();
    return concat(percent(accuracy()), " (", fixed(100 * low, 1), " to ", fixed(100 * high, 1),
                  "), mean of ", matrix.classes(), " classes ", percent(class_mean()), ", ",
                  matrix.total(), " examples");
  }
};

}  // namespace albef
