// Similarity matrices and cross entropy: values against the definition, gradients.
#include "albef/ops/attention.hpp"
#include "albef/ops/cross_entropy.hpp"
#include "albef/ops/self_distillation.hpp"
#include "albef/ops/similarity.hpp"
#include "op_fixture.hpp"

using namespace ops_test;

namespace {

constexpr int any = albef::dynamic_width;

Values plain_softmax(const double* x, int n) {
  Values p(x, x + n);
  const double high = *std::max_element(p.begin(), p.end());
  double total = 0;
  for (double& v : p) total += v = std::exp(v - high);
  for (double& v : p) v /= total;
  return p;
}

/// Mean of -sum target log softmax(logits) over rows, by the definition.
double plain_cross_entropy(const Values& logits, const Values& teacher, const Indices& labels,
                           int cols, double alpha) {
  double loss = 0;
  for (std::size_t r = 0; r < labels.size(); ++r) {
    const auto first = static_cast<std::ptrdiff_t>(r) * cols;
    const Values p = plain_softmax(logits.data() + first, cols);
    Values target(p.size(), 0.0);
    if (alpha > 0) target = plain_softmax(teacher.data() + first, cols);
    for (double& t : target) t *= alpha;
    target[static_cast<std::size_t>(labels[r])] += 1 - alpha;
    for (std::size_t v = 0; v < p.size(); ++v)
      loss -= target[v] * std::log(p[v]) / static_cast<double>(labels.size());
  }
  return loss;
}

const Indices labels{2, 0, 16};

/// Cross entropy of logits (3, 17) against labels and a fixed teacher.
auto mixed(double alpha) {
  return [alpha](auto& ctx, const auto&, const auto& x) {
    albef::SoftTargets<double> targets{.labels = ctx.upload(labels), .alpha = alpha};
    targets.teacher = albef::mat(ctx.upload(random_values(3 * 17, 9)), 3, 17);
    return albef::cross_entropy(ctx, x, targets, 0.5);
  };
}

}  // namespace

TEST_CASE("matmul_nt: values and gradients, also of a matrix with itself") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto a = bench.input<2>(Values{1, 2, 3, 4}, albef::batch_of(2));
  const auto b = bench.input<2>(Values{1, 0, 0, 1, 1, 1}, albef::batch_of(3));
  const auto y = albef::matmul_nt(ctx, a, b);
  CHECK(y.cols == 3);
  CHECK(ctx.read(y) == Values{1, 2, 3, 3, 4, 7});
  const auto product = [](auto& c, const auto&, const auto& s, const auto& t) {
    return albef::matmul_nt(c, s, t);
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, product, vectors<6>(3), vectors<6>(5)));
  const auto gram = [](auto& c, const auto&, const auto& s) { return albef::matmul_nt(c, s, s); };
  CHECK(gradcheck<Cpu>(NoParameters{}, gram, vectors<6>(3)));
}

TEST_CASE("similarity to a batch and a queue: values and gradients, with and without a queue") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto a = bench.input<2>(Values{1, 2, 3, 4}, albef::batch_of(2));
  const Values keys{1, 0, 0, 1}, queue{1, 1, 2, 2, -1, 0};
  CHECK(ctx.read(albef::similarity(ctx, a, albef::mat(keys.data(), 2, 2),
                                   albef::mat(queue.data(), 3, 2))) ==
        Values{1, 2, 3, 6, -1, 3, 4, 7, 14, -3});
  for (const int q : {0, 4}) {
    const auto f = [q](auto& c, const auto&, const auto& x) {
      const auto* k = c.upload(random_values(3 * 6, 1));
      const auto* rows = c.upload(random_values(q * 6, 2));
      const auto y = albef::similarity(c, x, albef::mat(k, 3, 6), albef::mat(rows, q, 6));
      return albef::matmul_nt(c, y, y);
    };
    CHECK(gradcheck<Cpu>(NoParameters{}, f, vectors<6>(3)));
  }
}

TEST_CASE("cross_entropy: values for labels, a teacher, and both") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const Values x = random_values(3 * 17), teacher = random_values(3 * 17, 9);
  const auto logits = bench.input<any>(x, albef::batch_of(3), 17);
  for (const double alpha : {0.0, 0.4, 1.0})
    CHECK(ctx.item(mixed(alpha)(ctx, NoParameters{}, logits)) ==
          doctest::Approx(0.5 * plain_cross_entropy(x, teacher, labels, 17, alpha)).epsilon(1e-12));
  // Without labels row r has label r.
  CHECK(ctx.item(albef::cross_entropy(ctx, logits, albef::SoftTargets<double>{})) ==
        doctest::Approx(plain_cross_entropy(x, teacher, {0, 1, 2}, 17, 0)).epsilon(1e-12));
}

