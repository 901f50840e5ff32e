// Primitives of the CPU backend against plain loops: ragged sizes, strides, beta, thread counts.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <set>
#include <span>
#include <vector>

#include "albef/core/interpolate_pos_embed.hpp"
#include "albef/cpu/elementwise.hpp"
#include "albef/cpu/losses.hpp"
#include "albef/cpu/memory.hpp"
#include "albef/cpu/norm.hpp"
#include "albef/cpu/optimizer.hpp"
#include "albef/cpu/tokens.hpp"

using albef::Cpu;
using albef::Mat;

namespace {

constexpr float undefined = std::numeric_limits<float>::quiet_NaN();
constexpr int column_counts[] = {1, 3, 17, 130};

/// A matrix with gaps between its rows; the gaps hold a value that must survive.
struct Matrix {
  static constexpr int gap = 3;
  static constexpr float untouched = 12345.0f;
  int rows, cols;
  std::vector<float> values;

  Matrix(int r, int c, int seed)
      : rows(r), cols(c), values(static_cast<std::size_t>(r * (c + gap)), untouched) {
    albef::RandomStream random(static_cast<std::uint64_t>(seed), 0);
    for (int i = 0; i < r; ++i)
      for (int j = 0; j < c; ++j) at(i, j) = random.normal();
  }
  Matrix(int r, int c, float value) : Matrix(r, c, 0) {
    for (int i = 0; i < r; ++i)
      for (int j = 0; j < c; ++j) at(i, j) = value;
  }
  float& at(int i, int j) { return values[static_cast<std::size_t>(i * (cols + gap) + j)]; }
  double get(int i, int j) const {
    return static_cast<double>(values[static_cast<std::size_t>(i * (cols + gap) + j)]);
  }
  Mat<float> mat() { return {values.data(), rows, cols, cols + gap}; }
  bool gaps_untouched() const {
    for (int i = 0; i < rows; ++i)
      for (int j = cols; j < cols + gap; ++j)
        if (get(i, j) != static_cast<double>(untouched)) return false;
    return true;
  }
};

std::vector<float> random_row(int n, std::uint64_t seed) {
  albef::RandomStream random(seed, 1);
  std::vector<float> out(static_cast<std::size_t>(n));
  for (float& v : out) v = random.normal();
  return out;
}

using Expected = std::function<double(int i, int j)>;

/// Runs kernel(cpu, y, beta) on an output y with beta 0 (old values NaN) and 1, for 1, 2 and 3
/// threads; y must be expected(i, j) + beta * old, bit-equal for all thread counts.
template <class Kernel>
void check_matrix_kernel(int rows, int cols, const Kernel& kernel, const Expected& expected) {
  Cpu one(1), two(2), three(3);
  for (const float beta : {0.0f, 1.0f}) {
    std::vector<float> first;
    for (Cpu* cpu : {&one, &two, &three}) {
      Matrix y = beta == 0 ? Matrix(rows, cols, undefined) : Matrix(rows, cols, 9);
      const Matrix old = y;
      kernel(*cpu, y.mat(), beta);
      CHECK(y.gaps_untouched());
      double worst = 0;
      for (int i = 0; i < rows; ++i)
        for (int j = 0; j < cols; ++j) {
          const double want = expected(i, j) + (beta == 0 ? 0 : old.get(i, j));
          const double error = std::abs(y.get(i, j) - want) / (1 + std::abs(want));
          worst = std::max(worst, std::isnan(error) ? 1e9 : error);
        }
      CHECK(worst < 2e-5);
      if (first.empty()) first = y.values;
      CHECK(first == y.values);
    }
  }
}

/// The same for kernels whose result is one row: kernel(cpu, out, beta).
template <class Kernel>
void check_row_kernel(int cols, const Kernel& kernel, const Expected& expected) {
  check_matrix_kernel(
      1, cols, [&](Cpu& cpu, Mat<float> y, float beta) { kernel(cpu, y.data, beta); }, expected);
}

double gelu_slope(double z) {
  return 0.5 * (1 + std::erf(z / std::sqrt(2.0))) +
         z * std::exp(-z * z / 2) / std::sqrt(2 * 3.14159265358979323846);
}

}  // namespace

