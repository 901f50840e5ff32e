#include "albef/text/clean.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "albef/core/file.hpp"

namespace clean_test {

using namespace albef;

TEST_CASE("pre_caption and pre_question equal the official functions") {
  const auto cases = nlohmann::json::parse(
      read_file(std::string(ALBEF_TEST_DATA) + "/golden/tokenizer/cases.json"));
  REQUIRE(cases.at("pre_caption").size() > 60);
  REQUIRE(cases.at("pre_question").size() > 60);
  for (const auto& item : cases.at("pre_caption")) {
    const auto text = item.at("text").get<std::string>();
    CAPTURE(text);
    CHECK(pre_caption(text, item.at("max_words").get<int>()) == item.at("output"));
  }
  for (const auto& item : cases.at("pre_question")) {
    const auto text = item.at("text").get<std::string>();
    CAPTURE(text);
    CHECK(pre_question(text, item.at("max_words").get<int>()) == item.at("output"));
  }
}

TEST_CASE("pre_caption: word limit and order of the steps") {
  CHECK(pre_caption("One, two; three", 1) == "one");
  CHECK(pre_caption("one two", 2) == "one two");
  CHECK(pre_caption("<per.son> <person><person>") == "person personperson");
  std::string nested;  // in time proportional to the text
  for (int i = 0; i < 100000; ++i) nested += "<<person>person>";
  CHECK(pre_caption(nested).size() == nested.size() - 200000);
  CHECK(pre_caption("<<person>person>") == "<personperson>");  // replaced once, as in Python
  CHECK(pre_caption("a\x1C\x1Dz") == "a z");                   // white space for Python, not for C
  CHECK(pre_caption("a \n") == "a");
  CHECK(pre_question("a  b c", 3) == "a  b");  // the empty word between two spaces counts
  CHECK_THROWS_AS(pre_caption("a", 0), Error);
  CHECK_THROWS_WITH_AS(pre_caption("ab\xFF"), doctest::Contains("byte 2"), Error);
  CHECK_THROWS_AS(pre_question("ab\xE2\x82"), Error);
}

TEST_CASE("lower case is that of Python's str") {
  const auto lower = [](std::string_view text) { return detail::lower(text); };
  CHECK(lower("ABC xyz 123") == "abc xyz 123");
  CHECK(lower("\xC4\xB0") == "i\xCC\x87");       // U+0130: two code points
  CHECK(lower("\xCE\xA3") == "\xCF\x83");        // a sigma alone is not final
  CHECK(lower("A\xCE\xA3") == "a\xCF\x82");      // final
  CHECK(lower("A\xCE\xA3.") == "a\xCF\x82.");    // '.' does not end the search, ...
  CHECK(lower("A\xCE\xA3.B") == "a\xCF\x83.b");  // ... so this sigma is inside
  CHECK(lower("A.\xCE\xA3 B") == "a.\xCF\x82 b");
  CHECK(lower("1\xCE\xA3") == "1\xCF\x83");
  CHECK(lower("A\xCE\xA3\xCC\x81") == "a\xCF\x82\xCC\x81");        // marks are passed over as well
  CHECK(lower("\xE2\x85\xA7\xCE\xA3") == "\xE2\x85\xB7\xCF\x82");  // U+2167 counts as a letter
}

}  // namespace clean_test
