// Precision policies: which number types a context computes with and a store keeps.
#pragma once

#include <type_traits>

#include "albef/core/bfloat16.hpp"

namespace albef {

/// Single precision throughout: the default for training and inference.
struct Fp32 {
  using Compute = float;  ///< activations, their gradients and the weights kernels read
  using Master = float;   ///< parameters, their gradients, optimizer state, statistics, losses
};

/// Double precision throughout: for gradient checks and reference computations.
struct Fp64 {
  using Compute = double;
  using Master = double;
};

/// bfloat16 activations and weights; parameters, their gradients, optimizer state, statistics,
/// normalised features and losses in float. Products accumulate in float.
struct Bf16 {
  using Compute = bfloat16;
  using Master = float;
};

/// Whether a store keeps a second copy of its weights in the type kernels read.
template <class Precision>
inline constexpr bool has_compute_copy =
    !std::is_same_v<typename Precision::Compute, typename Precision::Master>;

}  // namespace albef
