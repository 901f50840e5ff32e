// Any text as the annotations of each task; also packed.
#include "albef/data/annotations.hpp"
#include "albef/data/answers.hpp"
#include "albef/data/statements.hpp"
#include "albef/data/vqa.hpp"
#include "fuzz.hpp"

FUZZ(bytes, {}) {
  using namespace albef;
  const std::string path = fuzz::file("a.json", bytes);
  fuzz::reads([&] {
    const JsonAnnotations set(path);
    for (std::size_t i = 0; i < set.size(); ++i) (void)set.describe(i);
  });
  fuzz::reads([&] {
    const VqaSet set(path);
    (void)clean_questions(set);
    (void)answers_of(set);
  });
  fuzz::reads([&] { (void)clean_sentences(StatementSet(path, entailment_format())); });
  fuzz::reads([&] { (void)clean_sentences(StatementSet(path, reasoning_format())); });
  fuzz::reads([&] { (void)AnswerList(path); });
}
