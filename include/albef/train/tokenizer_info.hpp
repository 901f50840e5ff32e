// A tokenizer in a checkpoint: its tokens, its options and how texts were cut.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "albef/checkpoint/info.hpp"
#include "albef/core/compiled.hpp"
#include "albef/text/tokenizer_json.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

/// The entries vocab (one token a line), tokenizer (options, where they are not BERT uncased's) and
/// max_text_length.
CheckpointInfo tokenizer_info(const WordPiece& tokenizer, int max_text_length);

/// The whole number that entry `name` says, or `otherwise`.
int info_number(const std::string& path, const CheckpointInfo& info, const char* name,
                int otherwise);

namespace detail {

/// The tokenizer in a checkpoint's metadata.
WordPiece own_tokenizer(const std::string& path, const CheckpointInfo& info);

}  // namespace detail

/// The tokenizer for a checkpoint: its own, or that of the file `given` (vocab.txt or
/// tokenizer.json), which may have more or fewer tokens at its end. Throws Error naming the first
/// token that differs.
WordPiece tokenizer_for(const std::string& path, const CheckpointInfo& info,
                        const std::string& given);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <nlohmann/json.hpp>

namespace albef {

ALBEF_DATA_INLINE CheckpointInfo tokenizer_info(const WordPiece& tokenizer, int max_text_length) {
  std::string tokens;
  for (int i = 0; i < tokenizer.size(); ++i) tokens += (i ? "\n" : "") + tokenizer.token(i);
  const WordPieceOptions& o = tokenizer.options();
  const WordPieceOptions standard;
  CheckpointInfo info{{"vocab", tokens}, {"max_text_length", concat(max_text_length)}};
  const nlohmann::ordered_json options{
      {"lowercase", o.normalization.lowercase}, {"strip_accents", o.normalization.strip_accents},
      {"split_cjk", o.normalization.split_cjk}, {"max_word_chars", o.max_word_chars},
      {"continuation", o.continuation},         {"unk_token", o.unk_token}};
  const bool is_standard =
      o.normalization.lowercase && o.normalization.strip_accents && o.normalization.split_cjk &&
      o.max_word_chars == standard.max_word_chars && o.continuation == standard.continuation &&
      o.unk_token == standard.unk_token;
  if (!is_standard) info["tokenizer"] = options.dump();
  return info;
}

ALBEF_DATA_INLINE int info_number(const std::string& path, const CheckpointInfo& info,
                                  const char* name, int otherwise) {
  const auto found = info.find(name);
  if (found == info.end()) return otherwise;
  int value = 0;
  const std::string& text = found->second;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(code == std::errc{} && stop == text.data() + text.size() && value >= 0, path, ": entry '",
          name, "' is '", text, "', expected a number");
  return value;
}

}  // namespace albef

namespace albef::detail {

ALBEF_DATA_INLINE WordPiece own_tokenizer(const std::string& path, const CheckpointInfo& info) {
  const auto found = info.find("vocab");
  require(found != info.end(), path,
          ": the checkpoint has no vocabulary; give its vocab.txt or tokenizer.json");
  std::vector<std::string> tokens;
  const std::string& text = found->second;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    tokens.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  WordPieceOptions options;
  if (const auto kept = info.find("tokenizer"); kept != info.end()) try {
      const auto json = nlohmann::json::parse(kept->second);
      options.normalization = {.lowercase = json.at("lowercase"),
                               .strip_accents = json.at("strip_accents"),
                               .split_cjk = json.at("split_cjk")};
      options.max_word_chars = json.at("max_word_chars");
      options.continuation = json.at("continuation");
      options.unk_token = json.at("unk_token");
    } catch (const nlohmann::json::exception& error) {
      fail(path, ": entry 'tokenizer' does not hold a tokenizer's options: ", error.what());
    }
  return WordPiece::from_vocab(std::move(tokens), path + " (vocab)", std::move(options));
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE WordPiece tokenizer_for(const std::string& path, const CheckpointInfo& info,
                                          const std::string& given) {
  if (given.empty()) return detail::own_tokenizer(path, info);
  WordPiece tokenizer = load_wordpiece(given);
  if (!info.contains("vocab")) return tokenizer;
  const auto& tokens = tokenizer.tokens();
  const std::vector<std::string> own = detail::own_tokenizer(path, info).tokens();
  for (std::size_t i = 0; i < std::min(tokens.size(), own.size()); ++i)
    require(tokens[i] == own[i], given, ": token ", i, " is '", tokens[i], "', that of ", path,
            " is '", own[i], "'");
  return tokenizer;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
