// CLIP's tokenizer: equality with the reference is a golden case; here are files, learning, errors.
#include "albef/text/bpe.hpp"

#include <doctest/doctest.h>
#include <zlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "albef/core/file.hpp"
#include "albef/text/learn_bpe.hpp"

namespace {

using albef::Bpe;
using Ids = std::vector<std::int32_t>;

std::string error_of(auto&& f) {
  try {
    f();
  } catch (const albef::Error& error) { return error.what(); }
  return "";
}

const std::string merges = std::string(ALBEF_TEST_DATA) + "/golden/bpe_small/merges.txt";

struct TemporaryFile {
  std::string path = std::filesystem::temp_directory_path() / "albef-bpe-test";
  TemporaryFile(const std::string& ending, const std::string& content) {
    path += ending;
    albef::write_file(path, content);
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
};

std::string gzip(const std::string& content) {
  const TemporaryFile file(".gz", "");
  gzFile out = gzopen(file.path.c_str(), "wb");
  gzwrite(out, content.data(), static_cast<unsigned>(content.size()));
  gzclose(out);
  return albef::read_file(file.path);
}

}  // namespace

TEST_CASE("BPE: start, pieces, end; cut with the end kept") {
  const Bpe bpe = Bpe::from_file(merges);
  const int start = bpe.start_id(), end = bpe.end_id();
  CHECK(end == bpe.size() - 1);
  CHECK(bpe.encode("") == Ids{start, end});
  const Ids whole = bpe.encode("Woman &amp;  RUNNING");
  CHECK(bpe.decode(whole) == "<start_of_text>woman & running <end_of_text>");
  CHECK(bpe.encode("a a a a a", {.max_length = 4}).size() == 4);
  CHECK(bpe.encode("a a a a a", {.max_length = 4}).back() == end);
  CHECK(bpe.encode("a a a a a", {.max_length = 0}).size() == 7);
  CHECK(bpe.encode("a <end_of_text> b") == Ids{start, bpe.ids("a")[0], end});
  CHECK(error_of([&] { bpe.encode("a", {.max_length = 1}); }) ==
        "[encode] max_length is 1, expected 0 or at least 2");
  CHECK(error_of([&] { bpe.ids("a\xFF"); }).find("invalid UTF-8") != std::string::npos);
}

TEST_CASE("BPE: a word of many pieces in any order of merges") {
  // The first merge of the list is made everywhere, from the left, before the next.
  const std::vector<Bpe::Merge> list{{"a", "a"}, {"aa", "aa"}, {"b", "aa"}, {"aa", "a</w>"}};
  const Bpe bpe = Bpe::from_merges(list, "list");
  const auto pieces = [&](const char* text) {
    std::string out;
    for (const auto id : bpe.ids(text)) out += bpe.token(id) + " ";
    return out;
  };
  CHECK(pieces("aaaaa") == "aaaa a</w> ");
  CHECK(pieces("aaa") == "aaa</w> ");
  CHECK(pieces("baaab") == "baa a b</w> ");
  CHECK(bpe.ids(std::string(100'000, 'a')).size() == 25'002);
}

TEST_CASE("BPE: plain and packed lists, and what is wrong with them") {
  const std::string content = albef::read_file(merges);
  const Ids ids = Bpe::from_file(merges).ids("medium-dark skin tone");
  const std::string packed = gzip(content);
  CHECK(Bpe::from_file(TemporaryFile(".txt.gz", packed).path).ids("medium-dark skin tone") == ids);
  const Bpe kept = Bpe::from_file(merges);
  CHECK(Bpe::from_text(kept.text(), "kept").ids("medium-dark skin tone") == ids);

  const auto error = [&](const std::string& ending, const std::string& bytes) {
    const TemporaryFile file(ending, bytes);
    std::string text = error_of([&] { Bpe::from_file(file.path); });
    return text.starts_with(file.path) ? text.substr(file.path.size()) : text;
  };
  CHECK(error(".gz", packed.substr(0, packed.size() / 2))
            .find(": the list of merges is damaged or cut off here") != std::string::npos);
  CHECK(error(".txt", "#version: 0.2\na b\nab c") == ":3: the list of merges is cut off here");
  CHECK(error(".txt", "#version: 0.2\na b\nab\n") ==
        ":3: expected two pieces with a space between them");
  CHECK(error(".txt", "#version: 0.2\na b\nabc d\n") ==
        ":3: 'abc' is neither a byte nor made by a merge before");
  CHECK(error(".txt", "a b\n") ==
        ":1: expected a list of merges, which begins with a line with #version");
  CHECK(error(".txt", "\"bpe_simple_vocab_16e6.txt#version: 0.2\na b\n") ==
        ":3: the list of merges is cut off here, expected 48895 lines");
  CHECK(error(".json", R"({"model": {"type": "WordPiece"}})")
            .find("the model is WordPiece, expected BPE") != std::string::npos);
}

TEST_CASE("BPE: learnt from captions") {
  const std::vector<std::string> captions{"low low low", "lower lower", "newest newest newest",
                                          "widest widest widest"};
  const Bpe bpe = albef::learn_bpe(captions, 530);
  CHECK(bpe.size() == 527);  // pairs seen once are not merged
  CHECK(bpe.ids("low").size() == 1);
  CHECK(bpe.ids("newest").size() == 1);
  CHECK(bpe.decode(bpe.ids("na\xC3\xAFve low")) == "na\xC3\xAFve low ");
  CHECK(albef::learn_bpe(captions, 520).size() == 520);
  CHECK(error_of([&] { albef::learn_bpe(captions, 513); }) ==
        "[learn_bpe] size is 513, expected at least 514");
}
