// Visual grounding data (RefCOCO+): where the objects are that expressions refer to, and the boxes
// among which a model chooses. The expressions themselves are pairs of pictures and texts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/annotations.hpp"
#include "albef/data/bad_records.hpp"
#include "albef/data/json_entries.hpp"
#include "albef/data/json_record.hpp"
#include "albef/data/json_records.hpp"
#include "albef/data/real_box.hpp"
#include "albef/data/record.hpp"
#include "albef/data/warnings.hpp"

namespace albef {

/// What an expression refers to.
struct GroundingTarget {
  std::string image_id{}, split{};
  int width = 0, height = 0;          ///< of the picture, pixels
  RealBox box{};                      ///< the object
  std::vector<RealBox> candidates{};  ///< detected boxes to be ranked; none without a file of them
};

/// The objects of a referring expression corpus by ref_id, from its files:
/// - `refs`: list of {ref_id, ann_id, image_id, split}. The corpus has it as a Python pickle,
///   refs(unc).p; json.dump(pickle.load(...)) gives this file.
/// - `instances`: COCO's {images: [{id, width, height}], annotations: [{id, bbox}]}.
/// - `detections` (may be empty): {image_id: [[x, y, width, height, ...], ...]}, the det_file of
///   the official code.
/// Files may be packed, see unpack(). Boxes are clipped to their pictures; detected ones of which
/// nothing is left, or that are none, are left out. So are references that are wrong, refer to
/// nothing, or whose object has no pixel of the picture. `warn` is given one sentence for each kind
/// of this, with the count and the first; a pixel or less outside is not worth one, since boxes are
/// rounded. Throws Error naming the file that cannot be read, and when no reference is left.
class GroundingTargets {
 public:
  GroundingTargets(const std::string& refs, const std::string& instances,
                   const std::string& detections = "", const Warn& warn = print_warning);

  std::size_t size() const { return targets_.size(); }
  /// The file of the references.
  const std::string& name() const { return refs_; }
  bool contains(const std::string& ref_id) const { return targets_.contains(ref_id); }
  /// Throws Error if there is none.
  const GroundingTarget& operator[](const std::string& ref_id) const;

 private:
  struct Size {
    int width, height;
  };
  /// How often something happened, and the first time.
  struct Tally {
    std::size_t count = 0;
    std::string first;
    void add(const std::string& place) {
      if (count++ == 0) first = place;
    }
  };
  using Sizes = std::unordered_map<std::string, Size>;

  /// The part of a box that is inside its picture; without width or height if there is none.
  static RealBox clipped(const RealBox& box, const Size& size);
  /// Whether a box is outside by more than rounding.
  static bool reaches_out(const RealBox& box, const Size& size);
  static RealBox box_of(const std::vector<double>& numbers) {
    return {numbers[0], numbers[1], numbers[2], numbers[3]};
  }
  static std::string text(const RealBox& box);

  Sizes read_instances(const std::string& path, const Warn& warn);
  void read_refs(const std::string& instances, const Sizes& sizes, const Warn& warn);
  GroundingTarget target(const detail::JsonFields& ref, const std::string& instances,
                         const Sizes& sizes, Tally& clipped_boxes) const;
  void read_detections(const std::string& path, const Sizes& sizes, const Warn& warn);