TEST_CASE("cross_entropy does not depend on a shift of the logits or of the teacher") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto loss = [&](double shift) {
    Values x = random_values(3 * 17), teacher = random_values(3 * 17, 9);
    for (Values* values : {&x, &teacher})
      for (double& v : *values) v += shift;
    albef::SoftTargets<double> targets{.labels = labels.data(), .alpha = 0.4};
    targets.teacher = albef::mat(ctx.upload(teacher), 3, 17);
    const auto logits = bench.input<any>(x, albef::batch_of(3), 17);
    return ctx.item(albef::cross_entropy(ctx, logits, targets));
  };
  for (const double shift : {-5000.0, -800.0, 800.0})
    CHECK(loss(shift) == doctest::Approx(loss(0)).epsilon(1e-9));
}

TEST_CASE("cross_entropy: gradients") {
  for (const double alpha : {0.0, 0.4, 1.0})
    CHECK(gradcheck<Cpu>(NoParameters{}, mixed(alpha), vectors<any>(3, 17)));
  const auto diagonal = [](auto& ctx, const auto&, const auto& x) {
    return albef::cross_entropy(ctx, x, albef::SoftTargets<double>{});
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, diagonal, vectors<5>(4)));
}

TEST_CASE("cross_entropy: rows with a negative label are padding") {
  const auto padded = [](auto& ctx, const auto&, const auto& x) {
    albef::SoftTargets<double> targets{.labels = ctx.upload(Indices{2, -1, 16, -1}), .alpha = 0.4};
    targets.teacher = albef::mat(ctx.upload(random_values(4 * 17, 9)), 4, 17);
    targets.mean = ctx.upload(Values{0.5});
    return albef::cross_entropy(ctx, x, targets);
  };
  Bench<NoParameters> bench;
  const Values x = random_values(4 * 17), teacher = random_values(4 * 17, 9);
  Values rows, soft;
  for (const std::ptrdiff_t r : {0, 2}) {
    rows.insert(rows.end(), x.begin() + r * 17, x.begin() + (r + 1) * 17);
    soft.insert(soft.end(), teacher.begin() + r * 17, teacher.begin() + (r + 1) * 17);
  }
  const auto logits = bench.input<any>(x, albef::batch_of(4), 17);
  CHECK(bench.ctx.item(padded(bench.ctx, bench.model, logits)) ==
        doctest::Approx(plain_cross_entropy(rows, soft, {2, 16}, 17, 0.4)).epsilon(1e-12));
  CHECK(gradcheck<Cpu>(NoParameters{}, padded, vectors<any>(4, 17)));
}

TEST_CASE("cross_entropy: identities and row weights; label_losses are the rows' losses") {
  const auto shared = [](auto& ctx, const auto&, const auto& x) {
    albef::SoftTargets<double> targets{
        .row_identities = ctx.upload(std::vector<std::int64_t>{7, 9, 7}),
        .column_identities = ctx.upload(std::vector<std::int64_t>{7, 9, 1, 7, -100, 9, 9, 3}),
        .weights = ctx.upload(Values{0.5, 2, 1}),
        .alpha = 0.4};
    targets.teacher = albef::mat(ctx.upload(random_values(3 * 8, 9)), 3, 8);
    return albef::cross_entropy(ctx, x, targets);
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, shared, vectors<any>(3, 8)));

  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const Values x = random_values(3 * 17);
  const auto logits = bench.input<any>(x, albef::batch_of(3), 17);
  const double* rows = albef::label_losses(ctx, logits, labels.data());
  for (std::size_t r = 0; r < 3; ++r) {
    const auto begin = x.begin() + static_cast<std::ptrdiff_t>(r) * 17;
    CHECK(rows[r] ==
          doctest::Approx(plain_cross_entropy(Values(begin, begin + 17), {}, {labels[r]}, 17, 0)));
  }
}

TEST_CASE("cross_entropy: labels outside the columns, teachers of another shape, missing columns") {
  Bench<NoParameters> b;
  const auto logits = b.input<any>(random_values(6), albef::batch_of(3), 2);
  const auto loss = [&](const Indices& wrong) {
    return albef::cross_entropy(b.ctx, logits,
                                albef::SoftTargets<double>{.labels = b.ctx.upload(wrong)});
  };
  CHECK_THROWS_WITH_AS(loss({0, 2, 1}),
                       "[cross_entropy] row 1 has label 2, expected 0 to 1, or -1 for padding",
                       albef::Error);
  CHECK_THROWS_AS(loss({0, 1, -100}), albef::Error);
  CHECK_THROWS_WITH_AS(albef::cross_entropy(b.ctx, logits, albef::SoftTargets<double>{}),
                       "[cross_entropy] row r has label r, but there are 3 rows and 2 columns",
                       albef::Error);
  const Indices fine{0, 1, -1};
  albef::SoftTargets<double> targets{.labels = fine.data(), .alpha = 0.5};
  CHECK_THROWS_WITH_AS(albef::cross_entropy(b.ctx, logits, targets),
                       "[cross_entropy] the teacher's logits are (0, 0), expected (3, 2)",
                       albef::Error);
  CHECK(std::isfinite(b.ctx.item(loss(fine))));
}

