// Sums, dropout, scaling by learned scalars: values and gradients.
#include "albef/ops/elementwise.hpp"

#include <cmath>

#include "albef/ops/similarity.hpp"
#include "op_fixture.hpp"

using namespace ops_test;

namespace {

struct Scalar {
  Param<> s{albef::init::constant(0.7f)};
  static constexpr void fields(auto& m, auto&& f) { f("s", m.s); }
};

}  // namespace

TEST_CASE("add: gradients, of a value used several times") {
  const auto sum = [](auto& ctx, const auto&, const auto& a, const auto& b) {
    return add(ctx, a, b);
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, sum, sequences<5>(2, 3), sequences<5>(2, 3)));
  const auto chain = [](auto& ctx, const auto&, const auto& a, const auto& b) {
    const auto c = add(ctx, a, b);
    const auto d = add(ctx, c, c);
    return albef::matmul_nt(ctx, add(ctx, d, a), add(ctx, a, c));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, chain, vectors<5>(3), vectors<5>(3)));
}

TEST_CASE("add_scaled: values and gradients") {
  Bench<NoParameters> bench;
  const auto a = bench.input<2>(Values{1, -2}, albef::batch_of(1));
  const auto b = bench.input<2>(Values{4, 8}, albef::batch_of(1));
  CHECK(bench.ctx.read(albef::add_scaled(bench.ctx, a, b, 0.25)) == Values{2, 0});
  const auto f = [](auto& ctx, const auto&, const auto& x, const auto& y) {
    return add(ctx, albef::add_scaled(ctx, x, y, 0.3), albef::add_scaled(ctx, y, y, -2));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, f, sequences<5>(2, 3), sequences<5>(2, 3)));
}

TEST_CASE("binarize: values, and the gradient of tanh") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const Values x{-2, -0.0, 0, 0.5}, weights{3, 4, 5, 6};
  const auto in = bench.input<4>(x, albef::batch_of(1));
  const auto y = albef::binarize(ctx, in);
  CHECK(ctx.read(y) == Values{-1, 1, 1, 1});
  ctx.backward(weighted_sum(ctx, y, ctx.upload(weights)));
  Values want;
  for (std::size_t i = 0; i < x.size(); ++i)
    want.push_back(weights[i] * (1 - std::tanh(x[i]) * std::tanh(x[i])));
  CHECK(max_difference(ctx.gradient(in), want) < 1e-13);
}

TEST_CASE("mean_squared_error: value and gradients") {
  Bench<NoParameters> bench;
  const auto a = bench.input<2>(Values{1, -2, 0, 4}, albef::batch_of(2));
  const auto b = bench.input<2>(Values{1, 0, 3, 4}, albef::batch_of(2));
  CHECK(bench.ctx.item(albef::mean_squared_error(bench.ctx, a, b)) == doctest::Approx(13.0 / 4));
  const auto f = [](auto& ctx, const auto&, const auto& x) {
    const auto target = ctx.template constant<5>(ctx.upload(random_values(30)), x.seq);
    return albef::mean_squared_error(ctx, x, target);
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, f, sequences<5>(2, 3)));
}

TEST_CASE("add refuses tensors of different sizes") {
  Bench<NoParameters> bench;
  const auto a = bench.input<4>(Values(8), albef::uniform_sequences(2, 1));
  const auto b = bench.input<4>(Values(12), albef::uniform_sequences(3, 1));
  CHECK_THROWS_WITH_AS(add(bench.ctx, a, b), "[add] got 2 and 3 rows of width 4", albef::Error);
}

TEST_CASE("relu: values and gradients") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto x = bench.input<4>(Values{-1, 0, 2, 0.5}, albef::batch_of(1));
  CHECK(ctx.read(albef::relu(ctx, x)) == Values{0, 0, 2, 0.5});
  const auto odd = ctx.read(
      albef::relu(ctx, bench.input<4>(Values{-INFINITY, INFINITY, NAN, -0.0}, albef::batch_of(1))));
  CHECK(odd[0] == 0);
  CHECK(odd[1] == INFINITY);
  CHECK(std::isnan(odd[2]));
  CHECK(odd[3] == 0);
  const auto f = [](auto& c, const auto&, const auto& in) {
    return add(c, albef::relu(c, in), add(c, in, albef::relu(c, in)));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, f, sequences<5>(2, 3)));
}

TEST_CASE("silu: values and gradients") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto x = bench.input<3>(Values{-1, 0, 2}, albef::batch_of(1));
  CHECK(max_difference(ctx.read(albef::silu(ctx, x)),
                       {-1 / (1 + std::exp(1)), 0, 2 / (1 + std::exp(-2))}) < 1e-15);
  const auto f = [](auto& c, const auto&, const auto& in) {
    return add(c, albef::silu(c, in), albef::silu(c, add(c, in, in)));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, f, sequences<5>(2, 3)));
}

