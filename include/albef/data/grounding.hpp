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
#include "albef/data/json_record.hpp"
#include "albef/data/json_records.hpp"
#include "albef/data/real_box.hpp"
#include "albef/data/record.hpp"

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
/// Files may be compressed with gzip. Throws Error naming file, record and field for what is
/// missing, refers to nothing, or is a box that reaches outside its picture.
class GroundingTargets {
 public:
  GroundingTargets(const std::string& refs, const std::string& instances,
                   const std::string& detections = "");

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

  /// The box, without the pixel or less by which it reaches outside.
  static RealBox inside(const std::vector<double>& numbers, const Size& size,
                        const std::string& field);
  static RealBox clipped(const RealBox& box, const Size& size);
  static std::string text(double value) { return detail::Json(value).dump(); }

  /// Calls f(fields) for each object of a list, adding its place to what it throws.
  template <class F>
  static void each(const detail::Json& list, const std::string& place, F&& f) {
    std::size_t number = 0;
    for (const detail::Json& item : list) {
      try {
        f(detail::JsonFields(item, false));
      } catch (const Error& error) { fail(place, ": record ", number, ": ", error.what()); }
      ++number;
    }
  }

  static detail::Json parsed(const std::string& path);

  std::unordered_map<std::string, Size> read_instances(const std::string& path);

  void read_refs(const std::string& path, const std::string& instances,
                 const std::unordered_map<std::string, Size>& sizes);

  void read_detections(const std::string& path, const std::unordered_map<std::string, Size>& sizes);

  std::string refs_;
  std::unordered_map<std::string, GroundingTarget> targets_;
  std::unordered_map<std::string, std::vector<double>> boxes_;  // of annotations
  std::unordered_map<std::string, std::vector<RealBox>> candidates_;
};

/// Expressions with their pictures, {image, text, ref_id} (official dataset/grounding_dataset.py):
/// a source of pairs for the Loader, in training and evaluation.
std::shared_ptr<JsonAnnotations> grounding_expressions(const std::vector<std::string>& files,
                                                       AnnotationOptions options = {});

