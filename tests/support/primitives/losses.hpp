// Soft cross entropy in all its forms, self-distillation, and the drawing of negatives.
#pragma once

#include "../operands.hpp"
#include "elementwise.hpp"

namespace cases {

inline constexpr Shape logit_shapes[] = {{7, 2, 0}, {12, 64, 0}, {9, 130, 3}, {4, 4104, 8}};
inline constexpr Shape base_logits{64, 30522, 0};

/// log(sum(exp(x))) of a row.
inline double naive_lse(const double* x, int n) {
  const double high = *std::max_element(x, x + n);
  double total = 0;
  for (int j = 0; j < n; ++j) total += std::exp(x[j] - high);
  return high + std::log(total);
}
/// What row i should predict.
inline std::vector<double> soft_targets(const primitive::SoftCrossEntropy<double>& a, int i) {
  const int cols = a.logits.cols;
  std::vector<double> target(static_cast<std::size_t>(cols));
  double positives = 0;
  for (int j = 0; j < cols; ++j) {
    double& t = target[static_cast<std::size_t>(j)];
    t = a.row_identities ? a.column_identities[j] == a.row_identities[i]
                         : j == (a.labels ? a.labels[i] : i);
    positives += t;
  }
  const double lse = a.teacher.data ? naive_lse(a.teacher.row(i), cols) : 0;
  for (int j = 0; j < cols; ++j) {
    double& t = target[static_cast<std::size_t>(j)];
    t *= (1 - a.alpha) / std::max(1.0, positives);
    if (a.teacher.data) t += a.alpha * std::exp(a.teacher.row(i)[j] - lse);
  }
  return target;
}
inline bool is_padding(const primitive::SoftCrossEntropy<double>& a, int i) {
  return a.labels && a.labels[i] < 0;
}
inline double common_factor(const primitive::SoftCrossEntropy<double>& a) {
  return a.scale * (a.factor ? *a.factor : 1);
}
inline void run(Naive&, const primitive::SoftCrossEntropy<double>& a) {
  double total = 0;
  for (int i = 0; i < a.logits.rows; ++i) {
    double value = 0;
    if (!is_padding(a, i)) {
      const double lse = a.lse[i] = naive_lse(a.logits.row(i), a.logits.cols);
      const auto target = soft_targets(a, i);
      for (int j = 0; j < a.logits.cols; ++j)
        value += target[static_cast<std::size_t>(j)] * (lse - a.logits.row(i)[j]);
    }
    if (a.row_losses) a.row_losses[i] = value;
    total += (a.weights ? a.weights[i] : 1) * value;
  }
  *a.loss = common_factor(a) * total;
}
inline void run(Naive&, const primitive::SoftCrossEntropyGrad<double>& g) {
  const auto& a = g.forward;
  for (int i = 0; i < g.d.rows; ++i) {
    const double lse = naive_lse(a.logits.row(i), a.logits.cols);
    const double scale =
        is_padding(a, i) ? 0 : common_factor(a) * *g.dloss * (a.weights ? a.weights[i] : 1);
    const auto target = soft_targets(a, i);
    for (int j = 0; j < g.d.cols; ++j) {
      const double p = std::exp(a.logits.row(i)[j] - lse);
      const double d = scale == 0 ? 0 : scale * (p - target[static_cast<std::size_t>(j)]);
      g.d.row(i)[j] = blend(d, g.beta, g.d.row(i)[j]);
    }
  }
}

template <class T>
struct LossOperands {
  using A = accumulator_t<T>;
  int rows, cols;
  Matrix<T> logits, teacher;
  std::vector<std::int32_t> targets;
  std::vector<std::int64_t> row_ids, column_ids;  // the last row has no positive column
  Array<std::int32_t> labels;
  Array<std::int64_t> row_identities, column_identities;
  Matrix<A> loss{1, 1}, factor{1, 1}, dloss{1, 1}, lse, teacher_lse, weights, row_losses;

