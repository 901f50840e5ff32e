// Reader and writer of the safetensors format: an 8-byte little-endian header size, a JSON header
// {name: {dtype, shape, data_offsets}}, raw little-endian data. Neither copies whole checkpoints.
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
#include <nlohmann/json_fwd.hpp>
#include <string>
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

/// Copies elements of type From (stored unaligned) to T. Integers must fit.
template <class From, class T>
void convert(std::span<const std::byte> data, std::vector<T>& out, const std::string& where) {
  if constexpr (std::is_integral_v<T> && !std::is_integral_v<From>) {
    fail(where, ": holds fractions, expected whole numbers");
  } else {
    for (std::size_t i = 0; i < out.size(); ++i) {
      From value;
      std::memcpy(&value, data.data() + i * sizeof(From), sizeof(From));
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
        require(std::in_range<T>(value), where, ": value ", value, " at ", i,
                " does not fit the integer type asked for");
      out[i] = static_cast<T>(value);
    }
  }
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

/// One tensor of an open file; `data` points into the mapped file and may be unaligned.
struct TensorEntry {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;  // a scalar has none
  std::span<const std::byte> data;

  std::int64_t elements() const;
};

/// A validated, memory-mapped safetensors file.
class SafeTensors {
 public:
  /// Throws Error naming the file and, where there is one, the tensor: sizes that do not fit, a
  /// header that is not JSON of the expected form, unknown dtypes, repeated names, data that
  /// overlaps or leaves bytes unused (as the reference implementation does).
  static SafeTensors open(const std::string& path) { return SafeTensors(path); }

  const std::string& path() const { return path_; }
  /// All tensors, sorted by name.
  const std::vector<TensorEntry>& entries() const { return entries_; }
  /// The free-form text entries of `__metadata__`.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// The entry, or null if there is none of that name.
  const TensorEntry* find(std::string_view name) const;
  /// The entry; Error if there is none of that name.
  const TensorEntry& at(std::string_view name) const;
  /// A typed copy. Floats are read from any type but the 8-bit floats; whole numbers only from
  /// whole numbers that fit.
  template <class T>
  std::vector<T> read(std::string_view name) const {
    return read<T>(at(name));
  }
  template <class T>
  std::vector<T> read(const TensorEntry& entry) const {
    const std::string where = concat(path_, ": tensor '", entry.name, "'");
    std::vector<T> out(static_cast<std::size_t>(entry.elements()));
    const auto from = [&]<class From>(From) { detail::convert<From>(entry.data, out, where); };
    switch (entry.dtype) {
      case DType::BOOL:
      case DType::U8:
        from(std::uint8_t{});
        break;
      case DType::I8:
        from(std::int8_t{});
        break;
      case DType::I16:
        from(std::int16_t{});
        break;
      case DType::U16:
        from(std::uint16_t{});
        break;
      case DType::F16:
        from(detail::HalfBits{});
        break;
      case DType::BF16:
        from(detail::Bfloat16Bits{});
        break;
      case DType::I32:
        from(std::int32_t{});
        break;
      case DType::U32:
        from(std::uint32_t{});
        break;
      case DType::F32:
        from(float{});
        break;
      case DType::I64:
        from(std::int64_t{});
        break;
      case DType::U64:
        from(std::uint64_t{});
        break;
      case DType::F64:
        from(double{});
        break;
      case DType::F8_E4M3:
      case DType::F8_E5M2:
        fail(where, ": 8-bit floats (", dtype_name(entry.dtype), ") are not read");
    }
    return out;
  }

 private:
  explicit SafeTensors(const std::string& path);

  nlohmann::json parse(std::string_view text) const;

  void read_metadata(const nlohmann::json& item);

  void read_entry(const std::string& name, const nlohmann::json& item);

  /// The tensors must tile the data: no overlap, no unused bytes.
  void check_layout() const;

  static constexpr std::uint64_t max_header = 100'000'000;  // limit of the format

  std::string path_;
  MappedFile file_;
  std::span<const std::byte> data_;
  std::vector<TensorEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// A tensor to be written: `data` points at all its bytes, or `produce` hands them over in pieces
/// (for data that must first be fetched or converted) by calling its argument.
struct TensorSource {
  using Put = std::function<void(const void* data, std::size_t bytes)>;

  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  const void* data = nullptr;
  std::function<void(const Put& put)> produce = {};
};

/// How tensors follow each other in a file: as given, or wide types first and then by name (which
/// keeps every tensor aligned to its type, as the reference implementation does).
enum class TensorOrder { given, sorted };

/// Writes a safetensors file atomically (see AtomicFile), one tensor after the other. Throws Error
/// naming the file and tensor: repeated or reserved names, negative sizes, a producer that hands
/// over more or fewer bytes than the shape needs, failed I/O. The old file stays in that case.
void write_safetensors(const std::string& path, const std::vector<TensorSource>& tensors,
                       const std::map<std::string, std::string>& metadata = {},
                       TensorOrder order = TensorOrder::sorted);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <nlohmann/json.hpp>
#include <set>

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
  return static_cast<std::int64_t>(data.size()) / dtype_bytes(dtype);
}

ALBEF_DATA_INLINE const TensorEntry* SafeTensors::find(std::string_view name) const {
  const auto it = std::lower_bound(entries_.begin(), entries_.end(), name,
                                   [](const auto& e, std::string_view n) { return e.name < n; });
  return it != entries_.end() && it->name == name ? &*it : nullptr;
}

ALBEF_DATA_INLINE const TensorEntry& SafeTensors::at(std::string_view name) const {
  const TensorEntry* entry = find(name);
  require(entry != nullptr, path_, ": has no tensor '", name, "'");
  return *entry;
}

ALBEF_DATA_INLINE SafeTensors::SafeTensors(const std::string& path) : path_(path), file_(path) {
  const auto bytes = file_.bytes();
  require(bytes.size() >= 8, path_, ": has ", bytes.size(),
          " bytes, a safetensors file starts with an 8-byte header size");
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  require(header_size <= bytes.size() - 8 && header_size <= max_header, path_, ": header size ",
          header_size, " is beyond the file's ", bytes.size(),
          " bytes; not a safetensors file, or cut off");
  const auto header = bytes.subspan(8, header_size);
  data_ = bytes.subspan(8 + header_size);
  const auto* text = reinterpret_cast<const char*>(header.data());
  const nlohmann::json json = parse({text, header.size()});
  require(json.is_object(), path_, ": the header is not a JSON object");
  for (const auto& [name, item] : json.items())
    if (name == "__metadata__")
      read_metadata(item);
    else
      read_entry(name, item);
  check_layout();
}

ALBEF_DATA_INLINE nlohmann::json SafeTensors::parse(std::string_view text) const {
  std::set<std::string> names;
  const auto on_event = [&](int depth, nlohmann::json::parse_event_t event,
                            const nlohmann::json& parsed) {
    if (depth == 1 && event == nlohmann::json::parse_event_t::key)
      require(names.insert(parsed.get<std::string>()).second, path_, ": tensor '",
              parsed.get<std::string>(), "' appears twice in the header");
    return true;
  };
  try {
    return nlohmann::json::parse(text, on_event);
  } catch (const nlohmann::json::exception& e) {
    fail(path_, ": the header is not JSON: ", e.what());
  }
}

ALBEF_DATA_INLINE void SafeTensors::read_metadata(const nlohmann::json& item) {
  require(item.is_object(), path_, ": __metadata__ is not an object");
  for (const auto& [key, value] : item.items()) {
    require(value.is_string(), path_, ": __metadata__ entry '", key, "' is not text");
    metadata_[key] = value.get<std::string>();
  }
}

ALBEF_DATA_INLINE void SafeTensors::read_entry(const std::string& name,
                                               const nlohmann::json& item) {
  const std::string where = concat(path_, ": tensor '", name, "'");
  const auto member = [&](const char* key) {
    const auto it = item.find(key);
    require(it != item.end(), where, " has no '", key, "'");
    return *it;
  };
  require(item.is_object(), where, " is not described by an object");
  const nlohmann::json dtype = member("dtype"), shape = member("shape"),
                       offsets = member("data_offsets");
  TensorEntry entry{name, DType::F32, {}, {}};

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
  require(begin <= end && end <= data_.size(), where, " has data_offsets ", offsets.dump(),
          " outside the file's ", data_.size(), " bytes of data");
  require(end - begin == bytes, where, " has ", end - begin, " bytes, but ", info->name, ' ',
          shape_text(entry.shape), " needs ", bytes);
  entry.data = data_.subspan(begin, end - begin);
  entries_.push_back(std::move(entry));
}

ALBEF_DATA_INLINE void SafeTensors::check_layout() const {
  std::vector<const TensorEntry*> order;
  for (const auto& entry : entries_) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const TensorEntry* a, const TensorEntry* b) {
    return a->data.data() != b->data.data() ? a->data.data() < b->data.data()
                                            : a->data.size() < b->data.size();
  });
  const std::byte* end = data_.data();
  for (const TensorEntry* entry : order) {
    require(entry->data.data() >= end, path_, ": tensor '", entry->name,
            "' overlaps the one before it");
    require(entry->data.data() == end, path_, ": unused bytes before tensor '", entry->name, "'");
    end += entry->data.size();
  }
  require(end == data_.data() + data_.size(), path_, ": ", data_.data() + data_.size() - end,
          " bytes after the last tensor belong to none");
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

  auto header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::vector<std::uint64_t> sizes;
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const TensorSource* source : sources) {
    const std::string where = concat(path, ": tensor '", source->name, "'");
    require(source->name != "__metadata__", where, ": the name is reserved");
    require(names.insert(source->name).second, where, " is given twice");
    auto bytes = static_cast<std::uint64_t>(dtype_bytes(source->dtype));
    for (const auto n : source->shape) {
      require(n >= 0, where, " has shape ", shape_text(source->shape));
      bytes *= static_cast<std::uint64_t>(n);
    }
    require(bytes == 0 || source->data || source->produce, where, " has no data");
    header[source->name] = {{"dtype", dtype_name(source->dtype)},
                            {"shape", source->shape},
                            {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
    sizes.push_back(bytes);
  }

  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& e) {
    fail(path, ": a tensor name or metadata entry is not UTF-8: ", e.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t header_size = text.size();

  AtomicFile file(path);
  file.write(&header_size, sizeof header_size);
  file.write(text);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const TensorSource& source = *sources[i];
    if (!source.produce) {
      file.write(source.data, sizes[i]);
      continue;
    }
    std::uint64_t written = 0;
    const auto put = [&](const void* data, std::size_t bytes) {
      written += bytes;
      require(written <= sizes[i], path, ": tensor '", source.name, "' got more than ", sizes[i],
              " bytes");
      file.write(data, bytes);
    };
    source.produce(put);
    require(written == sizes[i], path, ": tensor '", source.name, "' got ", written,
            " bytes, expected ", sizes[i]);
  }
  file.commit();
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
