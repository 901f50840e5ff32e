// JSON texts of any origin: a plain parse that refuses deep nesting, and one that hands a large
// text over piece by piece.
#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"

namespace albef {

struct JsonOptions {
  std::size_t max_depth = 64;  ///< of objects and lists in one another; deeper is an Error
  /// Reads what Python's json module writes and reads: NaN, Infinity, -Infinity and numbers beyond
  /// double become null, and half a surrogate pair (a lone \ud83d) becomes U+FFFD.
  bool lenient = false;
  std::size_t line = 1, column = 1;  ///< where the text begins in its file, for messages
};

/// A text is not JSON, or nested too deeply; says line and column.
class JsonError : public Error {
 public:
  using Error::Error;
};

/// The value of a JSON text. Throws JsonError "parse error at line 2, column 5: ..." where it is
/// not JSON, or nested too deeply. Takes time in proportion to the text.
nlohmann::json parse_json(std::string_view text, const JsonOptions& options = {});

/// The names that lead to a value: of the member it is, or "" for the entry of a list, from the
/// outside inwards.
using JsonPath = std::vector<std::string>;

/// Parses a text and calls take(path, value) for each value `level` levels below the top (1: the
/// members or entries of the outermost value), and for plain values above that level, in the order
/// of the text. A value is dropped when take returns, so that the whole never stands in memory.
/// Returns what is left of the outermost value: an empty object or list, or a plain value.
nlohmann::json for_each_json(std::string_view text, std::size_t level,
                             const std::function<void(const JsonPath&, nlohmann::json&)>& take,
                             const JsonOptions& options = {});

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "albef/core/number.hpp"

namespace albef::detail {

/// A text without what only lenient reading takes, and where it is longer than the original.
struct PlainJson {
  std::string text;                 // empty: the original as it is
  std::vector<std::size_t> longer;  // where a byte was put in

  static PlainJson of(std::string_view original);
};

/// Builds values from the library's events, without recursion. What lies above `level` is not kept.
class JsonBuilder {
 public:
  using Json = nlohmann::json;
  using Take = std::function<void(const JsonPath&, Json&)>;

  JsonBuilder(std::size_t max_depth, std::size_t level, const Take& take)
      : max_depth_(max_depth), level_(level), take_(take) {}

