// Whole-file reading, read-only memory maps, and files that appear complete or not at all. POSIX.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "albef/core/error.hpp"

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

  /// Makes the content durable and gives the file its final name. Call once, at the end.
  void commit() {
    require(file_ != nullptr, "commit of '", path_, "' after it was committed or failed");
    if (std::fflush(file_) != 0) abandon(errno);
    if (::fsync(::fileno(file_)) != 0 && errno != EINVAL && errno != ENOTSUP) abandon(errno);
    if (std::fclose(std::exchange(file_, nullptr)) != 0) abandon(errno);
    if (direct_) return;
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) abandon(errno);
    temporary_.clear();
    sync_folder();
  }

  const std::string& path() const { return path_; }

 private:
  void resolve_link() {
    struct stat info {};
    if (::lstat(path_.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return;
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path_.c_str(), nullptr),
                                                           &std::free);
    if (real) path_ = real.get();
  }

  int open_temporary() {
    static std::atomic<unsigned> count{0};
    temporary_ = concat(path_, ".tmp-", ::getpid(), '-', count++);
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    int fd = ::open(temporary_.c_str(), flags, 0666);
    if (fd < 0 && errno == EEXIST && ::unlink(temporary_.c_str()) == 0)  // left by a crashed run
      fd = ::open(temporary_.c_str(), flags, 0666);
    if (fd < 0) temporary_.clear();
    return fd;
  }

  void sync_folder() const {
    const auto slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    const detail::FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) return;  // a folder may be writable but not readable; the file is complete
    if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != ENOTSUP) fail_with(errno);
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

/// Writes a whole file atomically; see AtomicFile.
inline void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace albef
