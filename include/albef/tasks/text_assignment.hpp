// Text-assignment pre-training of the paired encoder: which of two pictures does a text belong to,
// if any (paper section 4.4, model_pretrain_nlvr.py)?
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/data/pair_batch.hpp"
#include "albef/loss/matching.hpp"
#include "albef/models/inputs.hpp"
#include "albef/models/nlvr.hpp"
#include "albef/ops/cross_entropy.hpp"
#include "albef/train/objective.hpp"

namespace albef {

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
  require(identities.empty() || identities.size() == n, "[text assignment] got ", identities.size(),
          " identities for ", batch, " pictures");
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

/// Draws the assignments of a batch of at least 3 by weights (B, B). Where no weight is left, or
/// they are not numbers, all other pictures are equally likely.
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
    even = !(total() > 0);
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
  RandomStream random = ctx.host_stream();
  r.assignment = given ? *given : draw_assignments(r.weights, batch, random, options);
  r.logits = model.logits(ctx, images, text, ctx.upload(r.assignment.first),
                          ctx.upload(r.assignment.second));
  r.loss =
      cross_entropy(ctx, r.logits, SoftTargets<Real>{.labels = ctx.upload(r.assignment.labels)});
  return r;
}

/// Text-assignment pre-training of the paired encoder on pairs of pictures and texts. There is no
/// distillation.
template <class C>
struct TextAssignmentTraining {
  using Model = AlbefNlvrPretrain<C>;
  using Batch = PairBatch;
  AssignmentOptions options = {};

  auto operator()(auto& ctx, const Model& model, const PairBatch& batch, const Step&) const {
    detail::check_batch(batch);
    const auto image = upload_images<C>(ctx, batch);      // (B, 3, S, S)
    const auto text = upload_tokens<C>(ctx, batch.text);  // (B, L)
    return assign_texts(ctx, model, image, text, batch.image_ids, options).loss;
  }
  std::vector<PlateauRule> plateaus(int) const { return {{"loss", std::log(3.0)}}; }
};

}  // namespace albef
