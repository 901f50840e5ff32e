// Annotation files of every task: JSON lists of objects that name pictures, each object read into a
// record of the task's type.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/data/image_store.hpp"
#include "albef/data/json_entries.hpp"
#include "albef/data/json_record.hpp"
#include "albef/data/unpack.hpp"
#include "albef/data/warnings.hpp"

namespace albef {

struct AnnotationOptions {
  std::string
      image_root{};        ///< folder of relative image paths; empty: the folder of each JSON file
  bool strict = false;     ///< a record with a missing or wrong field throws at opening
  ImageStorePtr images{};  ///< where pictures are, instead of a folder
  std::string caption_field = "caption";  ///< JsonAnnotations: the field with the text
  UnpackLimits unpack{};                  ///< of packed files
  Warn warn = print_warning;              ///< files that are cut off or empty
};

/// The records of one or several JSON files, each a list of objects or JSON Lines, plain or packed
/// as unpack() knows. A record type R has the members `key`, the name of its picture or another
/// name for messages, and `error`.
///
/// NaN, Infinity and numbers beyond double are read as null, half a surrogate pair as U+FFFD. A
/// record that is no JSON, lacks a field or has one of the wrong type is kept with `error` set and
/// nothing but `key`, and so is the place where a file is cut off; the records before it are used.
/// Throws Error naming the record when no record can be used or AnnotationOptions::strict is set,
/// and naming the file for one that has no list.
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
    require(!records_.empty(), "annotations '", files.front(), "' hold no records");
    if (std::none_of(records_.begin(), records_.end(), usable))
      fail_with(0, files.size() == 1 ? " (no record of the file can be used)"
                                     : " (no record of the files can be used)");
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
    at_place([&] { return describe(index); }, [&] { file_of(index).images->read(name, bytes); });
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

    const std::size_t first = records_.size();
    const auto add_bad = [&](const std::string& key, const std::string& error) {
      R& bad = records_.emplace_back();
      bad.key = key;
      bad.error = error;
      if (options.strict) fail_with(records_.size() - 1, "");
    };
    const auto parse_record = [&](const detail::Json& value, bool broken) {
      R record;
      try {
        parse(detail::JsonFields(value, broken), record);
      } catch (const Error& error) { return add_bad(record.key, error.what()); }
      records_.push_back(std::move(record));
    };
    const auto warn = [&](const std::string& sentence) {
      if (options.warn) options.warn(concat("annotations '", path, "': ", sentence));
    };
    const auto cut =
        detail::for_each_entry(detail::read_json_text(path, options.unpack), parse_record,
                               [&](const std::string& sentence) { add_bad({}, sentence); });
    if (!cut.empty())
      warn(concat(cut, "; ",
                  std::count_if(records_.begin() + static_cast<std::ptrdiff_t>(first),
                                records_.end(), usable),
                  " of the records before can be used"));
    if (records_.size() == first) warn("there are no records");
  }

  static bool usable(const R& record) { return record.error.empty(); }

  [[noreturn]] void fail_with(std::size_t index, std::string_view remark) const {
    fail(describe(index), ": ", records_[index].error, remark);
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