  std::string refs_;
  std::unordered_map<std::string, GroundingTarget> targets_;
  std::unordered_map<std::string, RealBox> boxes_;  // of annotations
  std::unordered_map<std::string, std::vector<RealBox>> candidates_;
};

/// Expressions with their pictures, {image, text, ref_id} (official dataset/grounding_dataset.py):
/// a source of pairs for the Loader, in training and evaluation.
std::shared_ptr<JsonAnnotations> grounding_expressions(const std::vector<std::string>& files,
                                                       AnnotationOptions options = {});

/// The ref_id of each expression. Records without one, or with one that `targets` does not know,
/// enter `bad` and have an empty one.
std::vector<std::string> expression_refs(const Source& expressions, const GroundingTargets& targets,
                                         BadRecords& bad);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <limits>
#include <string_view>
#include "albef/core/json.hpp"

namespace albef {

ALBEF_DATA_INLINE GroundingTargets::GroundingTargets(const std::string& refs,
                                                     const std::string& instances,
                                                     const std::string& detections,
                                                     const Warn& warn)
    : refs_(refs) {
  const Warn tell = warn ? warn : [](const std::string&) {};
  const Sizes sizes = read_instances(instances, tell);
  read_refs(instances, sizes, tell);
  if (!detections.empty()) read_detections(detections, sizes, tell);
  for (auto& [ref_id, target] : targets_)
    if (const auto found = candidates_.find(target.image_id); found != candidates_.end())
      target.candidates = found->second;
  boxes_ = {}, candidates_ = {};  // only needed while reading
}

ALBEF_DATA_INLINE const GroundingTarget& GroundingTargets::operator[](
    const std::string& ref_id) const {
  const auto found = targets_.find(ref_id);
  require(found != targets_.end(), "no ref_id ", ref_id, " in '", refs_, "'");
  return found->second;
}

ALBEF_DATA_INLINE RealBox GroundingTargets::clipped(const RealBox& box, const Size& size) {
  const double left = std::max(box.x, 0.0), top = std::max(box.y, 0.0);
  return {left, top, std::min(box.x + box.width, static_cast<double>(size.width)) - left,
          std::min(box.y + box.height, static_cast<double>(size.height)) - top};
}

ALBEF_DATA_INLINE bool GroundingTargets::reaches_out(const RealBox& box, const Size& size) {
  constexpr double slack = 1;
  return box.x < -slack || box.y < -slack || box.x + box.width > size.width + slack ||
         box.y + box.height > size.height + slack;
}

ALBEF_DATA_INLINE std::string GroundingTargets::text(const RealBox& box) {
  return concat("[", box.x, ", ", box.y, ", ", box.width, ", ", box.height, "]");
}

ALBEF_DATA_INLINE GroundingTargets::Sizes GroundingTargets::read_instances(const std::string& path,
                                                                           const Warn& warn) {
  const detail::JsonText file = detail::read_json_text(path);
  Sizes sizes;
  Tally bad;
  bool images = false, annotations = false;
  std::size_t number = 0;
  std::string list;
  const auto take = [&](const JsonPath& names, detail::Json& value) {
    if (names.size() != 2) return;
    number = names.front() == list ? number + 1 : 0;
    list = names.front();
    images |= list == "images", annotations |= list == "annotations";
    if (list != "images" && list != "annotations") return;
    try {
      const detail::JsonFields fields(value, false);
      if (list == "annotations") {
        boxes_[fields.id("id")] = box_of(fields.numbers("bbox", 4));
      } else {
        constexpr std::int64_t most = std::numeric_limits<int>::max();
        const auto width = fields.integer("width", 1, most);
        const auto height = fields.integer("height", 1, most);
        sizes[fields.id("id")] = {static_cast<int>(width), static_cast<int>(height)};
      }
    } catch (const Error& error) { bad.add(concat(list, ": record ", number, ": ", error.what())); }
  };
  try {
    require(file.problem.empty(), file.problem);
    for_each_json(file.text, 2, take, {.lenient = true});
  } catch (const Error& error) { fail("cannot read '", path, "': ", error.what()); }
  require(images && annotations, "'", path,
          "': expected an object with the lists 'images' and 'annotations'");
  if (bad.count > 0)
    warn(concat("'", path, "': ", bad.count, " entries are left out; the first: ", bad.first));
  return sizes;
}

ALBEF_DATA_INLINE GroundingTarget GroundingTargets::target(const detail::JsonFields& ref,
                                                           const std::string& instances,
                                                           const Sizes& sizes,
                                                           Tally& clipped_boxes) const {
  GroundingTarget target;
  target.image_id = ref.id("image_id");
  if (ref.has("split")) target.split = ref.text("split");
  const auto image = sizes.find(target.image_id);
  require(image != sizes.end(), "field 'image_id': there is no picture ", target.image_id, " in '",
          instances, "'");
  const Size& size = image->second;
  target.width = size.width, target.height = size.height;
  const std::string annotation = ref.id("ann_id");
  const auto found = boxes_.find(annotation);
  require(found != boxes_.end(), "field 'ann_id': there is no annotation ", annotation, " in '",
          instances, "'");
  const RealBox& box = found->second;
  target.box = clipped(box, size);
  require(target.box.width > 0 && target.box.height > 0, "the box ", text(box), " of annotation ",
          annotation, " in '", instances, "' has nothing of its picture of ", size.width, " x ",
          size.height, " pixels");
  if (reaches_out(box, size))
    clipped_boxes.add(concat("annotation ", annotation, ", ", text(box), " in a picture of ",
                             size.width, " x ", size.height, " pixels"));
  return target;
}

ALBEF_DATA_INLINE void GroundingTargets::read_refs(const std::string& instances, const Sizes& sizes,
                                                   const Warn& warn) {
  Tally bad, outside;
  std::size_t number = 0;
  const auto add_bad = [&](const std::string& problem) {
    bad.add(concat(refs_, ": record ", number++, ": ", problem));
  };
  const auto take = [&](const detail::Json& value, bool broken) {
    try {
      const detail::JsonFields ref(value, broken);
      targets_[ref.id("ref_id")] = target(ref, instances, sizes, outside);
      ++number;
    } catch (const Error& error) { add_bad(error.what()); }
  };
  const std::string cut = detail::for_each_entry(detail::read_json_text(refs_), take, add_bad);
  if (targets_.empty())
    fail("'", refs_, "': there is no reference", bad.count > 0 ? " that can be used: " : "",
         bad.first);
  if (outside.count > 0)
    warn(concat(
        "'", instances, "': ", outside.count,
        " objects reach outside their pictures and are clipped; the first: ", outside.first));
  if (bad.count > 0)
    warn(concat("'", refs_, "': ", bad.count, " references are left out; the first: ", bad.first));
}

ALBEF_DATA_INLINE void GroundingTargets::read_detections(const std::string& path,
                                                         const Sizes& sizes, const Warn& warn) {
  const detail::JsonText file = detail::read_json_text(path);
  Tally outside, empty, bad;
  bool object = true;
  const auto take = [&](const JsonPath& names, detail::Json& list) {
    const std::string& image_id = names.front();
    object &= !image_id.empty();
    const auto image = sizes.find(image_id);
    if (image == sizes.end()) return;  // of another split
    const Size& size = image->second;
    const std::string picture = concat("picture ", image_id);
    if (!list.is_array()) return bad.add(concat(picture, " has ", list.type_name()));
    auto& boxes = candidates_[image_id];
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string place = concat(picture, ", box ", i);
      try {
        const RealBox box = box_of(detail::number_list(list[i], 4, place));
        const RealBox part = clipped(box, size);
        const std::string shown = concat(place, ", ", text(box));
        if (!(part.width > 0 && part.height > 0)) {
          empty.add(shown);
          continue;
        }
        if (reaches_out(box, size)) outside.add(shown);
        boxes.push_back(part);
      } catch (const Error& error) { bad.add(error.what()); }
    }
  };
  try {
    require(file.problem.empty(), file.problem);
    const detail::Json top = for_each_json(file.text, 1, take, {.lenient = true});
    object &= top.is_object();
  } catch (const Error& error) { fail("cannot read '", path, "': ", error.what()); }
  require(object, "'", path, "': expected an object of lists of boxes by image_id");
  const auto tell = [&](const Tally& tally, std::string_view what) {
    return tally.count == 0 ? std::string()
                            : concat("; ", tally.count, what, " (the first: ", tally.first, ")");
  };
  const std::string found = concat(tell(outside, " reach outside their pictures and are clipped"),
                                   tell(empty, " have nothing of their pictures and are left out"),
                                   tell(bad, " are no boxes and left out"));
  if (!found.empty()) warn(concat("'", path, "': of the boxes, ", found.substr(2)));
}

ALBEF_DATA_INLINE std::shared_ptr<JsonAnnotations> grounding_expressions(
    const std::vector<std::string>& files, AnnotationOptions options) {
  options.caption_field = "text";
  return std::make_shared<JsonAnnotations>(files, options);
}

ALBEF_DATA_INLINE std::vector<std::string> expression_refs(const Source& expressions,
                                                           const GroundingTargets& targets,
                                                           BadRecords& bad) {
  std::vector<std::string> refs(expressions.size());
  for (std::size_t i = 0; i < refs.size(); ++i) {
    const Record& record = expressions.record(i);
    const std::string problem = problem_of([&] {
      require(record.error.empty(), record.error);
      const auto& values = record.values("ref_id");
      require(values.size() == 1, "field 'ref_id' is missing");
      require(targets.contains(values.front()), "field 'ref_id': '", values.front(),
              "' is not in '", targets.name(), "'");
      refs[i] = values.front();
    });
    if (!problem.empty()) bad.add(i, expressions.describe(i) + ": " + problem);
  }
  return refs;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
