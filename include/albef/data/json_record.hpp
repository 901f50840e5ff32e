// JSON objects as records, shared by the annotation files and the shards' .json entries.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/record.hpp"
#include "albef/text/unicode.hpp"

namespace albef::detail {

using Json = nlohmann::json;

/// Stands for a byte that was not UTF-8: the parser lets it pass, so one broken caption costs one
/// record and not the whole file.
inline constexpr char broken_byte = '\x7f';

/// Replaces every byte that is not part of a UTF-8 sequence; returns whether there were any.
bool mark_broken_utf8(std::string& text);

/// Reads fields of one JSON object; every Error says which field and what was expected.
class JsonFields {
 public:
  /// `broken`: the text the object was parsed from had bytes that are not UTF-8.
  JsonFields(const Json& object, bool broken);

  /// Whether the field is there and not null.
  bool has(const char* name) const;

  std::string text(const char* name) const;

  /// A string, or a list of at least one string.
  std::vector<std::string> texts(const char* name) const;

  /// An integer or a string, as text; 7.0 is 7, as tables with gaps have it.
  std::string id(const char* name) const;

  /// A string, or a boolean as "True" or "False".
  std::string label(const char* name) const;

  /// A whole number from `low` to `high`.
  std::int64_t integer(const char* name, std::int64_t low, std::int64_t high) const;

  /// A list of at least `count` numbers, see number_list().
  std::vector<double> numbers(const char* name, std::size_t count) const;

  /// Every field but the named ones and those that are null.
  std::vector<Field> others(std::initializer_list<std::string_view> except) const;

 private:
  const Json& at(const char* name) const;
  std::string checked(const char* name, std::string text) const;
  static std::string plain(const Json& value);

  const Json& object_;
  bool broken_;
};

/// The numbers of a list of at least `count`. Throws Error beginning with `what` for anything else.
std::vector<double> number_list(const Json& value, std::size_t count, std::string_view what);

/// The whole number that a value is, also one written as 7.0; nothing for others and beyond 64
/// bits.
std::optional<std::int64_t> whole_number(const Json& value);

}  // namespace albef::detail

namespace albef {
using detail::JsonFields;  // for formats of one's own
}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <utf8proc.h>
#include <cmath>

namespace albef::detail {

ALBEF_DATA_INLINE bool mark_broken_utf8(std::string& text) {
  bool broken = false;
  for (std::size_t at = 0; at < text.size();) {
    if (is_ascii(text[at])) {
      ++at;
      continue;
    }
    utf8proc_int32_t code_point;
    const auto length =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(&text[at]),
                         static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
    if (length > 0) {
      at += static_cast<std::size_t>(length);
    } else {
      text[at++] = broken_byte;
      broken = true;
    }
  }
  return broken;
}

ALBEF_DATA_INLINE JsonFields::JsonFields(const Json& object, bool broken)
    : object_(object), broken_(broken) {
  require(object.is_object(), "expected a JSON object, got ", object.type_name());
}

ALBEF_DATA_INLINE std::string JsonFields::text(const char* name) const {
  const Json& value = at(name);
  require(value.is_string(), "field '", name, "' is ", value.type_name(), ", expected a string");
  return checked(name, value.get<std::string>());
}

ALBEF_DATA_INLINE std::vector<std::string> JsonFields::texts(const char* name) const {
  const Json& value = at(name);
  if (value.is_string()) return {text(name)};
  const bool list = value.is_array() && !value.empty() &&
                    std::all_of(value.begin(), value.end(), [](auto& v) { return v.is_string(); });
  require(list, "field '", name, "' is ",
          value.is_array() ? (value.empty() ? "an empty list" : "a list with other things")
                           : value.type_name(),
          ", expected a string or a list of strings");
  std::vector<std::string> out;
  for (const Json& item : value) out.push_back(checked(name, item.get<std::string>()));
  return out;
}

ALBEF_DATA_INLINE bool JsonFields::has(const char* name) const {
  const auto found = object_.find(name);
  return found != object_.end() && !found->is_null();
}

ALBEF_DATA_INLINE std::string JsonFields::id(const char* name) const {
  const Json& value = at(name);
  if (value.is_string()) return checked(name, value.get<std::string>());
  const std::optional<std::int64_t> number = whole_number(value);
  require(number || value.is_number_unsigned(), "field '", name, "' is ", value.type_name(),
          ", expected an integer or a string");
  return number ? std::to_string(*number) : value.dump();
}

ALBEF_DATA_INLINE std::string JsonFields::label(const char* name) const {
  const Json& value = at(name);
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  return text(name);
}

ALBEF_DATA_INLINE std::int64_t JsonFields::integer(const char* name, std::int64_t low,
                                                   std::int64_t high) const {
  const Json& value = at(name);
  const std::optional<std::int64_t> number = whole_number(value);
  require(number && *number >= low && *number <= high, "field '", name, "' is ",
          value.is_number() ? value.dump() : value.type_name(), ", expected an integer from ", low,
          " to ", high);
  return *number;
}

ALBEF_DATA_INLINE std::vector<double> JsonFields::numbers(const char* name,
                                                          std::size_t count) const {
  return number_list(at(name), count, concat("field '", name, "'"));
}

ALBEF_DATA_INLINE std::vector<Field> JsonFields::others(
    std::initializer_list<std::string_view> except) const {
  std::vector<Field> out;
  for (const auto& [name, value] : object_.items()) {
    if (value.is_null() || std::find(except.begin(), except.end(), name) != except.end()) continue;
    Field& field = out.emplace_back(Field{name, {}});
    if (value.is_array())
      for (const Json& item : value) field.values.push_back(plain(item));
    else
      field.values.push_back(plain(value));
  }
  return out;
}

ALBEF_DATA_INLINE const Json& JsonFields::at(const char* name) const {
  const auto found = object_.find(name);
  require(found != object_.end(), "field '", name, "' is missing");
  return *found;
}

ALBEF_DATA_INLINE std::string JsonFields::checked(const char* name, std::string text) const {
  require(!broken_ || text.find(broken_byte) == std::string::npos, "field '", name,
          "' is not UTF-8");
  return text;
}

ALBEF_DATA_INLINE std::string JsonFields::plain(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// The start of what a value is in JSON, for a message.
inline std::string excerpt(const Json& value) {
  constexpr std::size_t most = 80;
  std::string text = value.dump(-1, ' ', true);  // in ASCII, which can be cut anywhere
  if (text.size() > most) text = text.substr(0, most) + "...";
  return text;
}

ALBEF_DATA_INLINE std::vector<double> number_list(const Json& value, std::size_t count,
                                                  std::string_view what) {
  const bool list = value.is_array() && value.size() >= count &&
                    std::all_of(value.begin(), value.end(), [](auto& v) { return v.is_number(); });
  require(list, what, " is ", value.is_array() ? excerpt(value) : value.type_name(),
          ", expected a list of ", count, " numbers");
  return value.get<std::vector<double>>();
}

ALBEF_DATA_INLINE std::optional<std::int64_t> whole_number(const Json& value) {
  if (value.is_number_float()) {
    constexpr double exact = 9007199254740992;  // 2^53; doubles leave out integers beyond it
    const double number = value.get<double>();
    if (number != std::floor(number) || std::abs(number) > exact) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    return std::nullopt;
  return value.get<std::int64_t>();
}

}  // namespace albef::detail
#endif  // ALBEF_DATA_DEFINITIONS
