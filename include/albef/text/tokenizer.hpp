// What loaders and encoders of texts ask of a tokenizer.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace albef {

/// What encode adds and cuts.
struct EncodeOptions {
  int max_length = 25;   ///< longest result, added tokens included; 0 = no limit
  bool add_sep = false;  ///< WordPiece: end with [SEP], as other BERT models do; ALBEF does not
};

/// Cuts texts, which are UTF-8, into tokens: a WordPiece or a Bpe. It does not change after it was
/// made: threads may share it.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// The ids of a text as a model reads it, with the tokens that stand at its ends, into `out`,
  /// whose former content is dropped and whose memory is used again.
  virtual void encode(std::string_view text, const EncodeOptions& options,
                      std::vector<std::int32_t>& out) const = 0;
  /// Number of tokens; ids are 0 .. size() - 1.
  virtual int size() const = 0;

 protected:
  Tokenizer() = default;
  Tokenizer(const Tokenizer&) = default;
  Tokenizer& operator=(const Tokenizer&) = default;
};

}  // namespace albef
