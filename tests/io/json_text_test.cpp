// The small JSON reader and writer, against nlohmann-json.
#include "albef/io/json_text.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "albef/core/rng.hpp"

using albef::Error;
using albef::detail::append_json;
using albef::detail::JsonText;
using nlohmann::json;

namespace {

template <class T>
std::string written(const T& value) {
  std::string out;
  append_json(out, value);
  return out;
}

/// What the reader makes of a value, as nlohmann-json.
json read(const JsonText& value) {
  if (value.is_object()) {
    json out = json::object();
    for (const auto& [name, member] : value.members()) out[name] = read(member);
    return out;
  }
  if (value.is_array()) {
    json out = json::array();
    for (const auto& item : value.items()) out.push_back(read(item));
    return out;
  }
  if (value.is_string()) return value.string();
  if (const auto whole = value.whole()) return *whole;
  if (const auto number = value.number()) return *number;
  return json::parse(value.text());  // true, false, null, and what only the text can tell
}

std::optional<json> read(const std::string& text) {
  try {
    return read(JsonText(text));
  } catch (const Error&) {
    return {};
  } catch (const json::out_of_range&) {  // 1e999 is JSON, but no double
    return {};
  }
}

const std::vector<std::string> samples{
    R"({"w":{"dtype":"F32","shape":[2,0],"data_offsets":[0,8]},"__metadata__":{"a":"b\n\u00e9"}})",
    R"( { "step" : 12 , "itm" : 0.43, "lr": -1.5E-05, "x": null, "y": [true, false, [ ], { }] } )",
    R"(["\u0041\ud83d\ude00\\\"\/\b\f\n\r\t", 18446744073709551615, 18446744073709551616, -0, 0.0])",
    "\"Gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x98\x80\"",
    "[[[[[[[[1]]]]]]]]",
    "7"};

}  // namespace

TEST_CASE("json: texts are read as nlohmann-json reads them") {
  for (const auto& text : samples) {
    CAPTURE(text);
    CHECK(read(text) == json::parse(text));
  }
  CHECK(JsonText(R"([1, 2])").text() == "[1, 2]");
  CHECK_FALSE(JsonText("1.0").whole());
  CHECK_FALSE(JsonText("-1").whole());
  CHECK(JsonText("-1").number() == -1.0);
}

TEST_CASE("json: damaged texts are refused as nlohmann-json refuses them") {
  albef::RandomStream random(7, 1);
  const std::string letters = "{}[]\",:\\u0123 e+-.ntx\x01\x7f\x80\xc3\xe2\xf0\xff";
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = samples[static_cast<std::size_t>(random.below(6))];
    for (int edits = random.below(3) + 1; edits > 0 && !text.empty(); --edits) {
      const auto at = static_cast<std::size_t>(random.below(static_cast<int>(text.size())));
      const char letter =
          letters[static_cast<std::size_t>(random.below(static_cast<int>(letters.size())))];
      switch (random.below(4)) {
        case 0:
          text.erase(at, 1);
          break;
        case 1:
          text.insert(at, 1, letter);
          break;
        case 2:
          text[at] = letter;
          break;
        default:
          text.resize(at);
      }
    }
    CAPTURE(text);
    const json expected = json::parse(text, nullptr, false);
    const auto got = read(text);
    refused += !got;
    REQUIRE(got.has_value() == !expected.is_discarded());
    if (got) REQUIRE(*got == expected);
  }
  CHECK(refused > 1000);
  CHECK_THROWS_WITH_AS(JsonText("[1,]"), "expected a value at byte 3", Error);
  CHECK_THROWS_WITH_AS(JsonText("\"a"), doctest::Contains("does not end"), Error);
}

TEST_CASE("json: texts and numbers are written as nlohmann-json writes them") {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  for (const std::string& text : {all, std::string(), std::string("\xc3\xbc \xf0\x9f\x98\x80")})
    CHECK(written(text) == json(text).dump());
  for (const char* broken : {"\x80", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"})
    CHECK_THROWS_AS(written(std::string(broken)), Error);

  for (const double value : {0.0, -0.0, 1.0, -2.5, 0.1, 1e-4, 1e-5, 12345678.9, 1e14, 1e15, 1e16,
                             123456789012345.0, 1.5e300, 5e-324, 0.0002666666666666667})
    CHECK(written(value) == json(value).dump());
  CHECK(written(std::numeric_limits<double>::infinity()) == "null");
  CHECK(written(std::numeric_limits<double>::quiet_NaN()) == "null");

  albef::RandomStream random(7, 2);
  int different = 0;  // nlohmann-json's digits are not always the shortest
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t bits = std::uint64_t{random.bits()} << 32 | random.bits();
    double value;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    const std::string text = written(value);
    REQUIRE(JsonText(text).number() == value);
    different += text != json(value).dump();
  }
  CHECK(different < 100);
}
