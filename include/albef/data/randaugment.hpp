// RandAugment as ALBEF uses it (official dataset/randaugment.py): a few operations drawn with
// replacement, each applied with probability one half at a fixed strength.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/image.hpp"
#include "albef/data/tone.hpp"
#include "albef/data/warp.hpp"

namespace albef {

enum class AugmentOp {
  Identity,
  AutoContrast,
  Equalize,
  Brightness,
  Sharpness,
  ShearX,
  ShearY,
  TranslateX,
  TranslateY,
  Rotate,
  Color,
  Contrast,
  Solarize,
  Posterize
};

inline constexpr std::array<std::string_view, 14> augment_op_names{
    "Identity",   "AutoContrast", "Equalize", "Brightness", "Sharpness", "ShearX",   "ShearY",
    "TranslateX", "TranslateY",   "Rotate",   "Color",      "Contrast",  "Solarize", "Posterize"};

std::string_view augment_op_name(AugmentOp op);
/// The operation of that name; Error with the list of names if there is none.
AugmentOp augment_op(std::string_view name);

/// The ten operations of ALBEF's training transform.
inline constexpr std::array<AugmentOp, 10> albef_augment_ops{
    AugmentOp::Identity,   AugmentOp::AutoContrast, AugmentOp::Equalize, AugmentOp::Brightness,
    AugmentOp::Sharpness,  AugmentOp::ShearX,       AugmentOp::ShearY,   AugmentOp::TranslateX,
    AugmentOp::TranslateY, AugmentOp::Rotate};

/// The operation's argument at a strength of `level` of 10: the factor of Brightness, Sharpness,
/// Color and Contrast (1 = unchanged), the shear factor, the shift in pixels, the angle in degrees,
/// the threshold of Solarize, the bits Posterize keeps. Shears, shifts and angles are positive
/// here.
double augment_argument(AugmentOp op, double level);

/// Whether the argument's sign is drawn.
constexpr bool augment_has_direction(AugmentOp op) {
  return op == AugmentOp::ShearX || op == AugmentOp::ShearY || op == AugmentOp::TranslateX ||
         op == AugmentOp::TranslateY || op == AugmentOp::Rotate;
}

/// An operation with its argument (sign included).
struct AugmentStep {
  AugmentOp op;
  double argument;
  bool operator==(const AugmentStep&) const = default;
};

/// Applies one operation in place. `buffer` is work space, kept to avoid allocations.
void apply_augment(const AugmentStep& step, ImageSpan image, std::vector<std::uint8_t>& buffer,
                   AugmentCompat compat = AugmentCompat::intended);

/// The random augmentation; a value of its members is a policy.
struct RandAugment {
  int count = 2;             ///< operations drawn (N); 0 switches the augmentation off
  double level = 7;          ///< strength of 10 (M)
  float probability = 0.5f;  ///< of applying each drawn operation
  std::vector<AugmentOp> ops{albef_augment_ops.begin(), albef_augment_ops.end()};
  AugmentCompat compat = AugmentCompat::intended;

  /// Throws Error naming the member that is out of range.
  void check() const;

  /// One draw: the next step to apply, or nothing. Takes the same random numbers either way.
  std::optional<AugmentStep> draw(RandomStream& random) const;

  /// Augments in place; a function of the picture and the stream's (seed, stream, position).
  void operator()(ImageSpan image, RandomStream& random, std::vector<std::uint8_t>& buffer) const;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE std::string_view augment_op_name(AugmentOp op) {
  return augment_op_names[static_cast<std::size_t>(op)];
}

ALBEF_DATA_INLINE AugmentOp augment_op(std::string_view name) {
  const auto it = std::find(augment_op_names.begin(), augment_op_names.end(), name);
  if (it != augment_op_names.end()) return static_cast<AugmentOp>(it - augment_op_names.begin());
  std::string known;
  for (const auto known_name : augment_op_names)
    known += concat(known.empty() ? "" : ", ", known_name);
  fail("no augmentation is named '", name, "', expected one of ", known);
}

ALBEF_DATA_INLINE double augment_argument(AugmentOp op, double level) {
  const double strength = level / 10;
  switch (op) {
    case AugmentOp::Brightness:
    case AugmentOp::Sharpness:
    case AugmentOp::Color:
    case AugmentOp::Contrast:
      return detail::rounded(strength * 1.8) + 0.1;
    case AugmentOp::ShearX:
    case AugmentOp::ShearY:
      return strength * 0.3;
    case AugmentOp::TranslateX:
    case AugmentOp::TranslateY:
      return strength * 10;
    case AugmentOp::Rotate:
      return strength * 30;
    case AugmentOp::Solarize:
      return static_cast<int>(strength * 256);
    case AugmentOp::Posterize:
      return static_cast<int>(strength * 4);
    case AugmentOp::Identity:
    case AugmentOp::AutoContrast:
    case AugmentOp::Equalize:
      break;
  }
  return 0;
}

ALBEF_DATA_INLINE void apply_augment(const AugmentStep& step, ImageSpan image,
                                     std::vector<std::uint8_t>& buffer, AugmentCompat compat) {
  const double argument = step.argument;
  switch (step.op) {
    case AugmentOp::Identity:
      return;
    case AugmentOp::AutoContrast:
      return auto_contrast(image, compat);
    case AugmentOp::Equalize:
      return equalize(image);
    case AugmentOp::Brightness:
      return adjust_brightness(image, argument);
    case AugmentOp::Sharpness:
      return sharpen(image, argument, buffer, compat);
    case AugmentOp::ShearX:
      return warp_affine(image, shear_x_map(argument), buffer);
    case AugmentOp::ShearY:
      return warp_affine(image, shear_y_map(argument), buffer);
    case AugmentOp::TranslateX:
      return warp_affine(image, translate_map(argument, 0), buffer);
    case AugmentOp::TranslateY:
      return warp_affine(image, translate_map(0, argument), buffer);
    case AugmentOp::Rotate:
      return warp_affine(image, rotate_map(argument, image.width, image.height), buffer);
    case AugmentOp::Color:
      return adjust_color(image, argument, compat);
    case AugmentOp::Contrast:
      return adjust_contrast(image, argument, compat);
    case AugmentOp::Solarize:
      return solarize(image, static_cast<int>(argument));
    case AugmentOp::Posterize:
      return posterize(image, static_cast<int>(argument));
  }
}

ALBEF_DATA_INLINE void RandAugment::check() const {
  require(count >= 0, "[RandAugment] got count ", count, ", expected 0 or more");
  require(level >= 0 && level <= 10, "[RandAugment] got level ", level, ", expected 0 to 10");
  require(probability >= 0 && probability <= 1, "[RandAugment] got probability ", probability,
          ", expected 0 to 1");
  require(count == 0 || !ops.empty(), "[RandAugment] got no operations, expected at least one");
}

ALBEF_DATA_INLINE std::optional<AugmentStep> RandAugment::draw(RandomStream& random) const {
  const AugmentOp op = ops[static_cast<std::size_t>(random.below(static_cast<int>(ops.size())))];
  const bool applied = random.bernoulli(probability), negative = random.bernoulli(0.5f);
  if (!applied) return std::nullopt;
  const double argument = augment_argument(op, level);
  return AugmentStep{op, negative && augment_has_direction(op) ? -argument : argument};
}

ALBEF_DATA_INLINE void RandAugment::operator()(ImageSpan image, RandomStream& random,
                                               std::vector<std::uint8_t>& buffer) const {
  check();
  for (int i = 0; i < count; ++i)
    if (const auto step = draw(random)) apply_augment(*step, image, buffer, compat);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
