// Labelled data: pictures, texts or both with a class each, from a folder per class, shards, JSON
// annotations or tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/bad_records.hpp"
#include "albef/data/image_store.hpp"
#include "albef/data/record.hpp"
#include "albef/data/unpack.hpp"
#include "albef/data/warnings.hpp"

namespace albef {

struct LabelledOptions {
  /// The names of the classes in order, e.g. those of the training set. Empty: the labels that the
  /// records have, sorted, as numbers if all are.
  std::vector<std::string> classes{};
  std::string field = "label";  ///< of JSON objects and tables, where the label is
  std::string image_root{};     ///< pictures of JSON files and tables; empty: the folder of each
  UnpackLimits unpack{};        ///< of packed files
  Warn warn = print_warning;
};

/// A data set whose records have classes. It is a Source like any other: captions are there where
/// the set has texts, pictures where it has pictures (Record::key of a text alone is empty).
///
/// A record without a label, with several, or with one that is none of the given classes has
/// Record::error set, and a label of -1.
class LabelledSource : public Source {
 public:
  /// The records of a source by their values of options.field or, without it, of "cls". Where
  /// classes are given and no name of theirs is a number, a number stands for the class of that
  /// place.
  /// Throws Error if no record can be used.
  LabelledSource(SourcePtr source, const LabelledOptions& options = {});

  std::size_t size() const override { return source_->size(); }
  std::size_t epoch_size() const override { return source_->epoch_size(); }
  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override {
    return source_->epoch_order(seed, epoch);
  }
  const Record& record(std::size_t index) const override;
  bool same_picture(std::size_t a, std::size_t b) const override {
    return source_->same_picture(a, b);
  }
  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override;
  std::string describe(std::size_t index) const override { return source_->describe(index); }

  /// The class of a record, -1 if it cannot be used.
  std::int32_t label(std::size_t index) const { return labels_.at(index); }
  /// (size())
  std::span<const std::int32_t> labels() const { return labels_; }
  /// The names of the classes 0, 1, ...
  const std::vector<std::string>& classes() const { return classes_; }

  /// The records that have no error, in order. Those that have enter `bad`; Error if they are too
  /// many.
  std::vector<std::uint32_t> usable(BadRecords& bad) const;

 private:
  void label_records(const std::string& field, const std::vector<std::string>& labels);

