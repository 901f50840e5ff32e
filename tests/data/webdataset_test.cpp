#include "albef/data/webdataset.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/retrieval_set.hpp"
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
  const WebDataset marked = cut(7168);  // only the end mark is missing
  REQUIRE(marked.size() == 3);
  CHECK(marked.record(1).error.empty());
  CHECK_CONTAINS(marked.record(2).error, "cut: it ends without an end mark, at byte 7168");

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
}

TEST_CASE("webdataset: a shard that changes while it is in use") {
  const TemporaryFolder folder;
  const auto path = folder / "s.tar";
  write_tar(path, {{"a.png", "picture"}, {"a.txt", "t"}});
  const WebDataset data(path);
  write_tar(folder / "new.tar", {{"a.png", "another"}, {"a.txt", "t"}});
  const std::string other = albef::read_file(folder / "new.tar");
  std::filesystem::rename(folder / "new.tar", path);  // of the same layout
  CHECK(image_of(data, 0) == "picture");

  const WebDataset written(path);
  CHECK(image_of(written, 0) == "another");
  std::filesystem::last_write_time(
      path, std::filesystem::last_write_time(path) - std::chrono::seconds(9));
  CHECK_CONTAINS(error_of([&] { image_of(written, 0); }),
                 "s.tar: record 0 (a): shard '" + path + "' was changed or replaced");

  // Too few descriptors to keep shards open: they are opened each time.
  ::rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  ::rlimit low = limit;
  low.rlim_cur = 12;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  const WebDataset reopened(Strings(40, path));
  const std::string before = image_of(reopened, 39);
  folder.write("new.tar", other);
  std::filesystem::rename(folder / "new.tar", path);
  const std::string message = error_of([&] { image_of(reopened, 39); });
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(before == "another");
  CHECK_CONTAINS(message, "was changed or replaced while it was in use");
}

TEST_CASE("webdataset: shard patterns") {
  const TemporaryFolder folder;
  CHECK(expand_shards("s-{08..11}.tar") == Strings{"s-08.tar", "s-09.tar", "s-10.tar", "s-11.tar"});
  CHECK(expand_shards("{a,b}{0..1}") == Strings{"a0", "a1", "b0", "b1"});
  CHECK(expand_shards("plain.tar") == Strings{"plain.tar"});
  for (const char* name : {"b.tar", "a.tar", "c.txt", "odd{1}.tar", "p[1]-0.tar"})
    folder.write(name, "");
  CHECK(expand_shards(folder / "p[1]-{0..0}.tar") == Strings{folder / "p[1]-0.tar"});
  CHECK(expand_shards(folder / "?.tar") == Strings{folder / "a.tar", folder / "b.tar"});
  CHECK(expand_shards(folder / "odd{1}.tar") == Strings{folder / "odd{1}.tar"});
  CHECK_CONTAINS(error_of([&] { expand_shards(folder / "z*.tar"); }), "z*.tar");
  CHECK_CONTAINS(error_of([] { expand_shards("s{3..1}.tar"); }), "first <= last");
  CHECK_CONTAINS(error_of([] { expand_shards("*" + std::string(4000, '/') + "b*"); }),
                 "names more than 256 folders");
  for (const char* many : {"{0..4294967295}", "{a,b}{a,b}{a,b}{a,b}", "{0..3}{0..3}"})
    CHECK_CONTAINS(error_of([&] { expand_shards(many, 15); }), "more than 15 shards");
  CHECK_CONTAINS(error_of([] { expand_shards("s{a..c}.tar"); }), "{a..c}");

  write_tar(folder / "t-0.tar", {{"a.png", "0"}, {"a.txt", "x"}});
  write_tar(folder / "t-1.tar", {{"a.png", "1"}, {"a.txt", "x"}});
  const WebDataset data(folder / "t-{0..1}.tar");
  CHECK(image_of(data, 1) == "1");
  CHECK(data.describe(1) == (folder / "t-1.tar") + ": record 0 (a)");
  CHECK(data.record(0).image_id != data.record(1).image_id);
}

