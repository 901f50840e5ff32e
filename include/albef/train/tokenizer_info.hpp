// A tokenizer in a checkpoint: its tokens, its options and how texts were cut.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "albef/checkpoint/info.hpp"
#include "albef/core/compiled.hpp"
#include "albef/core/json.hpp"
#include "albef/core/number.hpp"
#include "albef/text/bpe.hpp"
#include "albef/text/tokenizer_json.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

/// The entries vocab (one token a line), tokenizer (options, where they are not BERT uncased's) and
/// max_text_length.
CheckpointInfo tokenizer_info(const WordPiece& tokenizer, int max_text_length);

/// The entries bpe (its list of merges) and max_text_length.
CheckpointInfo tokenizer_info(const Bpe& tokenizer, int max_text_length);

/// The whole number that entry `name` says, or `otherwise`.
int info_number(const std::string& path, const CheckpointInfo& info, const char* name,
                int otherwise);

namespace detail {

/// The tokenizer in a checkpoint's metadata.
WordPiece own_tokenizer(const std::string& path, const CheckpointInfo& info);

/// Throws Error naming the first difference of options or of tokens that both have.
void require_same_tokenizer(const std::string& path, const WordPiece& tokenizer,
                            const std::string& other_path, const WordPiece& other);

}  // namespace detail

/// The tokenizer for a checkpoint: its own, or that of the file `given` (vocab.txt or
/// tokenizer.json), which may have more or fewer tokens at its end. Throws Error naming the first
/// token or option that differs.
WordPiece tokenizer_for(const std::string& path, const CheckpointInfo& info,
                        const std::string& given);

/// The same of either kind: a list of merges, plain or packed, and a tokenizer.json of such make a
/// Bpe, everything else a WordPiece.
std::shared_ptr<const Tokenizer> any_tokenizer_for(const std::string& path,
                                                   const CheckpointInfo& info,
                                                   const std::string& given);

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS
#include <nlohmann/json.hpp>

namespace albef {

ALBEF_DATA_INLINE CheckpointInfo tokenizer_info(const WordPiece& tokenizer, int max_text_length) {
  std::string lines;
  auto others = nlohmann::json::object();  // tokens that do not fit on a line
  for (int i = 0; i < tokenizer.size(); ++i) {
    const std::string& token = tokenizer.token(i);
    const bool fits = token.find('\n') == token.npos;
    if (i > 0) lines += '\n';
    if (fits)
      lines += token;
    else
      others[concat(i)] = token;
  }
  CheckpointInfo info{{"vocab", lines}, {"max_text_length", concat(max_text_length)}};
  if (tokenizer.is_plain()) return info;
  const WordPieceOptions& o = tokenizer.options();
  info["tokenizer"] = nlohmann::json{
      {"lowercase", o.normalization.lowercase},
      {"strip_accents", o.normalization.strip_accents},
      {"split_cjk", o.normalization.split_cjk},
      {"clean_text", o.normalization.clean_text},
      {"max_word_chars", o.max_word_chars},
      {"continuation", o.continuation},
      {"unk_token", o.unk_token},
      {"added_tokens", detail::added_tokens_json(tokenizer)},
      {"tokens", others}}.dump();
  return info;
}

ALBEF_DATA_INLINE int info_number(const std::string& path, const CheckpointInfo& info,
                                  const char* name, int otherwise) {
  const auto found = info.find(name);
  if (found == info.end()) return otherwise;
  const auto value = to_whole<int>(found->second);
  require(value && *value >= 0, path, ": entry '", name, "' is '", found->second,
          "', expected a number");
  return *value;
}

}  // namespace albef

