#include "common/open_data.hpp"

#include <charconv>
#include <memory>
#include <utility>

#include "albef/data/annotations.hpp"
#include "albef/data/image_store.hpp"
#include "albef/data/sources.hpp"
#include "albef/data/webdataset.hpp"

namespace examples {

albef::AnnotationOptions annotation_options(const std::string& image_root) {
  albef::AnnotationOptions options;
  if (!image_root.empty()) options.images = albef::open_images(image_root);
  return options;
}

albef::SourcePtr open_source(const std::string& path, const std::string& image_root) {
  if (path.ends_with(".json") || path.ends_with(".json.gz"))
    return std::make_shared<albef::JsonAnnotations>(path, annotation_options(image_root));
  return std::make_shared<albef::WebDataset>(path);
}

namespace {

/// Splits `PATH=WEIGHT`; the weight is 1 where none is given. A path may contain '=' otherwise.
std::pair<std::string, double> split_weight(const std::string& text) {
  const auto at = text.rfind('=');
  double weight = 1;
  if (at == std::string::npos) return {text, weight};
  const char* const end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data() + at + 1, end, weight);
  if (code != std::errc{} || stop != end) return {text, 1.0};
  return {text.substr(0, at), weight};
}

}  // namespace

albef::SourcePtr open_data(const std::vector<std::string>& arguments,
                           const std::string& image_root) {
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
