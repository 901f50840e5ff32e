// An encoder with a head that tells classes apart, for fine-tuning on pictures, texts or both
// (FLAVAForClassification of TorchMultimodal).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "albef/models/config.hpp"
#include "albef/models/encoders.hpp"
#include "albef/models/images.hpp"
#include "albef/nn/linear.hpp"
#include "albef/ops/elementwise.hpp"
#include "albef/ops/embedding.hpp"
#include "albef/ops/gather.hpp"

namespace albef {

/// Linear, ReLU, dropout, Linear: (B, D) -> (B, Classes).
template <int D, int Classes>
struct ClassMlp {
  Linear<D, D> hidden;
  Linear<D, Classes> output;
  float rate = 0.5f;

  static constexpr void fields(auto& m, auto&& f) {
    f("model.0", m.hidden);
    f("model.3", m.output);
  }
  auto operator()(auto& ctx, const auto& x) const {
    return output(ctx, dropout(ctx, relu(ctx, hidden(ctx, x)), rate));  // (B, Classes)
  }
};

/// What a fine-tuned model reads: pictures, texts or both, and for training the classes.
template <class Real, class C>
struct FineTunedInput {
  ImageTensor<Real, C> image = {};       ///< (B, 3, S, S)
  Tokens text = {};                      ///< (B, L)
  const std::int32_t* labels = nullptr;  ///< (B)
};

/// Model M with a head for up to Capacity classes upon the class token of its encoder of domain D.
/// Names are those of M's own checkpoints, which it starts from, and "classifier".
template <class M, Domain D, int Capacity>
struct FineTuned {
  using Config = typename M::Config;
  static constexpr int width = class_width<M>(D), classes = Capacity;
  M model;
  ClassMlp<width, Capacity> classifier;

  static constexpr void fields(auto& m, auto&& f) {
    f("", m.model);
    f("classifier", m.classifier);
  }
  static std::vector<std::string> checkpoint_names(const std::string& name) {
    if constexpr (requires { M::checkpoint_names(name); }) {
      if (!name.starts_with("classifier.")) return M::checkpoint_names(name);
    }
    return {name};
  }
  static bool fresh(std::string_view name) { return name.starts_with("classifier."); }
  static bool dispensable(std::string_view name) {
    if constexpr (requires { M::dispensable(name); }) return M::dispensable(name);
    return false;
  }

  /// Scores of all Capacity classes: (B, Capacity).
  template <class Ctx>
  auto logits(Ctx& ctx, const FineTunedInput<typename Ctx::Real, Config>& in) const {
    if constexpr (D == Domain::image)
      return classifier(ctx, class_state<D>(ctx, model, in.image));
    else if constexpr (D == Domain::text)
      return classifier(ctx, class_state<D>(ctx, model, in.text));
    else
      return classifier(ctx, class_state<D>(ctx, model, in.image, in.text));
  }
};

}  // namespace albef