  SourcePtr source_;
  std::vector<std::string> classes_;
  std::vector<std::int32_t> labels_;
  std::unordered_map<std::uint32_t, Record> unusable_;  // what takes the source's record's place
};

using LabelledPtr = std::shared_ptr<const LabelledSource>;

/// Opens a labelled data set by its place:
///   * a folder of a folder per class, called as the class, with pictures at any depth
///     (torchvision's ImageFolder); hidden files are not looked at;
///   * .json or .jsonl, objects with `label` (options.field: a string or whole number) and `image`,
///     a text (`caption`, `text` or `sentence`), or both;
///   * .csv or .tsv: a first line that names columns like these, or two columns without names, the
///     picture and its label;
///   * WebDataset shards of pictures with .cls entries, or .json entries with options.field.
/// Records that cannot be used have Record::error set. Throws Error naming the place where there is
/// none that can.
LabelledPtr open_labelled(const std::string& place, const LabelledOptions& options = {});
/// Several places as one set.
LabelledPtr open_labelled(const std::vector<std::string>& places,
                          const LabelledOptions& options = {});

/// The names of classes, one a line. Error for a file without names, or that has one twice.
std::vector<std::string> read_class_names(const std::string& path);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include "albef/core/file.hpp"
#include "albef/data/json_entries.hpp"
#include "albef/data/json_record.hpp"
#include "albef/data/json_records.hpp"
#include "albef/data/named_pictures.hpp"
#include "albef/data/sources.hpp"
#include "albef/data/table.hpp"
#include "albef/data/webdataset.hpp"

namespace albef::detail {

ALBEF_DATA_INLINE SourcePtr open_class_folders(const std::string& place,
                                               const LabelledOptions& options) {
  namespace fs = std::filesystem;
  auto out = std::make_shared<NamedPictures>();
  out->place = place;
  out->images = std::make_shared<ImageFolder>(place);
  std::size_t outside = 0;
  std::vector<std::string> empty;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(place)) {
      if (!entry.is_directory()) {
        outside += is_picture_file(entry.path());
        continue;
      }
      if (is_hidden(entry.path())) continue;
      const std::string label = entry.path().filename().string();
      const std::size_t before = out->records.size();
      for (std::string& name : pictures_below(entry.path(), place))
        out->records.push_back({.key = std::move(name), .fields = {{"cls", {label}}}});
      if (out->records.size() == before) empty.push_back(label);
    }
  } catch (const fs::filesystem_error& error) {
    fail("cannot read the folder '", place, "': ", error.code().message());
  }
  require(!out->records.empty(), "the folder '", place,
          "' has no folder with pictures: expected one for each class");
  std::sort(out->records.begin(), out->records.end(),
            [](const Record& a, const Record& b) { return a.key < b.key; });
  for (std::size_t i = 0; i < out->records.size(); ++i)
    out->records[i].image_id = static_cast<std::int64_t>(i);
  const auto warn = [&](const std::string& sentence) {
    if (options.warn) options.warn(concat("the folder '", place, "': ", sentence));
  };
  if (outside > 0) warn(concat(outside, " pictures are in no folder of a class"));
  if (!empty.empty())
    warn(concat("'", *std::min_element(empty.begin(), empty.end()), "'",
                empty.size() > 1 ? concat(" and ", empty.size() - 1, " more folders have")
                                 : std::string(" has"),
                " no pictures"));
  return out;
}

/// What the columns of a table are.
struct TableColumns {
  std::vector<std::string> names{};
  std::optional<std::size_t> image{}, text{};
};

ALBEF_DATA_INLINE TableColumns table_columns(const std::string& path, const TableRow& first,
                                             const std::string& field, bool& named) {
  TableColumns out{first.fields};
  const auto find = [&](std::string_view name) -> std::optional<std::size_t> {
    const auto at = std::find(out.names.begin(), out.names.end(), name);
    if (at == out.names.end()) return {};
    return static_cast<std::size_t>(at - out.names.begin());
  };
  for (const char* const name : {"image", "path"})
    if (!out.image) out.image = find(name);
  for (const char* const name : text_fields)
    if (!out.text) out.text = find(name);
  const bool labels = find(field).has_value();
  named = labels || out.image.has_value();
  if (named) {
    std::string list;
    for (const std::string& name : out.names) list += (list.empty() ? "" : ", ") + name;
    require(labels, "table '", path, "': no column '", field, "' among ", list);
    require(out.image || out.text, "table '", path, "': no column 'image' or 'text' among ", list);
    return out;
  }
  require(first.fields.size() == 2, "table '", path, "': its first line has ", first.fields.size(),
          " fields, expected the names of the columns, or a picture and its label");
  return {{"image", field}, 0, {}};
}

