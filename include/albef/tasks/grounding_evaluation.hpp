// Visual grounding with a trained model, or one in the middle of training: where it looks for an
// expression, by Grad-CAM of the cross-attention, and how well that locates objects.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/core/number.hpp"
#include "albef/data/captions.hpp"
#include "albef/data/grounding.hpp"
#include "albef/data/open.hpp"
#include "albef/data/retrieval_set.hpp"
#include "albef/data/sources.hpp"
#include "albef/models/gradcam.hpp"
#include "albef/models/inputs.hpp"
#include "albef/tasks/encode.hpp"
#include "albef/tasks/grounding.hpp"
#include "albef/tasks/skipped.hpp"
#include "albef/train/validation.hpp"

namespace albef {

/// Where a model looks for an expression.
struct GroundedText {
  std::string text{};                  ///< cleaned
  std::vector<std::int32_t> tokens{};  ///< [CLS] first
  std::vector<HeatMap> maps{};         ///< of each token
  HeatMap sentence{};                  ///< their mean
  int width = 0, height = 0;           ///< of the picture
};

/// The third fusion layer, whose maps locate best in the official model (Grounding.py, block_num
/// 8), or the last but one where there are fewer: in the last layer only [CLS] has a gradient, so
/// that there are no maps of words.
template <class C>
constexpr int default_grounding_layer() {
  return std::max(C::fusion_layer, std::min(C::fusion_layer + 2, C::num_hidden_layers - 2));
}
/// `layer`, or the default below 0. Error unless it has a cross-attention.
template <class C>
int grounding_layer(int layer) {
  if (layer < 0) return default_grounding_layer<C>();
  require(layer >= C::fusion_layer && layer < C::num_hidden_layers, "layer ", layer,
          ": the layers with cross-attention are ", C::fusion_layer, " to ",
          C::num_hidden_layers - 1);
  return layer;
}

/// Calls f(i, GroundedText) for each record of `expressions` in order that is not in `bad`, by the
/// cross-attention of BERT layer `layer`, see grounding_layer(). Records that cannot be used are
/// left out and enter `bad`.
template <class S, class F>
void for_each_grounding(S& session, const Source& expressions, int layer,
                        const EncodingOptions& options, BadRecords& bad, F&& f) {
  using C = typename S::Config;
  layer = grounding_layer<C>(layer);
  std::vector<std::string> texts;      // of the expressions that can be used
  std::vector<std::uint32_t> records;  // their numbers
  for (std::size_t i = 0; i < expressions.size(); ++i) {
    if (bad.has(i)) continue;
    const Record& record = expressions.record(i);
    const std::string problem = problem_of([&] {
      require(record.error.empty(), record.error);
      require(!record.captions.empty(), "there is no expression");
      texts.push_back(clean_caption(record.captions.front()));
      records.push_back(static_cast<std::uint32_t>(i));
    });
    if (!problem.empty()) bad.add(i, expressions.describe(i) + ": " + problem);
  }
  auto& ctx = session.context();
  for_each_image_batch(
      expressions, records, EvalTransform{C::image_res}, options.batch_size, options.workers,
      [&](const ImageBatch& batch) {
        std::vector<std::string> said;
        for (const std::size_t place : batch.places) said.push_back(texts[place]);
        const TextBatch tokens = encode_texts(session.tokenizer(), said, session.encoding());
        ctx.begin_step(0);
        const auto attention =
            itm_attention(ctx, session.model, upload_images<C>(ctx, batch.images),
                          upload_tokens<C>(ctx, tokens), layer);
        for (std::size_t i = 0; i < batch.places.size(); ++i) {
          const auto ids = tokens.text(static_cast<int>(i));
          const auto [width, height] = batch.sizes[i];
          GroundedText found{std::move(said[i]), {ids.begin(), ids.end()}, {}, {}, width, height};
          found.maps = word_cams(attention[i]);
          found.sentence = sentence_cam(found.maps);
          f(records[batch.places[i]], std::move(found));
        }
      },
      {}, &bad);
}

/// Where a model looks for expressions in one picture file.
template <class S>
std::vector<GroundedText> ground_texts(S& session, const std::string& picture,
                                       std::span<const std::string> texts, int layer = -1,
                                       const EncodingOptions& options = {}) {
  MemorySource expressions;
  const std::string bytes = read_file(picture);
  for (const auto& text : texts)
    expressions.add({.key = picture, .captions = {text}}, {bytes.begin(), bytes.end()});
  std::vector<GroundedText> out;
  BadRecords none(0);
  for_each_grounding(session, expressions, layer, options, none,
                     [&](std::size_t, GroundedText found) { out.push_back(std::move(found)); });
  return out;
}

/// A word of an expression with its map.
struct WordMap {
  std::string word{};
  HeatMap map{};
};

/// The map of the whole expression, called "(all)", then one of each word: the mean of its pieces.
inline std::vector<WordMap> word_maps(const GroundedText& found, const WordPiece& tokenizer) {
  std::vector<WordMap> out{{"(all)", found.sentence}};
  const std::string& continues = tokenizer.options().continuation;
  for (std::size_t i = 1; i < found.tokens.size();) {  // after [CLS]
    std::string word = tokenizer.token(found.tokens[i]);
    std::vector<HeatMap> pieces{found.maps[i++]};
    for (; i < found.tokens.size(); ++i) {
      const std::string& piece = tokenizer.token(found.tokens[i]);
      if (!piece.starts_with(continues)) break;
      word += std::string_view(piece).substr(continues.size());
      pieces.push_back(found.maps[i]);
    }
    out.push_back({std::move(word), sentence_cam(pieces)});
  }
  return out;
}

/// What was found as lines of text: the expression, where the map of each word is largest, and the
/// boxes of the picture, the best first.
inline std::string grounding_text(const GroundedText& found, const WordPiece& tokenizer,
                                  std::span<const RealBox> boxes = {}) {
  std::string out = found.text + '\n';
  for (const WordMap& w : word_maps(found, tokenizer)) {
    const RealBox at = peak(resized(w.map, found.width, found.height));
    out += concat("  ", w.word, std::string(w.word.size() < 14 ? 14 - w.word.size() : 0, ' '),
                  " largest at (", static_cast<int>(at.x), ", ", static_cast<int>(at.y), ")\n");
  }
  int rank = 0;
  for (const auto& [b, score] :
       ranked_boxes(resized(found.sentence, found.width, found.height), boxes)) {
    out += concat("  ", ++rank, ". box ", significant(b.x, 6), ',', significant(b.y, 6), ',',
                  significant(b.width, 6), ',', significant(b.height, 6), "  score ",
                  fixed(score, 2), '\n');
  }
  return out;
}

/// The files of a referring expression corpus, see grounding_expressions() and GroundingTargets.
struct GroundingFiles {
  std::vector<std::string> expressions{};
  std::string image_root{}, refs{}, instances{}, detections{};
};

/// Expressions, and what they refer to.
struct GroundingSet {
  SourcePtr expressions;
  GroundingTargets targets;
  BadRecords bad;                 ///< expressions that are left out
  std::vector<std::string> refs;  ///< by expression: its place in `targets`