TEST_CASE("element-wise kernels and column sums") {
  for (const int cols : column_counts) {
    const int rows = 600;  // several blocks of rows
    CAPTURE(cols);
    Matrix x(rows, cols, 1), b(rows, cols, 2);
    const auto row = random_row(cols, 3);
    const auto row_at = [&](int j) {
      return static_cast<double>(row[static_cast<std::size_t>(j)]);
    };
    const float scalar = -1.5f;
    check_matrix_kernel(
        rows, cols, [&](Cpu& cpu, Mat<float> y, float beta) { add(cpu, x.mat(), y, beta); },
        [&](int i, int j) { return x.get(i, j); });
    check_matrix_kernel(
        rows, cols,
        [&](Cpu& cpu, Mat<float> y, float beta) { mul_row(cpu, x.mat(), row.data(), y, beta); },
        [&](int i, int j) { return x.get(i, j) * row_at(j); });
    check_matrix_kernel(
        rows, cols,
        [&](Cpu& cpu, Mat<float> y, float beta) { scale_rows(cpu, x.mat(), &scalar, y, beta); },
        [&](int i, int j) { return -1.5 * x.get(i, j); });
    check_row_kernel(
        cols, [&](Cpu& cpu, float* y, float beta) { column_sum(cpu, x.mat(), y, beta); },
        [&](int, int j) {
          double sum = 0;
          for (int i = 0; i < rows; ++i) sum += x.get(i, j);
          return sum;
        });
    check_row_kernel(
        cols, [&](Cpu& cpu, float* y, float beta) { dot_rows(cpu, x.mat(), b.mat(), y, beta); },
        [&](int, int j) {
          double sum = 0;
          for (int i = 0; i < rows; ++i) sum += x.get(i, j) * b.get(i, j);
          return sum;
        });
    check_row_kernel(
        1, [&](Cpu& cpu, float* y, float beta) { dot(cpu, x.mat(), b.mat(), y, 0.5f, beta); },
        [&](int, int) {
          double sum = 0;
          for (int i = 0; i < rows; ++i)
            for (int j = 0; j < cols; ++j) sum += 0.5 * x.get(i, j) * b.get(i, j);
          return sum;
        });
    check_matrix_kernel(
        rows, cols,
        [&](Cpu& cpu, Mat<float> y, float beta) {
          Matrix old = Matrix(rows, cols, 9);
          gelu_backward(cpu, x.mat(), b.mat(), y);
          if (beta != 0) add(cpu, old.mat(), y, 1.0f);
        },
        [&](int i, int j) { return x.get(i, j) * gelu_slope(b.get(i, j)); });
    check_matrix_kernel(
        rows, cols,
        [&](Cpu& cpu, Mat<float> y, float beta) { relu_backward(cpu, x.mat(), b.mat(), y, beta); },
        [&](int i, int j) { return b.get(i, j) > 0 ? x.get(i, j) : 0.0; });
  }
}

TEST_CASE("rows set and added, and scaling by a parameter") {
  Cpu cpu(2);
  for (const int cols : column_counts) {
    const auto row = random_row(cols, 3);
    Matrix y(5, cols, undefined);
    set_rows(cpu, row.data(), y.mat());
    add_row(cpu, row.data(), y.mat());
    CHECK(y.gaps_untouched());
    for (int i = 0; i < 5; ++i)
      for (int j = 0; j < cols; ++j) CHECK(y.at(i, j) == 2 * row[static_cast<std::size_t>(j)]);
  }
  const float s = 0.25f;
  Matrix x(4, 5, 1), dy(4, 5, 2);
  double sum = 0;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 5; ++j) sum += x.get(i, j) * dy.get(i, j);
  for (const auto kind : {albef::ScaleKind::reciprocal, albef::ScaleKind::exponential}) {
    const double factor = kind == albef::ScaleKind::reciprocal ? 4 : std::exp(0.25);
    const double slope = kind == albef::ScaleKind::reciprocal ? -16 : factor;
    check_matrix_kernel(
        4, 5, [&](Cpu& c, Mat<float> y, float beta) { scale_by(c, x.mat(), &s, kind, y, beta); },
        [&](int i, int j) { return factor * x.get(i, j); });
    check_row_kernel(
        1,
        [&](Cpu& c, float* y, float beta) {
          scale_gradient(c, dy.mat(), x.mat(), &s, kind, y, beta);
        },
        [&](int, int) { return slope * sum; });
  }
}

