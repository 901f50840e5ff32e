// The golden cases of ALBEF's relatives, each kind with the configurations it knows.
#pragma once

#include "support/clip_case.hpp"
#include "support/dalle_case.hpp"
#include "support/flava_case.hpp"

namespace albef {

/// The runner of a case of CLIP, DALL-E's encoder or FLAVA; null for other kinds. A further
/// configuration is one more type here.
template <class Device>
GoldenRunner find_relative_runner(const GoldenCase& golden) {
  if (golden.kind == "clip") return find_clip_runner<Device, ClipNano, ClipQuickGeluNano>(golden);
  if (golden.kind == "dalle_encoder") return find_dalle_runner<Device>(golden);
  return find_flava_runner<Device, FlavaNano>(golden);
}

}  // namespace albef
