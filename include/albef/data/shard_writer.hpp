// Writing WebDataset shards: a picture and its JSON per record, in a tar of the same bytes on every
// run.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"

namespace albef {

/// Writes one plain tar, atomically: it appears with commit(). Every Error names the path.
class ShardWriter {
 public:
  explicit ShardWriter(const std::string& path);
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  /// Adds a file, e.g. "train/0001.png". The files of a record follow each other and have the same
  /// name up to the first dot.
  void add(const std::string& name, std::string_view content);
  void add(const std::string& name, std::span<const std::uint8_t> content);

  /// Ends the tar and gives the file its name. Call once, at the end.
  void commit();

 private:
  /// Exceptions must not pass through libarchive, which is C.
  static la_ssize_t on_write(archive*, void* self, const void* data, std::size_t size) noexcept;
  void check(la_ssize_t status);

  AtomicFile file_;
  std::exception_ptr error_;
  std::unique_ptr<archive, decltype(&archive_write_free)> tar_;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE ShardWriter::ShardWriter(const std::string& path)
    : file_(path), tar_(archive_write_new(), &archive_write_free) {
  require(tar_ != nullptr, "cannot write '", path, "': out of memory");
  check(archive_write_set_format_ustar(tar_.get()));
  check(archive_write_set_bytes_in_last_block(tar_.get(), 1));
  check(archive_write_open(tar_.get(), this, nullptr, on_write, nullptr));
}

ALBEF_DATA_INLINE void ShardWriter::add(const std::string& name, std::string_view content) {
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                            &archive_entry_free);
  require(entry != nullptr, "cannot write '", file_.path(), "': out of memory");
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_mtime(entry.get(), 0, 0);
  check(archive_write_header(tar_.get(), entry.get()));
  check(archive_write_data(tar_.get(), content.data(), content.size()));
}

ALBEF_DATA_INLINE void ShardWriter::add(const std::string& name,
                                        std::span<const std::uint8_t> content) {
  add(name, {reinterpret_cast<const char*>(content.data()), content.size()});
}

ALBEF_DATA_INLINE void ShardWriter::commit() {
  check(archive_write_close(tar_.get()));
  file_.commit();
}

ALBEF_DATA_INLINE la_ssize_t ShardWriter::on_write(archive*, void* self, const void* data,
                                                   std::size_t size) noexcept {
  auto& writer = *static_cast<ShardWriter*>(self);
  try {
    writer.file_.write(data, size);
    return static_cast<la_ssize_t>(size);
  } catch (...) {
    writer.error_ = std::current_exception();
    return -1;
  }
}

ALBEF_DATA_INLINE void ShardWriter::check(la_ssize_t status) {
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  if (status >= 0) return;
  const char* const text = archive_error_string(tar_.get());
  fail("cannot write '", file_.path(), "': ", text ? text : "unknown error");
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