TEST_CASE("dropout: the words that core/rng.hpp defines, whatever the shape") {
  const albef::Philox philox{77};
  for (const int cols : column_counts) {
    Matrix x(20, cols, 1);
    const auto kept = [&](int i, int j) {
      const auto word = static_cast<std::uint64_t>(i * ((cols + 3) / 4 * 4) + j);
      return philox(5, word / 4)[word % 4] >= albef::dropout_threshold(0.3f);
    };
    check_matrix_kernel(
        20, cols,
        [&](Cpu& cpu, Mat<float> y, float beta) {
          dropout(cpu, x.mat(), y, beta, 0.3f, philox, 5);
        },
        [&](int i, int j) { return kept(i, j) ? x.get(i, j) / (1 - 0.3f) : 0.0; });
  }
}

TEST_CASE("layer norm: forward and each gradient with its own beta") {
  for (const int cols : {3, 17, 130}) {
    CAPTURE(cols);
    const int rows = 300;
    Matrix x(rows, cols, 1), dy(rows, cols, 2);
    const auto weight = random_row(cols, 3), bias = random_row(cols, 4);
    const double eps = 1e-3;
    std::vector<double> mean(rows), rstd(rows);
    for (int i = 0; i < rows; ++i) {
      const auto r = static_cast<std::size_t>(i);
      for (int j = 0; j < cols; ++j) mean[r] += x.get(i, j) / cols;
      double square = 0;
      for (int j = 0; j < cols; ++j) square += std::pow(x.get(i, j) - mean[r], 2) / cols;
      rstd[r] = 1 / std::sqrt(square + eps);
    }
    const auto xhat = [&](int i, int j) {
      const auto r = static_cast<std::size_t>(i);
      return (x.get(i, j) - mean[r]) * rstd[r];
    };
    const auto w = [&](int j) { return static_cast<double>(weight[static_cast<std::size_t>(j)]); };
    std::vector<float> row_mean(rows), row_rstd(rows);
    const auto forward = [&](Cpu& cpu, Mat<float> y) {
      layer_norm_forward(cpu, albef::LayerNormArgs<float>{.x = x.mat(),
                                                          .weight = weight.data(),
                                                          .bias = bias.data(),
                                                          .y = y,
                                                          .mean = row_mean.data(),
                                                          .rstd = row_rstd.data(),
                                                          .eps = static_cast<float>(eps)});
    };
    check_matrix_kernel(
        rows, cols,
        [&](Cpu& cpu, Mat<float> y, float beta) {
          forward(cpu, y);
          Matrix old = Matrix(rows, cols, 9);
          if (beta != 0) add(cpu, old.mat(), y, 1.0f);
        },
        [&](int i, int j) {
          return xhat(i, j) * w(j) + static_cast<double>(bias[static_cast<std::size_t>(j)]);
        });
    const auto backward = [&](Cpu& cpu) {
      return [&, args = albef::LayerNormGradArgs<float>{.dy = dy.mat(),
                                                        .x = x.mat(),
                                                        .weight = weight.data(),
                                                        .mean = row_mean.data(),
                                                        .rstd = row_rstd.data()}](
                 auto change) mutable {
        change(args);
        layer_norm_backward(cpu, args);
      };
    };
    check_matrix_kernel(
        rows, cols,
        [&](Cpu& cpu, Mat<float> y, float beta) {
          backward(cpu)([&](auto& a) { a.dx = y, a.beta_x = beta; });
        },
        [&](int i, int j) {
          double g = 0, gx = 0;
          for (int k = 0; k < cols; ++k) {
            g += dy.get(i, k) * w(k) / cols;
            gx += dy.get(i, k) * w(k) * xhat(i, k) / cols;
          }
          return rstd[static_cast<std::size_t>(i)] * (dy.get(i, j) * w(j) - g - xhat(i, j) * gx);
        });
    check_row_kernel(
        cols,
        [&](Cpu& cpu, float* y, float beta) {
          backward(cpu)([&](auto& a) { a.dweight = y, a.beta_weight = beta; });
        },
        [&](int, int j) {
          double sum = 0;
          for (int i = 0; i < rows; ++i) sum += dy.get(i, j) * xhat(i, j);
          return sum;
        });
    check_row_kernel(
        cols,
        [&](Cpu& cpu, float* y, float beta) {
          backward(cpu)([&](auto& a) { a.dbias = y, a.beta_bias = beta; });
        },
        [&](int, int j) {
          double sum = 0;
          for (int i = 0; i < rows; ++i) sum += dy.get(i, j);
          return sum;
        });
  }
}

