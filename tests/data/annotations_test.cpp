#include "albef/data/annotations.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "data_files.hpp"

namespace annotations_test {

using albef::AnnotationOptions;
using albef::JsonAnnotations;
using data_test::error_of;
using data_test::TemporaryFolder;
using Strings = std::vector<std::string>;

TEST_CASE("annotations: captions, fields and pictures of several files") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "sub");
  folder.write("a.png", "first");
  folder.write("sub/a.png", "second");
  const auto one = folder.write("one.json", R"([
    {"image": "a.png", "caption": "a cat"},
    {"image": "a.png", "caption": ["a dog", "un chien"], "split": "train", "tags": ["x", 2]}])");
  const auto two = folder.write("sub/two.json", R"([{"image": "a.png", "caption": "later"},
                          {"image": ")" + folder / "a.png" +
                                                    R"(", "caption": "absolute"}])");
  const JsonAnnotations data(Strings{one, two});

  REQUIRE(data.size() == 4);
  CHECK(data.record(0).captions == Strings{"a cat"});
  CHECK(data.record(1).captions == Strings{"a dog", "un chien"});
  CHECK(data.record(1).values("split") == Strings{"train"});
  CHECK(data.record(1).values("tags") == Strings{"x", "2"});
  CHECK(data.record(0).values("split").empty());
  CHECK(data.describe(1) == one + ": record 1 (a.png)");
  CHECK(data.describe(2) == two + ": record 0 (a.png)");

  std::vector<std::uint8_t> bytes;
  data.read_image(0, bytes);
  CHECK(data_test::as_text(bytes) == "first");
  data.read_image(2, bytes);  // relative to its own file
  CHECK(data_test::as_text(bytes) == "second");
  data.read_image(3, bytes);
  CHECK(data_test::as_text(bytes) == "first");

  const JsonAnnotations rooted(one, AnnotationOptions{.image_root = folder / "sub"});
  rooted.read_image(0, bytes);
  CHECK(data_test::as_text(bytes) == "second");
}

TEST_CASE("annotations: identity by image_id, else by path") {
  const TemporaryFolder folder;
  const JsonAnnotations data(folder.write("d.json", R"([
    {"image_id": "coco_7", "image": "a.png", "caption": "1"},
    {"image_id": 7, "image": "b.png", "caption": "2"},
    {"image_id": "coco_7", "image": "c.png", "caption": "3"},
    {"image": "a.png", "caption": "4"},
    {"image": "d.png", "caption": "5"},
    {"image": "a.png", "caption": "6"}])"));
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < data.size(); ++i) ids.push_back(data.record(i).image_id);
  CHECK(ids == std::vector<std::int64_t>{0, 1, 0, 2, 3, 2});
}

TEST_CASE("annotations: a wrong record is kept as unusable, or throws if strict") {
  const TemporaryFolder folder;
  const auto path = folder.write("d.json", R"([
    {"image": "a.png", "caption": "fine"},
    {"image": "a.png"},
    {"caption": "no image"},
    {"image": "a.png", "caption": 3},
    {"image": "a.png", "caption": []},
    {"image": "a.png", "caption": ["x", null]},
    {"image": ["a.png"], "caption": "x"},
    {"image": "a.png", "caption": "x", "image_id": {}},
    "no object", [1, [2]], 5,
    {"image": "a.png", "caption": "fine too"}])");
  const JsonAnnotations data(path);
  REQUIRE(data.size() == 12);
  CHECK(data.record(0).error.empty());
  CHECK(data.record(11).error.empty());
  CHECK(data.record(11).captions == Strings{"fine too"});
  CHECK(data.record(1).error == "field 'caption' is missing");
  CHECK(data.record(2).error == "field 'image' is missing");
  CHECK_CONTAINS(data.record(3).error, "'caption' is number, expected a string or a list");
  CHECK_CONTAINS(data.record(4).error, "'caption' is an empty list");
  CHECK_CONTAINS(data.record(5).error, "'caption' is a list with other things");
  CHECK_CONTAINS(data.record(6).error, "'image' is array, expected a string");
  CHECK_CONTAINS(data.record(7).error, "'image_id' is object");
  for (const std::size_t i : {8u, 9u, 10u})
    CHECK_CONTAINS(data.record(i).error, "expected a JSON object");

  const auto message = error_of([&] { JsonAnnotations(path, {.strict = true}); });
  CHECK_CONTAINS(message, path + ": record 1 (a.png): field 'caption' is missing");

  const auto none = folder.write("n.json", R"([{"image": "a.png", "text": "?"}])");
  CHECK_CONTAINS(error_of([&] { JsonAnnotations{none}; }), "no record of the file can be used");
}

TEST_CASE("annotations: a caption that is not UTF-8 costs one record") {
  const TemporaryFolder folder;
  const JsonAnnotations data(
      folder.write("d.json",
                   "[{\"image\": \"a.png\", \"caption\": \"caf\xe9\"},"
                   " {\"image\": \"a.png\", \"caption\": \"caf\xc3\xa9\"}]"));
  CHECK(data.record(0).error == "field 'caption' is not UTF-8");
  CHECK(data.record(1).captions == Strings{"caf\xc3\xa9"});
}

TEST_CASE("annotations: unreadable files are named") {
  const TemporaryFolder folder;
  const auto fails = [&](std::string_view text) {
    const auto path = folder.write("bad.json", text);
    const auto message = error_of([&] { JsonAnnotations{path}; });
    CHECK_CONTAINS(message, path);
    return message;
  };
  CHECK_CONTAINS(fails("[{\"image\": \"a\",\n \"caption\" 3}]"), "line 2, column 12");
  CHECK_CONTAINS(fails("[{\"image\": \"a.png\", \"caption\": \"cut"), "line 1");
  CHECK_CONTAINS(fails("{\"annotations\": []}"), "expected a list of records");
  CHECK_CONTAINS(fails("7"), "expected a list of records");
  CHECK_CONTAINS(fails("[]"), "no records");
  CHECK_CONTAINS(fails(""), "parse error");
  CHECK_CONTAINS(error_of([&] { JsonAnnotations{folder / "none.json"}; }), "none.json");
  CHECK_CONTAINS(error_of([&] { JsonAnnotations{Strings{}}; }), "no JSON file");

  const auto path = folder.write("d.json", R"([{"image": "none.png", "caption": "x"}])");
  std::vector<std::uint8_t> bytes;
  const auto message = error_of([&] { JsonAnnotations(path).read_image(0, bytes); });
  CHECK_CONTAINS(message, path + ": record 0 (none.png)");
  CHECK_CONTAINS(message, "No such file");
}

}  // namespace annotations_test
