// Reads and writes the WordPiece tokenisers that Hugging Face stores as tokenizer.json.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/core/json.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

/// Reads a tokeniser: Hugging Face's tokenizer.json if the name ends with ".json" (a WordPiece
/// model), otherwise a vocab.txt. Ids equal those of Hugging Face's tokenizers, which numbers added
/// tokens itself where the vocabulary lacks them; ids that no token has are gaps.
///
/// Normalisers may be a BertNormalizer, Lowercase, both in this order, or none; pre-tokenisers
/// whatever splits at white space and punctuation as BertPreTokenizer does. Errors name the file,
/// what was found and what was expected.
WordPiece load_wordpiece(const std::string& path);

/// Writes a tokeniser as tokenizer.json, for load_wordpiece() and Hugging Face's tokenizers.
void save_tokenizer_json(const WordPiece& tokenizer, const std::string& path);

/// Writes vocab.txt to a folder or, where that would not say everything, tokenizer.json in place of
/// it. Returns the file's path.
std::string save_wordpiece(const WordPiece& tokenizer, const std::string& folder);

namespace detail {

nlohmann::json added_tokens_json(const WordPiece& tokenizer);
AddedToken added_token(const nlohmann::json& json);

}  // namespace detail
}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <filesystem>
#include <system_error>
#include <unordered_map>