TEST_CASE("l2 normalisation and its gradient, also of a row of zeros") {
  for (const int cols : column_counts) {
    Matrix x(30, cols, 1), dy(30, cols, 2);
    for (int j = 0; j < cols; ++j) x.at(7, j) = 0;
    std::vector<float> norm(30);
    Matrix y(30, cols, undefined);
    Cpu cpu(2);
    l2_normalize_forward(cpu, x.mat(), y.mat(), norm.data());
    for (int i = 0; i < 30; ++i) {
      double square = 0;
      for (int j = 0; j < cols; ++j) square += x.get(i, j) * x.get(i, j);
      for (int j = 0; j < cols; ++j)
        CHECK(y.get(i, j) ==
              doctest::Approx(i == 7 ? 0 : x.get(i, j) / std::sqrt(square)).epsilon(1e-5));
    }
    check_matrix_kernel(
        30, cols,
        [&](Cpu& c, Mat<float> dx, float beta) {
          l2_normalize_backward(c, dy.mat(), y.mat(), norm.data(), dx, beta);
        },
        [&](int i, int j) {
          double inner = 0;
          for (int k = 0; k < cols; ++k) inner += dy.get(i, k) * y.get(i, k);
          return (dy.get(i, j) - y.get(i, j) * inner) /
                 static_cast<double>(norm[static_cast<std::size_t>(i)]);
        });
  }
}

