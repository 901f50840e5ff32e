// Data sets by name: a path and the place of its pictures, several of them mixed.
#pragma once

#include <cmath>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/core/number.hpp"
#include "albef/data/annotations.hpp"
#include "albef/data/captions.hpp"
#include "albef/data/image_store.hpp"
#include "albef/data/loader.hpp"
#include "albef/data/sources.hpp"
#include "albef/data/webdataset.hpp"

namespace albef {

/// How annotations are read whose pictures are in a folder or in WebDataset shards; empty: in the
/// folder of each file.
inline AnnotationOptions annotation_options(const std::string& image_root) {
  AnnotationOptions options;
  if (!image_root.empty()) options.images = open_images(image_root);
  return options;
}

/// Opens one data set: ALBEF annotations if the name says so (see is_annotation_file), else
/// WebDataset shards.
inline SourcePtr open_source(const std::string& path, const std::string& image_root = "") {
  if (is_annotation_file(path))
    return std::make_shared<JsonAnnotations>(path, annotation_options(image_root));
  return std::make_shared<WebDataset>(path);
}

namespace detail {

/// Whether a name as it is stands for a file, a folder or shards that are there.
inline bool names_files(const std::string& text) {
  const auto exists = [](const std::string& path) {
    std::error_code none;
    return std::filesystem::exists(path, none);
  };
  if (exists(text)) return true;
  try {
    std::vector<std::string> first;
    expand_braces(text, 1, first);
    return exists(expand_shards(first.front()).front());
  } catch (const Error&) { return false; }
}

/// Splits `PATH=WEIGHT`; the weight is 1 where none is given, and where the whole name is that of
/// files. Throws Error for a weight that is not above 0.
inline std::pair<std::string, double> split_weight(const std::string& text) {
  const auto at = text.rfind('=');
  if (at == std::string::npos || names_files(text)) return {text, 1.0};
  const std::string given = text.substr(at + 1);
  auto weight = to_whole<double>(given);
  if (!weight) weight = to_number(given);  // beyond the range of double
  if (!weight) return {text, 1.0};
  require(*weight > 0 && std::isfinite(*weight), "data set '", text, "': the weight is ", given,
          ", expected a positive number");
  return {text.substr(0, at), *weight};
}

}  // namespace detail

/// Opens several data sets as one source, each by open(path). A name is `PATH` or `PATH=WEIGHT`:
/// how often a record of it is seen, relative to one of weight 1, while an epoch keeps its length.
template <class Open>
SourcePtr open_mixed(const std::vector<std::string>& names, Open&& open) {
  require(!names.empty(), "no data set given");
  std::vector<WeightedSource> parts;
  for (const auto& name : names) {
    const auto [path, weight] = detail::split_weight(name);
    SourcePtr source = open(path);
    parts.push_back({source, weight * static_cast<double>(source->size())});
  }
  if (parts.size() == 1) return parts.front().source;
  return std::make_shared<Mixture>(std::move(parts));
}
/// The same of data sets with captions, see open_source().
inline SourcePtr open_data(const std::vector<std::string>& names,
                           const std::string& image_root = "") {
  return open_mixed(names, [&](const std::string& path) { return open_source(path, image_root); });
}

/// A data set and what it is called in results.
struct NamedPath {
  std::string name, path;
};

/// Splits `NAME=PATH` each; one without a name, or whose whole name is that of files, is called as
/// its file is up to the extension. Error if two have the same name.
inline std::vector<NamedPath> named_paths(std::span<const std::string> arguments) {
  namespace fs = std::filesystem;
  std::vector<NamedPath> out;
  for (const std::string& argument : arguments) {
    const auto at = argument.find('=');
    if (at == std::string::npos || detail::names_files(argument))
      out.push_back({fs::path(argument).stem().string(), argument});
    else
      out.push_back({argument.substr(0, at), argument.substr(at + 1)});
    for (std::size_t i = 0; i + 1 < out.size(); ++i)
      require(out[i].name != out.back().name, "two data sets are called '", out.back().name, "': '",
              out[i].path, "' and '", out.back().path, "'; name them: NAME=PATH");
  }
  return out;
}

/// Picture files as a source; each is called by its path.
inline MemorySource picture_files(std::span<const std::string> paths) {
  MemorySource source;
  for (const std::string& path : paths) {
    const std::string bytes = read_file(path, detail::Openable::regular_files);
    source.add({.key = path}, {bytes.begin(), bytes.end()});
  }
  return source;
}

/// The cleaned captions of a source, without those a loader will report; see clean_caption().
inline std::vector<std::string> clean_captions(const Source& source, int max_words = 30) {
  std::vector<std::string> captions;
  for (std::size_t i = 0; i < source.size(); ++i)
    for (const auto& caption : source.record(i).captions) try {
        captions.push_back(max_words == 0 ? clean_caption(caption, 0)
                                          : pre_caption(caption, max_words));
      } catch (const Error&) {}
  return captions;
}

}  // namespace albef