/// The ref_id of each expression. Throws Error naming the first record that has none, or one that
/// `targets` does not know.
std::vector<std::string> expression_refs(const Source& expressions,
                                         const GroundingTargets& targets);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE GroundingTargets::GroundingTargets(const std::string& refs,
                                                     const std::string& instances,
                                                     const std::string& detections)
    : refs_(refs) {
  const std::unordered_map<std::string, Size> sizes = read_instances(instances);
  read_refs(refs, instances, sizes);
  if (!detections.empty()) read_detections(detections, sizes);
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

ALBEF_DATA_INLINE RealBox GroundingTargets::inside(const std::vector<double>& numbers,
                                                   const Size& size, const std::string& field) {
  const RealBox box{numbers[0], numbers[1], numbers[2], numbers[3]};
  constexpr double slack = 1;  // boxes may have been rounded
  const bool fits = box.width > 0 && box.height > 0 && box.x >= -slack && box.y >= -slack &&
                    box.x + box.width <= size.width + slack &&
                    box.y + box.height <= size.height + slack;
  require(fits, "field '", field, "': the box [", text(box.x), ", ", text(box.y), ", ",
          text(box.width), ", ", text(box.height), "] reaches outside its picture of ", size.width,
          " x ", size.height, " pixels");
  return clipped(box, size);
}

ALBEF_DATA_INLINE RealBox GroundingTargets::clipped(const RealBox& box, const Size& size) {
  const double left = std::max(box.x, 0.0), top = std::max(box.y, 0.0);
  return {left, top, std::min(box.x + box.width, static_cast<double>(size.width)) - left,
          std::min(box.y + box.height, static_cast<double>(size.height)) - top};
}

ALBEF_DATA_INLINE detail::Json GroundingTargets::parsed(const std::string& path) {
  // COCO's outlines are most of the file.
  const auto keep = [](int, detail::Json::parse_event_t event, detail::Json& value) {
    return event != detail::Json::parse_event_t::key || value != "segmentation";
  };
  try {
    return detail::Json::parse(detail::read_json_text(path), keep);
  } catch (const detail::Json::exception& error) {
    fail("cannot read '", path, "': ", detail::json_problem(error));
  }
}

ALBEF_DATA_INLINE std::unordered_map<std::string, GroundingTargets::Size>
GroundingTargets::read_instances(const std::string& path) {
  const detail::Json file = parsed(path);
  const bool complete = file.is_object() && file.contains("images") &&
                        file.contains("annotations") && file["images"].is_array() &&
                        file["annotations"].is_array();
  require(complete, "'", path, "': expected an object with the lists 'images' and 'annotations'");
  std::unordered_map<std::string, Size> sizes;
  each(file["images"], path + ": images", [&](const detail::JsonFields& image) {
    const Size size{static_cast<int>(image.integer("width")),
                    static_cast<int>(image.integer("height"))};
    require(size.width > 0 && size.height > 0, "a picture of ", size.width, " x ", size.height,
            " pixels");
    sizes[image.id("id")] = size;
  });
  each(file["annotations"], path + ": annotations", [&](const detail::JsonFields& annotation) {
    boxes_[annotation.id("id")] = annotation.numbers("bbox", 4);
  });
  return sizes;
}

ALBEF_DATA_INLINE void GroundingTargets::read_refs(
    const std::string& path, const std::string& instances,
    const std::unordered_map<std::string, Size>& sizes) {
  const detail::Json file = parsed(path);
  require(file.is_array() && !file.empty(), "'", path, "': expected a list of records");
  each(file, path, [&](const detail::JsonFields& ref) {
    GroundingTarget target;
    target.image_id = ref.id("image_id");
    if (ref.has("split")) target.split = ref.text("split");
    const auto image = sizes.find(target.image_id);
    require(image != sizes.end(), "field 'image_id': there is no picture ", target.image_id,
            " in '", instances, "'");
    target.width = image->second.width, target.height = image->second.height;
    const std::string annotation = ref.id("ann_id");
    const auto box = boxes_.find(annotation);
    require(box != boxes_.end(), "field 'ann_id': there is no annotation ", annotation, " in '",
            instances, "'");
    target.box = inside(box->second, image->second,
                        concat("bbox' of annotation ", annotation, " in '", instances));
    targets_[ref.id("ref_id")] = std::move(target);
  });
}

ALBEF_DATA_INLINE void GroundingTargets::read_detections(
    const std::string& path, const std::unordered_map<std::string, Size>& sizes) {
  const detail::Json file = parsed(path);
  require(file.is_object(), "'", path, "': expected an object of lists of boxes by image_id");
  for (const auto& [image_id, list] : file.items()) {
    const auto image = sizes.find(image_id);
    if (image == sizes.end()) continue;  // of another split
    try {
      require(list.is_array(), "expected a list of boxes, got ", list.type_name());
      auto& boxes = candidates_[image_id];
      for (const detail::Json& numbers : list) {
        detail::Json record;
        record["box"] = numbers;
        boxes.push_back(
            inside(detail::JsonFields(record, false).numbers("box", 4), image->second, "box"));
      }
    } catch (const Error& error) {
      fail(path, ": picture ", image_id, ": box ", candidates_[image_id].size(), ": ",
           error.what());
    }
  }
}

ALBEF_DATA_INLINE std::shared_ptr<JsonAnnotations> grounding_expressions(
    const std::vector<std::string>& files, AnnotationOptions options) {
  options.caption_field = "text";
  return std::make_shared<JsonAnnotations>(files, options);
}

ALBEF_DATA_INLINE std::vector<std::string> expression_refs(const Source& expressions,
                                                           const GroundingTargets& targets) {
  std::vector<std::string> refs;
  for (std::size_t i = 0; i < expressions.size(); ++i) {
    const Record& record = expressions.record(i);
    if (!record.error.empty()) fail(expressions.describe(i), ": ", record.error);
    const auto& values = record.values("ref_id");
    require(values.size() == 1, expressions.describe(i), ": field 'ref_id' is missing");
    require(targets.contains(values.front()), expressions.describe(i), ": field 'ref_id': '",
            values.front(), "' is not in '", targets.name(), "'");
    refs.push_back(values.front());
  }
  return refs;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