TEST_CASE("embedding gradients and scattered rows: equal for all thread counts") {
  constexpr int width = 130, words = 5, rows = 40;
  std::vector<std::int32_t> ids;
  for (int i = 0; i < rows; ++i) ids.push_back(i * i % words);
  const std::int32_t offsets[] = {0, 7, 8, 25, 40};
  Matrix dy(rows, width, 1);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    Cpu cpu(threads);
    std::vector<float> word(words * width, 1.0f), position(17 * width), type(2 * width);
    embedding_backward(cpu,
                       albef::EmbeddingGradArgs<float>{.ids = ids.data(),
                                                       .seq = albef::packed_sequences(4, offsets),
                                                       .dy = dy.mat(),
                                                       .word = word.data(),
                                                       .position = position.data(),
                                                       .type = type.data()});
    double expected = 1;
    for (int i = 0; i < rows; ++i)
      if (ids[static_cast<std::size_t>(i)] == 4) expected += dy.get(i, 129);
    CHECK(static_cast<double>(word[4 * width + 129]) == doctest::Approx(expected));
    CHECK(static_cast<double>(position[2 * width]) ==
          doctest::Approx(dy.get(2, 0) + dy.get(10, 0) + dy.get(27, 0)));
    CHECK(std::all_of(type.begin() + width, type.end(), [](float v) { return v == 0; }));
    scatter_add_rows(cpu, dy.mat(), ids.data(), albef::mat(word.data(), words, width));
    word.insert(word.end(), position.begin(), position.end());
    word.insert(word.end(), type.begin(), type.end());
    results.push_back(std::move(word));
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("normalize_images: planes of (v / 255 - mean) / std, of any size and channels") {
  Cpu cpu(2);
  constexpr double mean[] = {0.1, 0.5, 0.25, 0.4}, std[] = {0.5, 0.25, 0.3, 0.2};
  const albef::ImageStatistics of_four{mean, std}, of_one{std::span(mean, 1), std::span(std, 1)};
  for (const auto& statistics :
       {albef::clip_statistics, albef::inception_statistics, of_four, of_one}) {
    const int channels = statistics.channels();
    const albef::PatchGrid grid{2, channels, 4, 6, 2};
    const auto planes = static_cast<std::size_t>(channels);
    std::vector<std::uint8_t> pixels(2 * 24 * planes);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 2);
    std::vector<float> out(pixels.size());
    normalize_images(cpu, pixels.data(), grid, statistics,
                     albef::mat(out.data(), 2, 24 * channels));
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t c = 0; c < planes; ++c)
        for (std::size_t i = 0; i < 24; ++i) {
          const double v = pixels[(b * 24 + i) * planes + c] / 255.0;
          CHECK(static_cast<double>(out[(b * planes + c) * 24 + i]) ==
                doctest::Approx((v - statistics.mean[c]) / statistics.std[c]).epsilon(1e-5));
        }
  }
}

TEST_CASE("resize_grid: the matrix of interpolate_pos_embed, and its transpose") {
  constexpr int cols = 70;
  for (const albef::GridResize grid :
       {albef::GridResize{4, 4, 6, 6}, albef::GridResize{5, 3, 2, 7}, albef::GridResize{2, 2, 9, 4},
        albef::GridResize{1, 6, 5, 6}, albef::GridResize{3, 4, 3, 4}}) {
    CAPTURE(grid.rows());
    const int from = grid.from_rows(), to = grid.rows();
    std::vector<double> identity(static_cast<std::size_t>((from + 1) * from));
    for (int i = 0; i < from; ++i) identity[static_cast<std::size_t>((i + 1) * from + i)] = 1;
    const auto matrix = albef::interpolate_pos_embed(std::span<const double>(identity), from, grid);
    const auto weight = [&](int i, int k) {
      return matrix[static_cast<std::size_t>((i + 1) * from + k)];
    };
    Matrix x(from, cols, 1), dy(to, cols, 2);
    check_matrix_kernel(
        to, cols,
        [&](Cpu& cpu, Mat<float> y, float beta) {
          Matrix fresh(to, cols, undefined);
          resize_grid_forward(cpu, x.mat(), grid, fresh.mat());
          add(cpu, fresh.mat(), y, beta);
        },
        [&](int i, int j) {
          double sum = 0;
          for (int k = 0; k < from; ++k) sum += weight(i, k) * x.get(k, j);
          return sum;
        });
    check_matrix_kernel(
        from, cols,
        [&](Cpu& cpu, Mat<float> dx, float beta) {
          resize_grid_backward(cpu, dy.mat(), grid, dx, beta);
        },
        [&](int k, int j) {
          double sum = 0;
          for (int i = 0; i < to; ++i) sum += weight(i, k) * dy.get(i, j);
          return sum;
        });
  }
}

