#include "albef/data/flava_loader.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "albef/data/mixed_loader.hpp"
#include "albef/data/sources.hpp"
#include "data_files.hpp"
#include "letters.hpp"

namespace flava_loader_test {

using namespace albef;
using data_test::error_of;
using data_test::tokenizer;

namespace {

// Pictures of level 2 i with the caption "n i".
std::shared_ptr<MemorySource> numbered(int size) {
  auto source = std::make_shared<MemorySource>();
  for (int i = 0; i < size; ++i)
    source->add(
        {.key = "k" + std::to_string(i), .captions = {"n " + std::to_string(i)}, .image_id = i},
        data_test::png(static_cast<std::uint8_t>(2 * i)));
  return source;
}

const TrainTransform small{.size = 8, .augment = {.count = 0}};

LoaderOptions options(int batch_size, int workers = 1) {
  LoaderOptions o;
  o.batch_size = batch_size;
  o.workers = workers;
  o.on_bad_record = nullptr;
  return o;
}
FlavaDataOptions grid(float mismatch = 0.1f) {
  FlavaDataOptions data;
  data.patches = block_masking(4, 4);
  data.mismatch = mismatch;
  return data;
}

auto content(const FlavaBatch& b) {
  return std::make_tuple(b.kind, b.epoch, b.batch, b.size, b.images, b.patches.rows, b.text.ids,
                         b.masked.text.ids, b.masked.rows, b.itm_labels, b.indices);
}
using Contents = std::vector<decltype(content(FlavaBatch{}))>;

template <class L>
Contents take(L& loader, int batches) {
  Contents out;
  for (int i = 0; i < batches; ++i) out.push_back(content(loader.next()));
  return out;
}

using Parts = std::vector<std::unique_ptr<BatchLoader<FlavaBatch>>>;
Parts parts(int workers = 1) {
  Parts out;
  for (const auto& [kind, size] :
       {std::pair{FlavaKind::images, 9}, {FlavaKind::texts, 14}, {FlavaKind::pairs, 23}})
    out.push_back(std::make_unique<FlavaLoader>(kind, numbered(size), tokenizer(), small,
                                                options(4, workers), grid()));
  return out;
}

}  // namespace

TEST_CASE("FLAVA's loader: each kind has what it says") {
  const auto source = numbered(20);
  FlavaDataOptions data = grid();
  data.code_image_size = 16;
  for (const FlavaKind kind : {FlavaKind::images, FlavaKind::texts, FlavaKind::pairs}) {
    FlavaLoader loader(kind, source, tokenizer(), small, options(5), data);
    CHECK(loader.batches_per_epoch() == 4);
    for (int step = 0; step < 6; ++step) {
      const FlavaBatch& batch = loader.next();
      CHECK_NOTHROW(detail::check_batch(batch, 16));
      CHECK(batch.kind == kind);
      CHECK(batch.size == 5);
      CHECK(batch.images.size() == (batch.has_images() ? 5u * 8 * 8 * 3 : 0));
      CHECK(batch.code_images.size() == (batch.has_images() ? 5u * 16 * 16 * 3 : 0));
      CHECK(batch.patches.count() == (batch.has_images() ? 5 : 0));
      CHECK((batch.patches.masked() > 0) == batch.has_images());
      CHECK(batch.masked.text.count() == (batch.has_texts() ? 5 : 0));
      CHECK(batch.itm_labels.size() == (kind == FlavaKind::pairs ? 5u : 0));
      for (std::size_t i = 0; i < batch.indices.size() && batch.has_images(); ++i) {
        CHECK(batch.images[i * 192] == 2 * batch.indices[i]);
        CHECK(batch.code_images[i * 768 + 9] == 2 * batch.indices[i]);
      }
    }
  }
}

TEST_CASE("FLAVA's loader: a share of pairs has another picture's caption") {
  auto source = numbered(40);
  LoaderOptions o = options(8);
  FlavaLoader loader(FlavaKind::pairs, source, tokenizer(), small, o, grid(0.25f));
  constexpr int batches = 250;
  int swapped = 0;
  for (int step = 0; step < batches; ++step) {
    const FlavaBatch& batch = loader.next();
    for (int i = 0; i < batch.size; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const bool own =
          tokenizer().decode(batch.text.text(i), true) == "n " + std::to_string(batch.indices[at]);
      CHECK(own == (batch.itm_labels[at] == 1));
      swapped += !own;
    }
  }
  constexpr double pairs = batches * 8;
  CHECK(std::abs(swapped - 0.25 * pairs) < 5 * std::sqrt(pairs * 0.25 * 0.75));

  // Captions of the same picture, or that say the same, are no negatives.
  auto same = std::make_shared<MemorySource>();
  for (int i = 0; i < 8; ++i)
    same->add({.key = "k", .captions = {"n " + std::to_string(i / 4)}, .image_id = i % 4},
              data_test::png(1));
  FlavaLoader few(FlavaKind::pairs, same, tokenizer(), small, options(8), grid(1));
  const FlavaBatch& batch = few.next();
  for (int i = 0; i < 8; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::string other = "n " + std::to_string(1 - batch.indices[at] / 4);
    if (batch.itm_labels[at] == 0) CHECK(tokenizer().decode(batch.text.text(i), true) == other);
  }
  auto lone = std::make_shared<MemorySource>();
  for (int i = 0; i < 4; ++i) lone->add({.key = "k", .captions = {"n"}}, data_test::png(1));
  FlavaLoader none(FlavaKind::pairs, lone, tokenizer(), small, options(4), grid(1));
  CHECK(none.next().itm_labels == std::vector<std::int32_t>(4, 1));
}

TEST_CASE("FLAVA's loader: bad records are replaced, and options out of range refused") {
  auto source = numbered(12);
  source->add({.key = "bad", .captions = {"n 1"}, .image_id = 12}, {1, 2, 3});
  source->add({.key = "mute", .captions = {"..."}, .image_id = 13}, data_test::png(200));
  LoaderOptions o = options(7);
  o.max_bad_share = 0.5;
  for (const auto& [kind, bad] :
       {std::pair{FlavaKind::images, 1}, {FlavaKind::texts, 1}, {FlavaKind::pairs, 2}}) {
    FlavaLoader loader(kind, source, tokenizer(), small, o, grid());
    for (int step = 0; step < 4; ++step) CHECK_NOTHROW(detail::check_batch(loader.next(), 16));
    CHECK(static_cast<int>(loader.bad_records()) == bad);
  }
  const auto refused = [&](FlavaDataOptions data) {
    return error_of(
        [&] { FlavaLoader(FlavaKind::pairs, source, tokenizer(), small, options(2), data); });
  };
  CHECK(refused(grid(1.5f)) == "mismatch is 1.5, expected 0 to 1");
  FlavaDataOptions data = grid();
  data.patches.patches = 17;
  CHECK(refused(data) == "[BlockMasking] got 17 patches to hide, expected 0 to 16");
}

TEST_CASE("mixed loader: shares by weight, the same for everyone") {
  MixedOptions mixed;
  mixed.stages = {{100, {1, 0, 0}}, {50, {0, 1, 0}}, {0, {1, 1, 2}}};
  MixedLoader<FlavaBatch> loader(parts(), mixed), again(parts(2), mixed);
  std::vector<int> times(3);
  constexpr int steps = 20000;
  for (int step = 0; step < 150 + steps; ++step) {
    const std::size_t part = loader.drawn(step);
    REQUIRE(part == again.drawn(step));
    if (step < 100) REQUIRE(part == 0);
    if (step >= 100 && step < 150) REQUIRE(part == 1);
    if (step >= 150) ++times[part];
  }
  const auto close = [](int got, double p) {
    return std::abs(got - steps * p) < 5 * std::sqrt(steps * p * (1 - p));
  };
  CHECK(close(times[0], 0.25));
  CHECK(close(times[1], 0.25));
  CHECK(close(times[2], 0.5));
  mixed.seed = 43;
  mixed.stages.clear();
  MixedLoader<FlavaBatch> other(parts(), mixed);
  std::fill(times.begin(), times.end(), 0);
  for (int step = 0; step < steps; ++step) ++times[other.drawn(step)];
  for (const int count : times) CHECK(close(count, 1.0 / 3));
}

TEST_CASE("mixed loader: each data set goes its own way, whatever is drawn in between") {
  MixedLoader<FlavaBatch> loader(parts(), {});
  CHECK(loader.batches_per_epoch() == 2 + 3 + 5);
  Parts alone = parts();
  for (int step = 0; step < 60; ++step) {
    const std::size_t part = loader.drawn(step);
    CHECK(content(loader.next()) == content(alone[part]->next()));
  }
  CHECK(loader.taken()[0] + loader.taken()[1] + loader.taken()[2] == 60);
  CHECK(loader.taken()[0] > 2 * 2);  // more than one round
}

TEST_CASE("mixed loader: a run goes on where another stopped") {
  for (const int accumulate : {1, 3}) {
    MixedOptions mixed;
    mixed.accumulate = accumulate;
    mixed.steps_per_epoch = 7;
    mixed.stages = {{4, {1, 0, 1}}, {}};
    MixedLoader<FlavaBatch> whole(parts(), mixed);
    const Contents expected = take(whole, 45);
    for (int i = 0; i < 45; ++i)  // a step is of one data set
      CHECK(std::get<0>(expected[static_cast<std::size_t>(i)]) ==
            std::get<0>(expected[static_cast<std::size_t>(i / accumulate * accumulate)]));
    for (const int stop : {0, 2, 4, 7, 22, 44}) {
      MixedLoader<FlavaBatch> first(parts(), mixed), second(parts(2), mixed);
      take(first, stop);
      take(second, 5);
      second.seek(first.position());
      CHECK(second.position() == first.position());
      CHECK(take(second, 45 - stop) == Contents(expected.begin() + stop, expected.end()));
    }
  }
}

TEST_CASE("mixed loader: what cannot be") {
  using Mixed = MixedLoader<FlavaBatch>;
  const auto refused = [](MixedOptions mixed) { return error_of([&] { Mixed(parts(), mixed); }); };
  CHECK(refused({.stages = {{1, {1, 1}}}}) == "got 2 weights for 3 data sets");
  CHECK(refused({.stages = {{1, {0, 0, 0}}}}) == "all data sets have weight 0");
  CHECK(refused({.stages = {{1, {1, -1, 0}}}}) ==
        "the weight of a data set is -1, expected a number of at least 0");
  CHECK(error_of([] { Mixed({}, {}); }) == "loader: no data set given");
  Mixed loader(parts(), {});
  CHECK_CONTAINS(error_of([&] { loader.seek({0, 10}); }), "batch 10, expected a batch below 10");
  Parts unequal = parts();
  unequal.push_back(std::make_unique<FlavaLoader>(FlavaKind::images, numbered(9), tokenizer(),
                                                  small, options(3), grid()));
  CHECK(error_of([&] { Mixed(std::move(unequal), {}); }) ==
        "loaders with batches of 4 and 3 examples, expected one size");
}

}  // namespace flava_loader_test
