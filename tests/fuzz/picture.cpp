// Any file as a picture, through the whole transform of training and of evaluation.
#include <vector>

#include "albef/data/codec.hpp"
#include "albef/data/transform.hpp"
#include "fuzz.hpp"

FUZZ(bytes, (fuzz::MemoryLimit{64 << 20, 64})) {
  using namespace albef;
  const std::span input(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  static TransformBuffers buffers;
  static std::vector<std::uint8_t> out(std::size_t{32} * 32 * 3);
  for (const bool truncated : {false, true})
    fuzz::reads([&] {
      DecodeOptions options;
      options.damaged = damaged;
      const Image image = decode_image(input, "input", options);
      fuzz::check(image.rgb.size() == static_cast<std::size_t>(image.width) *
                                          static_cast<std::size_t>(image.height) * 3,
                  "a picture has three bytes for each pixel");
      RandomStream random(bytes.size(), 1);
      TrainTransform{.size = 32}(image, random, out, buffers);
      EvalTransform{.size = 32}(image, out, buffers);
    });
}