TEST_CASE("soft cross entropy: rows without a pattern, equal for all thread counts, beta") {
  const std::vector<std::int32_t> labels{4, 0, 16, 3};
  Matrix logits(4, 17, 1), teacher(4, 17, 2);
  std::vector<float> losses;
  for (const int threads : {1, 2, 3}) {
    Cpu cpu(threads);
    std::vector<float> lse(4), teacher_lse(4);
    albef::SoftTargetArgs<float> args{.logits = logits.mat(),
                                      .teacher = teacher.mat(),
                                      .labels = labels.data(),
                                      .alpha = 0.4f,
                                      .scale = 0.25f,
                                      .lse = lse.data(),
                                      .teacher_lse = teacher_lse.data()};
    losses.push_back(undefined);
    soft_cross_entropy_forward(cpu, args, &losses.back());
    const float one = 1;
    Matrix fresh(4, 17, undefined), added(4, 17, 5.0f);
    soft_cross_entropy_backward(cpu, args, &one, fresh.mat(), 0.0f);
    soft_cross_entropy_backward(cpu, args, &one, added.mat(), 1.0f);
    for (int i = 0; i < 4; ++i) {
      double sum = 0;
      for (int j = 0; j < 17; ++j) {
        CHECK(added.get(i, j) == doctest::Approx(fresh.get(i, j) + 5));
        sum += fresh.get(i, j);
      }
      CHECK(std::abs(sum) < 1e-6);  // softmax and target both sum to 1
    }
    CHECK(fresh.gaps_untouched());
  }
  CHECK(losses[0] == losses[1]);
  CHECK(losses[0] == losses[2]);
}

TEST_CASE("soft cross entropy: targets by identity and row weights against their definition") {
  const std::vector<std::int64_t> row_ids{7, 9, 1}, column_ids{7, 9, 1, 9, -100, 7, 7, 3};
  const std::vector<float> weights{0.5f, 2, 1};
  Matrix logits(3, 8, 1), teacher(3, 8, 2);
  Cpu cpu(2);
  std::vector<float> lse(3), teacher_lse(3), rows(3);
  albef::SoftTargetArgs<float> args{.logits = logits.mat(),
                                    .teacher = teacher.mat(),
                                    .row_identities = row_ids.data(),
                                    .column_identities = column_ids.data(),
                                    .weights = weights.data(),
                                    .alpha = 0.3f,
                                    .scale = 0.5f,
                                    .lse = lse.data(),
                                    .teacher_lse = teacher_lse.data(),
                                    .row_losses = rows.data()};
  float loss = undefined;
  soft_cross_entropy_forward(cpu, args, &loss);
  const float one = 1;
  Matrix gradient(3, 8, undefined);
  soft_cross_entropy_backward(cpu, args, &one, gradient.mat(), 0.0f);
  const int positives[] = {3, 2, 1};
  double expected = 0;
  for (int i = 0; i < 3; ++i) {
    const auto r = static_cast<std::size_t>(i);
    double total = 0, teacher_total = 0, row = 0;
    for (int j = 0; j < 8; ++j) total += std::exp(logits.get(i, j));
    for (int j = 0; j < 8; ++j) teacher_total += std::exp(teacher.get(i, j));
    for (int j = 0; j < 8; ++j) {
      const double p = std::exp(logits.get(i, j)) / total;
      const bool same = column_ids[static_cast<std::size_t>(j)] == row_ids[r];
      const double target =
          0.3 * std::exp(teacher.get(i, j)) / teacher_total + (same ? 0.7 / positives[i] : 0.0);
      row -= target * std::log(p);
      CHECK(gradient.get(i, j) ==
            doctest::Approx(0.5 * static_cast<double>(weights[r]) * (p - target)).epsilon(1e-5));
    }
    CHECK(static_cast<double>(rows[r]) == doctest::Approx(row).epsilon(1e-5));
    expected += 0.5 * static_cast<double>(weights[r]) * row;
  }
  CHECK(static_cast<double>(loss) == doctest::Approx(expected).epsilon(1e-5));
}

namespace {

struct Draw {
  std::vector<std::int32_t> index;
  std::vector<float> weights;
};

Draw draw_negatives(Cpu& cpu, Matrix* logits, int n, float epsilon, std::uint64_t stream,
                    const std::int64_t* identities = nullptr) {
  Draw d{std::vector<std::int32_t>(static_cast<std::size_t>(n)),
         std::vector<float>(static_cast<std::size_t>(n * n))};
  sample_negatives(cpu, albef::NegativeArgs<float>{
                            .logits = logits ? Mat<const float>(logits->mat()) : Mat<const float>{},
                            .n = n,
                            .uniform = logits == nullptr,
                            .epsilon = epsilon,
                            .identities = identities,
                            .philox = {3},
                            .stream = stream,
                            .index = d.index.data(),
                            .weights = d.weights.data()});
  return d;
}

}  // namespace

