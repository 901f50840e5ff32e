// A tokenizer for tests: words of single letters and digits.
#pragma once

#include <string>
#include <vector>

#include "albef/text/wordpiece.hpp"

namespace data_test {

inline const albef::WordPiece& tokenizer() {
  static const albef::WordPiece made = [] {
    std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (const char* c = "abcdefghijklmnopqrstuvwxyz0123456789"; *c; ++c) {
      tokens.push_back(std::string(1, *c));
      tokens.push_back("##" + std::string(1, *c));
    }
    return albef::WordPiece::from_vocab(tokens, "test");
  }();
  return made;
}

}  // namespace data_test
