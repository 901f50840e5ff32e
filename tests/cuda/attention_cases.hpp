// Attention of the CUDA backend against the CPU backend in double: the tensor-core kernels (bf16,
// head sizes 32 and 64) and the plain ones, forward and backward.
#pragma once

#include "both_devices.hpp"

namespace {

using namespace both;

struct AttentionShape {
  std::vector<int> q, kv;  // lengths
  int heads, dim;
  std::vector<int> kv_index = {};  // empty: each sequence its own
  bool causal = false;
  float dropout = 0;
  int q_padding = 0, kv_padding = 0;
  int gap = 0;  // between rows; one that is no multiple of 8 values excludes the tensor cores
};

const AttentionShape attention_shapes[] = {
    {.q = {5}, .kv = {7}, .heads = 1, .dim = 64},
    {.q = {65, 3}, .kv = {70, 129}, .heads = 2, .dim = 64, .gap = 8},
    {.q = {20, 0, 17, 64}, .kv = {20, 3, 17, 64}, .heads = 2, .dim = 32, .causal = true},
    {.q = {3, 66}, .kv = {5, 2}, .heads = 1, .dim = 32, .causal = true},  // rows that see nothing
    {.q = {9, 25, 70}, .kv = {33, 90, 11}, .heads = 3, .dim = 64, .dropout = 0.25f},
    {.q = {9, 66}, .kv = {13, 70}, .heads = 2, .dim = 32, .causal = true, .dropout = 0.5f},
    {.q = {6, 2, 0, 19, 5},  // shared keys, and keys nobody reads
     .kv = {10, 4, 30, 65},
     .heads = 2,
     .dim = 64,
     .kv_index = {3, 0, 1, 3, 3},
     .dropout = 0.1f,
     .q_padding = 4,
     .kv_padding = 3},
    {.q = {8, 6}, .kv = {0, 9}, .heads = 1, .dim = 64},  // no keys at all
    {.q = {7, 40}, .kv = {37, 6}, .heads = 2, .dim = 24, .dropout = 0.3f, .gap = 3},
};

template <class T>
void check_attention_shape(const AttentionShape& shape) {
  using A = accumulator_t<T>;
  Lengths q_seq(shape.q, shape.q_padding), kv_seq(shape.kv, shape.kv_padding);
  const int width = shape.heads * shape.dim, gap = shape.gap;
  auto q = Matrix<T>::random(q_seq.total, width, gap), k = Matrix<T>::random(kv_seq.total, width);
  auto v = Matrix<T>::random(kv_seq.total, width, gap), d = Matrix<T>::random(q_seq.total, width);
  Matrix<T> out(q_seq.total, width, gap), dq(q_seq.total, width), dk(kv_seq.total, width, gap);
  Matrix<T> dv(kv_seq.total, width);
  Matrix<A> lse(q_seq.total, shape.heads);
  Array<int> index(shape.kv_index);
  const auto args = [&](auto on) {
    using R = typename decltype(on)::Real;
    albef::AttentionArgs<R> a;
    a.q = on(q), a.k = on(k), a.v = on(v), a.out = on(out);
    a.lse = on.data(lse);
    a.q_seq = on(q_seq), a.kv_seq = on(kv_seq);
    if (!shape.kv_index.empty()) a.kv_index = on(index);
    a.heads = shape.heads;
    a.causal = shape.causal;
    a.scale = on.sum(0.2f);
    a.dropout = shape.dropout;
    a.philox = {99}, a.stream = 0x123456789ull;
    return a;
  };
  // Probabilities of the tensor-core kernels are rounded to bf16 before they meet the values.
  constexpr double bound = std::is_same_v<T, bfloat16> ? 2e-2 : 20 * tolerance<T>;
  out.set(undefined);
  compare<T>(
      bound, [&](auto on) { attention_forward(on.device, args(on)); }, out, lse);
  for (int s = 0; s < static_cast<int>(shape.q.size()); ++s) {
    const int t = shape.kv_index.empty() ? s : shape.kv_index[static_cast<std::size_t>(s)];
    const int queries = shape.q[static_cast<std::size_t>(s)];
    const int keys = shape.kv[static_cast<std::size_t>(t)];
    if (queries == 0 || keys == 0) continue;
    Matrix<T> maps(shape.heads * queries, keys);
    for (const bool gradient : {false, true})
      compare<T>(
          bound,
          [&](auto on) {
            using R = typename decltype(on)::Real;
            attention_probabilities(on.device, args(on), s, on.data(maps),
                                    gradient ? Mat<const R>(on(d)) : Mat<const R>{});
          },
          maps);
  }
  for (const float beta : {0.0f, 0.5f}) {
    const double old = beta == 0 ? undefined : 1.5;
    dq.set(old), dk.set(old), dv.set(old);
    compare<T>(
        2 * bound,
        [&](auto on) {
          using R = typename decltype(on)::Real;
          attention_forward(on.device, args(on));
          attention_backward(on.device, args(on), Mat<const R>(on(d)), on(dq), on.sum(beta), on(dk),
                             on(dv), on.sum(beta));
        },
        dq, dk, dv);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("attention and its gradients" * doctest::skip(no_test_device()), T, float,
                   double, bfloat16) {
  for (const auto& shape : attention_shapes) {
    CAPTURE(shape.q.size());
    CAPTURE(shape.heads);
    CAPTURE(shape.dim);
    CAPTURE(shape.causal);
    CAPTURE(shape.dropout);
    check_attention_shape<T>(shape);
  }
}

TEST_CASE("attention: wrong arguments are named" * doctest::skip(no_test_device())) {
  Matrix<float> x(4, 6);
  Lengths one({4}), two({2, 2});
  albef::AttentionArgs<float> a;
  a.q = a.k = a.v = x.device(), a.out = x.device();
  a.q_seq = a.kv_seq = one.at(one.offsets.device());
  a.heads = 4;
  CHECK_THROWS_WITH_AS(attention_forward(test_device(), a),
                       "[attention] width 6 is not a multiple of 4 heads", albef::Error);
  a.heads = 2;
  a.kv_seq = two.at(two.offsets.device());
  CHECK_THROWS_AS(attention_forward(test_device(), a), albef::Error);
}
