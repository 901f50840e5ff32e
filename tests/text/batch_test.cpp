#include "albef/text/batch.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace batch_test {

using namespace albef;
using Ids = std::vector<std::int32_t>;
using Longs = std::vector<std::int64_t>;

namespace {
Ids copy(std::span<const std::int32_t> ids) { return {ids.begin(), ids.end()}; }
}  // namespace

TEST_CASE("TextBatch: texts one after the other") {
  TextBatch batch;
  CHECK(batch.count() == 0);
  CHECK(batch.tokens() == 0);
  CHECK(batch.max_length() == 0);
  batch.add(Ids{101, 7, 8});
  batch.add(Ids{101});
  batch.add(Ids{});
  batch.add(Ids{101, 9});
  CHECK(batch.count() == 4);
  CHECK(batch.tokens() == 6);
  CHECK(batch.max_length() == 3);
  CHECK(batch.offsets == Ids{0, 3, 4, 4, 6});
  CHECK(batch.length(1) == 1);
  CHECK(batch.length(2) == 0);
  CHECK(copy(batch.text(0)) == Ids{101, 7, 8});
  CHECK(copy(batch.text(2)).empty());
  CHECK(copy(batch.text(3)) == Ids{101, 9});

  const auto* ids = batch.ids.data();
  const auto* offsets = batch.offsets.data();
  batch.clear();
  CHECK(batch.count() == 0);
  CHECK(batch.tokens() == 0);
  batch.add(Ids{101, 4});
  CHECK(copy(batch.text(0)) == Ids{101, 4});
  CHECK(batch.ids.data() == ids);  // the memory is used again
  CHECK(batch.offsets.data() == offsets);
}

TEST_CASE("packed: from padded ids and mask") {
  const Longs ids{101, 5, 6, 0, 101, 7, 0, 0, 101, 1, 2, 3};
  const Longs mask{1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 1};
  const TextBatch batch = packed(ids, mask, 3, 4);
  CHECK(batch.ids == Ids{101, 5, 6, 101, 7, 101, 1, 2, 3});
  CHECK(batch.offsets == Ids{0, 3, 5, 9});
  CHECK(packed({}, {}, 0, 4).count() == 0);
}

TEST_CASE("packed: what is wrong is named") {
  const auto pack_mask = [](Longs mask) { packed(Longs(mask.size(), 5), mask, 2, 3); };
  CHECK_NOTHROW(pack_mask({1, 0, 0, 1, 1, 1}));
  CHECK_THROWS_WITH_AS(pack_mask({1, 1, 1, 1, 0, 1}), doctest::Contains("text 1"), Error);
  CHECK_THROWS_WITH_AS(pack_mask({0, 1, 1, 1, 1, 1}), doctest::Contains("text 0"), Error);
  CHECK_THROWS_WITH_AS(pack_mask({1, 1, 1, 0, 0, 0}), doctest::Contains("text 1"), Error);
  CHECK_THROWS_WITH_AS(pack_mask({1, 2, 1, 1, 1, 1}), doctest::Contains("text 0"), Error);
  CHECK_THROWS_WITH_AS(pack_mask({1, 1, 1}), doctest::Contains("2 x 3"), Error);
  CHECK_THROWS_AS(packed(Longs{-1}, Longs{1}, 1, 1), Error);
  CHECK_THROWS_AS(packed(Longs{1LL << 31}, Longs{1}, 1, 1), Error);
}

}  // namespace batch_test
