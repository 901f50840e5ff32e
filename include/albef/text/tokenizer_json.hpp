// Reads the WordPiece tokenisers that Hugging Face stores as tokenizer.json.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/io/file.hpp"
#include "albef/io/json_text.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {
namespace detail {

inline JsonText json_of(const std::string& path, std::string_view content) {
  try {
    return JsonText(content);
  } catch (const Error& e) { fail(path, ": ", e.what()); }
}

/// The members of a JSON object that describe one part of a tokeniser; Errors name the file.
class TokenizerPart {
 public:
  TokenizerPart(const std::string& path, const JsonText& json) : path_(path), json_(json) {}

  std::optional<JsonText> find(std::string_view name) const { return json_.find(name); }
  std::string text(std::string_view name, const std::string& otherwise) const {
    const auto value = find(name);
    if (!value) return otherwise;
    require(value->is_string(), path_, ": ", name, " is ", value->text(), ", expected a text");
    return value->string();
  }
  bool flag(std::string_view name, bool otherwise) const {
    const auto value = find(name);
    if (!value) return otherwise;
    const bool is_true = value->text() == "true";
    require(is_true || value->text() == "false", path_, ": ", name, " is ", value->text(),
            ", expected true or false");
    return is_true;
  }
  int number(std::string_view name, int otherwise) const {
    const auto value = find(name);
    if (!value) return otherwise;
    const auto number = value->whole();
    require(number && *number <= std::numeric_limits<int>::max(), path_, ": ", name, " is ",
            value->text(), ", expected a whole number");
    return static_cast<int>(*number);
  }
  /// The part `name`, which must be an object of that `type`.
  TokenizerPart part(std::string_view name, std::string_view type) const {
    const auto value = find(name);
    const std::string found =
        value && value->is_object() ? TokenizerPart(path_, *value).text("type", "?") : "none";
    require(found == type, path_, ": ", name, " has type ", found, ", expected ", type);
    return {path_, *value};
  }

 private:
  const std::string& path_;
  JsonText json_;
};

inline WordPiece read_tokenizer_json(const std::string& path) {
  const std::string file = read_file(path);
  const TokenizerPart root(path, json_of(path, file));
  const TokenizerPart normalizer = root.part("normalizer", "BertNormalizer");
  root.part("pre_tokenizer", "BertPreTokenizer");
  const TokenizerPart model = root.part("model", "WordPiece");

  WordPieceOptions options;
  auto& normalization = options.normalization;
  normalization.lowercase = normalizer.flag("lowercase", true);
  const auto strip = normalizer.find("strip_accents");
  normalization.strip_accents = strip && strip->is_null()
                                    ? normalization.lowercase
                                    : normalizer.flag("strip_accents", normalization.lowercase);
  normalization.split_cjk = normalizer.flag("handle_chinese_chars", true);
  require(normalizer.flag("clean_text", true), path, ": clean_text is false, expected true");
  options.unk_token = model.text("unk_token", options.unk_token);
  options.continuation = model.text("continuing_subword_prefix", options.continuation);
  options.max_word_chars = model.number("max_input_chars_per_word", options.max_word_chars);

  const auto vocab = model.find("vocab");
  require(vocab && vocab->is_object(), path, ": the model has no vocab");
  const auto entries = vocab->members();
  std::vector<std::string> tokens(entries.size());
  for (const auto& [token, value] : entries) {
    const auto id = value.whole();
    require(id && *id < tokens.size() && tokens[*id].empty(), path, ": id ", value.text(),
            " of token \"", token, "\" is used twice or not below ", tokens.size());
    tokens[*id] = token;
  }
  auto tokenizer = WordPiece::from_vocab(std::move(tokens), path, options);
  const auto added_tokens = root.find("added_tokens");
  if (!added_tokens) return tokenizer;
  require(added_tokens->is_array(), path, ": added_tokens is not a list");
  for (const JsonText& added : added_tokens->items()) {
    const std::string content = TokenizerPart(path, added).text("content", "");
    require(tokenizer.contains(content) && tokenizer.is_special(tokenizer.id(content)), path,
            ": added token \"", content,
            "\" is not among [PAD], [UNK], [CLS], [SEP], [MASK]; others are not supported");
  }
  return tokenizer;
}

}  // namespace detail

/// Reads a tokeniser: Hugging Face's tokenizer.json if the name ends with ".json" (a WordPiece
/// model with BERT's normaliser, whose options are taken over), otherwise a vocab.txt. Errors name
/// the file and what was expected.
inline WordPiece load_wordpiece(const std::string& path) {
  if (!path.ends_with(".json")) return WordPiece::from_file(path);
  return detail::read_tokenizer_json(path);
}

}  // namespace albef
