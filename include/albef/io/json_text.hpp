// The little JSON that checkpoints and metrics need, without a JSON library: that would be a
// quarter of what a program that trains takes to compile.
#pragma once

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"

namespace albef::detail {

/// Bytes of the UTF-8 character that `text` begins with; 0 if it is none (RFC 3629).
inline std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return text.empty() ? 0 : 1;
  const std::size_t length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  // No overlong forms, no surrogates, nothing above U+10FFFF.
  const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (length == 0 || first > 0xF4 || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  return length;
}

/// Appends `text` as a JSON string. Error if it is not UTF-8.
inline void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text.substr(at));
    if (length == 0) fail("invalid UTF-8 at byte ", at, " of a text");
    const char c = text[at];
    constexpr std::string_view short_from = "\"\\\b\f\n\r\t", short_to = "\"\\bfnrt";
    if (const auto known = short_from.find(c); known != std::string_view::npos) {
      out += '\\';
      out += short_to[known];
    } else if (length == 1 && c < 0x20) {
      constexpr char digits[] = "0123456789abcdef";
      out += "\\u00";
      out += digits[c >> 4];
      out += digits[c & 15];
    } else {
      out += text.substr(at, length);
    }
    at += length;
  }
  out += '"';
}

/// Appends the shortest decimal that reads back as `value`, always with a point or an exponent, in
/// the notation of nlohmann-json; null if it is not finite.
inline void append_json(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char text[40];
  *std::to_chars(text, text + sizeof text, std::abs(value), std::chars_format::scientific).ptr = 0;
  const std::size_t e = std::string_view(text).find('e');
  const int exponent = std::atoi(text + e + 1);
  std::string digits(text, e);
  if (digits.size() > 1) digits.erase(1, 1);  // the point
  const int count = static_cast<int>(digits.size()), point = exponent + 1;
  if (std::signbit(value)) out += '-';
  if (point > 15 || point <= -4) {
    out += digits[0];
    if (count > 1) out.append(".").append(digits, 1);
    char power[16];
    std::snprintf(power, sizeof power, "e%+03d", exponent);
    out += power;
  } else if (point <= 0) {
    out.append("0.").append(static_cast<std::size_t>(-point), '0').append(digits);
  } else {
    digits.resize(static_cast<std::size_t>(std::max(count, point)), '0');
    out.append(digits, 0, static_cast<std::size_t>(point)).append(".");
    out += count > point ? digits.substr(static_cast<std::size_t>(point)) : "0";
  }
}

