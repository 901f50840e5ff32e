// Reads a stretch of a file into a reused buffer; safe to call from many threads.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"

namespace albef::detail {

/// Replaces `bytes` by `size` bytes of a file. Throws Error naming the path if it has fewer.
void read_bytes(const FileDescriptor& fd, const std::string& path, std::size_t offset,
                std::size_t size, std::vector<std::uint8_t>& bytes);

}  // namespace albef::detail

#if ALBEF_DATA_DEFINITIONS

namespace albef::detail {

ALBEF_DATA_INLINE void read_bytes(const FileDescriptor& fd, const std::string& path,
                                  std::size_t offset, std::size_t size,
                                  std::vector<std::uint8_t>& bytes) {
  bytes.resize(size);
  for (std::size_t got = 0; got < size;) {
    const auto n =
        ::pread(fd.get(), bytes.data() + got, size - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_reading("cannot read", path, errno);
    if (n == 0)
      fail("'", path, "' ends at byte ", offset + got, ", expected ", offset + size, " bytes");
    got += static_cast<std::size_t>(n);
  }
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
