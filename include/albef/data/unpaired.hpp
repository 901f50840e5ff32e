// Data sets of pictures alone and of texts alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/record.hpp"

namespace albef {

/// What every record of a data set must have.
enum class RecordPart { pictures, texts };

/// Opens pictures by their place; captions that there are play no part:
///   * a folder with pictures at any depth, in the order of their names; hidden files are not
///     looked at;
///   * .txt, the names of picture files (.jpg, .png, ...), one a line, relative to `image_root` (a
///   folder or shards;
///     empty: the folder of the list);
///   * .json or .jsonl, objects with `image`, whose pictures are found in the same way;
///   * WebDataset shards, of which whatever has a picture is a record.
/// Records that cannot be used have Record::error set. Throws Error naming the place where none has
/// a picture.
SourcePtr open_pictures(const std::string& place, const std::string& image_root = "");

/// Opens texts by their place; pictures that there are play no part:
///   * .txt, one a line; lines without letters or digits tell nothing;
///   * .json or .jsonl, objects with `caption`, `text` or `sentence`;
///   * WebDataset shards, of which whatever has a .txt or a .json with `caption` is a record.
/// Files may be packed. Records that cannot be used have Record::error set. Throws Error naming the
/// place where none has a text.
SourcePtr open_texts(const std::string& place);

/// A source whose records without a picture, or text, count as unusable.
class PartSource : public Source {
 public:
  /// Throws Error that begins with `place` where no record can be used.
  PartSource(SourcePtr source, RecordPart part, const std::string& place);

  std::size_t size() const override { return source_->size(); }
  std::size_t epoch_size() const override { return source_->epoch_size(); }
  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override {
    return source_->epoch_order(seed, epoch);
  }
  const Record& record(std::size_t index) const override;
  bool same_picture(std::size_t a, std::size_t b) const override {
    return source_->same_picture(a, b);
  }
  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override {
    source_->read_image(index, bytes);
  }
  std::string describe(std::size_t index) const override { return source_->describe(index); }

 private:
  SourcePtr source_;
  std::unordered_map<std::size_t, Record> unusable_;  // what takes the source's record's place
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>
#include "albef/data/captions.hpp"
#include "albef/data/json_entries.hpp"
#include "albef/data/named_pictures.hpp"
#include "albef/data/warnings.hpp"
#include "albef/data/webdataset.hpp"

namespace albef::detail {

/// The lines of a text file that say something, each a record that fill(record, line) completes.
/// What of the file cannot be read is a bad record.
template <class Fill>
std::shared_ptr<NamedPictures> open_lines(const std::string& path, Fill&& fill) {
  const JsonText file = read_json_text(path);
  auto out = std::make_shared<NamedPictures>();
  out->place = path;
  const std::string_view text = file.text;
  std::size_t number = 0;
  const auto add = [&](Record record) {
    record.image_id = static_cast<std::int64_t>(out->records.size());
    out->records.push_back(std::move(record));
    out->lines.push_back(number);
  };
  std::string line;
  for (std::size_t at = 0; at < text.size(); at += line.size() + 1) {
    line = text.substr(at, text.find('\n', at) - at);
    ++number;
    std::string clean = line;
    if (clean.ends_with('\r')) clean.pop_back();
    const bool broken = mark_broken_utf8(clean);
    Record record;
    if (broken)
      record.error = "the line is not UTF-8";
    else if (!says_something(clean))
      continue;
    else
      fill(record, std::move(clean));
    add(std::move(record));
  }
  if (!file.problem.empty()) {
    print_warning(concat("'", path, "': ", file.problem, "; ", out->records.size(),
                         " lines before can be used"));
    ++number;
    add({.error = file.problem});
  }
  return out;
}

inline bool is_text_file(std::string_view path) { return without_packer(path).ends_with(".txt"); }

inline ImageStorePtr pictures_of(const std::string& path, const std::string& image_root) {
  if (!image_root.empty()) return open_images(image_root);
  return std::make_shared<ImageFolder>(path.substr(0, path.rfind('/') + 1));
}

ALBEF_DATA_INLINE SourcePtr open_picture_folder(const std::string& place) {
  auto out = std::make_shared<NamedPictures>();
  out->place = place;
  out->images = std::make_shared<ImageFolder>(place);
  try {
    for (std::string& name : pictures_below(place, place))
      out->records.push_back(
          {.key = std::move(name), .image_id = static_cast<std::int64_t>(out->records.size())});
  } catch (const std::filesystem::filesystem_error& error) {
    fail("cannot read the folder '", place, "': ", error.code().message());
  }
  return out;
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE SourcePtr open_pictures(const std::string& place, const std::string& image_root) {
  const auto open = [&]() -> SourcePtr {
    std::error_code none;
    if (std::filesystem::is_directory(place, none)) return detail::open_picture_folder(place);
    if (detail::is_text_file(place)) {
      const auto list = detail::open_lines(place, [](Record& record, std::string name) {
        record.key = std::move(name);
        if (!detail::is_picture_file(record.key))
          record.error = "that is not the name of a picture (.jpg, .png, ...)";
      });
      list->images = detail::pictures_of(place, image_root);
      return list;
    }
    if (is_annotation_file(place))
      return std::make_shared<detail::JsonPictures>(
          place, AnnotationOptions{.images = detail::pictures_of(place, image_root)});
    return std::make_shared<WebDataset>(place, WebDatasetOptions{.pictures_alone = true});
  };
  return std::make_shared<PartSource>(open(), RecordPart::pictures, place);
}

ALBEF_DATA_INLINE SourcePtr open_texts(const std::string& place) {
  const auto open = [&]() -> SourcePtr {
    if (detail::is_text_file(place))
      return detail::open_lines(place, [](Record& record, std::string text) {
        record.captions.push_back(std::move(text));
      });
    if (is_annotation_file(place))
      return std::make_shared<detail::JsonPictures>(place, AnnotationOptions{});
    return std::make_shared<WebDataset>(place, WebDatasetOptions{.texts_alone = true});
  };
  return std::make_shared<PartSource>(open(), RecordPart::texts, place);
}

ALBEF_DATA_INLINE PartSource::PartSource(SourcePtr source, RecordPart part,
                                         const std::string& place)
    : source_(std::move(source)) {
  const char* const what = part == RecordPart::pictures ? "picture" : "text";
  std::size_t bad = 0;
  std::string first;
  for (std::size_t i = 0; i < source_->size(); ++i) {
    const Record& r = source_->record(i);
    const bool there = part == RecordPart::pictures ? !r.key.empty() : !r.captions.empty();
    if (r.error.empty() && !there)
      unusable_[i] = {.key = r.key, .error = concat("there is no ", what)};
    const std::string& error = record(i).error;
    if (!error.empty() && bad++ == 0) first = concat(source_->describe(i), ": ", error);
  }
  if (bad == source_->size())
    fail("'", place, "' holds no ", what, "s", first.empty() ? "" : concat("; ", first));
}

ALBEF_DATA_INLINE const Record& PartSource::record(std::size_t index) const {
  const auto found = unusable_.find(index);
  return found == unusable_.end() ? source_->record(index) : found->second;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
