// Visual question answering as text generation: an encoder for picture and question, a decoder
// that writes or ranks answers (model_vqa.py).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "albef/models/answer_decoder.hpp"
#include "albef/models/pretrained_names.hpp"
#include "albef/models/vit.hpp"

namespace albef {

/// B questions about M pictures on the device and, for training, their answers.
template <class Real, class C>
struct VqaInput {
  ImageTensor<Real, C> image;              ///< (M, 3, S, S)
  const std::int32_t* image_of = nullptr;  ///< (B) the picture of each question; null: its own
  Tokens question;                         ///< (B, L)
  Tokens answer;                           ///< (A, L') all tokens but each answer's last
  const std::int32_t* labels = nullptr;    ///< (rows of answer) the next tokens
  const accumulator_t<Real>* weights = nullptr;  ///< (rows of answer) the answer's weight
  const std::int32_t* owner = nullptr;           ///< (A) the question of each answer
};

template <class C>
struct AlbefVqa {
  using Config = C;
  Vit<C> visual_encoder;
  Bert<C> text_encoder;
  AnswerDecoder<C> text_decoder;

  static constexpr void fields(auto& m, auto&& f) {
    f("visual_encoder", m.visual_encoder);
    f("text_encoder", m.text_encoder);
    f("text_decoder", m.text_decoder);
  }
  /// As VQA.py:159-180: the decoder starts as the fusion layers, with the embeddings and the head
  /// of masked language modelling. Where pictures and texts differ in width, the cross-attention
  /// keys and values of the decoder, which reads texts, cannot come from there and stay fresh.
  static std::vector<std::string> pretrained_names(const std::string& full) {
    const TensorName name(full);
    if (name.module != "text_encoder") return bert_names(full);
    if (name.after("cls.")) return {name.renamed("text_decoder", name.rest)};
    const char* rest = name.after("bert.");
    if (!rest) return {full};
    std::vector<std::string> names{name.renamed("text_encoder", rest)};
    const LayerName layer(rest);
    if (layer.number < 0)
      names.push_back(name.renamed("text_decoder", name.rest));
    else if (layer.number >= C::fusion_layer && (same_width || !is_cross_key_value(layer.tail)))
      names.push_back(
          name.renamed("text_decoder", "bert." + layer.in(layer.number - C::fusion_layer)));
    return names;
  }
  static bool fresh(std::string_view name) {
    return !same_width && name.starts_with("text_decoder.") && is_cross_key_value(name);
  }

  /// What the decoder looks at: pictures (M, 3, S, S) and questions (B, L) -> (B, L, D).
  template <class Ctx>
  auto question_states(Ctx& ctx, const VqaInput<typename Ctx::Real, C>& in) const {
    require(in.image_of || in.image.rows() == in.question.seq.count, "[vqa] got ", in.image.rows(),
            " images and ", in.question.seq.count, " questions");
    const auto image = visual_encoder(ctx, in.image);    // (M, N, Dv)
    const auto x = text_encoder.text(ctx, in.question);  // (B, L, D)
    return text_encoder.fusion(ctx, x, text_encoder.image_keys_values(ctx, image), in.image_of);
  }
  /// Scores of the next token at every position of the answers: (rows of answer, V).
  template <class Ctx>
  auto answer_logits(Ctx& ctx, const VqaInput<typename Ctx::Real, C>& in) const {
    const auto states = question_states(ctx, in);
    return text_decoder(ctx, in.answer, text_decoder.keys_values(ctx, states), in.owner);
  }

 private:
  static constexpr bool same_width = C::vision_width == C::hidden_size;
  static bool is_cross_key_value(std::string_view name) {
    return name.find("crossattention.self.key.") != std::string_view::npos ||
           name.find("crossattention.self.value.") != std::string_view::npos;
  }
};

}  // namespace albef
