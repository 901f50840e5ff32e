// Every primitive of the CUDA backend against the CPU backend in double, in float, double and
// bfloat16: shapes for the 16-byte and the one-value paths, gaps between rows, beta.
#pragma once

#include "both_devices.hpp"

namespace {

using namespace both;

struct Shape {
  int rows, cols, gap;
};
constexpr Shape shapes[] = {{5, 1, 0}, {70, 3, 2}, {9, 64, 0}, {300, 48, 16}, {37, 130, 3}};

/// Calls f(beta) for beta 0, with an output that starts undefined, and for another.
template <class T, class F>
void for_betas(Matrix<T>& y, F f) {
  y.set(undefined);
  f(0.0f);
  albef::RandomStream random(5, 5);
  y.set([&](int, int) { return static_cast<double>(random.normal()); });
  f(0.5f);
}

}  // namespace

#define ALBEF_CUDA_CASE(name) \
  TEST_CASE_TEMPLATE(name* doctest::skip(no_test_device()), T, float, double, bfloat16)

ALBEF_CUDA_CASE("element-wise kernels") {
  constexpr double bound = tolerance<T>;
  for (const auto [rows, cols, gap] : shapes) {
    CAPTURE(cols);
    auto x = Matrix<T>::random(rows, cols, gap), z = Matrix<T>::random(rows, cols, gap);
    auto row = Matrix<T>::random(1, cols);
    auto scalar = Matrix<accumulator_t<T>>::random(1, 1);
    Matrix<T> y(rows, cols, gap);
    for_betas(y, [&](float beta) {
      const auto op = [&](auto f) { compare<T>(bound, f, y); };
      op([&](auto on) { add(on.device, on(x), on(y), on.sum(beta)); });
      op([&](auto on) {
        using R = typename decltype(on)::Real;
        mul_row(on.device, on(x), static_cast<const R*>(on.data(row)), on(y), on.sum(beta));
      });
      op([&](auto on) {
        using S = typename decltype(on)::Sum;
        scale_rows(on.device, on(x), static_cast<const S*>(on.data(scalar)), on(y), on.sum(beta));
      });
      for (const auto kind : {albef::ScaleKind::reciprocal, albef::ScaleKind::exponential})
        op([&](auto on) {
          using S = typename decltype(on)::Sum;
          scale_by(on.device, on(x), static_cast<const S*>(on.data(scalar)), kind, on(y),
                   on.sum(beta));
        });
      op([&](auto on) { relu_backward(on.device, on(x), on(z), on(y), on.sum(beta)); });
      op([&](auto on) {
        dropout(on.device, on(x), on(y), on.sum(beta), 0.25f, albef::Philox{7}, 11);
      });
      op([&](auto on) {
        using R = typename decltype(on)::Real;
        set_rows(on.device, static_cast<const R*>(on.data(row)), on(y));
      });
      if (beta != 0)
        op([&](auto on) {
          using R = typename decltype(on)::Real;
          add_row(on.device, static_cast<const R*>(on.data(row)), on(y));
        });
    });
    y.set(undefined);
    compare<T>(
        bound, [&](auto on) { gelu_backward(on.device, on(x), on(z), on(y)); }, y);
  }
}

ALBEF_CUDA_CASE("dropout of a recorded step: the stream of (step, stream)") {
  Array<std::uint64_t> step({12345});
  auto x = Matrix<T>::random(20, 24);
  Matrix<T> y(20, 24);
  const auto run = [&](auto on) {
    dropout(on.device, on(x), on(y), on.sum(0), 0.5f, albef::Philox{7, on(step)}, 3);
  };
  compare<T>(tolerance<T>, run, y);
  const auto first = y.download();
  Array<std::uint64_t> other({12346});
  dropout(test_device(), x.device(), y.device(), 0, 0.5f, albef::Philox{7, other.device()}, 3);
  CHECK(!same_bits(first, y.download()));
}

