// Data sets as WebDataset tar shards: files with the same name up to the first dot are one record.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/record.hpp"

struct archive;  // libarchive's
struct archive_entry;

namespace albef {

/// The shards a pattern names: braces are expanded (`{000..012}`, `{train,val}`), then `*`, `?` and
/// `[...]` are matched against existing files, in sorted order. The name of an existing file is
/// taken as it is, and a name without wildcards is returned whether or not it exists. Throws Error
/// when a wildcard matches nothing.
std::vector<std::string> expand_shards(const std::string& pattern);

struct WebDatasetOptions {
  bool pictures_alone = false;  ///< a picture without text is a record, too, one without captions
};

/// One or several shards (plain tar, or compressed with anything libarchive reads). A record has a
/// picture (.png, .jpg, .jpeg) and a text: .json, an object with `caption` (string or list of
/// strings) whose other fields are kept, or .txt, the caption itself. The files of a record stand
/// next to each other. Each record's picture is its own Record::image_id.
///
/// Shards are indexed once, when opened. The pictures of plain tars are then read from disk when
/// asked for; those of compressed shards, which cannot be read out of order, are held in memory.
/// A record that lacks a part or has a damaged one, and the place where a shard is cut or damaged,
/// become records with Record::error set; what came before stays usable (in a compressed shard:
/// what libarchive could unpack, in steps of 64 KiB).
class WebDataset : public Source {
 public:
  /// Opens every shard of every pattern; see expand_shards.
  explicit WebDataset(const std::vector<std::string>& patterns,
                      const WebDatasetOptions& options = {});
  explicit WebDataset(const std::string& pattern, const WebDatasetOptions& options = {})
      : WebDataset(std::vector<std::string>{pattern}, options) {}

  std::size_t size() const override { return records_.size(); }
  const Record& record(std::size_t index) const override { return records_.at(index); }

  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override;

  std::string describe(std::size_t index) const override;

  std::vector<std::string> shards() const;

 private:
  struct Shard {
    std::string path;
    std::size_t first;  // index of the shard's first record
  };
  struct Picture {  // a stretch of a plain shard, or bytes in memory
    std::size_t offset = 0, size = 0;
    std::vector<std::uint8_t> bytes;
  };
  struct Entry {  // one file of a shard
    std::string key, extension;
    std::size_t size = 0;
    std::string problem;             // empty: complete
    const char* in_place = nullptr;  // its bytes within the mapped shard, where the shard is plain
    std::string content;             // its bytes where they are not in place
    std::string_view bytes() const { return in_place ? std::string_view(in_place, size) : content; }
  };
  struct Group {  // the files of the record being read
    bool open = false, has_picture = false;
    std::string key, json, text;
    bool has_json = false, has_text = false;
    std::string problem;
    Picture picture;
    bool complete() const { return has_picture && (has_json || has_text); }
  };

  void index_shard();

  /// A tar ends in blocks of zeros; without them it may have been cut between two of its files.
  static bool has_end_marker(std::span<const std::byte> map);

  static std::string problem_of(archive& tar);

  /// Key and extension of a file; the key is empty for files that belong to no record.
  static Entry name_of(archive_entry* header);

  static bool wanted(const Group& group, std::string_view extension);

  static void read_entry(archive& tar, std::span<const std::byte> map, Entry& entry);

  static void add_to(Group& group, Entry& entry, std::span<const std::byte> map);

  /// Turns a group of files into a record; groups without picture and text are not records.
  void finish(Group& group);

  /// `caption` may be missing where a .txt entry has it.
  void read_json(Group& group, Record& record) const;

  void add_bad(std::string key, std::string error);

  const Shard& shard_of(std::size_t index) const;

