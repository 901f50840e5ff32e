// Unpacking files that are compressed as a whole, in memory and within limits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"

namespace albef {

/// How large a packed file may become: `factor` times its size, and `always` bytes in any case.
/// What a data set is made of packs to a tenth at most, or to a thousandth if it was made to do
/// harm.
struct UnpackLimits {
  std::size_t factor = 256;
  std::size_t always = std::size_t{64} << 20;

  /// The bytes that `packed` ones may become.
  std::size_t of(std::size_t packed) const {
    return std::max(
        always, packed > max_size / std::max<std::size_t>(factor, 1) ? max_size : packed * factor);
  }

 private:
  static constexpr std::size_t max_size = static_cast<std::size_t>(-1) / 2;
};

namespace detail {

/// What a packer's file held.
struct Unpacked {
  std::string bytes;
  std::string problem;  ///< empty: all of it; else why there is no more or it cannot be trusted
};

/// The packer whose mark a file begins with: "gzip", "bzip2", "xz", "zstd", "lz4", "lzip" or
/// "compress"; nullptr for others.
const char* packer_of(std::string_view bytes);

/// Unpacks a file, once: what is packed in itself twice stays packed. Several gzip files one behind
/// the other are one. All packers' checksums are verified, and no other program is started. For
/// more bytes than the limit, or a packer that libarchive was built without, there are none.
Unpacked unpack(std::string_view packed, const UnpackLimits& limits = {});

}  // namespace detail
}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>
#include <memory>
#include <new>
#include <vector>

namespace albef::detail {

struct Packer {
  const char* name;
  std::string_view mark;
  int (*support)(archive*);  // libarchive's filter; nullptr: zlib, which verifies the checksum
};

inline constexpr Packer packers[] = {
    {"gzip", {"\x1f\x8b\x08", 3}, nullptr},
    {"bzip2", {"BZh", 3}, &archive_read_support_filter_bzip2},
    {"xz",
     {"\xfd"
      "7zXZ\0",
      6},
     &archive_read_support_filter_xz},
    {"zstd", {"\x28\xb5\x2f\xfd", 4}, &archive_read_support_filter_zstd},
    {"lz4", {"\x04\x22\x4d\x18", 4}, &archive_read_support_filter_lz4},
    {"lzip", {"LZIP", 4}, &archive_read_support_filter_lzip},
    {"compress", {"\x1f\x9d", 2}, &archive_read_support_filter_compress},
};

inline const Packer* find_packer(std::string_view bytes) {
  for (const Packer& packer : packers)
    if (bytes.starts_with(packer.mark)) return &packer;
  return nullptr;
}

ALBEF_DATA_INLINE const char* packer_of(std::string_view bytes) {
  const Packer* const packer = find_packer(bytes);
  return packer ? packer->name : nullptr;
}

/// Appends to `out` within a limit.
class UnpackedBytes {
 public:
  UnpackedBytes(std::size_t packed, const UnpackLimits& limits, std::string& out)
      : packed_(packed), limit_(limits.of(packed)), out_(out) {}

  void append(std::string_view bytes) {
    if (bytes.size() > limit_ - out_.size())
      fail("its ", packed_, " bytes unpack to more than ", limit_,
           ", the limit for a file of that size; unpack it beforehand if it is what it should be");
    out_ += bytes;
  }

 private:
  std::size_t packed_, limit_;
  std::string& out_;
};

inline std::string unpack_gzip(std::string_view packed, UnpackedBytes out) {
  z_stream stream{};
  constexpr int with_gzip_header = 15 + 16;
  if (inflateInit2(&stream, with_gzip_header) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> cleanup(&stream, &inflateEnd);
  std::vector<char> block(std::size_t{1} << 16);
  for (std::size_t read = 0;;) {
    const auto given = std::min<std::size_t>(packed.size() - read, std::size_t{1} << 30);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + read));
    stream.avail_in = static_cast<uInt>(given);
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = static_cast<uInt>(block.size());
    const int status = inflate(&stream, Z_NO_FLUSH);
    out.append({block.data(), block.size() - stream.avail_out});
    read += given - stream.avail_in;
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status == Z_STREAM_END) {
      const std::string_view rest = packed.substr(read);
      if (rest.find_first_not_of('\0') == rest.npos) return {};  // tapes fill up with zeros
      if (!rest.starts_with("\x1f\x8b"))
        return concat("byte ", read, " begins something that is not gzip");
      inflateReset(&stream);
    } else if (status == Z_BUF_ERROR && read == packed.size()) {
      return concat("gzip: the file is cut off after ", read, " bytes");
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      return concat("gzip: damaged before byte ", read, " (",
                    stream.msg ? stream.msg : "a dictionary is needed", ")");
    }
  }
}

inline std::string unpack_by(const Packer& packer, std::string_view packed, UnpackedBytes out) {
  const std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(),
                                                                      &archive_read_free);
  if (!reader) throw std::bad_alloc();
  // A warning: libarchive would start a program of that name.
  require(packer.support(reader.get()) == ARCHIVE_OK, "it is packed with ", packer.name,
          ", which this libarchive was built without");
  archive_read_support_format_raw(reader.get());
  const auto problem = [&] {
    const char* const text = archive_error_string(reader.get());
    return concat(packer.name, ": ", text ? text : "damaged");
  };
  archive_entry* entry = nullptr;
  if (archive_read_open_memory(reader.get(), packed.data(), packed.size()) != ARCHIVE_OK)
    return problem();
  const int status = archive_read_next_header(reader.get(), &entry);
  if (status == ARCHIVE_EOF) return {};  // nothing in it
  if (status < ARCHIVE_WARN) return problem();
  for (;;) {
    const void* block = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int got = archive_read_data_block(reader.get(), &block, &size, &offset);
    if (got == ARCHIVE_EOF) return {};
    if (got < ARCHIVE_WARN) return problem();
    out.append({static_cast<const char*>(block), size});
  }
}

ALBEF_DATA_INLINE Unpacked unpack(std::string_view packed, const UnpackLimits& limits) {
  const Packer* const packer = find_packer(packed);
  require(packer != nullptr, "it is not packed");
  Unpacked result;
  UnpackedBytes out(packed.size(), limits, result.bytes);
  try {
    result.problem = packer->support ? unpack_by(*packer, packed, out) : unpack_gzip(packed, out);
  } catch (const Error& error) { return {{}, error.what()}; }
  return result;
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
