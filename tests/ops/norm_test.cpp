// Layer norm, with the residual sum in front of it, and L2 normalisation.
#include "albef/ops/norm.hpp"

#include "albef/nn/layer_norm.hpp"
#include "albef/nn/rms_norm.hpp"
#include "albef/ops/similarity.hpp"
#include "op_fixture.hpp"

using namespace ops_test;

namespace {

/// LayerNorm of a (rows, width) matrix by the definition.
Values plain_layer_norm(const Values& x, int width, double eps, const auto& weight,
                        const auto& bias) {
  Values y(x.size());
  const auto w = static_cast<std::size_t>(width);
  for (std::size_t r = 0; r < x.size(); r += w) {
    double mean = 0, square = 0;
    for (std::size_t j = 0; j < w; ++j) mean += x[r + j] / width;
    for (std::size_t j = 0; j < w; ++j) square += (x[r + j] - mean) * (x[r + j] - mean) / width;
    for (std::size_t j = 0; j < w; ++j)
      y[r + j] = (x[r + j] - mean) / std::sqrt(square + eps) * weight(j) + bias(j);
  }
  return y;
}

const auto add_norm = [](auto& ctx, const auto& m, const auto& x, const auto& residual) {
  return m.add(ctx, x, residual, 0.4f);
};

}  // namespace

TEST_CASE("layer_norm: values, also with a large eps and a mean far from zero") {
  Bench<albef::LayerNorm<11>> bench;
  Values x = random_values(5 * 11), residual = random_values(5 * 11, 8), sum = x;
  for (double& v : x) v += 1000;
  for (std::size_t i = 0; i < x.size(); ++i) sum[i] = x[i] + residual[i];
  const auto weight = [&](std::size_t j) {
    return bench.at(bench.model.weight, static_cast<std::int64_t>(j));
  };
  const auto bias = [&](std::size_t j) {
    return bench.at(bench.model.bias, static_cast<std::int64_t>(j));
  };
  auto& ctx = bench.ctx;
  const auto in = bench.input<11>(x, albef::uniform_sequences(5, 1));
  const auto res = bench.input<11>(residual, albef::uniform_sequences(5, 1));
  for (const double eps : {1e-12, 0.5}) {
    albef::LayerNorm<11> norm = bench.model;
    norm.eps = eps;
    CHECK(max_difference(ctx.read(norm(ctx, in)), plain_layer_norm(x, 11, eps, weight, bias)) <
          1e-10);
    CHECK(max_difference(ctx.read(norm.add(ctx, in, res, 0.5f)),
                         plain_layer_norm(sum, 11, eps, weight, bias)) < 1e-10);
  }
}

TEST_CASE("rms_norm: values and gradients") {
  Bench<albef::RMSNorm<3>> bench{};
  auto& ctx = bench.ctx;
  const Values x{3, 4, -2, 0, 0.5, 1};
  Values expected;
  for (int r = 0; r < 2; ++r) {
    double square = 0;
    for (int j = 0; j < 3; ++j)
      square += x[static_cast<std::size_t>(3 * r + j)] * x[static_cast<std::size_t>(3 * r + j)] / 3;
    for (int j = 0; j < 3; ++j)
      expected.push_back(x[static_cast<std::size_t>(3 * r + j)] / std::sqrt(square + 1e-6) *
                         bench.at(bench.model.weight, j));
  }
  CHECK(max_difference(ctx.read(bench.model(ctx, bench.input<3>(x, albef::batch_of(2)))),
                       expected) < 1e-14);
  CHECK(gradcheck<Cpu>(albef::RMSNorm<13>{}, sequences<13>(2, 3)));
  CHECK(gradcheck<Cpu>(albef::RMSNorm<64>{0.1}, ragged<64>({3, 1})));
}

TEST_CASE("layer_norm: gradients") {
  CHECK(gradcheck<Cpu>(albef::LayerNorm<13>{}, sequences<13>(2, 3)));
  CHECK(gradcheck<Cpu>(albef::LayerNorm<64>{0.1}, ragged<64>({3, 1})));
}

