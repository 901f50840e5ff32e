// One tar file: going through its members, also behind damaged places, and reading them later.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/data/unpack.hpp"

struct archive;  // libarchive's
struct archive_entry;

namespace albef::detail {

/// A name in a tar without what tells nothing: "./a//b" and "/a/b" are "a/b".
std::string plain_name(std::string_view name);

/// Where the bytes of a member stay, to be read when they are asked for.
struct ShardBytes {
  std::size_t offset = 0, size = 0;  // within the tar
  std::vector<std::uint8_t> own{};   // those of members that do not stand in the tar as they are
};

/// One file in a shard.
struct ShardMember {
  std::string name;                // see plain_name()
  std::string problem;             // empty: complete
  std::size_t size = 0;            // as its header says
  const char* in_place = nullptr;  // its bytes, while the shard is gone through
  std::size_t offset = 0;          // of these
  std::string content;             // its bytes where they are not in place
  std::string_view bytes() const { return in_place ? std::string_view(in_place, size) : content; }
  void set_in_place(std::string_view tar, std::size_t at, std::size_t bytes) {
    in_place = tar.data() + at, offset = at, size = bytes;
  }
  /// What to keep of it.
  ShardBytes kept() const {
    if (in_place) return {offset, size, {}};
    return {0, content.size(), {content.begin(), content.end()}};
  }
};

/// A shard: a plain tar, which stays on disk, or a packed one, see unpack(), which is held in
/// memory. Const member functions may be called by several threads at once.
///
/// A plain shard stays open, so that one that is replaced is read as it was; one that is written
/// over is noticed by its time and size, and an Error. When half of the file descriptors that the
/// process may have are in use, shards are opened for each reading instead, and one that is another
/// file by then is an Error, too.
class ShardFile {
 public:
  /// Throws Error naming the file if it cannot be opened or read.
  explicit ShardFile(std::string path, const UnpackLimits& limits = {});

  const std::string& path() const { return path_; }

  /// Calls member(ShardMember&) for each regular file in order; a hard link is the file that it
  /// names. Where the tar is damaged, cut off or lacks its end mark (two blocks of zeros, and only
  /// zeros behind them), damage(sentence) is called, and the next header that is whole is looked
  /// for: it goes on there.
  void for_each(const std::function<void(ShardMember&)>& member,
                const std::function<void(const std::string&)>& damage) const;

  /// Replaces `bytes` by those of a member. Throws Error naming the shard.
  void read(const ShardBytes& kept, std::vector<std::uint8_t>& bytes) const;

 private:
  struct Identity {  // what changes when a file is written
    ::dev_t device = 0;
    ::ino_t number = 0;
    ::off_t size = 0;
    ::timespec modified{};
    bool operator==(const Identity& other) const;
  };
  static Identity identity_of(const FileDescriptor& fd, const std::string& path);

  struct Place {
    std::size_t offset, size;
  };
  using Places = std::unordered_map<std::string, Place>;  // of the members that links may name

  /// Goes through the tar from `at` to its end or to the first problem; returns where to go on.
  /// `places` is filled when there is the first link; null: links are files without bytes.
  std::size_t walk(std::string_view tar, std::size_t at, std::optional<Places>* places,
                   const std::function<void(ShardMember&)>& member,
                   const std::function<void(const std::string&, bool last)>& damage) const;
  Places places_in(std::string_view tar) const;
  void read_member(archive& reader, archive_entry& header, std::string_view tar,
                   ShardMember& member) const;
  void check_unchanged(const FileDescriptor& fd) const;

