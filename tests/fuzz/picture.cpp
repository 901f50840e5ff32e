// Any file as a picture, through the whole transform of training and of evaluation.
#include <vector>

#include "albef/data/codec.hpp"
#include "albef/data/transform.hpp"
#include "fuzz.hpp"

FUZZ(bytes, (fuzz::MemoryLimit{64 << 20, 1100})) {
  using namespace albef;
  const std::span input(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  static TransformBuffers buffers;
  static std::vector<std::uint8_t> out(std::size_t{32} * 32 * 3);
  DecodeOptions options;
  fuzz::reads([&] { (void)open_picture(input, "input", options); });
  options.max_pixels = 1 << 18;  // what is larger takes long with sanitizers
  for (const Damaged damaged : {Damaged::refuse, Damaged::as_pillow, Damaged::keep})
    fuzz::reads([&] {
      options.damaged = damaged;
      options.over_white = damaged == Damaged::keep;
      const Image image = decode_image(input, "input", options);
      fuzz::check(image.rgb.size() == static_cast<std::size_t>(image.width) *
                                          static_cast<std::size_t>(image.height) * 3,
                  "a picture has three bytes for each pixel");
      EvalTransform{.size = 32}(image, out, buffers);
      const std::vector<std::uint8_t> whole = out;
      EvalTransform{.size = 32}(*open_picture(input, "input", options), out, buffers);
      fuzz::check(out == whole, "a picture that is resized while it is decoded comes out the same");
      RandomStream random(bytes.size(), 1);
      TrainTransform{.size = 32}(*open_picture(input, "input", options), random, out, buffers);
    });
}
