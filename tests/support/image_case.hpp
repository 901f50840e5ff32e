// Golden cases of kind `image`: resizing, cropping, mirroring, normalisation and RandAugment
// against Pillow, OpenCV and the official augmentation code.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/data/image.hpp"
#include "albef/data/normalize.hpp"
#include "albef/data/randaugment.hpp"
#include "albef/data/resize.hpp"
#include "support/golden.hpp"

namespace albef {
namespace detail {

/// Runs the items of one case; every image must be equal to the last bit.
class ImageCase {
 public:
  ImageCase(const GoldenCase& golden, GoldenReport& report) : golden_(golden), report_(report) {
    const auto &mean = golden.json.at("mean"), &std = golden.json.at("std");
    for (std::size_t c = 0; c < 3; ++c)
      normalization_.mean[c] = mean.at(c), normalization_.std[c] = std.at(c);
    normalized_tolerance_ = golden.json.at("tolerance").at("normalized").at("atol");
  }

  void run() {
    for (const auto& item : items("resize")) {
      const Image source = input(item);
      check(item, resize_bicubic(source, item.at("size"), item.at("size")));
    }
    for (const auto& item : items("hflip")) {
      Image image = input(item);
      hflip(image);
      check(item, image);
    }
    for (const auto& item : items("crop_resize")) check(item, cropped(item));
    for (const auto& item : items("randaugment")) {
      const bool intended = item.contains("expected_intended");
      // Color and Contrast are stored only as the official code computes them.
      check_image(item.at("expected"), augmented(item, input(item), AugmentCompat::official));
      if (intended)
        check_image(item.at("expected_intended"),
                    augmented(item, input(item), AugmentCompat::intended));
    }
    for (const auto& item : items("pipeline")) {
      Image image = cropped(item);
      if (item.at("flip")) hflip(image);
      for (const auto& step : item.at("ops"))
        image = augmented(step, std::move(image), AugmentCompat::official);
      check(item, image);
    }
    for (const auto& [name, tensor] : golden_.expected)
      if (!compared_.contains(name)) report_.add_failure(name, "never compared");
    report_.skip("");
  }

 private:
  nlohmann::json items(const char* list) const {
    return golden_.json.value(list, nlohmann::json::array());
  }

  Image input(const nlohmann::json& item) const {
    const auto name = item.at("src").get<std::string>();
    const GoldenTensor& tensor = golden_.input(name);
    require(tensor.shape.size() == 3 && tensor.shape[2] == 3, golden_.folder, ": input '", name,
            "' has shape ", shape_text(tensor.shape), ", expected (height, width, 3)");
    Image image(static_cast<int>(tensor.shape[1]), static_cast<int>(tensor.shape[0]));
    image.rgb = tensor.as<std::uint8_t>();
    return image;
  }

  Image cropped(const nlohmann::json& item) const {
    const Box box{item.at("left"), item.at("top"), item.at("width"), item.at("height")};
    return resize_bicubic(input(item), box, item.at("size"), item.at("size"));
  }

  /// The operation with its stored arguments, of which the first is the strength.
  static Image augmented(const nlohmann::json& item, Image image, AugmentCompat compat) {
    const auto& args = item.at("args");
    const AugmentStep step{augment_op(item.at("op").get<std::string>()),
                           args.empty() ? 0.0 : args.at(0).get<double>()};
    std::vector<std::uint8_t> buffer;
    apply_augment(step, image, buffer, compat);
    return image;
  }

  void check(const nlohmann::json& item, const Image& got) {
    check_image(item.at("expected"), got);
    if (!item.contains("expected_normalized")) return;
    std::vector<float> planes(got.rgb.size());
    normalize(got, planes.data(), normalization_);
    compare(item.at("expected_normalized"), planes, {3, got.height, got.width},
            normalized_tolerance_);
  }
  void check_image(const std::string& name, const Image& got) {
    compare(name, got.rgb, {got.height, got.width, 3}, 0);
  }

  /// One line: the largest absolute deviation.
  template <class T>
  void compare(const std::string& name, const std::vector<T>& got,
               const std::vector<std::int64_t>& shape, double tolerance) {
    const auto want = golden_.expected.find(name);
    compared_.insert(name);
    if (want == golden_.expected.end()) {
      report_.add_failure(name, "the case expects no such tensor");
    } else if (want->second.shape != shape) {
      report_.add_failure(name, concat("got shape ", shape_text(shape), ", expected ",
                                       shape_text(want->second.shape)));
    } else {
      double worst = 0;
      for (std::size_t i = 0; i < got.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(got[i]) - want->second.values[i]));
      report_.add(name, worst, tolerance);
    }
  }

  const GoldenCase& golden_;
  GoldenReport& report_;
  Normalization normalization_{};
  double normalized_tolerance_ = 0;
  std::set<std::string> compared_;
};

}  // namespace detail

/// Adds one line per image (deviation in grey levels, tolerance 0) and per normalised tensor.
inline void run_image_case(const GoldenCase& golden, GoldenReport& report) {
  detail::ImageCase(golden, report).run();
}

}  // namespace albef
