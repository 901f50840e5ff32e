// CPU attention against plain loops in double and finite differences: packed sequences of different
// lengths, shared keys, causal masks, dropout replay; the vectorised Philox against the scalar one.
#include "albef/cpu/attention.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using albef::Mat;
using albef::primitive::Attention;

struct Shape {
  std::vector<int> q_lengths, kv_lengths;
  int heads, head_dim;
  std::vector<int> kv_index = {};  // empty: the sequence's own
  bool causal = false;
  float dropout = 0;
};

std::vector<int> offsets_of(const std::vector<int>& lengths) {
  std::vector<int> offsets{0};
  for (const int n : lengths) offsets.push_back(offsets.back() + n);
  return offsets;
}

/// One attention problem; q, k and v are column blocks of wider matrices.
template <class T>
struct Problem {
  Shape shape;
  std::vector<int> q_offsets, kv_offsets;
  std::vector<T> q, kv, out, lse, d_out, dq, dk, dv;
  Attention<T> args;

  explicit Problem(Shape s) : shape(std::move(s)) {
    q_offsets = offsets_of(shape.q_lengths), kv_offsets = offsets_of(shape.kv_lengths);
    const int width = shape.heads * shape.head_dim, rows = q_offsets.back();
    const int kv_rows = kv_offsets.back();
    albef::RandomStream random(3, 1);
    const auto fill = [&](std::vector<T>& x, int n) {
      x.resize(static_cast<std::size_t>(n));
      for (auto& v : x) v = static_cast<T>(random.uniform(-1.5f, 1.5f));
      return x.data();
    };
    args.q = {fill(q, rows * (width + 5)), rows, width, width + 5};
    args.k = {fill(kv, kv_rows * 2 * width), kv_rows, width, 2 * width};
    args.v = {kv.data() + width, kv_rows, width, 2 * width};
    args.out = albef::mat(fill(out, rows * width), rows, width);
    args.lse = fill(lse, rows * shape.heads);
    fill(d_out, rows * width), fill(dq, rows * width);
    fill(dk, kv_rows * width), fill(dv, kv_rows * width);
    args.q_seq =
        albef::packed_sequences(static_cast<int>(shape.q_lengths.size()), q_offsets.data());
    args.kv_seq =
        albef::packed_sequences(static_cast<int>(shape.kv_lengths.size()), kv_offsets.data());
    if (!shape.kv_index.empty()) args.kv_index = shape.kv_index.data();
    args.heads = shape.heads;
    args.causal = shape.causal;
    args.scale = static_cast<T>(1 / std::sqrt(shape.head_dim));
    args.dropout = shape.dropout;
    args.philox = {99}, args.stream = 0x123456789ull;
  }
  Problem(const Problem&) = delete;

  Mat<T> view(std::vector<T>& x, int rows) const { return albef::mat(x.data(), rows, args.q.cols); }
  void forward(albef::Cpu& cpu) { run(cpu, args); }
  void backward(albef::Cpu& cpu, T beta_q, T beta_kv) {
    run(cpu, albef::primitive::AttentionGrad<T>{
                 args, view(d_out, args.q.rows), view(dq, args.q.rows), beta_q,
                 view(dk, args.k.rows), view(dv, args.k.rows), beta_kv});
  }
};

/// Results of the definition, computed by plain loops in double.
struct Expected {
  std::vector<double> out, lse, dq, dk, dv, probabilities, d_probabilities;
};

