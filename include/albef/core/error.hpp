// The one exception type of the library, and helpers that build its message from parts.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "albef/core/compiler.hpp"

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

/// The system refuses what any record, file or run would need: descriptors, threads, memory for
/// them, a device that reads. Nothing is wrong with the data, so that no record is skipped for it.
class SystemError : public Error {
 public:
  using Error::Error;
};

namespace detail {

/// A part of a message as one of six types, so that messages of the same make share their code.
template <class T>
auto message_part(const T& part) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return std::string_view(part);
  } else if constexpr (std::is_same_v<T, char>) {
    return part;
  } else if constexpr (std::is_same_v<T, float>) {
    return part;
  } else if constexpr (std::floating_point<T>) {
    return static_cast<double>(part);
  } else {
    static_assert(std::integral<T>, "messages consist of texts, characters and numbers");
    using Wide = std::conditional_t<std::is_signed_v<T>, long long, unsigned long long>;
    return static_cast<Wide>(part);
  }
}

class MessagePart {
 public:
  MessagePart(std::string_view text) : kind_(Kind::text), size_(text.size()), text_(text.data()) {}
  MessagePart(char c) : kind_(Kind::character), character_(c) {}
  MessagePart(long long value) : kind_(Kind::whole), whole_(value) {}
  MessagePart(unsigned long long value) : kind_(Kind::natural), natural_(value) {}
  MessagePart(float value) : kind_(Kind::single), single_(value) {}
  MessagePart(double value) : kind_(Kind::real), real_(value) {}

  void append_to(std::string& out) const {
    switch (kind_) {
      case Kind::text:
        out.append(text_, size_);
        break;
      case Kind::character:
        out += character_;
        break;
      case Kind::whole:
        append_number(out, whole_);
        break;
      case Kind::natural:
        append_number(out, natural_);
        break;
      case Kind::single:
        append_number(out, single_);
        break;
      case Kind::real:
        append_number(out, real_);
        break;
    }
  }

 private:
  /// The shortest text that reads back as the same number, whatever the locale.
  template <class T>
  static void append_number(std::string& out, T value) {
    char text[32];
    out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
  }

  enum class Kind { text, character, whole, natural, single, real };
  Kind kind_;
  std::size_t size_ = 0;
  union {
    const char* text_;
    char character_;
    long long whole_;
    unsigned long long natural_;
    float single_;
    double real_;
  };
};

[[gnu::noinline]] inline std::string join_parts(std::initializer_list<MessagePart> parts) {
  std::string out;
  for (const MessagePart& part : parts) part.append_to(out);
  return out;
}
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_parts(
    std::initializer_list<MessagePart> parts) {
  throw Error(join_parts(parts));
}

// By value and out of line: what is checked can then stay in registers where the check holds.
template <class... Parts>
[[gnu::noinline]] std::string concat_parts(Parts... parts) {
  return join_parts({parts...});
}
template <class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void fail_parts(Parts... parts) {
  throw_parts({parts...});
}

}  // namespace detail

/// Joins strings, characters and numbers into one string; numbers are exact.
template <class... Parts>
std::string concat(const Parts&... parts) {
  return detail::concat_parts(detail::message_part(parts)...);
}

namespace detail {

/// Bytes as GiB with two decimals.
inline std::string gibibytes(std::size_t bytes) {
  const auto hundredths = ((bytes >> 10) * 100 + (std::size_t{1} << 19)) >> 20;
  const std::string cents = std::to_string(hundredths % 100);
  return concat(hundredths / 100, '.', cents.size() < 2 ? "0" : "", cents, " GiB");
}

}  // namespace detail

/// Throws Error with the joined parts as its message.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  detail::fail_parts(detail::message_part(parts)...);
}

/// Returns f(). What it throws begins with place(), a record for example, and is of the type that
/// it was; memory that does not suffice is an Error of the place like any other.
template <class Place, class F>
decltype(auto) at_place(const Place& place, F&& f) {
  try {
    return f();
  } catch (const SystemError& error) {
    throw SystemError(concat(place(), ": ", error.what()));
  } catch (const Error& error) {
    fail(place(), ": ", error.what());
  } catch (const std::bad_alloc&) { fail(place(), ": the memory does not suffice for it"); }
}

/// Throws Error with the joined parts unless `condition` holds.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(parts...);
}

}  // namespace albef