  explicit LossOperands(Shape s)
      : rows(s.rows),
        cols(s.cols),
        logits(Matrix<T>::random(rows, cols, s.gap, 3)),
        teacher(Matrix<T>::random(rows, cols, s.gap)),
        targets(count(rows, [&](int i) { return i == 2 ? -1 : i * 7 % s.cols; })),
        row_ids(count(rows, [&](int i) { return i == s.rows - 1 ? -1 : i % 3; })),
        column_ids(count(cols, [](int j) { return j % 5; })),
        labels(targets),
        row_identities(row_ids),
        column_identities(column_ids),
        lse(1, rows),
        teacher_lse(1, rows),
        weights(Matrix<A>::random(1, rows)),
        row_losses(1, rows) {
    factor.set(1.7), dloss.set(0.3);
  }
  struct Values {  // converts to a vector of any integers
    std::vector<int> v;
    template <class I>
    operator std::vector<I>() const {
      return {v.begin(), v.end()};
    }
  };
  static Values count(int n, auto f) {
    Values out;
    for (int i = 0; i < n; ++i) out.v.push_back(f(i));
    return out;
  }
  /// hard, teacher, factor, labels = row numbers, and identities with weights
  std::vector<int> kinds() const {
    return rows > cols ? std::vector{0, 1, 2, 4} : std::vector{0, 1, 2, 3, 4};
  }
  auto args(auto on, int kind) {
    primitive::SoftCrossEntropy<typename decltype(on)::Real> a;
    a.logits = on(logits);
    if (kind < 3) a.labels = on(labels);
    if (kind == 4) {
      a.row_identities = on(row_identities), a.column_identities = on(column_identities);
      a.weights = on.data(weights), a.row_losses = on.data(row_losses);
    }
    if (kind == 1 || kind == 2 || kind == 4) a.teacher = on(teacher), a.alpha = on.sum(0.4f);
    if (kind == 2) a.factor = on.data(factor);
    a.scale = on.sum(1.0f / static_cast<float>(rows));
    a.lse = on.data(lse), a.teacher_lse = on.data(teacher_lse);
    a.loss = on.data(loss);
    return a;
  }
};
template <class T>
struct PrimitiveCase<primitive::SoftCrossEntropy<T>> {
  static void each(const auto& h) {
    for (const auto& s : h.sizes(logit_shapes, base_logits)) {
      LossOperands<T> o(s);
      for (const int kind : o.kinds())
        h.template check<T>(
            20 * tolerance<accumulator_t<T>>, [&](auto on) { return o.args(on, kind); }, o.loss,
            o.row_losses);
    }
  }
};
template <class T>
struct PrimitiveCase<primitive::SoftCrossEntropyGrad<T>> {
  static void each(const auto& h) {
    for (const auto& s : h.sizes(logit_shapes, base_logits)) {
      LossOperands<T> o(s);
      Matrix<T> d(s.rows, s.cols, s.gap);
      for (const int kind : o.kinds())
        for_betas(d, [&](float beta) {
          h.template check<T>(
              4 * tolerance<T>,
              [&](auto on) {
                using R = typename decltype(on)::Real;
                run(on.device, o.args(on, kind));
                return primitive::SoftCrossEntropyGrad<R>{o.args(on, kind), on.data(o.dloss), on(d),
                                                          on.sum(beta)};
              },
              d);
        });
    }
  }
};

inline bool is_pair(const primitive::SigmoidCrossEntropy<double>& a, int i, int j) {
  return a.row_identities ? a.column_identities[j] == a.row_identities[i] : i == j;
}
inline void run(Naive&, const primitive::SigmoidCrossEntropy<double>& a) {
  double total = 0;
  for (int i = 0; i < a.logits.rows; ++i)
    for (int j = 0; j < a.logits.cols; ++j) {
      const double u = a.logits.row(i)[j] + (a.bias ? *a.bias : 0);
      total += std::log1p(std::exp(is_pair(a, i, j) ? -u : u));
    }
  *a.loss = a.scale * total;
}
inline void run(Naive&, const primitive::SigmoidCrossEntropyGrad<double>& g) {
  const auto& a = g.forward;
  const auto slope = [&](int i, int j) {
    const double u = a.logits.row(i)[j] + (a.bias ? *a.bias : 0);
    return a.scale * *g.dloss * (1 / (1 + std::exp(-u)) - is_pair(a, i, j));
  };
  if (g.d.data) naive_elements(g.d, g.beta, slope);
  if (!g.dbias) return;
  double total = 0;
  for (int i = 0; i < a.logits.rows; ++i)
    for (int j = 0; j < a.logits.cols; ++j) total += slope(i, j);
  *g.dbias = blend(total, g.beta_bias, *g.dbias);
}
template <class T>
struct SigmoidOperands {
  using A = accumulator_t<T>;
  LossOperands<T> o;
  Matrix<A> bias{1, 1}, dbias{1, 1};
  explicit SigmoidOperands(Shape s) : o(s) { bias.set(-1.5); }
  /// the diagonal, with bias, identities with bias
  auto args(auto on, int kind) {
    primitive::SigmoidCrossEntropy<typename decltype(on)::Real> a;
    a.logits = on(o.logits), a.loss = on.data(o.loss);
    if (kind > 0) a.bias = on.data(bias);
    if (kind > 1) a.row_identities = on(o.row_identities);
    if (kind > 1) a.column_identities = on(o.column_identities);
    a.scale = on.sum(1.0f / static_cast<float>(o.rows));
    return a;
  }
};
template <class T>
struct PrimitiveCase<primitive::SigmoidCrossEntropy<T>> {
  static void each(const auto& h) {
    for (const auto& s : h.sizes(logit_shapes, {256, 4096, 0})) {
      SigmoidOperands<T> operands(s);
      for (const int kind : {0, 1, 2})
        h.template check<T>(
            20 * tolerance<accumulator_t<T>>, [&](auto on) { return operands.args(on, kind); },
            operands.o.loss);
    }
  }
};
template <class T>
struct PrimitiveCase<primitive::SigmoidCrossEntropyGrad<T>> {
  static void each(const auto& h) {
    for (const auto& s : h.sizes(logit_shapes, {256, 4096, 0})) {
      SigmoidOperands<T> operands(s);
      Matrix<T> d(s.rows, s.cols, s.gap);
      for (const int kind : {0, 1, 2})
        for (const int parts : {3, 1, 2})  // d, dbias
          for_betas(d, [&](float beta) {
            operands.dbias.set(beta == 0 ? undefined : 1.5);
            h.template check<T>(
                20 * tolerance<T>,
                [&](auto on) {
                  primitive::SigmoidCrossEntropyGrad<typename decltype(on)::Real> g;
                  g.forward = operands.args(on, kind), g.dloss = on.data(operands.o.dloss);
                  g.beta = g.beta_bias = on.sum(beta);
                  if (parts & 1) g.d = on(d);
                  if (parts & 2) g.dbias = on.data(operands.dbias);
                  return g;
                },
                d, operands.dbias);
          });
    }
  }
};

/// A row of logits, moved and scaled, as log-probabilities.
inline std::vector<double> log_probabilities(const double* x, const double* center, double scale,
                                             int n) {
  std::vector<double> out;
  for (int j = 0; j < n; ++j) out.push_back(scale * (x[j] - (center ? center[j] : 0)));
  const double lse = naive_lse(out.data(), n);
  for (double& v : out) v -= lse;
  return out;
}
/// Calls f(student row, teacher row) for the views that are compared.
inline void for_views(const primitive::SelfDistillation<double>& a, auto f) {
  for (int i = 0; i < a.student.rows; ++i)
    for (int t = 0; t < a.teacher.rows / a.batch; ++t)
      if (t != i / a.batch) f(i, t * a.batch + i % a.batch);
}
inline void run(Naive&, const primitive::SelfDistillation<double>& a) {
  const int cols = a.student.cols;
  for (int i = 0; i < a.teacher.rows; ++i) {
    const auto log = log_probabilities(a.teacher.row(i), a.center, a.teacher_scale, cols);
    for (int j = 0; j < cols; ++j) a.targets.row(i)[j] = std::exp(log[static_cast<std::size_t>(j)]);
  }
  double total = 0;
  for (int i = 0; i < a.student.rows; ++i)
    a.lse[i] = a.student_scale * a.student.row(i)[0] -
               log_probabilities(a.student.row(i), nullptr, a.student_scale, cols)[0];
  for_views(a, [&](int i, int t) {
    const auto log = log_probabilities(a.student.row(i), nullptr, a.student_scale, cols);
    for (int j = 0; j < cols; ++j) total -= a.targets.row(t)[j] * log[static_cast<std::size_t>(j)];
  });
  *a.loss = a.scale * total;
}
inline void run(Naive&, const primitive::SelfDistillationGrad<double>& g) {
  const auto& a = g.forward;
  const int cols = g.d.cols;
  std::vector<double> d(static_cast<std::size_t>(g.d.rows * cols));
  for_views(a, [&](int i, int t) {
    const auto log = log_probabilities(a.student.row(i), nullptr, a.student_scale, cols);
    for (int j = 0; j < cols; ++j)
      d[static_cast<std::size_t>(i * cols + j)] +=
          a.scale * *g.dloss * a.student_scale *
          (std::exp(log[static_cast<std::size_t>(j)]) - a.targets.row(t)[j]);
  });
  naive_elements(g.d, g.beta,
                 [&](int i, int j) { return d[static_cast<std::size_t>(i * cols + j)]; });
}
template <class T>
struct DistillationOperands {
  int batch, views;
  Matrix<T> student, teacher, targets, center, lse, loss{1, 1}, dloss{1, 1};

