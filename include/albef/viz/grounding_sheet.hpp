// Grounding as pictures: heat maps by word, and boxes ranked by the map of an expression.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/data/loader.hpp"
#include "albef/tasks/grounding_evaluation.hpp"
#include "albef/viz/box_sheet.hpp"
#include "albef/viz/heat_map.hpp"

namespace albef {

inline HeatGrid heat_grid(const HeatMap& map) { return {map.values, map.side, map.side}; }

/// A picture with its maps: one row for the whole expression, then one per word. The pixels must
/// live until the sheet is drawn.
inline HeatExample heat_example(ImageView picture, const GroundedText& found,
                                const WordPiece& tokenizer) {
  HeatExample example{picture, found.text, {}};
  for (auto& [word, map] : word_maps(found, tokenizer))
    example.rows.push_back({std::move(word), heat_grid(map)});
  return example;
}

/// The boxes of an expression's picture, best first, with their scores relative to the best, and
/// where the map is largest. The picture is still to be set.
inline BoxEntry ranked_entry(const GroundedText& found, std::span<const RealBox> boxes) {
  const PixelMap map = resized(found.sentence, found.width, found.height);
  BoxEntry entry;
  entry.text = found.text;
  for (const auto& [box, score] : ranked_boxes(map, boxes))
    entry.boxes.push_back({box.x, box.y, box.width, box.height, score});
  const RealBox at = peak(map);
  entry.pointed = Point{at.x, at.y};
  return entry;
}

/// Located expressions as they are collected for sheets, each with its picture.
class GroundingSheets {
 public:
  void add(Image picture, GroundedText found, std::span<const RealBox> boxes = {}) {
    entries_.push_back(ranked_entry(found, boxes));
    overlays_.push_back(overlay_heat(picture, heat_grid(found.sentence)));
    pictures_.push_back(std::move(picture));
    found_.push_back(std::move(found));
  }
  /// With what the expression refers to: the best of the candidates is marked right or wrong.
  void add(Image picture, GroundedText found, const GroundingTarget& target) {
    add(std::move(picture), std::move(found), target.candidates);
    BoxEntry& entry = entries_.back();
    entry.truth = {target.box.x, target.box.y, target.box.width, target.box.height};
    if (entry.boxes.empty()) return;
    const DrawnBox& b = entry.boxes.front();
    const bool right = box_iou({b.x, b.y, b.width, b.height}, target.box) >= 0.5;
    entry.mark = right ? Mark::right : Mark::wrong;
  }
  std::size_t size() const { return entries_.size(); }

  /// The boxes over the map of each expression.
  std::vector<BoxEntry> boxes() const {
    std::vector<BoxEntry> out = entries_;
    for (std::size_t i = 0; i < out.size(); ++i) out[i].picture = overlays_[i];
    return out;
  }
  /// The map of each word. The sheets must live until they are drawn.
  std::vector<HeatExample> heat_maps(const WordPiece& tokenizer) const {
    std::vector<HeatExample> out;
    for (std::size_t i = 0; i < found_.size(); ++i)
      out.push_back(heat_example(pictures_[i], found_[i], tokenizer));
    return out;
  }
  /// Write them as PNG files.
  void write_boxes(const std::string& path, const BoxSheetOptions& options = {}) const {
    write_box_sheet(path, boxes(), options);
  }
  void write_heat_maps(const std::string& path, const WordPiece& tokenizer,
                       const HeatSheetOptions& options = {}) const {
    write_heat_sheet(path, heat_maps(tokenizer), options);
  }

 private:
  std::vector<BoxEntry> entries_;
  std::vector<RgbPicture> overlays_;
  std::vector<Image> pictures_;
  std::vector<GroundedText> found_;
};

/// Some expressions of an evaluation, evenly spread over the set:
///   GroundingExamples shown(set, 8);
///   evaluate_grounding(session, set, layer, options, shown);
class GroundingExamples {
 public:
  GroundingExamples(const GroundingSet& set, int wanted) : set_(set) {
    const auto n = std::min(set.size(), static_cast<std::size_t>(std::max(wanted, 0)));
    for (std::size_t i = 0; i < n; ++i) chosen_.insert(i * set.size() / n);
  }
  void operator()(std::size_t i, GroundedText found) {
    if (!chosen_.contains(i)) return;
    sheets_.add(detail::load_picture(*set_.expressions, i, bytes_, default_decoding()),
                std::move(found), set_.target(i));
  }
  const GroundingSheets& sheets() const { return sheets_; }
  /// Writes the sheets as PNG files, those whose path is not empty.
  void write(const std::string& boxes, const std::string& heat_maps,
             const WordPiece& tokenizer) const {
    if (!boxes.empty())
      sheets_.write_boxes(boxes, {.title = "Located expressions", .max_boxes = 3});
    if (!heat_maps.empty())
      sheets_.write_heat_maps(heat_maps, tokenizer,
                              {.title = "Where the model looks for each word"});
  }

 private:
  const GroundingSet& set_;
  std::set<std::size_t> chosen_;
  GroundingSheets sheets_;
  std::vector<std::uint8_t> bytes_;
};

/// evaluate_grounding_layers(), printed as a table while it goes on; with paths, PNG files show the
/// boxes and the heat maps of `examples` expressions.
template <class S>
nlohmann::ordered_json report_grounding(S& session, const GroundingSet& set,
                                        const std::vector<int>& layers,
                                        const EncodingOptions& options, const std::string& boxes,
                                        const std::string& heat_maps, int examples = 8) {
  GroundingExamples shown(set, boxes.empty() && heat_maps.empty() ? 0 : examples);
  std::fputs(grounding_head().c_str(), stdout);
  auto results = evaluate_grounding_layers(
      session, set, layers, options, shown, [](int layer, const GroundingResult& found) {
        std::fputs(grounding_rows(layer, found).c_str(), stdout);
      });
  shown.write(boxes, heat_maps, session.tokenizer());
  return results;
}

}  // namespace albef
