// Visual entailment: does a picture entail a hypothesis, contradict it, or neither (model_ve.py).
#pragma once

#include <string_view>

#include "albef/models/bert.hpp"
#include "albef/models/classifier.hpp"
#include "albef/models/pretrained_names.hpp"
#include "albef/models/vit.hpp"

namespace albef {

/// B hypotheses about M pictures on the device.
template <class Real, class C>
struct VeInput {
  ImageTensor<Real, C> image;              ///< (M, 3, S, S)
  const std::int32_t* image_of = nullptr;  ///< (B) the picture of each text; null: its own
  Tokens text;                             ///< (B, L)
  const std::int32_t* labels = nullptr;    ///< (B) see Entailment; for training
};

/// See tasks/ve.hpp for its training.
template <class C>
struct AlbefVe {
  using Config = C;
  static constexpr int classes = 3;
  Vit<C> visual_encoder;
  Bert<C> text_encoder;
  ClassifierHead<C::hidden_size, classes> cls_head;

  static constexpr void fields(auto& m, auto&& f) {
    f("visual_encoder", m.visual_encoder);
    f("text_encoder", m.text_encoder);
    f("cls_head", m.cls_head);
  }
  static std::vector<std::string> pretrained_names(const std::string& n) { return bert_names(n); }
  static bool fresh(std::string_view name) { return name.starts_with("cls_head"); }

  /// Scores of the classes from the fused [CLS]: (B, 3).
  template <class Ctx>
  auto logits(Ctx& ctx, const VeInput<typename Ctx::Real, C>& in) const {
    require(in.image_of || in.image.rows() == in.text.seq.count, "[ve] got ", in.image.rows(),
            " images and ", in.text.seq.count, " texts");
    const auto image = visual_encoder(ctx, in.image);  // (M, N, Dv)
    const auto x = text_encoder.text(ctx, in.text);    // (B, L, D)
    return cls_head(ctx, text_encoder.fusion(ctx, x, text_encoder.image_keys_values(ctx, image),
                                             in.image_of, first_rows(ctx, x.seq)));
  }
};

}  // namespace albef
