#include "albef/data/labelled.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "albef/data/table.hpp"
#include "data_files.hpp"

namespace labelled_test {

using albef::BadRecords;
using albef::LabelledOptions;
using albef::LabelledPtr;
using albef::open_labelled;
using data_test::error_of;
using data_test::TemporaryFolder;
using Strings = std::vector<std::string>;
using Labels = std::vector<std::int32_t>;

namespace {

Labels labels_of(const LabelledPtr& set) { return {set->labels().begin(), set->labels().end()}; }

std::string picture_of(const LabelledPtr& set, std::size_t index) {
  std::vector<std::uint8_t> bytes;
  set->read_image(index, bytes);
  return data_test::as_text(bytes);
}

std::string png(int level) {
  return data_test::as_text(data_test::png(static_cast<std::uint8_t>(level)));
}

/// Options whose warnings are kept.
struct Kept {
  Strings sentences;
  LabelledOptions options{
      .warn = [this](const std::string& sentence) { sentences.push_back(sentence); }};
};

}  // namespace

TEST_CASE("labelled: a folder per class") {
  const TemporaryFolder folder;
  for (const char* const sub : {"set", "set/pear", "set/apple", "set/apple/red", "set/none",
                                "set/.cache", "set/pear/.thumbs"})
    std::filesystem::create_directory(folder / sub);
  folder.write("set/pear/2.png", png(2));
  folder.write("set/pear/1.JPG", png(1));
  folder.write("set/pear/notes.txt", "no picture");
  folder.write("set/pear/.3.png", "hidden");
  folder.write("set/pear/.thumbs/3.png", "hidden");
  folder.write("set/apple/red/9.png", png(9));
  folder.write("set/.cache/1.png", "hidden");
  folder.write("set/stray.png", png(7));

  Kept warned;
  const LabelledPtr set = open_labelled(folder / "set", warned.options);
  CHECK(set->classes() == Strings{"apple", "pear"});
  CHECK(labels_of(set) == Labels{0, 1, 1});
  CHECK(set->record(0).key == "apple/red/9.png");
  CHECK(picture_of(set, 1) == png(1));
  CHECK(picture_of(set, 2) == png(2));
  REQUIRE(warned.sentences.size() == 2);
  CHECK_CONTAINS(warned.sentences[0], "1 pictures are in no folder of a class");
  CHECK_CONTAINS(warned.sentences[1], "'none' has no pictures");

  std::filesystem::create_directory(folder / "empty");
  CHECK_CONTAINS(error_of([&] { open_labelled(folder / "empty"); }), "expected one for each class");
}

TEST_CASE("labelled: shards with classes beside the pictures or in their JSON") {
  const TemporaryFolder folder;
  data_test::write_tar(folder / "a.tar", {{"0.png", png(0)},
                                          {"0.cls", "10\n"},
                                          {"1.png", png(1)},
                                          {"1.cls", "9"},
                                          {"2.png", png(2)},
                                          {"3.png", png(3)},
                                          {"3.json", R"({"caption": "three", "label": 9})"},
                                          {"4.png", png(4)},
                                          {"4.json", R"({"label": null})"}});
  const LabelledPtr set = open_labelled(folder / "a.tar");
  CHECK(set->classes() == Strings{"9", "10"});
  CHECK(labels_of(set) == Labels{1, 0, -1, 0, -1});
  CHECK(set->record(3).captions == Strings{"three"});
  CHECK(picture_of(set, 3) == png(3));
  CHECK_CONTAINS(set->record(2).error, "no label (.cls, .json) next to the picture");
  CHECK_CONTAINS(set->record(4).error, "there is no label (field 'label')");

  Strings told;
  BadRecords bad(0.5, [&](const std::string& message) { told.push_back(message); });
  CHECK(set->usable(bad) == std::vector<std::uint32_t>{0, 1, 3});
  REQUIRE(told.size() == 2);
  CHECK_CONTAINS(told[1], "a.tar: record 4 (4): there is no label");
  BadRecords few(0.1, [](const std::string&) {});
  CHECK_CONTAINS(error_of([&] { set->usable(few); }), "2 unusable records of 5");
}

TEST_CASE("labelled: annotations of pictures, texts or both") {
  const TemporaryFolder folder;
  folder.write("a.png", png(1));
  const std::string path = folder.write("a.jsonl", R"({"image": "a.png", "label": "dog"}
{"text": "a cat", "label": "cat"}
{"image": "a.png", "sentence": "no", "label": ["dog"]}
{"label": "dog"}
{"text": "both", "label": ["dog", "cat"]}
)");
  const LabelledPtr set = open_labelled(path);
  CHECK(set->classes() == Strings{"cat", "dog"});
  CHECK(labels_of(set) == Labels{1, 0, 1, -1, -1});
  CHECK(picture_of(set, 2) == png(1));
  CHECK(set->record(0).image_id == set->record(2).image_id);
  CHECK(set->record(1).captions == Strings{"a cat"});
  CHECK_CONTAINS(error_of([&] { picture_of(set, 1); }), "a.jsonl: record 1: there is no picture");
  CHECK_CONTAINS(set->record(4).error, "has 2 values, expected one");
}

TEST_CASE("labelled: tables") {
  const TemporaryFolder folder;
  folder.write("a, b.png", png(1));
  folder.write("c.png", png(2));
  const LabelledPtr plain =
      open_labelled(folder.write("plain.csv", "\"a, b.png\",x\r\n\r\nc.png,\"y \"\"z\"\"\"\r\n"));
  CHECK(plain->classes() == Strings{"x", "y \"z\""});
  CHECK(picture_of(plain, 0) == png(1));
  CHECK(picture_of(plain, 1) == png(2));
  CHECK(plain->describe(1) == folder / "plain.csv" + ": line 3 (c.png)");

  LabelledOptions by_class{.field = "class"};
  const LabelledPtr named = open_labelled(
      folder.write("named.tsv",
                   "class\ttext\tother\n2\tgood \"\n\n10\tbad\n-\tone\ttwo\n2\t\xff\tx\n"
                   "\tnone\tx\n3\tthree\tx"),
      by_class);
  CHECK(named->classes() == Strings{"-", "3"});
  CHECK(labels_of(named) == Labels{-1, -1, 0, -1, -1, 1});
  CHECK_CONTAINS(named->record(0).error, "there are 2 fields, expected 3");
  CHECK_CONTAINS(named->record(3).error, "a field is not UTF-8");
  CHECK_CONTAINS(named->record(4).error, "there is no label (field 'class')");
  CHECK(named->record(5).captions == Strings{"three"});
  CHECK(named->record(5).values("other") == Strings{"x"});

  CHECK_CONTAINS(error_of([&] { open_labelled(folder / "named.tsv"); }),
                 "its first line has 3 fields, expected the names of the columns");
  CHECK_CONTAINS(error_of([&] { open_labelled(folder.write("b.csv", "image,kind\na.png,x\n")); }),
                 "no column 'label' among image, kind");
  CHECK_CONTAINS(error_of([&] { open_labelled(folder.write("c.csv", "label,kind\na.png,x\n")); }),
                 "no column 'image' or 'text' among label, kind");
  CHECK_CONTAINS(error_of([&] { open_labelled(folder.write("d.csv", "image,label\n")); }),
                 "holds no records");

  Kept warned;
  const LabelledPtr cut =
      open_labelled(folder.write("cut.csv", "c.png,x\nc.png,\"y\nc.png,z\n"), warned.options);
  CHECK(labels_of(cut) == Labels{0, -1});
  REQUIRE(warned.sentences.size() == 1);
  CHECK_CONTAINS(warned.sentences[0], "line 2: a quote is never closed");
}

TEST_CASE("labelled: the classes of another set") {
  const TemporaryFolder folder;
  LabelledOptions options{.classes = {"pear", "apple", "fig"}};
  const std::string path = folder.write("a.csv", "1.png,fig\n2.png,1\n3.png,kiwi\n4.png,3\n");
  const LabelledPtr set = open_labelled(path, options);
  CHECK(set->classes() == options.classes);
  CHECK(labels_of(set) == Labels{2, 1, -1, -1});
  CHECK_CONTAINS(set->record(2).error, "the label 'kiwi' is none of the 3 classes");

  options.classes = {"0", "1", "3"};
  CHECK_CONTAINS(error_of([&] { open_labelled(folder.write("b.csv", "1.png,2\n"), options); }),
                 "b.csv: line 1 (1.png): the label '2' is none of the 3 classes (no record");

  CHECK(albef::read_class_names(folder.write("c.txt", "a\n\n b c \r\n")) == Strings{"a", "b c"});
  CHECK_CONTAINS(error_of([&] { albef::read_class_names(folder.write("d.txt", "a\nb\na\n")); }),
                 "'a' stands twice");
  CHECK_CONTAINS(error_of([&] { albef::read_class_names(folder.write("e.txt", "\n")); }),
                 "there are none");
}

TEST_CASE("labelled: several places are one set") {
  const TemporaryFolder folder;
  const LabelledPtr set = open_labelled(
      Strings{folder.write("a.csv", "1.png,b\n2.png,c\n"), folder.write("b.csv", "1.png,a\n")});
  CHECK(set->classes() == Strings{"a", "b", "c"});
  CHECK(labels_of(set) == Labels{1, 2, 0});
  CHECK(set->record(2).key == "1.png");
}

}  // namespace labelled_test
