// Precision policies: which number types a context computes with and a store keeps.
#pragma once

namespace albef {

/// Single precision throughout: the default for training and inference.
struct Fp32 {
  using Compute = float;  ///< activations and the weights kernels read
  using Master = float;   ///< parameters, gradients, optimizer state
};

/// Double precision throughout: for gradient checks and reference computations.
struct Fp64 {
  using Compute = double;
  using Master = double;
};

}  // namespace albef
