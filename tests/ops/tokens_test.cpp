// Token embeddings, patches, the class token, and the selection of rows and sequences.
#include "albef/core/interpolate_pos_embed.hpp"
#include "albef/ops/elementwise.hpp"
#include "albef/ops/embedding.hpp"
#include "albef/ops/gather.hpp"
#include "op_fixture.hpp"

using namespace ops_test;

namespace {

struct Tables {
  Param<7, 6> word{albef::init::ones()};
  Param<5, 6> position;
  Param<2, 6> type;
  static constexpr void fields(auto& m, auto&& f) {
    f("word", m.word);
    f("position", m.position);
    f("type", m.type);
  }
};

const Indices ids{3, 0, 3, 6, 3, 1}, offsets{0, 4, 6};

const auto embed_tokens = [](auto& ctx, const auto& m) {
  const albef::Tokens tokens{ctx.upload(ids), ctx.sequences(offsets)};
  return albef::embed<6>(ctx, tokens, m.word, m.position, m.type);
};

struct ClassToken {
  Param<1, 1, 6> cls;
  Param<1, 4, 6> position;
  static constexpr void fields(auto& m, auto&& f) {
    f("cls", m.cls);
    f("position", m.position);
  }
};

const auto add_class = [](auto& ctx, const auto& m, const auto& x) {
  return albef::add_class_token(ctx, x, m.cls, m.position);
};

/// Positions of 3 x 4 patches, resized to 5 x 2.
struct Positions {
  Param<1, 1, 6> cls;
  Param<1, 13, 6> position;
  static constexpr void fields(auto& m, auto&& f) {
    f("cls", m.cls);
    f("position", m.position);
  }
};

constexpr albef::GridResize resized{3, 4, 5, 2};

const auto add_resized = [](auto& ctx, const auto& m, const auto& x) {
  return albef::add_class_token(ctx, x, m.cls, m.position, resized);
};

}  // namespace

TEST_CASE("embed: word + position in the text + first type; gradients with repeated words") {
  Bench<Tables> bench;
  Values expected;
  for (std::size_t s = 0; s < 2; ++s)
    for (std::int64_t t = 0; t < offsets[s + 1] - offsets[s]; ++t)
      for (std::int64_t j = 0; j < 6; ++j)
        expected.push_back(
            bench.at(bench.model.word, ids[static_cast<std::size_t>(offsets[s] + t)] * 6 + j) +
            bench.at(bench.model.position, t * 6 + j) + bench.at(bench.model.type, j));
  CHECK(max_difference(bench.ctx.read(embed_tokens(bench.ctx, bench.model)), expected) < 1e-15);
  CHECK(gradcheck<Cpu>(GradcheckOptions{.entries = 42}, Tables{}, embed_tokens));
  const auto twice = [](auto& ctx, const auto& m) {
    return add(ctx, embed_tokens(ctx, m), embed_tokens(ctx, m));
  };
  CHECK(gradcheck<Cpu>(GradcheckOptions{.entries = 42}, Tables{}, twice));
}

TEST_CASE("patchify: the values of a patch in the order of a convolution kernel") {
  Bench<NoParameters> bench;
  constexpr int height = 4, width = 6, patch = 2, pixels = 3 * height * width;
  static constexpr albef::PatchGrid grid{2, 3, height, width, patch};
  const Values image = random_values(2 * pixels);
  Values expected;
  for (int b = 0; b < 2; ++b)
    for (int p = 0; p < 2 * 3; ++p)
      for (int c = 0; c < 3; ++c)
        for (int y = 0; y < patch; ++y)
          for (int x = 0; x < patch; ++x) {
            const int row = p / 3 * patch + y, col = p % 3 * patch + x;
            expected.push_back(
                image[static_cast<std::size_t>(b * pixels + (c * height + row) * width + col)]);
          }
  const auto batch = bench.input<pixels>(image, albef::batch_of(2));
  const auto y = albef::patchify<12>(bench.ctx, batch, grid);
  CHECK(y.seq.count == 2);
  CHECK(y.seq.uniform == 6);
  CHECK(bench.ctx.read(y) == expected);
  const auto cut = [](auto& ctx, const auto&, const auto& x) {
    return add(ctx, albef::patchify<12>(ctx, x, grid),
               albef::patchify<12>(ctx, add(ctx, x, x), grid));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, cut, vectors<pixels>(2)));

  CHECK_THROWS_WITH_AS(albef::patchify<27>(bench.ctx, batch, {2, 3, height, width, 3}),
                       "[patchify] images of 4 x 6 pixels are not whole patches of 3 x 3",
                       albef::Error);
  CHECK_THROWS_WITH_AS(albef::patchify<12>(bench.ctx, batch, {2, 3, 6, 6, patch}),
                       "[patchify] got 2 images of 72 values, expected 2 of 3 x 6 x 6",
                       albef::Error);
}

