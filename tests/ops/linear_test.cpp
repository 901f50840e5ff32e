// Affine maps: values against a plain loop, gradients, joined parameters.
#include "albef/ops/linear.hpp"

#include "albef/nn/linear.hpp"
#include "albef/ops/similarity.hpp"
#include "op_fixture.hpp"

using namespace ops_test;

namespace {

/// Two matrices side by side in memory that multiply as one.
struct Pair {
  Param<3, 5> a{albef::init::ones()};
  Param<4, 5> b{albef::init::ones()};
  static constexpr void fields(auto& m, auto&& f) {
    f("a", m.a);
    f("b", m.b);
  }
};

}  // namespace

TEST_CASE("linear: values") {
  Bench<albef::Linear<7, 5>> bench;
  const Values x = random_values(6 * 7);
  const auto in = bench.input<7>(x, albef::uniform_sequences(2, 3));
  Values plain, active;
  for (std::size_t r = 0; r < 6; ++r)
    for (std::int64_t o = 0; o < 5; ++o) {
      double sum = bench.at(bench.model.bias, o);
      for (std::size_t i = 0; i < 7; ++i)
        sum += x[r * 7 + i] * bench.at(bench.model.weight, o * 7 + static_cast<std::int64_t>(i));
      plain.push_back(sum);
      active.push_back(0.5 * sum * (1 + std::erf(sum / std::sqrt(2.0))));
    }
  const auto y = bench.model(bench.ctx, in);
  CHECK(y.seq.count == 2);
  CHECK(y.seq.uniform == 3);
  CHECK(max_difference(bench.ctx.read(y), plain) < 1e-13);
  CHECK(max_difference(bench.ctx.read(bench.model.gelu(bench.ctx, in)), active) < 1e-13);
  CHECK(max_difference(
            bench.ctx.no_grad([&] { return bench.ctx.read(bench.model.gelu(bench.ctx, in)); }),
            active) < 1e-13);
}

TEST_CASE("linear: gradients") {
  CHECK(gradcheck<Cpu>(albef::Linear<7, 5>{}, sequences<7>(2, 3)));
  CHECK(gradcheck<Cpu>(albef::Linear<33, 18>{}, ragged<33>({3, 1, 4})));
  CHECK(gradcheck<Cpu>(
      albef::Linear<7, 5>{}, [](auto& ctx, const auto& m, const auto& x) { return m.gelu(ctx, x); },
      vectors<7>(4)));
}

TEST_CASE("linear: gradients without bias, of joined matrices, of a matrix used twice") {
  const auto joined = [](auto& ctx, const auto& m, const auto& x) {
    return albef::linear<7>(ctx, x, albef::joined(m.a, m.b));
  };
  CHECK(gradcheck<Cpu>(Pair{}, joined, vectors<5>(4)));
  // b also on its own, before and after: its gradient arrives in parts.
  const auto mixed = [](auto& ctx, const auto& m, const auto& x) {
    const auto first = albef::linear<4>(ctx, x, m.b);                     // (B, 4)
    const auto both = albef::linear<7>(ctx, x, albef::joined(m.a, m.b));  // (B, 7)
    const auto last = albef::linear<4>(ctx, x, m.b);                      // (B, 4)
    return add(ctx, albef::matmul_nt(ctx, both, both), albef::matmul_nt(ctx, first, last));
  };
  CHECK(gradcheck<Cpu>(Pair{}, mixed, vectors<5>(4)));
}
