// Visual reasoning on pairs of images (NLVR2): the paired fusion encoder, its text-assignment
// pre-training, and the two-way classifier (model_nlvr.py, model_pretrain_nlvr.py).
#pragma once

#include <array>
#include <cmath>
#include <span>
#include <string_view>
#include <vector>

#include "albef/models/bert.hpp"
#include "albef/models/classifier.hpp"
#include "albef/models/inputs.hpp"
#include "albef/models/pretrained_names.hpp"
#include "albef/models/task_batch.hpp"
#include "albef/models/vit.hpp"
#include "albef/ops/similarity.hpp"

namespace albef {

/// BERT whose fusion layers come in pairs (paper section 4.4): the first of a pair looks at one
/// image, the second at the other, with the keys and values of the first. Fusion layer i of
/// pre-training starts the pair of layers fusion_layer + 2 i and fusion_layer + 2 i + 1.
template <class C>
struct PairedBert {
  static constexpr int width = C::hidden_size;
  static constexpr int pairs = C::num_hidden_layers - C::fusion_layer;
  using TextLayer = BertLayer<width, C::num_attention_heads, C::intermediate_size>;
  using FirstLayer =
      BertFusionLayer<width, C::vision_width, C::num_attention_heads, C::intermediate_size>;
  using SecondLayer = BertTwinLayer<width, C::num_attention_heads, C::intermediate_size>;
  template <class Real>
  using KeysValues = std::array<Tensor<Real, 2 * width>, pairs>;

  BertEmbeddings<C> embeddings;
  std::array<TextLayer, C::fusion_layer> text_layers =
      stack<TextLayer, C::fusion_layer>(bert_init<C>, C::dropout);
  std::array<FirstLayer, pairs> first_layers = stack<FirstLayer, pairs>(bert_init<C>, C::dropout);
  std::array<SecondLayer, pairs> second_layers =
      stack<SecondLayer, pairs>(bert_init<C>, C::dropout);

  static constexpr void fields(auto& m, auto&& f) {
    f("embeddings", m.embeddings);
    f("encoder.layer", m.text_layers);
    f("encoder.layer", m.first_layers, C::fusion_layer, 2);
    f("encoder.layer", m.second_layers, C::fusion_layer + 1, 2);
    for (int i = 0; i < pairs; ++i) {  // official checkpoints hold shared tensors twice
      const auto& cross = m.first_layers[static_cast<std::size_t>(i)].crossattention;
      const int second = C::fusion_layer + 2 * i + 1;
      f.tied("encoder.layer", second, "crossattention.self.key.weight", cross.key.weight);
      f.tied("encoder.layer", second, "crossattention.self.key.bias", cross.key.bias);
      f.tied("encoder.layer", second, "crossattention.self.value.weight", cross.value.weight);
      f.tied("encoder.layer", second, "crossattention.self.value.bias", cross.value.bias);
    }
  }

  /// The fused [CLS] of texts (B, L) and pairs of images: text b looks at the images first[b] and
  /// second[b] of `images` (M, N, Dv), whose keys and values are computed once -> (B, D).
  template <class Ctx, class Images>
  auto cls(Ctx& ctx, const Tokens& tokens, const Images& images, const std::int32_t* first,
           const std::int32_t* second) const {
    auto x = embeddings(ctx, tokens);  // (B, L, D)
    for (const auto& layer : text_layers)
      x = ctx.checkpoint(x, [c = &ctx, l = &layer](const auto& h) { return (*l)(*c, h); });
    KeysValues<typename Ctx::Real> kv;
    for (std::size_t i = 0; i < pairs; ++i)
      kv[i] = first_layers[i].crossattention.keys_values(ctx, images);  // (M, N, 2 D)
    const auto run = [&](const auto& layer, const auto& t, const std::int32_t* index) {
      x = ctx.checkpoint(
          x, [c = &ctx, l = &layer, t, index](const auto& h) { return (*l)(*c, h, t, index); });
    };
    for (std::size_t i = 0; i < pairs; ++i) {
      run(first_layers[i], kv[i], first);
      if (i + 1 < pairs) run(second_layers[i], kv[i], second);
    }
    return second_layers.back()(ctx, x, kv.back(), second, first_rows(ctx, x.seq));  // (B, D)
  }
};

namespace detail {

/// Names in a paired encoder (Pretrain_nlvr.py:116-136): a fusion layer of pre-training goes to
/// both layers of its pair. Checkpoints of a paired encoder have these names already.
template <class C>
std::vector<std::string> paired_names(const std::string& full) {
  const TensorName name(full);
  const char* rest = name.module == "text_encoder" ? name.after("bert.") : nullptr;
  if (!rest) return bert_names(full);
  const LayerName layer(rest);
  if (layer.number < C::fusion_layer) return {name.renamed("text_encoder", rest)};
  const int first = C::fusion_layer + 2 * (layer.number - C::fusion_layer);
  return {name.renamed("text_encoder", layer.in(first)),
          name.renamed("text_encoder", layer.in(first + 1))};
}

}  // namespace detail

/// B statements about two pictures each, on the device.
template <class Real, class C>
struct NlvrInput {
  ImageTensor<Real, C> images;           ///< (M, 3, S, S)
  const std::int32_t* first = nullptr;   ///< (B): which of the images is shown first
  const std::int32_t* second = nullptr;  ///< (B)
  Tokens text;                           ///< (B, L)
  const std::int32_t* labels = nullptr;  ///< (B): 1 if the statement is true; for training
};

/// Is the statement true of the two pictures? Train with classify(ctx, model, input, alpha).
template <class C>
struct AlbefNlvr {
  using Config = C;
  static constexpr int classes = 2;
  Vit<C> visual_encoder;
  PairedBert<C> text_encoder;
  ClassifierHead<C::hidden_size, classes> cls_head;

