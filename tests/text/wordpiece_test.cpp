#include "albef/text/wordpiece.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/text/tokenizer_json.hpp"
#include "support/unassigned.hpp"

namespace wordpiece_test {

using namespace albef;

namespace {

const std::string golden = std::string(ALBEF_TEST_DATA) + "/golden/tokenizer/";

const WordPiece& bert() {
  static const WordPiece tokenizer = WordPiece::from_file(golden + "vocab.txt");
  return tokenizer;
}

const nlohmann::json& cases() {
  static const auto json = nlohmann::json::parse(read_file(golden + "cases.json"));
  return json;
}

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "";
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

WordPiece small(std::vector<std::string> more, WordPieceOptions options = {}) {
  std::vector<std::string> tokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  tokens.insert(tokens.end(), more.begin(), more.end());
  return WordPiece::from_vocab(tokens, "small", options);
}

using Tokens = std::vector<std::string>;
using Ids = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("WordPiece equals the official tokeniser on every golden string") {
  REQUIRE(cases().at("strings").size() >= 200);
  for (const auto& item : cases().at("strings")) {
    const auto text = item.at("text").get<std::string>();
    CAPTURE(text);
    if (has_unassigned(text)) continue;
    CHECK(bert().tokenize(text) == item.at("tokens").get<Tokens>());
    CHECK(bert().ids(text) == item.at("ids").get<Ids>());
    CHECK(bert().encode(text, {.max_length = 0}) == item.at("ids_with_special").get<Ids>());
  }
}

TEST_CASE("WordPiece equals the official tokeniser on every golden batch") {
  REQUIRE(cases().at("batches").size() >= 5);
  for (const auto& item : cases().at("batches")) {
    const auto& args = item.at("args");
    EncodeOptions options;
    options.max_length = args.value("truncation", false) ? args.at("max_length").get<int>() : 0;
    const auto texts = item.at("texts").get<Tokens>();
    const auto ids = item.at("input_ids").get<std::vector<Ids>>();
    const auto masks = item.at("attention_mask").get<std::vector<Ids>>();
    REQUIRE(texts.size() == ids.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      CAPTURE(texts[i]);
      Ids got = bert().encode(texts[i], options), mask(got.size(), 1);
      got.resize(ids[i].size(), bert().pad_id());
      mask.resize(ids[i].size(), 0);
      CHECK(got == ids[i]);
      CHECK(mask == masks[i]);
    }
  }
}

TEST_CASE("WordPiece: vocabulary look-ups") {
  CHECK(bert().size() == 30522);
  CHECK(bert().pad_id() == 0);
  CHECK(bert().unk_id() == 100);
  CHECK(bert().cls_id() == 101);
  CHECK(bert().sep_id() == 102);
  CHECK(bert().mask_id() == 103);
  CHECK(bert().id("man") == 2158);
  CHECK(bert().token(2158) == "man");
  CHECK(bert().contains("##board"));
  CHECK_FALSE(bert().contains("no such token"));
  CHECK(bert().id("no such token") == bert().unk_id());
  CHECK(has(message_of([] { bert().token(30522); }), "30522"));
  CHECK_THROWS_AS(bert().token(-1), Error);
}

TEST_CASE("WordPiece: encode limits and [SEP]") {
  const std::string text = "a man riding a wave";
  const Ids ids{1037, 2158, 5559, 1037, 4400};
  CHECK(bert().ids(text) == ids);
  CHECK(bert().encode(text, {.max_length = 3}) == Ids{101, 1037, 2158});
  CHECK(bert().encode(text, {.max_length = 6}).size() == 6);
  CHECK(bert().encode(text, {.max_length = 1}) == Ids{101});
  CHECK(bert().encode(text, {.max_length = 3, .add_sep = true}) == Ids{101, 1037, 102});
  CHECK(bert().encode(text, {.max_length = 0, .add_sep = true}) ==
        Ids{101, 1037, 2158, 5559, 1037, 4400, 102});
  CHECK(bert().encode("", {}) == Ids{101});
  CHECK(bert().encode(std::string(200, '.')).size() == 25);
  CHECK_THROWS_AS(bert().encode(text, {.max_length = -1}), Error);
  CHECK_THROWS_AS(bert().encode(text, {.max_length = 1, .add_sep = true}), Error);

  Ids reused;
  reused.reserve(64);
  const auto* memory = reused.data();
  bert().encode(text, {}, reused);
  bert().encode("two dogs", {}, reused);
  CHECK(reused == Ids{101, 2048, 6077});
  CHECK(reused.data() == memory);
}

TEST_CASE("WordPiece: decode joins pieces") {
  const Ids ids = bert().encode("A surfboard, unaffable!");
  CHECK(bert().decode(ids) == "[CLS] a surfboard , unaffable !");
  CHECK(bert().decode(ids, true) == "a surfboard , unaffable !");
  CHECK(bert().decode({}).empty());
  CHECK(bert().decode(Ids{bert().id("##board"), bert().id("##s")}) == "##boards");
  CHECK_THROWS_AS(bert().decode(Ids{-3}), Error);
}

TEST_CASE("WordPiece: bytes that are not UTF-8 are an error with their offset") {
  const auto error = [](std::string_view text) { return message_of([&] { bert().ids(text); }); };
  CHECK(has(error("ab\xFF"), "byte 2"));
  CHECK(has(error("\x80"), "byte 0"));
  CHECK(has(error("caf\xC3"), "byte 3"));           // cut off
  CHECK(has(error("x\xC0\xAF"), "byte 1"));         // overlong '/'
  CHECK(has(error("ab \xED\xA0\x80"), "byte 3"));   // a surrogate
  CHECK(has(error("\xF4\x90\x80\x80"), "byte 0"));  // beyond U+10FFFF
  CHECK(error("caf\xC3\xA9 \xF0\x9F\x98\x80").empty());
  CHECK(bert().ids(std::string_view("null\0char", 9)) == bert().ids("nullchar"));
  // The offset counts from the start of the whole text, also behind a special token.
  CHECK(has(error("[MASK] a\xFF"), "byte 8"));
}

TEST_CASE("WordPiece: what is wrong with a vocabulary is named") {
  const Tokens good{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat"};
  for (const char* missing : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    Tokens tokens = good;
    std::erase(tokens, missing);
    const auto error = message_of([&] { WordPiece::from_vocab(tokens, "pets.txt"); });
    CHECK(has(error, "pets.txt"));
    CHECK(has(error, missing));
  }
  Tokens bytes = good;
  bytes.push_back("caf\xE9");
  CHECK(has(message_of([&] { WordPiece::from_vocab(bytes, "pets.txt"); }), "pets.txt:7"));
  Tokens longer = good;
  longer.push_back(std::string(1001, 'a'));
  CHECK(has(message_of([&] { WordPiece::from_vocab(longer, "pets.txt"); }), "pets.txt:7"));
  CHECK(has(message_of([] { WordPiece::from_file("no/such/vocab.txt"); }), "no/such/vocab.txt"));
}

TEST_CASE("WordPiece: of a repeated token the last line counts, an empty line keeps its number") {
  const auto tokenizer = small({"dog", "", "cat", "dog", "\xE2\x80\xA8", "##s", "", ""});
  CHECK(tokenizer.size() == 11);
  CHECK(tokenizer.ids("dog cats\xE2\x80\xA8 dogs") == Ids{8, 7, 10, 8, 10});
  CHECK(tokenizer.id("") == tokenizer.unk_id());
  CHECK_FALSE(tokenizer.contains(""));
}

TEST_CASE("WordPiece: options") {
  const std::string text = "Caf\xC3\xA9 \xE4\xB8\xAD\xE6\x96\x87";  // Café 中文
  CHECK(small({"cafe", "\xE4\xB8\xAD", "\xE6\x96\x87"}).tokenize(text) ==
        Tokens{"cafe", "\xE4\xB8\xAD", "\xE6\x96\x87"});
  WordPieceOptions plain;
  plain.normalization = {.lowercase = false, .strip_accents = false, .split_cjk = false};
  CHECK(small({"Caf\xC3\xA9", "\xE4\xB8\xAD", "##\xE6\x96\x87"}, plain).tokenize(text) ==
        Tokens{"Caf\xC3\xA9", "\xE4\xB8\xAD", "##\xE6\x96\x87"});
  CHECK(small({"ab", "@@c"}, {.continuation = "@@"}).tokenize("abc") == Tokens{"ab", "@@c"});
  CHECK(small({"ab", "##c"}, {.max_word_chars = 2}).tokenize("abc ab") == Tokens{"[UNK]", "ab"});
  const WordPieceOptions raw{.normalization = {.clean_text = false}};
  CHECK(small({"ab", "a\x01", "##b"}, raw)
            .tokenize("a\x01"
                      "b") == Tokens{"a\x01", "##b"});
}

TEST_CASE("WordPiece: added tokens are found before words are") {
  WordPieceOptions options;
  options.added_tokens = {{{.content = "dec", .single_word = true, .outside_vocabulary = true},
                           {.content = "[X]"},
                           {.content = "[X][Y]"},
                           {.content = "[N]", .normalized = true, .special = false}}};
  const auto tokenizer =
      small({"a", "dec", "[X]", "[X][Y]", "[N]", "d", "##e", "##c", "##a"}, options);
  CHECK(tokenizer.ids("dec") == Ids{6});
  CHECK(tokenizer.ids("deca dece") == Ids{10, 11, 12, 13, 10, 11, 12, 11});  // not a piece of words
  CHECK(tokenizer.ids("a[X]a[X][Y]a") == Ids{5, 7, 5, 8, 5});
  CHECK(tokenizer.ids("[x]") == Ids{1, 1, 1});
  CHECK(tokenizer.ids("A[n]a[N]") == Ids{5, 9, 5, 9});
  CHECK(tokenizer.ids("[MASK]") == Ids{1, 1, 1});  // not among these
  CHECK(tokenizer.is_special(7));
  CHECK_FALSE(tokenizer.is_special(9));
  CHECK(tokenizer.contains("dec"));
}

TEST_CASE("WordPiece: long words and tokens take time in proportion") {
  const std::string token(999, 'a');
  const auto tokenizer =
      small({token + "b", "##" + token.substr(2) + "b", "a", "##a"}, {.max_word_chars = 1 << 30});
  CHECK(tokenizer.ids(std::string(20000, 'a')).size() == 20000);
  CHECK(tokenizer.ids(std::string(20000, 'a') + "!").size() == 20001);
}

TEST_CASE("WordPiece: save and read again, also with CR LF and without a last line end") {
  const auto folder = std::filesystem::temp_directory_path() / "albef_wordpiece_test";
  std::filesystem::create_directories(folder);
  const std::string path = folder / "vocab.txt";
  const auto tokenizer = small({"cat", "##s", "\xC3\xA9"});
  tokenizer.save(path);
  CHECK(read_file(path) == "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\n##s\n\xC3\xA9\n");
  CHECK(WordPiece::from_file(path).tokens() == tokenizer.tokens());
  write_file(path, "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\ncat\r\n##s\r\n\xC3\xA9");
  CHECK(WordPiece::from_file(path).tokens() == tokenizer.tokens());
  write_file(path, "\xEF\xBB\xBF[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat \n##s\t\n\xC3\xA9\n\n\n");
  CHECK(WordPiece::from_file(path).tokens() == tokenizer.tokens());
  CHECK(std::distance(std::filesystem::directory_iterator(folder), {}) == 1);  // nothing left over
  CHECK_THROWS_AS(tokenizer.save((folder / "missing" / "vocab.txt").string()), Error);
  std::filesystem::remove_all(folder);
}

TEST_CASE("WordPiece: tokenizer.json") {
  const auto folder = std::filesystem::temp_directory_path() / "albef_tokenizer_json_test";
  std::filesystem::create_directories(folder);
  const std::string path = folder / "tokenizer.json";
  const auto good = nlohmann::json::parse(R"({
    "added_tokens": [{"id": 0, "content": "[PAD]", "special": true}],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                   "strip_accents": null, "lowercase": false},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 4,
              "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4,
                        "Cat": 5, "##s": 6, "\u00e9": 7}}})");
  const auto load = [&](const nlohmann::json& json) {
    write_file(path, json.dump());
    return load_wordpiece(path);
  };
  const auto tokenizer = load(good);
  CHECK(tokenizer.size() == 8);
  CHECK(tokenizer.tokenize("Cats \xC3\xA9 cat Catss") ==
        Tokens{"Cat", "##s", "\xC3\xA9", "[UNK]", "[UNK]"});
  CHECK_FALSE(tokenizer.options().normalization.strip_accents);  // follows lowercase

  const auto error = [&](const char* pointer, const nlohmann::json& value) {
    auto changed = good;
    changed[nlohmann::json::json_pointer(pointer)] = value;
    const auto message = message_of([&] { load(changed); });
    CHECK(has(message, path));
    return message;
  };
  CHECK(has(error("/model/type", "BPE"), "BPE"));
  CHECK(has(error("/normalizer/type", "NFKC"), "NFKC"));
  CHECK(has(error("/pre_tokenizer/type", "Whitespace"), "Whitespace"));
  CHECK(has(error("/model/vocab/Cat", 6), "6"));
  CHECK(has(error("/model/vocab/Cat", 1 << 20), "1048576"));
  CHECK_FALSE(error("/model/vocab/Cat", -1).empty());
  CHECK(has(error("/model/max_input_chars_per_word", "x"), "max_input_chars_per_word"));
  write_file(path, std::string(100000, '['));
  CHECK(has(message_of([&] { load_wordpiece(path); }), path));
  CHECK_FALSE(error("/model/vocab/Cat", "five").empty());
  CHECK_FALSE(error("/model/vocab", nullptr).empty());
  write_file(path, "{ not json");
  CHECK(has(message_of([&] { load_wordpiece(path); }), path));

  // As Hugging Face's tokenizers: steps in sequences, gaps in ids, numbers of added tokens.
  auto other = good;
  other["normalizer"] = {{"type", "Sequence"}, {"normalizers", {good["normalizer"]}}};
  other["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "WhitespaceSplit"}}, {{"type", "Punctuation"}, {"behavior", "Isolated"}}}}};
  other["model"]["vocab"]["\u00e9"] = 11;
  for (const char* content : {"[DEC]", "[ENC]", "[DEC]"})
    other["added_tokens"].push_back({{"id", 50}, {"content", content}, {"special", true}});
  other["model"]["vocab"]["a\nb"] = 12;
  other["model"]["vocab"]["##s"] = 7;
  const auto foreign = load(other);
  const std::string text = "[DEC] Cats \xC3\xA9 [ENC][MASK]Catss";
  CHECK(foreign.ids(text) == Ids{9, 5, 7, 11, 10, 1, 1, 1, 1});
  CHECK(foreign.size() == 13);
  CHECK_FALSE(foreign.is_plain());
  std::filesystem::create_directories(folder / "run");
  write_file(folder / "run" / "vocab.txt", "stale");
  const std::string written = save_wordpiece(foreign, folder / "run");
  CHECK(written.ends_with("run/tokenizer.json"));
  CHECK_FALSE(std::filesystem::exists(folder / "run" / "vocab.txt"));
  CHECK(load_wordpiece(written).tokens() == foreign.tokens());
  CHECK(load_wordpiece(written).options() == foreign.options());
  CHECK(save_wordpiece(small({"a"}), folder / "run").ends_with("vocab.txt"));
  std::filesystem::remove_all(folder);
  CHECK(load_wordpiece(golden + "vocab.txt").size() == 30522);
}