  DistillationOperands(Shape s, int teacher_views)
      : batch(s.rows),
        views(teacher_views),
        student(Matrix<T>::random(5 * s.rows, s.cols, s.gap)),
        teacher(Matrix<T>::random(views * s.rows, s.cols, s.gap)),
        targets(views * s.rows, s.cols, s.gap),
        center(Matrix<T>::random(1, s.cols)),
        lse(1, 5 * s.rows) {
    dloss.set(0.3);
  }
  auto args(auto on) {
    primitive::SelfDistillation<typename decltype(on)::Real> a;
    a.student = on(student), a.teacher = on(teacher), a.center = on.data(center);
    a.batch = batch, a.student_scale = on.sum(4), a.teacher_scale = on.sum(6);
    a.scale = on.sum(1.0f / static_cast<float>(5 * batch));
    a.targets = on(targets), a.lse = on.data(lse), a.loss = on.data(loss);
    return a;
  }
};
template <class T>
struct PrimitiveCase<primitive::SelfDistillation<T>> {
  static void each(const auto& h) {
    for (const auto& s : h.sizes(logit_shapes, {32, 65536, 0}))
      for (const int views : {2, 1, 3}) {
        DistillationOperands<T> o(s, views);
        h.template check<T>(
            20 * tolerance<T>, [&](auto on) { return o.args(on); }, o.loss, o.targets, o.lse);
      }
  }
};
template <class T>
struct PrimitiveCase<primitive::SelfDistillationGrad<T>> {
  static void each(const auto& h) {
    for (const auto& s : h.sizes(logit_shapes, {32, 65536, 0})) {
      DistillationOperands<T> o(s, 2);
      Matrix<T> d(5 * s.rows, s.cols, s.gap);
      for_betas(d, [&](float beta) {
        h.template check<T>(
            4 * tolerance<T>,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              run(on.device, o.args(on));
              return primitive::SelfDistillationGrad<R>{o.args(on), on.data(o.dloss), on(d),
                                                        on.sum(beta)};
            },
            d);
      });
    }
  }
};