TEST_CASE("add_class_token: values and gradients") {
  Bench<ClassToken> bench;
  const Values x = random_values(2 * 3 * 6);
  Values expected;
  for (std::int64_t b = 0; b < 2; ++b)
    for (std::int64_t i = 0; i < 4; ++i)
      for (std::int64_t j = 0; j < 6; ++j)
        expected.push_back((i == 0 ? bench.at(bench.model.cls, j)
                                   : x[static_cast<std::size_t>((b * 3 + i - 1) * 6 + j)]) +
                           bench.at(bench.model.position, i * 6 + j));
  const auto y =
      add_class(bench.ctx, bench.model, bench.input<6>(x, albef::uniform_sequences(2, 3)));
  CHECK(y.seq.uniform == 4);
  CHECK(max_difference(bench.ctx.read(y), expected) < 1e-15);
  CHECK(gradcheck<Cpu>(ClassToken{}, add_class, sequences<6>(3, 3)));
}

TEST_CASE("add_class_token: positions resized inside the graph, with their gradient") {
  Bench<Positions> bench;
  Values expected_table(bench.parameters.begin() + bench.model.position.offset,
                        bench.parameters.begin() + bench.model.position.offset + 13 * 6);
  expected_table =
      albef::interpolate_pos_embed(std::span<const double>(expected_table), 6, resized);
  const Values x = random_values(2 * 10 * 6);
  Values expected;
  for (std::size_t b = 0; b < 2; ++b)
    for (std::size_t i = 0; i < 11; ++i)
      for (std::size_t j = 0; j < 6; ++j)
        expected.push_back(expected_table[i * 6 + j] +
                           (i == 0 ? bench.at(bench.model.cls, static_cast<std::int64_t>(j))
                                   : x[(b * 10 + i - 1) * 6 + j]));
  const auto y =
      add_resized(bench.ctx, bench.model, bench.input<6>(x, albef::uniform_sequences(2, 10)));
  CHECK(max_difference(bench.ctx.read(y), expected) < 1e-14);

  // The same table at two sizes: gradients add up in either order.
  const auto both = [](auto& ctx, const auto& m, const auto& x10, const auto& x12) {
    const auto a = albef::first(ctx, albef::add_class_token(ctx, x12, m.cls, m.position));
    const auto s =
        weighted_sum(ctx, add_resized(ctx, m, x10), ctx.upload(random_values(3 * 11 * 6)));
    const auto t = weighted_sum(ctx, a, ctx.upload(random_values(2 * 6)));
    const auto u =
        weighted_sum(ctx, add_resized(ctx, m, x10), ctx.upload(random_values(3 * 11 * 6, 9)));
    return albef::total(ctx, s, t, u);
  };
  CHECK(gradcheck<Cpu>(GradcheckOptions{.entries = 78}, Positions{}, both, sequences<6>(3, 10),
                       sequences<6>(2, 12)));

  const auto few = bench.input<6>(random_values(2 * 9 * 6), albef::uniform_sequences(2, 9));
  CHECK_THROWS_WITH_AS(add_resized(bench.ctx, bench.model, few),
                       "[add_class_token] got 9 patches and 13 position embeddings, expected 10 "
                       "and 13",
                       albef::Error);
  CHECK_THROWS_WITH_AS(
      albef::add_class_token(bench.ctx, few, bench.model.cls, bench.model.position),
      "[add_class_token] got 9 patches and 13 position embeddings, expected 9 and 10",
      albef::Error);
}

TEST_CASE("gather, first and select: values and shapes") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  Values x;
  for (int r = 0; r < 6; ++r) x.insert(x.end(), {r + 0.0, r + 0.5});
  const auto t = bench.input<2>(x, albef::packed_sequences(2, offsets.data()));  // lengths 4 and 2
  CHECK(ctx.read(albef::first(ctx, t)) == Values{0, 0.5, 4, 4.5});
  CHECK(albef::first(ctx, t).seq.count == 2);
  const Indices rows{5, 0, 5};
  const auto y = albef::gather(ctx, t, {rows.data(), albef::batch_of(3)});
  CHECK(ctx.read(y) == Values{5, 5.5, 0, 0.5, 5, 5.5});
  const Indices order{1, 0, 1};
  const auto s = albef::select(ctx, t, order.data(), 3);
  CHECK(ctx.read(s) == Values{4, 4.5, 5, 5.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5});
  CHECK(s.seq.count == 3);
  CHECK(s.seq.length(0) == 2);
  CHECK(s.seq.length(1) == 4);
  CHECK(s.seq.rows() == 8);
}