ALBEF_CUDA_CASE("sums over rows and over matrices") {
  using A = accumulator_t<T>;
  constexpr double bound = 20 * tolerance<A>;
  for (const auto [rows, cols, gap] : shapes) {
    CAPTURE(cols);
    auto x = Matrix<T>::random(rows, cols, gap), z = Matrix<T>::random(rows, cols, gap);
    auto scalar = Matrix<A>::random(1, 1);
    Matrix<A> sums(1, cols), sum(1, 1);
    for_betas(sums, [&](float beta) {
      compare<T>(
          bound, [&](auto on) { column_sum(on.device, on(x), on.data(sums), on.sum(beta)); }, sums);
      compare<T>(
          bound, [&](auto on) { dot_rows(on.device, on(x), on(z), on.data(sums), on.sum(beta)); },
          sums);
    });
    for_betas(sum, [&](float beta) {
      compare<T>(
          bound,
          [&](auto on) { dot(on.device, on(x), on(z), on.data(sum), on.sum(0.75f), on.sum(beta)); },
          sum);
      for (const auto kind : {albef::ScaleKind::reciprocal, albef::ScaleKind::exponential})
        compare<T>(
            bound,
            [&](auto on) {
              using S = typename decltype(on)::Sum;
              scale_gradient(on.device, on(x), on(z), static_cast<const S*>(on.data(scalar)), kind,
                             on.data(sum), on.sum(beta));
            },
            sum);
    });
  }
}

ALBEF_CUDA_CASE("layer norm") {
  using A = accumulator_t<T>;
  constexpr double bound = 4 * tolerance<T>;
  constexpr Shape sizes[] = {{40, 3, 0}, {300, 64, 0}, {70, 96, 8}, {9, 1032, 0}, {33, 130, 1}};
  for (const auto [rows, cols, gap] : sizes) {
    CAPTURE(cols);
    auto x = Matrix<T>::random(rows, cols, gap), residual = Matrix<T>::random(rows, cols, gap);
    auto weight = Matrix<T>::random(1, cols), bias = Matrix<T>::random(1, cols);
    Matrix<T> y(rows, cols, gap), sum(rows, cols, gap);
    Matrix<A> mean(1, rows), rstd(1, rows);
    for (const float p : {-1.0f, 0.0f, 0.25f})  // -1: no residual
      compare<T>(
          bound,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            albef::LayerNormArgs<R> a;
            a.x = on(x), a.y = on(y);
            a.weight = on.data(weight), a.bias = on.data(bias);
            a.mean = on.data(mean), a.rstd = on.data(rstd);
            a.eps = 1e-3f;
            if (p >= 0) {
              a.residual = on(residual), a.sum = on(sum);
              a.dropout = p, a.philox = {3}, a.stream = 4;
            }
            layer_norm_forward(on.device, a);
          },
          y, sum, mean, rstd);

    mean.set([&](int, int i) { return 0.1 * i / rows; });
    rstd.set([&](int, int i) { return 0.5 + 0.1 * i / rows; });
    auto dy = Matrix<T>::random(rows, cols, gap);
    Matrix<A> dweight(1, cols), dbias(1, cols);
    Matrix<T> dx(rows, cols, gap);
    for (const int parts : {7, 1, 2, 4})  // dx, dweight, dbias
      for (const float beta : {0.0f, 0.5f}) {
        const double old = beta == 0 ? undefined : 1.5;
        dx.set(old), dweight.set(old), dbias.set(old);
        compare<T>(
            bound,
            [&](auto on) {
              using R = typename decltype(on)::Real;
              albef::LayerNormGradArgs<R> a;
              a.x = on(x), a.dy = on(dy), a.weight = on.data(weight);
              a.mean = on.data(mean), a.rstd = on.data(rstd);
              a.beta_x = a.beta_weight = a.beta_bias = beta;
              if (parts & 1) a.dx = on(dx);
              if (parts & 2) a.dweight = on.data(dweight);
              if (parts & 4) a.dbias = on.data(dbias);
              layer_norm_backward(on.device, a);
            },
            dx, dweight, dbias);
      }
  }
}

