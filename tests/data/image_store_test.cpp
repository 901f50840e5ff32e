// Pictures by name, and annotation files that name them.
#include "albef/data/image_store.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "albef/data/annotations.hpp"
#include "data_files.hpp"

using data_test::error_of;
using data_test::TemporaryFolder;

TEST_CASE("image store: files of a folder") {
  const TemporaryFolder folder;
  folder.write("a.png", "first");
  std::vector<std::uint8_t> bytes;
  const auto store = albef::open_images(folder / "");
  store->read("a.png", bytes);
  CHECK(data_test::as_text(bytes) == "first");
  store->read(folder / "a.png", bytes);
  CHECK(data_test::as_text(bytes) == "first");
  CHECK_CONTAINS(error_of([&] { store->read("b.png", bytes); }), "b.png");
}

TEST_CASE("image store: records of shards, with and without a text") {
  const TemporaryFolder folder;
  data_test::write_tar(folder / "0.tar",
                       {{"val/1.png", "one"}, {"val/1.json", R"({"caption": "c"})"}});
  data_test::write_tar(folder / "1.tar", {{"other.txt", "text"}, {"val/2.jpg", "two"}}, true);
  const albef::ShardImages store(folder / "*.tar");
  std::vector<std::uint8_t> bytes;
  store.read("val/1.png", bytes);
  CHECK(data_test::as_text(bytes) == "one");
  store.read("./val/2.jpg", bytes);
  CHECK(data_test::as_text(bytes) == "two");
  store.read("val/2", bytes);
  CHECK(data_test::as_text(bytes) == "two");
  const auto message = error_of([&] { store.read("val/3.png", bytes); });
  CHECK_CONTAINS(message, "no picture 'val/3.png'");
  CHECK_CONTAINS(message, "and 1 more shard");
  CHECK_CONTAINS(error_of([&] { store.read("other.png", bytes); }),
                 "no picture (.png, .jpg, .jpeg) next to the text");
}

TEST_CASE("annotations: pictures from a shard, another field for the text, packed files") {
  const TemporaryFolder folder;
  data_test::write_tar(folder / "p.tar", {{"a.png", "first"}});
  const auto path = folder.write("d.json", R"([{"image": "a.png", "text": "t", "caption": "c"},
                                               {"image": "b.png", "text": "t"}])");
  albef::AnnotationOptions options;
  options.images = albef::open_images(folder / "p.tar");
  options.caption_field = "text";
  const albef::JsonAnnotations data(path, options);
  CHECK(data.record(0).captions == std::vector<std::string>{"t"});
  CHECK(data.record(0).values("caption") == std::vector<std::string>{"c"});
  std::vector<std::uint8_t> bytes;
  data.read_image(0, bytes);
  CHECK(data_test::as_text(bytes) == "first");
  CHECK_CONTAINS(error_of([&] { data.read_image(1, bytes); }),
                 path + ": record 1 (b.png): no picture 'b.png'");

  REQUIRE(std::system(("gzip -k " + path).c_str()) == 0);
  CHECK(albef::JsonAnnotations(path + ".gz", options).size() == 2);
  const std::string packed = albef::read_file(path + ".gz");
  const auto cut = folder.write("cut.json.gz", packed.substr(0, packed.size() / 2));
  CHECK_CONTAINS(error_of([&] { albef::JsonAnnotations(cut, options); }), "cut.json.gz");
}