TEST_CASE("sample_negatives: softmax of the first n columns plus epsilon, none on the diagonal") {
  Cpu cpu(2);
  Matrix logits(4, 9, 1);
  const Draw d = draw_negatives(cpu, &logits, 4, 0.01f, 0);
  for (int i = 0; i < 4; ++i) {
    double total = 0;
    for (int j = 0; j < 4; ++j) total += std::exp(logits.get(i, j));
    for (int j = 0; j < 4; ++j)
      CHECK(static_cast<double>(d.weights[static_cast<std::size_t>(i * 4 + j)]) ==
            doctest::Approx(i == j ? 0 : std::exp(logits.get(i, j)) / total + 0.01).epsilon(1e-5));
  }
}

TEST_CASE("sample_negatives: frequencies follow the weights") {
  Cpu cpu(1);
  for (const bool uniform : {false, true}) {
    Matrix logits(4, 4, 1);
    constexpr int draws = 8000;
    std::vector<int> counts(16);
    Draw d;
    for (std::uint64_t s = 0; s < draws; ++s) {
      d = draw_negatives(cpu, uniform ? nullptr : &logits, 4, 0, s);
      for (std::size_t i = 0; i < 4; ++i) ++counts[i * 4 + static_cast<std::size_t>(d.index[i])];
    }
    for (std::size_t i = 0; i < 4; ++i) {
      float total = 0;
      for (std::size_t j = 0; j < 4; ++j) total += d.weights[i * 4 + j];
      for (std::size_t j = 0; j < 4; ++j) {
        const double p = static_cast<double>(d.weights[i * 4 + j] / total);
        const double deviation = std::sqrt(draws * p * (1 - p));
        CHECK(std::abs(counts[i * 4 + j] - draws * p) <= 4 * deviation);
      }
      CHECK(counts[i * 4 + i] == 0);
    }
  }
}

TEST_CASE("sample_negatives: equal identities are left out, unless nothing else remains") {
  Cpu cpu(2);
  const std::int64_t some[] = {5, 6, 5, 7}, all[] = {5, 5, 5, 5};
  std::set<std::int32_t> partners_of_0, fallback;
  for (std::uint64_t s = 0; s < 300; ++s) {
    partners_of_0.insert(draw_negatives(cpu, nullptr, 4, 0, s, some).index[0]);
    fallback.insert(draw_negatives(cpu, nullptr, 4, 0, s, all).index[1]);
  }
  CHECK(partners_of_0 == std::set<std::int32_t>{1, 3});
  CHECK(fallback == std::set<std::int32_t>{0, 2, 3});
}

TEST_CASE("sample_negatives: similarities that all underflow still give a pair") {
  Cpu cpu(1);
  Matrix logits(3, 3, -500.0f);
  for (int i = 0; i < 3; ++i) logits.at(i, i) = 500;  // everything but the diagonal is exp(-1000)
  std::set<std::int32_t> without, with;
  for (std::uint64_t s = 0; s < 100; ++s) {
    without.insert(draw_negatives(cpu, &logits, 3, 0, s).index[0]);
    with.insert(draw_negatives(cpu, &logits, 3, 1e-4f, s).index[0]);
  }
  CHECK(without == std::set<std::int32_t>{1, 2});
  CHECK(with == std::set<std::int32_t>{1, 2});
}

TEST_CASE("sample_negatives: a function of the stream, not of the threads") {
  Matrix logits(50, 50, 1);
  Cpu one(1), three(3);
  const Draw a = draw_negatives(one, &logits, 50, 0, 11);
  CHECK(a.index == draw_negatives(three, &logits, 50, 0, 11).index);
  CHECK(a.index != draw_negatives(one, &logits, 50, 0, 12).index);
}