ALBEF_CUDA_CASE("L2 normalisation") {
  using A = accumulator_t<T>;
  for (const auto [rows, cols, gap] : shapes) {
    CAPTURE(cols);
    auto x = Matrix<T>::random(rows, cols, gap);
    for (int j = 0; j < cols; ++j)
      x.set([&](int i, int k) { return i == 3 ? 0.0 : x.start(i, k); });  // a row of zeros
    Matrix<A> y(rows, cols, gap), norm(1, rows);
    compare<T>(
        20 * tolerance<A>,
        [&](auto on) { l2_normalize_forward(on.device, on(x), on(y), on.data(norm)); }, y, norm);
    auto dy = Matrix<A>::random(rows, cols, gap), unit = Matrix<A>::random(rows, cols, gap);
    norm.set([&](int, int i) { return i == 3 ? 1e-12 : 0.5 + i; });
    dy.set([&](int i, int j) { return i == 3 ? 0.0 : dy.start(i, j); });
    Matrix<T> dx(rows, cols, gap);
    for_betas(dx, [&](float beta) {
      compare<T>(
          4 * tolerance<T>,
          [&](auto on) {
            using S = typename decltype(on)::Sum;
            l2_normalize_backward(on.device, Mat<const S>(on(dy)), Mat<const S>(on(unit)),
                                  static_cast<const S*>(on.data(norm)), on(dx), on.sum(beta));
          },
          dx);
    });
  }
}

ALBEF_CUDA_CASE("soft cross entropy") {
  using A = accumulator_t<T>;
  constexpr double bound = 4 * tolerance<T>;
  for (const auto [rows, cols, gap] :
       {Shape{7, 2, 0}, Shape{12, 64, 0}, Shape{9, 130, 3}, Shape{4, 4104, 8}}) {
    CAPTURE(cols);
    auto logits = Matrix<T>::random(rows, cols, gap, 3),
         teacher = Matrix<T>::random(rows, cols, gap);
    std::vector<std::int32_t> targets(static_cast<std::size_t>(rows));
    for (int i = 0; i < rows; ++i)
      targets[static_cast<std::size_t>(i)] = i == 2 ? -1 : i * 7 % cols;
    Array<std::int32_t> labels(targets);
    Matrix<A> loss(1, 1), lse(1, rows), teacher_lse(1, rows), dloss(1, 1), factor(1, 1);
    dloss.set(0.3), factor.set(1.7);
    Matrix<T> d(rows, cols, gap);
    std::vector<std::int64_t> row_ids, column_ids;  // the last row has no positive column
    for (int i = 0; i < rows; ++i) row_ids.push_back(i == rows - 1 ? -1 : i % 3);
    for (int j = 0; j < cols; ++j) column_ids.push_back(j % 5);
    Array<std::int64_t> row_identities(row_ids), column_identities(column_ids);
    auto weights = Matrix<A>::random(1, rows);
    Matrix<A> row_losses(1, rows);
    // hard, teacher, factor, labels = row numbers, and identities with weights
    for (const int kind : {0, 1, 2, 3, 4}) {
      if (kind == 3 && rows > cols) continue;
      CAPTURE(kind);
      const auto args = [&](auto on) {
        using R = typename decltype(on)::Real;
        albef::SoftTargetArgs<R> a;
        a.logits = on(logits);
        if (kind < 3) a.labels = on(labels);
        if (kind == 4) {
          a.row_identities = on(row_identities), a.column_identities = on(column_identities);
          a.weights = on.data(weights), a.row_losses = on.data(row_losses);
        }
        if (kind == 1 || kind == 2 || kind == 4) a.teacher = on(teacher), a.alpha = 0.4f;
        if (kind == 2) a.factor = on.data(factor);
        a.scale = static_cast<typename decltype(on)::Sum>(1.0f / static_cast<float>(rows));
        a.lse = on.data(lse), a.teacher_lse = on.data(teacher_lse);
        return a;
      };
      compare<T>(
          20 * tolerance<A>,
          [&](auto on) { soft_cross_entropy_forward(on.device, args(on), on.data(loss)); }, loss,
          row_losses);
      for_betas(d, [&](float beta) {
        compare<T>(
            bound,
            [&](auto on) {
              using S = typename decltype(on)::Sum;
              soft_cross_entropy_backward(
                  on.device, args(on), static_cast<const S*>(on.data(dloss)), on(d), on.sum(beta));
            },
            d);
      });
    }
  }
}

