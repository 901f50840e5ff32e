#include "albef/data/unpaired.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "albef/data/open.hpp"
#include "data_files.hpp"

namespace unpaired_test {

using albef::open_pictures;
using albef::open_texts;
using albef::Source;
using albef::SourcePtr;
using data_test::error_of;
using data_test::png;
using Strings = std::vector<std::string>;

namespace {

// What there is of each record: its text or error, and whether its picture can be read.
Strings texts(const Source& source) {
  Strings out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const auto& r = source.record(i);
    out.push_back(!r.error.empty()     ? "! " + r.error
                  : r.captions.empty() ? "-"
                                       : r.captions.front());
  }
  return out;
}
Strings pictures(const Source& source) {
  Strings out;
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < source.size(); ++i) try {
      const auto& r = source.record(i);
      if (!r.error.empty()) throw albef::Error(r.error);
      source.read_image(i, bytes);
      out.push_back(r.key);
    } catch (const albef::Error& error) { out.push_back(std::string("! ") + error.what()); }
  return out;
}
std::string picture(std::uint8_t level) { return data_test::as_text(png(level)); }

}  // namespace

TEST_CASE("pictures alone: folders, lists, annotations and shards") {
  const data_test::TemporaryFolder folder;
  std::filesystem::create_directories(folder / "a/deep");
  std::filesystem::create_directories(folder / "a/.cache");
  folder.write("a/2.png", picture(2));
  folder.write("a/1.PNG", picture(1));
  folder.write("a/deep/3.png", picture(3));
  folder.write("a/.cache/4.png", picture(4));
  folder.write("a/notes.txt", "no picture");
  const SourcePtr all = open_pictures(folder / "a");
  CHECK(pictures(*all) == Strings{"1.PNG", "2.png", "deep/3.png"});
  CHECK(all->record(2).image_id == 2);
  CHECK_CONTAINS(all->describe(2), "a: 'deep/3.png'");

  const std::string list = folder.write("list.txt", "a/2.png\r\n\n  \na/gone.png\na/deep/3.png");
  const SourcePtr listed = open_pictures(list);
  const Strings read = pictures(*listed);
  REQUIRE(read.size() == 3);
  CHECK(read[0] == "a/2.png");
  CHECK_CONTAINS(read[1], "list.txt: line 4 (a/gone.png): cannot open");
  CHECK(read[2] == "a/deep/3.png");
  const std::string short_names = folder.write("short.txt", "2.png\n1.PNG\n");
  CHECK(pictures(*open_pictures(short_names, folder / "a")) == Strings{"2.png", "1.PNG"});

  const std::string json =
      folder.write("some.jsonl",
                   "{\"image\": \"a/2.png\"}\n{\"text\": \"alone\"}\n{\"image\": \"a/1.PNG\", "
                   "\"caption\": \"one\"}\n");
  CHECK(pictures(*open_pictures(json)) == Strings{"a/2.png", "! there is no picture", "a/1.PNG"});

  const std::string shard = folder / "s.tar";
  data_test::write_tar(shard, {{"x.png", picture(1)},
                               {"y.txt", "no picture"},
                               {"z.png", picture(2)},
                               {"z.cls", "7"},
                               {"w.png", picture(2)},
                               {"w.json", "{\"name\": \"no caption\"}"}});
  CHECK(pictures(*open_pictures(shard)) ==
        Strings{"x", "! no picture (.jpg, .png, ...) next to the text", "z", "w"});
}

TEST_CASE("texts alone: lines, annotations and shards") {
  const data_test::TemporaryFolder folder;
  const std::string lines = folder.write("t.txt",
                                         "\xef\xbb\xbf"
                                         "One sentence.\r\n\n...\nbad \xff line\nthe last");
  const SourcePtr source = open_texts(lines);
  CHECK(texts(*source) == Strings{"One sentence.", "! the line is not UTF-8", "the last"});
  CHECK_CONTAINS(source->describe(1), "t.txt: line 4");
  CHECK(albef::clean_captions(*source) == Strings{"one sentence", "the last"});
  std::vector<std::uint8_t> bytes;
  CHECK_CONTAINS(error_of([&] { source->read_image(0, bytes); }), "line 1: there is no picture");

  const std::string json = folder.write(
      "t.json",
      "[{\"caption\": [\"a\", \"b\"], \"image\": \"gone.png\"}, {\"sentence\": \"c\"}, "
      "{\"image\": \"x.png\"}]");
  CHECK(texts(*open_texts(json)) == Strings{"a", "c", "! there is no text"});

  const std::string shard = folder / "t.tar";
  data_test::write_tar(shard, {{"x.txt", "of x"},
                               {"y.png", picture(1)},
                               {"z.png", picture(2)},
                               {"z.json", "{\"caption\": \"of z\"}"}});
  CHECK(texts(*open_texts(shard)) ==
        Strings{"of x", "! no text (.json, .txt) next to the picture", "of z"});

  const std::string packed = std::string(ALBEF_TEST_DATA) + "/../examples/data/texts/texts.txt.gz";
  CHECK(open_texts(packed)->size() > 10000);
}

TEST_CASE("data sets without what is asked for") {
  const data_test::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "empty");
  CHECK(error_of([&] { open_pictures(folder / "empty"); }) ==
        "'" + (folder / "empty") + "' holds no pictures");
  CHECK_CONTAINS(error_of([&] { open_pictures(folder / "gone"); }), "gone");
  const std::string json = folder.write("t.json", "[{\"text\": \"a\"}, {\"text\": \"b\"}]");
  CHECK_CONTAINS(error_of([&] { open_pictures(json); }),
                 "t.json' holds no pictures; " + json + ": record 0: there is no picture");
  const std::string shard = folder / "t.tar";
  data_test::write_tar(shard, {{"x.txt", "of x"}, {"y.txt", "of y"}});
  CHECK_CONTAINS(error_of([&] { open_pictures(shard); }), "t.tar' holds no pictures; ");
  data_test::write_tar(shard, {{"x.png", picture(1)}, {"x.json", "{\"name\": \"x\"}"}});
  CHECK_CONTAINS(error_of([&] { open_texts(shard); }),
                 "t.tar' holds no texts; " + shard + ": record 0 (x): field 'caption' is missing");
  CHECK(error_of([&] { open_texts(folder.write("e.txt", "\n \n")); }) ==
        "'" + (folder / "e.txt") + "' holds no texts");
}

}  // namespace unpaired_test
