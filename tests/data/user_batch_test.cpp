// Batches about a user's picture files.
#include "albef/data/user_batch.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "data_files.hpp"

TEST_CASE("a batch about the user's pictures has one row per text and each picture once") {
  const data_test::TemporaryFolder folder;
  const auto file = [&](const char* name, std::uint8_t level) {
    return folder.write(name, data_test::as_text(data_test::png(level)));
  };
  const auto tokenizer = albef::WordPiece::from_vocab(
      {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"}, "test");
  albef::TaskBatch batch;
  for (int time = 0; time < 2; ++time) {  // reused
    albef::fill_batch(batch, {file("1.png", 10), file("2.png", 20)}, {"a", "b a b"}, 4, tokenizer,
                      3);
    CHECK(batch.size == 2);
    CHECK(batch.image_size == 4);
    REQUIRE(batch.images.size() == 2 * 4 * 4 * 3);
    CHECK(batch.images[0] == 10);
    CHECK(batch.images[47] == 10);
    CHECK(batch.images[48] == 20);
    CHECK(batch.images[95] == 20);
    CHECK(batch.image_of == std::vector<std::int32_t>{0, 0, 1, 1});
    CHECK(batch.text.ids == std::vector<std::int32_t>{2, 5, 2, 6, 5});
  }
  CHECK_CONTAINS(data_test::error_of([&] {
                   albef::fill_batch(batch, {folder / "none.png"}, {"a"}, 4, tokenizer, 3);
                 }),
                 "none.png");
}
