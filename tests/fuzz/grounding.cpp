// Any texts as the three files of a referring expression corpus: references, instances and
// detections, which a line of dashes separates; where one is missing, a valid one stands in.
#include "albef/data/grounding.hpp"

#include <array>

#include "fuzz.hpp"

FUZZ(bytes, {}) {
  constexpr std::string_view line = "\n---\n";
  std::array<std::string_view, 3> parts{
      R"([{"ref_id": 1, "ann_id": 2, "image_id": 3, "split": "val"}])",
      R"({"images": [{"id": 3, "width": 40, "height": 30}],
          "annotations": [{"id": 2, "bbox": [1, 2, 10, 12.5]}]})",
      R"({"3": [[1, 2, 10, 12], [0, 0, 39.5, 30]]})"};
  for (std::string_view& part : parts) {
    const auto end = bytes.find(line);
    if (const auto own = bytes.substr(0, end); !own.empty()) part = own;
    bytes = end == std::string_view::npos ? std::string_view() : bytes.substr(end + line.size());
  }
  fuzz::reads([&] {
    const albef::GroundingTargets targets(fuzz::file("refs.json", parts[0]),
                                          fuzz::file("instances.json", parts[1]),
                                          fuzz::file("detections.json", parts[2]));
    if (!targets.contains("1")) return;
    const auto& target = targets["1"];
    const auto inside = [&](const albef::RealBox& b) {
      return b.x >= 0 && b.y >= 0 && b.width > 0 && b.height > 0 && b.x + b.width <= target.width &&
             b.y + b.height <= target.height;
    };
    fuzz::check(inside(target.box), "an object's box lies within its picture");
    for (const auto& box : target.candidates)
      fuzz::check(inside(box), "a detected box lies within its picture");
  });
}
