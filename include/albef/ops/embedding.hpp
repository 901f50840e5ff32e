// Token embeddings (word + position + type) and image patches with class token and positions.
#pragma once

#include "albef/core/context.hpp"
#include "albef/ops/gather.hpp"

namespace albef {

/// Token ids of a packed batch, on the device.
struct Tokens {
  const std::int32_t* ids = nullptr;  ///< (seq.rows())
  Sequences seq;
  Stamp stamp = {};  ///< where they were made, if known: see Context::check()
  /// The same with a negative number for words that take no gradient (nn.Embedding's padding_idx),
  /// or null: all do.
  const std::int32_t* learned_ids = nullptr;
};

/// word[id] + position[place in its text] + type[0], the last where there is such a table: ids
/// (B, L) -> (B, L, D). BERT, xbert.py; CLIP has no types.
template <int D, class Ctx>
auto embed(Ctx& ctx, const Tokens& tokens, ParamSpan word, ParamSpan position,
           ParamSpan type = {}) {
  using Real = typename Ctx::Real;
  ctx.check(tokens);
  require(position.size >= std::int64_t{tokens.seq.max_length()} * D, "[embed] a text of ",
          tokens.seq.max_length(), " tokens, but ", position.size / D, " positions");
  require(word.size % D == 0 && (type.size == 0 || type.size >= D),
          "[embed] word and type embeddings have ", word.size, " and ", type.size,
          " values, expected multiples of ", D);
  auto y = ctx.template tensor<D>(tokens.seq);  // (B, L, D)
  run(ctx.device(), primitive::Embedding<Real>{.ids = tokens.ids,
                                               .seq = tokens.seq,
                                               .word = ctx.weight(word),
                                               .position = ctx.weight(position),
                                               .type = type.size ? ctx.weight(type) : nullptr,
                                               .y = y.mat()});
  ctx.record(y, ctx.from(word, position, type), [y, tokens, word, position, type](auto& bwd) {
    using Grad = accumulator_t<Real>;
    primitive::EmbeddingGrad<Real> args{.ids = tokens.learned_ids ? tokens.learned_ids : tokens.ids,
                                        .seq = tokens.seq,
                                        .dy = bwd.grad(y)};
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
      run(bwd.device(), args);
    });
  });
  return y;
}

/// Cuts images (B, C, H, W), one row each, into patches: (B, patches, C * patch * patch), the
/// values of a patch in the order (channel, y, x) of a convolution kernel. Error if height or width
/// is not a multiple of the patch size.
template <int Values, class Ctx, class Real, int Pixels>
Tensor<Real, Values> patchify(Ctx& ctx, const Tensor<Real, Pixels>& image, PatchGrid grid) {
  ctx.check(image);
  require(grid.patch > 0 && grid.height % grid.patch == 0 && grid.width % grid.patch == 0,
          "[patchify] images of ", grid.height, " x ", grid.width,
          " pixels are not whole patches of ", grid.patch, " x ", grid.patch);
  require(grid.values() == Values && image.rows() == grid.images &&
              image.cols == grid.channels * grid.pixels(),
          "[patchify] got ", image.rows(), " images of ", image.cols, " values, expected ",
          grid.images, " of ", grid.channels, " x ", grid.height, " x ", grid.width);
  auto y = ctx.template tensor<Values>(uniform_sequences(grid.images, grid.patches()));
  run(ctx.device(),
      primitive::Patchify<Real>{.image = image.mat(), .grid = grid, .patches = y.mat()});
  ctx.record(y, ctx.from(image), [image, y, grid](auto& bwd) {
    bwd.into(image, [&](Mat<Real> d, auto beta) {
      run(bwd.device(), primitive::Unpatchify<Real>{
                            .patches = bwd.grad(y), .grid = grid, .image = d, .beta = beta});
    });
  });
  return y;
}

/// Which rows a token stands in for, on the device.
struct RowMask {
  const std::int32_t* kept = nullptr;  ///< (rows) the row's own number, or -1 where it is masked
  RowSelection masked = {};            ///< (M) the masked rows
};

