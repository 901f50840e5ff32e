// What frozen features tell: a linear probe by ridge regression in closed form or by multinomial
// logistic regression, classification by nearest neighbours, and principal components. Features are
// plain row-major matrices (N, D) of float or double, whatever model they come from; everything is
// computed in double.
#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <numeric>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/matrix.hpp"

namespace albef {
namespace detail {

using ProbeMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A copy in double; Error where there is nothing or a value is not a finite number.
template <class T>
ProbeMatrix probe_matrix(const char* what, Mat<T> m) {
  using Plain =
      Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  require(m.rows > 0 && m.cols > 0, what, " are a matrix of shape (", m.rows, ", ", m.cols,
          "), expected at least one row and column");
  ProbeMatrix out = Eigen::Map<const Plain, 0, Eigen::OuterStride<>>(m.data, m.rows, m.cols,
                                                                     Eigen::OuterStride<>(m.stride))
                        .template cast<double>();
  for (int i = 0; i < m.rows; ++i)
    require(out.row(i).allFinite(), what, ": row ", i, " has a value that is not a finite number");
  return out;
}

/// Error unless there is one label per row of features, each in 0 .. classes - 1.
inline void check_labels(std::span<const std::int32_t> labels, int rows, int classes) {
  require(classes > 1, "probe: ", classes, " classes, expected at least two");
  require(labels.size() == static_cast<std::size_t>(rows), "probe: ", labels.size(), " labels for ",
          rows, " rows of features");
  for (std::size_t i = 0; i < labels.size(); ++i)
    require(labels[i] >= 0 && labels[i] < classes, "probe: label ", i, " is ", labels[i],
            ", expected 0 .. ", classes - 1);
}

/// Mean over the rows.
inline Eigen::RowVectorXd column_mean(const ProbeMatrix& m) { return m.colwise().mean(); }

}  // namespace detail

/// An affine map from features to scores, as torch.nn.Linear holds it: scores = x weight^T + bias.
struct LinearProbe {
  int inputs = 0, outputs = 0;
  std::vector<double> weight;  ///< (outputs, inputs), row-major
  std::vector<double> bias;    ///< (outputs)

  /// (N, outputs), row-major. Error for features of another width.
  template <class T>
  std::vector<double> scores(Mat<T> features) const {
    require(features.cols == inputs, "probe: features of width ", features.cols, ", expected ",
            inputs);
    std::vector<double> out(static_cast<std::size_t>(features.rows) *
                            static_cast<std::size_t>(outputs));
    if (features.rows == 0) return out;
    Eigen::Map<detail::ProbeMatrix> result(out.data(), features.rows, outputs);
    result.noalias() =
        detail::probe_matrix("features", features) *
        Eigen::Map<const detail::ProbeMatrix>(weight.data(), outputs, inputs).transpose();
    result.rowwise() += Eigen::Map<const Eigen::RowVectorXd>(bias.data(), outputs);
    return out;
  }