TEST_CASE("every code point becomes what the reference tokenizer makes of it") {
  // FNV-1a of the normalised words of "a" c U+0301 "b" U+302E U+1D165, of all code points in order;
  // the sums are those of Hugging Face's tokenizers 0.23.3 (make_unicode_data.py --checksums).
  const auto sum = [](const TextNormalization& options) {
    std::uint64_t hash = 14695981039346656037u;
    std::string text, words;
    for (detail::CodePoint c = 0; c < 0x110000; ++c) {
      if (c >= 0xD800 && c < 0xE000) continue;
      text = "a";
      detail::append_utf8(text, c);
      text +=
          "\xCC\x81"
          "b\xE3\x80\xAE";
      detail::append_utf8(text, c);
      text += "\xF0\x9D\x85\xA5";
      words.clear();
      detail::WordSplitter(options, words).add(text);
      for (const char byte : words)
        hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211u;
    }
    return hash;
  };
  CHECK(sum({}) == 0x92fda5c28116394bu);
  CHECK(sum({.strip_accents = false}) == 0xbcf26c5508fe757fu);
  CHECK(sum({.lowercase = false, .split_cjk = false}) == 0xfb4649cb4f8e289fu);
  CHECK(sum({.clean_text = false}) == 0xe00bbc11a6d42a01u);
}

