// Convolution and pooling over feature maps, by products with the values that the windows see.
#pragma once

#include <algorithm>
#include <cstdint>

#include "albef/core/context.hpp"
#include "albef/ops/linear.hpp"

namespace albef {

/// Feature maps of B images, all of one size: a sequence an image, a row of C channels a pixel,
/// line by line.
template <class Real, int C>
struct FeatureMaps {
  using Scalar = Real;
  static constexpr int channels = C;

  Tensor<Real, C> values;  ///< (B, height * width, C)
  int height = 0, width = 0;

  constexpr int images() const { return values.seq.count; }
  constexpr WindowGrid windows(Window w) const { return {images(), height, width, w}; }
  /// Maps of the same size with other values.
  template <int D>
  constexpr FeatureMaps<Real, D> with(const Tensor<Real, D>& other) const {
    return {other, height, width};
  }
};

/// Images or feature maps in planes, (B, C, H, W), a row an image, as maps (B, H * W, C).
template <int C, class Ctx, class Real, int Pixels>
FeatureMaps<Real, C> feature_maps(Ctx& ctx, const Tensor<Real, Pixels>& planes, int height,
                                  int width) {
  ctx.check(planes);
  const int images = planes.rows(), pixels = height * width;
  require(height > 0 && width > 0 && std::int64_t{planes.cols} == std::int64_t{C} * pixels,
          "[feature_maps] got images of ", planes.cols, " values, expected ", C, " x ", height,
          " x ", width);
  auto y = ctx.template tensor<C>(uniform_sequences(images, pixels));  // (B, H W, C)
  run(ctx.device(), primitive::TransposeEach<Real>{planes.data, images, C, pixels, y.data, 0});
  ctx.record(y, ctx.from(planes), [planes, y, images, pixels](auto& bwd) {
    bwd.into(planes, [&](Mat<Real> d, auto beta) {
      run(bwd.device(),
          primitive::TransposeEach<Real>{bwd.grad(y).data, images, pixels, C, d.data, beta});
    });
  });
  return {y, height, width};
}

namespace detail {

/// How many values of windows are unfolded at once: what the device says, or enough for a GPU.
template <class Device>
constexpr std::int64_t unfold_values() {
  if constexpr (requires { Device::unfold_values; })
    return Device::unfold_values;
  else
    return std::int64_t{1} << 25;
}

/// Calls f(first, count) for blocks of the windows of a grid, of `values` values each.
template <class Device, class F>
void for_window_blocks(const WindowGrid& grid, int values, F&& f) {
  const int rows = grid.out_rows();
  const auto block = static_cast<int>(std::clamp<std::int64_t>(
      unfold_values<Device>() / std::max(1, values), 1, std::max(1, rows)));
  for (int first = 0; first < rows; first += block) f(first, std::min(block, rows - first));
}
/// Room for such a block.
template <class Device>
std::int64_t window_block_size(const WindowGrid& grid, int values) {
  std::int64_t largest = 0;
  for_window_blocks<Device>(grid, values, [&](int, int count) {
    largest = std::max(largest, std::int64_t{count} * values);
  });
  return largest;
}

/// The weight of a convolution, (Outer, Inner, cells) as PyTorch stores it, and its order where
/// windows are unfolded: (Outer, cells, Inner).
struct WindowWeight {
  ParamSpan weight;
  int outer, inner, cells;

  int values() const { return inner * cells; }  ///< of a row
  std::int64_t size() const { return std::int64_t{outer} * values(); }
  bool in_order() const { return inner == 1 || cells == 1; }
  /// The weight in the order of windows, in `room` (size() values) unless it is so already.
  template <class Real>
  Mat<const Real> ordered(auto& device, const Real* stored, Real* room) const {
    if (in_order()) return mat(stored, outer, values());
    run(device, primitive::TransposeEach<Real>{stored, outer, inner, cells, room, 0});
    return mat(static_cast<const Real*>(room), outer, values());
  }
  std::int64_t room() const { return in_order() ? 0 : size(); }

