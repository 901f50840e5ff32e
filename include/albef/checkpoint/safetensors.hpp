// Reader and writer of the safetensors format: an 8-byte little-endian header size, a JSON header
// {name: {dtype, shape, data_offsets}}, raw little-endian data. Neither holds whole checkpoints.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/file.hpp"

namespace albef {

static_assert(std::endian::native == std::endian::little,
              "safetensors data is little-endian; this machine is not");

/// Element types of the format.
enum class DType {
  BOOL,
  U8,
  I8,
  F8_E4M3,
  F8_E5M2,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  I64,
  U64,
  F64
};

namespace detail {

struct DTypeInfo {
  const char* name;
  int bytes;
};
inline constexpr std::array<DTypeInfo, 15> dtype_infos{{{"BOOL", 1},
                                                        {"U8", 1},
                                                        {"I8", 1},
                                                        {"F8_E4M3", 1},
                                                        {"F8_E5M2", 1},
                                                        {"I16", 2},
                                                        {"U16", 2},
                                                        {"F16", 2},
                                                        {"BF16", 2},
                                                        {"I32", 4},
                                                        {"U32", 4},
                                                        {"F32", 4},
                                                        {"I64", 8},
                                                        {"U64", 8},
                                                        {"F64", 8}}};

struct Bfloat16Bits {
  std::uint16_t bits;
  operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};

struct HalfBits {
  std::uint16_t bits;
  operator float() const {
    const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
    float value;
    if (exponent == 31)
      value = fraction ? std::numeric_limits<float>::quiet_NaN()
                       : std::numeric_limits<float>::infinity();
    else if (exponent == 0)
      value = std::ldexp(static_cast<float>(fraction), -24);
    else
      value = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    return bits & 0x8000 ? -value : value;
  }
};

/// Copies `count` elements of type From (stored unaligned) to T. Integers must fit; `first` is the
/// number of the first one.
template <class From, class T>
void convert(const std::byte* data, T* out, std::size_t count, std::size_t first,
             const std::string& where) {
  if constexpr (std::is_integral_v<T> && !std::is_integral_v<From>) {
    fail(where, ": holds fractions, expected whole numbers");
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      From value;
      std::memcpy(&value, data + i * sizeof(From), sizeof(From));
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
        require(std::in_range<T>(value), where, ": value ", value, " at ", first + i,
                " does not fit the integer type asked for");
      out[i] = static_cast<T>(value);
    }
  }
}

/// The number of the first value that is not finite, or `count`.
template <class T>
std::size_t first_not_finite(const void* data, std::size_t count) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits exponent = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
  const auto* bytes = static_cast<const std::byte*>(data);
  const auto is_finite = [&](std::size_t i) {
    Bits bits;
    std::memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
    return (bits & exponent) != exponent;
  };
  std::size_t i = 0;
  for (constexpr std::size_t block = 64; i + block <= count; i += block) {
    Bits bits[block], bad = 0;
    std::memcpy(bits, bytes + i * sizeof(Bits), sizeof bits);
    for (const Bits b : bits) bad |= static_cast<Bits>((b & exponent) == exponent);
    if (bad) break;
  }
  while (i < count && is_finite(i)) ++i;
  return i;
}

}  // namespace detail

const char* dtype_name(DType type);
/// Bytes of one element.
int dtype_bytes(DType type);
/// The DType of a C++ element type.
template <class T>
constexpr DType dtype_of() {
  static_assert(std::is_arithmetic_v<T>, "dtype_of: not a number type");
  if constexpr (std::is_same_v<T, bool>)
    return DType::BOOL;
  else if constexpr (std::is_floating_point_v<T>)
    return sizeof(T) == 4 ? DType::F32 : DType::F64;
  else if constexpr (sizeof(T) == 1)
    return std::is_signed_v<T> ? DType::I8 : DType::U8;
  else if constexpr (sizeof(T) == 2)
    return std::is_signed_v<T> ? DType::I16 : DType::U16;
  else if constexpr (sizeof(T) == 4)
    return std::is_signed_v<T> ? DType::I32 : DType::U32;
  else
    return std::is_signed_v<T> ? DType::I64 : DType::U64;
}

/// "(4, 17, 64)"; a scalar is "()".
std::string shape_text(const std::vector<std::int64_t>& shape);

