// Evaluation of statements and questions over data sets, and what is said of a user's pictures.
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../train/nano_training.hpp"
#include "albef/core/file.hpp"
#include "albef/tasks/group_scores.hpp"
#include "albef/tasks/nlvr.hpp"
#include "albef/tasks/statements.hpp"
#include "albef/tasks/ve.hpp"
#include "albef/tasks/vqa_evaluation.hpp"
#include "albef/train/session.hpp"

namespace evaluation_test {

using albef::Cpu;
using albef::Error;
using albef::GivenAnswer;
using albef::Nano;
using Json = nlohmann::ordered_json;
using train_test::TemporaryFolder;

namespace {

/// Four pictures of different levels, 0.png to 3.png, and JSON files about them.
struct Files : TemporaryFolder {
  Files() {
    for (int i = 0; i < 4; ++i) {
      const auto png = albef::encode_png(albef::Image(12, 12, static_cast<std::uint8_t>(60 * i)));
      write(std::to_string(i) + ".png", {png.begin(), png.end()});
    }
  }
  std::string write(const std::string& name, const std::string& text) const {
    albef::write_file(*this / name, text);
    return *this / name;
  }
};

/// A statement in JSON; `what` are its picture(s) and label.
std::string statement(const std::string& what, const std::string& sentence,
                      const std::string& type) {
  return "{" + what + R"(, "sentence": ")" + sentence + R"(", "type": ")" + type + R"("})";
}

}  // namespace

TEST_CASE("scores of groups") {
  albef::GroupScores groups;
  CHECK(groups.empty());
  groups.add("count", 1);
  groups.add("count", 0);
  groups.add({{"type", {"color", "all"}}, {"source", {"x"}}}, "type", 0.3);
  groups.add({{"source", {"y"}}}, "type", 1);
  const Json json = groups.json();
  CHECK(json["count"] == Json{{"accuracy", 0.5}, {"count", 2}});
  CHECK(json["color"]["accuracy"] == 0.3);
  CHECK(json["all"]["count"] == 1);
  CHECK(json.size() == 3);
}

TEST_CASE("results of statements: confusions, groups and certainty") {
  const Files files;
  const albef::StatementSet set(
      files.write("s.json",
                  "[" + statement(R"("image": "0.png", "label": "neutral")", "a", "n") + "," +
                      statement(R"("image": "1.png", "label": "entailment")", "b", "m") + "," +
                      statement(R"("image": "1.png", "label": "entailment")", "c", "n") + "]"),
      albef::entailment_format());
  const albef::StatementResults r(set, {0.1, 0.7, 0.2, 0.1, 0.3, 0.6, 0.5, 0.1, 0.4}, "type");
  CHECK(r.predictions == std::vector<int>{1, 2, 0});
  CHECK(r.certainty == std::vector<double>{0.7, 0.6, 0.5});
  CHECK(r.matrix.count(2) == 2);
  CHECK(r.matrix.accuracy(2) == 0.5);
  CHECK(r.matrix.accuracy(0) == 0);
  const Json json = r.json();
  CHECK(json["accuracy"] == doctest::Approx(2.0 / 3));
  CHECK(json["count"] == 3);
  CHECK(json["classes"]["entailment"] ==
        Json{{"count", 2},
             {"accuracy", 0.5},
             {"predicted", {{"contradiction", 1}, {"neutral", 0}, {"entailment", 1}}}});
  CHECK(json["groups"]["n"] == Json{{"accuracy", 0.5}, {"count", 2}});
  CHECK(albef::StatementResults(set, std::vector<double>(9), "").json().contains("groups") ==
        false);
  CHECK_THROWS_WITH_AS(albef::StatementResults(set, {1, 0, 0}),
                       "statements: got 3 probabilities for 3 statements and 3 labels", Error);
}

TEST_CASE("a set of statements is evaluated as its statements one by one, whatever the batches") {
  const Files files;
  std::string list;
  for (int i = 0; i < 5; ++i)
    list += (i ? ", " : "[") +
            statement(albef::concat(R"("image": ")", i % 4, R"(.png", "label": "neutral")"),
                      albef::concat("word ", i, " of x"), i < 2 ? "few" : "many");
  const auto set =
      albef::open_statements({files.write("s.json", list + "]")}, albef::entailment_format());
  Cpu cpu(1);
  albef::Training<albef::VisualEntailment<Nano>> training(cpu, {.seed = 7});
  albef::Session session(training, train_test::tokenizer());
  const auto p = albef::statement_probabilities(session, set, {.batch_size = 2, .workers = 0});
  REQUIRE(p.size() == 15);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto alone = albef::judge_statements(session, {files / (*set)[i].images[0]},
                                               {(*set)[i].sentence}, set->format())
                           .at(0);
    REQUIRE(alone.size() == 3);
    CHECK(alone[0].probability >= alone[1].probability);
    CHECK(alone[1].probability >= alone[2].probability);
    for (const GivenAnswer& a : alone)
      for (std::size_t c = 0; c < 3; ++c)
        if (set->format().labels[c] == a.answer)
          CHECK(a.probability == doctest::Approx(p[3 * i + c]).epsilon(1e-4));
  }
  const auto r = albef::evaluate_statements(session, set, "type", {.batch_size = 4, .workers = 1});
  CHECK(r.matrix.total() == 5);
  CHECK(r.json()["groups"]["many"]["count"] == 3);
  const auto validation = albef::validate_statements(session, set);
  CHECK(validation.score == r.accuracy());
  CHECK(validation.results["classes"] == r.json()["classes"]);