ALBEF_DATA_INLINE SourcePtr open_table(const std::string& path, const LabelledOptions& options) {
  JsonText file = read_json_text(path, options.unpack);
  const bool broken = mark_broken_utf8(file.text);
  auto out = std::make_shared<NamedPictures>();
  out->place = path;
  out->images = options.image_root.empty()
                    ? std::make_shared<const ImageFolder>(path.substr(0, path.rfind('/') + 1))
                    : open_images(options.image_root);
  std::unordered_map<std::string, std::int64_t> ids;
  std::optional<TableColumns> columns;
  const auto add = [&](std::size_t line, Record record) {
    out->records.push_back(std::move(record));
    out->lines.push_back(line);
  };
  const auto take = [&](TableRow& row) {
    if (!columns) {
      bool named = false;
      columns = table_columns(path, row, options.field, named);
      if (named) return;
    }
    Record record;
    const std::size_t count = row.fields.size();
    if (columns->image && *columns->image < count) record.key = row.fields[*columns->image];
    if (count != columns->names.size())
      record.error = concat("there are ", count, " fields, expected ", columns->names.size());
    else if (columns->image && record.key.empty() && !columns->text)
      record.error = "the name of the picture is empty";
    for (const std::string& text : row.fields)
      if (broken && record.error.empty() && text.find(broken_byte) != text.npos)
        record.error = "a field is not UTF-8";
    if (!record.error.empty()) return add(row.line, std::move(record));
    for (std::size_t i = 0; i < count; ++i) {
      if (columns->text == i && !row.fields[i].empty()) record.captions.push_back(row.fields[i]);
      if (columns->image != i && !row.fields[i].empty())
        record.fields.push_back({columns->names[i], {row.fields[i]}});
    }
    const auto next = static_cast<std::int64_t>(ids.size());
    const std::string id =
        record.key.empty() ? "text " + std::to_string(next) : "path " + record.key;
    record.image_id = ids.try_emplace(id, next).first->second;
    add(row.line, std::move(record));
  };
  std::string problem = std::move(file.problem);
  try {
    for_each_row(file.text, without_packer(path).ends_with(".tsv"), take);
  } catch (const Error& error) {
    if (!columns) throw;
    problem = error.what();
  }
  require(!out->records.empty(), "table '", path, "' holds no records");
  if (!problem.empty()) {
    if (options.warn) options.warn(concat("table '", path, "': ", problem));
    add(out->lines.back() + 1, {.error = problem});
  }
  return out;
}

ALBEF_DATA_INLINE SourcePtr open_unlabelled(const std::string& place,
                                            const LabelledOptions& options) {
  std::error_code none;
  if (std::filesystem::is_directory(place, none)) return open_class_folders(place, options);
  if (is_table_file(place)) return open_table(place, options);
  if (is_annotation_file(place)) {
    AnnotationOptions annotations{.unpack = options.unpack, .warn = options.warn};
    if (!options.image_root.empty()) annotations.images = open_images(options.image_root);
    return std::make_shared<JsonPictures>(place, annotations);
  }
  return std::make_shared<WebDataset>(
      place, WebDatasetOptions{.labels = true, .unpack = options.unpack, .warn = options.warn});
}

/// Without the white space around it.
ALBEF_DATA_INLINE std::string trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const auto first = text.find_first_not_of(space);
  if (first == text.npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(space) + 1 - first));
}

/// The number of a label that is one as programs write it, of at most nine digits.
ALBEF_DATA_INLINE std::optional<std::int32_t> label_number(std::string_view label) {
  std::int32_t value = 0;
  const auto [end, code] = std::from_chars(label.data(), label.data() + label.size(), value);
  if (code != std::errc{} || end != label.data() + label.size() || value < 0) return {};
  return value;
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE LabelledSource::LabelledSource(SourcePtr source, const LabelledOptions& options)
    : source_(std::move(source)), classes_(options.classes) {
  std::vector<std::string> labels(source_->size());  // empty: none
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const Record& r = source_->record(i);
    if (!r.error.empty()) continue;
    const auto* values = &r.values(options.field);
    if (values->empty()) values = &r.values("cls");
    if (values->size() == 1) labels[i] = detail::trimmed(values->front());
  }
  if (classes_.empty()) {
    classes_ = labels;
    const bool numbers = std::all_of(labels.begin(), labels.end(), [](const std::string& label) {
      return label.empty() || detail::label_number(label);
    });
    std::sort(classes_.begin(), classes_.end(), [&](const auto& a, const auto& b) {
      const auto x = detail::label_number(a), y = detail::label_number(b);
      return numbers && x != y ? x < y : a < b;
    });
    classes_.erase(std::unique(classes_.begin(), classes_.end()), classes_.end());
    if (!classes_.empty() && classes_.front().empty()) classes_.erase(classes_.begin());
  }
  label_records(options.field, labels);
}

