// The golden case of resizing, normalisation and augmentation, and that its runner notices errors.
#include <doctest/doctest.h>

#include <algorithm>

#include "support/image_case.hpp"

namespace image_golden_test {

using albef::GoldenCase;
using albef::GoldenReport;

TEST_CASE("golden image case") {
  const auto golden = GoldenCase::open(ALBEF_TEST_DATA "/golden/image");
  GoldenReport report(golden);
  albef::run_image_case(golden, report);
  report.finish();
  for (const auto& line : report.lines()) {
    INFO(line.name);
    CHECK(line.deviation <= line.tolerance);
    CHECK(line.ok);
  }
  CHECK(report.lines().size() == golden.expected.size());
  CHECK(report.all_ok());
}

TEST_CASE("the golden image runner notices wrong, missing and surplus results") {
  auto golden = GoldenCase::open(ALBEF_TEST_DATA "/golden/image");
  golden.expected.at("hflip/photo").values[5] += 1;
  golden.expected.at("normalized/photo_32").values[7] += 1e-4;
  golden.expected.at("resize/strip_32").shape = {32, 3, 32};
  golden.expected.erase("aug/photo_Equalize_3");
  golden.expected["something/else"] = {};
  GoldenReport report(golden);
  albef::run_image_case(golden, report);
  report.finish();
  std::vector<std::string> failed;
  for (const auto& line : report.lines())
    if (!line.ok) failed.push_back(line.name);
  std::sort(failed.begin(), failed.end());
  CHECK(failed == std::vector<std::string>{"aug/photo_Equalize_3", "hflip/photo",
                                           "normalized/photo_32", "resize/strip_32",
                                           "something/else"});
}

}  // namespace image_golden_test
