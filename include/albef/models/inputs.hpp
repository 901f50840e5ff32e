// From texts and pixels of the host to model inputs on the device, with the checks that keep bad
// ids out.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "albef/models/vit.hpp"
#include "albef/text/batch.hpp"

namespace albef {

namespace detail {

/// Error if a token id is outside the vocabulary of configuration C.
template <class C>
void check_ids(std::span<const std::int32_t> ids) {
  for (const std::int32_t id : ids)
    require(id >= 0 && id < C::vocab_size, "token id ", id,
            " is outside the model's vocabulary of ", C::vocab_size);
}

}  // namespace detail

/// Uploads a packed text batch; Error if a text is empty or longer than the model's positions, or
/// an id is outside its vocabulary.
template <class C, class Ctx>
Tokens upload_tokens(Ctx& ctx, const TextBatch& text) {
  for (int i = 0; i < text.count(); ++i)
    require(text.length(i) >= 1 && text.length(i) <= C::max_position_embeddings, "text ", i,
            " has ", text.length(i), " tokens, expected 1 to ", C::max_position_embeddings);
  detail::check_ids<C>(text.ids);
  return {ctx.upload(text.ids), ctx.sequences(text.offsets), ctx.stamp()};
}

namespace detail {

/// Uploads pixels and normalises them into rows of Width values.
template <int Width, class Ctx>
auto upload_pixels(Ctx& ctx, std::span<const std::uint8_t> pixels, int height, int width,
                   const ImageStatistics& statistics) {
  const int channels = statistics.channels();
  require(height > 0 && width > 0, "got images of ", height, " x ", width,
          " pixels, expected positive numbers");
  const auto values = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
                      static_cast<std::size_t>(channels);
  require(pixels.size() % values == 0, "got ", pixels.size(), " pixel values, expected images of ",
          height, " x ", width, " x ", channels);
  const int images = static_cast<int>(pixels.size() / values);
  auto out = ctx.no_grad([&] {
    return ctx.template tensor<Width>(batch_of(images), static_cast<int>(values));  // (B, C, H, W)
  });
  const PatchGrid grid{.images = images, .channels = channels, .height = height, .width = width};
  run(ctx.device(),
      primitive::NormalizeImages<typename Ctx::Real>{
          .pixels = ctx.upload(pixels), .grid = grid, .statistics = statistics, .out = out.mat()});
  return out;
}

}  // namespace detail

/// Uploads pixels (B, S, S, C) of 0..255 and normalises them as the configuration says:
/// (B, C, S, S) of the size it fixes.
template <class C, class Ctx>
auto upload_images(Ctx& ctx, std::span<const std::uint8_t> pixels) {
  using Out = ImageTensor<typename Ctx::Real, C>;
  const Out out = detail::upload_pixels<Out::width>(ctx, pixels, C::image_res, C::image_res,
                                                    image_statistics<C>());
  return out;
}

/// Uploads pixels (B, height, width, channels) of 0..255 of a size that data decides, and
/// normalises each channel by `statistics`: (B, channels, height, width).
template <class Ctx>
Images<typename Ctx::Real> upload_images(Ctx& ctx, std::span<const std::uint8_t> pixels, int height,
                                         int width, const ImageStatistics& statistics) {
  return {detail::upload_pixels<dynamic_width>(ctx, pixels, height, width, statistics),
          statistics.channels(), height, width};
}
/// The same, normalised as a configuration says.
template <class C, class Ctx>
Images<typename Ctx::Real> upload_images(Ctx& ctx, std::span<const std::uint8_t> pixels, int height,
                                         int width) {
  return upload_images(ctx, pixels, height, width, image_statistics<C>());
}

/// Uploads the pictures of a batch, its `images` of `image_size`, for a model of the size that the
/// configuration fixes: (B, C, S, S). Error if theirs is another.
template <class C, class Ctx, class Batch>
requires requires(const Batch& batch) {
  std::span<const std::uint8_t>(batch.images);
  batch.image_size;
}
auto upload_images(Ctx& ctx, const Batch& batch) {
  require(batch.images.empty() || batch.image_size == C::image_res,
          "the pictures of the batch are ", batch.image_size, " x ", batch.image_size,
          " pixels, the model reads ", C::image_res, " x ", C::image_res);
  return upload_images<C>(ctx, std::span<const std::uint8_t>(batch.images));
}

}  // namespace albef