TEST_CASE("adamw_update: against the formula in double, and its moving average") {
  constexpr int n = 40001;  // several blocks and a ragged end
  const auto start = random_row(n, 1), gradient = random_row(n, 2);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    Cpu cpu(threads);
    auto p = start, ema = start;
    std::vector<float> m(n), v(n);
    std::vector<albef::AdamWRun> runs;
    const auto runs_at = [&](int t) {  // two stretches of different treatment cover it all
      const double c1 = 1 - std::pow(0.9, t), c2 = 1 - std::pow(0.999, t);
      runs = {{.size = 17, .weight_decay = 0.02, .correction1 = c1, .correction2 = c2},
              {.offset = 17,
               .size = n - 17,
               .weight_decay = 0.02,
               .correction1 = c1,
               .correction2 = c2}};
      return std::span<const albef::AdamWRun>(runs);
    };
    for (int t = 1; t <= 3; ++t)
      adamw_update(cpu, albef::AdamWArgs<float>{.param = p.data(),
                                                .grad = gradient.data(),
                                                .exp_avg = m.data(),
                                                .exp_avg_sq = v.data(),
                                                .ema = ema.data(),
                                                .runs = runs_at(t),
                                                .lr = 0.1,
                                                .grad_scale = 0.5,
                                                .momentum = 0.9});
    results.push_back(p);
    double worst = 0;
    for (std::size_t i = 0; i < n; ++i) {
      double x = static_cast<double>(start[i]), first = 0, second = 0, average = x;
      const double g = 0.5 * static_cast<double>(gradient[i]);
      for (int t = 1; t <= 3; ++t) {
        x *= 1 - 0.1 * 0.02;
        first = 0.9 * first + 0.1 * g;
        second = 0.999 * second + 0.001 * g * g;
        x -= 0.1 * (first / (1 - std::pow(0.9, t))) /
             (std::sqrt(second / (1 - std::pow(0.999, t))) + 1e-8);
        average = 0.9 * average + 0.1 * x;
      }
      worst = std::max({worst, std::abs(x - static_cast<double>(p[i])),
                        std::abs(average - static_cast<double>(ema[i]))});
    }
    CHECK(worst < 2e-5);
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("ema_update, squared_norm and clamp") {
  Cpu one(1), three(3);
  auto x = random_row(40001, 1), ema = random_row(40001, 2);
  const auto old = ema;
  double expected = 0;
  for (const float v : x) expected += static_cast<double>(v) * static_cast<double>(v);
  const auto norm = [&](Cpu& cpu, std::int64_t n, double beta) {
    double square = 3;
    albef::squared_norm(cpu, x.data(), n, &square, beta);
    return square;
  };
  CHECK(norm(one, 40001, 0) == doctest::Approx(expected).epsilon(1e-5));
  CHECK(norm(one, 40001, 0) == norm(three, 40001, 0));
  CHECK(norm(one, 40001, 1) == doctest::Approx(expected + 3).epsilon(1e-5));
  CHECK(norm(one, 0, 0) == 0);
  albef::ema_update(three, ema.data(), static_cast<const float*>(x.data()), 40001, 0.75);
  for (const std::size_t i : {std::size_t{0}, std::size_t{17000}, std::size_t{40000}})
    CHECK(ema[i] == doctest::Approx(0.75f * old[i] + 0.25f * x[i]));
  float values[] = {-1, 0.2f, 7};
  albef::clamp(one, values, 3, 0.001f, 0.5f);
  CHECK(values[0] == 0.001f);
  CHECK(values[1] == 0.2f);
  CHECK(values[2] == 0.5f);
}

TEST_CASE("memory: copies and fills of large blocks") {
  Cpu cpu(3);
  const auto from = random_row(200000, 1);
  std::vector<float> to(200000, undefined);
  albef::copy_on_device(cpu, to.data(), from.data(), 200000);
  CHECK(to == from);
  albef::fill(cpu, to.data(), 2.5f, 150000);
  CHECK(to[149999] == 2.5f);
  CHECK(to[150000] == from[150000]);
}
