// Whole-file reading, reading at any place, read-only memory maps, and files that appear complete
// or not at all. POSIX.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "albef/core/error.hpp"
#include "albef/core/number.hpp"

namespace albef {
namespace detail {

/// Text of an errno value, e.g. "No space left on device".
inline std::string errno_text(int code) { return std::generic_category().message(code); }

/// Throws what a failed opening or reading of a file is: SystemError where the reason is not the
/// file (too few descriptors, no memory, a device that fails), else Error.
[[noreturn]] inline void fail_reading(const char* what, const std::string& path, int code) {
  const std::string message = concat(what, " '", path, "': ", errno_text(code));
  const bool limit = code == EMFILE || code == ENFILE;
  if (limit) throw SystemError(message + " (a limit of the system, ulimit -n)");
  if (code == ENOMEM || code == EIO || code == ESTALE || code == ENOLCK) throw SystemError(message);
  throw Error(message);
}

/// An open file descriptor, closed on destruction.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct OpenedFile {
  FileDescriptor fd;
  std::size_t size;  // as the file system states it: 0 for pipes and the like
};

/// What may be opened: pipes and devices can block for ever or have no end.
enum class Openable { anything, regular_files };

inline OpenedFile open_for_reading(const std::string& path,
                                   Openable openable = Openable::anything) {
  const bool regular = openable == Openable::regular_files;  // a pipe without writer must not block
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | (regular ? O_NONBLOCK : 0)));
  if (fd.get() < 0) fail_reading("cannot open", path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) fail_reading("cannot read", path, errno);
  if (S_ISDIR(info.st_mode)) fail("cannot read '", path, "': it is a directory, expected a file");
  if (regular && !S_ISREG(info.st_mode))
    fail("cannot read '", path, "': it is a pipe or device, expected a file");
  return {std::move(fd), S_ISREG(info.st_mode) ? static_cast<std::size_t>(info.st_size) : 0};
}

/// Makes it durable that a file has its name.
inline void sync_folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return;  // a folder may be writable but not readable; the file is complete
  if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != ENOTSUP)
    fail("cannot write '", path, "': ", errno_text(errno));
}

}  // namespace detail

/// The bytes of a whole file. Throws Error naming the path and the reason (missing, no permission,
/// a directory, fewer bytes than the file system states).
inline std::string read_file(const std::string& path,
                             detail::Openable openable = detail::Openable::anything) {
  const auto file = detail::open_for_reading(path, openable);
  std::string bytes(file.size + 1, '\0');  // one more than expected: the last read sees the end
  std::size_t got = 0;
  for (;;) {
    const auto n = ::read(file.fd.get(), bytes.data() + got, bytes.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) detail::fail_reading("cannot read", path, errno);
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
    if (got == bytes.size()) bytes.resize(2 * got);
  }
  if (got < file.size)
    fail("short read of '", path, "': got ", got, " bytes, expected ", file.size);
  bytes.resize(got);
  return bytes;
}

/// A file to be read at any place, by any number of threads. What is read is what is there at that
/// moment: bytes that are no longer there are an Error, never a signal.
class ReadableFile {
 public:
  /// Throws Error naming the path: missing, no permission, a directory.
  explicit ReadableFile(std::string path) : path_(std::move(path)) {
    auto [fd, size] = detail::open_for_reading(path_);
    fd_ = std::move(fd);
    size_ = size;
  }
  const std::string& path() const { return path_; }
  /// Bytes when it was opened; 0 for pipes and the like.
  std::uint64_t size() const { return size_; }
  /// Reads `size` bytes from `at` on. Throws Error if there are fewer.
  void read(std::uint64_t at, void* to, std::size_t size) const {
    for (std::size_t got = 0; got < size;) {
      const auto n = ::pread(fd_.get(), static_cast<char*>(to) + got, size - got,
                             static_cast<off_t>(at + got));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail("cannot read '", path_, "': ", detail::errno_text(errno));
      if (n == 0)
        fail("short read of '", path_, "': it ends after ", at + got, " bytes, expected ",
             at + size, " or more");
      got += static_cast<std::size_t>(n);
    }
  }

 private:
  std::string path_;
  detail::FileDescriptor fd_;
  std::uint64_t size_ = 0;
};

/// A regular file mapped read-only; pages are loaded when touched. The bytes stay at one address
/// while the object lives, also when it is moved. The file must not shrink meanwhile.
class MappedFile {
 public:
  MappedFile() = default;
  /// Throws Error naming the path: missing, no permission, a directory, not mappable.
  explicit MappedFile(const std::string& path) {
    const auto file = detail::open_for_reading(path);
    if (file.size == 0) return;  // an empty range cannot be mapped
    void* data = ::mmap(nullptr, file.size, PROT_READ, MAP_PRIVATE, file.fd.get(), 0);
    if (data == MAP_FAILED) detail::fail_reading("cannot map", path, errno);
    bytes_ = {static_cast<const std::byte*>(data), file.size};
  }
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedFile() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// Writes `<path>.tmp-<pid>-<n>` beside the target; commit() syncs it to disk and renames it over
/// the target. Without commit() the destructor removes the temporary file, so an existing file is
/// replaced by a complete one or not at all. A symbolic link is followed; a device or pipe (such as
/// /dev/stdout) is written directly. Every Error names the path and the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path) : path_(std::move(path)) {
    require(!path_.empty(), "cannot write a file: its name is empty");
    resolve_link();
    struct stat info {};
    const bool exists = ::stat(path_.c_str(), &info) == 0;
    if (exists && S_ISDIR(info.st_mode)) fail("cannot write '", path_, "': it is a directory");
    direct_ = exists && !S_ISREG(info.st_mode);
    detail::FileDescriptor fd(direct_ ? ::open(path_.c_str(), O_WRONLY | O_CLOEXEC)
                                      : open_temporary());
    if (fd.get() < 0) fail_with(errno);
    if (exists && !direct_) (void)::fchmod(fd.get(), info.st_mode & 07777);  // keep the mode
    file_ = ::fdopen(fd.get(), "wb");
    if (!file_) abandon(errno);
    fd.release();
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() { discard(); }

