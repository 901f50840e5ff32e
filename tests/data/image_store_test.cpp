// Pictures by name, and annotation files that name them.
#include "albef/data/image_store.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "albef/data/annotations.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/shard_writer.hpp"
#include "data_files.hpp"

namespace image_store_test {

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

TEST_CASE("image store: pictures in shards, with and without a text") {
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
  CHECK_CONTAINS(error_of([&] { store.read("other.png", bytes); }), "no picture 'other.png'");
}

TEST_CASE("image store: a picture in a shard is called by its whole name") {
  const TemporaryFolder folder;
  data_test::write_tar(folder / "p.tar", {{"./v/2021.05.01.jpg", "one"},
                                          {"./v/2021.05.02.jpg", "two"},
                                          {"/v/0.533.png", "three"},
                                          {"v/b.png", "b"},
                                          {"v/b.seg.png", "mask"},
                                          {"v/c.png", "c"},
                                          {"v/c.jpg", "another"},
                                          {"v/d.png", "same"},
                                          {"v/d.png", "same"},
                                          {"v/e.png", "old"},
                                          {"v/e.png", "new"},
                                          {"v/._e.png", "macOS"}});
  const albef::ShardImages store(folder / "p.tar");
  const auto read = [&](const char* name) {
    std::vector<std::uint8_t> bytes;
    store.read(name, bytes);
    return data_test::as_text(bytes);
  };
  CHECK(read("v/2021.05.01.jpg") == "one");
  CHECK(read("/v//2021.05.02.jpg") == "two");
  CHECK(read("./v/0.533.png") == "three");
  CHECK(read("v/2021.05.01") == "one");
  CHECK(read("v/2021.05.02.png") == "two");
  CHECK(read("v/b.png") == "b");
  CHECK(read("v/b.jpg") == "b");
  CHECK(read("v/b.seg.png") == "mask");
  CHECK(read("v/c.jpg") == "another");
  CHECK(read("v/d.png") == "same");
  CHECK_CONTAINS(error_of([&] { read("v/c"); }), "there are 2 different pictures 'v/c'");
  CHECK_CONTAINS(error_of([&] { read("v/e.png"); }), "there are 2 different pictures 'v/e.png'");
  CHECK_CONTAINS(error_of([&] { read("v/2021"); }), "no picture 'v/2021'");
  CHECK_CONTAINS(error_of([&] { read("v/2021.05.03.jpg"); }), "no picture");
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

TEST_CASE("shard writer: what it writes is read, and appears when it is complete") {
  const TemporaryFolder folder;
  const auto write = [&](const char* name) {
    albef::ShardWriter shard(folder / name);
    for (int i = 0; i < 3; ++i) {
      const std::string key = "train/" + std::to_string(i);
      shard.add(key + ".png", data_test::png(static_cast<std::uint8_t>(i)));
      shard.add(key + ".json", R"({"caption": "number )" + std::to_string(i) + "\"}");
    }
    CHECK(!std::filesystem::exists(folder / name));
    shard.commit();
  };
  write("a.tar");
  write("b.tar");
  CHECK(albef::read_file(folder / "a.tar") == albef::read_file(folder / "b.tar"));
  const albef::WebDataset data(folder / "a.tar");
  REQUIRE(data.size() == 3);
  CHECK(data.record(2).key == "train/2");
  CHECK(data.record(2).captions == std::vector<std::string>{"number 2"});
  std::vector<std::uint8_t> bytes;
  data.read_image(1, bytes);
  CHECK(bytes == data_test::png(1));

  { albef::ShardWriter dropped(folder / "c.tar"); }
  CHECK(!std::filesystem::exists(folder / "c.tar"));
  CHECK_CONTAINS(error_of([&] { albef::ShardWriter(folder / "no/d.tar"); }), "no/d.tar");
}

TEST_CASE("png: opacity is kept when asked for") {
  const std::string folder = ALBEF_TEST_DATA "/data/image_files/";
  const auto rgba = [&](const char* name) {
    const std::string bytes = albef::read_file(folder + name);
    return albef::decode_png_rgba(
        {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, name);
  };
  for (const char* name : {"rgba.png", "palette_transparent.png", "rgb.png"}) {
    CAPTURE(name);
    const albef::RgbaImage image = rgba(name);
    const albef::Image plain = albef::load_image(folder + name);
    const albef::Image white = albef::load_image(folder + name, {.over_white = true});
    REQUIRE(image.rgba.size() / 4 == plain.rgb.size() / 3);
    std::vector<std::uint8_t> over(white.rgb.size());
    albef::detail::rgba_over_white(image.rgba.data(), over.size() / 3, over.data());
    CHECK(over == white.rgb);
    std::size_t equal = 0;
    for (std::size_t i = 0; i < plain.rgb.size(); ++i)
      equal += plain.rgb[i] == image.rgba[i / 3 * 4 + i % 3];
    CHECK(equal == plain.rgb.size());
  }
  CHECK_CONTAINS(error_of([&] { rgba("color.jpg"); }), "'color.jpg': it is no PNG file");
}

}  // namespace image_store_test