inline void run(Naive&, const primitive::SampleNegatives<double>& a) {
  for (int i = 0; i < a.n; ++i) {
    double* w = a.weights + std::int64_t{i} * a.n;
    const double lse = a.uniform ? 0 : naive_lse(a.logits.row(i), a.n);
    double total = 0;
    for (int j = 0; j < a.n; ++j) {
      w[j] = a.uniform ? 1 : std::exp(a.logits.row(i)[j] - lse) + a.epsilon;
      if (j == i || (a.identities && a.identities[j] == a.identities[i])) w[j] = 0;
      total += w[j];
    }
    for (int j = 0; j < a.n && total <= 0; ++j) w[j] = j != i;  // nothing left to choose
    if (total <= 0) total = a.n - 1;
    double left = total * a.philox(a.stream, static_cast<std::uint64_t>(i))[0] * 0x1p-32;
    for (int j = 0; j < a.n && left >= 0; ++j)
      if (w[j] > 0) a.index[i] = j, left -= w[j];
  }
}
template <class T>
struct PrimitiveCase<primitive::SampleNegatives<T>> {
  static void each(const auto& h) {
    using A = accumulator_t<T>;
    for (const int n : h.sizes({2, 5, 33, 70}, 256)) {
      auto logits = Matrix<T>::random(n, n + 9, 0, 2);
      std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
      for (int i = 0; i < n; ++i) ids[static_cast<std::size_t>(i)] = n == 5 ? 1 : i % (n / 2 + 1);
      Array<std::int64_t> identities(ids);  // with n = 5 nothing is left to choose
      Array<std::int32_t> index(std::vector<std::int32_t>(static_cast<std::size_t>(n), -5));
      Matrix<A> weights(n, n);
      for (const int kind : {0, 1, 2, 3})
        h.template check<T>(
            20 * tolerance<A>,
            [&](auto on) {
              primitive::SampleNegatives<typename decltype(on)::Real> a;
              a.logits = on(logits);
              a.n = n;
              a.uniform = kind % 2 == 0;
              a.epsilon = on.sum(1e-4f);
              if (kind > 1) a.identities = on(identities);
              a.philox = {static_cast<std::uint64_t>(kind)}, a.stream = 9;
              a.index = on(index);
              a.weights = on.data(weights);
              return a;
            },
            index, weights);
    }
  }
};

}  // namespace cases
