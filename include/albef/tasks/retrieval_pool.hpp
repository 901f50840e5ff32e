// Image-text retrieval: features, re-ranking by image-text matching, with what of it depends on the
// image alone once per image.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "albef/core/scores.hpp"
#include "albef/models/images.hpp"
#include "albef/ops/embedding.hpp"
#include "albef/ops/similarity.hpp"

namespace albef {

/// Encoded images and texts of a retrieval pool, on the host. Add batches, then ask for
/// similarities and ITM scores. M is a model that compares and matches: Albef, Flava. It has
///   image_states(ctx, images) -> (B, image_tokens, image_width), image_feature(ctx, states),
///   text_states(ctx, tokens) -> (B, L, text_width), text_feature(ctx, states) -> (B, embed_dim),
///   image_for_matching(ctx, states), itm_logits(ctx, text states, for matching, image index).
template <class Ctx, class M>
class RetrievalPool {
 public:
  using C = typename M::Config;
  using Real = typename Ctx::Real;
  using Master = typename Ctx::Master;

  RetrievalPool(Ctx& ctx, const M& model) : ctx_(ctx), model_(model) {}

  int images() const { return static_cast<int>(image_features_.size()) / C::embed_dim; }
  int texts() const { return static_cast<int>(text_features_.size()) / C::embed_dim; }
  /// (images, embed_dim) and (texts, embed_dim), normalised.
  const std::vector<Master>& image_features() const { return image_features_; }
  const std::vector<Master>& text_features() const { return text_features_; }
  /// Encoder states: (images, image_tokens, image_width), and the rows of all texts one after the
  /// other with text_offsets() (texts + 1).
  const std::vector<Real>& image_states() const { return image_states_; }
  const std::vector<Real>& text_states() const { return text_states_; }
  const std::vector<std::int32_t>& text_offsets() const { return text_offsets_; }

  /// Encodes images (B, 3, S, S).
  void add_images(const ImageTensor<Real, C>& images) {
    ctx_.no_grad([&] {
      const auto states = model_.image_states(ctx_, images);  // (B, N, image_width)
      append(image_states_, ctx_.read(states));
      append(image_features_, ctx_.read(model_.image_feature(ctx_, states)));
    });
  }
  /// Encodes texts; `offsets` (B + 1) are the host's copy of their packing.
  void add_texts(const Tokens& tokens, std::span<const std::int32_t> offsets) {
    ctx_.no_grad([&] {
      const auto states = model_.text_states(ctx_, tokens);  // (B, L, text_width)
      append(text_states_, ctx_.read(states));
      append(text_features_, ctx_.read(model_.text_feature(ctx_, states)));
    });
    const std::int32_t base = text_offsets_.back() - offsets.front();
    for (std::size_t i = 1; i < offsets.size(); ++i) text_offsets_.push_back(base + offsets[i]);
  }

  /// Cosine similarities (images, texts).
  std::vector<Master> similarities() {
    ctx_.begin_step(0);
    std::vector<Master> all;
    ctx_.no_grad([&] {
      const auto t =
          ctx_.template constant<C::embed_dim>(ctx_.upload(text_features_), batch_of(texts()));
      const auto i =
          ctx_.template constant<C::embed_dim>(ctx_.upload(image_features_), batch_of(images()));
      all = ctx_.read(matmul_nt(ctx_, i, t));
    });
    return all;
  }

  /// ITM scores (the logit of "match") of one image with some texts, in their order. What the
  /// texts look at is computed once.
  std::vector<Real> itm_scores(int image, std::span<const int> texts) {
    constexpr int chunk = 64;
    std::vector<Real> scores;
    scores.reserve(texts.size());
    ctx_.begin_step(0);
    ctx_.no_grad([&] {
      constexpr std::int64_t values = std::int64_t{M::image_tokens} * M::image_width;
      const auto states = ctx_.template constant<M::image_width>(
          ctx_.upload(std::span<const Real>(image_states_.data() + image * values,
                                            static_cast<std::size_t>(values))),
          uniform_sequences(1, M::image_tokens));
      const auto seen = model_.image_for_matching(ctx_, states);
      for (std::size_t at = 0; at < texts.size(); at += chunk)
        append(scores,
               match(seen, texts.subspan(at, std::min<std::size_t>(chunk, texts.size() - at))));
    });
    return scores;
  }

