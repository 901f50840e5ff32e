// The head of masked modelling: which of V words or codes was at a masked place.
#pragma once

#include "albef/nn/layer_norm.hpp"
#include "albef/nn/linear.hpp"

namespace albef {

/// dense, GELU, LayerNorm, and an output matrix of its own: states (M, D) -> logits (M, V). Names
/// are those of TorchMultimodal's MaskedPredictionHead.
template <int D, int V>
struct MaskedHead {
  Linear<D, D> dense;
  LayerNorm<D> layer_norm;
  Linear<D, V> decoder;

  constexpr explicit MaskedHead(Init weight) : dense(weight), decoder(weight) {}
  static constexpr void fields(auto& m, auto&& f) {
    f("bias", m.decoder.bias);
    f("dense", m.dense);
    f("layer_norm", m.layer_norm);
    f("decoder.weight", m.decoder.weight);
    f.tied("decoder.bias", m.decoder.bias);
  }
  auto operator()(auto& ctx, const auto& x) const {
    return decoder(ctx, layer_norm(ctx, dense.gelu(ctx, x)));  // (M, V)
  }
};

}  // namespace albef
