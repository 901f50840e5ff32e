// Statements about two pictures as a task (model_nlvr.py, NLVR.py).
#pragma once

#include "albef/models/nlvr.hpp"
#include "albef/tasks/classification.hpp"
#include "albef/tasks/inputs.hpp"

namespace albef {

/// Uploads a batch of B statements and the pictures they show, the first ones, then the second.
template <class Ctx, class C>
auto upload(Ctx& ctx, const AlbefNlvr<C>&, const ClassBatch& host) {
  detail::check_batch(host, 2 * host.size, AlbefNlvr<C>::classes);
  NlvrInput<typename Ctx::Real, C> in;
  in.images = upload_images<C>(ctx, host);
  in.first = upload_image_of(ctx, host);
  if (!in.first) in.first = first_rows(ctx, batch_of(2 * host.size)).index;  // 0, ..., 2 B - 1
  in.second = in.first + host.size;
  in.text = upload_tokens<C>(ctx, host.text);
  if (!host.labels.empty()) in.labels = ctx.upload(host.labels);
  return in;
}

template <class C>
using NlvrReasoning = Classification<AlbefNlvr<C>>;

}  // namespace albef