  /// Re-ranking (Retrieval.py evaluation): ITM scores of the k most similar texts of each image
  /// and the k most similar images of each text, -100 elsewhere. Each pair is scored once,
  /// whichever direction asks for it; `similarity_weight` adds that multiple of the similarity
  /// (the official code: 0).
  struct Scores {
    std::vector<float> i2t, t2i;  ///< (images, texts), (texts, images)
  };
  Scores rerank(std::span<const Master> similarities, int k, double similarity_weight = 0) {
    constexpr float absent = -100;
    const auto n_images = static_cast<std::size_t>(images());
    const auto n_texts = static_cast<std::size_t>(texts());
    Scores out{std::vector<float>(n_images * n_texts, absent),
               std::vector<float>(n_images * n_texts, absent)};
    constexpr char by_image = 1, by_text = 2;
    std::vector<char> wanted(n_images * n_texts, 0);
    for (std::size_t i = 0; i < n_images; ++i)
      for (const int t :
           largest(n_texts, k, [&](std::size_t j) { return similarities[i * n_texts + j]; }))
        wanted[i * n_texts + static_cast<std::size_t>(t)] |= by_image;
    for (std::size_t t = 0; t < n_texts; ++t)
      for (const int i :
           largest(n_images, k, [&](std::size_t j) { return similarities[j * n_texts + t]; }))
        wanted[static_cast<std::size_t>(i) * n_texts + t] |= by_text;
    std::vector<int> partners;
    for (std::size_t i = 0; i < n_images; ++i) {
      partners.clear();
      for (std::size_t t = 0; t < n_texts; ++t)
        if (wanted[i * n_texts + t]) partners.push_back(static_cast<int>(t));
      const auto scores = itm_scores(static_cast<int>(i), partners);
      for (std::size_t p = 0; p < partners.size(); ++p) {
        const auto t = static_cast<std::size_t>(partners[p]);
        const auto at = i * n_texts + t;
        const auto score =
            static_cast<float>(static_cast<double>(scores[p]) +
                               similarity_weight * static_cast<double>(similarities[at]));
        if (wanted[at] & by_image) out.i2t[at] = score;
        if (wanted[at] & by_text) out.t2i[t * n_images + i] = score;
      }
    }
    return out;
  }

 private:
  template <class T>
  static void append(std::vector<T>& to, const std::vector<T>& from) {
    to.insert(to.end(), from.begin(), from.end());
  }

  /// Scores of some texts with the one image that is given as they look at it.
  std::vector<Real> match(const auto& seen, std::span<const int> texts) {
    constexpr int width = M::text_width;
    std::vector<Real> states;
    std::vector<std::int32_t> offsets{0};
    for (const int t : texts) {
      const auto begin = text_offsets_[static_cast<std::size_t>(t)];
      const auto end = text_offsets_[static_cast<std::size_t>(t) + 1];
      states.insert(states.end(), text_states_.begin() + std::ptrdiff_t{begin} * width,
                    text_states_.begin() + std::ptrdiff_t{end} * width);
      offsets.push_back(offsets.back() + end - begin);
    }
    const int n = static_cast<int>(texts.size());
    const std::vector<std::int32_t> same_image(texts.size(), 0);
    const auto x = ctx_.template constant<width>(ctx_.upload(states), ctx_.sequences(offsets));
    const auto logits = ctx_.read(model_.itm_logits(ctx_, x, seen, ctx_.upload(same_image)));
    std::vector<Real> scores;
    for (int i = 0; i < n; ++i) scores.push_back(logits[static_cast<std::size_t>(2 * i + 1)]);
    return scores;
  }

  Ctx& ctx_;
  const M& model_;
  std::vector<Master> image_features_, text_features_;
  std::vector<Real> image_states_, text_states_;
  std::vector<std::int32_t> text_offsets_{0};
};

}  // namespace albef