TEST_CASE("webdataset: each line of a .txt is a caption, or the whole") {
  const TemporaryFolder folder;
  const auto path = folder / "s.tar";
  const std::string text =
      "\xef\xbb\xbf"
      "one\r\n  \ntwo \xe2\x80\xa8three\n";
  write_tar(path, {{"a.png", ""}, {"a.txt", text}, {"b.png", ""}, {"b.txt", "\n"}});
  const WebDataset lines(path), whole(path, {.txt_lines = false});
  CHECK(lines.record(0).captions == Strings{"one", "two ", "three"});
  CHECK(lines.record(1).captions == Strings{"\n"});
  CHECK(whole.record(0).captions == Strings{text.substr(3)});
}

TEST_CASE("webdataset: JSON as Python writes it") {
  const TemporaryFolder folder;
  const auto path = folder / "s.tar";
  data_test::TarEntries entries;
  const auto add = [&](const std::string& key, const std::string& json, bool text = true) {
    entries.push_back({key + ".png", key});
    entries.push_back({key + ".json", json});
    if (text) entries.push_back({key + ".txt", "text of " + key});
  };
  add("a", R"({"caption": "of a", "score": NaN, "low": -Infinity})");
  add("b", R"({"caption": null, "score": 1})");
  add("c", R"({"caption": NaN})");
  add("d", R"({"caption": "half \ud83d", "x": "\udc00"})");
  add("e", "\xef\xbb\xbf{\"caption\": \"marked\"}");
  add("f", "{\"caption\": \"deep\", \"x\": " + std::string(99, '[') + std::string(99, ']') + "}");
  add("g", R"({"caption": null})", false);
  add("h", R"({"caption": 2021})");
  write_tar(path, entries);
  const WebDataset data(path);
  REQUIRE(data.size() == 8);
  CHECK(data.record(0).captions == Strings{"of a"});
  CHECK(data.record(1).captions == Strings{"text of b"});
  CHECK(data.record(2).captions == Strings{"text of c"});
  CHECK(data.record(3).captions == Strings{"half \xef\xbf\xbd"});
  CHECK(data.record(4).captions == Strings{"marked"});
  CHECK_CONTAINS(data.record(5).error, "nested more than 64 deep");
  CHECK_CONTAINS(data.record(6).error, "field 'caption' is null");
  CHECK_CONTAINS(data.record(7).error, "field 'caption' is number, expected a string or a list");
}

TEST_CASE("webdataset: image_id is the picture's identity, across shards") {
  const TemporaryFolder folder;
  const auto entry = [](const std::string& key, const std::string& picture, const std::string& id) {
    return data_test::TarEntries{{key + ".png", picture},
                                 {key + ".json", "{\"caption\": \"c\"" + id + "}"}};
  };
  std::vector<std::string> warnings;
  const auto open = [&](const std::vector<data_test::TarEntries>& records) {
    data_test::TarEntries one, two;
    for (std::size_t i = 0; i < records.size(); ++i)
      for (const auto& file : records[i]) (i < 3 ? one : two).push_back(file);
    write_tar(folder / "0.tar", one);
    write_tar(folder / "1.tar", two);
    warnings.clear();
    const WebDataset data(folder / "*.tar",
                          {.warn = [&](const std::string& w) { warnings.push_back(w); }});
    std::vector<std::int64_t> ids;
    for (std::size_t i = 0; i < data.size(); ++i) ids.push_back(data.record(i).image_id);
    return ids;
  };
  CHECK(open({entry("a", "7", R"(, "image_id": 7)"), entry("b", "-", ""),
              entry("c", "8", R"(, "image_id": "eight")"), entry("d", "7", R"(, "image_id": 7.0)"),
              entry("e", "8", R"(, "image_id": "eight")"),
              entry("f", "-", R"(, "image_id": null)")}) ==
        std::vector<std::int64_t>{0, 1, 2, 0, 2, 3});
  CHECK(warnings.empty());
  open({entry("a", "7", R"(, "image_id": 7)"),
        entry("b", "other", R"(, "image_id": 7)"),
        {},
        entry("c", "8", "")});
  REQUIRE(warnings.size() == 1);
  CHECK_CONTAINS(warnings[0],
                 "1 records have the image_id of another record but a picture of another");

  const WebDataset data(folder / "0.tar", {.warn = nullptr});
  const albef::RetrievalSet pool = albef::retrieval_set(data);
  CHECK(pool.images.size() == 1);
  CHECK(pool.texts.size() == 2);
}