namespace albef::detail {

ALBEF_DATA_INLINE nlohmann::json added_tokens_json(const WordPiece& tokenizer) {
  auto out = nlohmann::json::array();
  for (const AddedToken& token : *tokenizer.options().added_tokens) {
    out.push_back({{"id", tokenizer.id(token.content)},
                   {"content", token.content},
                   {"single_word", token.single_word},
                   {"lstrip", token.lstrip},
                   {"rstrip", token.rstrip},
                   {"normalized", token.normalized},
                   {"special", token.special}});
    if (token.outside_vocabulary) out.back()["outside_vocabulary"] = true;
  }
  return out;
}

ALBEF_DATA_INLINE AddedToken added_token(const nlohmann::json& json) {
  const bool special = json.value("special", false);
  return {.content = json.at("content").get<std::string>(),
          .single_word = json.value("single_word", false),
          .lstrip = json.value("lstrip", false),
          .rstrip = json.value("rstrip", false),
          .normalized = json.value("normalized", !special),
          .special = special,
          .outside_vocabulary = json.value("outside_vocabulary", false)};
}

// The steps of a normaliser or pre-tokeniser: those of a Sequence, one, or none.
ALBEF_DATA_INLINE void append_steps(const nlohmann::json& parent, const char* member,
                                    const char* list, std::vector<nlohmann::json>& out) {
  const auto found = parent.find(member);
  if (found == parent.end() || found->is_null()) return;
  if (found->value("type", "") != "Sequence") return out.push_back(*found);
  for (const nlohmann::json& step : found->at(list))
    append_steps({{"step", step}}, "step", list, out);
}

ALBEF_DATA_INLINE std::string step_names(const std::vector<nlohmann::json>& steps) {
  std::string out;
  for (const nlohmann::json& step : steps)
    out += (out.empty() ? "" : ", ") + step.value("type", "?");
  return out.empty() ? "nothing" : out;
}

ALBEF_DATA_INLINE TextNormalization read_normalizer(const std::string& path,
                                                    const nlohmann::json& root) {
  TextNormalization out{
      .lowercase = false, .strip_accents = false, .split_cjk = false, .clean_text = false};
  std::vector<nlohmann::json> steps;
  append_steps(root, "normalizer", "normalizers", steps);
  const std::string names = step_names(steps);
  require(names == "nothing" || names == "BertNormalizer" || names == "Lowercase" ||
              names == "BertNormalizer, Lowercase",
          path, ": the normalizer is ", names,
          ", expected BertNormalizer, Lowercase, both in this order, or none");
  for (const nlohmann::json& step : steps) {
    if (step.at("type") == "BertNormalizer") {
      out.clean_text = step.value("clean_text", true);
      out.split_cjk = step.value("handle_chinese_chars", true);
      out.lowercase = step.value("lowercase", true);
      const auto strip = step.find("strip_accents");
      out.strip_accents =
          strip == step.end() || strip->is_null() ? out.lowercase : strip->get<bool>();
    } else {
      out.lowercase = true;
    }
  }
  return out;
}

ALBEF_DATA_INLINE void check_pre_tokenizer(const std::string& path, const nlohmann::json& root) {
  std::vector<nlohmann::json> steps;
  append_steps(root, "pre_tokenizer", "pretokenizers", steps);
  bool space = false, punctuation = false, others = false;
  for (const nlohmann::json& step : steps) {
    const std::string type = step.value("type", "?");
    const bool bert = type == "BertPreTokenizer";
    const bool marks = type == "Punctuation" && step.value("behavior", "Isolated") == "Isolated";
    space |= bert || type == "WhitespaceSplit";
    punctuation |= bert || marks;
    others |= !bert && !marks && type != "WhitespaceSplit";
  }
  require(space && punctuation && !others, path, ": the pre_tokenizer is ", step_names(steps),
          ", expected BertPreTokenizer, or WhitespaceSplit and Punctuation (Isolated)");
}

ALBEF_DATA_INLINE std::vector<std::string> read_vocabulary(const std::string& path,
                                                           const nlohmann::json& vocab) {
  constexpr std::uint64_t limit = 1 << 20;
  require(vocab.is_object(), path, ": model.vocab is no object");
  std::vector<std::string> tokens;
  for (const auto& [token, value] : vocab.items()) {
    require(value.is_number_unsigned() && value.get<std::uint64_t>() < limit, path, ": id ",
            value.dump(), " of token \"", token, "\": expected a whole number from 0 to ",
            limit - 1);
    if (token.empty()) continue;
    const auto id = value.get<std::size_t>();
    if (id >= tokens.size()) tokens.resize(id + 1);
    require(tokens[id].empty(), path, ": id ", id, " of token \"", token, "\" is also that of \"",
            tokens[id], "\"");
    tokens[id] = token;
  }
  return tokens;
}

ALBEF_DATA_INLINE WordPiece read_tokenizer_json(const std::string& path) {
  const nlohmann::json root = parse_json(read_file(path));
  const nlohmann::json& model = root.at("model");
  const std::string type = model.value("type", "WordPiece");
  require(type == "WordPiece", path, ": model has type ", type, ", expected WordPiece");
  WordPieceOptions options;
  options.normalization = read_normalizer(path, root);
  check_pre_tokenizer(path, root);
  options.unk_token = model.value("unk_token", options.unk_token);
  options.continuation = model.value("continuing_subword_prefix", options.continuation);
  if (const auto found = model.find("max_input_chars_per_word"); found != model.end()) {
    require(found->is_number_unsigned(), path, ": max_input_chars_per_word is ", found->dump(),
            ", expected a whole number");
    constexpr std::uint64_t most = std::numeric_limits<int>::max();
    options.max_word_chars = static_cast<int>(std::min(found->get<std::uint64_t>(), most));
  }
  const nlohmann::json& vocab = model.at("vocab");
  std::vector<std::string> tokens = read_vocabulary(path, vocab);

  // As Hugging Face's library numbers them: what the vocabulary has keeps its id, others get the
  // next one behind the vocabulary's size and the added tokens so far.
  auto& all = options.added_tokens.emplace();
  std::unordered_map<std::string, std::size_t> places;
  std::size_t next = vocab.size();
  for (const nlohmann::json& item : root.value("added_tokens", nlohmann::json::array())) {
    AddedToken added = added_token(item);
    if (added.content.empty()) continue;
    const auto known = vocab.find(added.content);
    added.outside_vocabulary |= known == vocab.end();
    const auto [place, is_new] = places.emplace(added.content, all.size());
    if (!is_new) {
      all[place->second] = std::move(added);
      continue;
    }
    std::size_t id = next;
    if (known != vocab.end()) {
      id = known->get<std::size_t>();
    } else {
      if (id >= tokens.size()) tokens.resize(id + 1);
      require(tokens[id].empty(), path, ": added token \"", added.content, "\" would get id ", id,
              ", which is that of \"", tokens[id], "\"");
      tokens[id] = added.content;
    }
    next = std::max(next, id + 1);
    all.push_back(std::move(added));
  }
  return WordPiece::from_vocab(std::move(tokens), path, std::move(options));
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE WordPiece load_wordpiece(const std::string& path) {
  if (!path.ends_with(".json")) return WordPiece::from_file(path);
  try {
    return detail::read_tokenizer_json(path);
  } catch (const nlohmann::json::exception& e) {
    fail(path, ": ", e.what());
  } catch (const Error& e) {
    const std::string text = e.what();
    fail(text.starts_with(path) ? "" : path + ": ", text);
  }
}

ALBEF_DATA_INLINE void save_tokenizer_json(const WordPiece& tokenizer, const std::string& path) {
  const WordPieceOptions& o = tokenizer.options();
  auto vocab = nlohmann::json::object();
  for (std::int32_t id = 0; id < tokenizer.size(); ++id)
    if (const std::string& token = tokenizer.token(id); !token.empty() && tokenizer.id(token) == id)
      vocab[token] = id;
  // Tokens outside the vocabulary stay outside if a reader gives them the ids that they have.
  auto smaller = vocab;
  for (const AddedToken& token : *o.added_tokens)
    if (token.outside_vocabulary) smaller.erase(token.content);
  auto next = static_cast<std::int32_t>(smaller.size());
  const auto keeps_id = [&](const AddedToken& token) {
    const std::int32_t id = tokenizer.id(token.content);
    const bool kept = !token.outside_vocabulary || id == next;
    next = std::max(next, id + 1);
    return kept;
  };
  if (std::all_of(o.added_tokens->begin(), o.added_tokens->end(), keeps_id))
    vocab = std::move(smaller);
  const nlohmann::json json{
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", detail::added_tokens_json(tokenizer)},
      {"normalizer",
       {{"type", "BertNormalizer"},
        {"clean_text", o.normalization.clean_text},
        {"handle_chinese_chars", o.normalization.split_cjk},
        {"strip_accents", o.normalization.strip_accents},
        {"lowercase", o.normalization.lowercase}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "WordPiece"}, {"prefix", o.continuation}, {"cleanup", true}}},
      {"model",
       {{"type", "WordPiece"},
        {"unk_token", o.unk_token},
        {"continuing_subword_prefix", o.continuation},
        {"max_input_chars_per_word", o.max_word_chars},
        {"vocab", std::move(vocab)}}}};
  write_file(path, json.dump(1) + "\n");
}

ALBEF_DATA_INLINE std::string save_wordpiece(const WordPiece& tokenizer,
                                             const std::string& folder) {
  const std::string plain = folder + "/vocab.txt", whole = folder + "/tokenizer.json";
  if (tokenizer.is_plain()) {
    tokenizer.save(plain);
    return plain;
  }
  save_tokenizer_json(tokenizer, whole);
  std::error_code none;
  std::filesystem::remove(plain, none);  // of an earlier run: it would be another tokeniser
  return whole;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
