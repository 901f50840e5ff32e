// The CPU product engine against plain loops in double, over shapes, layouts and epilogues;
// bit-equal results for any number of threads.
#include "albef/cpu/gemm.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "albef/core/rng.hpp"

namespace {

using albef::Mat;
using albef::primitive::Gemm;

struct Shape {
  int m, n, k;
  bool transpose_a = false, transpose_b = false;
};

/// Operands of one product with room between rows, and a canary behind every row of c.
template <class T>
struct Problem {
  static constexpr int gap = 3;
  std::vector<T> a, b, c, pre, bias;
  Gemm<T> args;

  Problem(Shape s, std::uint64_t seed) {
    albef::RandomStream random(seed, 0);
    const auto fill = [&](std::vector<T>& x, int rows, int cols) {
      x.resize(static_cast<std::size_t>(rows * (cols + gap)));
      for (auto& v : x) v = static_cast<T>(random.uniform(-1.0f, 1.0f));
      return Mat<T>{x.data(), rows, cols, cols + gap};
    };
    args.a = s.transpose_a ? fill(a, s.k, s.m) : fill(a, s.m, s.k);
    args.b = s.transpose_b ? fill(b, s.n, s.k) : fill(b, s.k, s.n);
    args.c = fill(c, s.m, s.n);
    args.pre = fill(pre, s.m, s.n);
    fill(bias, 1, s.n);
    args.transpose_a = s.transpose_a;
    args.transpose_b = s.transpose_b;
  }
  /// The same problem in double.
  Problem<double> widened() const {
    Problem<double> w;
    const auto copy = [](const std::vector<T>& x) {
      return std::vector<double>(x.begin(), x.end());
    };
    w.a = copy(a), w.b = copy(b), w.c = copy(c), w.pre = copy(pre), w.bias = copy(bias);
    auto& g = w.args;
    g.a = {w.a.data(), args.a.rows, args.a.cols, args.a.stride};
    g.b = {w.b.data(), args.b.rows, args.b.cols, args.b.stride};
    g.c = {w.c.data(), args.c.rows, args.c.cols, args.c.stride};
    if (args.pre.data) g.pre = {w.pre.data(), args.pre.rows, args.pre.cols, args.pre.stride};
    if (args.bias) g.bias = w.bias.data();
    g.transpose_a = args.transpose_a, g.transpose_b = args.transpose_b;
    g.alpha = static_cast<double>(args.alpha), g.beta = static_cast<double>(args.beta);
    g.gelu = args.gelu;
    return w;
  }
  Problem() = default;
  Problem(const Problem&) = delete;
  Problem(Problem&&) = default;
};

template <class T>
void check_close(const std::vector<T>& got, const std::vector<double>& expected, double tolerance) {
  REQUIRE(got.size() == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::fabs(static_cast<double>(got[i]) - expected[i]);
    if (!(error <= worst)) worst = error;
  }
  CHECK(worst <= tolerance);
}

/// Sums of k products of uniform numbers.
template <class T>
double tolerance(int k) {
  const double unit = sizeof(T) == 4 ? 6e-8 : 1.2e-16;
  return unit * (20 + k);
}

void plain_product(const Gemm<double>& g) {
  const int depth = g.transpose_a ? g.a.rows : g.a.cols;
  for (int i = 0; i < g.c.rows; ++i) {
    for (int j = 0; j < g.c.cols; ++j) {
      double z = g.beta == 0 ? 0 : g.beta * g.c.row(i)[j];
      for (int p = 0; p < depth; ++p)
        z += g.alpha * (g.transpose_a ? g.a.row(p)[i] : g.a.row(i)[p]) *
             (g.transpose_b ? g.b.row(j)[p] : g.b.row(p)[j]);
      if (g.bias) z += g.bias[j];
      if (g.gelu && g.pre.data) g.pre.row(i)[j] = z;
      g.c.row(i)[j] = g.gelu ? z * std::erfc(-z / std::sqrt(2.0)) / 2 : z;
    }
  }
}

enum class Epilogue { none, accumulate, bias, gelu, everything };

template <class T>
void check_product(albef::Cpu& cpu, Shape s, Epilogue epilogue) {
  CAPTURE(s.m);
  CAPTURE(s.n);
  CAPTURE(s.k);
  CAPTURE(s.transpose_a);
  CAPTURE(s.transpose_b);
  CAPTURE(static_cast<int>(epilogue));
  Problem<T> p(s, 7);
  auto& g = p.args;
  const bool all = epilogue == Epilogue::everything;
  if (epilogue == Epilogue::accumulate || all) g.alpha = T(0.5), g.beta = T(-0.75);
  if (epilogue == Epilogue::bias || epilogue == Epilogue::gelu || all) g.bias = p.bias.data();
  g.gelu = epilogue == Epilogue::gelu || all;
  if (epilogue == Epilogue::gelu) g.pre = {};
  if (g.beta == T(0))  // c must not be read
    for (int i = 0; i < s.m; ++i)
      for (int j = 0; j < s.n; ++j) g.c.row(i)[j] = std::numeric_limits<T>::quiet_NaN();
  Problem<double> reference = p.widened();
  const std::vector<T> c_before = p.c;

  run(cpu, g);
  plain_product(reference.args);
  check_close(p.c, reference.c, tolerance<T>(s.k));
  check_close(p.pre, reference.pre, tolerance<T>(s.k));

  const std::vector<T> parallel = p.c;
  p.c = c_before;
  std::vector<T> workspace(albef::gemm_workspace<T>(s.m, s.n, s.k));
  albef::gemm_serial(g, workspace.data());
  CHECK(p.c == parallel);
}

}  // namespace