TEST_CASE("webdataset: shards without records are a warning among others") {
  const TemporaryFolder folder;
  write_tar(folder / "0.tar", {{"a.png", "a"}, {"a.txt", "x"}});
  write_tar(folder / "1.tar", {});
  folder.write("2.tar", "");
  folder.write("3.tar", std::string(3000, 'j'));
  write_tar(folder / "4.tar", {{"b.png", "b"}, {"b.txt", "x"}});
  Strings warnings;
  const WebDataset data(folder / "*.tar",
                        {.warn = [&](const std::string& w) { warnings.push_back(w); }});
  REQUIRE(data.size() == 4);
  CHECK(image_of(data, 0) == "a");
  CHECK(image_of(data, 3) == "b");
  CHECK(data.describe(1) == (folder / "2.tar") + ": record 0");
  CHECK_CONTAINS(data.record(1).error, "the file is empty");
  CHECK_CONTAINS(data.record(2).error, "cut or damaged: Unrecognized archive format at byte 0");
  REQUIRE(warnings.size() == 3);
  CHECK(warnings[0] == "shard '" + (folder / "1.tar") + "' holds no records");
  CHECK_CONTAINS(warnings[1], "2.tar': the file is empty, expected a tar; 0 records of it");
  CHECK_CONTAINS(warnings[2], "3.tar': cut or damaged");
  CHECK_CONTAINS(error_of([&] { WebDataset(folder / "1.tar", {.warn = nullptr}); }),
                 "1.tar' holds no records");

  write_tar(folder / "dots.tar", {{"2021.05.01.jpg", "x"}, {"2021.05.01.txt", "x"}});
  CHECK_CONTAINS(error_of([&] { WebDataset(folder / "dots.tar", {.warn = nullptr}); }),
                 "'2021.05.01.jpg' is none of its pictures");
}

TEST_CASE("webdataset: names that are repeated") {
  const TemporaryFolder folder;
  write_tar(folder / "s.tar", {{"./x//a.png", "1"},
                               {"/x/a.txt", "first"},
                               {"x/a.png", "2"},
                               {"x/a.txt", "second"},
                               {"x/a.txt", "third"},
                               {"b.png", "3"},
                               {"b.jpg", "4"},
                               {"b.txt", "b"},
                               {"c.heic", "5"},
                               {"c.txt", "c"}});
  Strings warnings;
  const WebDataset data(folder / "s.tar",
                        {.warn = [&](const std::string& w) { warnings.push_back(w); }});
  REQUIRE(data.size() == 5);
  CHECK(data.record(0).key == "x/a");
  CHECK(data.record(0).captions == Strings{"first"});
  CHECK(data.record(1).captions == Strings{"second"});
  CHECK(image_of(data, 1) == "2");
  CHECK_CONTAINS(data.record(2).error, "next to the text; its name is repeated");
  CHECK(image_of(data, 3) == "3");
  CHECK_CONTAINS(data.record(4).error, "'c.heic' is not read");
  REQUIRE(warnings.size() == 2);
  CHECK_CONTAINS(warnings[0], "the names of 2 records are repeated");
  CHECK_CONTAINS(warnings[1], "1 records have a second picture");
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