TEST_CASE("add_layer_norm: gradients without and with dropout, of one tensor on both sides") {
  CHECK(gradcheck<Cpu>(albef::LayerNorm<13>{}, add_norm, vectors<13>(5), vectors<13>(5)));
  CHECK(gradcheck<Cpu>(GradcheckOptions{.dropout = true}, albef::LayerNorm<13>{}, add_norm,
                       vectors<13>(5), vectors<13>(5)));
  const auto twice = [](auto& ctx, const auto& m, const auto& x) { return m.add(ctx, x, x, 0.4f); };
  CHECK(gradcheck<Cpu>(albef::LayerNorm<13>{}, twice, vectors<13>(5)));
  CHECK(gradcheck<Cpu>(GradcheckOptions{.dropout = true}, albef::LayerNorm<13>{}, twice,
                       vectors<13>(5)));
}

TEST_CASE("add_layer_norm draws the mask that dropout draws") {
  Bench<albef::LayerNorm<13>> bench;
  auto& ctx = bench.ctx;
  ctx.set_dropout(true);
  const Values x = random_values(6 * 13), r = random_values(6 * 13, 8);
  const auto run = [&](bool fused) {
    ctx.begin_step(5);
    const auto a = bench.input<13>(x, albef::uniform_sequences(6, 1));
    const auto b = bench.input<13>(r, albef::uniform_sequences(6, 1));
    if (fused) return ctx.read(bench.model.add(ctx, a, b, 0.4f));
    return ctx.read(bench.model(ctx, add(ctx, dropout(ctx, a, 0.4f), b)));
  };
  CHECK(max_difference(run(true), run(false)) < 1e-12);
}

TEST_CASE("l2_normalize: values, a row of zeros, gradients") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const Values x{3, 0, -4, 0, 0, 0};
  CHECK(max_difference(
            ctx.read(albef::l2_normalize(ctx, bench.input<3>(x, albef::uniform_sequences(2, 1)))),
            {0.6, 0, -0.8, 0, 0, 0}) < 1e-15);
  const auto normalize = [](auto& c, const auto&, const auto& t) {
    return albef::l2_normalize(c, t);
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, normalize, vectors<9>(4)));
}

namespace {

struct WeightNormed {  // (4, 5), and the vectors whose products with its rows are asked for
  Param<4, 5> v;
  Param<4, 1> g;
  static constexpr void fields(auto& m, auto&& f) { f("v", m.v), f("g", m.g); }
  auto operator()(auto& ctx, const auto& x) const {
    return albef::matmul_nt(ctx, x, albef::weight_norm<5>(ctx, v, g));
  }
};

}  // namespace

TEST_CASE("weight_norm: values and gradients, also where the lengths are frozen") {
  Bench<WeightNormed> bench;
  auto& ctx = bench.ctx;
  const auto& m = Bench<WeightNormed>::model;
  const Values w = ctx.read(albef::weight_norm<5>(ctx, m.v, m.g));
  for (std::size_t i = 0; i < 4; ++i) {
    double square = 0;
    for (std::size_t j = 0; j < 5; ++j) square += std::pow(bench.parameters[5 * i + j], 2);
    for (std::size_t j = 0; j < 5; ++j)
      CHECK(w[5 * i + j] == doctest::Approx(bench.parameters[20 + i] * bench.parameters[5 * i + j] /
                                            std::sqrt(square)));
  }
  CHECK(gradcheck<Cpu>(
      WeightNormed{Param<4, 5>{albef::init::normal(1)}, Param<4, 1>{albef::init::normal(1)}},
      vectors<5>(3)));
  Cpu cpu(1);
  albef::ParamStore<Cpu, albef::Fp64> store(
      cpu, m, {.frozen = [](std::string_view name) { return name == "g"; }});
  albef::Context<Cpu, albef::Fp64> frozen(cpu, store);
  std::copy(bench.parameters.begin(), bench.parameters.end(), store.data(albef::Plane::online));
  for (auto* c : {&ctx, &frozen}) {
    c->begin_step(1);
    const auto x = c->template constant<5>(bench.parameters.data(), albef::batch_of(2));
    const auto y = m(*c, x);
    c->backward(albef::weighted_sum(*c, y, c->upload(random_values(8))));
  }
  CHECK(Values(bench.store.data(albef::Plane::grad, m.v),
               bench.store.data(albef::Plane::grad, m.v) + 20) ==
        Values(store.data(albef::Plane::grad, m.v), store.data(albef::Plane::grad, m.v) + 20));
}
