// FLAVA's runs: which data a step sees, and what is refused before one begins.
#include "albef/tasks/flava_settings.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "../data/data_files.hpp"

namespace flava_settings_test {

using namespace albef;
using data_test::error_of;

namespace {

const std::string data = ALBEF_TEST_DATA "/../examples/data/";

FlavaSettings settings() {
  FlavaSettings s;
  s.batch_size = 16;
  s.joint_epochs = 2;
  s.data = {data + "emoji/emoji-val.tar"};
  s.images = {data + "grocery/grocery-test.tar.gz"};
  s.texts = {data + "texts/texts.txt.gz"};
  return s;
}

}  // namespace

TEST_CASE("FLAVA's stages: pictures alone, texts alone, then all of them") {
  FlavaSettings s = settings();
  s.image_epochs = 1, s.text_epochs = 2;
  s.complete<Tiny>(flava_tiny, flava_paper);
  CHECK(s.train.epochs == 5);
  CHECK(s.train.lr == 1e-3);
  CHECK(!s.distills());
  const FlavaSources from = s.sources();
  const WordPiece tokenizer = s.text_tokenizer(from, 2048);
  CHECK(tokenizer.size() == 2048);
  CHECK(tokenizer.contains("apple"));   // of the texts
  CHECK(tokenizer.contains("medium"));  // of the pairs
  auto loader = s.loader(from, tokenizer, 64, 16, 32);
  CHECK(loader.batches_per_epoch() == 93 / 16);
  std::vector<FlavaKind> kinds;
  for (int step = 0; step < 40; ++step) {
    const FlavaBatch& batch = loader.next();
    CHECK_NOTHROW(detail::check_batch(batch, 16));
    kinds.push_back(batch.kind);
    if (batch.has_images()) CHECK(batch.code_images.size() == 16u * 32 * 32 * 3);
  }
  CHECK(std::count(kinds.begin(), kinds.begin() + 5, FlavaKind::images) == 5);
  CHECK(std::count(kinds.begin() + 5, kinds.begin() + 15, FlavaKind::texts) == 10);
  for (const FlavaKind kind : {FlavaKind::images, FlavaKind::texts, FlavaKind::pairs})
    CHECK(std::count(kinds.begin() + 15, kinds.end(), kind) > 0);
}

TEST_CASE("FLAVA's data: what is not given is not drawn") {
  FlavaSettings s = settings();
  s.images.clear();
  s.text_weight = 0;
  s.complete<Tiny>(flava_tiny, flava_paper);
  const FlavaSources from = s.sources();
  CHECK(from.images == nullptr);
  const WordPiece tokenizer = s.text_tokenizer(from, 500);
  auto loader = s.loader(from, tokenizer, 64, 16, 0);
  for (int step = 0; step < 20; ++step) CHECK(loader.next().kind == FlavaKind::pairs);

  FlavaSettings alone = settings();
  alone.data.clear(), alone.texts.clear();
  alone.complete<Tiny>(flava_tiny, flava_paper);
  const FlavaSources pictures = alone.sources();
  auto only = alone.loader(pictures, tokenizer, 64, 16, 0);
  CHECK(only.batches_per_epoch() == 486 / 16);
  CHECK(only.next().kind == FlavaKind::images);
}

TEST_CASE("FLAVA's data: what is refused") {
  const auto refused = [](auto&& change) {
    FlavaSettings s = settings();
    change(s);
    return error_of([&] {
      s.complete<Tiny>(flava_tiny, flava_paper);
      s.sources();
    });
  };
  CHECK(refused([](auto& s) { s.joint_epochs = 0; }) ==
        "--epochs 0: there is nothing to do without --image-epochs and --text-epochs");
  CHECK(refused([](auto& s) { s.images.clear(), s.image_epochs = 3; }) ==
        "--image-epochs 3: there are no --images");
  CHECK(refused([](auto& s) { s.texts.clear(), s.text_epochs = 1; }) ==
        "--text-epochs 1: there are no --texts");
  CHECK_CONTAINS(refused([](auto& s) { s.images = {data + "texts/texts.txt.gz"}; }),

                 "texts.txt.gz' holds no pictures; ");
  CHECK_CONTAINS(refused([](auto& s) { s.texts = {data + "grocery/grocery-test.tar.gz"}; }),
                 "grocery-test.tar.gz' holds no texts");
}

}  // namespace flava_settings_test