  explicit GroundingSet(const GroundingFiles& files, BadRecords unusable = BadRecords())
      : expressions(grounding_expressions(files.expressions, annotation_options(files.image_root))),
        targets(files.refs, files.instances, files.detections),
        bad(std::move(unusable)),
        refs(expression_refs(*expressions, targets, bad)) {
    check_bad();
  }
  /// Reads the pictures once and leaves out what cannot be read, so that this is known before a
  /// training and not after its first epoch.
  void check_pictures() {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < size(); ++i) {
      if (bad.has(i)) continue;
      const std::string problem = problem_of([&] {
        detail::read_picture(*expressions, i, bytes, {},
                             [](PictureReader& picture) { picture.finish(); });
      });
      if (!problem.empty()) bad.add(i, problem);
    }
    check_bad();
  }

  std::size_t size() const { return refs.size(); }
  const GroundingTarget& target(std::size_t i) const { return targets[refs.at(i)]; }

 private:
  void check_bad() const {
    bad.check(static_cast<std::int64_t>(size()), static_cast<std::int64_t>(size()));
  }
};

/// How well expressions are located, by split, with all of them together as "all".
struct GroundingResult {
  std::map<std::string, GroundingMetrics> splits{};
  Skipped skipped{};

  GroundingMetrics all() const {
    const auto found = splits.find("all");
    return found == splits.end() ? GroundingMetrics{} : found->second;
  }
  /// The splits in order; "all" only where there are several.
  std::vector<std::pair<std::string, GroundingMetrics>> rows() const {
    std::vector<std::pair<std::string, GroundingMetrics>> out;
    for (const auto& [split, metrics] : splits)
      if (split != "all" || splits.size() != 2) out.emplace_back(split, metrics);
    return out;
  }
  /// The metrics by split, and "records" and "skipped".
  nlohmann::ordered_json json() const {
    auto out = nlohmann::ordered_json::object();
    for (const auto& [split, metrics] : rows()) out[split] = metrics.json();
    skipped.add_to(out);
    return out;
  }
};

