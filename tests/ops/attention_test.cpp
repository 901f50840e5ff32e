// Attention: values against the definition, gradients, sequences of different lengths.
#include "albef/ops/attention.hpp"

#include "op_fixture.hpp"

using namespace ops_test;

namespace {

/// softmax(q k^T / sqrt(d)) v for one head by the definition; query i sees keys below visible(i).
void plain_head(const auto& q, const auto& k, const auto& v, int queries, int dim,
                const auto& visible, const auto& out) {
  for (int i = 0; i < queries; ++i) {
    Values p;
    double total = 0;
    for (int j = 0; j < visible(i); ++j) {
      double s = 0;
      for (int d = 0; d < dim; ++d) s += q(i, d) * k(j, d);
      p.push_back(std::exp(s / std::sqrt(static_cast<double>(dim))));
      total += p.back();
    }
    for (int d = 0; d < dim; ++d) {
      double sum = 0;
      for (int j = 0; j < visible(i); ++j) sum += p[static_cast<std::size_t>(j)] / total * v(j, d);
      out(i, d) = sum;
    }
  }
}

/// Element (row, column) of a row-major matrix.
auto element(auto& values, int width, int first_row, int first_col) {
  return [&values, width, first_row, first_col ](int i, int j) -> auto& {
    return values[static_cast<std::size_t>((first_row + i) * width + first_col + j)];
  };
}

template <bool Causal>
const auto self = [](auto& ctx, const auto&, const auto& qkv) {
  return albef::self_attention(ctx, qkv, 2, 0.3f, Causal);
};
/// Queries of sequence s read key sequence index[s].
auto cross(Indices index) {
  return [index](auto& ctx, const auto&, const auto& q, const auto& kv) {
    return albef::cross_attention(ctx, q, kv, index.empty() ? nullptr : ctx.upload(index), 2, 0.3f);
  };
}

}  // namespace

TEST_CASE("self_attention: values, plain and causal, of sequences of different lengths") {
  constexpr int width = 8, heads = 2, dim = width / heads;
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const Indices offsets{0, 3, 4, 9};
  const Values x = random_values(9 * 3 * width);
  const auto qkv = bench.input<3 * width>(x, albef::packed_sequences(3, offsets.data()));
  for (const bool causal : {false, true}) {
    Values expected(9 * width);
    for (int s = 0; s < 3; ++s) {
      const int begin = offsets[static_cast<std::size_t>(s)];
      const int length = offsets[static_cast<std::size_t>(s) + 1] - begin;
      for (int h = 0; h < heads; ++h)
        plain_head(
            element(x, 3 * width, begin, h * dim), element(x, 3 * width, begin, width + h * dim),
            element(x, 3 * width, begin, 2 * width + h * dim), length, dim,
            [&](int i) { return causal ? i + 1 : length; },
            element(expected, width, begin, h * dim));
    }
    CHECK(max_difference(ctx.read(albef::self_attention(ctx, qkv, heads, 0.0f, causal)), expected) <
          1e-13);
  }
}

TEST_CASE("cross_attention: values with an index") {
  constexpr int width = 6, heads = 3, dim = width / heads;
  Bench<NoParameters> bench;
  auto& ctx = bench.ctx;
  const Indices q_offsets{0, 2, 5, 6}, kv_offsets{0, 4, 5}, index{1, 0, 0};
  const Values q = random_values(6 * width, 1), kv = random_values(5 * 2 * width, 2);
  Values expected(6 * width);
  for (std::size_t s = 0; s < 3; ++s) {
    const auto t = static_cast<std::size_t>(index[s]);
    const int keys = kv_offsets[t + 1] - kv_offsets[t];
    for (int h = 0; h < heads; ++h)
      plain_head(
          element(q, width, q_offsets[s], h * dim), element(kv, 2 * width, kv_offsets[t], h * dim),
          element(kv, 2 * width, kv_offsets[t], width + h * dim), q_offsets[s + 1] - q_offsets[s],
          dim, [&](int) { return keys; }, element(expected, width, q_offsets[s], h * dim));
  }
  const auto y = albef::cross_attention(
      ctx, bench.input<width>(q, albef::packed_sequences(3, q_offsets.data())),
      bench.input<2 * width>(kv, albef::packed_sequences(2, kv_offsets.data())), index.data(),
      heads, 0.0f);
  CHECK(max_difference(ctx.read(y), expected) < 1e-13);
}

