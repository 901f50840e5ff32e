// Losses over all examples of a step whose passes see a part of them each: features of every pass
// first, without gradient, then each pass again with those of the others at hand (open_clip
// training/train.py, accum_freq; Gao et al. 2021).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "albef/core/context.hpp"
#include "albef/core/memory.hpp"
#include "albef/train/objective.hpp"

namespace albef {

/// The features `x` (B, W) of this pass among those of all passes of its step: (N, W), of which the
/// others are constants; `x` itself where a step is one pass. `kind`: place in what the objective's
/// features() returns. The gradient of `x` is n times that of its rows, for n passes: an update
/// takes the mean over the passes, and a loss over all N examples shall count once for each.
template <class Ctx, class Real, int W>
Tensor<Real, W> of_all_passes(Ctx& ctx, const Step& step, std::size_t kind,
                              const Tensor<Real, W>& x) {
  static_assert(std::is_same_v<Real, typename Ctx::Master>, "of_all_passes: features are Master");
  const SharedRows* shared = step.shared;
  if (!shared) return x;
  ctx.check(x);
  const int first = shared->first;
  require(kind < shared->capacity && shared->data[kind] && first + x.rows() <= shared->rows,
          "[of_all_passes] features ", kind, " are not those that the objective's features() gave");
  auto y = ctx.template tensor<W, Real>(batch_of(shared->rows), x.cols);  // (N, W)
  copy_on_device(ctx.device(), y.data, static_cast<const Real*>(shared->data[kind]), y.size());
  copy_on_device(ctx.device(), y.data + std::int64_t{first} * x.cols,
                 static_cast<const Real*>(x.data), x.size());
  ctx.record(y, ctx.from(x),
             [x, y, first, passes = static_cast<const Real*>(shared->passes)](auto& bwd) {
               bwd.into(x, [&](Mat<Real> dx, auto beta) {
                 const Mat<const Real> dy = bwd.grad(y);
                 run(bwd.device(),
                     primitive::Scale<Real>{.x = {dy.row(first), dx.rows, dx.cols, dy.stride},
                                            .s = passes,
                                            .y = dx,
                                            .beta = beta});
               });
             });
  return y;
}

/// The features of a step's passes, collected by a Training.
template <class Device, class Master>
class SharedFeatures {
 public:
  explicit SharedFeatures(Device& device) : device_(device) {}

  void clear() { rows_ = filled_ = passes_ = 0; }
  /// Adds the features of a pass, a tuple of (B, W) each; all passes have `rows` rows together.
  template <class... Features>
  void add(const std::tuple<Features...>& features, int rows) {
    static_assert(sizeof...(Features) <= SharedRows::capacity);
    std::apply([&](const auto&... x) { add(rows, std::index_sequence_for<Features...>{}, x...); },
               features);
  }
  /// Those of the pass whose examples begin at row `first`, of n passes.
  const SharedRows& pass(int first, int passes) {
    require(filled_ == rows_, "the passes of a step have ", filled_, " examples, expected ", rows_);
    if (!count_) count_ = Buffer<Device, Master>(device_, 1);
    if (passes_ != passes) {
      const auto value = static_cast<Master>(passes);
      copy_to_device(device_, count_.data(), &value, 1);
      passes_ = passes;
    }
    view_.passes = count_.data();
    view_.rows = rows_;
    view_.first = first;
    return view_;
  }

 private:
  template <std::size_t... I, class... X>
  void add(int rows, std::index_sequence<I...>, const X&... x) {
    rows_ = rows;
    const std::array<int, sizeof...(X)> counts{x.rows()...};
    for (const int n : counts)
      require(n == counts[0] && filled_ + n <= rows, "features() gave ", n, " rows at row ",
              filled_, " of ", rows);
    const auto keep = [&](std::size_t kind, const auto& features) {
      auto& buffer = buffers_[kind];
      const std::int64_t size = std::int64_t{rows} * features.cols;
      if (buffer.size() < size) {
        require(filled_ == 0, "features() gave other widths than before");
        buffer = Buffer<Device, Master>(device_, size);
      }
      const Master* from = features.data;
      copy_on_device(device_, buffer.data() + std::int64_t{filled_} * features.cols, from,
                     features.size());
      view_.data[kind] = buffer.data();
    };
    (keep(I, x), ...);
    filled_ += counts[0];
  }

  Device& device_;
  std::array<Buffer<Device, Master>, SharedRows::capacity> buffers_;
  Buffer<Device, Master> count_;
  SharedRows view_;
  int rows_ = 0, filled_ = 0, passes_ = 0;
};

}  // namespace albef
