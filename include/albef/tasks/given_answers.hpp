// What a model answers to questions, or says of statements.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "albef/core/number.hpp"

namespace albef {

struct GivenAnswer {
  std::string answer = {};
  double probability = 0;

  /// Whether nothing was answered: the question was skipped.
  bool is_none() const { return probability == 0; }
};

/// Prints each question and, below it, the answers to it with their probabilities.
inline void print_answers(std::FILE* out, const std::vector<std::string>& questions,
                          const std::vector<std::vector<GivenAnswer>>& answers) {
  for (std::size_t q = 0; q < questions.size(); ++q) {
    std::fprintf(out, "%s\n", questions[q].c_str());
    for (const GivenAnswer& a : answers.at(q))
      std::fprintf(out, "  %-20s %s\n", a.answer.c_str(), fixed(a.probability, 3).c_str());
  }
}

}  // namespace albef