  /// The gradient: calls f(block, columns, dw, beta) for every block, to add the block's part to
  /// dw (outer, values()), which then goes where `gradient` says.
  template <class Real, class Bwd, class F>
  void gradient(Bwd& bwd, const WindowGrid& grid, typename Bwd::Gradient gradient,
                Mat<const Real> maps, F&& f) const {
    using Device = std::remove_cvref_t<decltype(bwd.device())>;
    using Grad = accumulator_t<Real>;
    const auto columns = bwd.template temporary<Real>(window_block_size<Device>(grid, values()));
    const auto ordered = bwd.template temporary<Grad>(room());
    Grad* const to = in_order() ? gradient.data : ordered.data();
    for_window_blocks<Device>(grid, values(), [&](int first, int count) {
      const Mat<Real> block = mat(columns.data(), count, values());
      run(bwd.device(),
          primitive::Unfold<Real>{.x = maps, .grid = grid, .first = first, .columns = block});
      const Grad beta = first > 0 ? Grad(1) : in_order() ? gradient.beta : Grad(0);
      f(first, Mat<const Real>(block), mat(to, outer, values()), beta);
    });
    if (!in_order())
      run(bwd.device(),
          primitive::TransposeEach<Grad>{to, outer, cells, inner, gradient.data, gradient.beta});
  }
};

/// Rows [first, first + count) of a matrix.
template <class T>
Mat<T> rows_of(Mat<T> m, int first, int count) {
  return {m.row(first), count, m.cols, m.stride};
}

inline void check_window(const Window& w, const char* what) {
  require(w.kernel > 0 && w.stride > 0 && w.dilation > 0 && w.padding >= 0, what,
          " windows of kernel ", w.kernel, ", stride ", w.stride, ", padding ", w.padding,
          " and dilation ", w.dilation);
}
inline void check_convolution(ParamSpan weight, ParamSpan bias, std::int64_t values, int out,
                              const char* what) {
  require(weight.size == values && (bias.size == 0 || bias.size == out), what,
          " weight and bias have ", weight.size, " and ", bias.size, " values, expected ", values,
          " and ", out);
}

}  // namespace detail

/// Convolution: x (B, H * W, In), weight (Out, In, kernel, kernel), bias (Out) or absent ->
/// (B, H' * W', Out) with H' = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1, as
/// torch.nn.functional.conv2d. Windows are unfolded block by block, so memory beside the result is
/// bounded. Error if a window is larger than the padded map.
template <int Out, class Ctx, class Real, int In>
FeatureMaps<Real, Out> conv2d(Ctx& ctx, const FeatureMaps<Real, In>& x, ParamSpan weight,
                              ParamSpan bias = {}, Window window = {}) {
  using Device = typename Ctx::Device;
  const auto input = x.values;
  ctx.check(input);
  const WindowGrid grid = x.windows(window);
  const detail::WindowWeight w{weight, Out, In, window.cells()};
  detail::check_window(window, "[conv2d]");
  detail::check_convolution(weight, bias, w.size(), Out, "[conv2d]");
  require(grid.out_height() > 0 && grid.out_width() > 0, "[conv2d] a window of ", window.extent(),
          " pixels is larger than a map of ", x.height, " x ", x.width, " with padding of ",
          window.padding);
  if (window.kernel == 1 && window.stride == 1 && window.padding == 0)
    return x.with(linear<Out>(ctx, input, weight, bias));  // (B, H W, Out)

  auto y = ctx.template tensor<Out>(uniform_sequences(grid.images, grid.out_pixels()));
  ctx.scoped([&] {
    const auto matrix =
        w.ordered(ctx.device(), ctx.weight(weight), ctx.template allocate<Real>(w.room()));
    Real* const columns =
        ctx.template allocate<Real>(detail::window_block_size<Device>(grid, w.values()));
    detail::for_window_blocks<Device>(grid, w.values(), [&](int first, int count) {
      const Mat<Real> block = mat(columns, count, w.values());
      run(ctx.device(), primitive::Unfold<Real>{
                            .x = input.mat(), .grid = grid, .first = first, .columns = block});
      run(ctx.device(), primitive::Gemm<Real>{.a = block,
                                              .b = matrix,
                                              .c = detail::rows_of(y.mat(), first, count),
                                              .transpose_b = true,
                                              .bias = bias.size ? ctx.weight(bias) : nullptr});
    });
  });
  ctx.record(y, ctx.from(input, weight, bias), [input, y, w, bias, grid](auto& bwd) {
    const Mat<const Real> dy = bwd.grad(y);
    bwd.into(w.weight, bias, [&](auto dw, auto db) {
      if (dw.data)
        w.template gradient<Real>(
            bwd, grid, dw, input.mat(), [&](int first, auto columns, auto to, auto beta) {
              run(bwd.device(), primitive::WeightGradient<Real>{
                                    .dy = detail::rows_of(dy, first, columns.rows),
                                    .x = columns,
                                    .dw = to,
                                    .beta = beta,
                                    .db = db.data,
                                    .beta_db = first > 0 ? decltype(beta)(1) : db.beta});
            });
      else if (db.data)
        run(bwd.device(), primitive::ColumnSum<Real>{.x = dy, .sum = db.data, .beta = db.beta});
    });
    bwd.into(input, [&](Mat<Real> dx, auto beta) {
      const auto room = bwd.template temporary<Real>(w.room());
      const auto matrix = w.ordered(bwd.device(), bwd.weight(w.weight), room.data());
      const auto columns =
          bwd.template temporary<Real>(detail::window_block_size<Device>(grid, w.values()));
      if (beta == 0)
        fill_zero(bwd.device(), dx.data, static_cast<std::size_t>(input.size()) * sizeof(Real));
      detail::for_window_blocks<Device>(grid, w.values(), [&](int first, int count) {
        const Mat<Real> block = mat(columns.data(), count, w.values());
        run(bwd.device(),
            primitive::Gemm<Real>{.a = detail::rows_of(dy, first, count), .b = matrix, .c = block});
        run(bwd.device(),
            primitive::Fold<Real>{.columns = block, .grid = grid, .first = first, .x = dx});
      });
    });
  });
  return {y, grid.out_height(), grid.out_width()};
}

/// Transposed convolution: x (B, H * W, In), weight (In, Out, kernel, kernel), bias (Out) or absent
/// -> (B, H' * W', Out) with H' = (H - 1) stride - 2 padding + dilation (kernel - 1) + 1, as
/// torch.nn.functional.conv_transpose2d: every pixel adds its window to the result.
template <int Out, class Ctx, class Real, int In>
FeatureMaps<Real, Out> conv_transpose2d(Ctx& ctx, const FeatureMaps<Real, In>& x, ParamSpan weight,
                                        ParamSpan bias = {}, Window window = {}) {
  using Device = typename Ctx::Device;
  const auto input = x.values;
  ctx.check(input);
  detail::check_window(window, "[conv_transpose2d]");
  const auto side = [&](int n) {
    return (n - 1) * window.stride - 2 * window.padding + window.extent();
  };
  const WindowGrid grid{x.images(), side(x.height), side(x.width), window};  // of the result
  const detail::WindowWeight w{weight, In, Out, window.cells()};
  detail::check_convolution(weight, bias, w.size(), Out, "[conv_transpose2d]");
  require(grid.height > 0 && grid.width > 0, "[conv_transpose2d] a map of ", x.height, " x ",
          x.width, " with padding of ", window.padding, " has no pixels left");

  auto y = ctx.template tensor<Out>(uniform_sequences(grid.images, grid.pixels()));
  if (bias.size)
    run(ctx.device(), primitive::SetRows<Real>{.row = ctx.weight(bias), .y = y.mat()});
  else
    fill_zero(ctx.device(), y.data, static_cast<std::size_t>(y.size()) * sizeof(Real));
  ctx.scoped([&] {
    const auto matrix =
        w.ordered(ctx.device(), ctx.weight(weight), ctx.template allocate<Real>(w.room()));
    Real* const columns =
        ctx.template allocate<Real>(detail::window_block_size<Device>(grid, w.values()));
    detail::for_window_blocks<Device>(grid, w.values(), [&](int first, int count) {
      const Mat<Real> block = mat(columns, count, w.values());
      run(ctx.device(),
          primitive::Gemm<Real>{
              .a = detail::rows_of(input.mat(), first, count), .b = matrix, .c = block});
      run(ctx.device(),
          primitive::Fold<Real>{.columns = block, .grid = grid, .first = first, .x = y.mat()});
    });
  });
  ctx.record(y, ctx.from(input, weight, bias), [input, y, w, bias, grid](auto& bwd) {
    const Mat<const Real> dy = bwd.grad(y);
    bwd.into(bias, [&](auto* db, auto beta) {
      run(bwd.device(), primitive::ColumnSum<Real>{.x = dy, .sum = db, .beta = beta});
    });
    bwd.into(w.weight, ParamSpan{}, [&](auto dw, auto) {
      if (!dw.data) return;
      w.template gradient<Real>(
          bwd, grid, dw, dy, [&](int first, auto columns, auto to, auto beta) {
            run(bwd.device(), primitive::WeightGradient<Real>{
                                  .dy = detail::rows_of(input.mat(), first, columns.rows),
                                  .x = columns,
                                  .dw = to,
                                  .beta = beta});
          });
    });
    bwd.into(input, [&](Mat<Real> dx, auto beta) {
      const auto room = bwd.template temporary<Real>(w.room());
      const auto matrix = w.ordered(bwd.device(), bwd.weight(w.weight), room.data());
      const auto columns =
          bwd.template temporary<Real>(detail::window_block_size<Device>(grid, w.values()));
      detail::for_window_blocks<Device>(grid, w.values(), [&](int first, int count) {
        const Mat<Real> block = mat(columns.data(), count, w.values());
        run(bwd.device(),
            primitive::Unfold<Real>{.x = dy, .grid = grid, .first = first, .columns = block});
        run(bwd.device(), primitive::Gemm<Real>{.a = block,
                                                .b = matrix,
                                                .c = detail::rows_of(dx, first, count),
                                                .transpose_b = true,
                                                .beta = beta});
      });
    });
  });
  return {y, grid.height, grid.width};
}

/// The largest value of every window, a channel on its own, as torch.nn.functional.max_pool2d:
/// (B, H * W, C) -> (B, H' * W', C), sizes as in conv2d(). Error if a window may lie in the padding
/// altogether, or is larger than the padded map.
template <class Ctx, class Real, int C>
FeatureMaps<Real, C> max_pool2d(Ctx& ctx, const FeatureMaps<Real, C>& x, Window window) {
  const auto input = x.values;
  ctx.check(input);
  const WindowGrid grid = x.windows(window);
  detail::check_window(window, "[max_pool2d]");
  require(2 * window.padding <= window.kernel, "[max_pool2d] padding of ", window.padding,
          " is more than half of a kernel of ", window.kernel);
  require(grid.out_height() > 0 && grid.out_width() > 0, "[max_pool2d] a window of ",
          window.extent(), " pixels is larger than a map of ", x.height, " x ", x.width,
          " with padding of ", window.padding);
  auto y = ctx.template tensor<C>(uniform_sequences(grid.images, grid.out_pixels()));
  const bool needs = ctx.from(input);
  std::int32_t* const from =
      ctx.recording() && needs ? ctx.template allocate<std::int32_t>(y.size()) : nullptr;
  run(ctx.device(),
      primitive::MaxPool<Real>{.x = input.mat(), .grid = grid, .y = y.mat(), .from = from});
  ctx.record(y, needs, [input, y, grid, from](auto& bwd) {
    bwd.into(input, [&](Mat<Real> dx, auto beta) {
      run(bwd.device(), primitive::MaxPoolGrad<Real>{
                            .dy = bwd.grad(y), .from = from, .grid = grid, .dx = dx, .beta = beta});
    });
  });
  return {y, grid.out_height(), grid.out_width()};
}

/// The column of the largest value of every row, on the device: (..., W) -> (rows). No gradient.
template <class Ctx, class Real, int W>
const std::int32_t* argmax(Ctx& ctx, const Tensor<Real, W>& x) {
  ctx.check(x);
  auto* index = ctx.template allocate<std::int32_t>(x.rows());
  run(ctx.device(), primitive::ArgmaxRows<Real>{.x = x.mat(), .index = index});
  return index;
}

}  // namespace albef
