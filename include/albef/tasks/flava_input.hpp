// From FLAVA's batches of the host to what its encoders and heads read on the device.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "albef/data/flava_batch.hpp"
#include "albef/models/flava.hpp"
#include "albef/models/inputs.hpp"

namespace albef {

struct FlavaOptions {
  /// Factors of the losses, which are given with them.
  double mim = 1, mlm = 1, mmm_image = 1, mmm_text = 1, itm = 1, contrastive = 1;
  double scale_min = 0, scale_max = 4.6052;  ///< clamp of the logit scale, in place, at each use
  /// 0: padding takes no part, as in newer versions of transformers, and the multimodal encoder
  /// runs over the tokens that are there. Else texts of pairs are padded to so many tokens, and the
  /// multimodal encoder attends to padding as to all others, as TorchMultimodal's does.
  int padded_text = 0;
};

/// What a loss is called, from which kind of batch it comes, and its factor.
struct FlavaLoss {
  const char* name;
  FlavaKind kind;
  double FlavaOptions::*weight;
};

/// What a step wants of a batch of pairs.
struct FlavaPairParts {
  bool clean = false;  ///< pictures and texts as they are, of which the class tokens are read
  bool itm = false, image = false, text = false;  ///< what is read of the masked ones together
  constexpr bool fused() const { return itm || image || text; }
};

/// A batch on the device: B examples of N patches a picture and texts of L tokens.
template <class Real, class C>
struct FlavaInput {
  FlavaKind kind = FlavaKind::pairs;
  int size = 0;  ///< B
  ImageTensor<Real, C> image;
  RowMask patches;  ///< those of (B, N) that are hidden
  /// Texts as the encoder reads them: the masked ones, or where pairs are wanted both ways the
  /// texts as they are, then the masked ones, (2 B, L).
  Tokens text;
  /// The rows that a text looks at, where padding is among `text`; else no selection.
  RowSelection seen;
  /// What the last layers compute: the masked places of pictures or texts alone; of pairs, the
  /// class token of each that is clean, then all rows of each that is masked.
  RowSelection image_rows, text_rows;
  Sequences masked_image, masked_text;  ///< of the masked pictures and texts of pairs
  RowSelection pair_rows;               ///< what the multimodal encoder's last layer computes
  RowSelection cls, masked_patches, masked_tokens;  ///< rows of that: (B), (M), (M)
  const std::int32_t* token_labels = nullptr;       ///< (M) the words that were masked
  RowSelection
      masked_codes;  ///< (M) where the codes of the masked patches are among those of (B, N)
  const std::int32_t* code_labels = nullptr;  ///< (M) the codes, once they are known
  const std::int32_t* itm_labels = nullptr;   ///< (B)
  /// The pairs that the contrastive loss counts, as rows and as labels; no selection: all.
  RowSelection counted;
};

namespace detail {

/// Rows of sequences, listed on the host; memory is kept for the next step.
struct RowList {
  std::vector<std::int32_t> index, offsets{0};

  RowList& clear() {
    index.clear();
    offsets.resize(1);
    return *this;
  }
  void add(int row) { index.push_back(row); }
  void add(int first, int count) {
    for (int r = first; r < first + count; ++r) index.push_back(r);
  }
  void end() { offsets.push_back(static_cast<std::int32_t>(index.size())); }
  RowSelection upload(auto& ctx) const {
    return {ctx.upload(index), ctx.sequences(offsets), ctx.stamp()};
  }
  /// The rows as a plain batch, not grouped.
  RowSelection upload_batch(auto& ctx) const {
    return {ctx.upload(index), batch_of(static_cast<int>(index.size())), ctx.stamp()};
  }
};
struct FlavaLists {
  RowList rows, cls, patches, tokens, codes;
  std::vector<std::int32_t> ids, learned, offsets, labels;
};
inline FlavaLists& flava_lists() {
  thread_local FlavaLists lists;
  return lists;
}

/// Which pairs count for masked modelling and contrast: those that match, or all if none does.
struct CountedPairs {
  const std::vector<std::int32_t>& labels;
  bool all;

