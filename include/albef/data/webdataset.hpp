// Data sets as WebDataset tar shards: files with the same name up to the first dot are one record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/record.hpp"
#include "albef/data/shard_file.hpp"
#include "albef/data/unpack.hpp"
#include "albef/data/warnings.hpp"
#include "albef/text/unicode.hpp"

namespace albef {

/// The shards a pattern names: braces are expanded (`{000..012}`, `{train,val}`), then `*`, `?` and
/// `[...]` are matched against existing files, in sorted order. The name of an existing file is
/// taken as it is, before and after the braces, and a name without wildcards is returned whether or
/// not it exists. Throws Error when a wildcard matches nothing, or the braces stand for more than
/// `most` names.
std::vector<std::string> expand_shards(const std::string& pattern, std::size_t most = 1'000'000);

struct WebDatasetOptions {
  bool pictures_alone = false;  ///< a picture without text is a record, too, one without captions
  bool texts_alone = false;     ///< a text without picture is a record, too; no picture is kept
  /// A .cls is read as the field "cls", and it or a .json without `caption` stands for a text.
  bool labels = false;
  /// Each line of a .txt that is not blank is a caption (Python's str.splitlines; so retrieval sets
  /// are published). false: a .txt is one caption, whatever lines it has.
  bool txt_lines = true;
  UnpackLimits unpack{};      ///< of packed shards
  Warn warn = print_warning;  ///< shards that are damaged or empty, names that are repeated
};

/// One or several shards: plain tar, or packed with gzip, bzip2, xz, zstd, lz4, lzip or compress. A
/// record has a picture (see is_picture_extension) and a text: .json, an object with `caption`
/// (string or list of strings) whose other fields are kept, or .txt, the captions themselves, also
/// where `caption` is missing or null. The files of a record stand next to each other. Records
/// share Record::image_id where `image_id` in their .json (integer or string) is the same, in
/// whatever shard; without it each record's picture is its own.
///
/// Shards are indexed once, when opened. The pictures of plain tars are then read from disk when
/// asked for; packed shards, which cannot be read out of order, are held in memory. See ShardFile
/// about shards that change meanwhile.
///
/// A record that lacks a part or has a damaged one becomes a record with Record::error set. So does
/// each place where a shard is damaged or cut off; what stands before and behind it is used. A
/// shard without any record, and each damaged one, is a warning. Where the same name stands twice
/// in a shard, each is a record of its own.
class WebDataset : public Source {
 public:
  /// Opens every shard of every pattern; see expand_shards. Throws Error for a shard that does not
  /// exist, and when no shard has a record.
  explicit WebDataset(const std::vector<std::string>& patterns,
                      const WebDatasetOptions& options = {});
  explicit WebDataset(const std::string& pattern, const WebDatasetOptions& options = {})
      : WebDataset(std::vector<std::string>{pattern}, options) {}

  std::size_t size() const override { return records_.size(); }
  const Record& record(std::size_t index) const override { return records_.at(index); }

  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override;

  std::string describe(std::size_t index) const override;
  /// The key is the name of a record, not of a picture.
  bool same_picture(std::size_t, std::size_t) const override { return true; }

  std::vector<std::string> shards() const;

 private:
  struct Shard {
    std::string path;
    std::shared_ptr<const detail::ShardFile> file;
    std::size_t first;  // index of the shard's first record
  };
  struct Group {  // the files of the record being read
    bool open = false, has_picture = false, has_json = false, has_text = false;
    bool has_label = false;
    bool repeated = false;       // its files have names that were there before
    bool behind_damage = false;  // what it lacks may be what is damaged
    std::string key, json, text, label, picture_extension;
    std::string other;  // a file that is not read, to name it where something is missing
    std::string problem;
    detail::ShardBytes picture;
    bool has_texts() const { return has_json || has_text; }
    bool complete() const { return has_picture && (has_texts() || has_label); }
    bool has(std::string_view extension) const;
  };
  struct Picture {  // of an image_id
    std::int64_t number;
    std::size_t size;
  };

  void open(std::string path);
  void add(Group& group, detail::ShardMember& member);
  /// Whether a group has all that is asked for.
  bool suffices(const Group& group) const {
    return group.complete() || (group.has_picture && options_.pictures_alone) ||
           (group.has_texts() && options_.texts_alone);
  }

  /// Turns a group of files into a record; groups without picture and text are not records.
  void finish(Group& group);
  void read_texts(Group& group, Record& record);
  void read_json(Group& group, Record& record);
  void number_picture(const std::string& image_id, std::size_t size, Record& record);

  void add_bad(std::string key, std::string error);
  void warn(const std::string& sentence) const {
    if (options_.warn) options_.warn(sentence);
  }
  [[noreturn]] void fail_without_records() const;

