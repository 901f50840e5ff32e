// JSON of any origin: deep nesting is refused, Python's literals are read where asked for, large
// texts come in pieces; the same values as the library's own parser gives.
#include "albef/core/json.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/number.hpp"

namespace json_test {

using albef::Error;
using albef::for_each_json;
using albef::JsonPath;
using albef::parse_json;
using nlohmann::json;

namespace {

std::string nested(std::size_t depth, const std::string& open, const std::string& close) {
  std::string text, end;
  for (std::size_t i = 0; i < depth; ++i) text += open, end += close;
  return text + (open == "[" ? "" : "1") + end;
}
std::string problem(const std::string& text, const albef::JsonOptions& options = {}) {
  try {
    parse_json(text, options);
  } catch (const Error& error) { return error.what(); }
  return "";
}

const std::vector<std::string> texts{
    "0",
    "-1.5e3",
    "\"a\\u00e9\\ud83d\\ude00\"",
    "null",
    "[]",
    "{}",
    "[[],{},[{}]]",
    R"({"b": [1, 2.5, true, null], "a": {"x": {"y": [[], {}]}}, "": "z"})",
    "[18446744073709551615, -9223372036854775808, 1e-400]",
    "\xef\xbb\xbf[1]"};

}  // namespace

TEST_CASE("json: the values of the library's parser") {
  for (const auto& text : texts) {
    INFO(text);
    CHECK(parse_json(text) == json::parse(text));
    CHECK(parse_json(text, {.lenient = true}) == json::parse(text));
  }
  CHECK(parse_json(R"({"a": 1, "a": {"b": 2}})") == json::parse(R"({"a": {"b": 2}})"));
}

TEST_CASE("json: nesting beyond the limit is refused wherever it is, at any size") {
  for (const auto& [open, close] :
       {std::pair<std::string, std::string>{"[", "]"}, {"{\"a\":", "}"}}) {
    CHECK_NOTHROW(parse_json(nested(64, open, close)));
    CHECK(problem(nested(65, open, close)).find("nested more than 64 deep") != std::string::npos);
    CHECK(problem(nested(3'000'000, open, close)).find("nested more than 64 deep") !=
          std::string::npos);
    CHECK_THROWS_AS(for_each_json(nested(100'000, open, close), 1, [](auto&, json&) {}), Error);
    CHECK_THROWS_AS(for_each_json(nested(100'000, open, close), 90'000, [](auto&, json&) {}),
                    Error);
  }
  CHECK(problem("{\"a]\\\"[\": [\n [0]]}", {.max_depth = 2}) ==
        "parse error at line 2, column 2: nested more than 2 deep");
}

TEST_CASE("json: an error says line and column of the text as it was given") {
  CHECK(problem("[1,\n 2,\n x]").starts_with("parse error at line 3, column 2: syntax error"));
  CHECK(problem("[1").starts_with("parse error at line 1, column 3: syntax error"));
  CHECK(problem("[1e999]").starts_with("parse error at line 1, column 6: number overflow"));
  CHECK(problem("").find("unexpected end of input") != std::string::npos);
  CHECK(problem("[NaN,\n NaN, Infinity, x]", {.lenient = true})
            .starts_with("parse error at line 2, column 17: syntax error"));
  CHECK(problem("[\"\xff\"]").find("ill-formed UTF-8") != std::string::npos);
}

TEST_CASE("json: what Python writes beyond JSON is read where asked for, and only there") {
  const std::string python =
      R"({"a": NaN, "b": [Infinity, -Infinity, 1e999, -1e999, 1e5, 1e-999], "NaN": "Infinity NaN"})";
  CHECK(problem(python) != "");
  CHECK(parse_json(python, {.lenient = true}) ==
        json::parse(
            R"({"a": null, "b": [null, null, null, null, 1e5, 0.0], "NaN": "Infinity NaN"})"));
  CHECK(parse_json("[" + std::string(400, '9') + "]", {.lenient = true}) == json::parse("[null]"));
  CHECK(problem("[NaNa]", {.lenient = true}) != "");
  CHECK(problem("[nan]", {.lenient = true}) != "");
}

TEST_CASE("json: half a surrogate pair becomes the replacement character") {
  const auto lenient = [](const std::string& text) {
    return parse_json(text, {.lenient = true}).get<std::string>();
  };
  const std::string replaced = "\xef\xbf\xbd", smile = "\xf0\x9f\x98\x80";
  CHECK(problem(R"("a \ud83d b")") != "");
  CHECK(lenient(R"("a \ud83d b")") == "a " + replaced + " b");
  CHECK(lenient(R"("\uDE00")") == replaced);
  CHECK(lenient(R"("\ud83d\ud83d\ude00")") == replaced + smile);
  CHECK(lenient(R"("\ud83d\u0041")") == replaced + "A");
  CHECK(lenient(R"("\ude00\ud83d")") == replaced + replaced);
  CHECK(lenient(R"("\\ud83d")") == R"(\ud83d)");
  CHECK(lenient(R"("\ud83d\\ude00")") == replaced + R"(\ude00)");
  CHECK(lenient(R"("\ud7ff\ue000")") == "\xed\x9f\xbf\xee\x80\x80");
  for (const char* cut : {R"(")", R"("\)", R"("\u)", R"("\ud83)", R"("\ud83d)", R"("\ud83d\ude)"})
    CHECK(problem(cut, {.lenient = true}) != "");
}

TEST_CASE("json: a text in pieces") {
  const std::string text =
      R"({"n": 3, "list": [1, {"a": [2]}, []], "empty": {}, "o": {"x": {"y": 1}, "x": 5}})";
  std::vector<std::pair<JsonPath, json>> got;
  const auto take = [&](const JsonPath& path, json& value) { got.emplace_back(path, value); };
  CHECK(for_each_json(text, 1, take) == json::object());
  REQUIRE(got.size() == 4);
  CHECK(got[0] == std::pair{JsonPath{"n"}, json(3)});
  CHECK(got[1] == std::pair{JsonPath{"list"}, json::parse(R"([1, {"a": [2]}, []])")});
  CHECK(got[2] == std::pair{JsonPath{"empty"}, json::object()});
  got.clear();
  for_each_json(text, 2, take);
  REQUIRE(got.size() == 6);
  CHECK(got[0] == std::pair{JsonPath{"n"}, json(3)});
  CHECK(got[1] == std::pair{JsonPath{"list", ""}, json(1)});
  CHECK(got[2] == std::pair{JsonPath{"list", ""}, json::parse(R"({"a": [2]})")});
  CHECK(got[3] == std::pair{JsonPath{"list", ""}, json::array()});
  CHECK(got[4] == std::pair{JsonPath{"o", "x"}, json::parse(R"({"y": 1})")});
  CHECK(got[5] == std::pair{JsonPath{"o", "x"}, json(5)});
  got.clear();
  CHECK(for_each_json("[]", 1, take) == json::array());
  CHECK(for_each_json("7", 1, take) == json(7));
  CHECK(got.empty());
  CHECK_THROWS_AS(for_each_json("[1, 2", 1, take), Error);
  CHECK(got.size() == 2);
  CHECK_THROWS_WITH_AS(for_each_json("[1]", 1, [](auto&, json&) { albef::fail("stop"); }), "stop",
                       Error);
}

TEST_CASE("numbers: to text and back") {
  CHECK(albef::fixed(0.5, 2) == "0.50");
  CHECK(albef::fixed(-1234.567, 1) == "-1234.6");
  CHECK(albef::fixed(1e300, 1).size() == 303);
  CHECK(albef::significant(0.0123456, 3) == "0.0123");
  CHECK(albef::significant(1e-8, 3) == "1e-08");
  CHECK(albef::to_whole<int>("-12") == -12);
  for (const char* none : {"", "12x", "+1", " 1", "1 ", "1.5", "2147483648"})
    CHECK_FALSE(albef::to_whole<int>(none).has_value());
  CHECK_FALSE(albef::to_whole<unsigned>("-1").has_value());
  CHECK(albef::to_whole<double>("-1.5e3") == -1500);
  CHECK_FALSE(albef::to_whole<double>("1e999").has_value());
  CHECK(albef::to_number("-1.5e3") == -1500);
  CHECK(albef::to_number("1e999") == HUGE_VAL);
  CHECK(albef::to_number("1e-999") == 0);
  for (const char* text : {"", "abc", "nan", "inf", "0x10", " 1", "1 ", "1,5", "+1", "1.5.5", "e"})
    CHECK(!albef::to_number(text));
}

}  // namespace json_test