/// One tensor of an open file.
struct TensorEntry {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape = {};  // a scalar has none
  std::uint64_t begin = 0, bytes = 0;    // its place in the file
  std::string checksum = {};             // of its bytes; empty: the file says none

  std::int64_t elements() const;
};

/// An open safetensors file, whose header has been checked. Its tensors are read in pieces and so
/// need no memory by themselves; a file that is cut short or replaced meanwhile does no harm.
///
/// Files that write_safetensors() made have a checksum of the header, which is checked when the
/// file is opened, and one of each tensor, which is checked by verify() and read().
class SafeTensors {
 public:
  /// Throws Error naming the file and, where there is one, the tensor: sizes that do not fit, a
  /// header that is not JSON of the expected form, unknown dtypes, repeated names, data that
  /// overlaps or leaves bytes unused (as the reference implementation does), a header other than
  /// the one that was written.
  static SafeTensors open(const std::string& path) { return SafeTensors(path); }

  const std::string& path() const { return file_.path(); }
  /// All tensors, sorted by name.
  const std::vector<TensorEntry>& entries() const { return entries_; }
  /// The free-form text entries of `__metadata__`, without the checksums.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// The entry, or null if there is none of that name.
  const TensorEntry* find(std::string_view name) const;
  /// The entry; Error if there is none of that name.
  const TensorEntry& at(std::string_view name) const;

  /// Calls f(bytes, at) for the bytes of a tensor piece by piece, at from 0 on; all pieces but the
  /// last are of piece_bytes. Error if the file has become shorter.
  using TakeBytes = std::function<void(std::span<const std::byte> bytes, std::uint64_t at)>;
  void pieces(const TensorEntry& entry, const TakeBytes& f) const;
  static constexpr std::size_t piece_bytes = std::size_t{1} << 17;

  /// Reads a tensor through, also calling f as above where it is given, and throws Error naming it
  /// if its bytes are not those that were written.
  void verify(const TensorEntry& entry, const TakeBytes& f = {}) const;
  /// All tensors.
  void verify() const {
    for (const TensorEntry& entry : entries_) verify(entry);
  }

  /// Calls f(values, count, first) for the values of a tensor piece by piece. Floats are read from
  /// any type but the 8-bit floats; whole numbers only from whole numbers that fit. Verifies it
  /// meanwhile, unless that was done before.
  template <class T, class F>
  void values(const TensorEntry& entry, F&& f, bool verified = false) const;
  /// A typed copy, converted and verified like that.
  template <class T>
  std::vector<T> read(std::string_view name) const {
    return read<T>(at(name));
  }
  template <class T>
  std::vector<T> read(const TensorEntry& entry) const {
    std::vector<T> out;
    out.reserve(static_cast<std::size_t>(entry.elements()));
    values<T>(entry, [&](const auto* values, std::size_t count, std::size_t) {
      out.insert(out.end(), values, values + count);
    });
    return out;
  }

 private:
  explicit SafeTensors(const std::string& path);

  void read_metadata(const nlohmann::json& item);

  void read_entry(const std::string& name, const nlohmann::json& item, std::uint64_t data_bytes);

  /// The tensors must tile the data: no overlap, no unused bytes.
  void check_layout(std::uint64_t data_bytes) const;

  /// Takes the checksums out of the metadata, and checks that of the header.
  void take_checksums(std::string_view header);

  static constexpr std::uint64_t max_header = 100'000'000;  // limit of the format