  /// The best-scored output of each row, (N); the first of equal ones.
  template <class T>
  std::vector<std::int32_t> predict(Mat<T> features) const {
    const std::vector<double> all = scores(features);
    std::vector<std::int32_t> out;
    for (int i = 0; i < features.rows; ++i) {
      const auto row = all.begin() + static_cast<std::ptrdiff_t>(i) * outputs;
      out.push_back(static_cast<std::int32_t>(std::max_element(row, row + outputs) - row));
    }
    return out;
  }
};

/// The share of predictions that equal the labels.
inline double accuracy(std::span<const std::int32_t> predicted,
                       std::span<const std::int32_t> labels) {
  require(predicted.size() == labels.size() && !labels.empty(), "accuracy: ", predicted.size(),
          " predictions for ", labels.size(), " labels");
  std::size_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) right += predicted[i] == labels[i];
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

/// The map that minimises |x weight^T + bias - targets|^2 + penalty |weight|^2 for features x (N,
/// D) and targets (N, K), in closed form: a system of min(N, D) equations. The bias is not
/// penalised. Error for a penalty that is not above 0.
template <class T, class U>
LinearProbe ridge_regression(Mat<T> features, Mat<U> targets, double penalty) {
  require(penalty > 0, "ridge_regression: the penalty is ", penalty, ", expected more than 0");
  require(features.rows == targets.rows, "ridge_regression: ", features.rows,
          " rows of features and ", targets.rows, " of targets");
  detail::ProbeMatrix x = detail::probe_matrix("features", features);
  detail::ProbeMatrix y = detail::probe_matrix("targets", targets);
  const Eigen::RowVectorXd x_mean = detail::column_mean(x), y_mean = detail::column_mean(y);
  x.rowwise() -= x_mean;
  y.rowwise() -= y_mean;
  Eigen::MatrixXd weight;  // (D, K)
  if (x.cols() <= x.rows()) {
    Eigen::MatrixXd gram = x.transpose() * x;
    gram.diagonal().array() += penalty;
    weight = gram.ldlt().solve(x.transpose() * y);
  } else {
    Eigen::MatrixXd gram = x * x.transpose();
    gram.diagonal().array() += penalty;
    weight = x.transpose() * gram.ldlt().solve(Eigen::MatrixXd(y));
  }
  LinearProbe probe{features.cols, targets.cols, {}, {}};
  probe.weight.resize(static_cast<std::size_t>(weight.size()));
  Eigen::Map<detail::ProbeMatrix>(probe.weight.data(), weight.cols(), weight.rows()) =
      weight.transpose();
  const Eigen::RowVectorXd bias = y_mean - x_mean * weight;
  probe.bias.assign(bias.data(), bias.data() + bias.size());
  return probe;
}

/// Ridge regression on targets +1 for a row's label and -1 for the other classes.
template <class T>
LinearProbe ridge_probe(Mat<T> features, std::span<const std::int32_t> labels, int classes,
                        double penalty) {
  detail::check_labels(labels, features.rows, classes);
  std::vector<double> targets(labels.size() * static_cast<std::size_t>(classes), -1.0);
  for (std::size_t i = 0; i < labels.size(); ++i)
    targets[i * static_cast<std::size_t>(classes) + static_cast<std::size_t>(labels[i])] = 1;
  return ridge_regression(features, mat(targets.data(), features.rows, classes), penalty);
}

struct LogisticOptions {
  double penalty = 1;         ///< of |weight|^2 / 2 beside the summed loss: 1 / C of scikit-learn
  int max_iterations = 1000;  ///< of L-BFGS
  double tolerance = 1e-5;    ///< ends when no component of the mean loss's gradient is larger
  int memory = 10;            ///< pairs that L-BFGS keeps
};

struct LogisticFit {
  LinearProbe probe;
  double loss = 0;     ///< (summed cross-entropy + penalty / 2 |weight|^2) / N
  int iterations = 0;  ///< of L-BFGS
  bool converged = false;
};

namespace detail {

/// The mean loss of multinomial logistic regression and its gradient. Parameters are weight (K, D),
/// then bias (K); the bias is not penalised.
class LogisticLoss {
 public:
  LogisticLoss(ProbeMatrix x, std::span<const std::int32_t> labels, int classes, double penalty)
      : x_(std::move(x)), labels_(labels), classes_(classes), penalty_(penalty) {}

  Eigen::Index parameters() const { return classes_ * (x_.cols() + 1); }

  double operator()(const Eigen::VectorXd& at, Eigen::VectorXd& gradient) {
    const Eigen::Index d = x_.cols();
    const Eigen::Map<const ProbeMatrix> weight(at.data(), classes_, d);
    scores_.noalias() = x_ * weight.transpose();
    scores_.rowwise() += Eigen::Map<const Eigen::RowVectorXd>(at.data() + classes_ * d, classes_);
    double loss = 0;
    for (Eigen::Index i = 0; i < x_.rows(); ++i) {
      auto row = scores_.row(i);
      const Eigen::Index label = labels_[static_cast<std::size_t>(i)];
      const double own = row(label), most = row.maxCoeff();
      row = (row.array() - most).exp();
      const double sum = row.sum();
      loss += std::log(sum) + most - own;
      row /= sum;  // probabilities
      row(label) -= 1;
    }
    const double n = static_cast<double>(x_.rows());
    gradient.resize(parameters());
    Eigen::Map<ProbeMatrix> weight_gradient(gradient.data(), classes_, d);
    weight_gradient.noalias() = scores_.transpose() * x_ / n;
    weight_gradient += penalty_ / n * weight;
    Eigen::Map<Eigen::RowVectorXd>(gradient.data() + classes_ * d, classes_) =
        scores_.colwise().sum() / n;
    return (loss + penalty_ / 2 * weight.squaredNorm()) / n;
  }

 private:
  ProbeMatrix x_, scores_;
  std::span<const std::int32_t> labels_;
  int classes_;
  double penalty_;
};

/// The direction of L-BFGS: minus the inverse Hessian, as the kept pairs of steps and changes of
/// the gradient estimate it, times the gradient (Nocedal and Wright, algorithm 7.4).
inline Eigen::VectorXd lbfgs_direction(
    const std::deque<std::pair<Eigen::VectorXd, Eigen::VectorXd>>& pairs,
    const Eigen::VectorXd& gradient) {
  Eigen::VectorXd q = -gradient;
  std::vector<double> alpha(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    const auto& [s, y] = pairs[i];
    alpha[i] = s.dot(q) / s.dot(y);
    q -= alpha[i] * y;
  }
  if (!pairs.empty()) {
    const auto& [s, y] = pairs.back();
    q *= s.dot(y) / y.squaredNorm();
  }
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto& [s, y] = pairs[i];
    q += (alpha[i] - y.dot(q) / s.dot(y)) * s;
  }
  return q;
}

}  // namespace detail