  static constexpr void fields(auto& m, auto&& f) {
    f("visual_encoder", m.visual_encoder);
    f("text_encoder", m.text_encoder);
    f("cls_head", m.cls_head);
  }
  /// Of a pre-training or a text-assignment checkpoint.
  static std::vector<std::string> pretrained_names(const std::string& name) {
    return detail::paired_names<C>(name);
  }
  static bool fresh(std::string_view name) { return name.starts_with("cls_head"); }

  /// Scores of (false, true): (B, 2).
  template <class Ctx>
  auto logits(Ctx& ctx, const NlvrInput<typename Ctx::Real, C>& in) const {
    const auto images = visual_encoder(ctx, in.images);  // (M, N, Dv)
    return cls_head(ctx, text_encoder.cls(ctx, in.text, images, in.first, in.second));
  }

  /// Uploads a batch of B statements and the pictures they show, the first ones, then the second.
  template <class Ctx>
  static auto upload(Ctx& ctx, const ClassBatch& host) {
    detail::check_batch(host, 2 * host.size, classes);
    NlvrInput<typename Ctx::Real, C> in;
    in.images = upload_images<C>(ctx, std::span<const std::uint8_t>(host.images));
    in.first = upload_image_of(ctx, host);
    if (!in.first) in.first = first_rows(ctx, batch_of(2 * host.size)).index;  // 0, ..., 2 B - 1
    in.second = in.first + host.size;
    in.text = upload_tokens<C>(ctx, host.text);
    if (!host.labels.empty()) in.labels = ctx.upload(host.labels);
    return in;
  }
};

/// Text assignment (paper section 4.4, model_pretrain_nlvr.py:39-81): which two pictures of the
/// batch each text is shown with, and what it has to find out.
struct TextAssignment {
  std::vector<std::int32_t> first, second;  ///< (B) picture numbers
  std::vector<std::int32_t> labels;         ///< (B) 0: own picture first, 1: second, 2: neither
};

struct AssignmentOptions {
  double temperature = 0.07;       ///< of the similarities of pictures
  double neither = 1.0 / 3;        ///< probability of label 2
  NegativeOptions negatives = {};  ///< official: epsilon 0, no identities
};

/// Sampling weights (B, B) of the negatives of each picture: softmax(similarity / temperature), 0
/// for itself and, if asked, for pictures of the same identity (B, or empty).
template <class Real>
std::vector<double> assignment_weights(std::span<const Real> similarities, int batch,
                                       std::span<const std::int64_t> identities,
                                       const AssignmentOptions& options = {}) {
  const auto n = static_cast<std::size_t>(batch);
  require(similarities.size() == n * n, "[text assignment] got ", similarities.size(),
          " similarities for ", batch, " pictures");
  std::vector<double> weights(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    double total = 0;
    const auto score = [&](std::size_t j) {
      return (static_cast<double>(similarities[i * n + j]) -
              static_cast<double>(similarities[i * n + i])) /
             options.temperature;
    };
    for (std::size_t j = 0; j < n; ++j) total += std::exp(score(j));
    const bool by_identity = options.negatives.exclude_same_identity && !identities.empty();
    for (std::size_t j = 0; j < n; ++j)
      if (j != i && !(by_identity && identities[j] == identities[i]))
        weights[i * n + j] = std::exp(score(j)) / total + options.negatives.epsilon;
  }
  return weights;
}

/// Draws the assignments of a batch of at least 3 by weights (B, B). Where no weight is left, all
/// other pictures are equally likely.
inline TextAssignment draw_assignments(std::span<const double> weights, int batch,
                                       RandomStream& random,
                                       const AssignmentOptions& options = {}) {
  require(batch >= 3, "[text assignment] a batch of ", batch,
          " has no two negatives, expected at least 3");
  const auto draw = [&](int row, int other) {  // neither `row` nor `other`
    bool even = false;
    const auto weight = [&](int j) {
      if (j == row || j == other) return 0.0;
      return even ? 1.0 : weights[static_cast<std::size_t>(row * batch + j)];
    };
    const auto total = [&] {
      double sum = 0;
      for (int j = 0; j < batch; ++j) sum += weight(j);
      return sum;
    };
    even = total() <= 0;
    double left = static_cast<double>(random.uniform()) * total();
    int chosen = -1;
    for (int j = 0; j < batch && (chosen < 0 || left >= 0); ++j)
      if (weight(j) > 0) chosen = j, left -= weight(j);
    return chosen;
  };
  TextAssignment out;
  for (int b = 0; b < batch; ++b) {
    const int negative = draw(b, -1);
    int first = b, second = negative, label = 0;
    if (static_cast<double>(random.uniform()) < options.neither) {
      first = negative, second = draw(b, negative), label = 2;
    } else if (random.bernoulli(0.5f)) {
      first = negative, second = b, label = 1;
    }
    out.first.push_back(first);
    out.second.push_back(second);
    out.labels.push_back(label);
  }
  return out;
}

/// The model of text-assignment pre-training. It has no momentum copy; vision_proj only measures
/// how similar pictures are and gets no gradient.
template <class C>
struct AlbefNlvrPretrain {
  using Config = C;
  static constexpr int classes = 3;
  Vit<C> visual_encoder;
  PairedBert<C> text_encoder;
  Linear<C::vision_width, C::embed_dim> vision_proj;
  Linear<C::hidden_size, classes> ta_head;

