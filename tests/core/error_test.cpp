// Messages made of parts.
#include "albef/core/error.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>

namespace error_test {

using albef::concat;

TEST_CASE("error: parts of every type are joined as they read") {
  const std::string text = "text";
  char changing[] = "array";
  CHECK(concat() == "");
  CHECK(concat("a", text, std::string_view("view"), changing, 'c') == "atextviewarrayc");
  CHECK(concat(-1, ' ', 2u, ' ', std::int8_t{-3}, ' ', true) == "-1 2 -3 1");
  CHECK(concat(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  CHECK(concat(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  CHECK(concat(0.5, ' ', 0.25f) == "0.5 0.25");
}

TEST_CASE("error: require throws where the condition fails") {
  CHECK_NOTHROW(albef::require(true, "never said"));
  CHECK_THROWS_WITH_AS(albef::require(false, "got ", 3, ", expected ", 4), "got 3, expected 4",
                       albef::Error);
  CHECK_THROWS_WITH_AS(albef::fail("file", ": ", std::size_t{7}), "file: 7", albef::Error);
}

}  // namespace error_test