template <class T>
Expected plain_attention(const Problem<T>& p) {
  const auto& a = p.args;
  const int d = a.head_dim(), width = a.q.cols, longest = a.kv_seq.max_length();
  const auto zeros = [](int n) { return std::vector<double>(static_cast<std::size_t>(n), 0.0); };
  Expected e{zeros(a.q.rows * width),
             zeros(a.q.rows * a.heads),
             zeros(a.q.rows * width),
             zeros(a.k.rows * width),
             zeros(a.k.rows * width),
             {},
             {}};
  const auto at = [&](auto& x, int row, int column) -> auto& {
    return x[static_cast<std::size_t>(row * width + column)];
  };
  for (int s = 0; s < a.q_seq.count; ++s) {
    const int t = a.key_sequence(s), keys = a.kv_seq.length(t), queries = a.q_seq.length(s);
    for (int h = 0; h < a.heads; ++h) {
      for (int i = 0; i < queries; ++i) {
        const int r = a.q_seq.begin(s) + i, first = a.kv_seq.begin(t);
        const int seen = a.causal ? std::clamp(i + 1 + keys - queries, 0, keys) : keys;
        std::vector<double> prob = zeros(keys), kept(prob.size(), 1.0), dp = prob;
        double sum = 0, mean = 0;
        for (int j = 0; j < seen; ++j) {
          double score = 0;
          for (int c = h * d; c < h * d + d; ++c)
            score += double(a.scale) * double(a.q.row(r)[c]) * double(a.k.row(first + j)[c]);
          sum += prob[static_cast<std::size_t>(j)] = std::exp(score);
        }
        for (std::size_t j = 0; j < prob.size(); ++j) {
          if (sum > 0) prob[j] /= sum;
          e.probabilities.push_back(prob[j]);
          if (a.dropout > 0) {
            const auto counter =
                static_cast<std::uint64_t>((r * a.heads + h) * ((longest + 3) / 4));
            const auto word = a.philox(a.stream, counter + j / 4)[j % 4];
            kept[j] = word < a.dropout * 0x1p32 ? 0.0 : 1.0 / (1.0 - double(a.dropout));
          }
          const int row = first + static_cast<int>(j);
          for (int c = h * d; c < h * d + d; ++c) {
            at(e.out, r, c) += prob[j] * kept[j] * double(a.v.row(row)[c]);
            at(e.dv, row, c) += prob[j] * kept[j] * double(at(p.d_out, r, c));
            dp[j] += kept[j] * double(a.v.row(row)[c]) * double(at(p.d_out, r, c));
          }
          e.d_probabilities.push_back(dp[j]);
          mean += prob[j] * dp[j];
        }
        e.lse[static_cast<std::size_t>(r * a.heads + h)] = std::log(sum);
        for (std::size_t j = 0; j < prob.size(); ++j) {
          const double ds = double(a.scale) * prob[j] * (dp[j] - mean);
          const int row = first + static_cast<int>(j);
          for (int c = h * d; c < h * d + d; ++c) {
            at(e.dq, r, c) += ds * double(a.k.row(row)[c]);
            at(e.dk, row, c) += ds * double(a.q.row(r)[c]);
          }
        }
      }
    }
  }
  return e;
}

template <class T>
double worst(const std::vector<T>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  double error = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isinf(expected[i]) && double(got[i]) == expected[i]) continue;
    const double e = std::fabs(double(got[i]) - expected[i]);
    if (!(e <= error)) error = e;
  }
  return error;
}

const std::vector<Shape> shapes = {
    {{5}, {5}, 2, 4},
    {{9, 1, 0, 17}, {9, 1, 0, 17}, 3, 12},
    {{8, 25, 3}, {17, 40, 33}, 2, 32, {}, false, 0.1f},
    {{4, 7, 0, 2, 6}, {19, 3, 11, 5}, 2, 8, {2, 0, 2, 2, 0}},
    {{4, 7, 3}, {19, 30}, 2, 8, {1, 0, 1}, false, 0.3f},
    {{12, 5}, {12, 5}, 2, 16, {}, true},
    {{6, 9}, {6, 4}, 1, 5, {}, true, 0.2f},  // the first queries of the second see no key
    {{3, 4}, {8, 6}, 2, 6, {1, 0}, true},
    {{600}, {300}, 1, 20, {}, false, 0.1f},  // more than one block of queries
    {{70}, {3300}, 2, 8},
};

}  // namespace

