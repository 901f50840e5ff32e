// Runs the encoders of a trained model over a data set: features, and pools for retrieval.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "albef/data/retrieval_set.hpp"
#include "albef/models/inputs.hpp"
#include "albef/models/retrieval.hpp"
#include "albef/train/inference_model.hpp"

namespace albef {

struct EncodingOptions {
  int batch_size = 64;  ///< pictures or texts encoded at once
  int workers = 2;      ///< threads that read and resize pictures ahead
};

/// Calls f(images) with the pictures of the given records in order, as normalised tensors
/// (B, 3, S, S) that live until the next call. Error naming the first picture that cannot be read.
template <class C, class Device, class F>
void for_each_image_tensor(InferenceModel<C, Device>& m, const Source& source,
                           std::span<const std::uint32_t> records, const EncodingOptions& options,
                           F&& f) {
  auto& ctx = m.context();
  for_each_image_batch(source, records, EvalTransform{C::image_res}, options.batch_size,
                       options.workers, [&](const ImageBatch& batch) {
                         ctx.begin_step(0);
                         f(upload_images<C>(ctx, batch.images));
                       });
}

/// Calls f(tokens, offsets) with the texts in order: tokens on the device (B, L), and the host's
/// copy of their packing.
template <class C, class Device, class F>
void for_each_token_batch(InferenceModel<C, Device>& m, std::span<const std::string> texts,
                          const EncodingOptions& options, F&& f) {
  require(options.batch_size > 0, "batch_size is ", options.batch_size, ", expected at least 1");
  const auto batch = static_cast<std::size_t>(options.batch_size);
  auto& ctx = m.context();
  for (std::size_t at = 0; at < texts.size(); at += batch) {
    const TextBatch host = encode_texts(
        m.tokenizer(), texts.subspan(at, std::min(batch, texts.size() - at)), m.encoding());
    ctx.begin_step(0);
    f(upload_tokens<C>(ctx, host), std::span<const std::int32_t>(host.offsets));
  }
}

/// Normalised features of pictures, (records, embed_dim).
template <class C, class Device>
auto image_features(InferenceModel<C, Device>& m, const Source& source,
                    std::span<const std::uint32_t> records, const EncodingOptions& options = {}) {
  auto& ctx = m.context();
  std::vector<typename InferenceModel<C, Device>::Ctx::Master> features;
  for_each_image_tensor(m, source, records, options, [&](const auto& images) {
    const auto feature = ctx.no_grad(
        [&] { return m.model.image_feature(ctx, m.model.visual_encoder(ctx, images)); });
    const auto host = ctx.read(feature);  // (B, E)
    features.insert(features.end(), host.begin(), host.end());
  });
  return features;
}

/// Normalised features of texts, (texts, embed_dim).
template <class C, class Device>
auto text_features(InferenceModel<C, Device>& m, std::span<const std::string> texts,
                   const EncodingOptions& options = {}) {
  auto& ctx = m.context();
  std::vector<typename InferenceModel<C, Device>::Ctx::Master> features;
  for_each_token_batch(m, texts, options, [&](const Tokens& tokens, auto) {
    const auto feature = ctx.no_grad(
        [&] { return m.model.text_feature(ctx, m.model.text_encoder.bert.text(ctx, tokens)); });
    const auto host = ctx.read(feature);  // (B, E)
    features.insert(features.end(), host.begin(), host.end());
  });
  return features;
}

/// An empty pool of a model.
template <class C, class Device>
auto retrieval_pool(InferenceModel<C, Device>& m) {
  return RetrievalPool<typename InferenceModel<C, Device>::Ctx, C>(m.context(), m.model);
}

/// Encodes the pictures of the given records into the pool.
template <class C, class Device, class Pool>
void add_images(InferenceModel<C, Device>& m, Pool& pool, const Source& source,
                std::span<const std::uint32_t> records, const EncodingOptions& options = {}) {
  for_each_image_tensor(m, source, records, options,
                        [&](const auto& images) { pool.add_images(images); });
}

/// Encodes texts into the pool.
template <class C, class Device, class Pool>
void add_texts(InferenceModel<C, Device>& m, Pool& pool, std::span<const std::string> texts,
               const EncodingOptions& options = {}) {
  for_each_token_batch(m, texts, options, [&](const Tokens& tokens, auto offsets) {
    pool.add_texts(tokens, offsets);
  });
}

}  // namespace albef
