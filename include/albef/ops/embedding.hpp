// Token embeddings (word + position + type) and image patches with class token and positions.
#pragma once

#include "albef/core/context.hpp"

namespace albef {

/// Token ids of a packed batch, on the device.
struct Tokens {
  const std::int32_t* ids = nullptr;  ///< (seq.rows())
  Sequences seq;
};

/// word[id] + position[place in its text] + type[0]: ids (B, L) -> (B, L, D). BERT, xbert.py.
template <int D, class Ctx>
auto embed(Ctx& ctx, const Tokens& tokens, ParamSpan word, ParamSpan position, ParamSpan type) {
  using Real = typename Ctx::Real;
  auto y = ctx.template tensor<D>(tokens.seq);  // (B, L, D)
  embedding_forward(ctx.device(), EmbeddingArgs<Real>{.ids = tokens.ids,
                                                      .seq = tokens.seq,
                                                      .word = ctx.weight(word),
                                                      .position = ctx.weight(position),
                                                      .type = ctx.weight(type),
                                                      .y = y.mat()});
  ctx.record(y, ctx.from(word, position, type), [y, tokens, word, position, type](auto& bwd) {
    using Grad = accumulator_t<Real>;
    EmbeddingGradArgs<Real> args{.ids = tokens.ids, .seq = tokens.seq, .dy = bwd.grad(y)};
    args.vocabulary = static_cast<int>(word.size / D);
    const auto prepare = [&](ParamSpan p, Grad* d, Grad beta) {  // untouched rows: zero
      if (d && beta == 0)
        fill_zero(bwd.device(), d, static_cast<std::size_t>(p.size) * sizeof(Grad));
      return d;
    };
    bwd.into(word, position, [&](auto dw, auto dp) {
      args.word = prepare(word, dw.data, dw.beta);
      args.position = prepare(position, dp.data, dp.beta);
      bwd.into(type, [&](Grad* d, Grad beta) { args.type = prepare(type, d, beta); });
      embedding_backward(bwd.device(), args);
    });
  });
  return y;
}

/// Cuts images (B, 3, S, S), one row each, into patches: (B, patches, 3 * patch * patch), the
/// values of a patch in the order (channel, y, x) of a convolution kernel.
template <int Values, class Ctx, class Real, int Pixels>
Tensor<Real, Values> patchify(Ctx& ctx, const Tensor<Real, Pixels>& image, PatchGrid grid) {
  auto y = ctx.template tensor<Values>(uniform_sequences(grid.images, grid.patches()));
  patchify(ctx.device(), Mat<const Real>(image.mat()), grid, y.mat());
  ctx.record(y, ctx.from(image), [image, y, grid](auto& bwd) {
    bwd.into(image, [&](Mat<Real> d, auto beta) {
      unpatchify(bwd.device(), Mat<const Real>(bwd.grad(y)), grid, d, beta);
    });
  });
  return y;
}

/// Prepends the class token and adds position embeddings: x (B, N, D) -> (B, N + 1, D);
/// cls (1, 1, D), position (1, N + 1, D), added to the class token too.
template <class Ctx, class Real, int D>
Tensor<Real, D> add_class_token(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan cls,
                                ParamSpan position) {
  const int images = x.seq.count, n = x.seq.uniform;
  auto y = ctx.template tensor<D>(uniform_sequences(images, n + 1));  // (B, N + 1, D)
  // One image is a row: (B, (N + 1) D) = [cls + position_0 | patches + position_1..N].
  const Mat<Real> out{y.data, images, (n + 1) * D, std::int64_t{n + 1} * D};
  const Mat<Real> out_cls{out.data, images, D, out.stride};
  const Mat<Real> out_patches{out.data + D, images, n * D, out.stride};
  const Mat<Real> patches = mat(x.data, images, n * D);
  set_rows(ctx.device(), ctx.weight(position), out);
  add_row(ctx.device(), ctx.weight(cls), out_cls);
  add(ctx.device(), Mat<const Real>(patches), out_patches, accumulator_t<Real>(1));
  ctx.record(y, ctx.from(x, cls, position), [x, y, cls, position, images, n](auto& bwd) {
    const auto dy = bwd.grad(y);
    const Mat<const Real> all{dy.data, images, (n + 1) * D, std::int64_t{n + 1} * D};
    bwd.into(position, [&](auto* d, auto beta) { column_sum(bwd.device(), all, d, beta); });
    bwd.into(cls, [&](auto* d, auto beta) {
      column_sum(bwd.device(), Mat<const Real>{all.data, images, D, all.stride}, d, beta);
    });
    bwd.into(x, [&](Mat<Real> d, auto beta) {
      add(bwd.device(), Mat<const Real>{all.data + D, images, n * D, all.stride},
          mat(d.data, images, n * D), beta);
    });
  });
  return y;
}

}  // namespace albef