  WebDatasetOptions options_;
  std::vector<Shard> shards_;
  std::vector<Record> records_;
  std::vector<Picture> pictures_;
};

namespace detail {

/// Expands the first brace group and recurses; `{a..b}` counts with the width of `a`.
void expand_braces(const std::string& pattern, std::vector<std::string>& out);

}  // namespace detail

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <archive.h>
#include <archive_entry.h>
#include <glob.h>
#include <unistd.h>
#include <cctype>
#include <charconv>
#include "albef/core/file.hpp"
#include "albef/data/json_record.hpp"
#include "albef/data/picture_format.hpp"
#include "albef/data/read_bytes.hpp"

namespace albef {

ALBEF_DATA_INLINE WebDataset::WebDataset(const std::vector<std::string>& patterns,
                                         const WebDatasetOptions& options)
    : options_(options) {
  for (const std::string& pattern : patterns)
    for (std::string& path : expand_shards(pattern)) {
      shards_.push_back({std::move(path), records_.size()});
      index_shard();
    }
  require(!shards_.empty(), "WebDataset: no shard given");
}

ALBEF_DATA_INLINE void WebDataset::read_image(std::size_t index,
                                              std::vector<std::uint8_t>& bytes) const {
  const Record& r = record(index);
  if (!r.error.empty()) fail(describe(index), ": ", r.error);
  const Picture& picture = pictures_[index];
  if (!picture.bytes.empty() || picture.size == 0) {
    bytes.assign(picture.bytes.begin(), picture.bytes.end());
    return;
  }
  const std::string& path = shard_of(index).path;
  try {
    detail::read_bytes(detail::open_for_reading(path), path, picture.offset, picture.size, bytes);
  } catch (const Error& error) { fail(describe(index), ": ", error.what()); }
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

ALBEF_DATA_INLINE void WebDataset::index_shard() {
  const std::string& path = shards_.back().path;
  const MappedFile file(path);
  const std::unique_ptr<archive, decltype(&archive_read_free)> tar(archive_read_new(),
                                                                   &archive_read_free);
  require(tar != nullptr, "cannot read shard '", path, "': out of memory");
  archive_read_support_filter_all(tar.get());
  archive_read_support_format_tar(tar.get());
  // The whole map is handed over as one block: for a plain tar libarchive then returns pointers
  // into it, which are the offsets of the pictures.
  if (archive_read_open_memory(tar.get(), file.bytes().data(), file.bytes().size()) != ARCHIVE_OK)
    fail("cannot read shard '", path, "': ", problem_of(*tar));

  Group group;
  for (;;) {
    archive_entry* header = nullptr;
    const int status = archive_read_next_header(tar.get(), &header);
    if (status == ARCHIVE_EOF) break;
    if (status < ARCHIVE_WARN) {
      if (!group.open && records_.size() == shards_.back().first)
        fail("cannot read shard '", path, "': ", problem_of(*tar), ", expected a tar file");
      const std::string cut = concat("the shard is cut or damaged here: ", problem_of(*tar));
      if (group.open && !group.complete()) {
        group.problem = cut;
      } else {
        finish(group);
        add_bad({}, cut);
      }
      break;
    }
    if (archive_entry_filetype(header) != AE_IFREG) continue;
    Entry entry = name_of(header);
    if (entry.key.empty()) continue;
    if (!group.open || group.key != entry.key) {
      finish(group);
      group = Group{};
      group.open = true;
      group.key = entry.key;
    }
    if (!wanted(group, entry.extension)) continue;
    read_entry(*tar, file.bytes(), entry);
    add_to(group, entry, file.bytes());
    if (!entry.problem.empty()) break;
  }
  const bool plain = archive_filter_count(tar.get()) == 1;  // else the packer's own checks hold
  if (group.open && !group.complete() && group.problem.empty() && plain &&
      !has_end_marker(file.bytes()))
    group.problem = "the shard is cut before the record's other file";
  finish(group);
  require(records_.size() > shards_.back().first, "shard '", path,
          "' holds no records: expected pictures (.png, .jpg) next to texts (.json, .txt)");
}

ALBEF_DATA_INLINE bool WebDataset::has_end_marker(std::span<const std::byte> map) {
  const auto tail = map.last(std::min<std::size_t>(map.size(), 512));
  return std::all_of(tail.begin(), tail.end(), [](std::byte b) { return b == std::byte{0}; });
}

ALBEF_DATA_INLINE std::string WebDataset::problem_of(archive& tar) {
  const char* text = archive_error_string(&tar);
  return text ? text : "unknown error";
}

ALBEF_DATA_INLINE WebDataset::Entry WebDataset::name_of(archive_entry* header) {
  const char* raw = archive_entry_pathname(header);
  const std::string name = raw ? raw : "";
  const auto base = name.rfind('/') + 1;  // npos + 1 == 0
  const auto dot = name.find('.', base);
  if (dot == std::string::npos || dot == base) return {};
  Entry entry;
  entry.key = name.substr(0, dot);
  entry.extension = name.substr(dot + 1);
  if (entry.key.starts_with("./")) entry.key.erase(0, 2);
  for (char& c : entry.extension)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  entry.size = static_cast<std::size_t>(std::max<std::int64_t>(archive_entry_size(header), 0));
  return entry;
}

ALBEF_DATA_INLINE bool WebDataset::wanted(const Group& group, std::string_view extension) {
  return (extension == "json" && !group.has_json) || (extension == "txt" && !group.has_text) ||
         (detail::is_picture_extension(extension) && !group.has_picture);
}

ALBEF_DATA_INLINE void WebDataset::read_entry(archive& tar, std::span<const std::byte> map,
                                              Entry& entry) {
  const char* const first = reinterpret_cast<const char*>(map.data());
  const void* block = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  int status;
  std::size_t got = 0;
  while ((status = archive_read_data_block(&tar, &block, &size, &offset)) == ARCHIVE_OK) {
    const char* const data = static_cast<const char*>(block);
    const bool plain = archive_filter_count(&tar) == 1;  // no decompression in between
    if (plain && size == entry.size && data >= first && data + size <= first + map.size()) {
      entry.in_place = data;
    } else {
      entry.content.append(data, size);
    }
    got += size;
  }
  if (status != ARCHIVE_EOF || got != entry.size)
    entry.problem = concat("the shard is cut or damaged in '", entry.key, ".", entry.extension,
                           "': got ", got, " of ", entry.size, " bytes",
                           status == ARCHIVE_EOF ? "" : concat(" (", problem_of(tar), ")"));
}

ALBEF_DATA_INLINE void WebDataset::add_to(Group& group, Entry& entry,
                                          std::span<const std::byte> map) {
  if (!entry.problem.empty()) group.problem = entry.problem;
  const std::string_view bytes = entry.bytes();
  if (entry.extension == "json") {
    group.has_json = true;
    group.json = bytes;
  } else if (entry.extension == "txt") {
    group.has_text = true;
    group.text = bytes;
  } else {
    group.has_picture = true;
    group.picture.size = entry.size;
    if (entry.in_place)
      group.picture.offset =
          static_cast<std::size_t>(entry.in_place - reinterpret_cast<const char*>(map.data()));
    else
      group.picture.bytes.assign(bytes.begin(), bytes.end());
  }
}

ALBEF_DATA_INLINE void WebDataset::finish(Group& group) {
  if (!std::exchange(group.open, false)) return;
  if (!group.has_picture && !group.has_json && !group.has_text) return;
  Record record;
  try {
    require(group.problem.empty(), group.problem);
    require(group.has_picture, "no picture (.png, .jpg, .jpeg) next to the text");
    require(group.has_json || group.has_text || options_.pictures_alone,
            "no text (.json, .txt) next to the picture");
    if (group.has_json) read_json(group, record);
    if (record.captions.empty() && group.has_text) {
      require(!detail::mark_broken_utf8(group.text), "the .txt entry is not UTF-8");
      record.captions = {std::move(group.text)};
    }
  } catch (const Error& error) { return add_bad(std::move(group.key), error.what()); }
  record.key = std::move(group.key);
  record.image_id = static_cast<std::int64_t>(records_.size());
  records_.push_back(std::move(record));
  pictures_.push_back(std::move(group.picture));
}

ALBEF_DATA_INLINE void WebDataset::read_json(Group& group, Record& record) const {
  const bool broken = detail::mark_broken_utf8(group.json);
  detail::Json value;
  try {
    value = detail::Json::parse(group.json);
  } catch (const detail::Json::exception& error) {
    fail("the .json entry is malformed: ", detail::json_problem(error));
  }
  const detail::JsonFields fields(value, broken);
  if (fields.has("caption") || !(group.has_text || options_.pictures_alone))
    record.captions = fields.texts("caption");
  record.fields = fields.others({"caption"});
}

ALBEF_DATA_INLINE void WebDataset::add_bad(std::string key, std::string error) {
  records_.push_back(Record{.key = std::move(key), .error = std::move(error)});
  pictures_.emplace_back();
}

ALBEF_DATA_INLINE const WebDataset::Shard& WebDataset::shard_of(std::size_t index) const {
  const auto after = std::upper_bound(shards_.begin(), shards_.end(), index,
                                      [](std::size_t i, const Shard& s) { return i < s.first; });
  return *(after - 1);
}

}  // namespace albef

namespace albef::detail {

ALBEF_DATA_INLINE void expand_braces(const std::string& pattern, std::vector<std::string>& out) {
  const auto open = pattern.find('{');
  const auto close = pattern.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return out.push_back(pattern);
  const std::string head = pattern.substr(0, open), tail = pattern.substr(close + 1);
  const std::string body = pattern.substr(open + 1, close - open - 1);

  if (const auto dots = body.find(".."); dots != std::string::npos) {
    const std::string low = body.substr(0, dots), high = body.substr(dots + 2);
    unsigned from = 0, to = 0;
    const auto parse = [](const std::string& text, unsigned& value) {
      const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
      return code == std::errc{} && end == text.data() + text.size();
    };
    require(parse(low, from) && parse(high, to) && from <= to && to - from < 1000000,
            "shard pattern '", pattern, "': expected {first..last} with first <= last, got {", body,
            "}");
    for (unsigned i = from; i <= to; ++i) {
      const std::string number = std::to_string(i);
      const auto zeros = low.size() > number.size() ? low.size() - number.size() : 0;
      expand_braces(head + std::string(zeros, '0') + number + tail, out);
    }
    return;
  }
  for (std::size_t at = 0; at <= body.size();) {
    const auto comma = std::min(body.find(',', at), body.size());
    expand_braces(head + body.substr(at, comma - at) + tail, out);
    at = comma + 1;
  }
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE std::vector<std::string> expand_shards(const std::string& pattern) {
  if (::access(pattern.c_str(), F_OK) == 0) return {pattern};
  std::vector<std::string> names, out;
  detail::expand_braces(pattern, names);
  for (const std::string& name : names) {
    if (name.find_first_of("*?[") == std::string::npos) {
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
