// A third file: text and pictures, whose definitions may come from a library.
#include "albef/checkpoint/safetensors.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/loader.hpp"
#include "albef/data/webdataset.hpp"
#include "albef/text/clean.hpp"

#if defined(ALBEF_DATA_COMPILED) && (defined(PNG_H) || defined(INCLUDE_NLOHMANN_JSON_HPP_))
#error "the compiled variant is there to keep these headers out"
#endif

bool pictures_are_read();
bool pictures_are_read() {
  albef::Image image(2, 1);
  image.rgb = {1, 2, 3, 4, 5, 6};
  const auto png = albef::encode_png(image);
  if (albef::decode_image(png, "memory").rgb != image.rgb) return false;
  if (albef::dtype_bytes(albef::DType::F32) != 4) return false;
  return albef::pre_caption("Two  DOGS") == "two dogs";
}