ALBEF_CUDA_CASE("drawing negatives") {
  using A = accumulator_t<T>;
  for (const int n : {2, 5, 33, 70}) {
    CAPTURE(n);
    auto logits = Matrix<T>::random(n, n + 9, 0, 2);
    std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) ids[static_cast<std::size_t>(i)] = n == 5 ? 1 : i % (n / 2 + 1);
    Array<std::int64_t> identities(ids);  // with n = 5 nothing is left to choose
    Array<std::int32_t> index(std::vector<std::int32_t>(static_cast<std::size_t>(n), -5));
    Matrix<A> weights(n, n);
    for (const int kind : {0, 1, 2, 3})
      compare<T>(
          20 * tolerance<A>,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            albef::NegativeArgs<R> a;
            a.logits = on(logits);
            a.n = n;
            a.uniform = kind % 2 == 0;
            a.epsilon = 1e-4f;
            if (kind > 1) a.identities = on(identities);
            a.philox = {static_cast<std::uint64_t>(kind)}, a.stream = 9;
            a.index = on(index);
            a.weights = on.data(weights);
            sample_negatives(on.device, a);
          },
          index, weights);
  }
}

ALBEF_CUDA_CASE("token embeddings") {
  using A = accumulator_t<T>;
  for (const int cols : {3, 64}) {
    Lengths lengths({3, 0, 5, 1, 4}, 3);
    const int vocabulary = 6, positions = 7;
    std::vector<std::int32_t> words(static_cast<std::size_t>(lengths.total));
    for (int r = 0; r < lengths.total; ++r) words[static_cast<std::size_t>(r)] = r * r % 5;
    Array<std::int32_t> ids(words);
    auto word = Matrix<T>::random(vocabulary, cols), position = Matrix<T>::random(positions, cols);
    auto type = Matrix<T>::random(2, cols);
    Matrix<T> y(lengths.total, cols);
    y.set(undefined);
    compare<T>(
        tolerance<T>,
        [&](auto on) {
          using R = typename decltype(on)::Real;
          albef::EmbeddingArgs<R> a;
          a.ids = on(ids), a.seq = on(lengths), a.y = on(y);
          a.word = on.data(word), a.position = on.data(position), a.type = on.data(type);
          embedding_forward(on.device, a);
        },
        y);
    auto dy = Matrix<T>::random(lengths.total, cols);
    const int valid = lengths.total - 3;
    dy.set([&](int i, int j) { return i < valid ? dy.start(i, j) : 0.0; });
    auto dword = Matrix<A>::random(vocabulary, cols),
         dposition = Matrix<A>::random(positions, cols);
    auto dtype = Matrix<A>::random(2, cols);
    compare<T>(
        20 * tolerance<A>,
        [&](auto on) {
          using R = typename decltype(on)::Real;
          albef::EmbeddingGradArgs<R> a;
          a.ids = on(ids), a.seq = on(lengths), a.dy = on(dy), a.vocabulary = vocabulary;
          a.word = on.data(dword), a.position = on.data(dposition), a.type = on.data(dtype);
          embedding_backward(on.device, a);
        },
        dword, dposition, dtype);
  }
}

ALBEF_CUDA_CASE("rows gathered and scattered") {
  for (const auto [rows, cols, gap] : shapes) {
    CAPTURE(cols);
    auto x = Matrix<T>::random(rows, cols, gap);
    std::vector<std::int32_t> from(600);  // longer than a block's stretch, with repetitions
    for (std::size_t i = 0; i < from.size(); ++i)
      from[i] =
          i % 11 == 4 ? -1 : static_cast<std::int32_t>(i * i / 3 % static_cast<std::size_t>(rows));
    Array<std::int32_t> index(from);
    Matrix<T> y(600, cols, gap);
    compare<T>(
        0, [&](auto on) { gather_rows(on.device, on(x), on(index), on(y)); }, y);
    auto many = Matrix<T>::random(600, cols, gap);
    auto sums = Matrix<T>::random(rows, cols, gap);
    compare<T>(
        20 * tolerance<T>,
        [&](auto on) { scatter_add_rows(on.device, on(many), on(index), on(sums)); }, sums);
  }
}

