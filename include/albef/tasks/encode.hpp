// Runs the encoders of a trained model over a data set: features, and pools for retrieval. `Model`
// is an InferenceModel, or a TaskModel in the middle of training.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "albef/data/retrieval_set.hpp"
#include "albef/models/inputs.hpp"
#include "albef/tasks/retrieval_pool.hpp"
#include "albef/train/inference_model.hpp"

namespace albef {

struct EncodingOptions {
  int batch_size = 64;  ///< pictures or texts encoded at once
  int workers = 2;      ///< threads that read and resize pictures ahead
};

/// Calls f(images) with the pictures of the given records in order, as normalised tensors
/// (B, 3, S, S) that live until the next call. Error naming the first picture that cannot be read.
template <class Model, class F>
void for_each_image_tensor(Model& m, const Source& source, std::span<const std::uint32_t> records,
                           const EncodingOptions& options, F&& f) {
  using C = typename Model::Config;
  auto& ctx = m.context();
  for_each_image_batch(source, records, EvalTransform{C::image_res}, options.batch_size,
                       options.workers, [&](const ImageBatch& batch) {
                         ctx.begin_step(0);
                         f(upload_images<C>(ctx, batch.images));
                       });
}

/// Calls f(tokens, offsets) with the texts in order: tokens on the device (B, L), and the host's
/// copy of their packing.
template <class Model, class F>
void for_each_token_batch(Model& m, std::span<const std::string> texts,
                          const EncodingOptions& options, F&& f) {
  using C = typename Model::Config;
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
template <class Model>
auto image_features(Model& m, const Source& source, std::span<const std::uint32_t> records,
                    const EncodingOptions& options = {}) {
  auto& ctx = m.context();
  std::vector<typename Model::Ctx::Master> features;
  for_each_image_tensor(m, source, records, options, [&](const auto& images) {
    const auto feature = ctx.no_grad(
        [&] { return m.model.image_feature(ctx, m.model.visual_encoder(ctx, images)); });
    const auto host = ctx.read(feature);  // (B, E)
    features.insert(features.end(), host.begin(), host.end());
  });
  return features;
}

/// Normalised features of texts, (texts, embed_dim).
template <class Model>
auto text_features(Model& m, std::span<const std::string> texts,
                   const EncodingOptions& options = {}) {
  auto& ctx = m.context();
  std::vector<typename Model::Ctx::Master> features;
  for_each_token_batch(m, texts, options, [&](const Tokens& tokens, auto) {
    const auto feature = ctx.no_grad(
        [&] { return m.model.text_feature(ctx, m.model.text_encoder.bert.text(ctx, tokens)); });
    const auto host = ctx.read(feature);  // (B, E)
    features.insert(features.end(), host.begin(), host.end());
  });
  return features;
}

/// An empty pool of a model.
template <class Model>
auto retrieval_pool(Model& m) {
  return RetrievalPool<typename Model::Ctx, typename Model::Config>(m.context(), m.model);
}

/// Encodes the pictures of the given records into the pool.
template <class Model, class Pool>
void add_images(Model& m, Pool& pool, const Source& source, std::span<const std::uint32_t> records,
                const EncodingOptions& options = {}) {
  for_each_image_tensor(m, source, records, options,
                        [&](const auto& images) { pool.add_images(images); });
}

/// Encodes texts into the pool.
template <class Model, class Pool>
void add_texts(Model& m, Pool& pool, std::span<const std::string> texts,
               const EncodingOptions& options = {}) {
  for_each_token_batch(m, texts, options, [&](const Tokens& tokens, auto offsets) {
    pool.add_texts(tokens, offsets);
  });
}

}  // namespace albef
