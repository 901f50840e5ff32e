#include "albef/text/masking.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "albef/checkpoint/safetensors.hpp"
#include "albef/text/wordpiece.hpp"

namespace masking_test {

using namespace albef;
using Ids = std::vector<std::int32_t>;
using Longs = std::vector<std::int64_t>;

namespace {

const MaskingOptions small{.vocab_size = 131, .mask_id = 4, .pad_id = 0, .cls_id = 2};

// `texts` texts: [CLS] and `words` times the id 50.
TextBatch plain_batch(int texts, std::size_t words) {
  TextBatch out;
  Ids text(words + 1, 50);
  text[0] = small.cls_id;
  for (int i = 0; i < texts; ++i) out.add(text);
  return out;
}

}  // namespace

TEST_CASE("apply_mask replays the official masking") {
  const auto file = SafeTensors::open(std::string(ALBEF_TEST_DATA) +
                                      "/golden/pretrain_step_nano/inputs.safetensors");
  int compared = 0;
  for (const std::string step : {"step1/", "step2/", "step3/"}) {
    CAPTURE(step);
    const auto read = [&](const std::string& name) { return file.read<std::int64_t>(step + name); };
    const Longs ids = read("input_ids"), keep = read("attention_mask");
    const Longs want_ids = read("input_ids_mlm"), want_labels = read("labels_mlm");
    const int batch = 4, length = static_cast<int>(ids.size()) / batch;
    // The draws at real positions, packed as the texts are.
    const auto draw = [&](const std::string& name) {
      return packed(read(name), keep, batch, length).ids;
    };
    const auto flags = [&](const std::string& name) {
      const Ids values = draw(name);
      return std::vector<std::uint8_t>(values.begin(), values.end());
    };
    const MaskDraws draws{flags("mlm_draw_mask"), flags("mlm_draw_replace"),
                          flags("mlm_draw_random"), draw("mlm_random_words")};
    const TextBatch text = packed(ids, keep, batch, length);
    MaskedText got;
    apply_mask(text, draws, small, got);
    CHECK(got.text.ids == packed(want_ids, keep, batch, length).ids);
    CHECK(got.text.offsets == text.offsets);
    Ids rows, labels, offsets{0};
    std::int32_t row = 0;
    for (int i = 0; i < batch; ++i) {
      for (int j = 0; j < length; ++j) {
        const auto at = static_cast<std::size_t>(i * length + j);
        if (want_labels[at] != -100) {
          REQUIRE(keep[at] == 1);
          rows.push_back(row);
          labels.push_back(static_cast<std::int32_t>(want_labels[at]));
        }
        row += keep[at] == 1;
      }
      offsets.push_back(static_cast<std::int32_t>(rows.size()));
    }
    CHECK(got.rows == rows);
    CHECK(got.labels == labels);
    CHECK(got.offsets == offsets);
    CHECK(got.masked() == static_cast<int>(rows.size()));
    compared += got.masked();
  }
  CHECK(compared > 0);
}

TEST_CASE("masking: shares are those asked for") {
  const TextBatch text = plain_batch(500, 100);
  RandomStream random(11, 4);
  const MaskedText masked = mask_tokens(text, small, random);
  const double n = 500 * 100, m = masked.masked();
  const auto close = [](double got, double trials, double p) {  // five standard deviations
    return std::abs(got - trials * p) <= 5 * std::sqrt(trials * p * (1 - p));
  };
  CHECK(close(m, n, 0.15));
  double replaced = 0, kept = 0, random_words = 0, low = 0;
  for (const std::int32_t row : masked.rows) {
    const std::int32_t id = masked.text.ids[static_cast<std::size_t>(row)];
    REQUIRE(text.ids[static_cast<std::size_t>(row)] == 50);  // never [CLS]
    replaced += id == small.mask_id;
    kept += id == 50;
    random_words += id != small.mask_id && id != 50;
    low += id < 65 && id != small.mask_id && id != 50;
    REQUIRE(id >= 0);
    REQUIRE(id < small.vocab_size);
  }
  CHECK(close(replaced, m, 0.8 + 0.1 / 131));
  CHECK(close(kept, m, 0.1 + 0.1 / 131));
  CHECK(close(random_words, m, 0.1 * 129 / 131));
  CHECK(close(low, random_words, 63.0 / 129));  // uniform over the vocabulary
  CHECK(masked.labels == Ids(masked.rows.size(), 50));
  CHECK(std::is_sorted(masked.rows.begin(), masked.rows.end()));
  CHECK(masked.offsets.size() == 501);
  CHECK(masked.offsets.back() == masked.masked());
  // Positions that are not masked stay as they were.
  Ids restored = masked.text.ids;
  for (std::size_t i = 0; i < masked.rows.size(); ++i)
    restored[static_cast<std::size_t>(masked.rows[i])] = masked.labels[i];
  CHECK(restored == text.ids);
}

TEST_CASE("masking: a stream decides, and memory is used again") {
  const TextBatch text = plain_batch(8, 20);
  RandomStream a(1, 2), b(1, 2), c(1, 3);
  MaskDraws draws;
  MaskedText first, second;
  mask_tokens(text, small, a, draws, first);
  mask_tokens(text, small, b, draws, second);
  CHECK(first.text.ids == second.text.ids);
  CHECK(first.rows == second.rows);
  CHECK(mask_tokens(text, small, c).rows != first.rows);
  second.rows.reserve(200);
  second.labels.reserve(200);
  const auto* ids = second.text.ids.data();
  const auto* rows = second.rows.data();
  mask_tokens(text, small, c, draws, second);
  CHECK(second.text.ids.data() == ids);
  CHECK(second.rows.data() == rows);
}

TEST_CASE("masking: at least one token per batch, if any can be masked") {
  MaskingOptions never = small;
  never.probability = 0;
  RandomStream random(5, 0);
  const TextBatch text = plain_batch(2, 3);
  std::vector<int> hits(8, 0);
  for (int i = 0; i < 600; ++i) {
    const MaskedText masked = mask_tokens(text, never, random);
    REQUIRE(masked.masked() == 1);
    ++hits[static_cast<std::size_t>(masked.rows[0])];
  }
  CHECK(hits[0] == 0);  // [CLS]
  CHECK(hits[4] == 0);
  for (const std::size_t row : {1u, 2u, 3u, 5u, 6u, 7u}) CHECK(hits[row] > 60);

  never.ensure_one = false;
  CHECK(mask_tokens(text, never, random).masked() == 0);
  MaskingOptions always = small;
  always.probability = 1;
  CHECK(mask_tokens(text, always, random).masked() == 6);
  const MaskedText empty = mask_tokens(plain_batch(2, 0), always, random);  // only [CLS]
  CHECK(empty.masked() == 0);
  CHECK(empty.offsets == Ids{0, 0, 0});
  TextBatch padded;
  padded.add(Ids{2, 0, 0});
  CHECK(mask_tokens(padded, always, random).masked() == 0);  // never PAD
}

TEST_CASE("masking: wrong numbers are errors") {
  const TextBatch text = plain_batch(1, 2);
  MaskedText out;
  CHECK_THROWS_WITH_AS(apply_mask(text, {}, small, out), doctest::Contains("3 tokens"), Error);
  MaskingOptions options = small;
  options.vocab_size = 0;
  RandomStream random(1, 1);
  CHECK_THROWS_AS(mask_tokens(text, options, random), Error);
}

TEST_CASE("masking: whole words, as many tokens as asked for") {
  // Words of one, two and three pieces: w, w ##c, w ##c ##c.
  MaskingOptions words = small;
  words.sep_id = 3;
  words.continues.assign(131, 0);
  words.continues[60] = 1;
  TextBatch text;
  Ids one{small.cls_id};
  std::vector<std::pair<std::size_t, std::size_t>>
      places;  // (first, pieces) of the words of a text
  for (std::size_t w = 0; w < 12; ++w) {
    places.emplace_back(one.size(), 1 + w % 3);
    one.push_back(50);
    one.insert(one.end(), w % 3, 60);
  }
  one.push_back(words.sep_id);
  constexpr int texts = 3000;
  for (int i = 0; i < texts; ++i) text.add(one);
  RandomStream random(21, 5);
  MaskDraws draws;
  MaskedText masked;
  mask_tokens(text, words, random, draws, masked);
  const int budget = 4;  // round(0.15 * 26)
  std::vector<int> times(places.size());
  for (int i = 0; i < texts; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const int count = masked.offsets[at + 1] - masked.offsets[at];
    REQUIRE(count == budget);  // single pieces fill what longer words leave
    std::vector<int> hidden(one.size());
    for (auto m = masked.offsets[at]; m < masked.offsets[at + 1]; ++m)
      hidden[static_cast<std::size_t>(masked.rows[static_cast<std::size_t>(m)] -
                                      text.offsets[at])] = 1;
    REQUIRE(hidden.front() + hidden.back() == 0);
    for (std::size_t w = 0; w < places.size(); ++w) {
      const auto [first, pieces] = places[w];
      for (std::size_t p = 1; p < pieces; ++p) REQUIRE(hidden[first + p] == hidden[first]);
      times[w] += hidden[first];
    }
  }
  // Words of one length are equally often masked.
  for (std::size_t w = 3; w < places.size(); ++w)
    CHECK(std::abs(times[w] - times[w % 3]) < 0.05 * texts);
  double replaced = 0;
  for (const std::int32_t row : masked.rows)
    replaced += masked.text.ids[static_cast<std::size_t>(row)] == words.mask_id;
  CHECK(replaced / masked.masked() == doctest::Approx(0.801).epsilon(0.02));

  // Where nothing fits there is nothing to guess, and no piece of a word stands for it.
  TextBatch lone;
  lone.add(Ids{small.cls_id, 50, 60, 60});
  CHECK(mask_tokens(lone, words, random).masked() == 0);
  lone.add(Ids{small.cls_id, 50});
  CHECK(mask_tokens(lone, words, random).masked() == 1);
  words.continues.resize(10);
  CHECK_THROWS_WITH(mask_tokens(lone, words, random), "[masking] token id 50, expected 0 to 9");
}

TEST_CASE("masking: which tokens continue words is the tokenizer's") {
  const auto tokenizer = WordPiece::from_vocab(
      {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "##", "a"}, "words");
  const MaskingOptions options = whole_word_masking(tokenizer);
  CHECK(options.continues == std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 1, 0, 0});
  CHECK(options.sep_id == 3);
}

}  // namespace masking_test
