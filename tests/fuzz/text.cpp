// Any bytes as a text: cleaned as caption and question, cut into tokens, masked, joined again, and
// learnt from.
#include <vector>

#include "albef/text/clean.hpp"
#include "albef/text/masking.hpp"
#include "albef/text/vocabulary.hpp"
#include "albef/text/wordpiece.hpp"
#include "fuzz.hpp"

FUZZ(bytes, {}) {
  using namespace albef;
  static const WordPiece tokenizer = WordPiece::from_vocab(
      learn_vocabulary(std::vector<std::string>{"a cat on the mat, na\xC3\xAFve (2021)"}, 64),
      "words");
  std::vector<std::string> texts{std::string(bytes)};
  fuzz::reads([&] { texts.push_back(pre_caption(bytes)); });
  fuzz::reads([&] { texts.push_back(pre_question(bytes)); });
  for (const std::string& text : texts)
    fuzz::reads([&] {
      TextBatch batch;
      batch.add(tokenizer.encode(text));
      RandomStream random(1, 2);
      const MaskedText masked = mask_tokens(batch, masking_options(tokenizer), random);
      fuzz::check(masked.text.tokens() == batch.tokens(), "a mask keeps the number of tokens");
      (void)tokenizer.decode(batch.ids);
    });
  fuzz::reads([&] { (void)learn_vocabulary(texts, 40); });
}
