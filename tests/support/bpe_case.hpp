// Golden cases of CLIP's BPE tokenizer.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "albef/text/bpe.hpp"
#include "support/golden.hpp"

namespace albef {

/// kind `bpe`: the ids of texts, alone and as a model reads them. The list of merges is the case's
/// merges.txt or, where it has none, the file that ALBEF_BPE_VOCABULARY names: CLIP's own, which
/// PyPI's open_clip_torch ships.
inline void run_bpe_case(const GoldenCase& golden, GoldenReport& report) {
  std::string path = golden.folder + "/merges.txt";
  if (!std::filesystem::exists(path)) {
    const char* given = std::getenv("ALBEF_BPE_VOCABULARY");
    require(given != nullptr, golden.folder,
            ": the case has no merges.txt; ALBEF_BPE_VOCABULARY must name a list of merges");
    path = given;
  }
  const Bpe tokenizer = Bpe::from_file(path);
  int different = 0, compared = 0;
  std::string first;
  for (const auto& c : golden.json.at("cases")) {
    if (c.at("ftfy_changes").get<bool>()) continue;
    const auto text = c.at("text").get<std::string>();
    ++compared;
    std::vector<std::int32_t> got = tokenizer.encode(text);
    // What stands behind an end token, nobody reads.
    auto want = c.at("padded77").get<std::vector<std::int32_t>>();
    const auto end = std::find(want.begin(), want.end(), tokenizer.end_id());
    want.erase(end == want.end() ? end : end + 1, want.end());
    if (tokenizer.ids(text) == c.at("ids").get<std::vector<std::int32_t>>() && got == want)
      continue;
    if (different++ == 0) first = c.at("text").dump();
  }
  report.add(concat("ids of ", compared, " texts"), different, 0, first);
}

}  // namespace albef
