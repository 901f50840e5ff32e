// Rows of scores on the host: the best of them, and their log-probabilities.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "albef/core/compiler.hpp"

namespace albef {

/// Numbers of the k largest of value(0) ... value(n - 1), best first, equal ones by number.
template <class F>
std::vector<int> largest(std::size_t n, int k, F&& value) {
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  const auto kept = std::min(n, static_cast<std::size_t>(std::max(0, k)));
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                    [&](int a, int b) {
                      const auto va = value(static_cast<std::size_t>(a));
                      const auto vb = value(static_cast<std::size_t>(b));
                      return va > vb || (va == vb && a < b);
                    });
  order.resize(kept);
  return order;
}
/// The same of a row of values.
template <class T>
std::vector<int> largest(std::span<const T> values, int k) {
  return largest(values.size(), k, [&](std::size_t i) { return values[i]; });
}

/// Mean and standard deviation (of a sample: n - 1) of at least one value.
inline std::pair<double, double> mean_and_deviation(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  double mean = 0, square = 0;
  for (const double v : values) mean += v / n;
  for (const double v : values) square += (v - mean) * (v - mean);
  return {mean, n > 1 ? std::sqrt(square / (n - 1)) : 0.0};
}

/// log softmax of a row of at least one score.
template <class Real>
std::vector<double> log_softmax(std::span<const Real> row) {
  const auto high = static_cast<double>(*std::max_element(row.begin(), row.end()));
  double total = 0;
  for (const Real v : row) total += std::exp(static_cast<double>(v) - high);
  const double lse = high + std::log(total);
  std::vector<double> out(row.size());
  std::transform(row.begin(), row.end(), out.begin(),
                 [lse](Real v) { return static_cast<double>(v) - lse; });
  return out;
}

}  // namespace albef
