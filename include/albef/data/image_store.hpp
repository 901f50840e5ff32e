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
#include "albef/data/shard_file.hpp"
#include "albef/data/unpack.hpp"
#include "albef/data/warnings.hpp"
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

/// The pictures in tar files (see ShardFile), each by its whole name: "val/2021.05.01.png" is that
/// file and no other, with or without a text beside it. "./" and "/" before names and in them tell
/// nothing. A name that is no file's stands for the one picture that has it up to the last dot:
/// "val/0012" and "val/0012.png" are "val/0012.jpg" where there is nothing else of that name.
class ShardImages : public ImageStore {
 public:
  /// Throws Error for a shard that does not exist, and when no shard has a picture.
  explicit ShardImages(const std::vector<std::string>& patterns, const UnpackLimits& unpack = {},
                       const Warn& warn = print_warning);
  explicit ShardImages(const std::string& pattern);

  /// Throws Error naming the picture if there is none, or several different ones.
  void read(const std::string& name, std::vector<std::uint8_t>& bytes) const override;

 private:
  struct Picture {
    std::shared_ptr<const detail::ShardFile> shard;
    detail::ShardBytes bytes;
    std::string problem;  // empty: it can be read
  };
  using Numbers = std::unordered_map<std::string, std::vector<std::uint32_t>>;

  void open(const std::string& path, const UnpackLimits& unpack, const Warn& warn);
  void add(std::shared_ptr<const detail::ShardFile> shard, const detail::ShardMember& member);
  const Picture& find(const std::string& name) const;

  std::size_t shards_ = 0;
  std::string first_shard_, damage_;
  std::vector<Picture> pictures_;
  Numbers by_name_, by_stem_;
};

/// The pictures at a place that a user names: a folder, or one or several shards (see
/// expand_shards).
ImageStorePtr open_images(const std::string& place);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include "albef/data/codec_options.hpp"

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
  detail::read_bytes(opened.fd, file, 0, opened.size, bytes);
}

ALBEF_DATA_INLINE ShardImages::ShardImages(const std::vector<std::string>& patterns,
                                           const UnpackLimits& unpack, const Warn& warn) {
  for (const std::string& pattern : patterns)
    for (const std::string& path : expand_shards(pattern)) open(path, unpack, warn);
  require(shards_ > 0, "pictures: no shard given");
  if (pictures_.empty())
    fail("shard '", first_shard_, "' holds no pictures", damage_.empty() ? "" : ": ", damage_);
}

ALBEF_DATA_INLINE ShardImages::ShardImages(const std::string& pattern)
    : ShardImages(std::vector<std::string>{pattern}) {}

ALBEF_DATA_INLINE void ShardImages::open(const std::string& path, const UnpackLimits& unpack,
                                         const Warn& warn) {
  const std::size_t before = pictures_.size();
  const auto shard = std::make_shared<const detail::ShardFile>(path, unpack);
  if (shards_++ == 0) first_shard_ = path;
  std::size_t damages = 0;
  std::string damage;
  shard->for_each([&](const detail::ShardMember& member) { add(shard, member); },
                  [&](const std::string& sentence) {
                    if (damages++ == 0) damage = sentence;
                  });
  const std::size_t pictures = pictures_.size() - before;
  if (damages > 0 && damage_.empty()) damage_ = concat("shard '", path, "': ", damage);
  if (!warn) return;
  if (damages > 0)
    warn(concat("shard '", path, "': ", damage,
                damages > 1 ? concat(" (and ", damages - 1, " more places)") : "", "; ", pictures,
                " pictures of it can be used"));
  else if (pictures == 0)
    warn(concat("shard '", path, "' holds no pictures"));
}

ALBEF_DATA_INLINE void ShardImages::add(std::shared_ptr<const detail::ShardFile> shard,
                                        const detail::ShardMember& member) {
  const auto base = member.name.rfind('/') + 1;  // npos + 1 == 0
  const auto dot = member.name.rfind('.');
  if (dot == std::string::npos || dot <= base) return;  // also those of macOS, "._0012.jpg"
  if (member.name.compare(base, 2, "._") == 0) return;
  if (!detail::is_picture_extension(detail::lower_ascii(member.name.substr(dot + 1)))) return;
  const auto number = static_cast<std::uint32_t>(pictures_.size());
  pictures_.push_back({std::move(shard), member.kept(), member.problem});
  by_name_[member.name].push_back(number);
  by_stem_[member.name.substr(0, dot)].push_back(number);
}

ALBEF_DATA_INLINE const ShardImages::Picture& ShardImages::find(const std::string& name) const {
  const std::string plain = detail::plain_name(name);
  const auto base = plain.rfind('/') + 1;  // npos + 1 == 0
  const auto dot = plain.rfind('.');
  const std::vector<std::uint32_t>* found = nullptr;
  const auto look = [&](const Numbers& numbers, const std::string& key) {
    if (const auto at = numbers.find(key); !found && at != numbers.end()) found = &at->second;
  };
  look(by_name_, plain);
  look(by_stem_, plain);
  if (dot != std::string::npos && dot > base &&
      detail::is_picture_extension(detail::lower_ascii(plain.substr(dot + 1))))
    look(by_stem_, plain.substr(0, dot));
  if (!found)
    fail("no picture '", name, "' among the ", pictures_.size(), " of ", first_shard_,
         shards_ == 1 ? "" : concat(" and ", shards_ - 1, " more shards"),
         damage_.empty() ? "" : concat("; ", damage_));
  const Picture& first = pictures_[found->front()];
  std::vector<std::uint8_t> one, other;
  for (std::size_t i = 1; i < found->size(); ++i) {
    const Picture& next = pictures_[(*found)[i]];
    if (one.empty()) first.shard->read(first.bytes, one);
    next.shard->read(next.bytes, other);
    require(one == other, "there are ", found->size(), " different pictures '", name, "', in ",
            first.shard->path(), " and ", next.shard->path());
  }
  return first;
}

ALBEF_DATA_INLINE void ShardImages::read(const std::string& name,
                                         std::vector<std::uint8_t>& bytes) const {
  const Picture& picture = find(name);
  require(picture.problem.empty(), picture.shard->path(), ": ", picture.problem);
  picture.shard->read(picture.bytes, bytes);
}

ALBEF_DATA_INLINE ImageStorePtr open_images(const std::string& place) {
  struct stat info {};
  if (::stat(place.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
    return std::make_shared<ImageFolder>(place);
  return std::make_shared<ShardImages>(place);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
