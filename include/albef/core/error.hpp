// The one exception type of the library, and helpers that build its message from parts.
#pragma once

#include <concepts>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>

namespace albef {

/// Every failure the library reports: bad input, wrong shapes, damaged files, failed I/O.
/// The message names the file, record, tensor or option concerned and what was expected.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A device's memory does not suffice; the message says what was asked for and what there is.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

namespace detail {

inline void append(std::string& out, std::string_view part) { out += part; }
inline void append(std::string& out, char part) { out += part; }
template <class T>
requires(std::integral<T> || std::floating_point<T>) void append(std::string& out, T part) {
  out += std::to_string(part);
}

}  // namespace detail

/// Joins strings, characters and numbers into one string.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

/// Throws Error with the joined parts as its message.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(concat(parts...));
}

/// Throws Error with the joined parts unless `condition` holds.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(parts...);
}

}  // namespace albef