TEST_CASE("matmul_nt and similarity of rows of different widths; attention of unequal batches") {
  Bench<NoParameters> b;
  const auto two = b.input<any>(random_values(4), albef::batch_of(2), 2),
             three = b.input<any>(random_values(6), albef::batch_of(2), 3);
  CHECK_THROWS_WITH_AS(albef::matmul_nt(b.ctx, two, three),
                       "[matmul_nt] got rows of 2 and 3 values", albef::Error);
  CHECK_THROWS_WITH_AS(albef::similarity(b.ctx, two, three.mat(), {}),
                       "[similarity] got keys 3 and a queue 0 wide, expected 2", albef::Error);
  const auto q = b.input<4>(random_values(8), albef::batch_of(2));
  const auto kv = b.input<8>(random_values(24), albef::batch_of(3));
  CHECK_THROWS_WITH_AS(albef::cross_attention(b.ctx, q, kv, nullptr, 2, 0.0f),
                       "[cross_attention] got 2 sequences of queries and 3 of keys and values",
                       albef::Error);
  CHECK_THROWS_WITH_AS(albef::cross_attention(b.ctx, q, kv, nullptr, 3, 0.0f),
                       "[cross_attention] a width of 4 is not a multiple of 3 heads", albef::Error);
}

TEST_CASE("cross_entropy of no rows is 0 and passes no gradient on") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto logits = bench.input<5>(Values{}, albef::batch_of(0));
  const auto loss = albef::cross_entropy(ctx, logits, albef::SoftTargets<double>{});
  CHECK(ctx.item(loss) == 0);
  ctx.backward(loss);
}

TEST_CASE("self_distillation: value by the definition, gradients, collapsed outputs") {
  constexpr int batch = 2, views = 4, taught = 2, k = 5;
  constexpr double student_temp = 0.3, teacher_temp = 0.2;
  const Values student = random_values(batch * views * k),
               teacher = random_values(batch * taught * k, 5);
  const Values center = random_values(k, 11);
  const auto probabilities = [&](const Values& x, int row, double temp, bool centred) {
    Values scaled;
    for (std::size_t j = 0; j < k; ++j)
      scaled.push_back((x[static_cast<std::size_t>(row * k) + j] - (centred ? center[j] : 0)) /
                       temp);
    return plain_softmax(scaled.data(), k);
  };
  double expected = 0;
  int pairs = 0;
  for (int t = 0; t < taught; ++t)
    for (int v = 0; v < views; ++v) {
      if (v == t) continue;
      ++pairs;
      for (int b = 0; b < batch; ++b) {
        const Values q = probabilities(teacher, t * batch + b, teacher_temp, true);
        const Values p = probabilities(student, v * batch + b, student_temp, false);
        for (std::size_t j = 0; j < k; ++j) expected -= q[j] * std::log(p[j]) / batch;
      }
    }
  const auto loss = [&](auto& ctx, const auto&, const auto& x) {
    return albef::self_distillation(ctx, x, albef::mat(ctx.upload(teacher), batch * taught, k),
                                    ctx.upload(center), batch, student_temp, teacher_temp);
  };
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto x = bench.input<k>(student, albef::batch_of(batch * views));
  CHECK(ctx.item(loss(ctx, NoParameters{}, x)) == doctest::Approx(expected / pairs));
  CHECK(gradcheck<Cpu>(NoParameters{}, loss, vectors<k>(batch * views)));
  // All outputs alike: log(k).
  const auto flat = bench.input<k>(Values(batch * views * k, 0.5), albef::batch_of(batch * views));
  CHECK(ctx.item(loss(ctx, NoParameters{}, flat)) == doctest::Approx(std::log(double{k})));
  const Values one(k);
  CHECK_THROWS_WITH_AS(
      albef::self_distillation(ctx, flat, albef::mat(one.data(), 1, k), one.data(), 2, 1, 1),
      "[self_distillation] got logits (8, 5) of the student and (1, 5) of the teacher for 2 "
      "examples",
      albef::Error);
}