TEST_CASE("padding rows behind the last sequence: zeros, and no gradient") {
  const auto padded = [](auto& ctx, const auto&, const auto& x) {
    auto rows = x;
    rows.seq = ctx.sequences(Indices{0, 2, 5});
    rows.seq.total = x.rows();
    return albef::self_attention(ctx, rows, 2, 0.2f);
  };
  Bench<NoParameters> bench;
  const auto x = bench.input<24>(random_values(8 * 24), albef::batch_of(8));
  const Values y = bench.ctx.read(padded(bench.ctx, bench.model, x));
  CHECK(Values(y.begin() + 5 * 8, y.end()) == Values(3 * 8, 0.0));
  CHECK(gradcheck<Cpu>(GradcheckOptions{.dropout = true}, NoParameters{}, padded, vectors<24>(8)));
}

TEST_CASE("self_attention: gradients, plain, causal, with dropout") {
  for (const bool dropout : {false, true}) {
    const GradcheckOptions options{.dropout = dropout};
    CHECK(gradcheck<Cpu>(options, NoParameters{}, self<false>, sequences<24>(2, 5)));
    CHECK(gradcheck<Cpu>(options, NoParameters{}, self<false>, ragged<24>({3, 1, 6})));
    CHECK(gradcheck<Cpu>(options, NoParameters{}, self<true>, ragged<24>({3, 1, 6})));
  }
}

TEST_CASE("cross_attention: gradients, indexed, ragged, with keys that nobody reads") {
  for (const bool dropout : {false, true}) {
    const GradcheckOptions options{.dropout = dropout};
    CHECK(gradcheck<Cpu>(options, NoParameters{}, cross({}), ragged<8>({3, 1, 2}),
                         sequences<16>(3, 5)));
    CHECK(gradcheck<Cpu>(options, NoParameters{}, cross({1, 1, 3, 0}), ragged<8>({3, 1, 2, 4}),
                         ragged<16>({2, 5, 3, 1})));
  }
}

TEST_CASE("cross_attention: gradient of one side only, and into keys that two queries share") {
  Bench<NoParameters> bench;
  const Values q = random_values(3 * 8, 1), kv = random_values(6 * 16, 2), w = random_values(3 * 8);
  struct Gradients {
    Values q, kv;
  };
  const auto run = [&](bool q_varies, bool kv_varies) {
    auto& ctx = bench.ctx;
    ctx.begin_step(0);
    const Sequences q_seq = albef::uniform_sequences(1, 3), kv_seq = albef::uniform_sequences(2, 3);
    const auto a = q_varies ? bench.input<8>(q, q_seq) : ctx.constant<8>(q.data(), q_seq);
    const auto b = kv_varies ? bench.input<16>(kv, kv_seq) : ctx.constant<16>(kv.data(), kv_seq);
    const std::int32_t* index = ctx.upload(Indices{1});
    ctx.backward(weighted_sum(ctx, albef::cross_attention(ctx, a, b, index, 2, 0.0f), w.data()));
    return Gradients{ctx.gradient(a), ctx.gradient(b)};
  };
  const auto both = run(true, true);
  CHECK(max_difference(run(true, false).q, both.q) < 1e-14);
  CHECK(max_difference(run(false, true).kv, both.kv) < 1e-14);
  const auto shared = [](auto& ctx, const auto&, const auto& a, const auto& b) {
    const auto y = albef::cross_attention(ctx, a, b, nullptr, 2, 0.0f);
    return albef::cross_attention(ctx, y, b, nullptr, 2, 0.0f);
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, shared, sequences<8>(2, 3), sequences<16>(2, 4)));
}
