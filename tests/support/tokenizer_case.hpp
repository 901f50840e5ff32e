// Golden case `tokenizer`: WordPiece pieces and ids, padded batches, and the caption and question
// clean-up of the official code.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "albef/text/clean.hpp"
#include "albef/text/wordpiece.hpp"
#include "support/golden.hpp"
#include "support/unassigned.hpp"

namespace albef {

/// Adds one line per part with its number of mismatches (none is allowed) and the first of them.
inline void run_tokenizer_case(const GoldenCase& golden, GoldenReport& report) {
  const auto file = [&](const char* key) {
    return golden.folder + '/' + golden.json.at(key).get<std::string>();
  };
  const auto tokenizer = WordPiece::from_file(file("vocab"));
  const auto cases = nlohmann::json::parse(read_file(file("cases")));

  const std::string tokens = "strings";
  // Counts the items of one part for which `matches` is false.
  const auto run = [&](const std::string& part, const auto& matches) {
    int wrong = 0, total = 0, left_out = 0;
    std::string note;
    for (const auto& item : cases.at(part)) {
      if (part == tokens && has_unassigned(item.at("text").get<std::string>())) {
        ++left_out;
        continue;
      }
      ++total;
      if (matches(item)) continue;
      if (wrong++ == 0)
        note = "; first mismatch: " + item.value("text", item.value("name", std::string()));
    }
    if (left_out > 0) note += concat("; ", left_out, " with unassigned code points left out");
    report.add(part, total > 0 ? wrong : 1, 0, concat(total, " cases", note));
  };

  run(tokens, [&](const nlohmann::json& item) {
    const auto text = item.at("text").get<std::string>();
    return nlohmann::json(tokenizer.tokenize(text)) == item.at("tokens") &&
           nlohmann::json(tokenizer.ids(text)) == item.at("ids") &&
           nlohmann::json(tokenizer.encode(text, {.max_length = 0})) == item.at("ids_with_special");
  });
  run("batches", [&](const nlohmann::json& item) {
    const auto& args = item.at("args");
    const bool fixed = args.at("padding") == "max_length", cut = args.value("truncation", false);
    const int max_length = args.value("max_length", 0);
    std::vector<std::vector<std::int32_t>> rows, mask;
    std::size_t longest = fixed ? static_cast<std::size_t>(max_length) : 0;
    for (const auto& text : item.at("texts")) {
      rows.push_back(
          tokenizer.encode(text.get<std::string>(), {.max_length = cut ? max_length : 0}));
      longest = std::max(longest, rows.back().size());
    }
    for (auto& row : rows) {
      mask.emplace_back(row.size(), 1);
      mask.back().resize(longest, 0);
      row.resize(longest, tokenizer.pad_id());
    }
    return nlohmann::json(rows) == item.at("input_ids") &&
           nlohmann::json(mask) == item.at("attention_mask");
  });
  const auto clean = [&](const char* part, std::string (*function)(std::string_view, int)) {
    run(part, [&](const nlohmann::json& item) {
      return function(item.at("text").get<std::string>(), item.at("max_words").get<int>()) ==
             item.at("output").get<std::string>();
    });
  };
  clean("pre_caption", pre_caption);
  clean("pre_question", pre_question);
}

}  // namespace albef
