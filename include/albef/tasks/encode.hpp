// Runs the encoders of a model over a data set: features, and pools for retrieval. A Session stands
// for a trained model, or for one in the middle of training.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "albef/data/retrieval_set.hpp"
#include "albef/models/inputs.hpp"
#include "albef/tasks/retrieval_pool.hpp"
#include "albef/train/session.hpp"

namespace albef {

struct EncodingOptions {
  int batch_size = 64;  ///< pictures or texts encoded at once
  int workers = 2;      ///< threads that read and resize pictures ahead
};

namespace detail {

/// Appends the rows of a tensor to `out`, in its number type.
template <class Ctx, class T, int W, class Real>
void append_rows(Ctx& ctx, const Tensor<T, W>& rows, std::vector<Real>& out) {
  const auto host = ctx.read(rows);
  out.insert(out.end(), host.begin(), host.end());
}

}  // namespace detail

/// Calls f(images) with the pictures of the given records in order, as normalised tensors
/// (B, 3, S, S) that live until the next call. Records whose pictures cannot be read are left out
/// and enter `bad`; the first is an Error without it.
template <class S, class F>
void for_each_image_tensor(S& session, const Source& source, std::span<const std::uint32_t> records,
                           const EncodingOptions& options, F&& f, BadRecords* bad = nullptr) {
  using C = typename S::Config;
  auto& ctx = session.context();
  for_each_image_batch(
      source, records, EvalTransform{C::image_res}, options.batch_size, options.workers,
      [&](const ImageBatch& batch) {
        ctx.begin_step(0);
        f(upload_images<C>(ctx, batch));
      },
      default_decoding(), bad);
}

/// Calls f(tokens, offsets) with the texts in order: tokens on the device (B, L), and the host's
/// copy of their packing.
template <class S, class F>
void for_each_token_batch(S& session, std::span<const std::string> texts,
                          const EncodingOptions& options, F&& f) {
  using C = typename S::Config;
  require(options.batch_size > 0, "batch_size is ", options.batch_size, ", expected at least 1");
  const auto batch = static_cast<std::size_t>(options.batch_size);
  auto& ctx = session.context();
  for (std::size_t at = 0; at < texts.size(); at += batch) {
    const TextBatch host =
        encode_texts(session.text_tokenizer(),
                     texts.subspan(at, std::min(batch, texts.size() - at)), session.encoding());
    ctx.begin_step(0);
    f(upload_tokens<C>(ctx, host), std::span<const std::int32_t>(host.offsets));
  }
}

/// Features of pictures, (records, width) row by row, by feature(ctx, images) -> (B, width);
/// without the rows of those that enter `bad`, see for_each_image_tensor().
template <class S, class F>
auto image_features(S& session, const Source& source, std::span<const std::uint32_t> records,
                    F&& feature, const EncodingOptions& options = {}, BadRecords* bad = nullptr) {
  auto& ctx = session.context();
  std::vector<typename S::Master> features;
  for_each_image_tensor(
      session, source, records, options,
      [&](const auto& images) {
        detail::append_rows(ctx, ctx.no_grad([&] { return feature(ctx, images); }), features);
      },
      bad);
  return features;
}
/// The same by the model's encode_image(ctx, images).
template <class S>
auto image_features(S& session, const Source& source, std::span<const std::uint32_t> records,
                    const EncodingOptions& options = {}, BadRecords* bad = nullptr) {
  return image_features(
      session, source, records,
      [&](auto& ctx, const auto& images) { return S::model.encode_image(ctx, images); }, options,
      bad);
}

/// Features of texts, (texts, width) row by row, by feature(ctx, tokens) -> (B, width).
template <class S, class F>
requires(!std::is_same_v<std::remove_cvref_t<F>, EncodingOptions>) auto text_features(
    S& session, std::span<const std::string> texts, F&& feature,
    const EncodingOptions& options = {}) {
  auto& ctx = session.context();
  std::vector<typename S::Master> features;
  for_each_token_batch(session, texts, options, [&](const Tokens& tokens, auto) {
    detail::append_rows(ctx, ctx.no_grad([&] { return feature(ctx, tokens); }), features);
  });
  return features;
}
/// The same by the model's encode_text(ctx, tokens).
template <class S>
auto text_features(S& session, std::span<const std::string> texts,
                   const EncodingOptions& options = {}) {
  return text_features(
      session, texts,
      [&](auto& ctx, const Tokens& tokens) { return S::model.encode_text(ctx, tokens); }, options);
}

/// An empty pool of a model.
template <class S>
auto retrieval_pool(S& session) {
  return RetrievalPool<typename S::Ctx, typename S::Model>(session.context(), S::model);
}

/// Encodes the pictures of the given records into the pool, without those that enter `bad`; see
/// for_each_image_tensor().
template <class S, class Pool>
void add_images(S& session, Pool& pool, const Source& source,
                std::span<const std::uint32_t> records, const EncodingOptions& options = {},
                BadRecords* bad = nullptr) {
  for_each_image_tensor(
      session, source, records, options, [&](const auto& images) { pool.add_images(images); }, bad);
}

/// Encodes texts into the pool.
template <class S, class Pool>
void add_texts(S& session, Pool& pool, std::span<const std::string> texts,
               const EncodingOptions& options = {}) {
  for_each_token_batch(session, texts, options, [&](const Tokens& tokens, auto offsets) {
    pool.add_texts(tokens, offsets);
  });
}

}  // namespace albef