  ReadableFile file_;
  std::uint64_t data_begin_ = 0;
  std::vector<TensorEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

template <class T, class F>
void SafeTensors::values(const TensorEntry& entry, F&& f, bool verified) const {
  using Stored = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>;  // vector<bool>
  const std::string where = concat(path(), ": tensor '", entry.name, "'");
  std::vector<Stored> values;
  const auto from = [&]<class From>(From) {
    const auto take = [&](std::span<const std::byte> bytes, std::uint64_t at) {
      const std::size_t count = bytes.size() / sizeof(From), first = at / sizeof(From);
      if constexpr (std::is_same_v<From, Stored>) {  // pieces are aligned
        f(reinterpret_cast<const Stored*>(bytes.data()), count, first);
      } else {
        values.resize(count);
        detail::convert<From>(bytes.data(), values.data(), count, first, where);
        f(static_cast<const Stored*>(values.data()), count, first);
      }
    };
    verified ? pieces(entry, take) : verify(entry, take);
  };
  switch (entry.dtype) {
    case DType::BOOL:
    case DType::U8:
      return from(std::uint8_t{});
    case DType::I8:
      return from(std::int8_t{});
    case DType::I16:
      return from(std::int16_t{});
    case DType::U16:
      return from(std::uint16_t{});
    case DType::F16:
      return from(detail::HalfBits{});
    case DType::BF16:
      return from(detail::Bfloat16Bits{});
    case DType::I32:
      return from(std::int32_t{});
    case DType::U32:
      return from(std::uint32_t{});
    case DType::F32:
      return from(float{});
    case DType::I64:
      return from(std::int64_t{});
    case DType::U64:
      return from(std::uint64_t{});
    case DType::F64:
      return from(double{});
    case DType::F8_E4M3:
    case DType::F8_E5M2:
      fail(where, ": 8-bit floats (", dtype_name(entry.dtype), ") are not read");
  }
}

/// A tensor to be written: `data` points at all its bytes, or `produce` hands them over in pieces
/// (for data that must first be fetched or converted) by calling its argument.
struct TensorSource {
  using Put = std::function<void(const void* data, std::size_t bytes)>;

  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  const void* data = nullptr;
  std::function<void(const Put& put)> produce = {};
  bool finite = false;  ///< F32 and F64: a value that is not finite is an Error
};

/// A tensor of an open file, to be written into another one; the file must live until then.
TensorSource source_of(const SafeTensors& file, const TensorEntry& entry);

/// How tensors follow each other in a file: as given, or wide types first and then by name (which
/// keeps every tensor aligned to its type, as the reference implementation does).
enum class TensorOrder { given, sorted };

/// Writes a safetensors file atomically (see AtomicFile), one tensor after the other. Throws Error
/// naming the file and tensor: repeated or reserved names, negative sizes, a producer that hands
/// over more or fewer bytes than the shape needs, values that must be finite and are not, failed
/// I/O. The old file stays in that case.
///
/// `__metadata__` also gets "checksum.header", of the size and the header with 0s in the place of
/// that number, and "checksum.tensors", one after the other in the order of the tensors' names
/// (bytes compared): XXH64 as 16 hexadecimal digits each. A program that changes tensors and keeps
/// the metadata must leave out both.
void write_safetensors(const std::string& path, const std::vector<TensorSource>& tensors,
                       const std::map<std::string, std::string>& metadata = {},
                       TensorOrder order = TensorOrder::sorted);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include "albef/checkpoint/checksum.hpp"
#include "albef/core/json.hpp"

namespace albef::detail {

inline constexpr std::string_view header_checksum = "checksum.header",
                                  tensor_checksums = "checksum.tensors";

/// Where the digits of a header's own checksum are in it, or npos.
inline std::size_t find_header_checksum(std::string_view header) {
  const std::string key =
      concat('"', header_checksum, "\":\"");  // quotes in texts have a backslash
  const auto at = header.find(key);
  return at == header.npos || header.size() < at + key.size() + Checksum::digits ? header.npos
                                                                                 : at + key.size();
}
/// The checksum of a header whose own is at `at`.
inline std::string checksum_of_header(std::string_view header, std::size_t at) {
  const std::uint64_t size = header.size();
  const std::string zeros(Checksum::digits, '0');
  Checksum sum;
  sum.add(&size, sizeof size);
  sum.add(header.data(), at);
  sum.add(zeros.data(), zeros.size());
  sum.add(header.data() + at + zeros.size(), header.size() - at - zeros.size());
  return sum.text();
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE const char* dtype_name(DType type) {
  return detail::dtype_infos[static_cast<std::size_t>(type)].name;
}

ALBEF_DATA_INLINE int dtype_bytes(DType type) {
  return detail::dtype_infos[static_cast<std::size_t>(type)].bytes;
}

ALBEF_DATA_INLINE std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

ALBEF_DATA_INLINE std::int64_t TensorEntry::elements() const {
  return static_cast<std::int64_t>(bytes) / dtype_bytes(dtype);
}

ALBEF_DATA_INLINE const TensorEntry* SafeTensors::find(std::string_view name) const {
  const auto it = std::lower_bound(entries_.begin(), entries_.end(), name,
                                   [](const auto& e, std::string_view n) { return e.name < n; });
  return it != entries_.end() && it->name == name ? &*it : nullptr;
}

ALBEF_DATA_INLINE const TensorEntry& SafeTensors::at(std::string_view name) const {
  const TensorEntry* entry = find(name);
  require(entry != nullptr, path(), ": has no tensor '", name, "'");
  return *entry;
}

ALBEF_DATA_INLINE SafeTensors::SafeTensors(const std::string& path) : file_(path) {
  require(file_.size() >= 8, path, ": has ", file_.size(),
          " bytes, a safetensors file starts with an 8-byte header size");
  std::uint64_t header_size = 0;
  file_.read(0, &header_size, 8);
  require(header_size <= file_.size() - 8 && header_size <= max_header, path, ": header size ",
          header_size, " is beyond the file's ", file_.size(),
          " bytes; not a safetensors file, or cut off");
  std::string header(header_size, '\0');
  file_.read(8, header.data(), header.size());
  data_begin_ = 8 + header_size;
  const std::uint64_t data_bytes = file_.size() - data_begin_;
  const auto start = header.find_first_not_of(" \t\r\n");
  const auto take = [&](const JsonPath& place, const nlohmann::json& item) {
    require(header[start] == '{', path, ": the header is not a JSON object");
    if (place.back() == "__metadata__")
      read_metadata(item);
    else
      read_entry(place.back(), item, data_bytes);
  };
  const auto rest = [&] {
    try {
      return for_each_json(header, 1, take);
    } catch (const JsonError& error) { fail(path, ": the header is not JSON: ", error.what()); }
  }();
  require(rest.is_object(), path, ": the header is not a JSON object");
  std::sort(entries_.begin(), entries_.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  const auto twice = std::adjacent_find(entries_.begin(), entries_.end(),
                                        [](auto& a, auto& b) { return a.name == b.name; });
  if (twice != entries_.end())
    fail(path, ": tensor '", twice->name, "' appears twice in the header");
  take_checksums(header);
  check_layout(data_bytes);
}

ALBEF_DATA_INLINE void SafeTensors::read_metadata(const nlohmann::json& item) {
  require(item.is_object(), path(), ": __metadata__ is not an object");
  for (const auto& [key, value] : item.items()) {
    require(value.is_string(), path(), ": __metadata__ entry '", key, "' is not text");
    metadata_[key] = value.get<std::string>();
  }
}

ALBEF_DATA_INLINE void SafeTensors::read_entry(const std::string& name, const nlohmann::json& item,
                                               std::uint64_t data_bytes) {
  const std::string where = concat(path(), ": tensor '", name, "'");
  const auto member = [&](const char* key) -> const nlohmann::json& {
    const auto it = item.find(key);
    require(it != item.end(), where, " has no '", key, "'");
    return *it;
  };
  require(item.is_object(), where, " is not described by an object");
  const nlohmann::json &dtype = member("dtype"), &shape = member("shape"),
                       &offsets = member("data_offsets");
  TensorEntry entry{name};

  const std::string type_name = dtype.is_string() ? dtype.get<std::string>() : dtype.dump();
  const auto& infos = detail::dtype_infos;
  const auto info =
      std::find_if(infos.begin(), infos.end(), [&](const auto& i) { return type_name == i.name; });
  require(info != infos.end(), where, " has unknown dtype ", type_name);
  entry.dtype = static_cast<DType>(info - infos.begin());

  constexpr auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  require(shape.is_array(), where, " has a shape that is not a list");
  auto bytes = static_cast<std::uint64_t>(info->bytes);
  for (const auto& n : shape) {
    require(n.is_number_unsigned() && n.get<std::uint64_t>() <= limit, where, " has shape ",
            shape.dump(), ", expected whole numbers from 0");
    const auto size = n.get<std::uint64_t>();
    require(size == 0 || bytes <= limit / size, where, " has shape ", shape.dump(),
            ", which overflows");
    bytes *= size;
    entry.shape.push_back(static_cast<std::int64_t>(size));
  }

  require(offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() &&
              offsets[1].is_number_unsigned(),
          where, " has data_offsets ", offsets.dump(), ", expected [begin, end]");
  const auto begin = offsets[0].get<std::uint64_t>(), end = offsets[1].get<std::uint64_t>();
  require(begin <= end && end <= data_bytes, where, " has data_offsets ", offsets.dump(),
          " outside the file's ", data_bytes, " bytes of data");
  require(end - begin == bytes, where, " has ", end - begin, " bytes, but ", info->name, ' ',
          shape_text(entry.shape), " needs ", bytes);
  entry.begin = data_begin_ + begin;
  entry.bytes = bytes;
  entries_.push_back(std::move(entry));
}

ALBEF_DATA_INLINE void SafeTensors::check_layout(std::uint64_t data_bytes) const {
  std::vector<const TensorEntry*> order;
  for (const auto& entry : entries_) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const TensorEntry* a, const TensorEntry* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->bytes < b->bytes;
  });
  std::uint64_t end = data_begin_;
  for (const TensorEntry* entry : order) {
    require(entry->begin >= end, path(), ": tensor '", entry->name, "' overlaps the one before it");
    require(entry->begin == end, path(), ": unused bytes before tensor '", entry->name, "'");
    end += entry->bytes;
  }
  require(end == data_begin_ + data_bytes, path(), ": ", data_begin_ + data_bytes - end,
          " bytes after the last tensor belong to none");
}

ALBEF_DATA_INLINE void SafeTensors::take_checksums(std::string_view header) {
  const auto own = metadata_.extract(std::string(detail::header_checksum)),
             all = metadata_.extract(std::string(detail::tensor_checksums));
  if (own.empty() && all.empty()) return;
  const auto at = detail::find_header_checksum(header);
  const auto list = all.empty() ? std::string_view() : std::string_view(all.mapped());
  require(!own.empty() && at != header.npos &&
              own.mapped() == detail::checksum_of_header(header, at) &&
              list.size() == entries_.size() * Checksum::digits,
          path(), ": the header is damaged: it is not the one its checksum was made of");
  for (std::size_t i = 0; i < entries_.size(); ++i)
    entries_[i].checksum = list.substr(i * Checksum::digits, Checksum::digits);
}

ALBEF_DATA_INLINE void SafeTensors::pieces(const TensorEntry& entry, const TakeBytes& f) const {
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(
      std::min<std::uint64_t>(piece_bytes, entry.bytes));
  for (std::uint64_t at = 0; at < entry.bytes; at += piece_bytes) {
    const std::size_t size = std::min<std::uint64_t>(piece_bytes, entry.bytes - at);
    file_.read(entry.begin + at, buffer.get(), size);
    f(std::span<const std::byte>(buffer.get(), size), at);
  }
}

ALBEF_DATA_INLINE void SafeTensors::verify(const TensorEntry& entry, const TakeBytes& f) const {
  Checksum sum;
  pieces(entry, [&](std::span<const std::byte> bytes, std::uint64_t at) {
    if (!entry.checksum.empty()) sum.add(bytes.data(), bytes.size());
    if (f) f(bytes, at);
  });
  require(entry.checksum.empty() || entry.checksum == sum.text(), path(), ": tensor '", entry.name,
          "' is damaged: its bytes are not those its checksum was made of");
}

ALBEF_DATA_INLINE TensorSource source_of(const SafeTensors& file, const TensorEntry& entry) {
  TensorSource source{entry.name, entry.dtype, entry.shape};
  source.produce = [&file, &entry](const TensorSource::Put& put) {
    file.verify(entry, [&](std::span<const std::byte> bytes, std::uint64_t) {
      put(bytes.data(), bytes.size());
    });
  };
  return source;
}

ALBEF_DATA_INLINE void write_safetensors(const std::string& path,
                                         const std::vector<TensorSource>& tensors,
                                         const std::map<std::string, std::string>& metadata,
                                         TensorOrder order) {
  std::vector<const TensorSource*> sources;
  for (const auto& tensor : tensors) sources.push_back(&tensor);
  if (order == TensorOrder::sorted)
    std::sort(sources.begin(), sources.end(), [](const TensorSource* a, const TensorSource* b) {
      const int bytes_a = dtype_bytes(a->dtype), bytes_b = dtype_bytes(b->dtype);
      return bytes_a != bytes_b ? bytes_a > bytes_b : a->name < b->name;
    });

  // Checksums are filled in when the data is known; their place is where 0s are.
  std::map<std::string, std::string> texts = metadata;
  texts[std::string(detail::header_checksum)] = std::string(Checksum::digits, '0');
  texts[std::string(detail::tensor_checksums)] =
      std::string(Checksum::digits * sources.size(), '0');
  std::string text;
  const auto add_to_header = [&](const std::string& name, const nlohmann::ordered_json& value) {
    try {
      text += (text.empty() ? "{" : ",") + nlohmann::json(name).dump() + ':' + value.dump();
    } catch (const nlohmann::json::exception& e) {
      fail(path, ": a tensor name or metadata entry is not UTF-8: ", e.what());
    }
  };
  add_to_header("__metadata__", texts);
  std::vector<std::uint64_t> sizes;
  std::map<std::string_view, std::string> checksums;  // by name
  std::uint64_t offset = 0;
  for (const TensorSource* source : sources) {
    const std::string where = concat(path, ": tensor '", source->name, "'");
    require(source->name != "__metadata__", where, ": the name is reserved");
    require(checksums.emplace(source->name, "").second, where, " is given twice");
    auto bytes = static_cast<std::uint64_t>(dtype_bytes(source->dtype));
    for (const auto n : source->shape) {
      require(n >= 0, where, " has shape ", shape_text(source->shape));
      bytes *= static_cast<std::uint64_t>(n);
    }
    require(bytes == 0 || source->data || source->produce, where, " has no data");
    add_to_header(source->name, {{"dtype", dtype_name(source->dtype)},
                                 {"shape", source->shape},
                                 {"data_offsets", {offset, offset + bytes}}});
    offset += bytes;
    sizes.push_back(bytes);
  }

  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const auto complete_header = [&] {
    std::string list;
    for (const auto& [name, sum] : checksums) list += sum;
    const std::string key = concat('"', detail::tensor_checksums, "\":\"");
    text.replace(text.find(key) + key.size(), list.size(), list);
    const auto at = detail::find_header_checksum(text);
    text.replace(at, Checksum::digits, detail::checksum_of_header(text, at));
  };

  const auto for_data = [&](const TensorSource::Put& take) {
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const TensorSource& source = *sources[i];
      const auto width = static_cast<std::size_t>(dtype_bytes(source.dtype));
      std::uint64_t written = 0;
      Checksum sum;
      const auto put = [&](const void* data, std::size_t bytes) {
        require(written + bytes <= sizes[i], path, ": tensor '", source.name, "' got more than ",
                sizes[i], " bytes");
        if (source.finite && (source.dtype == DType::F32 || source.dtype == DType::F64)) {
          const std::size_t bad = source.dtype == DType::F32
                                      ? detail::first_not_finite<float>(data, bytes / width)
                                      : detail::first_not_finite<double>(data, bytes / width);
          require(bad == bytes / width, path, ": tensor '", source.name, "' is not finite at ",
                  written / width + bad, ": nothing was saved");
        }
        written += bytes;
        sum.add(data, bytes);
        take(data, bytes);
      };
      if (source.produce) {
        source.produce(put);
      } else {  // in pieces that a cache holds while they are checked, summed and written
        constexpr std::uint64_t piece = 1 << 17;
        const auto* data = static_cast<const std::byte*>(source.data);
        for (std::uint64_t at = 0; at < sizes[i]; at += piece)
          put(data + at, static_cast<std::size_t>(std::min(piece, sizes[i] - at)));
      }
      require(written == sizes[i], path, ": tensor '", source.name, "' got ", written,
              " bytes, expected ", sizes[i]);
      checksums[source.name] = sum.text();
    }
  };

  AtomicFile file(path);
  const std::uint64_t header_size = text.size();
  if (file.is_direct()) {  // the header cannot be completed later
    for_data([](const void*, std::size_t) {});
    complete_header();
  }
  file.write(&header_size, sizeof header_size);
  file.write(text);
  for_data([&](const void* data, std::size_t bytes) { file.write(data, bytes); });
  if (!file.is_direct()) {
    complete_header();
    file.overwrite(sizeof header_size, text);
  }
  file.commit();
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