/// Walks through a JSON text (RFC 8259). What is not JSON is an Error that names the byte.
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : text_(text) {}

  std::size_t at() const { return at_; }
  /// The next character that is not a space; 0 at the end.
  char peek() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) < 4) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  void expect(char c) {
    if (peek() != c || at_ == text_.size()) bad("expected '", c, "'");
    ++at_;
  }
  void expect_end() {
    peek();
    if (at_ < text_.size()) bad("text after the value");
  }

  /// A string, whose characters are appended to `out` unless it is null.
  void string(std::string* out) {
    expect('"');
    for (;;) {
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0) bad(at_ < text_.size() ? "invalid UTF-8" : "a string does not end");
      const char c = text_[at_];
      if (length == 1 && static_cast<unsigned char>(c) < 0x20) bad("control character in a string");
      if (c == '\\') {
        escaped(out);
        continue;
      }
      at_ += length;
      if (c == '"') return;
      if (out) out->append(text_, at_ - length, length);
    }
  }

  /// Any value, with all that it holds.
  void value() {
    std::string open;  // the brackets that are not closed yet
    for (;;) {
      const char c = peek();
      if (c == '{' || c == '[') {
        ++at_;
        open += c == '{' ? '}' : ']';
        if (peek() != open.back()) {
          if (c == '{') key();
          continue;
        }
      } else if (c == '"') {
        string(nullptr);
      } else {
        scalar();
      }
      while (!open.empty() && peek() == open.back()) ++at_, open.pop_back();
      if (open.empty()) return;
      expect(',');
      if (open.back() == '}') key();
    }
  }

 private:
  template <class... Parts>
  [[noreturn]] void bad(const Parts&... parts) const {
    fail(parts..., " at byte ", at_);
  }

  void key() {
    string(nullptr);
    expect(':');
  }

  /// true, false, null or a number.
  void scalar() {
    for (const std::string_view word : {"true", "false", "null"})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return;
      }
    const auto next = [&] { return at_ < text_.size() ? text_[at_] : '\0'; };
    const auto digits = [&] {
      if (next() < '0' || next() > '9') bad("expected a value");
      while (next() >= '0' && next() <= '9') ++at_;
    };
    if (next() == '-') ++at_;
    if (next() == '0')
      ++at_;
    else
      digits();
    if (next() == '.') ++at_, digits();
    if (next() != 'e' && next() != 'E') return;
    ++at_;
    if (next() == '+' || next() == '-') ++at_;
    digits();
  }

  void escaped(std::string* out) {
    const char c = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    constexpr std::string_view from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
      std::uint32_t code = unit();
      if (code >= 0xD800 && code < 0xDC00) {  // the first of a pair
        const std::uint32_t second = unit();
        if (second < 0xDC00 || second > 0xDFFF) bad("half a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
      } else if (code >= 0xDC00 && code < 0xE000) {
        bad("half a surrogate pair");
      }
      if (out) append_utf8(*out, code);
      return;
    }
    const auto known = from.find(c);
    if (c == '\0' || known == std::string_view::npos) bad("unknown escape");
    if (out) *out += to[known];
    at_ += 2;
  }

  /// Four hexadecimal digits behind \u.
  std::uint32_t unit() {
    std::uint32_t code = 0;
    const char* const begin = text_.data() + at_ + 2;
    if (text_.substr(at_, 2) != "\\u" || text_.size() - at_ < 6 ||
        std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4)
      bad("expected \\u and four digits");
    at_ += 6;
    return code;
  }

  static void append_utf8(std::string& out, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    const auto rest = [&](int shift) { put(0x80 | (code >> shift & 0x3F)); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | code >> 6), rest(0);
    } else if (code < 0x10000) {
      put(0xE0 | code >> 12), rest(6), rest(0);
    } else {
      put(0xF0 | code >> 18), rest(12), rest(6), rest(0);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

/// A JSON value as a part of the text it stands in, which must outlive it.
class JsonText {
 public:
  /// The value that is all of `text`; Error if that is not JSON.
  explicit JsonText(std::string_view text) {
    JsonScanner scan(text);
    scan.peek();
    const std::size_t begin = scan.at();
    scan.value();
    text_ = text.substr(begin, scan.at() - begin);
    scan.expect_end();
  }

  /// As it is written.
  std::string_view text() const { return text_; }
  bool is_object() const { return text_[0] == '{'; }
  bool is_array() const { return text_[0] == '['; }
  bool is_string() const { return text_[0] == '"'; }
  bool is_null() const { return text_ == "null"; }

  /// Of a string.
  std::string string() const {
    std::string out;
    JsonScanner(text_).string(&out);
    return out;
  }
  /// A number, or nothing.
  std::optional<double> number() const { return parsed<double>(); }
  /// A whole number from 0, written without point and exponent, or nothing.
  std::optional<std::uint64_t> whole() const { return parsed<std::uint64_t>(); }

  /// Names and values of an object, in order; a name may come twice.
  std::vector<std::pair<std::string, JsonText>> members() const {
    std::vector<std::pair<std::string, JsonText>> out;
    each('}', [&](JsonScanner& scan) {
      std::string name;
      scan.string(&name);
      scan.expect(':');
      out.emplace_back(std::move(name), next(scan));
    });
    return out;
  }
  /// The member of an object of that name, the last of several; nothing where there is none.
  std::optional<JsonText> find(std::string_view name) const {
    std::optional<JsonText> found;
    if (is_object())
      for (const auto& [key, value] : members())
        if (key == name) found = value;
    return found;
  }
  /// The values of an array.
  std::vector<JsonText> items() const {
    std::vector<JsonText> out;
    each(']', [&](JsonScanner& scan) { out.push_back(next(scan)); });
    return out;
  }

 private:
  struct Checked {};
  JsonText(Checked, std::string_view text) : text_(text) {}

  JsonText next(JsonScanner& scan) const {
    scan.peek();
    const std::size_t begin = scan.at();
    scan.value();
    return {Checked{}, text_.substr(begin, scan.at() - begin)};
  }
  template <class F>
  void each(char close, F&& f) const {
    JsonScanner scan(text_);
    scan.expect(text_[0]);
    if (scan.peek() == close) return;
    do f(scan);
    while (scan.peek() == ',' && (scan.expect(','), true));
  }
  template <class T>
  std::optional<T> parsed() const {
    T value{};
    const auto [stop, code] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (code != std::errc{} || stop != text_.data() + text_.size()) return {};
    return value;
  }

  std::string_view text_;
};

}  // namespace albef::detail
