// Golden cases of kind `dalle_encoder`: the image tokenizer's logits and codes.
#pragma once

#include <cmath>
#include <vector>

#include "albef/models/dalle.hpp"
#include "support/albef_case.hpp"
#include "support/golden_models.hpp"

namespace albef {

struct DalleNano {
  static constexpr int n_hid = 8, n_blk_per_group = 2, vocab_size = 96;
};

namespace detail {

/// Rows (B, H W, C) as planes (B, C, H, W).
template <class T>
std::vector<T> to_planes(const std::vector<T>& rows, int images, int channels) {
  const int pixels = static_cast<int>(rows.size()) / images / channels;
  const auto image = static_cast<std::ptrdiff_t>(pixels) * channels;
  std::vector<T> out;
  for (auto from = rows.begin(); from != rows.end(); from += image) {
    const auto planes = transposed(std::vector<T>(from, from + image), pixels, channels);
    out.insert(out.end(), planes.begin(), planes.end());
  }
  return out;
}

}  // namespace detail

template <class C, class Device>
void run_dalle_case(const GoldenCase& golden, GoldenReport& report) {
  static constexpr auto model = laid_out<DalleEncoder<C>>();
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(golden, model,
                                                                       Storage::inference);
  auto& ctx = run.ctx();
  const auto& shape = golden.input("image").shape;
  const int batch = static_cast<int>(shape[0]), channels = static_cast<int>(shape[1]);
  const int height = static_cast<int>(shape[2]), width = static_cast<int>(shape[3]);
  const Images<float> images{
      ctx.template constant<dynamic_width>(run.template upload<float>("image"), batch_of(batch),
                                           channels * height * width),
      channels, height, width};
  const auto check = [&](const char* name, const auto& rows) {
    report.check(name, detail::to_planes(ctx.read(rows), batch, rows.cols));
  };
  const auto pixels = feature_maps<image_channels<C>()>(ctx, images);  // (B, H W, C)
  check("group_1", model.trunk.pooled_1(ctx, pixels).values);
  check("group_4", model.trunk(ctx, pixels).values);
  const auto logits = model(ctx, images);  // (B, H W / 64, V)
  check("logits", logits);
  std::vector<std::int32_t> codes(static_cast<std::size_t>(logits.rows()));
  copy_to_host(run.device(), codes.data(), argmax(ctx, logits),
               static_cast<std::int64_t>(codes.size()));
  report.check("codes", codes);
  auto probs = ctx.read(logits);
  for (auto row = probs.begin(); row != probs.end(); row += logits.cols) {
    double sum = 0;
    for (int i = 0; i < logits.cols; ++i) sum += std::exp(static_cast<double>(row[i]));
    for (int i = 0; i < logits.cols; ++i)
      row[i] = static_cast<float>(std::exp(static_cast<double>(row[i])) / sum);
  }
  report.check("probs", detail::to_planes(probs, batch, logits.cols));
}

/// The runner of a case. Error if no configuration of the list fits; a further one is one more
/// type there.
template <class Device>
GoldenRunner find_dalle_runner(const GoldenCase& golden) {
  GoldenRunner found;
  const auto look = [&]<class... C>(std::type_identity<C>...) {
    const auto fits = [&]<class D>(std::type_identity<D>) {
      return golden.config.at("n_hid") == D::n_hid &&
             golden.config.at("n_blk_per_group") == D::n_blk_per_group &&
             golden.config.at("vocab_size") == D::vocab_size &&
             golden.config.at("input_channels") == image_channels<D>();
    };
    ((found = fits(std::type_identity<C>{}) ? run_dalle_case<C, Device> : found), ...);
  };
  look(std::type_identity<DalleNano>{});
  require(found != nullptr, golden.folder, ": no configuration compiled in fits the case's config");
  return found;
}

}  // namespace albef
