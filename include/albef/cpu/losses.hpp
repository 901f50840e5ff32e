// Loss primitives of the CPU backend: soft cross entropy, self-distillation and the drawing of
// negatives.
#pragma once

#include <limits>

#include "albef/core/primitives/losses.hpp"
#include "albef/cpu/loops.hpp"

namespace albef {

namespace detail {

template <class T>
T largest(const T* x, int cols) {
  using P = Pack<T>;
  T high = x[0];
  for_packs<T>(cols, [&](std::int64_t j, int n) {
    if (n == P::width)
      high = std::max(high, max(P::load(x + j)));
    else
      for (int k = 0; k < n; ++k) high = std::max(high, x[j + k]);
  });
  return high;
}

/// log(sum(exp(x)))
template <class T>
T log_sum_exp(const T* x, int cols) {
  using P = Pack<T>;
  const T high = largest(x, cols);
  P total(T{0});
  for_packs<T>(cols, [&](std::int64_t j, int n) {
    total += first_lanes(exp(P::load_n(x + j, n) - high), n);
  });
  return high + std::log(sum(total));
}

/// Calls f(column) for the columns whose identity is that of row i.
template <class T, class F>
void for_positives(const primitive::SoftCrossEntropy<T>& a, int i, F&& f) {
  for (int j = 0; j < a.logits.cols; ++j)
    if (a.column_identities[j] == a.row_identities[i]) f(j);
}

}  // namespace detail

template <class T>
void run(Cpu& cpu, const primitive::SoftCrossEntropy<T>& a) {
  using P = Pack<T>;
  const int rows = a.logits.rows, cols = a.logits.cols;
  T* row_loss = cpu.shared_scratch<T>(static_cast<std::size_t>(rows));
  for_rows(cpu, rows, cols, [&](int i) {
    const T* s = a.logits.row(i);
    const int label = a.labels ? a.labels[i] : i;
    row_loss[i] = 0;
    if (a.row_losses) a.row_losses[i] = 0;
    if (label < 0) return;
    a.lse[i] = detail::log_sum_exp(s, cols);
    T value = 0;  // of the hard targets
    if (a.row_identities) {
      int positives = 0;
      detail::for_positives(a, i, [&](int j) { value += a.lse[i] - s[j], ++positives; });
      if (positives) value /= static_cast<T>(positives);
    } else {
      value = label < cols ? a.lse[i] - s[label] : std::numeric_limits<T>::quiet_NaN();
    }
    value *= 1 - a.alpha;
    if (a.teacher.data) {
      const T* t = a.teacher.row(i);
      const T lse = a.teacher_lse[i] = detail::log_sum_exp(t, cols);
      P expected(T{0});  // sum of probability times logit
      for_packs<T>(cols, [&](std::int64_t j, int n) {
        const P p = first_lanes(exp(P::load_n(t + j, n) - lse), n);
        expected = fma(p, P::load_n(s + j, n), expected);
      });
      value += a.alpha * (a.lse[i] - sum(expected));
    }
    if (a.row_losses) a.row_losses[i] = value;
    row_loss[i] = a.weights ? a.weights[i] * value : value;
  });
  double total = 0;
  for (int i = 0; i < rows; ++i) total += static_cast<double>(row_loss[i]);
  *a.loss = static_cast<T>(static_cast<double>(a.scale) * total) * (a.factor ? *a.factor : T{1});
}

template <class T>
void run(Cpu& cpu, const primitive::SoftCrossEntropyGrad<T>& g) {
  using P = Pack<T>;
  const primitive::SoftCrossEntropy<T>& a = g.forward;
  const Mat<T> d = g.d;
  const T beta = g.beta;
  const int cols = d.cols;
  const T common = a.scale * *g.dloss * (a.factor ? *a.factor : T{1});
  for_rows(cpu, d.rows, cols, [&](int i) {
    const T scale = common * (a.weights ? a.weights[i] : T{1});
    const T* s = a.logits.row(i);
    const int label = a.labels ? a.labels[i] : i;
    if (label < 0) {
      for (int j = 0; j < cols; ++j) d.row(i)[j] = beta == 0 ? T{0} : beta * d.row(i)[j];
      return;
    }
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      P v = exp(P::load_n(s + j, n) - a.lse[i]);
      if (a.teacher.data)
        v = v - exp(P::load_n(a.teacher.row(i) + j, n) - a.teacher_lse[i]) * a.alpha;
      store_with_beta(v * scale, beta, d.row(i) + j, n);
    });
    if (!a.row_identities) {
      if (label < cols) d.row(i)[label] -= scale * (1 - a.alpha);
      return;
    }
    int positives = 0;
    detail::for_positives(a, i, [&](int) { ++positives; });
    detail::for_positives(
        a, i, [&](int j) { d.row(i)[j] -= scale * (1 - a.alpha) / static_cast<T>(positives); });
  });
}