  const Shard& shard_of(std::size_t index) const;

  WebDatasetOptions options_;
  std::vector<Shard> shards_;
  std::vector<Record> records_;
  std::vector<detail::ShardBytes> pictures_;
  // While shards are opened:
  std::unordered_map<std::string, Picture> ids_;
  std::int64_t next_number_ = 0;
  bool damaged_ = false;  // and no record begun since
  std::size_t repeated_ = 0, second_pictures_ = 0, other_pictures_ = 0;
  std::string dotted_;  // a picture whose name has dots and belongs to no record
};

namespace detail {

/// The first `most` names that braces stand for; `{a..b}` counts with the width of `a`.
void expand_braces(const std::string& pattern, std::size_t most, std::vector<std::string>& out);

/// The lines of a text that are not blank, as Python's str.splitlines cuts them. Error if it is not
/// UTF-8.
std::vector<std::string> text_lines(std::string_view text);

/// Removes the mark that some programs put before UTF-8 texts.
inline std::string_view without_mark(std::string_view text) {
  return text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text;
}

/// Small letters for capital ones.
inline std::string lower_ascii(std::string text) {
  for (char& c : text) c = ascii_lower(c);
  return text;
}

}  // namespace detail

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <glob.h>
#include <unistd.h>
#include <algorithm>
#include <new>
#include "albef/core/json.hpp"
#include "albef/core/number.hpp"
#include "albef/data/json_record.hpp"
#include "albef/data/picture_format.hpp"

namespace albef {

ALBEF_DATA_INLINE WebDataset::WebDataset(const std::vector<std::string>& patterns,
                                         const WebDatasetOptions& options)
    : options_(options) {
  for (const std::string& pattern : patterns)
    for (std::string& path : expand_shards(pattern)) open(std::move(path));
  require(!shards_.empty(), "WebDataset: no shard given");
  const auto named = [](const Record& record) { return !record.key.empty(); };
  if (std::none_of(records_.begin(), records_.end(), named)) fail_without_records();
  if (other_pictures_ > 0)
    warn(concat("'", shards_.front().path, "'", shards_.size() > 1 ? " and other shards" : "", ": ",
                other_pictures_,
                " records have the image_id of another record but a picture of "
                "another size in bytes; the first record's picture counts"));
  ids_ = {};
}

ALBEF_DATA_INLINE void WebDataset::read_image(std::size_t index,
                                              std::vector<std::uint8_t>& bytes) const {
  const Record& r = record(index);
  if (!r.error.empty()) fail(describe(index), ": ", r.error);
  at_place([&] { return describe(index); },
           [&] { shard_of(index).file->read(pictures_[index], bytes); });
}

ALBEF_DATA_INLINE std::string WebDataset::describe(std::size_t index) const {
  const Shard& shard = shard_of(index);
  const std::string& key = record(index).key;
  const std::string place = concat(shard.path, ": record ", index - shard.first);
  return key.empty() ? place : concat(place, " (", key, ")");
}

ALBEF_DATA_INLINE std::vector<std::string> WebDataset::shards() const {
  std::vector<std::string> paths;
  for (const Shard& shard : shards_) paths.push_back(shard.path);
  return paths;
}

ALBEF_DATA_INLINE void WebDataset::open(std::string path) {
  const std::size_t first = records_.size();
  const std::string name = concat("shard '", path, "'");
  std::size_t damages = 0;
  std::string damage;
  repeated_ = second_pictures_ = 0;
  damaged_ = false;

  Group group;
  const auto on_member = [&](detail::ShardMember& member) { add(group, member); };
  const auto on_damage = [&](const std::string& sentence) {
    if (damages++ == 0) damage = sentence;
    const bool named = group.open && (!group.complete() || !group.problem.empty());
    if (named && group.problem.empty()) group.problem = sentence;
    const std::size_t before = records_.size();
    finish(group);
    if (!named || records_.size() == before) add_bad({}, sentence);
    damaged_ = true;
  };
  const auto file = std::make_shared<detail::ShardFile>(path, options_.unpack);
  shards_.push_back({std::move(path), file, first});
  file->for_each(on_member, on_damage);
  finish(group);

  const auto bad = [](const Record& record) { return !record.error.empty(); };
  const auto all = static_cast<std::ptrdiff_t>(records_.size() - first);
  const auto unusable = std::count_if(records_.end() - all, records_.end(), bad);
  if (damages > 0)
    warn(concat(name, ": ", damage,
                damages > 1 ? concat(" (and ", damages - 1, " more places)") : "", "; ",
                all - unusable, " records of it can be used"));
  else if (all == 0)
    warn(name + " holds no records");
  if (repeated_ > 0)
    warn(concat(name, ": the names of ", repeated_,
                " records are repeated; each is a record of its own"));
  if (second_pictures_ > 0)
    warn(concat(name, ": ", second_pictures_, " records have a second picture; the first is used"));
}

ALBEF_DATA_INLINE bool WebDataset::Group::has(std::string_view extension) const {
  if (extension == "json") return has_json;
  if (extension == "txt") return has_text;
  if (extension == "cls" && has_label) return true;
  return has_picture && extension == picture_extension;
}

ALBEF_DATA_INLINE void WebDataset::add(Group& group, detail::ShardMember& member) {
  const auto base = member.name.rfind('/') + 1;  // npos + 1 == 0
  const auto dot = member.name.find('.', base);
  if (dot == std::string::npos || dot == base) return;
  std::string key = member.name.substr(0, dot),
              extension = detail::lower_ascii(member.name.substr(dot + 1));

  const bool repeated = group.open && group.key == key && group.has(extension);
  if (!group.open || group.key != key || repeated) {
    finish(group);
    group = Group{};
    group.open = true;
    group.key = std::move(key);
    group.repeated = repeated;
    group.behind_damage = std::exchange(damaged_, false);
    repeated_ += repeated;
  }
  if (extension == "json") {
    group.has_json = true;
    group.json = member.bytes();
  } else if (extension == "txt") {
    group.has_text = true;
    group.text = member.bytes();
  } else if (options_.labels && extension == "cls") {
    group.has_label = true;
    group.label = member.bytes();
  } else if (!detail::is_picture_extension(extension)) {
    if (group.other.empty()) group.other = member.name;
    const auto last = extension.rfind('.');
    if (dotted_.empty() && last != extension.npos &&
        detail::is_picture_extension(std::string_view(extension).substr(last + 1)))
      dotted_ = member.name;
    return;
  } else if (group.has_picture) {
    ++second_pictures_;
    return;
  } else {
    group.has_picture = true;
    group.picture_extension = std::move(extension);
    if (!options_.texts_alone) group.picture = member.kept();
  }
  if (!member.problem.empty()) group.problem = member.problem;
}

ALBEF_DATA_INLINE void WebDataset::finish(Group& group) {
  if (!std::exchange(group.open, false)) return;
  if (!group.has_picture && !group.has_json && !group.has_text && !group.has_label) return;
  Record record;
  try {
    if (group.problem.empty() && group.behind_damage && !suffices(group) &&
        (records_.back().key.empty() || records_.back().key == group.key)) {
      records_.back().key = std::move(group.key);  // the damaged place is that of its other file
      return;
    }
    require(group.problem.empty(), group.problem);
    const std::string hint =
        concat(group.repeated ? "; its name is repeated" : "",
               group.other.empty() ? "" : concat("; '", group.other, "' is not read"));
    require(group.has_picture || suffices(group), "no picture (.jpg, .png, ...) next to the text",
            hint);
    require(suffices(group), "no ", options_.labels ? "label (.cls, .json)" : "text (.json, .txt)",
            " next to the picture", hint);
    read_texts(group, record);
  } catch (const Error& error) {
    return add_bad(std::move(group.key), error.what());
  } catch (const std::bad_alloc&) {
    return add_bad(std::move(group.key), "the memory does not suffice for its text");
  }
  record.key = std::move(group.key);
  records_.push_back(std::move(record));
  pictures_.push_back(std::move(group.picture));
}

ALBEF_DATA_INLINE void WebDataset::read_texts(Group& group, Record& record) {
  if (group.has_json)
    read_json(group, record);
  else
    record.image_id = next_number_++;
  if (group.has_label && record.values("cls").empty()) {
    require(!detail::mark_broken_utf8(group.label), "the .cls entry is not UTF-8");
    record.fields.push_back({"cls", {std::string(detail::without_mark(group.label))}});
  }
  if (!record.captions.empty() || !group.has_text) return;
  require(!detail::mark_broken_utf8(group.text), "the .txt entry is not UTF-8");
  const std::string_view text = detail::without_mark(group.text);
  if (options_.txt_lines) record.captions = detail::text_lines(text);
  if (record.captions.empty()) record.captions.emplace_back(text);
}

ALBEF_DATA_INLINE void WebDataset::read_json(Group& group, Record& record) {
  const bool broken = detail::mark_broken_utf8(group.json);
  detail::Json value;
  try {
    value = parse_json(detail::without_mark(group.json), {.lenient = true});
  } catch (const Error& error) { fail("the .json entry is malformed: ", error.what()); }
  const detail::JsonFields fields(value, broken);
  if (fields.has("caption") || !(group.has_text || options_.pictures_alone || options_.labels))
    record.captions = fields.texts("caption");
  if (fields.has("image_id"))
    number_picture(fields.id("image_id"), group.picture.size, record);
  else
    record.image_id = next_number_++;
  record.fields = fields.others({"caption", "image_id"});
}

ALBEF_DATA_INLINE void WebDataset::number_picture(const std::string& image_id, std::size_t size,
                                                  Record& record) {
  const auto [found, added] = ids_.try_emplace(image_id, Picture{next_number_, size});
  next_number_ += added;
  other_pictures_ += found->second.size != size;
  record.image_id = found->second.number;
}

ALBEF_DATA_INLINE void WebDataset::add_bad(std::string key, std::string error) {
  records_.push_back(Record{.key = std::move(key), .error = std::move(error)});
  pictures_.emplace_back();
}

ALBEF_DATA_INLINE void WebDataset::fail_without_records() const {
  const std::string others =
      shards_.size() == 1 ? "" : concat(", nor do the ", shards_.size() - 1, " others");
  if (!records_.empty())
    fail("cannot read shard '", shard_of(0).path, "': ", records_.front().error, others);
  fail("shard '", shards_.front().path, "' holds no records", others,
       ": expected pictures (.jpg, .png, ...) next to texts (.json, .txt)",
       dotted_.empty() ? ""
                       : concat("; a record's name ends at the first dot, so that '", dotted_,
                                "' is none of its pictures"));
}

ALBEF_DATA_INLINE const WebDataset::Shard& WebDataset::shard_of(std::size_t index) const {
  const auto after = std::upper_bound(shards_.begin(), shards_.end(), index,
                                      [](std::size_t i, const Shard& s) { return i < s.first; });
  return *(after - 1);
}

}  // namespace albef

namespace albef::detail {

ALBEF_DATA_INLINE std::vector<std::string> text_lines(std::string_view text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  bool blank = true;
  const auto end_line = [&](std::size_t end) {
    if (!blank) lines.emplace_back(text.substr(begin, end - begin));
    blank = true;
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t here = at;
    const CodePoint c = next_code_point(text, at);
    const bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                      c == 0x2028 || c == 0x2029;
    if (ends) end_line(here), begin = at;
    blank = blank && is_python_space(c);
  }
  end_line(text.size());
  return lines;
}

ALBEF_DATA_INLINE void expand_braces(const std::string& pattern, std::size_t most,
                                     std::vector<std::string>& out) {
  const auto open = pattern.find('{');
  const auto close = pattern.find('}', open);
  if (out.size() == most) return;
  if (open == std::string::npos || close == std::string::npos) return out.push_back(pattern);
  const std::string head = pattern.substr(0, open), tail = pattern.substr(close + 1);
  const std::string body = pattern.substr(open + 1, close - open - 1);

  if (const auto dots = body.find(".."); dots != std::string::npos) {
    const std::string low = body.substr(0, dots), high = body.substr(dots + 2);
    const auto from = to_whole<unsigned>(low), to = to_whole<unsigned>(high);
    require(from && to && *from <= *to, "shard pattern '", pattern,
            "': expected {first..last} with first <= last, got {", body, "}");
    for (unsigned i = *from;; ++i) {
      const std::string number = std::to_string(i);
      const auto zeros = low.size() > number.size() ? low.size() - number.size() : 0;
      expand_braces(head + std::string(zeros, '0') + number + tail, most, out);
      if (i == *to || out.size() == most) return;  // also where `to` is the largest number
    }
  }
  for (std::size_t at = 0; at <= body.size() && out.size() < most;) {
    const auto comma = std::min(body.find(',', at), body.size());
    expand_braces(head + body.substr(at, comma - at) + tail, most, out);
    at = comma + 1;
  }
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE std::vector<std::string> expand_shards(const std::string& pattern,
                                                         std::size_t most) {
  if (::access(pattern.c_str(), F_OK) == 0) return {pattern};
  std::vector<std::string> names, out;
  detail::expand_braces(pattern, most + 1, names);
  require(names.size() <= most, "shard pattern '", pattern, "' stands for more than ", most,
          " shards");
  for (const std::string& name : names) {
    if (name.find_first_of("*?[") == std::string::npos || ::access(name.c_str(), F_OK) == 0) {
      out.push_back(name);
      continue;
    }
    glob_t found{};
    const int status = ::glob(name.c_str(), 0, nullptr, &found);
    const std::unique_ptr<glob_t, decltype(&::globfree)> cleanup(&found, &::globfree);
    require(status == 0 && found.gl_pathc > 0, "shard pattern '", name, "' matches no file");
    out.insert(out.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  return out;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
