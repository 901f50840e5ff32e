// Any bytes as a list of merges, and as a text for CLIP's tokenizer.
#include "albef/text/bpe.hpp"
#include "albef/text/learn_bpe.hpp"
#include "fuzz.hpp"

FUZZ(bytes, {}) {
  using namespace albef;
  static const Bpe tokenizer =
      learn_bpe(std::vector<std::string>{"the cat's on the mat, the na\xC3\xAFve cat (2021)"}, 540);
  fuzz::reads([&] {
    const auto ids = tokenizer.encode(bytes);
    fuzz::check(ids.size() >= 2 && ids.size() <= 77 && ids.front() == tokenizer.start_id() &&
                    ids.back() == tokenizer.end_id(),
                "start and end stand around a text");
    (void)tokenizer.decode(ids);
  });
  fuzz::reads([&] { (void)learn_bpe(std::vector<std::string>{std::string(bytes)}, 530); });
  fuzz::reads([&] { (void)Bpe::from_text(bytes, "list").ids("the cat"); });
}
