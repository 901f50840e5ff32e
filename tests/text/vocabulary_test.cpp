#include "albef/text/vocabulary.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/text/wordpiece.hpp"

namespace vocabulary_test {

using namespace albef;

namespace {

// Captions over made-up words, a few of them frequent.
std::vector<std::string> made_up_captions(int count) {
  RandomStream random(3, 0);
  const std::string syllables[] = {"ka", "lo", "mi", "ter", "sun", "ing", "da", "pre", "zu", "x"};
  std::vector<std::string> out;
  for (int i = 0; i < count; ++i) {
    std::string caption;
    for (int word = 0; word < 6; ++word) {
      const int kind = std::min(random.below(400), random.below(400));
      caption += syllables[kind % 10] + syllables[kind / 10 % 10] + (kind >= 100 ? "s" : "");
      caption += word == 2 ? ", " : " ";
    }
    out.push_back(caption + "Caf\xC3\xA9.");
  }
  return out;
}

int unknown(const WordPiece& tokenizer, const std::vector<std::string>& captions) {
  int n = 0;
  for (const auto& caption : captions)
    for (const auto id : tokenizer.ids(caption)) n += id == tokenizer.unk_id();
  return n;
}

std::size_t pieces(const WordPiece& tokenizer, const std::vector<std::string>& captions) {
  std::size_t n = 0;
  for (const auto& caption : captions) n += tokenizer.ids(caption).size();
  return n;
}

}  // namespace

TEST_CASE("learn_vocabulary: words become tokens when all of them fit") {
  const std::vector<std::string> captions{"The red cat.", "the blue CAT", "a dog, the dog"};
  const auto tokens = learn_vocabulary(captions, 100);
  const std::vector<std::string> specials{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  REQUIRE(tokens.size() > 5);
  CHECK(std::equal(specials.begin(), specials.end(), tokens.begin()));
  // Punctuation needs no continuing form; the most frequent words come first.
  const auto tokenizer = WordPiece::from_vocab(tokens, "learnt");
  CHECK(tokenizer.contains("."));
  CHECK_FALSE(tokenizer.contains("##."));
  CHECK(tokenizer.contains("##a"));
  CHECK(tokenizer.id("the") < tokenizer.id("cat"));
  CHECK(tokenizer.id("cat") < tokenizer.id("blue"));
  CHECK(tokenizer.tokenize("the blue dog .") ==
        std::vector<std::string>{"the", "blue", "dog", "."});
  CHECK(tokenizer.decode(tokenizer.ids("badge")) == "badge");  // unseen, but of seen letters
  // Not a token more than the captions need: specials, 2 x 12 letters, 2 marks, words but "a".
  CHECK(tokens.size() == 5 + 2 * 12 + 2 + 5);
}

TEST_CASE("learn_vocabulary: min_frequency") {
  const std::vector<std::string> captions{"cat cat dog"};
  const auto tokenizer =
      WordPiece::from_vocab(learn_vocabulary(captions, 100, {.min_frequency = 2}), "learnt");
  CHECK(tokenizer.contains("cat"));
  CHECK_FALSE(tokenizer.contains("dog"));
  CHECK(tokenizer.tokenize("dog") == std::vector<std::string>{"d", "##o", "##g"});
}

TEST_CASE("learn_vocabulary: merges the most frequent pairs when words do not fit") {
  // Alphabet a b c: 6 tokens. Pairs: (a, ##b) 5 times, (b, ##c) twice, (##b, ##c) once.
  const std::vector<std::string> captions{"ab ab ab ab abc bc bc"};
  const auto tokens = learn_vocabulary(captions, 12);
  CHECK(std::vector<std::string>(tokens.begin() + 5, tokens.end()) ==
        std::vector<std::string>{"a", "b", "c", "##a", "##b", "##c", "ab"});
  const auto all = learn_vocabulary(captions, 14);
  CHECK(std::vector<std::string>(all.begin() + 11, all.end()) ==
        std::vector<std::string>{"ab", "bc", "abc"});
}

TEST_CASE("learn_vocabulary: properties at every size") {
  const auto captions = made_up_captions(300);
  std::size_t before = 0;
  for (const int size : {50, 80, 120, 200, 400, 2000}) {
    CAPTURE(size);
    const auto tokens = learn_vocabulary(captions, size);
    CHECK(tokens.size() <= static_cast<std::size_t>(size));
    CHECK(std::set<std::string>(tokens.begin(), tokens.end()).size() == tokens.size());
    CHECK(tokens == learn_vocabulary(captions, size));
    const auto tokenizer = WordPiece::from_vocab(tokens, "learnt");
    CHECK(unknown(tokenizer, captions) == 0);
    // More room never makes texts longer; with 2000 every word is one piece.
    const std::size_t now = pieces(tokenizer, captions);
    if (before != 0) CHECK(now <= before);
    before = now;
  }
  CHECK(before == 300 * 9);  // six words, a comma, "cafe" and a full stop
  CHECK(learn_vocabulary(captions, 120).size() == 120);
}

TEST_CASE("learn_vocabulary: an alphabet that does not fit keeps its most frequent characters") {
  const std::vector<std::string> captions{"eeee eee tt zq"};
  const auto tokens = learn_vocabulary(captions, 10);
  CHECK(std::vector<std::string>(tokens.begin() + 5, tokens.end()) ==
        std::vector<std::string>{"e", "t", "##e", "##t", "##ee"});
  CHECK(learn_vocabulary(captions, 6).size() == 5);  // one token of room, a letter needs two
  CHECK_THROWS_AS(learn_vocabulary(captions, 5), Error);
  CHECK(learn_vocabulary({}, 100).size() == 5);
  CHECK_THROWS_AS(learn_vocabulary(std::vector<std::string>{"\xFF"}, 100), Error);
}

}  // namespace vocabulary_test