/// Multinomial logistic regression on features (N, D), fitted by L-BFGS with a line search for the
/// Wolfe conditions: minimises the summed cross-entropy + penalty / 2 |weight|^2. The problem is
/// convex, so the result does not depend on where it starts (zero).
template <class T>
LogisticFit logistic_probe(Mat<T> features, std::span<const std::int32_t> labels, int classes,
                           const LogisticOptions& options = {}) {
  detail::check_labels(labels, features.rows, classes);
  require(options.penalty >= 0, "logistic_probe: the penalty is ", options.penalty,
          ", expected at least 0");
  require(options.memory > 0, "logistic_probe: memory is ", options.memory,
          ", expected at least 1");
  detail::LogisticLoss loss(detail::probe_matrix("features", features), labels, classes,
                            options.penalty);
  Eigen::VectorXd at = Eigen::VectorXd::Zero(loss.parameters()), gradient, next, next_gradient;
  std::deque<std::pair<Eigen::VectorXd, Eigen::VectorXd>> pairs;
  LogisticFit fit;
  fit.loss = loss(at, gradient);
  for (;; ++fit.iterations) {
    fit.converged = gradient.lpNorm<Eigen::Infinity>() <= options.tolerance;
    if (fit.converged || fit.iterations == options.max_iterations) break;
    const Eigen::VectorXd direction = detail::lbfgs_direction(pairs, gradient);
    const double slope = direction.dot(gradient);
    // Bisection for the weak Wolfe conditions, from the full step (the first one is scaled).
    double low = 0, high = std::numeric_limits<double>::infinity(), value = fit.loss;
    double step = pairs.empty() ? std::min(1.0, 1 / gradient.lpNorm<1>()) : 1;
    bool found = false;
    for (int attempt = 0; attempt < 60 && !found; ++attempt) {
      next = at + step * direction;
      value = loss(next, next_gradient);
      if (!(value <= fit.loss + 1e-4 * step * slope))
        high = step;
      else if (next_gradient.dot(direction) < 0.9 * slope)
        low = step;
      else
        found = true;
      if (!found) step = std::isinf(high) ? 2 * low : (low + high) / 2;
    }
    if (!found) break;  // as low as double precision gets
    pairs.emplace_back(next - at, next_gradient - gradient);
    if (pairs.size() > static_cast<std::size_t>(options.memory)) pairs.pop_front();
    at.swap(next);
    gradient.swap(next_gradient);
    fit.loss = value;
  }
  fit.probe = {features.cols, classes, {}, {}};
  const auto weights = static_cast<std::ptrdiff_t>(classes) * features.cols;
  fit.probe.weight.assign(at.data(), at.data() + weights);
  fit.probe.bias.assign(at.data() + weights, at.data() + at.size());
  return fit;
}

struct NeighbourOptions {
  int neighbours = 20;
  double temperature =
      0.07;  ///< a neighbour of cosine c votes with exp(c / temperature); 0: with 1
};

