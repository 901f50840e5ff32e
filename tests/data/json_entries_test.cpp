// Annotation files that are unusual, damaged or made to do harm.
#include "albef/data/json_entries.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "albef/data/annotations.hpp"
#include "albef/data/answers.hpp"
#include "data_files.hpp"

namespace json_entries_test {

using albef::JsonAnnotations;
using data_test::error_of;
using data_test::TemporaryFolder;
using Strings = std::vector<std::string>;

namespace {

std::string record(const std::string& caption) {
  return "{\"image\": \"a.png\", \"caption\": " + caption + "}";
}

struct Opened {
  Strings captions, bad, warnings;  // the first caption of each record, "-" for bad ones
};

Opened open(const std::string& path) {
  Opened out;
  albef::AnnotationOptions options;
  options.warn = [&](const std::string& w) { out.warnings.push_back(w); };
  const JsonAnnotations data(path, options);
  for (std::size_t i = 0; i < data.size(); ++i) {
    const albef::Record& r = data.record(i);
    out.captions.push_back(r.error.empty() ? r.captions.front() : "-");
    if (!r.error.empty()) out.bad.push_back(r.error);
  }
  return out;
}

}  // namespace

TEST_CASE("annotations: an entry that is no JSON costs no other, with its place in the file") {
  const TemporaryFolder folder;
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  const Opened found = open(folder.write(
      "d.json", "[" + record(R"("one ]}\\")") + ",\n  {\"image\": \"a.png\", \"caption\" 3},\n" +
                    record(R"("half \ud83d")") + "," + record("\"x\", \"score\": NaN") + "," +
                    record("\"y\", \"deep\": " + deep) + "," + record(R"("last \"quoted\"")") +
                    " ,\n]\n"));
  CHECK(found.captions ==
        Strings{"one ]}\\", "-", "half \xef\xbf\xbd", "x", "-", "last \"quoted\""});
  REQUIRE(found.bad.size() == 2);
  CHECK_CONTAINS(found.bad[0], "parse error at line 2, column 32");
  CHECK_CONTAINS(found.bad[1], "nested more than 64 deep");
  CHECK(found.warnings.empty());
}

TEST_CASE("annotations: a list that is cut off is used up to there") {
  const TemporaryFolder folder;
  const std::string start = "[" + record("\"one\"") + ",\n" + record("\"two\"");
  const auto cut = [&](const std::string& end) {
    const Opened found = open(folder.write("d.json", start + end));
    CHECK(found.captions == Strings{"one", "two", "-"});
    REQUIRE(found.warnings.size() == 1);
    CHECK_CONTAINS(found.warnings[0], "d.json': parse error at line");
    CHECK_CONTAINS(found.warnings[0], "; 2 of the records before can be used");
    return found.bad.back();
  };
  CHECK_CONTAINS(cut(""), "line 2, column 37: the text ends, expected ',' or ']'");
  CHECK_CONTAINS(cut(", {\"image\": \"b"), "line 2, column 39: the text ends within the record");
  CHECK_CONTAINS(cut("] x"), "there is more behind the list");
  CHECK_CONTAINS(cut(",, 5]"), "expected a record");
}

