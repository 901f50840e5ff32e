// Data sets from what a user types: `--data PATH...` and `--image-root PLACE`.
#pragma once

#include <charconv>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "albef/data/annotations.hpp"
#include "albef/data/image_store.hpp"
#include "albef/data/sources.hpp"
#include "albef/data/webdataset.hpp"

namespace examples {

inline constexpr const char* data_help =
    "Pictures with captions: a .json file (list of {\"image\", \"caption\"}) or WebDataset tar "
    "shards, one file or a quoted pattern such as 'train-{000..012}.tar'";

inline constexpr const char* image_root_help =
    "where the pictures are that .json files name: a folder, or WebDataset shards; default: the "
    "folder of each file";

/// How annotations are read whose pictures are at a place that a user names (see image_root_help).
inline albef::AnnotationOptions annotation_options(const std::string& image_root) {
  albef::AnnotationOptions options;
  if (!image_root.empty()) options.images = albef::open_images(image_root);
  return options;
}

/// Opens one data set: ALBEF annotations if the name ends in .json or .json.gz, else WebDataset
/// shards.
inline albef::SourcePtr open_source(const std::string& path, const std::string& image_root = "") {
  if (path.ends_with(".json") || path.ends_with(".json.gz"))
    return std::make_shared<albef::JsonAnnotations>(path, annotation_options(image_root));
  return std::make_shared<albef::WebDataset>(path);
}

/// Splits `PATH=WEIGHT`; the weight is 1 where none is given. A path may contain '=' otherwise.
inline std::pair<std::string, double> split_weight(const std::string& text) {
  const auto at = text.rfind('=');
  double weight = 1;
  if (at == std::string::npos) return {text, weight};
  const char* const end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data() + at + 1, end, weight);
  if (code != std::errc{} || stop != end) return {text, 1.0};
  return {text.substr(0, at), weight};
}

/// Opens all data sets as one source. Each argument is `PATH` or `PATH=WEIGHT`: how often a record
/// of it is seen, relative to one of weight 1, while an epoch keeps its length.
inline albef::SourcePtr open_data(const std::vector<std::string>& arguments,
                                  const std::string& image_root = "") {
  albef::require(!arguments.empty(), "--data: no data set given");
  std::vector<albef::WeightedSource> parts;
  for (const auto& argument : arguments) {
    const auto [path, weight] = split_weight(argument);
    auto source = open_source(path, image_root);
    parts.push_back({source, weight * static_cast<double>(source->size())});
  }
  if (parts.size() == 1) return parts.front().source;
  return std::make_shared<albef::Mixture>(std::move(parts));
}

}  // namespace examples
