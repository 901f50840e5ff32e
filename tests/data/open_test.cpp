// Data sets by name.
#include "albef/data/open.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data_files.hpp"

namespace open_test {

using albef::Error;

TEST_CASE("data sets are called as they are named, or as their files are") {
  const data_test::TemporaryFolder folder;
  const std::string odd = folder.write("k=v.tar", "");
  const std::vector<std::string> arguments{"one=a/b.tar", "c/d.tar", odd, "e=f=g.tar"};
  const auto named = albef::named_paths(arguments);
  REQUIRE(named.size() == 4);
  CHECK(named[0].name == "one");
  CHECK(named[0].path == "a/b.tar");
  CHECK(named[1].name == "d");
  CHECK(named[1].path == "c/d.tar");
  CHECK(named[2].name == "k=v");  // the file is there
  CHECK(named[2].path == odd);
  CHECK(named[3].name == "e");
  CHECK(named[3].path == "f=g.tar");
  const std::vector<std::string> twice{"a/x.tar", "b/x.tar"};
  CHECK_THROWS_WITH_AS(
      albef::named_paths(twice),
      "two data sets are called 'x': 'a/x.tar' and 'b/x.tar'; name them: NAME=PATH", Error);
}

TEST_CASE("a file of the whole name is meant before a weight or a name") {
  const data_test::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "lr=2");
  const std::string shards = folder / "lr=2/s-{0..0}.tar", odd = folder.write("a=2", "");
  folder.write("lr=2/s-0.tar", "");
  using Split = std::pair<std::string, double>;
  CHECK(albef::detail::split_weight(odd) == Split{odd, 1});
  CHECK(albef::detail::split_weight(odd + "=0.5") == Split{odd, 0.5});
  CHECK(albef::detail::split_weight(shards) == Split{shards, 1});
  CHECK(albef::detail::split_weight(shards + "=3") == Split{shards, 3});
  CHECK(albef::named_paths(std::vector<std::string>{shards})[0].path == shards);
  for (const char* weight : {"0", "-1", "nan", "inf", "1e999"}) {
    CAPTURE(weight);
    CHECK_THROWS_WITH_AS(albef::detail::split_weight(std::string("x.tar=") + weight),
                         doctest::Contains("expected a positive number"), Error);
  }
}

TEST_CASE("picture files are records called by their paths") {
  const data_test::TemporaryFolder folder;
  const std::vector<std::string> paths{
      folder.write("a.png", data_test::as_text(data_test::png(7)))};
  const auto source = albef::picture_files(paths);
  REQUIRE(source.size() == 1);
  CHECK(source.record(0).key == paths[0]);
  std::vector<std::uint8_t> bytes;
  source.read_image(0, bytes);
  CHECK(bytes == data_test::png(7));
  const std::vector<std::string> missing{folder / "none.png"};
  CHECK_THROWS_WITH_AS(albef::picture_files(missing), doctest::Contains("none.png"), Error);
}

}  // namespace open_test
