// Records of pictures, texts or both, from lists and folders and from JSON: what a Source is where
// a record need not have both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <unordered_map>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/image_store.hpp"
#include "albef/data/json_record.hpp"
#include "albef/data/json_records.hpp"
#include "albef/data/record.hpp"

namespace albef::detail {

/// Records that name pictures in a store, or have none (Record::key is empty).
class NamedPictures : public Source {
 public:
  std::size_t size() const override { return records.size(); }
  const Record& record(std::size_t index) const override { return records.at(index); }
  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override;
  std::string describe(std::size_t index) const override;

  std::string place;
  ImageStorePtr images;
  std::vector<Record> records{};
  std::vector<std::size_t> lines{};  // (records) of a table or a list
};

/// The same from JSON: objects with `image`, a text (see text_fields), or both.
class JsonPictures : public Source {
 public:
  JsonPictures(const std::string& path, const AnnotationOptions& options)
      : records_({path}, options, Parser{}) {}
  std::size_t size() const override { return records_.size(); }
  const Record& record(std::size_t index) const override { return records_[index]; }
  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override;
  std::string describe(std::size_t index) const override { return records_.describe(index); }

 private:
  struct Parser {
    std::unordered_map<std::string, std::int64_t> ids;

    void operator()(const JsonFields& fields, Record& record);
  };

  JsonRecords<Record> records_;
};

/// What the text of a record may be called; the first that is there counts.
inline constexpr std::initializer_list<const char*> text_fields{"caption", "text", "sentence"};

/// Whether a file or folder is hidden by its name.
bool is_hidden(const std::filesystem::path& path);
/// Whether a file is a picture by its name, and not hidden.
bool is_picture_file(const std::filesystem::path& path);
/// The names relative to `root` of the pictures below a folder, at any depth, sorted; hidden files
/// and folders are not looked at. Throws std::filesystem::filesystem_error.
std::vector<std::string> pictures_below(const std::filesystem::path& folder,
                                        const std::filesystem::path& root);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include "albef/data/picture_format.hpp"

namespace albef::detail {

ALBEF_DATA_INLINE void NamedPictures::read_image(std::size_t index,
                                                 std::vector<std::uint8_t>& bytes) const {
  const Record& r = record(index);
  at_place([&] { return describe(index); },
           [&] {
             require(r.error.empty(), r.error);
             require(!r.key.empty(), "there is no picture");
             images->read(r.key, bytes);
           });
}

ALBEF_DATA_INLINE std::string NamedPictures::describe(std::size_t index) const {
  const std::string& key = record(index).key;
  const std::string at = lines.empty() ? place : concat(place, ": line ", lines.at(index));
  return key.empty() ? at : concat(at, lines.empty() ? ": '" + key + "'" : " (" + key + ")");
}

ALBEF_DATA_INLINE void JsonPictures::read_image(std::size_t index,
                                                std::vector<std::uint8_t>& bytes) const {
  at_place([&] { return describe(index); },
           [&] { require(!record(index).key.empty(), "there is no picture"); });
  records_.read_image(index, record(index).key, bytes);
}

ALBEF_DATA_INLINE void JsonPictures::Parser::operator()(const JsonFields& fields, Record& record) {
  if (fields.has("image")) record.key = fields.text("image");
  for (const char* const name : text_fields)
    if (record.captions.empty() && fields.has(name)) record.captions = fields.texts(name);
  require(!record.key.empty() || !record.captions.empty(),
          "there is neither 'image' nor 'text' (or 'caption', 'sentence')");
  const auto next = static_cast<std::int64_t>(ids.size());
  const std::string id = record.key.empty() ? "text " + std::to_string(next) : "path " + record.key;
  record.image_id = ids.try_emplace(id, next).first->second;
  record.fields = fields.others({"image", "image_id"});
}

ALBEF_DATA_INLINE bool is_hidden(const std::filesystem::path& path) {
  return path.filename().string().starts_with('.');
}

ALBEF_DATA_INLINE bool is_picture_file(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  return !is_hidden(path) && !extension.empty() &&
         is_picture_extension(lower_ascii(extension.substr(1)));
}

ALBEF_DATA_INLINE std::vector<std::string> pictures_below(const std::filesystem::path& folder,
                                                          const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  constexpr auto follow = fs::directory_options::follow_directory_symlink;
  std::vector<std::string> names;
  for (fs::recursive_directory_iterator file(folder, follow), end; file != end; ++file) {
    if (file->is_directory() && is_hidden(file->path())) file.disable_recursion_pending();
    if (!file->is_directory() && is_picture_file(file->path()))
      names.push_back(file->path().lexically_relative(root).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
