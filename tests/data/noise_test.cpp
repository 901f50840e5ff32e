#include "albef/data/noise.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "albef/data/sources.hpp"
#include "albef/data/webdataset.hpp"
#include "data_files.hpp"

namespace noise_test {

using albef::CaptionNoise;
using albef::NoiseKind;
using albef::NoisySource;
using Strings = std::vector<std::string>;

namespace {

// FNV-1a of all captions, each with a newline.
std::uint64_t fingerprint(const albef::Source& source) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (std::size_t i = 0; i < source.size(); ++i)
    for (const char c : source.record(i).captions.at(0) + "\n")
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

std::array<int, 4> counts(const NoisySource& source) {
  std::array<int, 4> out{};
  for (std::size_t i = 0; i < source.size(); ++i) ++out[static_cast<std::size_t>(source.kind(i))];
  return out;
}

}  // namespace

// The expected values come from an independent program that follows the same description.
TEST_CASE("noise: the draws are those described") {
  const auto train = std::make_shared<albef::WebDataset>(data_test::emoji + "train.tar");
  const NoisySource mixed(train, {.mismatch = 0.3, .partial = 0.2, .keywords = 0.1, .seed = 7});
  CHECK(counts(mixed) == std::array{963, 731, 471, 248});
  CHECK(fingerprint(mixed) == 0x9af3fff1e041e548ull);
  CHECK(mixed.record(100).captions == Strings{"ox"});     // mismatch; was: ghost
  CHECK(mixed.record(120).captions == Strings{"heart"});  // partial; was: heart decoration
  CHECK(mixed.record(117).captions == Strings{"pulse excited growing nervous growing heart"});
  CHECK(mixed.record(117).values("codepoints") == train->record(117).values("codepoints"));
  CHECK(mixed.describe(117) == train->describe(117));

  const NoisySource mismatched(train, {.mismatch = 0.4, .seed = 3});
  CHECK(counts(mismatched) == std::array{1418, 995, 0, 0});
  CHECK(fingerprint(mismatched) == 0x6cc4b8e99ea5bef1ull);
  CHECK(mismatched.record(102).captions == Strings{"woman getting massage"});

  const NoisySource none(train, {});
  CHECK(fingerprint(none) == fingerprint(*train));
}

TEST_CASE("noise: only training records, and keywords only where there are any") {
  const auto val = std::make_shared<albef::WebDataset>(data_test::emoji + "val.tar");
  CHECK(fingerprint(NoisySource(val, {.mismatch = 1})) == fingerprint(*val));

  const auto plain = std::make_shared<albef::MemorySource>();
  plain->add({.key = "a", .captions = {"one two", "three"}}, {});
  plain->add({.key = "b", .captions = {"four"}, .fields = {{"keywords", {"x", "y"}}}}, {});
  plain->add({.key = "c", .captions = {"  "}}, {});
  plain->add({.key = "d", .error = "broken"}, {});
  const NoisySource keywords(plain, {.keywords = 1});
  CHECK(keywords.kind(0) == NoiseKind::clean);
  CHECK(keywords.kind(1) == NoiseKind::keywords);
  const auto& words = keywords.record(1).captions;
  CHECK((words == Strings{"x y"} || words == Strings{"y x"}));

  const NoisySource partial(plain, {.partial = 1});
  REQUIRE(partial.record(0).captions.size() == 2);
  for (const auto& caption : partial.record(0).captions) CHECK(!caption.empty());
  CHECK(partial.record(1).captions == Strings{"four"});  // at least one word stays
  CHECK(partial.record(2).captions == Strings{"  "});    // there is no word to keep
  CHECK(partial.kind(3) == NoiseKind::clean);

  const NoisySource ring(plain, {.mismatch = 1});  // every caption goes to another record
  for (std::size_t i = 0; i < 3; ++i) CHECK(ring.record(i).captions != plain->record(i).captions);
}

TEST_CASE("noise: shares out of range are named") {
  const auto source = std::make_shared<albef::MemorySource>();
  const auto message =
      data_test::error_of([&] { NoisySource(source, {.mismatch = 0.7, .partial = 0.4}); });
  CHECK_CONTAINS(message, "mismatch 0.7");
  CHECK_CONTAINS(message, "add up to at most 1");
  data_test::error_of([&] { NoisySource(source, {.partial = -0.1}); });
}

}  // namespace noise_test