ALBEF_CUDA_CASE("images: normalisation and patches") {
  constexpr double mean[] = {0.5, 0.25, 0.4, 0.1, 0.3}, std[] = {0.25, 0.3, 0.2, 0.5, 0.1};
  constexpr albef::PatchGrid grids[] = {
      {.images = 3, .channels = 3, .height = 8, .width = 8, .patch = 4},
      {.images = 3, .channels = 3, .height = 16, .width = 24, .patch = 8},
      {.images = 3, .channels = 1, .height = 12, .width = 4, .patch = 4},
      {.images = 2, .channels = 5, .height = 4, .width = 8, .patch = 2},
      {.images = 3, .channels = 4, .height = 9, .width = 15, .patch = 3}};
  for (const auto& grid : grids) {
    CAPTURE(grid.channels);
    const auto channels = static_cast<std::size_t>(grid.channels);
    const albef::ImageStatistics statistics{std::span(mean, channels), std::span(std, channels)};
    const int pixels = grid.channels * grid.pixels();
    std::vector<std::uint8_t> values(static_cast<std::size_t>(grid.images * pixels));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i * 37);
    Array<std::uint8_t> bytes(values);
    for (const int gap : {0, 5}) {
      Matrix<T> image(grid.images, pixels, gap);
      compare<T>(
          tolerance<T>,
          [&](auto on) { normalize_images(on.device, on(bytes), grid, statistics, on(image)); },
          image);
      auto source = Matrix<T>::random(grid.images, pixels, gap);
      Matrix<T> patches(grid.images * grid.patches(), grid.values(), gap);
      compare<T>(
          0, [&](auto on) { patchify(on.device, on(source), grid, on(patches)); }, patches);
      auto values_of = Matrix<T>::random(grid.images * grid.patches(), grid.values(), gap);
      for_betas(image, [&](float beta) {
        compare<T>(
            tolerance<T>,
            [&](auto on) { unpatchify(on.device, on(values_of), grid, on(image), on.sum(beta)); },
            image);
      });
    }
  }
}

ALBEF_CUDA_CASE("a grid of rows resized, and the transpose") {
  using A = accumulator_t<T>;
  constexpr albef::GridResize grids[] = {{4, 4, 6, 6}, {4, 4, 3, 3}, {2, 2, 7, 5},
                                         {5, 3, 1, 8}, {1, 6, 4, 4}, {3, 3, 3, 9}};
  for (const auto& grid : grids)
    for (const auto& [cols, gap] : {std::pair{48, 0}, std::pair{33, 2}}) {
      CAPTURE(grid.rows());
      auto x = Matrix<T>::random(grid.from_rows(), cols, gap);
      Matrix<T> y(grid.rows(), cols, gap);
      y.set(undefined);
      compare<T>(
          4 * tolerance<T>, [&](auto on) { resize_grid_forward(on.device, on(x), grid, on(y)); },
          y);
      auto dy = Matrix<A>::random(grid.rows(), cols, gap);
      Matrix<A> dx(grid.from_rows(), cols, gap);
      for_betas(dx, [&](float beta) {
        compare<T>(
            20 * tolerance<A>,
            [&](auto on) { resize_grid_backward(on.device, on(dy), grid, on(dx), on.sum(beta)); },
            dx);
      });
    }
}

