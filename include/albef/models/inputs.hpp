// From texts and pixels of the host to model inputs on the device, with the checks that keep bad
// ids out.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "albef/models/vit.hpp"
#include "albef/text/batch.hpp"

namespace albef {

/// Uploads a packed text batch; Error if a text is empty or longer than the model's positions, or
/// an id is outside its vocabulary.
template <class C, class Ctx>
Tokens upload_tokens(Ctx& ctx, const TextBatch& text) {
  for (int i = 0; i < text.count(); ++i)
    require(text.length(i) >= 1 && text.length(i) <= C::max_position_embeddings, "text ", i,
            " has ", text.length(i), " tokens, expected 1 to ", C::max_position_embeddings);
  for (const std::int32_t id : text.ids)
    require(id >= 0 && id < C::vocab_size, "token id ", id,
            " is outside the model's vocabulary of ", C::vocab_size);
  return {ctx.upload(text.ids), ctx.sequences(text.offsets)};
}

/// Uploads pixels (B, S, S, 3) of 0..255 and normalises them: (B, 3, S, S).
template <class C, class Ctx>
auto upload_images(Ctx& ctx, std::span<const std::uint8_t> pixels) {
  using Real = typename Ctx::Real;
  constexpr std::size_t values = std::size_t{3} * C::image_res * C::image_res;
  require(pixels.size() % values == 0, "got ", pixels.size(), " pixel values, expected images of ",
          C::image_res, " x ", C::image_res, " x 3");
  const int images = static_cast<int>(pixels.size() / values);
  auto out = ctx.no_grad([&] {
    return ctx.template tensor<static_cast<int>(values)>(batch_of(images));  // (B, 3, S, S)
  });
  const PatchGrid grid{images, 3, C::image_res, C::patch_size};
  normalize_images(ctx.device(), ctx.upload(pixels), grid, out.mat());
  static_assert(std::is_same_v<decltype(out), ImageTensor<Real, C>>);
  return out;
}

}  // namespace albef