/// Locates all expressions of a set that can be used; also calls seen(i, GroundedText) for each.
template <class S, class Seen>
GroundingResult evaluate_grounding(S& session, const GroundingSet& set, int layer,
                                   const EncodingOptions& options, Seen&& seen) {
  GroundingResult result;
  const Source& expressions = *set.expressions;
  BadRecords bad = set.bad;
  const auto measure = [&](std::size_t i, GroundedText found) {
    const GroundingTarget& target = set.target(i);
    GroundingMetrics one;
    const std::string problem = problem_of([&] {
      require(found.width == target.width && found.height == target.height, "the picture has ",
              found.width, " x ", found.height, " pixels, its entry among the instances says ",
              target.width, " x ", target.height);
      one.add(resized(found.sentence, target.width, target.height), target.box, target.candidates);
    });
    if (!problem.empty()) return bad.add(i, expressions.describe(i) + ": " + problem);
    result.splits[target.split.empty() ? "-" : target.split] += one;
    result.splits["all"] += one;
    seen(i, std::move(found));
  };
  for_each_grounding(session, expressions, layer, options, bad, measure);
  const auto size = static_cast<std::int64_t>(set.size());
  bad.check(size, size);
  result.skipped = {set.size(), bad.count(), 0};
  return result;
}
template <class S>
GroundingResult evaluate_grounding(S& session, const GroundingSet& set, int layer = -1,
                                   const EncodingOptions& options = {}) {
  return evaluate_grounding(session, set, layer, options, [](auto&&...) {});
}

/// Evaluates several layers in turn (none: the default one) and returns the results by layer,
/// {"layer 8": {...}}. seen is called for the first of them; after(layer, result) after each.
template <class S, class Seen, class After>
nlohmann::ordered_json evaluate_grounding_layers(S& session, const GroundingSet& set,
                                                 std::vector<int> layers,
                                                 const EncodingOptions& options, Seen&& seen,
                                                 After&& after) {
  using C = typename S::Config;
  if (layers.empty()) layers = {default_grounding_layer<C>()};
  for (int& layer : layers) layer = grounding_layer<C>(layer);
  auto results = nlohmann::ordered_json::object();
  for (const int layer : layers) {
    const auto once = [&](std::size_t i, GroundedText found) {
      if (results.empty()) seen(i, std::move(found));
    };
    const GroundingResult result = evaluate_grounding(session, set, layer, options, once);
    results[concat("layer ", layer)] = result.json();
    after(layer, result);
  }
  return results;
}

/// The evaluation as a validation in training, see GroundingMetrics::score().
template <class S>
Validation validate_grounding(S& session, const GroundingSet& set, int layer = -1,
                              const EncodingOptions& options = {}) {
  const GroundingResult r = evaluate_grounding(session, set, layer, options);
  Validation found{r.all().score(), r.all().json()};
  r.skipped.add_to(found.results);
  return found;
}

/// The heading of a table of results.
inline std::string grounding_head() {
  char line[96];
  std::snprintf(line, sizeof line, "%5s  %-10s %11s %8s %8s %8s\n", "layer", "split", "expressions",
                "pointed", "ranked", "found");
  return line;
}
/// The lines of one layer below it, in percent.
inline std::string grounding_rows(int layer, const GroundingResult& result) {
  std::string out;
  for (const auto& [split, m] : result.rows()) {
    char start[32], numbers[96], boxes[64];
    std::snprintf(start, sizeof start, "%5d  ", layer);
    std::snprintf(numbers, sizeof numbers, " %11lld %8s", static_cast<long long>(m.expressions),
                  fixed(100 * m.pointing_accuracy(), 1).c_str());
    if (m.ranked)
      std::snprintf(boxes, sizeof boxes, " %8lld %8s\n", static_cast<long long>(m.ranked),
                    fixed(100 * m.box_accuracy(), 1).c_str());
    else
      std::snprintf(boxes, sizeof boxes, " %8s %8s\n", "-", "-");
    out += start + split + std::string(split.size() < 10 ? 10 - split.size() : 0, ' ') + numbers +
           boxes;
  }
  return out + result.skipped.text();
}

}  // namespace albef
