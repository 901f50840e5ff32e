// Data sets made of others.
#include "albef/data/sources.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data_files.hpp"

namespace sources_test {

namespace {

/// `size` records, each other one of the split "train".
std::shared_ptr<albef::MemorySource> source(const std::string& name, int size) {
  auto made = std::make_shared<albef::MemorySource>();
  for (int i = 0; i < size; ++i)
    made->add({.key = name + std::to_string(i),
               .captions = {"c"},
               .fields = {{"split", {i % 2 == 0 ? "train" : "val"}}}},
              {});
  return made;
}

}  // namespace

TEST_CASE("filter: a mixture keeps its weights and its order") {
  const auto mixture = std::make_shared<albef::Mixture>(
      std::vector<albef::WeightedSource>{{source("a", 400), 1}, {source("b", 40), 3}});
  const albef::FilteredSource train(mixture, "split", "train");
  CHECK(train.size() == 220);
  std::map<char, int> drawn;
  for (int epoch = 0; epoch < 20; ++epoch) {
    const auto order = train.epoch_order(7, epoch);
    REQUIRE(order.size() == train.epoch_size());
    for (const auto i : order) ++drawn[train.record(i).key[0]];
    for (const auto i : order) CHECK(train.record(i).values("split").front() == "train");
  }
  // The weights are 1 to 3, and half of each part is left.
  const double share = drawn['b'] / static_cast<double>(drawn['a'] + drawn['b']);
  CHECK(share == doctest::Approx(0.75).epsilon(0.03));
  CHECK(train.epoch_size() > 180);
  CHECK(train.epoch_size() < 260);

  // Its records come in the order of the mixture's epoch.
  std::vector<std::string> all, left;
  for (const auto i : mixture->epoch_order(7, 3))
    if (mixture->record(i).values("split").front() == "train")
      all.push_back(mixture->record(i).key);
  for (const auto i : train.epoch_order(7, 3)) left.push_back(train.record(i).key);
  const std::size_t both = std::min(all.size(), left.size());
  CHECK(std::equal(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(both), all.begin()));
}

TEST_CASE("filter: of a plain source each epoch has every record once") {
  const albef::FilteredSource train(source("a", 31), "split", "train");
  CHECK(train.epoch_size() == 16);
  for (int epoch = 0; epoch < 3; ++epoch) {
    auto order = train.epoch_order(1, epoch);
    CHECK(!std::is_sorted(order.begin(), order.end()));
    std::sort(order.begin(), order.end());
    for (std::uint32_t i = 0; i < 16; ++i) CHECK(order[i] == i);
  }
  CHECK(train.epoch_order(1, 0) != train.epoch_order(1, 1));
}

}  // namespace sources_test