  bool null() { return plain(nullptr); }
  bool boolean(bool value) { return plain(value); }
  bool number_integer(std::int64_t value) { return plain(value); }
  bool number_unsigned(std::uint64_t value) { return plain(value); }
  bool number_float(double value, const std::string&) { return plain(value); }
  bool string(std::string& value) { return plain(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // not in texts
  bool key(std::string& name) {
    if (open_.empty())
      path_.back() = std::move(name);
    else
      member_ = &(*open_.back())[std::move(name)];
    return true;
  }
  bool start_object(std::size_t) { return start(Json::value_t::object); }
  bool start_array(std::size_t) { return start(Json::value_t::array); }
  bool end_object() { return end(); }
  bool end_array() { return end(); }
  bool parse_error(std::size_t position, const std::string&, const Json::exception& error) {
    const std::string_view text = error.what();  // "[json.exception.parse_error.101] ..."
    problem_ = text.substr(std::min(text.size(), text.find("] ") + 2));
    position_ = position;
    return false;
  }

  bool too_deep() const { return too_deep_; }
  /// What is wrong, and after how many bytes.
  const std::string& problem() const { return problem_; }
  std::size_t position() const { return position_; }
  Json root;

 private:
  template <class T>
  Json* place(T&& value) {
    if (open_.empty()) return &((level_ == 0 ? root : taken_) = std::forward<T>(value));
    if (open_.back()->is_array()) return &open_.back()->emplace_back(std::forward<T>(value));
    return &(*member_ = std::forward<T>(value));
  }
  template <class T>
  bool plain(T&& value) {
    if (path_.empty() && level_ > 0) {
      root = std::forward<T>(value);
    } else {
      place(std::forward<T>(value));
      if (open_.empty()) complete();
    }
    return true;
  }
  bool start(Json::value_t type) {
    too_deep_ = path_.size() + open_.size() >= max_depth_;
    if (too_deep_) return false;
    if (path_.size() < level_ && open_.empty()) {
      if (path_.empty()) root = type;
      path_.emplace_back();
    } else {
      open_.push_back(place(type));
    }
    return true;
  }
  bool end() {
    if (open_.empty()) {
      path_.pop_back();
    } else {
      open_.pop_back();
      if (open_.empty()) complete();
    }
    return true;
  }
  void complete() {
    if (level_ > 0) take_(path_, taken_);
  }

  std::size_t max_depth_, level_;
  const Take& take_;
  Json taken_;
  JsonPath path_;            // of the values that are open above the level
  std::vector<Json*> open_;  // objects and lists, from the level on
  Json* member_ = nullptr;   // of the innermost object, where the next value goes
  bool too_deep_ = false;
  std::string problem_;
  std::size_t position_ = 0;
};

/// Where a text is nested too deeply: the number of bytes up to there. It is well-formed that far.
inline std::size_t depth_exceeded(std::string_view text, std::size_t max_depth) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\')
      ++i;
    else if (c == '"')
      quoted = !quoted;
    else if (quoted)
      continue;
    else if ((c == '[' || c == '{') && ++depth > max_depth)
      return i + 1;
    else if (c == ']' || c == '}')
      --depth;
  }
  return text.size();
}

ALBEF_DATA_INLINE PlainJson PlainJson::of(std::string_view original) {
  PlainJson out;
  std::size_t copied = 0;
  const auto replace = [&](std::size_t at, std::size_t length, std::string with) {
    with.resize(std::max(with.size(), length), ' ');
    out.text.append(original.substr(copied, at - copied)).append(with);
    if (with.size() > length) out.longer.push_back(out.text.size());
    copied = at + length;
    return copied;
  };
  const auto surrogate = [&](std::size_t at) {  // the half that an escape is: 'd' to 'f', or 0
    const auto hex = original.substr(std::min(at, original.size()), 4);
    const bool is = hex.size() == 4 && original[at - 2] == '\\' && original[at - 1] == 'u' &&
                    (hex[0] | 32) == 'd' && std::string_view("89abcdefABCDEF").find(hex[1]) < 14;
    return !is ? 0 : std::string_view("89abAB").find(hex[1]) < 6 ? 'h' : 'l';
  };
  for (std::size_t i = 0; i < original.size();) {
    const char c = original[i];
    if (c == '"') {
      for (++i; i < original.size() && original[i] != '"';) {
        if (original[i] != '\\') {
          ++i;
        } else if (const char half = static_cast<char>(surrogate(i + 2)); half == 0) {
          i += 2;
        } else if (half == 'h' && surrogate(i + 8) == 'l') {
          i += 12;
        } else {
          i = replace(i, 6, "\\ufffd");
        }
      }
      ++i;
    } else if (c == 'N' && original.substr(i, 3) == "NaN") {
      i = replace(i, 3, "null");
    } else if (c == 'I' && original.substr(i, 8) == "Infinity") {
      i = replace(i, 8, "null");
    } else if (c == '-' && original.substr(i, 9) == "-Infinity") {
      i = replace(i, 9, "null");
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      const auto end = std::min(original.find_first_not_of("0123456789+-.eE", i), original.size());
      const auto number = original.substr(i, end - i);
      const bool large = number.size() > 300 || number.find_first_of("eE") != number.npos;
      const auto value = large ? to_number(number) : std::nullopt;
      i = value && std::isinf(*value) ? replace(i, number.size(), "null") : end;
    } else {
      ++i;
    }
  }
  if (copied > 0) out.text.append(original.substr(copied));
  return out;
}

/// The value of a text, or what for_each_json() leaves of it.
inline nlohmann::json build_json(std::string_view original, std::size_t level,
                                 const JsonBuilder::Take& take, const JsonOptions& options) {
  const PlainJson plain = options.lenient ? PlainJson::of(original) : PlainJson{};
  const std::string_view text = plain.text.empty() ? original : std::string_view(plain.text);
  JsonBuilder builder(options.max_depth, level, take);
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return std::move(builder.root);

  std::string problem = builder.problem();
  std::size_t at = builder.position();
  if (builder.too_deep()) {
    problem = concat("nested more than ", options.max_depth, " deep");
    at = depth_exceeded(text, options.max_depth);
  } else if (problem.starts_with("parse error at ")) {
    problem.erase(0, problem.find(": ") + 2);
  }
  at -= static_cast<std::size_t>(
      std::count_if(plain.longer.begin(), plain.longer.end(), [&](auto p) { return p <= at; }));
  const auto before = original.substr(0, at);
  const auto lines = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
  const auto column = at - (before.rfind('\n') + 1) + (lines == 0 ? options.column - 1 : 0);
  throw JsonError(
      concat("parse error at line ", lines + options.line, ", column ", column, ": ", problem));
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE nlohmann::json parse_json(std::string_view text, const JsonOptions& options) {
  return detail::build_json(text, 0, {}, options);
}

ALBEF_DATA_INLINE nlohmann::json for_each_json(
    std::string_view text, std::size_t level,
    const std::function<void(const JsonPath&, nlohmann::json&)>& take, const JsonOptions& options) {
  require(level > 0, "for_each_json: level is 0, expected at least 1");
  return detail::build_json(text, level, take, options);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