  std::string path_;
  UnpackLimits limits_;
  FileDescriptor fd_;  // none: in memory, or to be opened each time
  Identity identity_;
  bool packed_ = false;
  Unpacked unpacked_;
};

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS
#include <archive.h>
#include <archive_entry.h>
#include <sys/resource.h>
#include <algorithm>
#include <charconv>
#include <memory>
#include <new>
#include <utility>
#include "albef/data/read_bytes.hpp"

namespace albef::detail {

inline constexpr std::size_t tar_block = 512;

ALBEF_DATA_INLINE std::string plain_name(std::string_view name) {
  std::string plain;
  plain.reserve(name.size());
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    const std::string_view part = name.substr(at, end - at);
    if (!part.empty() && part != ".") {
      if (!plain.empty()) plain += '/';
      plain += part;
    }
    at = end + 1;
  }
  return plain;
}

/// Whether a tar header stands at `at`: its checksum holds.
inline bool is_tar_header(std::string_view tar, std::size_t at) {
  if (at > tar.size() || tar.size() - at < tar_block) return false;
  const std::string_view block = tar.substr(at, tar_block);
  constexpr std::size_t field = 148, width = 8;
  const std::string_view digits = block.substr(field, width);
  const std::size_t first = digits.find_first_not_of(' ');
  if (first == digits.npos) return false;
  unsigned stated = 0;
  const auto [end, code] =
      std::from_chars(digits.data() + first, digits.data() + digits.size(), stated, 8);
  if (code != std::errc{}) return false;
  unsigned sum = 0;
  int signed_sum = 0;  // of old tars
  for (std::size_t i = 0; i < block.size(); ++i) {
    const char c = i >= field && i < field + width ? ' ' : block[i];
    sum += static_cast<unsigned char>(c);
    signed_sum += static_cast<signed char>(c);
  }
  return stated == sum || static_cast<int>(stated) == signed_sum;
}

/// The next place from `at` on with a header whose checksum holds; the tar's size if there is none.
inline std::size_t next_tar_header(std::string_view tar, std::size_t at) {
  constexpr std::size_t mark = 257;
  while (at < tar.size()) {
    const std::size_t found = tar.find("ustar", at + mark);
    if (found == tar.npos) break;
    at = found - mark;
    if (is_tar_header(tar, at)) return at;
    ++at;
  }
  return tar.size();
}

inline std::string archive_problem(archive& reader) {
  const char* const text = archive_error_string(&reader);
  return text ? text : "unknown error";
}

inline bool is_usable(int status) { return status == ARCHIVE_OK || status == ARCHIVE_WARN; }

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Few enough descriptors are in use for this one to stay open.
inline bool may_stay_open(int fd) {
  ::rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && static_cast<::rlim_t>(fd) < limit.rlim_cur / 2;
}

ALBEF_DATA_INLINE bool ShardFile::Identity::operator==(const Identity& other) const {
  // Some file systems forget the fractions of a second after a while.
  const bool same_fraction = modified.tv_nsec == other.modified.tv_nsec || modified.tv_nsec == 0 ||
                             other.modified.tv_nsec == 0;
  return device == other.device && number == other.number && size == other.size &&
         modified.tv_sec == other.modified.tv_sec && same_fraction;
}

ALBEF_DATA_INLINE ShardFile::Identity ShardFile::identity_of(const FileDescriptor& fd,
                                                             const std::string& path) {
  struct ::stat info {};
  if (::fstat(fd.get(), &info) != 0)
    throw SystemError(concat("cannot read '", path, "': ", errno_text(errno)));
  return {info.st_dev, info.st_ino, info.st_size, info.st_mtim};
}

ALBEF_DATA_INLINE ShardFile::ShardFile(std::string path, const UnpackLimits& limits)
    : path_(std::move(path)), limits_(limits) {
  OpenedFile file = open_for_reading(path_, Openable::regular_files);
  identity_ = identity_of(file.fd, path_);
  std::vector<std::uint8_t> start;
  read_bytes(file.fd, path_, 0, std::min(file.size, tar_block), start);
  const std::string_view first(reinterpret_cast<const char*>(start.data()), start.size());
  packed_ = packer_of(first) != nullptr && !is_tar_header(first, 0);
  if (packed_) {
    const MappedFile map(path_);
    unpacked_ = unpack(as_text(map.bytes()), limits_);
  } else if (may_stay_open(file.fd.get())) {
    fd_ = std::move(file.fd);
  }
}

ALBEF_DATA_INLINE void ShardFile::for_each(
    const std::function<void(ShardMember&)>& member,
    const std::function<void(const std::string&)>& damage) const {
  const MappedFile map = packed_ ? MappedFile() : MappedFile(path_);
  if (!packed_) check_unchanged(open_for_reading(path_, Openable::regular_files).fd);
  const std::string_view tar = packed_ ? std::string_view(unpacked_.bytes) : as_text(map.bytes());
  if (tar.empty() && unpacked_.problem.empty()) damage("the file is empty, expected a tar");
  std::optional<Places> places;
  bool cut = !unpacked_.problem.empty();
  const auto tell = [&](const std::string& sentence, bool last) {
    damage(last && cut ? concat(sentence, " (", unpacked_.problem, ")") : sentence);
    cut = cut && !last;
  };
  for (std::size_t at = 0; at < tar.size();) at = walk(tar, at, &places, member, tell);
  if (cut) damage(unpacked_.problem);
}

ALBEF_DATA_INLINE std::size_t ShardFile::walk(
    std::string_view tar, std::size_t start, std::optional<Places>* places,
    const std::function<void(ShardMember&)>& member,
    const std::function<void(const std::string&, bool last)>& damage) const {
  const std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(),
                                                                      &archive_read_free);
  if (!reader) throw std::bad_alloc();
  archive_read_support_format_tar(reader.get());
  // Behind what was read; libarchive gives no place for a header of which only a part is there.
  std::size_t reached = start;
  const auto position = [&] {
    const auto header = archive_read_header_position(reader.get());
    return header < 0 ? reached : std::max(start + static_cast<std::size_t>(header), reached);
  };
  const auto damaged = [&](const std::string& what) {
    const std::size_t next = next_tar_header(tar, position() + 1);
    const bool last = next == tar.size();
    damage(concat(what, " at byte ", position(), " of ", tar.size(),
                  last ? "" : concat("; it goes on at byte ", next)),
           last);
    return next;
  };

