"""Writes jitter_values.hpp: what Pillow makes of a small picture, for color_jitter_test.cpp.

usage: make_jitter_values.py > jitter_values.hpp
"""
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

WIDTH, HEIGHT = 7, 5


def picture():
    n = np.arange(WIDTH * HEIGHT * 3, dtype=np.int64)
    return Image.fromarray(((n * n * 31 + n * 57 + n % 3 * 90) & 255).astype(np.uint8)
                           .reshape(HEIGHT, WIDTH, 3), "RGB")


def all_colours():
    """Every eleventh colour."""
    v = np.arange(0, 1 << 24, 11, dtype=np.int64)[: 1200 * 1270]
    return Image.fromarray(np.stack([v >> 16 & 255, v >> 8 & 255, v & 255], -1)
                           .astype(np.uint8).reshape(1270, 1200, 3), "RGB")


def hue(image, share):  # torchvision.transforms.functional.adjust_hue
    h, s, v = image.convert("HSV").split()
    turned = (np.array(h).astype(np.int64) + int(share * 255)).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned, "L"), s, v)).convert("RGB")


def checksum(image):  # positions count
    b = np.frombuffer(image.tobytes(), np.uint8).astype(np.uint64)
    return int((b * (np.arange(b.size, dtype=np.uint64) % np.uint64(65521) + np.uint64(1))).sum())


CASES = [("contrast", 0.6), ("contrast", 1.4), ("color", 0.8), ("color", 1.2), ("hue", 0.1),
         ("hue", -0.07), ("gray", 0), ("solarize", 128), ("brightness", 1.3), ("brightness", 0.7),
         ("blur", 0.1), ("blur", 0.8), ("blur", 2), ("blur", 3.7)]


def apply(name, argument, image):
    if name == "hue":
        return hue(image, argument)
    if name == "gray":
        return image.convert("L").convert("RGB")
    if name == "solarize":
        return ImageOps.solarize(image, argument)
    if name == "blur":
        return image.filter(ImageFilter.GaussianBlur(argument))
    enhance = {"contrast": ImageEnhance.Contrast, "color": ImageEnhance.Color,
               "brightness": ImageEnhance.Brightness}[name]
    return enhance(image).enhance(argument)


print("""// Made by make_jitter_values.py with Pillow: results of operations on the picture of
// color_jitter_test.cpp, and checksums of those on many colours.
#pragma once

#include <cstdint>
#include <vector>

namespace jitter_test {

struct Expected {
  const char* name;
  double argument;
  std::vector<std::uint8_t> rgb;
};
// clang-format off
inline const std::vector<Expected> expected{""")
for name, argument in CASES:
    values = ",".join(str(b) for b in apply(name, argument, picture()).tobytes())
    print(f'    {{"{name}", {argument}, {{{values}}}}},')
print("""};
// clang-format on

struct Checksum {
  const char* name;
  double argument;
  std::uint64_t sum;
};
inline constexpr Checksum checksums[] = {""")
for name, argument in CASES[2:7]:
    print(f'    {{"{name}", {argument}, {checksum(apply(name, argument, all_colours()))}u}},')
print("""};

}  // namespace jitter_test""")
