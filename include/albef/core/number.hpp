// Numbers as text and back, the same whatever the locale; see also concat(), whose numbers are
// exact.
#pragma once

#include <locale.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace albef {

/// A number with `digits` behind the point, for people: fixed(0.5, 2) is "0.50".
inline std::string fixed(double value, int digits) {
  std::array<char, 400> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                 std::chars_format::fixed, digits);
  return end.ec == std::errc{} ? std::string(text.data(), end.ptr) : "?";
}

/// A number with `digits` significant ones, for people: significant(0.0123456, 3) is "0.0123"; very
/// large and small ones are written as 1.2e-08.
inline std::string significant(double value, int digits) {
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                 std::chars_format::general, digits);
  return end.ec == std::errc{} ? std::string(text.data(), end.ptr) : "?";
}

/// The number that a whole text is, as std::from_chars reads T; nothing if it is anything else or
/// out of T's range.
template <class T>
std::optional<T> to_whole(std::string_view text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value);
  if (code != std::errc{} || stop != end) return {};
  return value;
}

/// The number a text says, in decimal and nothing beside it; nothing if it says none. Beyond the
/// range of double it is infinite, below it 0.
inline std::optional<double> to_number(std::string_view text) {
  static const locale_t plain = ::newlocale(LC_ALL_MASK, "C", nullptr);
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != text.npos || text[0] == '+')
    return {};
  const std::string copy(text);
  char* end = nullptr;
  const double value = ::strtod_l(copy.c_str(), &end, plain);
  if (end != copy.c_str() + copy.size()) return {};
  return value;
}

}  // namespace albef