  /// Appends `size` bytes.
  void write(const void* data, std::size_t size) {
    require(file_ != nullptr, "write to '", path_, "' after it was committed or failed");
    if (size > 0 && std::fwrite(data, 1, size, file_) != size) abandon(errno);
  }
  void write(std::string_view text) { write(text.data(), text.size()); }

  /// Replaces `text.size()` bytes from `at` on, which were written before. Not where is_direct().
  void overwrite(std::size_t at, std::string_view text) {
    require(file_ != nullptr && !direct_, "overwriting '", path_, "' is not possible");
    if (std::fseek(file_, static_cast<long>(at), SEEK_SET) != 0) abandon(errno);
    write(text);
    if (std::fseek(file_, 0, SEEK_END) != 0) abandon(errno);
  }
  /// Whether what is written leaves at once, as into a pipe.
  bool is_direct() const { return direct_; }

  /// Makes the content durable and gives the file its final name. Call once, at the end.
  void commit() {
    require(file_ != nullptr, "commit of '", path_, "' after it was committed or failed");
    if (std::fflush(file_) != 0) abandon(errno);
    if (::fsync(::fileno(file_)) != 0 && errno != EINVAL && errno != ENOTSUP) abandon(errno);
    if (std::fclose(std::exchange(file_, nullptr)) != 0) abandon(errno);
    if (direct_) return;
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) abandon(errno);
    temporary_.clear();
    detail::sync_folder_of(path_);
  }

  const std::string& path() const { return path_; }

  /// The process that a temporary file is of, by its name; -1 for the name of another file.
  static std::int64_t process_of(std::string_view name) {
    const auto target = target_of(name);
    if (target.empty()) return -1;
    name.remove_prefix(target.size() + infix.size());
    return to_whole<std::int64_t>(name.substr(0, name.find('-'))).value_or(-1);
  }
  /// The name of the file that a temporary one was to become; empty for the name of another file.
  static std::string_view target_of(std::string_view name) {
    const auto at = name.rfind(infix);
    if (at == name.npos) return {};
    const auto numbers = name.substr(at + infix.size());
    const auto dash = numbers.find('-');
    const bool are = dash != numbers.npos && dash > 0 && dash + 1 < numbers.size() &&
                     numbers.find_first_not_of("0123456789-") == numbers.npos &&
                     numbers.rfind('-') == dash;
    return are ? name.substr(0, at) : std::string_view();
  }

 private:
  static constexpr std::string_view infix = ".tmp-";

  void resolve_link() {
    struct stat info {};
    if (::lstat(path_.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return;
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path_.c_str(), nullptr),
                                                           &std::free);
    if (real) path_ = real.get();
  }

  int open_temporary() {
    static std::atomic<unsigned> count{0};
    temporary_ = concat(path_, infix, ::getpid(), '-', count++);
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    int fd = ::open(temporary_.c_str(), flags, 0666);
    if (fd < 0 && errno == EEXIST && ::unlink(temporary_.c_str()) == 0)  // left by a crashed run
      fd = ::open(temporary_.c_str(), flags, 0666);
    if (fd < 0) temporary_.clear();
    return fd;
  }

  void discard() {
    if (file_) std::fclose(std::exchange(file_, nullptr));
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    temporary_.clear();
  }
  [[noreturn]] void fail_with(int code) const {
    fail("cannot write '", path_, "': ", detail::errno_text(code));
  }
  [[noreturn]] void abandon(int code) {
    discard();
    fail_with(code);
  }

  std::string path_, temporary_;
  std::FILE* file_ = nullptr;
  bool direct_ = false;
};

/// Gives a file another name, durably; an older file of that name is replaced.
inline void rename_file(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0)
    fail("cannot rename '", from, "' to '", to, "': ", detail::errno_text(errno));
  detail::sync_folder_of(to);
}

/// Lets `to` be a file with the content of `from`, durably, as a second name where the file system
/// has such, which takes no room and no time, else as a copy. An older file of that name is
/// replaced as a whole or not at all. For files that are only ever replaced, as AtomicFile does it.
inline void link_or_copy(const std::string& from, const std::string& to) {
  const std::string temporary = concat(to, ".tmp-", ::getpid(), "-0");
  ::unlink(temporary.c_str());
  if (::link(from.c_str(), temporary.c_str()) == 0) {
    const bool renamed = std::rename(temporary.c_str(), to.c_str()) == 0;
    const int code = errno;
    ::unlink(temporary.c_str());  // it stays where both were names of one file
    if (!renamed) fail("cannot write '", to, "': ", detail::errno_text(code));
    return detail::sync_folder_of(to);
  }
  const ReadableFile source(from);
  AtomicFile copy(to);
  std::string block(std::size_t{1} << 20, '\0');
  for (std::uint64_t at = 0; at < source.size(); at += block.size()) {
    const auto size = std::min<std::uint64_t>(block.size(), source.size() - at);
    source.read(at, block.data(), size);
    copy.write(block.data(), size);
  }
  copy.commit();
}

/// Writes a whole file atomically; see AtomicFile.
inline void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace albef
