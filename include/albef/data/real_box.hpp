// A box with fractions of pixels, as annotations and detectors give it.
#pragma once

namespace albef {

/// A rectangle in pixels of its picture, from the upper left corner; fractions allowed (COCO).
struct RealBox {
  double x = 0, y = 0, width = 0, height = 0;
  bool operator==(const RealBox&) const = default;
};

}  // namespace albef