TEST_CASE("WordPiece: marks that are no accents come in canonical order") {
  const auto words = [](std::string_view text) {
    std::string out;
    detail::WordSplitter({}, out).add(text);
    return out;
  };
  const std::string first = "\xF0\x9D\x85\xA5", second = "\xE3\x80\xAE";  // U+1D165, U+302E
  const std::string accent = "\xCC\x81", joiner = "\xCD\x8F";             // U+0301, U+034F
  CHECK(words("a" + second + first + "b") == "a" + first + second + "b ");
  CHECK(words("a" + second + accent + first) == "a" + first + second + " ");
  CHECK(words("a" + second + joiner + first) == "a" + second + first + " ");  // class 0: a barrier
  CHECK(words("a" + second + " " + first) == "a" + second + " " + first + " ");
}

TEST_CASE("WordPiece: what holds for any text") {
  RandomStream random(7, 1);
  const auto code_point = [&] {  // most from the blocks where rules differ
    switch (random.below(5)) {
      case 0:
        return random.below(0x80);
      case 1:
        return 0x80 + random.below(0x780);
      case 2:
        return 0x2000 + random.below(0x1200);
      case 3:
        return 0x10000 + random.below(0x20000);
      default:
        return random.below(0xD800);
    }
  };
  for (int round = 0; round < 2000; ++round) {
    std::string a, b;
    for (int i = random.below(20); i > 0; --i) detail::append_utf8(a, code_point());
    for (int i = random.below(20); i > 0; --i) detail::append_utf8(b, code_point());
    CAPTURE(a);
    CAPTURE(b);
    const Ids ids_a = bert().ids(a), ids_b = bert().ids(b);
    // White space and special tokens separate: the parts are tokenised on their own.
    Ids joined = ids_a;
    joined.insert(joined.end(), ids_b.begin(), ids_b.end());
    REQUIRE(bert().ids(a + " " + b) == joined);
    joined.insert(joined.begin() + static_cast<std::ptrdiff_t>(ids_a.size()), bert().mask_id());
    REQUIRE(bert().ids(a + "[MASK]" + b) == joined);
    // Normalised words are stable under normalisation.
    std::string words, again;
    detail::WordSplitter({}, words).add(a);
    detail::WordSplitter({}, again).add(words);
    REQUIRE(again == words);
    // No pieces are lost: without unknown words the pieces spell the normalised text.
    if (std::find(ids_a.begin(), ids_a.end(), bert().unk_id()) == ids_a.end())
      REQUIRE(bert().decode(ids_a) + (words.empty() ? "" : " ") == words);
  }
}

}  // namespace wordpiece_test
