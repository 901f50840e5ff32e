#include "albef/data/webdataset.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/data/codec.hpp"
#include "data_files.hpp"

namespace webdataset_test {

using albef::expand_shards;
using albef::WebDataset;
using data_test::error_of;
using data_test::TemporaryFolder;
using data_test::write_tar;
using Strings = std::vector<std::string>;

namespace {

std::string image_of(const WebDataset& data, std::size_t index) {
  std::vector<std::uint8_t> bytes;
  data.read_image(index, bytes);
  return data_test::as_text(bytes);
}

}  // namespace

TEST_CASE("webdataset: records of plain and compressed shards") {
  const TemporaryFolder folder;
  const data_test::TarEntries entries{
      {"README", "belongs to no record"},
      {"x/a.png", "picture a"},
      {"x/a.json", R"({"caption": ["one", "two"], "split": "val", "tones": [1, 2]})"},
      {"x/b.txt", "b's text"},
      {"x/b.seg.png", "not the picture"},
      {"x/b.JPG", "picture b"},
      {"c.jpeg", "picture c"},
      {"c.json", R"({"width": 64})"},
      {"c.txt", "c's text"},
      {"only.cls", "7"},
      {"d.png", ""},
      {"d.txt", "an empty picture"}};
  for (const bool gzip : {false, true}) {
    CAPTURE(gzip);
    const auto path = folder / (gzip ? "s.tar.gz" : "s.tar");
    write_tar(path, entries, gzip);
    const WebDataset data(path);
    REQUIRE(data.size() == 4);
    CHECK(data.record(0).key == "x/a");
    CHECK(data.record(0).captions == Strings{"one", "two"});
    CHECK(data.record(0).values("split") == Strings{"val"});
    CHECK(data.record(0).values("tones") == Strings{"1", "2"});
    CHECK(data.record(1).captions == Strings{"b's text"});
    CHECK(data.record(2).captions == Strings{"c's text"});
    CHECK(data.record(2).values("width") == Strings{"64"});
    CHECK(data.record(2).image_id == 2);
    CHECK(data.describe(1) == path + ": record 1 (x/b)");
    CHECK(image_of(data, 2) == "picture c");
    CHECK(image_of(data, 0) == "picture a");
    CHECK(image_of(data, 1) == "picture b");
    CHECK(image_of(data, 3).empty());
  }
}

TEST_CASE("webdataset: incomplete and damaged records are kept as unusable") {
  const TemporaryFolder folder;
  write_tar(folder / "s.tar", {{"a.png", "x"},
                               {"b.json", R"({"caption": "b"})"},
                               {"c.png", "x"},
                               {"c.json", R"({"caption": )"},
                               {"d.png", "x"},
                               {"d.json", R"({"text": "d"})"},
                               {"e.png", "x"},
                               {"e.txt", "caf\xe9"},
                               {"f.png", "x"},
                               {"f.json", "{\"caption\": \"caf\xe9\"}"},
                               {"g.png", "x"},
                               {"g.txt", "fine"}});
  const WebDataset data(folder / "s.tar");
  REQUIRE(data.size() == 7);
  CHECK_CONTAINS(data.record(0).error, "no text (.json, .txt)");
  CHECK_CONTAINS(data.record(1).error, "no picture");
  CHECK_CONTAINS(data.record(2).error, "malformed: parse error at line 1");
  CHECK_CONTAINS(data.record(3).error, "field 'caption' is missing");
  CHECK_CONTAINS(data.record(4).error, ".txt entry is not UTF-8");
  CHECK_CONTAINS(data.record(5).error, "field 'caption' is not UTF-8");
  CHECK(data.record(6).error.empty());
  std::vector<std::uint8_t> bytes;
  CHECK_CONTAINS(error_of([&] { data.read_image(0, bytes); }), "s.tar: record 0 (a)");
}

TEST_CASE("webdataset: what stands before the cut of a shard stays usable") {
  const TemporaryFolder folder;
  const std::string picture(2000, 'p'), text = R"({"caption": "c"})";
  write_tar(folder / "whole.tar",
            {{"a.png", picture}, {"a.json", text}, {"b.png", picture}, {"b.json", text}});
  const std::string whole = albef::read_file(folder / "whole.tar");
  // A record is a header of 512 bytes, the picture in 2048, a header, the text in 512: 3584 in all.
  const auto cut = [&](std::size_t size) {
    return WebDataset(folder.write("cut.tar", whole.substr(0, size)));
  };
  for (const std::size_t size : {4000u, 4200u, 6000u, 6144u, 6200u, 6660u}) {
    CAPTURE(size);
    const WebDataset data = cut(size);
    REQUIRE(data.size() == 2);
    CHECK(image_of(data, 0) == picture);
    CHECK_CONTAINS(data.record(1).error, "cut");
    CHECK_CONTAINS(data.describe(1), "cut.tar: record 1");
  }
  CHECK(cut(7168).record(1).error.empty());  // only the end marker is missing

  std::string noise(400000, '\0'), other;  // does not compress; libarchive unpacks 64 KiB a time
  albef::RandomStream random(1, 2);
  for (char& c : noise) c = static_cast<char>(random.below(256));
  other = noise.substr(200000);
  noise.resize(200000);
  write_tar(folder / "whole.tar.gz",
            {{"a.png", noise}, {"a.json", text}, {"b.png", other}, {"b.json", text}}, true);
  const std::string packed = albef::read_file(folder / "whole.tar.gz");
  const WebDataset data(folder.write("cut.tar.gz", packed.substr(0, 300000)));
  REQUIRE(data.size() == 2);
  CHECK(image_of(data, 0) == noise);
  CHECK_CONTAINS(data.record(1).error, "cut");
}

TEST_CASE("webdataset: unreadable shards are named") {
  const TemporaryFolder folder;
  CHECK_CONTAINS(error_of([&] { WebDataset{folder / "none.tar"}; }), "none.tar");
  const auto junk = folder.write("junk.tar", std::string(3000, 'j'));
  CHECK_CONTAINS(error_of([&] { WebDataset{junk}; }), "junk.tar");
  const auto empty = folder.write("empty.tar", "");
  CHECK_CONTAINS(error_of([&] { WebDataset{empty}; }), "empty.tar");
  write_tar(folder / "other.tar", {{"notes.md", "nothing here"}});
  CHECK_CONTAINS(error_of([&] { WebDataset{folder / "other.tar"}; }), "holds no records");
  CHECK_CONTAINS(error_of([&] { WebDataset{Strings{}}; }), "no shard");

  write_tar(folder / "s.tar", {{"a.png", "picture"}, {"a.txt", "t"}});
  const WebDataset data(folder / "s.tar");
  folder.write("s.tar", "short");  // replaced after it was indexed
  std::vector<std::uint8_t> bytes;
  CHECK_CONTAINS(error_of([&] { data.read_image(0, bytes); }), "s.tar: record 0 (a)");
}

TEST_CASE("webdataset: shard patterns") {
  const TemporaryFolder folder;
  CHECK(expand_shards("s-{08..11}.tar") == Strings{"s-08.tar", "s-09.tar", "s-10.tar", "s-11.tar"});
  CHECK(expand_shards("{a,b}{0..1}") == Strings{"a0", "a1", "b0", "b1"});
  CHECK(expand_shards("plain.tar") == Strings{"plain.tar"});
  for (const char* name : {"b.tar", "a.tar", "c.txt", "odd{1}.tar"}) folder.write(name, "");
  CHECK(expand_shards(folder / "?.tar") == Strings{folder / "a.tar", folder / "b.tar"});
  CHECK(expand_shards(folder / "odd{1}.tar") == Strings{folder / "odd{1}.tar"});
  CHECK_CONTAINS(error_of([&] { expand_shards(folder / "z*.tar"); }), "z*.tar");
  CHECK_CONTAINS(error_of([] { expand_shards("s{3..1}.tar"); }), "first <= last");
  CHECK_CONTAINS(error_of([] { expand_shards("s{a..c}.tar"); }), "{a..c}");

  write_tar(folder / "t-0.tar", {{"a.png", "0"}, {"a.txt", "x"}});
  write_tar(folder / "t-1.tar", {{"a.png", "1"}, {"a.txt", "x"}});
  const WebDataset data(folder / "t-{0..1}.tar");
  CHECK(image_of(data, 1) == "1");
  CHECK(data.describe(1) == (folder / "t-1.tar") + ": record 0 (a)");
  CHECK(data.record(0).image_id != data.record(1).image_id);
}

TEST_CASE("webdataset: the emoji shards") {
  const std::vector<std::pair<std::string, std::size_t>> sizes{
      {"train", 2413}, {"val", 93}, {"test_comp", 336}, {"test_gender", 66}, {"test_novel", 151}};
  for (const auto& shard : sizes) {
    const std::string& split = shard.first;
    CAPTURE(split);
    const WebDataset data(data_test::emoji + split + ".tar");
    CHECK(data.size() == shard.second);
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < data.size(); ++i) {
      REQUIRE(data.record(i).error.empty());
      CHECK(data.record(i).values("split") == Strings{split});
      if (i % 16 > 0) continue;
      data.read_image(i, bytes);
      CHECK(albef::decode_image(bytes, "emoji").width == 64);
    }
  }
  const WebDataset train(data_test::emoji + "train.tar");
  CHECK(train.record(0).key == "1f3fb");
  CHECK(train.record(0).captions == Strings{"light skin tone"});
}

TEST_CASE("webdataset: threads read at the same time") {
  const WebDataset data(data_test::emoji + "val.tar");
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < data.size(); ++i) expected.push_back(image_of(data, i));
  std::vector<int> wrong(4, 0);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < data.size(); ++i)
          wrong[t] +=
              image_of(data, (i * 7 + t) % data.size()) != expected[(i * 7 + t) % data.size()];
      });
  }
  CHECK(wrong == std::vector<int>(4, 0));
}

}  // namespace webdataset_test
