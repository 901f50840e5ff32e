// Any text as a vocabulary: what can be read cuts texts into its own tokens.
#include "albef/text/tokenizer_json.hpp"
#include "fuzz.hpp"

FUZZ(bytes, {}) {
  const std::string path = fuzz::file("vocab.txt", bytes);
  fuzz::reads([&] {
    const auto tokenizer = albef::load_wordpiece(path);
    for (const auto id : tokenizer.encode("a cat's [MASK] \xE2\x80\x94 Na\xC3\xAFve \xE7\x8C\xAB"))
      fuzz::check(id >= 0 && id < tokenizer.size(), "an id is that of a token");
  });
}