namespace detail {

/// Calls f(j, n, u, z) for the packs of row i: u = logits + bias, z = 1 for pairs, else -1.
template <class T, class F>
void for_sigmoid_packs(const primitive::SigmoidCrossEntropy<T>& a, int i, F&& f) {
  const T bias = a.bias ? *a.bias : T(0);
  for_packs<T>(a.logits.cols, [&](std::int64_t j, int n) {
    T z[Pack<T>::width];
    for (int k = 0; k < Pack<T>::width; ++k) z[k] = T(-1);
    for (int k = 0; k < n; ++k)
      if (a.row_identities ? a.column_identities[j + k] == a.row_identities[i] : j + k == i)
        z[k] = T(1);
    f(j, n, Pack<T>::load_n(a.logits.row(i) + j, n) + bias, Pack<T>::load(z));
  });
}

/// The sum over the rows of term(i), in a fixed order.
template <class T, class F>
double sum_rows(Cpu& cpu, int rows, int cols, F&& term) {
  T* partial = cpu.shared_scratch<T>(static_cast<std::size_t>(rows));
  for_rows(cpu, rows, cols, [&](int i) { partial[i] = term(i); });
  double total = 0;
  for (int i = 0; i < rows; ++i) total += static_cast<double>(partial[i]);
  return total;
}

}  // namespace detail

template <class T>
void run(Cpu& cpu, const primitive::SigmoidCrossEntropy<T>& a) {
  using P = Pack<T>;
  const double total = detail::sum_rows<T>(cpu, a.logits.rows, a.logits.cols, [&](int i) {
    P added(T{0});
    detail::for_sigmoid_packs(a, i, [&](std::int64_t, int n, P u, P z) {
      const P v = -(z * u);  // log(1 + exp(v)) = max(v, 0) + log(1 + exp(-|v|))
      const P tail = detail::per_lane(exp(-abs(v)), [](T x) { return std::log1p(x); });
      added += first_lanes(max(v, P(T{0})) + tail, n);
    });
    return sum(added);
  });
  *a.loss = static_cast<T>(static_cast<double>(a.scale) * total);
}

template <class T>
void run(Cpu& cpu, const primitive::SigmoidCrossEntropyGrad<T>& g) {
  using P = Pack<T>;
  const auto& a = g.forward;
  const T scale = a.scale * *g.dloss;
  const auto slope = [&](P u, P z) {  // sigmoid(u) - [z = 1]
    const P s = T(1) / (T(1) + exp(-u));
    return select(z > P(T(0)), s - T(1), s) * scale;
  };
  if (g.dbias) {
    const double total = detail::sum_rows<T>(cpu, a.logits.rows, a.logits.cols, [&](int i) {
      P added(T{0});
      detail::for_sigmoid_packs(
          a, i, [&](std::int64_t, int n, P u, P z) { added += first_lanes(slope(u, z), n); });
      return sum(added);
    });
    *g.dbias = static_cast<T>(total) + (g.beta_bias == 0 ? T(0) : g.beta_bias * *g.dbias);
  }
  if (g.d.data)
    for_rows(cpu, g.d.rows, g.d.cols, [&](int i) {
      detail::for_sigmoid_packs(a, i, [&](std::int64_t j, int n, P u, P z) {
        store_with_beta(slope(u, z), g.beta, g.d.row(i) + j, n);
      });
    });
}

