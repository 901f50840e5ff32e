// Means, broadcasts, joining and regrouping of sequences: values and gradients.
#include "albef/ops/sequences.hpp"

#include "albef/ops/elementwise.hpp"
#include "op_fixture.hpp"

using namespace ops_test;

namespace {

struct Row {
  Param<3> row;
  static constexpr void fields(auto& m, auto&& f) { f("row", m.row); }
};

}  // namespace

TEST_CASE("multiply: gradients of both sides and of a square") {
  const auto f = [](auto& ctx, const auto&, const auto& a, const auto& b) {
    return multiply(ctx, multiply(ctx, a, b), multiply(ctx, a, a));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, f, sequences<5>(2, 3), sequences<5>(2, 3)));
  Bench<NoParameters> bench;
  const auto a = bench.input<4>(Values(8), albef::uniform_sequences(2, 1));
  const auto b = bench.input<4>(Values(12), albef::uniform_sequences(3, 1));
  CHECK_THROWS_WITH_AS(multiply(bench.ctx, a, b), "[multiply] got 2 and 3 rows of width 4",
                       albef::Error);
}

TEST_CASE("mean over sequences: values, also of an empty one, and gradients") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto x = bench.input<2>(Values{1, 2, 3, 4, 10, 20}, ctx.sequences(Indices{0, 2, 2, 3}));
  CHECK(ctx.read(albef::mean(ctx, x)) == Values{2, 3, 0, 0, 10, 20});
  const auto f = [](auto& c, const auto&, const auto& in) {
    return multiply(c, albef::mean(c, in), albef::mean(c, multiply(c, in, in)));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, f, ragged<3>({3, 1, 4})));
  CHECK(gradcheck<Cpu>(NoParameters{}, f, sequences<3>(2, 5)));
}

TEST_CASE("a row added to all rows, and one a sequence to all of its rows") {
  Bench<Row> bench;
  auto& ctx = bench.ctx;
  const Values in = random_values(12);
  const auto x = bench.input<3>(in, ctx.sequences(Indices{0, 3, 4}));
  Values expected = in;
  for (std::size_t i = 0; i < 12; ++i)
    expected[i] += bench.at(bench.model.row, static_cast<std::int64_t>(i % 3));
  CHECK(max_difference(ctx.read(albef::add_row(ctx, x, bench.model.row)), expected) < 1e-15);
  const auto rows = bench.input<3>(Values{1, 2, 3, 10, 20, 30}, albef::batch_of(2));
  for (std::size_t i = 0; i < 12; ++i)
    expected[i] = in[i] + static_cast<double>(i % 3 + 1) * (i < 9 ? 1 : 10);
  CHECK(max_difference(ctx.read(albef::add_to_sequences(ctx, x, rows)), expected) < 1e-15);
  const auto f = [](auto& c, const auto& m, const auto& t, const auto& r) {
    const auto y = albef::add_row(c, albef::add_to_sequences(c, t, r), m.row);
    return multiply(c, y, albef::add_row(c, t, m.row));
  };
  CHECK(gradcheck<Cpu>(Row{}, f, ragged<3>({3, 1, 4}), vectors<3>(3)));
  CHECK_THROWS_WITH_AS(albef::add_to_sequences(ctx, x, x),
                       "[add_to_sequences] got 4 rows for 2 sequences", albef::Error);
}
