// What attention looks at: the probabilities of a forward pass, and for Grad-CAM their gradient
// after the backward pass.
#pragma once

#include <vector>

#include "albef/ops/attention.hpp"

namespace albef {

/// Attention probabilities of one sequence (after softmax, before dropout), and, if asked for, the
/// gradient of the scalar that was back-propagated with respect to them.
template <class Real>
struct AttentionMap {
  int heads = 0, queries = 0, keys = 0;
  std::vector<Real> probability, gradient;  ///< (heads, queries, keys)
};

namespace detail {

/// The maps of all query sequences of an attention, with the gradient where that of its output is
/// given, (rows, D) on the device. Not for speed.
template <class Ctx, class Real>
std::vector<AttentionMap<Real>> read_attention(Ctx& ctx, const primitive::Attention<Real>& args,
                                               Mat<const Real> d_out = {}) {
  const auto copied = [&](const int* from, int count) {
    std::vector<int> host(static_cast<std::size_t>(count));
    copy_to_host(ctx.device(), host.data(), from, count);
    return host;
  };
  const auto on_host = [&](Sequences seq, std::vector<int>& offsets) {
    if (seq.offsets) offsets = copied(seq.offsets, seq.count + 1), seq.offsets = offsets.data();
    return seq;
  };
  std::vector<int> q_offsets, kv_offsets, index;
  const Sequences q_seq = on_host(args.q_seq, q_offsets), kv_seq = on_host(args.kv_seq, kv_offsets);
  if (args.kv_index) index = copied(args.kv_index, args.q_seq.count);
  std::vector<AttentionMap<Real>> maps;
  for (int s = 0; s < args.q_seq.count; ++s) {
    const int t = args.kv_index ? index[static_cast<std::size_t>(s)] : s;
    AttentionMap<Real> m{args.heads, q_seq.length(s), kv_seq.length(t), {}, {}};
    const std::int64_t size = std::int64_t{m.heads} * m.queries * m.keys;
    Real* values = ctx.allocate(size);
    const auto copy = [&](std::vector<Real>& host) {
      host.resize(static_cast<std::size_t>(size));
      copy_to_host(ctx.device(), host.data(), static_cast<const Real*>(values), size);
    };
    primitive::AttentionProbabilities<Real> map{
        .forward = args, .sequence = s, .probabilities = values};
    run(ctx.device(), map);
    copy(m.probability);
    if (d_out.data) {
      map.d_out = d_out;
      run(ctx.device(), map);
      copy(m.gradient);
    }
    maps.push_back(std::move(m));
  }
  return maps;
}

}  // namespace detail

/// The maps, without gradients, of the last attention that runs in f(): of the last block of an
/// encoder, say. Nothing is recorded; dropout must be off.
template <class Ctx, class F>
auto last_attention(Ctx& ctx, F&& f) {
  using Real = typename Ctx::Real;
  require(!ctx.dropout(), "[attention map] dropout is on");
  primitive::Attention<Real> last;
  struct Note {
    Ctx& ctx;
    ~Note() { ctx.note_attention(nullptr); }
  } note{ctx};
  ctx.note_attention(&last);
  ctx.no_grad([&] { f(); });
  require(last.q.data != nullptr, "[attention map] no attention ran");
  return detail::read_attention(ctx, last);
}

/// An attention under observation: use `out` in place of the attention's output, call
/// ctx.backward(), then read the maps.
template <class Real, int D>
struct WatchedAttention {
  primitive::Attention<Real> args;
  Tensor<Real, D> out;  ///< (Bq, Lq, D)

  /// The maps of all query sequences. Not for speed.
  template <class Ctx>
  std::vector<AttentionMap<Real>> read(Ctx& ctx) const {
    const Real* gradient = ctx.upload(ctx.gradient(out));
    return detail::read_attention(ctx, args, Mat<const Real>(mat(gradient, out.rows(), D)));
  }
};

namespace detail {

template <class Ctx, class Real, int D>
WatchedAttention<Real, D> watch_attention(Ctx& ctx, primitive::Attention<Real> args,
                                          Tensor<Real, D> y) {
  require(!ctx.dropout(), "[attention map] dropout is on");
  run_attention(ctx, args, y, 0.0f);
  ctx.watch(y);
  return {args, y};
}

}  // namespace detail

/// cross_attention() under observation. Its inputs receive no gradient.
template <class Ctx, class Real, int D, int D2>
WatchedAttention<Real, D> watch_cross_attention(Ctx& ctx, const Tensor<Real, D>& q,
                                                const Tensor<Real, D2>& kv,
                                                const std::int32_t* kv_index, int heads) {
  static_assert(detail::WidthsAgree<D2, 2 * D>::value,
                "watch_cross_attention: kv must be twice as wide as q");
  ctx.check(kv);
  detail::check_heads("watch_cross_attention", q.cols, heads);
  return detail::watch_attention(
      ctx, detail::attention_args(q.mat(), q.seq, kv.mat(), kv.seq, kv_index, heads), ctx.like(q));
}

/// self_attention() under observation. Its input receives no gradient.
template <class Ctx, class Real, int D3>
WatchedAttention<Real, D3 / 3> watch_self_attention(Ctx& ctx, const Tensor<Real, D3>& qkv,
                                                    int heads) {
  constexpr int D = D3 / 3;
  ctx.check(qkv);
  detail::check_heads("watch_self_attention", D, heads);
  return detail::watch_attention(
      ctx,
      detail::attention_args(qkv.columns(0, D), qkv.seq, qkv.columns(D, 2 * D), qkv.seq, nullptr,
                             heads),
      ctx.template tensor<D>(qkv.seq));
}

}  // namespace albef
