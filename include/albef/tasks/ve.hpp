// Visual entailment as a task: does a picture entail a hypothesis, contradict it, or neither
// (model_ve.py, VE.py).
#pragma once

#include "albef/models/ve.hpp"
#include "albef/tasks/classification.hpp"
#include "albef/tasks/inputs.hpp"

namespace albef {

/// Classes of visual entailment (dataset/ve_dataset.py).
enum class Entailment { contradiction = 0, neutral = 1, entailment = 2 };

/// Uploads a batch, without labels if it has none. Error if it does not fit together.
template <class Ctx, class C>
auto upload(Ctx& ctx, const AlbefVe<C>&, const ClassBatch& host) {
  detail::check_batch(host, host.size, AlbefVe<C>::classes);
  VeInput<typename Ctx::Real, C> in;
  in.image = upload_images<C>(ctx, host);
  in.image_of = upload_image_of(ctx, host);
  in.text = upload_tokens<C>(ctx, host.text);
  if (!host.labels.empty()) in.labels = ctx.upload(host.labels);
  return in;
}

template <class C>
using VisualEntailment = Classification<AlbefVe<C>>;

}  // namespace albef