  CHECK_THROWS_WITH_AS(
      albef::judge_statements(session, {files / "0.png"}, {"a", "..."}, set->format()),
      "the statement '...' has no words", Error);
  CHECK_THROWS_WITH_AS(
      albef::judge_statements(session, {files / "0.png", files / "1.png"}, {"a"}, set->format()),
      "got 2 pictures, expected 1", Error);
  const auto missing = albef::open_statements(
      {files.write("m.json",
                   "[" + statement(R"("image": "9.png", "label": "neutral")", "a", "") + "]")},
      albef::entailment_format());
  CHECK_THROWS_AS(albef::evaluate_statements(session, missing), Error);
}

TEST_CASE("statements and questions that cannot be used are left out and counted") {
  const Files files;
  files.write("cut.png", "\x89PNG");
  const auto path = files.write("s.json", R"([
    {"image": "0.png", "label": "neutral", "sentence": "a"},
    {"image": "cut.png", "label": "neutral", "sentence": "b"},
    {"image": "1.png", "label": "maybe", "sentence": "c"},
    {"image": "2.png", "label": "entailment", "sentence": "d"},
    {"image": "3.png", "label": "neutral", "sentence": "..."},
    {"image": "3.png", "label": "neutral", "sentence": "pic 3 of x", "kind": "k"}])");
  Cpu cpu(1);
  albef::Training<albef::VisualEntailment<Nano>> training(cpu, {.seed = 7});
  albef::Session session(training, train_test::tokenizer());
  const auto set = albef::open_statements({path}, albef::entailment_format());
  std::vector<std::string> told;
  albef::LoaderOptions options{.batch_size = 2, .workers = 0};
  options.on_bad_record = [&](const std::string& message) { told.push_back(message); };
  const auto r = albef::evaluate_statements(session, set, "kind", options);
  CHECK(told.size() == 3);
  REQUIRE(r.predictions.size() == 6);
  for (const std::size_t i : {1u, 2u, 4u}) CHECK(r.predictions[i] == -1);
  for (const std::size_t i : {0u, 3u, 5u}) {
    const auto alone = albef::judge_statements(session, {files / (*set)[i].images[0]},
                                               {(*set)[i].sentence}, set->format())
                           .at(0);
    CHECK(r.labels[static_cast<std::size_t>(r.predictions[i])] == alone[0].answer);
    CHECK(r.certainty[i] == doctest::Approx(alone[0].probability).epsilon(1e-4));
  }
  CHECK(r.matrix.total() == 3);
  CHECK(r.json()["count"] == 3);
  CHECK(r.json()["records"] == 6);
  CHECK(r.json()["skipped"] == 3);
  CHECK(r.json()["groups"]["k"]["count"] == 1);
  CHECK(albef::validate_statements(session, set, options).results["skipped"] == 3);
  options.max_bad_share = 0;
  CHECK_THROWS_WITH_AS(albef::evaluate_statements(session, set, "", options),
                       doctest::Contains("an unusable record: "), Error);

  const auto questions = std::make_shared<const albef::VqaSet>(files.write("q.json", R"([
    {"image": "cut.png", "question": "x?", "question_id": 1, "answer": "a"},
    {"image": "1.png", "question": "pic 1", "question_id": 2, "answer": "b"},
    {"image": "1.png", "question": 7},
    {"image": "0.png", "question": "which", "question_id": 3}])"));
  albef::Training<albef::VqaTraining<Nano>> asked(cpu, {.seed = 7});
  albef::Session vqa(asked, train_test::tokenizer());
  const albef::AnswerList list(std::vector<std::string>{"a", "b"});
  options.max_bad_share = 1;
  const auto answers =
      albef::evaluate_vqa(vqa, questions, {.list = &list, .rank = {.k = 2}}, "", options);
  CHECK(answers.count == 1);
  CHECK(answers.answers[0].is_none());
  CHECK(answers.answers[2].is_none());
  CHECK(answers.accuracy == (answers.answers[1].answer == "b" ? 1 : 0));
  CHECK(answers.json()["records"] == 4);
  CHECK(answers.json()["skipped"] == 2);
  Json predictions = Json::array();
  albef::check_question_ids(*questions);
  albef::vqa_predictions(*questions, answers.answers, predictions);
  REQUIRE(predictions.size() == 3);
  CHECK(predictions[0] == Json{{"question_id", 1}, {"answer", nullptr}});
  CHECK(predictions[2] == Json{{"question_id", 3}, {"answer", answers.answers[3].answer}});
}