TEST_CASE("gather, first and select: gradients add up over copies of a row") {
  const auto rows = [](auto& ctx, const auto&, const auto& x) {
    const auto y = albef::gather(ctx, x, {ctx.upload(Indices{2, 0, 2, 2}), albef::batch_of(4)});
    const auto z = albef::gather(ctx, x, {ctx.upload(Indices{1, 0, 4, 0}), albef::batch_of(4)});
    return add(ctx, y, z);
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, rows, vectors<70>(5)));
  const auto firsts = [](auto& ctx, const auto&, const auto& x) { return albef::first(ctx, x); };
  CHECK(gradcheck<Cpu>(NoParameters{}, firsts, ragged<5>({3, 1, 2})));
  const auto selected = [](auto& ctx, const auto&, const auto& x) {
    return albef::select(ctx, x, ctx.upload(Indices{1, 0, 1, 1}), 4);
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, selected, ragged<5>({3, 1, 2})));
}

TEST_CASE(
    "padding: negative rows are zeros and take no gradient, tokens behind the last text too") {
  const auto rows = [](auto& ctx, const auto&, const auto& x) {
    return albef::gather(ctx, x, {ctx.upload(Indices{2, -1, 0, -1}), albef::batch_of(4)});
  };
  Bench<NoParameters> bench;
  const auto x = bench.input<2>(Values{1, 2, 3, 4, 5, 6}, albef::batch_of(3));
  CHECK(bench.ctx.read(rows(bench.ctx, bench.model, x)) == Values{5, 6, 0, 0, 1, 2, 0, 0});
  CHECK(gradcheck<Cpu>(NoParameters{}, rows, vectors<5>(3)));

  const auto padded = [](auto& ctx, const auto& m) {
    albef::Tokens tokens{ctx.upload(ids), ctx.sequences(Indices{0, 3, 4})};
    tokens.seq.total = 6;
    return albef::embed<6>(ctx, tokens, m.word, m.position, m.type);
  };
  Bench<Tables> tables;
  const Values y = tables.ctx.read(padded(tables.ctx, tables.model));
  CHECK(y.size() == 36);
  CHECK(Values(y.begin() + 24, y.end()) == Values(12, 0.0));
  CHECK(gradcheck<Cpu>(GradcheckOptions{.entries = 42}, Tables{}, padded));
}

TEST_CASE("append: sequences grow by a row and may change their order") {
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const auto past = bench.input<2>(Values{1, 2, 3, 4, 5, 6, 7, 8}, albef::uniform_sequences(2, 2));
  const auto next = bench.input<2>(Values{10, 11, 12, 13}, albef::batch_of(2));
  CHECK_THROWS_WITH_AS(albef::append(ctx, past, nullptr, next),
                       "[append] a growing sequence takes no gradient", albef::Error);
  ctx.no_grad([&] {
    const auto y = albef::append(ctx, past, nullptr, next);
    CHECK(ctx.read(y) == Values{1, 2, 3, 4, 10, 11, 5, 6, 7, 8, 12, 13});
    CHECK(y.seq.uniform == 3);
    const Indices parent{1, 1};
    CHECK(ctx.read(albef::append(ctx, past, parent.data(), next)) ==
          Values{5, 6, 7, 8, 10, 11, 5, 6, 7, 8, 12, 13});
    const auto first = albef::append(ctx, albef::Tensor<double, 2>{}, nullptr, next);
    CHECK(ctx.read(first) == Values{10, 11, 12, 13});
    const auto three = bench.input<2>(Values(6), albef::batch_of(3));
    CHECK_THROWS_WITH_AS(albef::append(ctx, past, nullptr, three),
                         "[append] got 3 new rows for 2 sequences", albef::Error);
  });
}

TEST_CASE("gather of no rows") {
  const auto none = [](auto& ctx, const auto&, const auto& x) {
    const auto y = albef::gather(ctx, x, {ctx.upload(Indices{}), albef::batch_of(0)});
    return add(ctx, weighted_sum(ctx, y, ctx.upload(Values{})),
               weighted_sum(ctx, x, ctx.upload(Values(15, 2.0))));
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, none, vectors<5>(3)));
}