ALBEF_DATA_INLINE void LabelledSource::label_records(const std::string& field,
                                                     const std::vector<std::string>& labels) {
  std::unordered_map<std::string_view, std::int32_t> numbers;
  for (std::size_t c = 0; c < classes_.size(); ++c)
    require(numbers.try_emplace(classes_[c], static_cast<std::int32_t>(c)).second,
            "two classes are called '", classes_[c], "'");
  const bool by_number = std::none_of(classes_.begin(), classes_.end(), detail::label_number);
  labels_.assign(labels.size(), -1);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const Record& r = source_->record(i);
    if (!r.error.empty()) continue;
    const auto known = numbers.find(labels[i]);
    const auto number = by_number ? detail::label_number(labels[i]) : std::nullopt;
    if (known != numbers.end())
      labels_[i] = known->second;
    else if (number && *number < static_cast<std::int32_t>(classes_.size()))
      labels_[i] = *number;
    if (labels_[i] >= 0) continue;
    const std::size_t values = r.values(field).size();
    unusable_[static_cast<std::uint32_t>(i)] = {
        .key = r.key,
        .error = !labels[i].empty() ? concat("the label '", labels[i], "' is none of the ",
                                             classes_.size(), " classes")
                 : values > 1 ? concat("field '", field, "' has ", values, " values, expected one")
                              : concat("there is no label (field '", field, "')")};
  }
  if (std::any_of(labels_.begin(), labels_.end(), [](std::int32_t label) { return label >= 0; }))
    return;
  require(!labels_.empty(), "a labelled set has no records");
  fail(describe(0), ": ", record(0).error, " (no record of the set can be used)");
}

ALBEF_DATA_INLINE const Record& LabelledSource::record(std::size_t index) const {
  const auto bad = unusable_.find(static_cast<std::uint32_t>(index));
  return bad == unusable_.end() ? source_->record(index) : bad->second;
}

ALBEF_DATA_INLINE void LabelledSource::read_image(std::size_t index,
                                                  std::vector<std::uint8_t>& bytes) const {
  source_->read_image(index, bytes);
}

ALBEF_DATA_INLINE std::vector<std::uint32_t> LabelledSource::usable(BadRecords& bad) const {
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < size(); ++i) {
    if (const Record& r = record(i); !r.error.empty())
      bad.add(i, describe(i) + ": " + r.error);
    else
      out.push_back(static_cast<std::uint32_t>(i));
  }
  const auto records = static_cast<std::int64_t>(size());
  bad.check(records, records);
  return out;
}

ALBEF_DATA_INLINE LabelledPtr open_labelled(const std::string& place,
                                            const LabelledOptions& options) {
  return open_labelled(std::vector<std::string>{place}, options);
}

ALBEF_DATA_INLINE LabelledPtr open_labelled(const std::vector<std::string>& places,
                                            const LabelledOptions& options) {
  require(!places.empty(), "no labelled data set given");
  std::vector<WeightedSource> parts;
  for (const std::string& place : places) {
    SourcePtr source = detail::open_unlabelled(place, options);
    const auto size = static_cast<double>(source->size());
    parts.push_back({std::move(source), size});
  }
  SourcePtr source =
      parts.size() == 1 ? parts.front().source : std::make_shared<Mixture>(std::move(parts));
  return std::make_shared<LabelledSource>(std::move(source), options);
}

ALBEF_DATA_INLINE std::vector<std::string> read_class_names(const std::string& path) {
  const std::string text = read_file(path, detail::Openable::regular_files);
  std::vector<std::string> names;
  at_place([&] { return "class names '" + path + "'"; },
           [&] {
             for (const std::string& line : detail::text_lines(detail::without_mark(text)))
               names.push_back(detail::trimmed(line));
             require(!names.empty(), "there are none");
             auto sorted = names;
             std::sort(sorted.begin(), sorted.end());
             const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
             if (twice != sorted.end()) fail("'", *twice, "' stands twice");
           });
  return names;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
