// What expressions refer to, from files as detectors and corpora have them.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "albef/data/grounding.hpp"
#include "data_files.hpp"

namespace grounding_targets_test {

using albef::GroundingTargets;
using albef::RealBox;
using data_test::error_of;

namespace {

struct Files {
  data_test::TemporaryFolder folder;
  std::vector<std::string> warnings;

  GroundingTargets open(const std::string& refs, const std::string& instances,
                        const std::string& detections = "{}") {
    warnings.clear();
    return GroundingTargets(folder.write("r.json", refs), folder.write("i.json", instances),
                            folder.write("d.json", detections),
                            [&](const std::string& w) { warnings.push_back(w); });
  }
  std::string fails(const std::string& refs, const std::string& instances,
                    const std::string& detections = "{}") {
    return error_of([&] { open(refs, instances, detections); });
  }
};

std::string ref(int annotation, int image = 8, int ref_id = 4) {
  return "{\"ref_id\": " + std::to_string(ref_id) + ", \"ann_id\": " + std::to_string(annotation) +
         ", \"image_id\": " + std::to_string(image) + "}";
}
std::string refs(const std::string& one, const std::string& two = ref(1, 8, 5)) {
  return "[" + one + ", " + two + "]";
}

const std::string whole = R"({"info": {"year": 1}, "licenses": [{"id": 1}, 2],
  "images": [{"id": 8, "width": 100.0, "height": 50}, {"id": 9, "width": 4294967396, "height": 1}],
  "annotations": [{"id": 1, "bbox": [1, 1, 9, 9], "segmentation": [[1]]},
                  {"id": 2, "bbox": [90, 5, 20, 30]},
                  {"id": 3, "bbox": [1, 2]}, {"id": 5, "bbox": [120, 5, 20, 30]},
                  {"id": 6, "bbox": [NaN, 5, 20, 30]}]})";

}  // namespace

TEST_CASE("grounding: objects beyond their picture are clipped, broken references left out") {
  Files files;
  const GroundingTargets outside = files.open(refs(ref(2)), whole);
  CHECK(outside["4"].box == RealBox{90, 5, 10, 30});
  CHECK(outside["5"].box == RealBox{1, 1, 9, 9});
  REQUIRE(files.warnings.size() == 2);
  CHECK_CONTAINS(files.warnings[0],
                 "i.json': 3 entries are left out; the first: images: record 1: "
                 "field 'width' is 4294967396, expected an integer from 1 to");
  CHECK_CONTAINS(files.warnings[1],
                 "1 objects reach outside their pictures and are clipped; the "
                 "first: annotation 2, [90, 5, 20, 30] in a picture of 100 x 50");

  const auto left_out = [&](const std::string& one, const char* why) {
    const GroundingTargets targets = files.open(refs(one), whole);
    CHECK(targets.size() == 1);
    CHECK(targets.contains("5"));
    CHECK_CONTAINS(files.warnings.back(), "r.json': 1 references are left out; the first: ");
    CHECK_CONTAINS(files.warnings.back(), std::string("r.json: record 0: ") + why);
    CHECK_CONTAINS(files.fails("[" + one + "]", whole), why);
  };
  left_out(ref(7), "field 'ann_id': there is no annotation 7");
  left_out(ref(3), "field 'ann_id': there is no annotation 3");
  left_out(ref(6), "field 'ann_id': there is no annotation 6");
  left_out(ref(5), "the box [120, 5, 20, 30] of annotation 5 in");
  left_out(ref(1, 3), "field 'image_id': there is no picture 3");
  left_out(ref(1, 9), "field 'image_id': there is no picture 9");
  left_out(R"({"ref_id": 4, "image_id": 8})", "field 'ann_id' is missing");
  left_out("[7]", "expected a JSON object");
  CHECK_CONTAINS(files.fails(refs(ref(1)), "[]"), "expected an object with the lists");
  CHECK_CONTAINS(files.fails("[]", whole), "r.json': there is no reference");
  CHECK_CONTAINS(files.fails("[]", R"({"images": [)" + std::string(99999, '[')),
                 "i.json': parse error at line 1, column 75: nested more than 64 deep");
}

TEST_CASE("grounding: detected boxes are clipped, those without area left out, both counted") {
  Files files;
  const auto candidates = [&](const std::string& boxes) {
    return files
        .open("[" + ref(1) + "]",
              R"({"images": [{"id": 8, "width": 100, "height": 50}],
                          "annotations": [{"id": 1, "bbox": [1, 1, 9, 9]}]})",
              R"({"8": )" + boxes + R"(, "77": [[0, 0, 0, 0]], "78": 5})")["4"]
        .candidates;
  };
  CHECK(candidates("[[-0.5, 0, 10, 50.9, 0.9]]") == std::vector<RealBox>{{0, 0, 9.5, 50}});
  CHECK(files.warnings.empty());  // rounding
  CHECK(candidates("[[0, 0, 200, 10], [-7, 1, 9, 9], [3, 3, 0, 5], [300, 0, 5, 5], [1, 2, 3],"
                   " [NaN, 1, 2, 3], [1e400, 1, 2, 3], [1, 2, 3, 4]]") ==
        std::vector<RealBox>{{0, 0, 100, 10}, {0, 1, 2, 9}, {1, 2, 3, 4}});
  REQUIRE(files.warnings.size() == 1);
  CHECK_CONTAINS(
      files.warnings[0],
      "d.json': of the boxes, 2 reach outside their pictures and are clipped (the first: "
      "picture 8, box 0, [0, 0, 200, 10]); 2 have nothing of their pictures and are left "
      "out (the first: picture 8, box 2, [3, 3, 0, 5]); 3 are no boxes and left out (the "
      "first: picture 8, box 4 is [1,2,3], expected a list of 4 numbers)");
  candidates("[[\"" + std::string(1000, 'x') + "\", 1, 2, 3]]");
  CHECK_CONTAINS(files.warnings.at(0), "xxx..., expected a list of 4 numbers");
  CHECK(files.warnings[0].size() < 400);
  CHECK(candidates("7").empty());
  CHECK_CONTAINS(files.warnings[0], "picture 8 has number");
  CHECK_CONTAINS(files.fails("[" + ref(1) + "]", whole, "[]"),
                 "d.json': expected an object of lists");
  CHECK_CONTAINS(files.fails("[" + ref(1) + "]", whole, "[1]"),
                 "d.json': expected an object of lists");
}

}  // namespace grounding_targets_test