TEST_CASE_TEMPLATE("gemm equals plain loops in double", T, float, double) {
  albef::Cpu cpu(2);
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const int m : {1, 2, 5, 12, 13, 61})
        for (const int n : {1, 2, 16, 31, 32, 75})
          for (const int k : {0, 1, 3, 16, 50})
            check_product<T>(cpu, {m, n, k, ta, tb}, Epilogue::everything);
      // More than one slice, more than one block, split by rows or by columns.
      for (const auto e : {Epilogue::none, Epilogue::accumulate, Epilogue::bias, Epilogue::gelu,
                           Epilogue::everything})
        check_product<T>(cpu, {50, 70, 400, ta, tb}, e);
      check_product<T>(cpu, {270, 150, 385, ta, tb}, Epilogue::everything);
      check_product<T>(cpu, {9, 530, 800, ta, tb}, Epilogue::everything);
      check_product<T>(cpu, {3, 4200, 60, ta, tb}, Epilogue::everything);
    }
  }
}

TEST_CASE("gemm with nothing to do leaves memory alone") {
  albef::Cpu cpu(1);
  float c = 3;
  Gemm<float> g;
  g.a = {nullptr, 0, 4, 4}, g.b = {nullptr, 4, 1, 1}, g.c = {&c, 0, 1, 1};
  run(cpu, g);
  g.a = {nullptr, 1, 4, 4}, g.b = {nullptr, 4, 0, 0}, g.c = {&c, 1, 0, 1};
  run(cpu, g);
  CHECK(c == 3);
}

TEST_CASE("gemm refuses shapes that do not fit") {
  albef::Cpu cpu(1);
  float x[12] = {};
  Gemm<float> g;
  g.a = albef::mat<const float>(x, 2, 3), g.b = albef::mat<const float>(x, 4, 3);
  g.c = albef::mat(x, 2, 4);
  CHECK_THROWS_WITH_AS(run(cpu, g), "[gemm] (2, 3) x (4, 3) does not give (2, 4)", albef::Error);
}

TEST_CASE_TEMPLATE("gemm is bit-equal for every number of threads", T, float, double) {
  albef::Cpu one(1), two(2), three(3);
  for (const Shape s : {Shape{300, 200, 770, false, true}, Shape{7, 900, 100, false, false},
                        Shape{64, 96, 1500, true, false}}) {
    std::vector<T> results[3];
    albef::Cpu* devices[] = {&one, &two, &three};
    for (int i = 0; i < 3; ++i) {
      Problem<T> p(s, 11);
      p.args.bias = p.bias.data();
      p.args.gelu = true;
      run(*devices[i], p.args);
      results[i] = p.c;
      results[i].insert(results[i].end(), p.pre.begin(), p.pre.end());
    }
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
  }
}

TEST_CASE("elementary functions of packs are accurate") {
  using P = albef::Pack<float>;
  double exp_error = 0, erf_error = 0, gelu_error = 0, slope_error = 0;
  for (int i = -6000; i <= 6000; ++i) {
    const float x = static_cast<float>(i) * 0.00137f;
    const double d = static_cast<double>(x), phi = 0.5 * std::erfc(-d / std::sqrt(2.0));
    const auto error = [](P got, double expected) {
      return std::fabs(static_cast<double>(got.v[0]) - expected);
    };
    const double power = std::exp(static_cast<double>(10 * x));
    exp_error = std::fmax(exp_error, error(exp(P(10 * x)), power) / power);
    erf_error = std::fmax(erf_error, error(erf(P(x)), std::erf(d)));
    gelu_error =
        std::fmax(gelu_error, error(albef::gelu(P(x)), d * phi) / std::fmax(1, std::fabs(d)));
    const double slope = phi + d * std::exp(-d * d / 2) / std::sqrt(2 * std::acos(-1.0));
    slope_error = std::fmax(slope_error, error(albef::gelu_derivative(P(x)), slope));
  }
  CHECK(exp_error < 1.5e-7);
  CHECK(erf_error < 1.6e-7);
  CHECK(gelu_error < 1.2e-7);
  CHECK(slope_error < 2e-7);
  CHECK(exp(P(-1000.0f)).v[0] == 0.0f);
  CHECK(exp(P(0.0f)).v[0] == 1.0f);
  CHECK(std::isinf(exp(P(100.0f)).v[0]));
  CHECK(std::isnan(exp(P(std::nanf(""))).v[0]));
  CHECK(std::isnan(albef::gelu(P(std::nanf(""))).v[0]));
  CHECK(std::fabs(albef::gelu(P(-300.0f)).v[0]) < 1e-30f);
  CHECK(albef::gelu(P(300.0f)).v[0] == 300.0f);
}

TEST_CASE_TEMPLATE("partial loads and stores touch the first n lanes only", T, float, double) {
  using P = albef::Pack<T>;
  std::vector<T> from(static_cast<std::size_t>(P::width)), to(from.size() + 1);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<T>(i + 1);
  for (int n = 0; n <= P::width; ++n) {
    std::fill(to.begin(), to.end(), T(-1));
    const std::vector<T> exact(from.begin(), from.begin() + n);  // a sanitizer sees reads behind it
    const P x = P::load_n(exact.data(), n);
    x.store_n(to.data(), n);
    CHECK(sum(x) == static_cast<T>(n * (n + 1) / 2));
    CHECK(max(x) == static_cast<T>(n));
    for (int i = 0; i <= P::width; ++i)
      CHECK(to[static_cast<std::size_t>(i)] == (i < n ? static_cast<T>(i + 1) : T(-1)));
  }
}
