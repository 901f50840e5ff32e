// Pictures by name, for annotations that name them: files in a folder, or records of shards.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/data/read_bytes.hpp"
#include "albef/data/webdataset.hpp"

namespace albef {

/// Encoded pictures by name. Const member functions may be called by several threads at once.
class ImageStore {
 public:
  virtual ~ImageStore() = default;
  /// Replaces `bytes` by the encoded picture. Throws Error naming it if there is none.
  virtual void read(const std::string& name, std::vector<std::uint8_t>& bytes) const = 0;

 protected:
  ImageStore() = default;
  ImageStore(const ImageStore&) = default;
  ImageStore& operator=(const ImageStore&) = default;
};

using ImageStorePtr = std::shared_ptr<const ImageStore>;

/// Files below a folder; names that start with '/' are paths of their own.
class ImageFolder : public ImageStore {
 public:
  /// `root` may be empty: names are then relative to the working directory.
  explicit ImageFolder(std::string root);
  std::string path(const std::string& name) const;
  void read(const std::string& name, std::vector<std::uint8_t>& bytes) const override;

 private:
  std::string root_;
};

/// The pictures of WebDataset shards: "val/0012.png" is the picture of the record "val/0012", with
/// or without a text beside it.
class ShardImages : public ImageStore {
 public:
  explicit ShardImages(const std::vector<std::string>& patterns);
  explicit ShardImages(const std::string& pattern);

  void read(const std::string& name, std::vector<std::uint8_t>& bytes) const override;

 private:
  /// As WebDataset forms it: up to the first dot of the file name.
  static std::string key(std::string_view name);

  WebDataset shards_;
  std::unordered_map<std::string, std::size_t> records_;
};

/// The pictures at a place that a user names: a folder, or one or several shards (see
/// expand_shards).
ImageStorePtr open_images(const std::string& place);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE ImageFolder::ImageFolder(std::string root) : root_(std::move(root)) {
  if (!root_.empty() && root_.back() != '/') root_ += '/';
}

ALBEF_DATA_INLINE std::string ImageFolder::path(const std::string& name) const {
  return name.starts_with('/') ? name : root_ + name;
}

ALBEF_DATA_INLINE void ImageFolder::read(const std::string& name,
                                         std::vector<std::uint8_t>& bytes) const {
  const std::string file = path(name);
  const auto opened = detail::open_for_reading(file, detail::Openable::regular_files);
  detail::read_bytes(opened, file, 0, opened.size, bytes);
}

ALBEF_DATA_INLINE ShardImages::ShardImages(const std::vector<std::string>& patterns)
    : shards_(patterns, {.pictures_alone = true}) {
  for (std::size_t i = 0; i < shards_.size(); ++i) records_.try_emplace(shards_.record(i).key, i);
}

ALBEF_DATA_INLINE ShardImages::ShardImages(const std::string& pattern)
    : ShardImages(std::vector<std::string>{pattern}) {}

ALBEF_DATA_INLINE void ShardImages::read(const std::string& name,
                                         std::vector<std::uint8_t>& bytes) const {
  const auto found = records_.find(key(name));
  if (found == records_.end())
    fail("no picture '", name, "' among the ", records_.size(), " records of ",
         shards_.shards().front(),
         shards_.shards().size() == 1
             ? ""
             : concat(" and ", shards_.shards().size() - 1, " more shards"));
  shards_.read_image(found->second, bytes);
}

ALBEF_DATA_INLINE std::string ShardImages::key(std::string_view name) {
  if (name.starts_with("./")) name.remove_prefix(2);
  const auto base = name.rfind('/') + 1;  // npos + 1 == 0
  return std::string(name.substr(0, name.find('.', base)));
}

ALBEF_DATA_INLINE ImageStorePtr open_images(const std::string& place) {
  struct stat info {};
  if (::stat(place.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
    return std::make_shared<ImageFolder>(place);
  return std::make_shared<ShardImages>(place);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
