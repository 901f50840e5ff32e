// Means, broadcasts, joining and regrouping of sequences: values and gradients.
#include "albef/ops/sequences.hpp"

#include "albef/ops/elementwise.hpp"
#include "albef/ops/gather.hpp"
#include "op_fixture.hpp"

using namespace ops_test;

namespace {

struct Row {
  Param<3> row;
  static constexpr void fields(auto& m, auto&& f) { f("row", m.row); }
};

struct Rows {
  Param<2, 3> rows;
  static constexpr void fields(auto& m, auto&& f) { f("rows", m.rows); }
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

TEST_CASE("first columns: values, gradients, and a second use of the input") {
  Bench<NoParameters> bench;
  const auto x = bench.input<3>(Values{1, 2, 3, 4, 5, 6}, albef::batch_of(2));
  CHECK(bench.ctx.read(albef::first_columns(bench.ctx, x, 2)) == Values{1, 2, 4, 5});
  const auto f = [](auto& ctx, const auto&, const auto& in) {
    const auto a = albef::first_columns(ctx, in, 2), b = albef::first_columns(ctx, in, 4);
    return multiply(ctx, a, albef::first_columns(ctx, b, 2));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, f, sequences<5>(2, 3)));
  CHECK_THROWS_WITH_AS(albef::first_columns(bench.ctx, x, 4), "[first columns] got 4 of 3",
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

TEST_CASE("concat_sequences: the rows of both, ragged and uniform, and gradients") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto a = bench.input<1>(Values{1, 2, 3}, ctx.sequences(Indices{0, 2, 3, 3}));
  const auto b = bench.input<1>(Values{10, 20, 30}, ctx.sequences(Indices{0, 0, 1, 3}));
  const auto y = albef::concat_sequences(ctx, a, b);
  CHECK(ctx.read(y) == Values{1, 2, 3, 10, 20, 30});
  CHECK(y.seq.count == 3);
  CHECK(y.seq.length(0) == 2);
  CHECK(y.seq.length(1) == 2);
  CHECK(y.seq.length(2) == 2);
  const auto u = bench.input<1>(Values{1, 2, 3, 4}, albef::uniform_sequences(2, 2));
  const auto v = bench.input<1>(Values{5, 6}, albef::uniform_sequences(2, 1));
  const auto w = albef::concat_sequences(ctx, u, v);
  CHECK(ctx.read(w) == Values{1, 2, 5, 3, 4, 6});
  CHECK(w.seq.uniform == 3);
  const auto f = [](auto& c, const auto&, const auto& p, const auto& q) {
    const auto joined = albef::concat_sequences(c, p, albef::concat_sequences(c, q, p));
    return multiply(c, joined, joined);
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, f, ragged<3>({3, 1, 0}), ragged<3>({2, 0, 4})));
  CHECK(gradcheck<Cpu>(NoParameters{}, f, sequences<3>(2, 3), ragged<3>({2, 4})));
  CHECK(gradcheck<Cpu>(NoParameters{}, f, sequences<3>(2, 3), sequences<3>(2, 4)));
  CHECK_THROWS_WITH_AS(albef::concat_sequences(ctx, a, v),
                       "[concat_sequences] got 3 and 2 sequences", albef::Error);
}

TEST_CASE("prepend: parameter rows in front of every sequence, and their gradients") {
  Bench<Rows> bench;
  auto& ctx = bench.ctx;
  const auto row = [&](int r, int j) { return bench.at(bench.model.rows, 3 * r + j); };
  const Values in = random_values(9);
  for (const bool uniform : {false, true}) {
    const auto seq = uniform ? albef::uniform_sequences(3, 1) : ctx.sequences(Indices{0, 2, 2, 3});
    const auto y = albef::prepend(ctx, bench.input<3>(in, seq), bench.model.rows);
    REQUIRE(y.rows() == 9);
    Values expected;
    std::size_t next = 0;
    for (int s = 0; s < 3; ++s) {
      for (int i = 0; i < 6; ++i) expected.push_back(row(i / 3, i % 3));
      for (int i = 0; i < 3 * seq.length(s); ++i) expected.push_back(in[next++]);
    }
    CHECK(max_difference(ctx.read(y), expected) == 0);
  }
  const auto f = [](auto& c, const auto& m, const auto& x) {
    const auto y = albef::prepend(c, albef::prepend(c, x, m.rows), m.rows);
    return multiply(c, y, y);
  };
  CHECK(gradcheck<Cpu>(Rows{}, f, ragged<3>({3, 0, 2})));
  CHECK(gradcheck<Cpu>(Rows{}, f, sequences<3>(2, 3)));
  CHECK(gradcheck<Cpu>(Rows{}, f, ragged<3>({4})));
}

TEST_CASE("columns: values, gradients of slices that overlap") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto x = bench.input<4>(Values{1, 2, 3, 4, 5, 6, 7, 8}, albef::batch_of(2));
  CHECK(ctx.read(albef::columns<1, 2>(ctx, x)) == Values{2, 3, 6, 7});
  const auto f = [](auto& c, const auto&, const auto& in) {
    return multiply(c, albef::columns<0, 3>(c, in), albef::columns<2, 3>(c, in));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, f, ragged<6>({3, 2})));
}

TEST_CASE("regroup: the same rows as other sequences") {
  const auto f = [](auto& c, const auto&, const auto& frames) {
    const auto videos = albef::regroup(frames, albef::uniform_sequences(2, 6));
    return albef::concat_sequences(c, albef::mean(c, videos),
                                   albef::mean(c, multiply(c, videos, videos)));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, f, sequences<3>(4, 3)));
  Bench<NoParameters> bench;
  const auto x = bench.input<2>(Values(12), albef::uniform_sequences(3, 2));
  CHECK_THROWS_WITH_AS(albef::regroup(x, albef::uniform_sequences(2, 2)),
                       "[regroup] sequences of 4 rows over 6", albef::Error);
}