TEST_CASE("activation functions: values by name, gradients of each") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto x = bench.input<3>(Values{-1, 0, 2}, albef::batch_of(1));
  const auto logistic = [](double v) { return 1 / (1 + std::exp(-v)); };
  CHECK(max_difference(ctx.read(albef::sigmoid(ctx, x)), {logistic(-1), 0.5, logistic(2)}) < 1e-15);
  CHECK(max_difference(ctx.read(albef::tanh(ctx, x)), {std::tanh(-1), 0, std::tanh(2)}) < 1e-15);
  CHECK(max_difference(ctx.read(albef::quick_gelu(ctx, x)),
                       {-logistic(-1.702), 0, 2 * logistic(3.404)}) < 1e-15);
  CHECK(max_difference(ctx.read(albef::gelu(ctx, x)),
                       {-0.5 * std::erfc(1 / std::sqrt(2)), 0, std::erfc(-std::sqrt(2))}) < 1e-15);
  for (const auto f : albef::activations) {
    const auto twice = [f](auto& c, const auto&, const auto& in) {
      return add(c, activate(c, in, f), activate(c, add(c, in, in), f));
    };
    CHECK(gradcheck<Cpu>(NoParameters{}, twice, sequences<5>(2, 3)));
  }
}

TEST_CASE("total is the sum of several losses") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto scalar = [&](double v) { return bench.input<1>(Values{v}, albef::batch_of(1)); };
  CHECK(ctx.item(albef::total(ctx, scalar(1), scalar(2), scalar(4))) == 7);
  CHECK(ctx.item(albef::total(ctx, scalar(3))) == 3);
}

TEST_CASE(
    "dropout: identity when off; else keeps about 1 - p, scaled, with another mask each time") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto x = bench.input<50>(Values(200 * 50, 1.0), albef::uniform_sequences(200, 1));
  CHECK(dropout(ctx, x, 0.25f).data == x.data);
  ctx.set_dropout(true);
  CHECK(dropout(ctx, x, 0.0f).data == x.data);
  const Values y = ctx.read(dropout(ctx, x, 0.25f)), z = ctx.read(dropout(ctx, x, 0.25f));
  std::size_t kept = 0;
  for (const double v : y) {
    CHECK((v == 0 || std::abs(v - 4.0 / 3) < 1e-12));
    kept += v != 0;
  }
  CHECK(static_cast<double>(kept) == doctest::Approx(7500).epsilon(0.02));
  CHECK(y != z);
}

TEST_CASE("dropout: gradient uses the mask of the forward pass") {
  const auto drop = [](auto& ctx, const auto&, const auto& x) {
    const auto once = dropout(ctx, x, 0.3f);
    return albef::matmul_nt(ctx, once, dropout(ctx, once, 0.5f));
  };
  CHECK(gradcheck<Cpu>(GradcheckOptions{.dropout = true}, NoParameters{}, drop, vectors<10>(4)));
}

TEST_CASE("divide and scale_exp: values and gradients, also of the scalar") {
  Bench<Scalar> bench;
  auto& ctx = bench.ctx;
  const double s = bench.parameters[0];
  const auto x = bench.input<2>(Values{1, -2}, albef::batch_of(1));
  CHECK(max_difference(ctx.read(albef::divide(ctx, x, bench.model.s)), {1 / s, -2 / s}) < 1e-13);
  CHECK(max_difference(ctx.read(albef::scale_exp(ctx, x, bench.model.s)),
                       {std::exp(s), -2 * std::exp(s)}) < 1e-13);
  CHECK(gradcheck<Cpu>(
      Scalar{}, [](auto& c, const auto& m, const auto& t) { return albef::divide(c, t, m.s); },
      vectors<7>(3)));
  CHECK(gradcheck<Cpu>(
      Scalar{},
      [](auto& c, const auto& m, const auto& t) {
        return albef::scale_exp(c, albef::divide(c, t, m.s), m.s);
      },
      vectors<7>(3)));
}

TEST_CASE("weighted_sum: value") {
  Bench<NoParameters> bench;
  const Values w{2, 3, 5};
  const auto x = bench.input<3>(Values{1, -1, 10}, albef::batch_of(1));
  CHECK(bench.ctx.item(albef::weighted_sum(bench.ctx, x, w.data())) == 49);
}

TEST_CASE("add_drop_path: whole sequences are left out or scaled, in training alone; gradients") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  constexpr int count = 400, length = 2, width = 3;
  const auto seq = albef::uniform_sequences(count, length);
  const Values zeros(count * length * width), ones(zeros.size(), 1.0);
  const auto a = bench.input<width>(zeros, seq), b = bench.input<width>(ones, seq);
  CHECK(ctx.read(albef::add_drop_path(ctx, a, b, 0.25f)) == ones);
  ctx.set_dropout(true);
  const Values y = ctx.read(albef::add_drop_path(ctx, a, b, 0.25f));
  int kept = 0;
  for (std::size_t s = 0; s < count; ++s) {
    const double first = y[s * length * width];
    CHECK((first == 0 || first == doctest::Approx(4.0 / 3)));
    for (std::size_t i = 0; i < length * width; ++i) CHECK(y[s * length * width + i] == first);
    kept += first != 0;
  }
  CHECK(kept > 270);
  CHECK(kept < 330);
  ctx.begin_step(0);  // the same draws
  ctx.next_stream();
  const auto c = bench.input<width>(zeros, seq), d = bench.input<width>(ones, seq);
  CHECK(ctx.read(albef::add_drop_path(ctx, c, d, 0.25f)) == y);
  CHECK(gradcheck<Cpu>(
      GradcheckOptions{.dropout = true}, NoParameters{},
      [](auto& g, const auto&, const auto& s, const auto& t) {
        return albef::add_drop_path(g, s, t, 0.5f);
      },
      ragged<4>({3, 1, 2, 2, 1}), ragged<4>({3, 1, 2, 2, 1})));
}