  explicit CountedPairs(const FlavaBatch& batch)
      : labels(batch.itm_labels), all(std::find(labels.begin(), labels.end(), 1) == labels.end()) {}
  bool operator()(int pair) const { return all || labels[static_cast<std::size_t>(pair)] == 1; }
};

/// Uploads which of the N patches of each of B pictures are hidden.
template <class C, class Ctx>
RowMask upload_mask(Ctx& ctx, const MaskedPatches& patches, int pictures) {
  RowList& kept = flava_lists().rows.clear();
  kept.add(0, pictures * Flava<C>::patches);
  for (const std::int32_t row : patches.rows) kept.index[static_cast<std::size_t>(row)] = -1;
  return {ctx.upload(kept.index),
          {ctx.upload(patches.rows), batch_of(patches.masked()), ctx.stamp()}};
}

/// Texts of pairs: those as they are, then the masked ones, these padded to `padded` tokens or not
/// at all (0).
template <class C, class Ctx>
void upload_pair_texts(Ctx& ctx, const FlavaBatch& batch, const FlavaPairParts& parts, int padded,
                       FlavaInput<typename Ctx::Real, C>& in) {
  FlavaLists& lists = flava_lists();
  RowList &rows = lists.rows, &tokens = lists.tokens;
  auto &ids = lists.ids, &learned = lists.learned, &offsets = lists.offsets;
  const auto check = [&](const TextBatch& text, int longest) {
    for (int i = 0; i < text.count(); ++i)
      require(text.length(i) >= 1 && text.length(i) <= longest, "text ", i, " has ", text.length(i),
              " tokens, expected 1 to ", longest);
    check_ids<C>(text.ids);
  };
  require(padded <= C::max_position_embeddings, "texts are padded to ", padded,
          " tokens, but there are ", C::max_position_embeddings, " positions");
  RowList& seen = tokens.clear();
  rows.clear(), ids.clear(), learned.clear(), offsets.assign(1, 0);
  const auto add = [&](const TextBatch& text, bool pad) {
    for (int i = 0; i < text.count(); ++i) {
      const auto from = text.text(i);
      ids.insert(ids.end(), from.begin(), from.end());
      learned.insert(learned.end(), from.begin(), from.end());
      seen.add(offsets.back(), text.length(i));
      seen.end();
      const std::size_t end = static_cast<std::size_t>(offsets.back()) +
                              static_cast<std::size_t>(pad ? padded : text.length(i));
      ids.resize(end, 0);
      learned.resize(end, -1);
      offsets.push_back(static_cast<std::int32_t>(end));
    }
  };
  if (parts.clean) {
    check(batch.text, C::max_position_embeddings);
    add(batch.text, false);
    for (int i = 0; i < batch.size; ++i) rows.add(offsets[static_cast<std::size_t>(i)]), rows.end();
  }
  if (parts.fused()) {
    const TextBatch& text = batch.masked.text;
    check(text, padded > 0 ? padded : C::max_position_embeddings);
    const std::size_t first = offsets.size() - 1;
    add(text, padded > 0);
    for (std::size_t i = first; i + 1 < offsets.size(); ++i) {
      rows.add(offsets[i], offsets[i + 1] - offsets[i]);
      rows.end();
    }
    in.masked_text =
        padded > 0 ? uniform_sequences(batch.size, padded) : ctx.sequences(text.offsets);
    in.masked_image = uniform_sequences(batch.size, Flava<C>::patches + 1);
  }
  in.text = {ctx.upload(ids), ctx.sequences(offsets), ctx.stamp()};
  if (parts.fused() && padded > 0) {
    in.text.learned_ids = ctx.upload(learned);
    in.seen = seen.upload(ctx);
  }
  if (parts.clean) in.text_rows = rows.upload(ctx);
}

/// What is read of the multimodal states of pairs, and of which pairs.
template <class C, class Ctx>
void upload_pair_rows(Ctx& ctx, const FlavaBatch& batch, const FlavaPairParts& parts, int padded,
                      FlavaInput<typename Ctx::Real, C>& in) {
  constexpr int n = Flava<C>::patches;
  FlavaLists& lists = flava_lists();
  RowList &rows = lists.rows, &cls = lists.cls, &patches = lists.patches, &tokens = lists.tokens;
  RowList& codes = lists.codes;
  auto& labels = lists.labels;
  rows.clear(), cls.clear(), patches.clear(), tokens.clear(), codes.clear(), labels.clear();
  const MaskedText& masked = batch.masked;
  const CountedPairs counts(batch);
  const auto take = [&](RowList& list, int row) {
    list.add(static_cast<int>(rows.index.size()));
    rows.add(row);
  };
  for (int b = 0; b < batch.size; ++b) {
    const auto at = static_cast<std::size_t>(b);
    const int text_begin = masked.text.offsets[at];
    const int begin = b * (n + 2) + (padded > 0 ? b * padded : text_begin);
    if (parts.itm) take(cls, begin);
    if (parts.image && batch.patches.count() > 0 && counts(b))
      for (int m = batch.patches.offsets[at]; m < batch.patches.offsets[at + 1]; ++m) {
        const std::int32_t patch = batch.patches.rows[static_cast<std::size_t>(m)];
        take(patches, begin + 2 + patch - b * n);
        codes.add(patch);
      }
    if (parts.text && counts(b))
      for (int m = masked.offsets[at]; m < masked.offsets[at + 1]; ++m) {
        take(tokens, begin + 2 + n + masked.rows[static_cast<std::size_t>(m)] - text_begin);
        labels.push_back(masked.labels[static_cast<std::size_t>(m)]);
      }
    rows.end();
  }
  check_ids<C>(labels);
  in.pair_rows = rows.upload(ctx);
  in.cls = cls.upload_batch(ctx);
  in.masked_patches = patches.upload_batch(ctx);
  in.masked_codes = codes.upload_batch(ctx);
  in.masked_tokens = tokens.upload_batch(ctx);
  in.token_labels = ctx.upload(labels);
  labels = batch.itm_labels;
  labels.resize(static_cast<std::size_t>(batch.size), 1);
  in.itm_labels = ctx.upload(labels);
}

}  // namespace detail

/// Takes the labels of masked patches from the codes (B N) of all patches, on the device.
template <class C, class Ctx>
void take_codes(Ctx& ctx, const std::int32_t* codes, FlavaInput<typename Ctx::Real, C>& in) {
  const int n = in.masked_codes.seq.rows();
  auto* labels = ctx.template allocate<std::int32_t>(n);
  run(ctx.device(), primitive::GatherIds{codes, in.masked_codes.index, n, labels});
  in.code_labels = labels;
}

/// Uploads a batch, all but its codes. Texts of pairs whose multimodal encoder attends to padding
/// are padded to `padded` tokens; 0: there is no padding. Error if parts of the batch do not fit
/// each other or the configuration.
template <class C, class Ctx>
FlavaInput<typename Ctx::Real, C> upload(Ctx& ctx, const FlavaBatch& batch,
                                         const FlavaPairParts& parts, int padded = 0) {
  constexpr int n = Flava<C>::patches;
  detail::check_batch(batch, n);
  auto& lists = detail::flava_lists();
  FlavaInput<typename Ctx::Real, C> in;
  in.kind = batch.kind, in.size = batch.size;
  if (batch.has_images()) {
    in.image = upload_images<C>(ctx, batch);
    in.patches = detail::upload_mask<C>(ctx, batch.patches, batch.size);
  }
  if (batch.kind == FlavaKind::images) {
    auto& rows = lists.rows.clear();
    for (int b = 0; b < batch.patches.count(); ++b, rows.end())
      for (int m = batch.patches.offsets[static_cast<std::size_t>(b)];
           m < batch.patches.offsets[static_cast<std::size_t>(b) + 1]; ++m)
        rows.add(batch.patches.rows[static_cast<std::size_t>(m)] + b + 1);
    while (rows.offsets.size() <= static_cast<std::size_t>(batch.size)) rows.end();
    in.image_rows = rows.upload(ctx);
    in.masked_codes = in.patches.masked;
  } else if (batch.kind == FlavaKind::texts) {
    const MaskedText& masked = batch.masked;
    detail::check_ids<C>(masked.labels);
    in.text = upload_tokens<C>(ctx, masked.text);
    in.text_rows = {ctx.upload(masked.rows), ctx.sequences(masked.offsets), ctx.stamp()};
    in.token_labels = ctx.upload(masked.labels);
  } else {
    detail::upload_pair_texts<C>(ctx, batch, parts, padded, in);
    if (parts.fused()) detail::upload_pair_rows<C>(ctx, batch, parts, padded, in);
    if (parts.clean) {
      auto& rows = lists.rows.clear();
      for (int b = 0; b < batch.size; ++b) rows.add(b * (n + 1)), rows.end();
      for (int b = 0; parts.fused() && b < batch.size; ++b)
        rows.add((batch.size + b) * (n + 1), n + 1), rows.end();
      in.image_rows = rows.upload(ctx);
      auto& counted = lists.cls.clear();
      const detail::CountedPairs counts(batch);
      for (int b = 0; b < batch.size; ++b)
        if (counts(b)) counted.add(b);
      if (static_cast<int>(counted.index.size()) < batch.size)
        in.counted = counted.upload_batch(ctx);
    }
  }
  return in;
}

}  // namespace albef
