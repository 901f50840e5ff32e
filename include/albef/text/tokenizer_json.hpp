// Reads the WordPiece tokenisers that Hugging Face stores as tokenizer.json.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {
/// Reads a tokeniser: Hugging Face's tokenizer.json if the name ends with ".json" (a WordPiece
/// model with BERT's normaliser, whose options are taken over), otherwise a vocab.txt. Errors name
/// the file and what was expected.
WordPiece load_wordpiece(const std::string& path);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <nlohmann/json.hpp>

namespace albef::detail {

ALBEF_DATA_INLINE std::string json_type(const nlohmann::json& parent, const char* member) {
  const auto found = parent.find(member);
  return found != parent.end() && found->is_object() ? found->value("type", "?") : "none";
}

ALBEF_DATA_INLINE WordPiece read_tokenizer_json(const std::string& path) {
  const auto root = nlohmann::json::parse(read_file(path));
  const auto expect = [&](const char* member, const char* type) -> const nlohmann::json& {
    const std::string found = json_type(root, member);
    require(found == type, path, ": ", member, " has type ", found, ", expected ", type);
    return root.at(member);
  };
  const auto& normalizer = expect("normalizer", "BertNormalizer");
  expect("pre_tokenizer", "BertPreTokenizer");
  const auto& model = expect("model", "WordPiece");

  WordPieceOptions options;
  options.normalization.lowercase = normalizer.value("lowercase", true);
  const auto strip = normalizer.find("strip_accents");
  options.normalization.strip_accents = strip == normalizer.end() || strip->is_null()
                                            ? options.normalization.lowercase
                                            : strip->get<bool>();
  options.normalization.split_cjk = normalizer.value("handle_chinese_chars", true);
  require(normalizer.value("clean_text", true), path, ": clean_text is false, expected true");
  options.unk_token = model.value("unk_token", options.unk_token);
  options.continuation = model.value("continuing_subword_prefix", options.continuation);
  options.max_word_chars = model.value("max_input_chars_per_word", options.max_word_chars);

  const auto& vocab = model.at("vocab");
  std::vector<std::string> tokens(vocab.size());
  for (const auto& [token, value] : vocab.items()) {
    const auto id = value.get<std::size_t>();
    require(id < tokens.size() && tokens[id].empty(), path, ": id ", id, " of token \"", token,
            "\" is used twice or not below ", tokens.size());
    tokens[id] = token;
  }
  auto tokenizer = WordPiece::from_vocab(std::move(tokens), path, options);
  for (const auto& added : root.value("added_tokens", nlohmann::json::array())) {
    const auto content = added.at("content").get<std::string>();
    require(tokenizer.contains(content) && tokenizer.is_special(tokenizer.id(content)), path,
            ": added token \"", content,
            "\" is not among [PAD], [UNK], [CLS], [SEP], [MASK]; others are not supported");
  }
  return tokenizer;
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE WordPiece load_wordpiece(const std::string& path) {
  if (!path.ends_with(".json")) return WordPiece::from_file(path);
  try {
    return detail::read_tokenizer_json(path);
  } catch (const nlohmann::json::exception& e) { fail(path, ": ", e.what()); }
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
