#include "common/grounding_run.hpp"

#include <algorithm>
#include <string_view>

namespace examples {

using namespace albef;

HeatExample heat_example(ImageView picture, const GroundedText& found, const WordPiece& tokenizer) {
  const auto row = [](std::string word, const HeatMap& map) {
    return HeatRow{std::move(word), {map.values, map.side, map.side}};
  };
  HeatExample example{picture, found.text, {row("(all)", found.sentence)}};
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
    example.rows.push_back(row(std::move(word), sentence_cam(pieces)));
  }
  return example;
}

BoxEntry ranked_entry(const GroundedText& found, int width, int height,
                      std::span<const RealBox> boxes) {
  const PixelMap map = resized(found.sentence, width, height);
  BoxEntry entry;
  entry.text = found.text;
  double best = 0;
  for (const int i : rank_boxes(map, boxes)) {
    const RealBox& box = boxes[static_cast<std::size_t>(i)];
    const double score = box_score(map, box);
    if (entry.boxes.empty()) best = score;
    entry.boxes.push_back({box.x, box.y, box.width, box.height, best > 0 ? score / best : 0});
  }
  const RealBox at = peak(map);
  entry.pointed = Point{at.x, at.y};
  return entry;
}

}  // namespace examples