  // The tar is handed over as one block: libarchive then returns pointers into it.
  if (archive_read_open_memory(reader.get(), tar.data() + start, tar.size() - start) != ARCHIVE_OK)
    return damaged("cut or damaged: " + archive_problem(*reader));
  for (;;) {
    archive_entry* header = nullptr;
    const int status = archive_read_next_header(reader.get(), &header);
    if (status == ARCHIVE_EOF) break;
    if (!is_usable(status)) return damaged("cut or damaged: " + archive_problem(*reader));
    const char* const target = archive_entry_hardlink(header);  // such an entry has no type
    if (archive_entry_filetype(header) != AE_IFREG && !target) continue;
    ShardMember read;
    read_member(*reader, *header, tar, read);
    if (read.in_place) reached = std::max(reached, read.offset + read.size);
    if (places && target && read.size == 0) {
      if (!*places) *places = places_in(tar);
      const auto found = (*places)->find(plain_name(target));
      if (found == (*places)->end()) {
        read.problem = concat("'", read.name, "' is a link to '", target, "', which is not there");
        member(read);
        continue;
      }
      read.set_in_place(tar, found->second.offset, found->second.size);
    }
    const std::string problem = read.problem;
    member(read);
    if (!problem.empty()) return damaged(problem);
  }

  const std::size_t end = position();
  const std::size_t zeros = std::min(tar.find_first_not_of('\0', end), tar.size()) - end;
  if (end + zeros == tar.size()) {
    if (zeros < 2 * tar_block)
      damage(concat("cut: it ends ", zeros == 0 ? "without an" : "within its",
                    " end mark, at byte ", tar.size()),
             true);
    return tar.size();
  }
  const std::size_t next = next_tar_header(tar, end + zeros / tar_block * tar_block);
  if (next < tar.size())
    damage(concat("an end mark in the middle, at byte ", end,
                  ", where files may be missing; it goes on at byte ", next),
           false);
  else
    damage(concat("something that is no tar behind the end mark, at byte ", end + zeros), true);
  return next;
}

ALBEF_DATA_INLINE ShardFile::Places ShardFile::places_in(std::string_view tar) const {
  Places places;
  const auto member = [&](const ShardMember& read) {
    if (read.in_place) places.insert_or_assign(read.name, Place{read.offset, read.size});
  };
  for (std::size_t at = 0; at < tar.size();)
    at = walk(tar, at, nullptr, member, [](const std::string&, bool) {});
  return places;
}

ALBEF_DATA_INLINE void ShardFile::read_member(archive& reader, archive_entry& header,
                                              std::string_view tar, ShardMember& member) const {
  const char* name = archive_entry_pathname(&header);
  if (!name) name = archive_entry_pathname_utf8(&header);
  member.name = plain_name(name ? name : "");
  member.size = static_cast<std::size_t>(std::max<la_int64_t>(archive_entry_size(&header), 0));
  const bool sparse = archive_entry_sparse_count(&header) > 0;
  if (sparse) {  // holes are not in the file
    if (member.size > limits_.of(tar.size())) {
      member.problem =
          concat("'", member.name, "' is said to have ", member.size, " bytes, most of them holes");
      return;
    }
    member.content.resize(member.size);
  }
  std::size_t got = 0;
  for (;;) {
    const void* block = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(&reader, &block, &size, &offset);
    const char* const data = static_cast<const char*>(block);
    if (status == ARCHIVE_EOF) {
      if (sparse || got == member.size) return;
    } else if (is_usable(status)) {
      const auto at = static_cast<std::size_t>(offset);
      if (sparse) {
        if (at <= member.size && size <= member.size - at)
          std::copy_n(data, size, member.content.begin() + static_cast<std::ptrdiff_t>(at));
      } else if (size == member.size && data >= tar.data() &&
                 data + size <= tar.data() + tar.size()) {
        member.set_in_place(tar, static_cast<std::size_t>(data - tar.data()), size);
      } else {
        member.content.append(data, size);
      }
      got += size;
      continue;
    }
    if (got == member.size && !sparse) return;  // what is missing comes behind it
    member.problem =
        concat("cut or damaged: '", member.name, "' has ", got, " of ", member.size, " bytes",
               status == ARCHIVE_EOF ? "" : concat(" (", archive_problem(reader), ")"));
    return;
  }
}

ALBEF_DATA_INLINE void ShardFile::check_unchanged(const FileDescriptor& fd) const {
  require(identity_of(fd, path_) == identity_, "shard '", path_,
          "' was changed or replaced while it was in use");
}

ALBEF_DATA_INLINE void ShardFile::read(const ShardBytes& kept,
                                       std::vector<std::uint8_t>& bytes) const {
  if (!kept.own.empty() || kept.size == 0) {
    bytes = kept.own;
  } else if (packed_) {
    const char* const first = unpacked_.bytes.data() + kept.offset;
    bytes.assign(first, first + kept.size);
  } else if (fd_.get() >= 0) {
    check_unchanged(fd_);
    read_bytes(fd_, path_, kept.offset, kept.size, bytes);
  } else {
    const OpenedFile file = open_for_reading(path_, Openable::regular_files);
    check_unchanged(file.fd);
    read_bytes(file.fd, path_, kept.offset, kept.size, bytes);
  }
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