ALBEF_CUDA_CASE("AdamW with moving average, copies and clipping") {
  using A = accumulator_t<T>;
  const int size = 5000;
  auto param = Matrix<A>::random(1, size), grad = Matrix<A>::random(1, size);
  auto m = Matrix<A>::random(1, size, 0, 0.1), v = Matrix<A>::random(1, size);
  auto ema = Matrix<A>::random(1, size);
  v.set([&](int, int j) { return std::abs(v.start(0, j)); });
  Matrix<T> copy(1, size), ema_copy(1, size);
  Array<double> norm({undefined});
  std::vector<albef::AdamWRun> runs{
      {.offset = 3, .size = 2, .weight_decay = 0.02, .correction1 = 0.1, .correction2 = 0.001},
      {.offset = 5, .size = 2998, .correction1 = 0.2, .correction2 = 0.002},
      {.offset = 3003, .size = 1000, .touched = false}};
  for (int i = 0; i < 70; ++i)  // more runs than one launch takes
    runs.push_back({.offset = 4003 + 12 * i, .size = 11, .correction1 = 0.5, .correction2 = 0.01});
  for (const int kind : {0, 1, 2, 3, 4}) {  // plain, all extras, clipping, groups, not finite
    compare<T>(
        tolerance<T>,
        [&](auto on) {
          using R = typename decltype(on)::Real;
          using S = typename decltype(on)::Sum;
          squared_norm(on.device, static_cast<const S*>(on.data(grad)), size, on(norm), 0.0);
          albef::AdamWArgs<S, R> a;
          a.param = on.data(param), a.grad = on.data(grad);
          a.exp_avg = on.data(m), a.exp_avg_sq = on.data(v);
          if (kind > 0) {
            a.ema = on.data(ema), a.copy = on.data(copy), a.ema_copy = on.data(ema_copy);
            a.momentum = 0.9;
          }
          if (kind > 1) a.square_norm = on(norm);
          auto own = runs;
          for (std::size_t i = 0; i < own.size() && kind > 1; ++i) {
            own[i].square_norm = on(norm), own[i].max_norm = 3;
            if (kind < 3) continue;
            own[i].max_norm = i % 20 < 10 ? 3 + 0.1 * static_cast<double>(i) : 0;
            if (own[i].max_norm == 0) own[i].square_norm = nullptr;
            own[i].lr_factor = 0.5 + 0.1 * static_cast<double>(i);
            if (i > 2) own[i].shift = 64;  // into what the run that is not touched leaves alone
          }
          if (kind == 4) fill(on.device, on(norm), std::numeric_limits<double>::infinity(), 1);
          a.runs = own;
          a.lr = 1e-2, a.grad_scale = 0.5;
          adamw_update(on.device, a);
        },
        param, m, v, ema, copy, ema_copy);
  }
}

ALBEF_CUDA_CASE("moving average, norm and clamp of flat arrays") {
  using A = accumulator_t<T>;
  for (const int size : {1, 7, 1024, 4099}) {
    auto x = Matrix<A>::random(1, size), ema = Matrix<A>::random(1, size);
    compare<T>(
        tolerance<A>,
        [&](auto on) {
          using S = typename decltype(on)::Sum;
          ema_update(on.device, on.data(ema), static_cast<const S*>(on.data(x)), size, 0.99);
          clamp(on.device, on.data(x), size, S(-0.5), S(0.75));
        },
        ema, x);
    for (const double beta : {0.0, 1.0}) {
      Matrix<double> norm(1, 1);
      norm.set(beta == 0 ? undefined : 3.0);
      compare<T>(
          20 * tolerance<A>,
          [&](auto on) {
            using S = typename decltype(on)::Sum;
            squared_norm(on.device, static_cast<const S*>(on.data(x)), size, on.data(norm), beta);
          },
          norm);
    }
  }
}

TEST_CASE("row numbers of sequences, selections and pairs" * doctest::skip(no_test_device())) {
  Lengths lengths({3, 0, 5, 1, 40, 2});
  Array<std::int32_t> begins(std::vector<std::int32_t>(6, -7));
  compare<float>(
      0, [&](auto on) { first_rows(on.device, on(lengths), on(begins)); }, begins);

  std::vector<std::int32_t> chosen;
  for (int i = 0; i < 67; ++i) chosen.push_back(i * i % 6);
  Array<std::int32_t> index(chosen);
  int total = 0;
  for (const auto s : chosen) total += lengths.at(lengths.offsets.host()).length(s);
  Array<std::int32_t> offsets(std::vector<std::int32_t>(68, -7));
  Array<std::int32_t> rows(std::vector<std::int32_t>(static_cast<std::size_t>(total + 5), -1));
  compare<float>(
      0,
      [&](auto on) {
        const auto s = select_sequences(on.device, on(lengths), on(index), 67, total + 5,
                                        on(offsets), on(rows));
        CHECK(s.count == 67);
        CHECK(s.max_length() == 40);
        CHECK(s.rows() <= total + 5);
      },
      offsets, rows);

  Array<std::int32_t> negative_image({2, 0, 1}), negative_text({1, 2, 0});
  Array<std::int32_t> text(std::vector<std::int32_t>(9)), image(std::vector<std::int32_t>(9));
  compare<float>(
      0,
      [&](auto on) {
        pair_indices(on.device, 3, on(negative_image), on(negative_text), on(text), on(image));
      },
      text, image);
}
