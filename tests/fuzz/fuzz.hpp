// What all fuzz targets share: the input as a file, and the two promises that are tested: only
// albef::Error leaves a reader, and what a reader takes of memory is in proportion to its input.
#pragma once

#include <fcntl.h>
#include <sanitizer/allocator_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "albef/core/error.hpp"

/// Cheap where nothing is lost: an execution holds little, so that freed memory need not wait long
/// to be told from memory in use, and a finding is run again for its stack.
extern "C" inline __attribute__((used, visibility("default"))) const char*
__asan_default_options() {
  return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64:malloc_context_size=0:"
         "detect_stack_use_after_return=0:allocator_release_to_os_interval_ms=-1:"
         "max_malloc_fill_size=0";
}

namespace fuzz {

/// Bytes a reader may hold at once: `fixed`, and `share` for each byte of the input.
struct MemoryLimit {
  std::size_t fixed = 16 << 20, share = 256;
};

/// Ends the run with a report that says what does not hold. (The programs' own output is closed.)
[[noreturn]] inline void finding(const char* what) {
  __sanitizer_report_error_summary(what);
  std::abort();
}

/// Counts what is allocated between begin() and end().
class Memory {
 public:
  static void begin(std::size_t limit) {
    [[maybe_unused]] static const int installed =
        __sanitizer_install_malloc_and_free_hooks(&Memory::taken, &Memory::given);
    held() = 0;
    allowed() = static_cast<std::int64_t>(limit);
  }
  static void end() { allowed() = 0; }

 private:
  static std::int64_t& held() {
    static thread_local std::int64_t bytes = 0;
    return bytes;
  }
  static std::int64_t& allowed() {
    static thread_local std::int64_t bytes = 0;  // 0: nothing is counted
    return bytes;
  }
  static void taken(const volatile void*, std::size_t size) {
    if (allowed() == 0) return;
    held() += static_cast<std::int64_t>(size);
    if (held() <= allowed()) return;
    allowed() = 0;
    finding("more memory is held than the input may cost");
  }
  static void given(const volatile void* memory) {
    if (allowed() == 0 || memory == nullptr) return;
    held() -=
        static_cast<std::int64_t>(__sanitizer_get_allocated_size(const_cast<const void*>(memory)));
  }
};

/// Runs `read`, which may throw albef::Error and nothing else; true if it threw nothing.
template <class F>
bool reads(F&& read) {
  try {
    read();
    return true;
  } catch (const albef::Error&) { return false; }
}

/// The folder for input files: that of this process in TMPDIR, removed at its end.
inline const std::string& folder() {
  struct Folder {
    std::string path = (std::filesystem::temp_directory_path() / "albef-fuzz-XXXXXX").string();
    Folder() {
      if (!::mkdtemp(path.data())) std::abort();
    }
    ~Folder() { std::filesystem::remove_all(path); }
  };
  static const Folder folder;
  return folder.path;
}

/// Writes a file of that name into folder() and returns its path. The file stays open, so that an
/// execution only replaces its bytes, unless a reader gave its name to another.
inline const std::string& file(std::string_view name, std::string_view bytes) {
  struct Open {
    std::string path;
    int fd;
  };
  static std::map<std::string, Open, std::less<>> files;
  auto at = files.find(name);
  if (at == files.end())
    at = files.emplace(name, Open{folder() + "/" + std::string(name), -1}).first;
  auto& [path, fd] = at->second;
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0 || info.st_nlink == 0) {
    if (fd >= 0) ::close(fd);
    fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  }
  if (::pwrite(fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()) ||
      ::ftruncate(fd, static_cast<off_t>(bytes.size())) != 0)
    std::abort();
  return path;
}

/// Stops the run where something must hold.
inline void check(bool holds, const char* what) {
  if (!holds) finding(what);
}

}  // namespace fuzz

/// Defines a target: FUZZ(bytes, limit) { ... } with the input as a std::string_view.
#define FUZZ(bytes, limit)                                                            \
  static void fuzz_one(std::string_view bytes);                                       \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    const fuzz::MemoryLimit allowed = limit;                                          \
    fuzz::Memory::begin(allowed.fixed + allowed.share * size);                        \
    fuzz_one({reinterpret_cast<const char*>(data), size});                            \
    fuzz::Memory::end();                                                              \
    return 0;                                                                         \
  }                                                                                   \
  static void fuzz_one(std::string_view bytes)
