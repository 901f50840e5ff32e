// Data sets from what a user types: `--data PATH...` and `--image-root PLACE`.
#pragma once

#include <string>
#include <vector>

#include "albef/data/record.hpp"

namespace albef {
struct AnnotationOptions;
}

namespace examples {

inline constexpr const char* data_help =
    "Pictures with captions: a .json file (list of {\"image\", \"caption\"}) or WebDataset tar "
    "shards, one file or a quoted pattern such as 'train-{000..012}.tar'";

inline constexpr const char* image_root_help =
    "where the pictures are that .json files name: a folder, or WebDataset shards; default: the "
    "folder of each file";

/// How annotations are read whose pictures are at a place that a user names (see image_root_help).
albef::AnnotationOptions annotation_options(const std::string& image_root);

/// Opens one data set: ALBEF annotations if the name ends in .json or .json.gz, else WebDataset
/// shards.
albef::SourcePtr open_source(const std::string& path, const std::string& image_root = "");

/// Opens all data sets as one source. Each argument is `PATH` or `PATH=WEIGHT`: how often a record
/// of it is seen, relative to one of weight 1, while an epoch keeps its length.
albef::SourcePtr open_data(const std::vector<std::string>& arguments,
                           const std::string& image_root = "");

}  // namespace examples
