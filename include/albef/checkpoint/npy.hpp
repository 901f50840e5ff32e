// NumPy's .npy format: one array per file, little-endian, C order.
#pragma once

#include <bit>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/file.hpp"

namespace albef {

static_assert(std::endian::native == std::endian::little, "the .npy data written is little-endian");

/// An array and its shape; row-major.
template <class T>
struct NpyArray {
  std::vector<std::int64_t> shape;  // a scalar has none
  std::vector<T> values;
};

namespace detail {

/// NumPy's name of an element type, e.g. "<f4".
template <class T>
std::string npy_descr() {
  static_assert(std::is_arithmetic_v<T>, "npy: not a number type");
  const char kind = std::is_same_v<T, bool>       ? 'b'
                    : std::is_floating_point_v<T> ? 'f'
                    : std::is_signed_v<T>         ? 'i'
                                                  : 'u';
  return concat(sizeof(T) == 1 ? '|' : '<', kind, sizeof(T));
}

/// What follows `'key':` in the header, without leading spaces; empty if the key is missing.
inline std::string_view npy_member(std::string_view header, std::string_view key) {
  const std::size_t at = header.find(concat('\'', key, '\''));
  if (at == std::string_view::npos) return {};
  const std::size_t value = header.find_first_not_of(" :", at + key.size() + 2);
  return value == std::string_view::npos ? std::string_view() : header.substr(value);
}

}  // namespace detail

/// Writes values of shape `shape` atomically. Error if their number does not fit the shape.
template <class T>
void write_npy(const std::string& path, std::span<const T> values,
               const std::vector<std::int64_t>& shape) {
  std::string dimensions;
  std::int64_t count = 1;
  for (const auto n : shape) {
    count *= n;
    dimensions += std::to_string(n) + ", ";
  }
  require(count == static_cast<std::int64_t>(values.size()), path, ": ", values.size(),
          " values for the shape (", dimensions, ")");
  if (shape.size() > 1) dimensions.resize(dimensions.size() - 2);
  std::string header = "{'descr': '" + detail::npy_descr<T>() +
                       "', 'fortran_order': False, 'shape': (" + dimensions + "), }";
  // Magic, version and size take 10 bytes; the data starts at a multiple of 64.
  header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  require(header.size() < 65536, path, ": an array of ", shape.size(), " dimensions");
  const auto size = static_cast<std::uint16_t>(header.size());

  AtomicFile file(path);
  file.write(std::string_view("\x93NUMPY\x01\x00", 8));
  file.write(&size, sizeof size);
  file.write(header);
  file.write(values.data(), values.size_bytes());
  file.commit();
}

/// Reads an array of element type T. Error names the file: not .npy, another element type,
/// Fortran order, fewer or more bytes than the shape needs.
template <class T>
NpyArray<T> read_npy(const std::string& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require(text.size() >= 10 && text.starts_with("\x93NUMPY"), path, ": not a .npy file");
  // Version 1 has a 2-byte header size, later ones 4 bytes.
  const std::size_t size_bytes = text[6] == 1 ? 2 : 4;
  std::uint32_t size = 0;
  require(text.size() >= 8 + size_bytes, path, ": cut off in the header");
  std::memcpy(&size, text.data() + 8, size_bytes);
  require(text.size() - 8 - size_bytes >= size, path, ": cut off in the header");
  const std::string_view header = text.substr(8 + size_bytes, size);
  const std::string_view data = text.substr(8 + size_bytes + size);

  const auto descr = detail::npy_member(header, "descr");
  const std::string wanted = detail::npy_descr<T>();
  require(descr.starts_with('\'' + wanted + '\''), path, ": has elements ",
          descr.substr(0, descr.find(',')), ", expected '", wanted, "'");
  require(detail::npy_member(header, "fortran_order").starts_with("False"), path,
          ": is in Fortran order, expected C order");

  auto dimensions = detail::npy_member(header, "shape");
  require(dimensions.starts_with('(') && dimensions.find(')') != std::string_view::npos, path,
          ": has no shape");
  dimensions = dimensions.substr(1, dimensions.find(')') - 1);
  NpyArray<T> out;
  std::uint64_t count = 1;
  constexpr std::uint64_t limit = std::numeric_limits<std::int64_t>::max() / sizeof(T);
  for (std::size_t i = 0; i < dimensions.size();) {
    if (!std::isdigit(static_cast<unsigned char>(dimensions[i]))) {
      require(dimensions[i] == ' ' || dimensions[i] == ',', path, ": has shape (", dimensions, ")");
      ++i;
      continue;
    }
    std::uint64_t n = 0;
    for (; i < dimensions.size() && std::isdigit(static_cast<unsigned char>(dimensions[i])); ++i) {
      n = 10 * n + static_cast<std::uint64_t>(dimensions[i] - '0');
      require(n <= limit, path, ": has shape (", dimensions, "), which overflows");
    }
    require(n == 0 || count <= limit / n, path, ": has shape (", dimensions, "), which overflows");
    count *= n;
    out.shape.push_back(static_cast<std::int64_t>(n));
  }
  require(data.size() == count * sizeof(T), path, ": has ", data.size(), " bytes of data, shape (",
          dimensions, ") needs ", count * sizeof(T));
  static_assert(!std::is_same_v<T, bool>, "read_npy: read NumPy's booleans as std::uint8_t");
  out.values.resize(count);
  if (count > 0) std::memcpy(out.values.data(), data.data(), data.size());
  return out;
}

}  // namespace albef