namespace albef::detail {

ALBEF_DATA_INLINE WordPiece own_tokenizer(const std::string& path, const CheckpointInfo& info) {
  const auto found = info.find("vocab");
  require(found != info.end(), path,
          ": the checkpoint has no vocabulary; give its vocab.txt or tokenizer.json");
  std::vector<std::string> tokens;
  const std::string& text = found->second;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    tokens.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  WordPieceOptions options;
  if (const auto kept = info.find("tokenizer"); kept != info.end()) try {
      const auto json = parse_json(kept->second);
      options.normalization = {.lowercase = json.at("lowercase"),
                               .strip_accents = json.at("strip_accents"),
                               .split_cjk = json.at("split_cjk"),
                               .clean_text = json.value("clean_text", true)};
      options.max_word_chars = json.at("max_word_chars");
      options.continuation = json.at("continuation");
      options.unk_token = json.at("unk_token");
      if (const auto added = json.find("added_tokens"); added != json.end()) {
        options.added_tokens.emplace();
        for (const auto& token : *added) options.added_tokens->push_back(added_token(token));
      }
      const auto others = json.value("tokens", nlohmann::json::object());
      for (const auto& [id, token] : others.items()) {
        const auto place = to_whole<std::size_t>(id);
        require(place && *place < tokens.size(), "token ", id, " of ", tokens.size());
        tokens[*place] = token.get<std::string>();
      }
    } catch (const std::exception& error) {
      fail(path, ": entry 'tokenizer' does not hold a tokenizer's options: ", error.what());
    }
  return WordPiece::from_vocab(std::move(tokens), path + " (vocab)", std::move(options));
}

ALBEF_DATA_INLINE void require_same_tokenizer(const std::string& path, const WordPiece& tokenizer,
                                              const std::string& other_path,
                                              const WordPiece& other) {
  const auto same = [&](const std::string& what, const auto& a, const auto& b) {
    require(a == b, path, ": ", what, " is '", a, "', that of ", other_path, " is '", b, "'");
  };
  const int both = std::min(tokenizer.size(), other.size());
  for (int i = 0; i < both; ++i) same(concat("token ", i), tokenizer.token(i), other.token(i));
  const WordPieceOptions &a = tokenizer.options(), &b = other.options();
  const auto word = [](bool value) { return std::string(value ? "yes" : "no"); };
  const TextNormalization &m = a.normalization, &n = b.normalization;
  same("lower case", word(m.lowercase), word(n.lowercase));
  same("stripping of accents", word(m.strip_accents), word(n.strip_accents));
  same("splitting of Chinese characters", word(m.split_cjk), word(n.split_cjk));
  same("dropping of control characters", word(m.clean_text), word(n.clean_text));
  same("the longest word", a.max_word_chars, b.max_word_chars);
  same("the prefix of continuing pieces", a.continuation, b.continuation);
  same("the unknown token", a.unk_token, b.unk_token);
  const auto added = [&](const std::string& in, const WordPiece& one, const std::string& not_in,
                         const WordPiece& two) {
    const auto& others = *two.options().added_tokens;
    for (const AddedToken& token : *one.options().added_tokens)
      require(one.id(token.content) >= both ||
                  std::find(others.begin(), others.end(), token) != others.end(),
              in, ": has the added token '", token.content, "', ", not_in,
              " does not, or has other flags of it");
  };
  added(path, tokenizer, other_path, other);
  added(other_path, other, path, tokenizer);
}

}  // namespace albef::detail

namespace albef {

ALBEF_DATA_INLINE WordPiece tokenizer_for(const std::string& path, const CheckpointInfo& info,
                                          const std::string& given) {
  if (given.empty()) return detail::own_tokenizer(path, info);
  WordPiece tokenizer = load_wordpiece(given);
  if (!info.contains("vocab")) return tokenizer;
  const WordPiece own = detail::own_tokenizer(path, info);
  detail::require_same_tokenizer(given, tokenizer, path, own);
  return tokenizer;
}

ALBEF_DATA_INLINE CheckpointInfo tokenizer_info(const Bpe& tokenizer, int max_text_length) {
  return {{"bpe", tokenizer.text()}, {"max_text_length", concat(max_text_length)}};
}

ALBEF_DATA_INLINE std::shared_ptr<const Tokenizer> any_tokenizer_for(const std::string& path,
                                                                     const CheckpointInfo& info,
                                                                     const std::string& given) {
  const auto own = info.find("bpe");
  const bool merges = own != info.end() ||
                      (!given.empty() && !info.contains("vocab") && detail::is_bpe_file(given));
  if (!merges) return std::make_shared<const WordPiece>(tokenizer_for(path, info, given));
  if (given.empty())
    return std::make_shared<const Bpe>(Bpe::from_text(own->second, path + " (bpe)"));
  auto out = std::make_shared<const Bpe>(Bpe::from_file(given));
  require(own == info.end() || out->text() == own->second, given, ": the merges are not those of ",
          path);
  return out;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