  static constexpr void fields(auto& m, auto&& f) {
    f("visual_encoder", m.visual_encoder);
    f("text_encoder", m.text_encoder);
    f("vision_proj", m.vision_proj);
    f("ta_head", m.ta_head);
  }
  static std::vector<std::string> pretrained_names(const std::string& name) {
    return detail::paired_names<C>(name);
  }
  static bool fresh(std::string_view name) { return name.starts_with("ta_head"); }

  /// Similarities of pictures, states (B, N, Dv) -> (B, B) on the host.
  template <class Ctx, class Images>
  auto image_similarities(Ctx& ctx, const Images& images) const {
    return ctx.scoped([&] {
      const auto f = l2_normalize(ctx, vision_proj(ctx, first(ctx, images)));  // (B, E)
      return ctx.read(matmul_nt(ctx, f, f));
    });
  }
  /// Scores of the three answers: states of pictures (B, N, Dv), texts (B, L) -> (B, 3).
  template <class Ctx, class Images>
  auto logits(Ctx& ctx, const Images& images, const Tokens& text,
              const TextAssignment& assignment) const {
    return ta_head(ctx, text_encoder.cls(ctx, text, images, ctx.upload(assignment.first),
                                         ctx.upload(assignment.second)));
  }
};

template <class Real>
struct TextAssignmentResult {
  Tensor<accumulator_t<Real>, 1> loss;
  Tensor<Real, 3> logits;       ///< (B, 3)
  std::vector<double> weights;  ///< (B, B) the negatives were drawn with
  TextAssignment assignment;
};

/// One step of text-assignment pre-training on B pictures (B, 3, S, S) and their texts (B, L).
/// `identities` (B, or empty) on the host; `given` assignments are used instead of drawing.
template <class Ctx, class C>
auto assign_texts(Ctx& ctx, const AlbefNlvrPretrain<C>& model,
                  const ImageTensor<typename Ctx::Real, C>& image, const Tokens& text,
                  std::span<const std::int64_t> identities, const AssignmentOptions& options = {},
                  const TextAssignment* given = nullptr) {
  using Real = typename Ctx::Real;
  const int batch = text.seq.count;
  require(image.rows() == batch, "[text assignment] got ", image.rows(), " images and ", batch,
          " texts");
  TextAssignmentResult<Real> r;
  const auto images = model.visual_encoder(ctx, image);  // (B, N, Dv)
  const auto similarities = model.image_similarities(ctx, images);
  r.weights = assignment_weights(std::span(similarities), batch, identities, options);
  RandomStream random(ctx.philox().key, ctx.next_stream());
  r.assignment = given ? *given : draw_assignments(r.weights, batch, random, options);
  r.logits = model.logits(ctx, images, text, r.assignment);
  r.loss =
      cross_entropy(ctx, r.logits, SoftTargets<Real>{.labels = ctx.upload(r.assignment.labels)});
  return r;
}

}  // namespace albef
