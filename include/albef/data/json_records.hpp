// Annotation files of every task: JSON lists of objects that name pictures, each object read into a
// record of the task's type.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/data/image_store.hpp"
#include "albef/data/json_record.hpp"

namespace albef {

struct AnnotationOptions {
  std::string
      image_root{};        ///< folder of relative image paths; empty: the folder of each JSON file
  bool strict = false;     ///< a record with a missing or wrong field throws at opening
  ImageStorePtr images{};  ///< where pictures are, instead of a folder
  std::string caption_field = "caption";  ///< JsonAnnotations: the field with the text
};

namespace detail {

/// The text of a JSON file, which may be compressed with gzip.
inline std::string read_json_text(const std::string& path) {
  std::string bytes = read_file(path);
  if (!bytes.starts_with("\x1f\x8b")) return bytes;
  const std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(),
                                                                      &archive_read_free);
  require(reader != nullptr, "cannot read '", path, "': out of memory");
  const auto check = [&](la_ssize_t status) {
    if (status < 0)
      fail("cannot unpack '", path, "': ",
           archive_error_string(reader.get()) ? archive_error_string(reader.get()) : "damaged");
  };
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_format_raw(reader.get());
  check(archive_read_open_memory(reader.get(), bytes.data(), bytes.size()));
  archive_entry* entry = nullptr;
  check(archive_read_next_header(reader.get(), &entry));
  std::string text;
  std::vector<char> block(1 << 16);
  for (;;) {
    const la_ssize_t got = archive_read_data(reader.get(), block.data(), block.size());
    check(got);
    if (got == 0) return text;
    text.append(block.data(), static_cast<std::size_t>(got));
  }
}

/// Parses a JSON text, calling `take(value)` for each entry of the list at its top while the parser
/// runs and dropping it from its tree, so that a file of millions of records never stands in memory
/// as a tree. Throws Error with file, line and column.
template <class Take>
void for_each_json(const std::string& text, const std::string& path, Take&& take) {
  const auto on_event = [&](int depth, Json::parse_event_t event, Json& value) {
    using Kind = Json::parse_event_t;
    if (depth == 0 && (event == Kind::object_start || event == Kind::value))
      fail("cannot read annotations '", path, "': expected a list of records at the top");
    const bool complete =
        event == Kind::object_end || event == Kind::array_end || event == Kind::value;
    if (depth != 1 || !complete) return true;
    take(value);
    return false;
  };
  try {
    const auto rest = Json::parse(text, on_event);  // an empty list
  } catch (const Json::exception& error) {
    fail("cannot read annotations '", path, "': ", json_problem(error));
  }
}

}  // namespace detail

/// The records of one or several JSON files (or .json.gz), each a list of objects. A record type R
/// has the members `key`, the name of its picture or another name for messages, and `error`.
///
/// Malformed JSON throws Error with file, line and column. A record that lacks a field or has one
/// of the wrong type is kept with `error` set and nothing but `key`, unless no record of the file
/// is usable or AnnotationOptions::strict is set.
template <class R>
class JsonRecords {
 public:
  /// `parse(fields, record)` fills a record from one object, `record.key` first; it throws Error
  /// naming the field that is wrong.
  template <class Parse>
  JsonRecords(const std::vector<std::string>& files, const AnnotationOptions& options,
              Parse&& parse) {
    require(!files.empty(), "annotations: no JSON file given");
    for (const std::string& file : files) open(file, options, parse);
  }

  std::size_t size() const { return records_.size(); }
  const R& operator[](std::size_t index) const { return records_.at(index); }

  /// The record's place for messages, e.g. "train.json: record 3 (a.png)"; counted from 0.
  std::string describe(std::size_t index) const {
    const File& file = file_of(index);
    const std::string& key = records_.at(index).key;
    const std::string place = concat(file.path, ": record ", index - file.first);
    return key.empty() ? place : concat(place, " (", key, ")");
  }
  /// Replaces `bytes` by the picture of that name, as record `index` means it. Throws Error naming
  /// file and record.
  void read_image(std::size_t index, const std::string& name,
                  std::vector<std::uint8_t>& bytes) const {
    try {
      file_of(index).images->read(name, bytes);
    } catch (const Error& error) { fail(describe(index), ": ", error.what()); }
  }

 private:
  struct File {
    std::string path;
    ImageStorePtr images;
    std::size_t first;  // number of the file's first record
  };

  template <class Parse>
  void open(const std::string& path, const AnnotationOptions& options, Parse& parse) {
    ImageStorePtr images = options.images;
    if (!images)
      images = std::make_shared<ImageFolder>(
          options.image_root.empty() ? path.substr(0, path.rfind('/') + 1) : options.image_root);
    files_.push_back({path, std::move(images), records_.size()});

    std::string text = detail::read_json_text(path);
    const bool broken = detail::mark_broken_utf8(text);
    detail::for_each_json(text, path, [&](const detail::Json& value) {
      R record;
      try {
        parse(detail::JsonFields(value, broken), record);
      } catch (const Error& error) {
        R bad;
        bad.key = std::move(record.key);
        bad.error = error.what();
        record = std::move(bad);
      }
      records_.push_back(std::move(record));
    });

    const auto first = records_.begin() + static_cast<std::ptrdiff_t>(files_.back().first);
    const auto usable = [](const R& record) { return record.error.empty(); };
    require(first != records_.end(), "annotations '", path, "' hold no records");
    const bool none_usable = std::none_of(first, records_.end(), usable);
    const auto bad = std::find_if_not(first, records_.end(), usable);
    if (bad != records_.end() && (options.strict || none_usable))
      fail(describe(static_cast<std::size_t>(bad - records_.begin())), ": ", bad->error,
           none_usable ? " (no record of the file can be used)" : "");
  }

  const File& file_of(std::size_t index) const {
    const auto after = std::upper_bound(files_.begin(), files_.end(), index,
                                        [](std::size_t i, const File& f) { return i < f.first; });
    return *(after - 1);
  }

  std::vector<File> files_;
  std::vector<R> records_;
};

}  // namespace albef