TEST_CASE_TEMPLATE("attention equals its definition, forward and backward", T, float, double) {
  albef::Cpu cpu(2);
  const double tolerance = sizeof(T) == 4 ? 4e-6 : 1e-13;
  for (std::size_t n = 0; n < shapes.size(); ++n) {
    CAPTURE(n);
    Problem<T> p(shapes[n]);
    const Expected e = plain_attention(p);
    p.forward(cpu);
    CHECK(worst(p.out, e.out) < tolerance);
    CHECK(worst(p.lse, e.lse) < tolerance);

    const auto blend = [](const std::vector<T>& old, double beta, std::vector<double> gradient) {
      for (std::size_t i = 0; i < old.size(); ++i)
        if (beta != 0) gradient[i] += beta * double(old[i]);
      return gradient;
    };
    const double scale = n >= 8 ? 50 : 10;  // longer sums
    const auto dq = blend(p.dq, 0.5, e.dq), dk = blend(p.dk, 1, e.dk), dv = blend(p.dv, 1, e.dv);
    p.backward(cpu, T(0.5), T(1));
    CHECK(worst(p.dq, dq) < scale * tolerance);
    CHECK(worst(p.dk, dk) < scale * tolerance);
    CHECK(worst(p.dv, dv) < scale * tolerance);

    for (auto* x : {&p.dq, &p.dk, &p.dv})  // beta 0 must not read
      std::fill(x->begin(), x->end(), std::numeric_limits<T>::quiet_NaN());
    p.backward(cpu, T(0), T(0));
    CHECK(worst(p.dq, e.dq) < scale * tolerance);
    CHECK(worst(p.dk, e.dk) < scale * tolerance);
    CHECK(worst(p.dv, e.dv) < scale * tolerance);
  }
}

TEST_CASE("attention gradients equal finite differences with dropout replayed") {
  albef::Cpu cpu(1);
  Problem<double> p({{4, 3, 5}, {6, 7}, 2, 3, {1, 0, 1}, true, 0.25f});
  p.forward(cpu);
  p.backward(cpu, 0, 0);
  const auto loss = [&] {
    p.forward(cpu);
    double sum = 0;
    for (std::size_t i = 0; i < p.out.size(); ++i) sum += p.out[i] * p.d_out[i];
    return sum;
  };
  const auto check = [&](std::vector<double>& x, Mat<const double> input, const double* gradient) {
    double error = 0;
    for (int i = 0; i < input.rows; ++i) {
      for (int j = 0; j < input.cols; ++j) {
        double& value = x[static_cast<std::size_t>(input.row(i) + j - x.data())];
        const double old = value, h = 1e-5;
        value = old + h;
        const double up = loss();
        value = old - h;
        const double down = loss();
        value = old;
        error = std::fmax(error, std::fabs((up - down) / (2 * h) - gradient[i * input.cols + j]));
      }
    }
    CHECK(error < 1e-8);
  };
  check(p.q, p.args.q, p.dq.data());
  check(p.kv, p.args.k, p.dk.data());
  check(p.kv, p.args.v, p.dv.data());
}