TEST_CASE("statements about two pictures: their order matters") {
  const Files files;
  const auto set = albef::open_statements(
      {files.write(
          "s.json",
          "[" + statement(R"("images": ["0.png", "3.png"], "label": "True")", "x of x", "") + "," +
              statement(R"("images": ["3.png", "0.png"], "label": true)", "x of x", "") + "]")},
      albef::reasoning_format());
  Cpu cpu(1);
  albef::Training<albef::NlvrReasoning<Nano>> training(cpu, {.seed = 7});
  albef::Session session(training, train_test::tokenizer());
  const auto p = albef::statement_probabilities(session, set);
  REQUIRE(p.size() == 4);
  const auto said = albef::judge_statements(session, {files / "3.png", files / "0.png"}, {"x of x"},
                                            set->format())
                        .at(0);
  const bool is_true = said[0].answer == "True";
  CHECK(said[is_true ? 0 : 1].probability == doctest::Approx(p[3]).epsilon(1e-4));
  CHECK(p[1] != p[3]);
}

TEST_CASE("the score of an answer is its share of ten, three of them suffice nearly") {
  const albef::VqaRecord record{.answers = {"two", "2", "x"}, .weights = {0.4f, 0.2f, 0.1f}};
  CHECK(albef::vqa_score(record, "two") == 1);
  CHECK(albef::vqa_score(record, "2") == doctest::Approx(0.6));
  CHECK(albef::vqa_score(record, "x") == doctest::Approx(0.3));
  CHECK(albef::vqa_score(record, "Two") == 0);
}

TEST_CASE("questions of a set are answered by ranking or writing, and scored where known") {
  const Files files;
  const auto set = std::make_shared<const albef::VqaSet>(files.write("q.json", R"([
    {"image": "0.png", "question": "x of x?", "question_id": 7, "answer": "a", "type": "t"},
    {"image": "1.png", "question": "pic 1", "question_id": "007", "answer": ["b", "a"], "type": "t"},
    {"image": "2.png", "question": "which", "question_id": 9, "type": "t"}])"));
  Cpu cpu(1);
  albef::Training<albef::VqaTraining<Nano>> training(cpu, {.seed = 7});
  albef::Session session(training, train_test::tokenizer());
  const albef::AnswerList list({"a", "b", "c d"});
  const albef::Answering ranking{.list = &list, .rank = {.k = 2}};
  const auto all = albef::answer_set(session, set, ranking, {.batch_size = 2, .workers = 0});
  REQUIRE(all.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto alone =
        albef::answer_questions(session, files / (*set)[i].key, {(*set)[i].question}, ranking, 5)
            .at(0);
    REQUIRE(alone.size() == 2);  // k
    CHECK(alone[0].probability + alone[1].probability == doctest::Approx(1));
    CHECK(alone[0].answer == all[i].answer);
    CHECK(alone[0].probability == doctest::Approx(all[i].probability).epsilon(1e-4));
  }
  const albef::VqaResults fixed(*set, {{"a", 1}, {"a", 0.5}, {"zebra", 1}}, "type");
  CHECK(fixed.count == 2);
  CHECK(fixed.accuracy == 1);  // one of two people is enough
  CHECK(fixed.json() == Json{{"accuracy", 1.0},
                             {"count", 2},
                             {"records", 3},
                             {"skipped", 0},
                             {"groups", {{"t", {{"accuracy", 1.0}, {"count", 2}}}}}});
  CHECK_THROWS_WITH_AS(albef::VqaResults(*set, {}), "vqa: got 0 answers to 3 questions", Error);

  const auto r = albef::evaluate_vqa(session, set, ranking, "type");
  CHECK(r.count == 2);
  for (std::size_t i = 0; i < 3; ++i) CHECK(r.answers[i].answer == all[i].answer);
  const auto validation = albef::validate_vqa(session, set, list, 2);
  CHECK(validation.score == r.accuracy);
  CHECK(validation.results["answers"] == 3);

  const auto written = albef::evaluate_vqa(session, set, {.beams = 2, .max_length = 3});
  REQUIRE(written.answers.size() == 3);
  for (const GivenAnswer& a : written.answers) {
    CHECK(a.probability > 0);
    CHECK(a.probability <= 1);
  }

  Json predictions = Json::array();
  albef::vqa_predictions(*set, r.answers, predictions);
  REQUIRE(predictions.size() == 3);
  CHECK(predictions[0] == Json{{"question_id", 7}, {"answer", r.answers[0].answer}});
  CHECK(predictions[1]["question_id"] == "007");
  const albef::VqaSet nameless(
      files.write("n.json", R"([{"image": "0.png", "question": "x", "answer": "a"}])"));
  CHECK_THROWS_AS(albef::check_question_ids(nameless), Error);
  CHECK_THROWS_WITH_AS(albef::answer_questions(session, files / "0.png", {"?"}, ranking),
                       "the question '?' has no words", Error);
}

}  // namespace evaluation_test
