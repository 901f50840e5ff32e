// Grad-CAM over a list of expressions with their pictures, and what is shown of it: maps by word,
// ranked boxes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "albef/data/grounding.hpp"
#include "albef/data/retrieval_set.hpp"
#include "albef/models/inputs.hpp"
#include "albef/tasks/encode.hpp"
#include "albef/tasks/grounding.hpp"
#include "albef/viz/box_sheet.hpp"
#include "albef/viz/heat_map.hpp"

namespace examples {

/// Where a model looks for an expression.
struct GroundedText {
  std::string text;                  ///< cleaned
  std::vector<std::int32_t> tokens;  ///< [CLS] first
  std::vector<albef::HeatMap> maps;  ///< of each token
  albef::HeatMap sentence;           ///< their mean
  int width = 0, height = 0;         ///< of the picture
};

/// The third fusion layer, whose maps locate best in the official model (Grounding.py, block_num
/// 8), or the last but one where there are fewer: in the last layer only [CLS] has a gradient, so
/// that there are no maps of words.
template <class C>
constexpr int default_layer() {
  return std::max(C::fusion_layer, std::min(C::fusion_layer + 2, C::num_hidden_layers - 2));
}

/// Calls f(i, GroundedText) for each record of `expressions` in order, by the cross-attention of
/// BERT layer `layer`. Error naming the first record that cannot be used.
template <class Model, class F>
void for_each_grounding(Model& model, const albef::Source& expressions, int layer,
                        const albef::EncodingOptions& options, F&& f) {
  using namespace albef;
  using C = typename Model::Config;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < expressions.size(); ++i) {
    const Record& record = expressions.record(i);
    if (!record.error.empty()) fail(expressions.describe(i), ": ", record.error);
    try {
      texts.push_back(clean_caption(record.captions.at(0)));
    } catch (const Error& error) { fail(expressions.describe(i), ": ", error.what()); }
  }
  std::vector<std::uint32_t> all(expressions.size());
  std::iota(all.begin(), all.end(), 0u);
  auto& ctx = model.context();
  for_each_image_batch(
      expressions, all, EvalTransform{C::image_res}, options.batch_size, options.workers,
      [&](const ImageBatch& batch) {
        const TextBatch tokens = encode_texts(
            model.tokenizer(),
            std::span(texts).subspan(batch.first, static_cast<std::size_t>(batch.size)),
            model.encoding());
        ctx.begin_step(0);
        const auto attention = itm_attention(ctx, model.model, upload_images<C>(ctx, batch),
                                             upload_tokens<C>(ctx, tokens), layer);
        for (int i = 0; i < batch.size; ++i) {
          const std::size_t at = batch.first + static_cast<std::size_t>(i);
          const auto ids = tokens.text(i);
          const auto [width, height] = batch.sizes[static_cast<std::size_t>(i)];
          GroundedText found{texts[at], {ids.begin(), ids.end()}, {}, {}, width, height};
          found.maps = word_cams(attention[static_cast<std::size_t>(i)]);
          found.sentence = sentence_cam(found.maps);
          f(at, std::move(found));
        }
      });
}

/// A picture with its maps: one row for the whole expression, then one per word (the mean over its
/// pieces). The pixels must live until the sheet is drawn.
albef::HeatExample heat_example(albef::ImageView picture, const GroundedText& found,
                                const albef::WordPiece& tokenizer);

/// The boxes of a picture of `width` x `height`, best first, with their scores relative to the
/// best, and where the map is largest.
albef::BoxEntry ranked_entry(const GroundedText& found, int width, int height,
                             std::span<const albef::RealBox> boxes);

}  // namespace examples