TEST_CASE("attention is bit-equal for every number of threads") {
  albef::Cpu one(1), two(2), three(3);
  std::vector<float> results[3];
  albef::Cpu* devices[] = {&one, &two, &three};
  for (int i = 0; i < 3; ++i) {
    Problem<float> p({{40, 33, 61, 20}, {57, 65}, 4, 32, {1, 0, 1, 1}, false, 0.1f});
    p.forward(*devices[i]);
    p.backward(*devices[i], 0, 0);
    for (const auto* x : {&p.out, &p.lse, &p.dq, &p.dk, &p.dv})
      results[i].insert(results[i].end(), x->begin(), x->end());
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("uniform sequences are the same as equal offsets") {
  albef::Cpu cpu(1);
  Problem<float> p({{7, 7, 7}, {7, 7, 7}, 2, 8, {}, false, 0.1f});
  p.forward(cpu);
  const std::vector<float> out = p.out;
  p.args.q_seq = p.args.kv_seq = albef::uniform_sequences(3, 7);
  p.forward(cpu);
  CHECK(p.out == out);
}

TEST_CASE("attention_probabilities returns the softmax and its gradient") {
  albef::Cpu cpu(1);
  Problem<double> p({{4, 5}, {6, 7}, 2, 3, {}, false, 0.25f});
  const Expected e = plain_attention(p);
  std::vector<double> probabilities(e.probabilities.size()), gradients(probabilities.size());
  const std::ptrdiff_t second = 2 * 4 * 6;
  for (int s = 0; s < 2; ++s) {
    const auto offset = static_cast<std::size_t>(s * second);
    run(cpu,
        albef::primitive::AttentionProbabilities<double>{p.args, s, probabilities.data() + offset});
    run(cpu, albef::primitive::AttentionProbabilities<double>{p.args, s, gradients.data() + offset,
                                                              p.view(p.d_out, p.args.q.rows)});
  }
  CHECK(worst(probabilities, e.probabilities) < 1e-14);
  CHECK(worst(gradients, e.d_probabilities) < 1e-13);
}

TEST_CASE("attention refuses arguments that do not fit") {
  albef::Cpu cpu(1);
  Problem<float> p({{4, 5}, {6, 7, 3}, 2, 3, {0, 2}});
  p.shape.kv_index[1] = 3;
  CHECK_THROWS_WITH_AS(p.forward(cpu), "[attention] sequence 1 reads key sequence 3 of 3",
                       albef::Error);
  p.args.kv_index = nullptr;
  CHECK_THROWS_WITH_AS(p.forward(cpu),
                       "[attention] 2 query sequences, but 3 key sequences and no index",
                       albef::Error);
  p.args.heads = 4;
  CHECK_THROWS_WITH_AS(p.forward(cpu), "[attention] width 6 is not a multiple of 4 heads",
                       albef::Error);
}

TEST_CASE("vectorised Philox gives the bits of the scalar one") {
  const albef::Philox philox{0xFEDCBA9876543210ull};
  const std::uint64_t stream = 0x0123456789ABCDEFull;
  for (const std::uint64_t first : {0ull, 1ull, 6ull, 4 * 0xFFFFFFFEull + 3, 4ull << 40}) {
    for (const int n : {1, 3, 4, 31, 32, 33, 100}) {
      std::vector<std::uint32_t> words;
      albef::philox_words(philox, stream, first, n, [&](const std::uint32_t* w, int i, int count) {
        CHECK(i == static_cast<int>(words.size()));
        words.insert(words.end(), w, w + count);
      });
      std::vector<float> single(static_cast<std::size_t>(n) + 1, -1.0f);
      std::vector<double> wide(static_cast<std::size_t>(n) + 1, -1.0);
      albef::dropout_scale(philox, stream, first, single.data(), n, 0.4f);
      albef::dropout_scale(philox, stream, first, wide.data(), n, 0.4f);
      REQUIRE(words.size() == static_cast<std::size_t>(n));
      bool equal = true;
      for (std::size_t i = 0; i < words.size(); ++i) {
        const std::uint32_t word = philox(stream, (first + i) / 4)[(first + i) % 4];
        const bool kept = word >= albef::dropout_threshold(0.4f);
        equal = equal && words[i] == word && (single[i] > 0) == kept && (wide[i] > 0) == kept;
        if (kept) equal = equal && std::fabs(single[i] - 1 / 0.6f) < 1e-6f;
      }
      CHECK(equal);
      CHECK(single.back() == -1.0f);
      CHECK(wide.back() == -1.0);
    }
  }
}