/// Classifies queries (M, D) by the labels of their nearest neighbours among features (N, D), by
/// cosine similarity, with the weighted vote of Wu et al. 2018 (arXiv:1805.01978) that DINO uses.
/// Equal similarities: the earlier row is nearer; equal votes: the smaller class wins.
template <class T, class U>
std::vector<std::int32_t> nearest_neighbours(Mat<T> features, std::span<const std::int32_t> labels,
                                             int classes, Mat<U> queries,
                                             const NeighbourOptions& options = {}) {
  detail::check_labels(labels, features.rows, classes);
  require(features.cols == queries.cols, "nearest_neighbours: features of width ", features.cols,
          " and queries of width ", queries.cols);
  require(options.neighbours > 0 && options.neighbours <= features.rows,
          "nearest_neighbours: ", options.neighbours, " neighbours of ", features.rows, " rows");
  require(options.temperature >= 0, "nearest_neighbours: the temperature is ", options.temperature,
          ", expected at least 0");
  const auto normalized = [](detail::ProbeMatrix m) {
    for (Eigen::Index i = 0; i < m.rows(); ++i)
      m.row(i) /= std::max(m.row(i).norm(), std::numeric_limits<double>::min());
    return m;
  };
  const detail::ProbeMatrix known = normalized(detail::probe_matrix("features", features));
  std::vector<std::int32_t> out, order(labels.size());
  std::vector<double> votes(static_cast<std::size_t>(classes));
  constexpr int chunk = 256;  // queries compared at a time
  for (int begin = 0; begin < queries.rows; begin += chunk) {
    const int count = std::min(chunk, queries.rows - begin);
    const Mat<U> part{queries.row(begin), count, queries.cols, queries.stride};
    const detail::ProbeMatrix cosines =
        normalized(detail::probe_matrix("queries", part)) * known.transpose();  // (count, N)
    for (int i = 0; i < count; ++i) {
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + options.neighbours, order.end(),
                        [&](std::int32_t a, std::int32_t b) {
                          const double left = cosines(i, a), right = cosines(i, b);
                          return left > right || (left == right && a < b);
                        });
      std::fill(votes.begin(), votes.end(), 0.0);
      for (int k = 0; k < options.neighbours; ++k) {
        const std::int32_t near = order[static_cast<std::size_t>(k)];
        // Relative to the nearest, which leaves the order of the votes and cannot overflow.
        const double behind = cosines(i, near) - cosines(i, order[0]);
        votes[static_cast<std::size_t>(labels[static_cast<std::size_t>(near)])] +=
            options.temperature > 0 ? std::exp(behind / options.temperature) : 1;
      }
      out.push_back(
          static_cast<std::int32_t>(std::max_element(votes.begin(), votes.end()) - votes.begin()));
    }
  }
  return out;
}

/// The directions in which features vary most.
struct PrincipalComponents {
  int inputs = 0, outputs = 0;
  std::vector<double> mean;        ///< (inputs)
  std::vector<double> components;  ///< (outputs, inputs), unit rows, the strongest first
  std::vector<double> variance;    ///< (outputs), of the features along each (N - 1 in the divisor)
  double total_variance = 0;       ///< over all directions

  /// Features in the coordinates of the components, (N, outputs), row-major.
  template <class T>
  std::vector<double> transform(Mat<T> features) const {
    LinearProbe map{inputs, outputs, components, std::vector<double>(variance.size())};
    const Eigen::Map<const detail::ProbeMatrix> rows(components.data(), outputs, inputs);
    const Eigen::Map<const Eigen::VectorXd> center(mean.data(), inputs);
    Eigen::Map<Eigen::VectorXd>(map.bias.data(), outputs) = -rows * center;
    return map.scores(features);
  }
};

/// The first k principal components of features (N, D), k at most min(N, D), by the eigenvectors of
/// their covariance or, where N < D, of their Gram matrix. The largest entry of a component, by
/// magnitude, is positive. Error for another k, or where the features vary in fewer directions.
template <class T>
PrincipalComponents principal_components(Mat<T> features, int k) {
  detail::ProbeMatrix x = detail::probe_matrix("features", features);
  const auto most = std::min(x.rows(), x.cols());
  require(k > 0 && k <= most, "principal_components: ", k, " of features (", features.rows, ", ",
          features.cols, "), expected 1 .. ", most);
  const Eigen::RowVectorXd center = detail::column_mean(x);
  x.rowwise() -= center;
  const double divisor = static_cast<double>(std::max<Eigen::Index>(x.rows() - 1, 1));
  const bool wide = x.rows() < x.cols();
  const Eigen::MatrixXd matrix = wide ? Eigen::MatrixXd(x * x.transpose() / divisor)
                                      : Eigen::MatrixXd(x.transpose() * x / divisor);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix);  // ascending
  require(solver.info() == Eigen::Success, "principal_components: the eigenvalues do not converge");

  PrincipalComponents out{features.cols, k, {}, {}, {}, matrix.trace()};
  out.mean.assign(center.data(), center.data() + center.size());
  out.components.resize(static_cast<std::size_t>(k) * static_cast<std::size_t>(features.cols));
  for (int i = 0; i < k; ++i) {
    const Eigen::Index from = matrix.rows() - 1 - i;
    const double variance = std::max(solver.eigenvalues()(from), 0.0);
    require(variance > 1e-12 * out.total_variance, "principal_components: the features vary in ", i,
            " directions, ", k, " were asked for");
    Eigen::VectorXd direction = solver.eigenvectors().col(from);
    if (wide) direction = (x.transpose() * direction).normalized();
    Eigen::Index largest = 0;
    direction.cwiseAbs().maxCoeff(&largest);
    if (direction(largest) < 0) direction = -direction;
    Eigen::Map<Eigen::VectorXd>(
        out.components.data() + static_cast<std::ptrdiff_t>(i) * features.cols, features.cols) =
        direction;
    out.variance.push_back(variance);
  }
  return out;
}

}  // namespace albef
