// Data sets in ALBEF's JSON annotation format: a list of {image, caption} objects, pictures as
// files.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/data/json_record.hpp"
#include "albef/data/read_bytes.hpp"
#include "albef/data/record.hpp"
#include "albef/io/file.hpp"

namespace albef {

struct AnnotationOptions {
  std::string
      image_root{};     ///< folder of relative image paths; empty: the folder of each JSON file
  bool strict = false;  ///< a record with a missing or wrong field throws at opening
};

/// One or several JSON files, each a list of objects with `image` (path), `caption` (string or list
/// of strings) and optionally `image_id` (integer or string): the pre-training and retrieval
/// formats of the official code (dataset/caption_dataset.py). Other fields are kept as they are.
/// Records share Record::image_id where `image_id` is the same or, without one, where the path is
/// the same.
///
/// Malformed JSON throws Error with file, line and column. A record that lacks a field or has one
/// of the wrong type is kept with Record::error set, unless no record is usable or `strict` is set.
class JsonAnnotations : public Source {
 public:
  explicit JsonAnnotations(const std::vector<std::string>& files,
                           const AnnotationOptions& options = {}) {
    require(!files.empty(), "annotations: no JSON file given");
    for (const std::string& file : files) open(file, options);
    ids_ = {};  // only needed while indexing
  }
  explicit JsonAnnotations(const std::string& file, const AnnotationOptions& options = {})
      : JsonAnnotations(std::vector<std::string>{file}, options) {}

  std::size_t size() const override { return records_.size(); }
  const Record& record(std::size_t index) const override { return records_.at(index); }

  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override {
    try {
      const std::string path = image_path(index);
      const auto file = detail::open_for_reading(path);
      detail::read_bytes(file, path, 0, file.size, bytes);
    } catch (const Error& error) { fail(describe(index), ": ", error.what()); }
  }

  std::string describe(std::size_t index) const override {
    const File& file = file_of(index);
    const std::string& key = record(index).key;
    const std::string place = concat(file.path, ": record ", index - file.first);
    return key.empty() ? place : concat(place, " (", key, ")");
  }

  /// Where a record's picture is expected.
  std::string image_path(std::size_t index) const {
    const std::string& key = record(index).key;
    return key.starts_with('/') ? key : file_of(index).root + key;
  }

 private:
  struct File {
    std::string path, root;  // the root ends in '/' or is empty
    std::size_t first;       // index of the file's first record
  };

  void open(const std::string& path, const AnnotationOptions& options) {
    std::string root = options.image_root;
    if (root.empty())
      root = path.substr(0, path.rfind('/') + 1);
    else if (root.back() != '/')
      root += '/';
    files_.push_back({path, root, records_.size()});

    std::string text = read_file(path);
    const bool broken = detail::mark_broken_utf8(text);
    // Records are taken while the parser runs and dropped from its tree, so that a file of millions
    // of records never stands in memory as a tree.
    const auto take = [&](int depth, detail::Json::parse_event_t event, detail::Json& value) {
      using Event = detail::Json::parse_event_t;
      if (depth == 0 && (event == Event::object_start || event == Event::value))
        fail("cannot read annotations '", path, "': expected a list of records at the top");
      const bool complete =
          event == Event::object_end || event == Event::array_end || event == Event::value;
      if (depth != 1 || !complete) return true;
      add(value, broken);
      return false;
    };
    try {
      const auto rest = detail::Json::parse(text, take);  // an empty list
    } catch (const detail::Json::exception& error) {
      fail("cannot read annotations '", path, "': ", detail::json_problem(error));
    }

    const auto first = records_.begin() + static_cast<std::ptrdiff_t>(files_.back().first);
    const auto usable = [](const Record& record) { return record.error.empty(); };
    require(first != records_.end(), "annotations '", path, "' hold no records");
    const bool none_usable = std::none_of(first, records_.end(), usable);
    const auto bad = std::find_if_not(first, records_.end(), usable);
    if (bad != records_.end() && (options.strict || none_usable))
      fail(describe(static_cast<std::size_t>(bad - records_.begin())), ": ", bad->error,
           none_usable ? " (no record of the file can be used)" : "");
  }

  void add(const detail::Json& value, bool broken) {
    Record record;
    try {
      const detail::JsonFields fields(value, broken);
      record.key = fields.text("image");
      record.captions = fields.texts("caption");
      const std::string id =
          fields.has("image_id") ? "id " + fields.id("image_id") : "path " + record.key;
      record.image_id = ids_.try_emplace(id, static_cast<std::int64_t>(ids_.size())).first->second;
      record.fields = fields.others({"image", "caption", "image_id"});
    } catch (const Error& error) {
      record = Record{.key = std::move(record.key), .error = error.what()};
    }
    records_.push_back(std::move(record));
  }

  const File& file_of(std::size_t index) const {
    const auto after = std::upper_bound(files_.begin(), files_.end(), index,
                                        [](std::size_t i, const File& f) { return i < f.first; });
    return *(after - 1);
  }

  std::vector<File> files_;
  std::vector<Record> records_;
  std::unordered_map<std::string, std::int64_t> ids_;
};

}  // namespace albef
