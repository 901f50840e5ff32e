// The first NLVR corpus: read in its own form, written as statements about square pictures.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "../data/data_files.hpp"
#include "albef/data/statements.hpp"
#include "albef/tasks/ve.hpp"
#include "datasets/nlvr_corpus.hpp"

using data_test::error_of;
using data_test::TemporaryFolder;

namespace {

/// Boxes of the levels 10, 20, 30 on white.
std::string picture() {
  albef::Image image(400, 100, 255);
  for (int y = 0; y < 100; ++y)
    for (int box = 0; box < 3; ++box)
      std::fill_n(image.pixel(150 * box, y), 300, static_cast<std::uint8_t>(10 * (box + 1)));
  return data_test::as_text(albef::encode_png(image));
}

int level(const albef::StatementSet& set, std::size_t record, std::size_t picture, int x, int y) {
  std::vector<std::uint8_t> bytes;
  set.read_image(record, picture, bytes);
  const albef::Image image = albef::decode_image(bytes, "picture");
  REQUIRE(image.width == 208);
  return image.pixel(x, y)[0];
}

}  // namespace

TEST_CASE("nlvr: the corpus' own files become statements, in every order of the boxes") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "images/1");
  folder.write("images/1/train-12-3-0.png", picture());
  folder.write("images/1/train-12-3-1.png", "another order");
  const auto json = folder.write("train.json",
                                 "{\"identifier\": \"12-3\", \"sentence\": \"One box.\", "
                                 "\"label\": \"true\", \"directory\": \"1\"}\n");
  examples::NlvrOptions options{.output = folder / "out", .name = "train", .orders = 6};
  examples::NlvrFiles files(options);
  examples::read_nlvr_json(json, folder / "", [&](auto& example) { files.add(example); });
  files.commit();
  CHECK(files.count() == 6);

  const albef::AnnotationOptions shard{.strict = true,
                                       .images = albef::open_images(folder / "out/train.tar")};
  const albef::StatementSet set(folder / "out/train.json", albef::entailment_format(), shard);
  REQUIRE(set.size() == 6);
  CHECK(set[0].sentence == "One box.");
  CHECK(set[0].label == static_cast<int>(albef::Entailment::entailment));
  CHECK(level(set, 0, 0, 50, 50) == 10);
  CHECK(level(set, 0, 0, 150, 50) == 20);
  CHECK(level(set, 0, 0, 50, 150) == 30);
  CHECK(level(set, 0, 0, 150, 150) == 255);
  CHECK(level(set, 0, 0, 104, 50) == 255);  // between two boxes
  std::set<int> orders;
  for (std::size_t i = 0; i < 6; ++i)
    orders.insert(100 * level(set, i, 0, 50, 50) + level(set, i, 0, 150, 50));
  CHECK(orders.size() == 6);
}

TEST_CASE("nlvr: a table with its pack, as pairs of pictures") {
  const TemporaryFolder folder;
  const std::string one = picture();
  std::string pack = "BPK1";
  const auto put = [&](std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) pack += static_cast<char>(value >> (8 * i) & 255);
  };
  put(1, 4);
  put(24, 8);
  put(24 + one.size(), 8);
  pack += one;
  folder.write("dev.bpk", pack);
  const auto table = folder.write("dev.tsv", "image\tid\tlabel\tsentence\n0\t1-0\tfalse\tTwo.\n");
  examples::NlvrFiles files({.output = folder / "out", .name = "dev", .pairs = true});
  examples::read_nlvr_table(table, [&](const auto& example) { files.add(example); });
  files.commit();
  const albef::AnnotationOptions shard{.strict = true,
                                       .images = albef::open_images(folder / "out/dev.tar")};
  const albef::StatementSet set(folder / "out/dev.json", albef::reasoning_format(), shard);
  REQUIRE(set.size() == 1);
  CHECK(set[0].label == 0);
  CHECK(level(set, 0, 0, 150, 50) == 20);
  CHECK(level(set, 0, 0, 50, 150) == 255);
  CHECK(level(set, 0, 1, 50, 50) == 30);
  CHECK(level(set, 0, 1, 150, 50) == 255);

  const auto skip = [](const auto&) {};
  const auto wrong = folder.write("dev.tsv", "image\tid\tlabel\tsentence\n7\t1-0\tfalse\tTwo.\n");
  CHECK_CONTAINS(error_of([&] { examples::read_nlvr_table(wrong, skip); }),
                 "dev.tsv: line 2: field 'image': there is no picture 7");
}

TEST_CASE("nlvr: wrong input is named") {
  const TemporaryFolder folder;
  const auto fails = [&](const char* text) {
    const auto path = folder.write("dev.json", text);
    return error_of([&] { examples::read_nlvr_json(path, folder / "", [](auto&) {}); });
  };
  CHECK_CONTAINS(fails("{\"identifier\": \"1-0\", \"sentence\": \"s\", \"label\": \"true\"}"),
                 "dev.json: line 1: no picture ...-1-0-0.png in ");
  CHECK_CONTAINS(fails("{\"identifier\": \"1-0\", \"sentence\": \"s\", \"label\": \"yes\"}"),
                 "the label is 'yes'");
  CHECK_CONTAINS(fails("{\"identifier\": \"1-0\", \"label\": \"true\"}"),
                 "field 'sentence' is missing");
  CHECK_CONTAINS(fails("\n{\"identifier\""), "dev.json: line 2: parse error");
  CHECK_CONTAINS(error_of([] { examples::nlvr_boxes(albef::Image(10, 10)); }),
                 "10 x 10 pixels, expected 400 x 100");
}