/// Replaces masked rows by a token, a parameter (D): x (B, N, D) of uniform sequences -> (B, N, D).
/// With `Both`, (2 B, N, D): x as it is, then the masked copy.
template <bool Both = false, class Ctx, class Real, int D>
Tensor<Real, D> mask_rows(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan token, RowMask mask) {
  ctx.check(x, mask.masked);
  require(token.size == x.cols && !x.seq.offsets, "[mask_rows] got a token of ", token.size,
          " values for rows of ", x.cols);
  const int n = x.rows(), masked = mask.masked.seq.rows();
  auto y = ctx.template tensor<D>(
      uniform_sequences(Both ? 2 * x.seq.count : x.seq.count, x.seq.uniform));
  const std::int64_t before = Both ? x.size() : 0;  // values of y in front of the masked copy
  if constexpr (Both) copy_on_device(ctx.device(), y.data, x.data, x.size());
  const Mat<Real> tokens = mat(ctx.allocate(std::int64_t{masked} * D), masked, D);
  run(ctx.device(), primitive::GatherRows<Real>{
                        .x = x.mat(), .index = mask.kept, .y = mat(y.data + before, n, D)});
  run(ctx.device(), primitive::SetRows<Real>{.row = ctx.weight(token), .y = tokens});
  run(ctx.device(), primitive::ScatterAddRows<Real>{
                        .x = tokens, .index = mask.masked.index, .y = mat(y.data + before, n, D)});
  ctx.record(y, ctx.from(x, token), [x, y, token, mask, before, n, masked](auto& bwd) {
    const Real* dy = bwd.grad(y).data;
    const Mat<const Real> copy = mat(dy + before, n, D);
    bwd.into(token, [&](auto* d, auto beta) {
      const auto rows = bwd.template temporary<Real>(std::int64_t{masked} * D);
      run(bwd.device(),
          primitive::GatherRows<Real>{
              .x = copy, .index = mask.masked.index, .y = mat(rows.data(), masked, D)});
      run(bwd.device(),
          primitive::ColumnSum<Real>{
              .x = mat(static_cast<const Real*>(rows.data()), masked, D), .sum = d, .beta = beta});
    });
    bwd.into(x, [&](Mat<Real> dx, accumulator_t<Real> beta) {
      if constexpr (Both) {
        run(bwd.device(), primitive::Add<Real>{.x = mat(dy, n, D), .y = dx, .beta = beta});
        beta = 1;
      }
      run(bwd.device(),
          primitive::GatherRows<Real>{.x = copy, .index = mask.kept, .y = dx, .beta = beta});
    });
  });
  return y;
}

/// Prepends the class token and adds position embeddings: x (B, N, D) -> (B, N + 1, D);
/// cls (1, 1, D), position (1, M + 1, D), added to the class token too. M is N, or where `grid` has
/// two sizes, the patches of the first, whose positions are resized to the second.
template <class Ctx, class Real, int D>
Tensor<Real, D> add_class_token(Ctx& ctx, const Tensor<Real, D>& x, ParamSpan cls,
                                ParamSpan position, GridResize grid = {}) {
  ctx.check(x);
  using A = accumulator_t<Real>;
  const int images = x.seq.count, n = x.seq.uniform, rows = grid.same() ? n : grid.from_rows();
  require(position.size == std::int64_t{rows + 1} * D && (grid.same() || n == grid.rows()),
          "[add_class_token] got ", n, " patches and ", position.size / D,
          " position embeddings, expected ", grid.same() ? n : grid.rows(), " and ", rows + 1);
  auto y = ctx.template tensor<D>(uniform_sequences(images, n + 1));  // (B, N + 1, D)
  // One image is a row: (B, (N + 1) D) = [cls + position_0 | patches + position_1..N].
  const Mat<Real> out{y.data, images, (n + 1) * D, std::int64_t{n + 1} * D};
  const Mat<Real> out_cls{out.data, images, D, out.stride};
  const Mat<Real> out_patches{out.data + D, images, n * D, out.stride};
  const Mat<Real> patches = mat(x.data, images, n * D);
  const Real* table = ctx.weight(position);
  if (!grid.same()) {
    Real* resized = ctx.allocate(std::int64_t{n + 1} * D);
    copy_on_device(ctx.device(), resized, table, D);
    run(ctx.device(), primitive::ResizeGrid<Real>{
                          .x = mat(table + D, rows, D), .grid = grid, .y = mat(resized + D, n, D)});
    table = resized;
  }
  run(ctx.device(), primitive::SetRows<Real>{.row = table, .y = out});
  run(ctx.device(), primitive::SetRows<Real>{.row = ctx.weight(cls), .y = out_cls, .beta = 1});
  run(ctx.device(), primitive::Add<Real>{.x = patches, .y = out_patches, .beta = 1});
  ctx.record(y, ctx.from(x, cls, position), [x, y, cls, position, grid, images, n](auto& bwd) {
    const auto dy = bwd.grad(y);
    const Mat<const Real> all{dy.data, images, (n + 1) * D, std::int64_t{n + 1} * D};
    bwd.into(position, [&](A* d, A beta) {
      if (grid.same())
        return run(bwd.device(), primitive::ColumnSum<Real>{.x = all, .sum = d, .beta = beta});
      const auto sums = bwd.template temporary<A>(std::int64_t{n + 1} * D);
      const A* from = sums.data();
      run(bwd.device(), primitive::ColumnSum<Real>{.x = all, .sum = sums.data()});
      run(bwd.device(), primitive::Add<A>{.x = mat(from, 1, D), .y = mat(d, 1, D), .beta = beta});
      run(bwd.device(), primitive::ResizeGridGrad<Real>{.dy = mat(from + D, n, D),
                                                        .grid = grid,
                                                        .dx = mat(d + D, grid.from_rows(), D),
                                                        .beta = beta});
    });
    bwd.into(cls, [&](auto* d, auto beta) {
      run(bwd.device(), primitive::ColumnSum<Real>{
                            .x = {all.data, images, D, all.stride}, .sum = d, .beta = beta});
    });
    bwd.into(x, [&](Mat<Real> d, auto beta) {
      run(bwd.device(), primitive::Add<Real>{.x = {all.data + D, images, n * D, all.stride},
                                             .y = mat(d.data, images, n * D),
                                             .beta = beta});
    });
  });
  return y;
}

}  // namespace albef