template <class T>
void run(Cpu& cpu, const primitive::SelfDistillation<T>& a) {
  using P = Pack<T>;
  const int cols = a.student.cols, views = a.teacher.rows / a.batch;
  for_rows(cpu, a.teacher.rows, cols, [&](int i) {
    const T* t = a.teacher.row(i);
    T* q = a.targets.row(i);
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      ((P::load_n(t + j, n) - P::load_n(a.center + j, n)) * a.teacher_scale).store_n(q + j, n);
    });
    const T lse = detail::log_sum_exp(q, cols);
    for_packs<T>(cols,
                 [&](std::int64_t j, int n) { exp(P::load_n(q + j, n) - lse).store_n(q + j, n); });
  });
  const double total = detail::sum_rows<T>(cpu, a.student.rows, cols, [&](int i) {
    const T* s = a.student.row(i);
    const T high = detail::largest(s, cols) * a.student_scale;
    P sums(T{0});
    for_packs<T>(cols, [&](std::int64_t j, int n) {
      sums += first_lanes(exp(P::load_n(s + j, n) * a.student_scale - high), n);
    });
    a.lse[i] = high + std::log(sum(sums));
    T value = 0;
    for (int t = 0; t < views; ++t) {
      if (t == i / a.batch) continue;
      const T* q = a.targets.row(t * a.batch + i % a.batch);
      P inner(T{0});
      for_packs<T>(cols, [&](std::int64_t j, int n) {
        inner = fma(P::load_n(q + j, n), P::load_n(s + j, n), inner);
      });
      value += a.lse[i] - a.student_scale * sum(inner);
    }
    return value;
  });
  *a.loss = static_cast<T>(static_cast<double>(a.scale) * total);
}

template <class T>
void run(Cpu& cpu, const primitive::SelfDistillationGrad<T>& g) {
  using P = Pack<T>;
  const auto& a = g.forward;
  const int views = a.teacher.rows / a.batch;
  const T scale = a.scale * *g.dloss * a.student_scale;
  for_rows(cpu, g.d.rows, g.d.cols, [&](int i) {
    const int view = i / a.batch;
    const auto others = static_cast<T>(view < views ? views - 1 : views);
    for_packs<T>(g.d.cols, [&](std::int64_t j, int n) {
      P d = exp(P::load_n(a.student.row(i) + j, n) * a.student_scale - a.lse[i]) * others;
      for (int t = 0; t < views; ++t)
        if (t != view) d = d - P::load_n(a.targets.row(t * a.batch + i % a.batch) + j, n);
      store_with_beta(d * scale, g.beta, g.d.row(i) + j, n);
    });
  });
}

template <class T>
void run(Cpu& cpu, const primitive::SampleNegatives<T>& a) {
  const int n = a.n;
  for_rows(cpu, n, n, [&](int i) {
    T* w = a.weights + std::int64_t{i} * n;
    const auto excluded = [&](int j) {
      return j == i || (a.identities && a.identities[j] == a.identities[i]);
    };
    if (a.uniform) {
      for (int j = 0; j < n; ++j) w[j] = T{1};
    } else {
      const T* s = a.logits.row(i);
      const T lse = detail::log_sum_exp(s, n);
      for (int j = 0; j < n; ++j) w[j] = std::exp(s[j] - lse) + a.epsilon;
    }
    double total = 0;
    for (int j = 0; j < n; ++j) {
      if (excluded(j)) w[j] = 0;
      total += static_cast<double>(w[j]);
    }
    if (total <= 0) {  // nothing left to choose: any other pair
      for (int j = 0; j < n; ++j) w[j] = j == i ? T{0} : T{1};
      total = n - 1;
    }
    const auto word = a.philox(a.stream, static_cast<std::uint64_t>(i))[0];
    double left = total * (static_cast<double>(word) * 0x1p-32);
    int chosen = -1;
    for (int j = 0; j < n; ++j) {
      if (w[j] <= 0) continue;
      chosen = j;
      left -= static_cast<double>(w[j]);
      if (left < 0) break;
    }
    a.index[i] = chosen < 0 ? i : chosen;
  });
}

}  // namespace albef