TEST_CASE("annotations: JSON Lines, marks before the text, packed files") {
  const TemporaryFolder folder;
  const std::string lines = record("\"one\"") + "\r\n" + record("\"two\"") + "\n";
  CHECK(open(folder.write("a.jsonl", lines)).captions == Strings{"one", "two"});
  CHECK(open(folder.write("a.json", lines)).captions == Strings{"one", "two"});
  CHECK(open(folder.write("b.jsonl", record("\"one\""))).captions == Strings{"one"});
  CHECK(open(folder.write("c.jsonl", lines + "{\"image\": \"a\n\n" + record("\"x\""))).captions ==
        Strings{"one", "two", "-", "x"});
  CHECK(open(folder.write("d.json", "{\n\"image\": \"a.png\",\n\"caption\": \"p\"}\n" + lines))
            .captions == Strings{"p", "one", "two"});
  CHECK(open(folder.write("e.json", "\xef\xbb\xbf[" + record("\"one\"") + "]")).captions ==
        Strings{"one"});
  const Opened stray =
      open(folder.write("h.json", "{\"image\": \"a\",\n\"caption\": \"b\"} {\"x\": 1} } {}"));
  REQUIRE(stray.bad.size() == 2);
  CHECK_CONTAINS(stray.bad[1], "line 2, column 26: expected '{'");
  const std::string utf16("\xff\xfe[\0]\0", 6);
  CHECK_CONTAINS(error_of([&] { open(folder.write("f.json", utf16)); }), "UTF-16");
  CHECK_CONTAINS(error_of([&] { open(folder.write("f.json", utf16.substr(2))); }), "UTF-16");

  const std::string path = folder.write("g.json", "[" + record("\"one\"") + "]");
  REQUIRE(std::system(("xz -k " + path + " && gzip " + path + " && gzip -c " + path + ".gz > " +
                       path + ".twice.gz")
                          .c_str()) == 0);
  CHECK(open(path + ".xz").captions == Strings{"one"});
  CHECK(open(path + ".gz").captions == Strings{"one"});
  CHECK_CONTAINS(error_of([&] { open(path + ".twice.gz"); }), "unpacked, it is a file packed with");
  for (const char* name : {"a.json", "a.jsonl", "a.ndjson.gz", "b.json.zst"})
    CHECK(albef::is_annotation_file(name));
  for (const char* name : {"a.tar", "json", "a.tar.gz"}) CHECK(!albef::is_annotation_file(name));
}

TEST_CASE("annotations: files without records among others, and numbers as identities") {
  const TemporaryFolder folder;
  const auto ids = folder.write("ids.json", R"([
    {"image": "a", "caption": "1", "image_id": 391895},
    {"image": "b", "caption": "2", "image_id": 391895.0},
    {"image": "c", "caption": "3", "image_id": "391895"},
    {"image": "d", "caption": "4", "image_id": 18446744073709551615},
    {"image": "e", "caption": "5", "image_id": 18446744073709551616},
    {"image": "f", "caption": "6", "image_id": 1.5},
    {"image": "a", "caption": "7", "image_id": NaN}])");
  Strings warnings;
  albef::AnnotationOptions options;
  options.warn = [&](const std::string& w) { warnings.push_back(w); };
  const JsonAnnotations data(Strings{folder.write("none.json", "[]"), ids}, options);
  REQUIRE(data.size() == 7);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == "annotations '" + (folder / "none.json") + "': there are no records");
  CHECK(data.record(1).image_id == data.record(0).image_id);
  CHECK(data.record(2).image_id == data.record(0).image_id);
  CHECK(data.record(3).image_id != data.record(0).image_id);
  CHECK_CONTAINS(data.record(4).error, "field 'image_id' is number, expected an integer");
  CHECK_CONTAINS(data.record(5).error, "field 'image_id'");
  CHECK(data.record(6).error.empty());
  CHECK(data.describe(0) == ids + ": record 0 (a)");
}

TEST_CASE("answers: the list is read as records are") {
  const TemporaryFolder folder;
  const albef::AnswerList list(folder.write("a.json", R"(["yes", "no, \"2\"", "\udc00"])"));
  REQUIRE(list.size() == 3);
  CHECK(list[1] == "no, \"2\"");
  const auto fails = [&](const char* text) {
    return error_of([&] { albef::AnswerList(folder.write("b.json", text)); });
  };
  CHECK_CONTAINS(fails(R"(["yes", 3])"), "b.json': entry 1 is number, expected a string");
  CHECK_CONTAINS(fails(R"(["yes", "n)"), "b.json': entry 1: parse error at line 1, column 9");
}

}  // namespace json_entries_test
