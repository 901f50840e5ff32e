// The annotations of the downstream tasks and their batches.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "albef/data/answers.hpp"
#include "albef/data/grounding.hpp"
#include "albef/data/loader.hpp"
#include "albef/data/statements.hpp"
#include "albef/data/vqa.hpp"
#include "data_files.hpp"
#include "letters.hpp"

namespace tasks_test {

using albef::AnswerList;
using albef::ClassBatch;
using albef::EvalTransform;
using albef::LoaderOptions;
using albef::StatementLoader;
using albef::StatementSet;
using albef::TrainTransform;
using albef::VqaBatch;
using albef::VqaLoader;
using albef::VqaSet;
using data_test::error_of;
using data_test::TemporaryFolder;
using data_test::tokenizer;
using Strings = std::vector<std::string>;

namespace {

/// Pictures 0.png, 1.png, ... of the levels 0, 10, ...
void write_pictures(const TemporaryFolder& folder, int count) {
  for (int i = 0; i < count; ++i)
    folder.write(std::to_string(i) + ".png",
                 data_test::as_text(data_test::png(static_cast<std::uint8_t>(10 * i))));
}

LoaderOptions options(int batch_size, int workers = 1) {
  LoaderOptions o;
  o.batch_size = batch_size;
  o.workers = workers;
  o.on_bad_record = nullptr;
  return o;
}

const TrainTransform plain{.size = 4, .flip = 0, .augment = {.count = 0}};

}  // namespace

TEST_CASE("vqa: answers weigh their share of the list, those of Visual Genome a half") {
  const TemporaryFolder folder;
  const VqaSet set(folder.write("q.json", R"([
    {"image": "a.png", "question": "q", "question_id": 7, "dataset": "vqa",
     "answer": ["a", "b", "a", "a"], "type": "x"},
    {"image": "a.png", "question": "q", "dataset": "vg", "answer": "c"},
    {"image": "a.png", "question": "q", "answer": "d"},
    {"image": "a.png", "question": "q"}])"));
  REQUIRE(set.size() == 4);
  CHECK(set[0].answers == Strings{"a", "b"});
  CHECK(set[0].weights == std::vector<float>{0.75f, 0.25f});
  CHECK(set[0].question_id == "7");
  REQUIRE(set[0].fields.size() == 1);
  CHECK(set[0].fields[0].name == "type");
  CHECK(set[1].weights == std::vector<float>{0.5f});
  CHECK(set[2].weights == std::vector<float>{1.0f});
  CHECK(set[3].answers.empty());
}

TEST_CASE("vqa: wrong records are named with file, record and field") {
  const TemporaryFolder folder;
  const auto path = folder.write("q.json", R"([
    {"image": "a.png", "question": "q", "answer": "a"},
    {"image": "a.png", "answer": "a"},
    {"image": "a.png", "question": "q", "answer": []},
    {"image": "a.png", "question": "q", "answer": ""},
    {"image": "a.png", "question": "q", "answer": "a", "dataset": "other"}])");
  const VqaSet set(path);
  CHECK(set[1].error == "field 'question' is missing");
  CHECK_CONTAINS(set[2].error, "'answer' is an empty list");
  CHECK_CONTAINS(set[3].error, "'answer' has an empty answer");
  CHECK_CONTAINS(set[4].error, "'dataset' is 'other', expected 'vqa' or 'vg'");
  CHECK_CONTAINS(error_of([&] { VqaSet(path, {.strict = true}); }),
                 path + ": record 1 (a.png): field 'question' is missing");
}

TEST_CASE("vqa: a batch has questions, their answers and weights") {
  const TemporaryFolder folder;
  write_pictures(folder, 3);
  const auto set = std::make_shared<VqaSet>(folder.write("q.json", R"([
    {"image": "0.png", "question": "What is  it?", "answer": ["a b", "c", "c"]},
    {"image": "1.png", "question": "q", "answer": "yes"},
    {"image": "2.png", "question": "q", "answer": ["x", "y"]}])"));
  LoaderOptions o = options(3);
  o.shuffle = false;
  VqaLoader loader(set, tokenizer(), plain, o);
  const VqaBatch& batch = loader.next();
  REQUIRE(batch.size == 3);
  REQUIRE(batch.images.size() == 3 * 4 * 4 * 3);
  CHECK(batch.images[48] == 10);
  CHECK(tokenizer().decode(batch.text.text(0), true) == "what is it");
  REQUIRE(batch.answers.count() == 5);
  CHECK(tokenizer().decode(batch.answers.text(0)) == "[CLS] a b [SEP]");
  CHECK(tokenizer().decode(batch.answers.text(2)) == "[CLS] yes [SEP]");
  CHECK(batch.answer_counts == std::vector<std::int32_t>{2, 1, 2});
  REQUIRE(batch.weights.size() == 5);
  CHECK(batch.weights[1] == doctest::Approx(2 / 3.0));
  CHECK(batch.indices == std::vector<std::int64_t>{0, 1, 2});
}

TEST_CASE("vqa: the same batches whatever the workers") {
  const TemporaryFolder folder;
  write_pictures(folder, 7);
  std::string text;
  for (int i = 0; i < 7; ++i)
    text += (i ? ",{" : "[{") + ("\"image\": \"" + std::to_string(i)) +
            ".png\", \"question\": \"q\", \"answer\": [\"a\", \"b\"]}";
  const auto set = std::make_shared<VqaSet>(folder.write("q.json", text + "]"));
  const auto run = [&](int workers) {
    VqaLoader loader(set, tokenizer(), TrainTransform{.size = 6}, options(3, workers));
    std::vector<std::tuple<std::vector<std::uint8_t>, std::vector<std::int64_t>>> out;
    for (int i = 0; i < 9; ++i) {
      const VqaBatch& b = loader.next();
      out.emplace_back(b.images, b.indices);
    }
    return out;
  };
  const auto expected = run(0);
  CHECK(run(1) == expected);
  CHECK(run(3) == expected);
}

TEST_CASE("vqa: evaluation goes through all records and, if strict, takes no wrong one") {
  const TemporaryFolder folder;
  write_pictures(folder, 2);
  const auto make = [&](const char* text, bool answers_required) {
    auto set = std::make_shared<VqaSet>(folder.write("q.json", text));
    LoaderOptions o = options(8);
    o.max_bad_share = 0;
    return std::make_unique<VqaLoader>(set, tokenizer(), EvalTransform{4},
                                       albef::evaluation_options(o), answers_required);
  };
  const char* unanswered = R"([{"image": "1.png", "question": "a"},
                               {"image": "0.png", "question": "a b c", "answer": "x"}])";
  const auto loader = make(unanswered, false);
  CHECK(loader->batches_per_epoch() == 1);
  const VqaBatch& batch = loader->next();
  CHECK(batch.size == 2);
  CHECK(batch.answer_counts == std::vector<std::int32_t>{0, 1});
  CHECK(batch.images[0] == 10);

  const auto required = make(unanswered, true);
  CHECK_CONTAINS(error_of([&] { required->next(); }),
                 "q.json: record 0 (1.png): field 'answer' is missing");
  const auto missing = make(R"([{"image": "9.png", "question": "a", "answer": "x"}])", true);
  const auto message = error_of([&] { missing->next(); });
  CHECK_CONTAINS(message, "q.json: record 0 (9.png): cannot open");
  const auto silent = make(R"([{"image": "1.png", "question": "??", "answer": "x"}])", true);
  CHECK_CONTAINS(error_of([&] { silent->next(); }), "field 'question' is empty after clean-up");
}

TEST_CASE("answers: a list of different answers; one that is missing is named") {
  const TemporaryFolder folder;
  const AnswerList list(folder.write("a.json", R"(["yes", "no", "a b"])"));
  REQUIRE(list.size() == 3);
  CHECK(list[2] == "a b");
  CHECK(list.find("no") == 1);
  CHECK(!list.find("maybe"));
  const auto tokens = list.encode(tokenizer());
  REQUIRE(tokens.count() == 3);
  CHECK(tokenizer().decode(tokens.text(2)) == "[CLS] a b [SEP]");

  const auto fails = [&](const char* text) {
    const auto path = folder.write("b.json", text);
    const auto message = error_of([&] { AnswerList{path}; });
    CHECK_CONTAINS(message, path);
    return message;
  };
  CHECK_CONTAINS(fails(R"(["a", 3])"), "entry 1 is number");
  CHECK_CONTAINS(fails(R"(["a", "b", "a"])"), "entry 2, 'a', repeats entry 0");
  CHECK_CONTAINS(fails("[]"), "is empty");
  CHECK_CONTAINS(fails("[\"a\""), "line 1");

  const VqaSet set(folder.write("q.json", R"([
    {"image": "a.png", "question": "q", "answer": ["maybe", "no"]},
    {"image": "b.png", "question": "q"},
    {"image": "c.png", "question": "q", "answer": "mauve"}])"));
  CHECK_CONTAINS(
      error_of([&] { set.check_answers(list); }),
      "q.json: record 2 (c.png): field 'answer': 'mauve' is not among the 3 answers of ");
}

TEST_CASE("vqa: easy-VQA as it comes with the repository") {
  const std::string folder = ALBEF_TEST_DATA "/../examples/data/easyvqa/";
  const auto set = std::make_shared<VqaSet>(
      folder + "easyvqa-test.json.gz",
      albef::AnnotationOptions{.strict = true,
                               .images = albef::open_images(folder + "easyvqa-test.tar.gz")});
  CHECK(set->size() == 9673);
  CHECK((*set)[0].question == "what is the red shape?");
  CHECK((*set)[0].answers == Strings{"triangle"});
  const AnswerList answers(folder + "answer_list.json");
  CHECK(answers.size() == 13);
  CHECK_NOTHROW(set->check_answers(answers));
  VqaLoader loader(set, tokenizer(), EvalTransform{8}, albef::evaluation_options(options(500)));
  const VqaBatch& batch = loader.next();
  CHECK(batch.size == 500);
  CHECK(batch.answers.count() == 500);
  CHECK(loader.batches_per_epoch() == 20);
}

TEST_CASE("statements: labels become numbers, unknown ones are named") {
  const TemporaryFolder folder;
  const StatementSet pairs(folder.write("n.json", R"([
    {"images": ["l.png", "r.png"], "sentence": "s", "label": "True", "uid": 3},
    {"images": ["l.png", "r.png"], "sentence": "s", "label": "false"},
    {"images": ["l.png", "r.png"], "sentence": "s", "label": true},
    {"images": ["l.png"], "sentence": "s", "label": true},
    {"images": ["l.png", "r.png"], "sentence": "s", "label": "maybe"},
    {"images": ["l.png", "r.png"], "label": "True"}])"),
                           albef::reasoning_format());
  REQUIRE(pairs.size() == 6);
  CHECK(pairs[0].label == 1);
  CHECK(pairs[0].key == "l.png, r.png");
  CHECK(pairs[0].fields.size() == 1);
  CHECK(pairs[1].label == 0);
  CHECK(pairs[2].label == 1);
  CHECK(pairs[3].error == "field 'images' has 1 names, expected 2");
  CHECK(pairs[4].error == "field 'label' is 'maybe', expected one of 'False', 'True'");
  CHECK(pairs[5].error == "field 'sentence' is missing");
  CHECK_CONTAINS(pairs.describe(4), "n.json: record 4 (l.png, r.png)");

  const auto path = folder.write("v.json", R"([
    {"image": "123", "sentence": "s", "label": "entailment"},
    {"image": 45, "sentence": "s", "label": "neutral"},
    {"image": "a.b.png", "sentence": "s", "label": "contradiction"},
    {"image": "1", "sentence": "s", "label": "-"},
    {"image": "IMG_1.JPG", "sentence": "s", "label": "neutral"}])");
  const StatementSet entailment(path, albef::entailment_format());
  CHECK(entailment[0].label == 2);
  CHECK(entailment[0].images == Strings{"123.jpg"});
  CHECK(entailment[1].label == 1);
  CHECK(entailment[1].images == Strings{"45.jpg"});
  CHECK(entailment[2].label == 0);
  CHECK(entailment[2].images == Strings{"a.b.png"});
  CHECK(entailment[4].images == Strings{"IMG_1.JPG"});
  CHECK_CONTAINS(
      error_of([&] { StatementSet(path, albef::entailment_format(), {.strict = true}); }),
      path + ": record 3 (1.jpg): field 'label' is '-'");
}

TEST_CASE("statements: a batch has all first pictures, then all second ones") {
  const TemporaryFolder folder;
  write_pictures(folder, 4);
  const auto set = std::make_shared<StatementSet>(folder.write("n.json", R"([
    {"images": ["0.png", "3.png"], "sentence": "a, b", "label": "True"},
    {"images": ["1.png", "2.png"], "sentence": "c", "label": "False"}])"),
                                                  albef::reasoning_format());
  LoaderOptions o = albef::evaluation_options(options(2));
  StatementLoader loader(set, tokenizer(), EvalTransform{4}, o);
  const ClassBatch& batch = loader.next();
  REQUIRE(batch.images.size() == 4 * 48);
  std::vector<int> levels;
  for (const std::int32_t i : batch.image_of)
    levels.push_back(batch.images[48 * static_cast<std::size_t>(i)]);
  CHECK(levels == std::vector<int>{0, 10, 30, 20});
  CHECK(batch.labels == std::vector<std::int32_t>{1, 0});
  CHECK(tokenizer().decode(batch.text.text(0), true) == "a b");
}

TEST_CASE("tasks: records about one picture share it, and come together if asked to") {
  const TemporaryFolder folder;
  write_pictures(folder, 5);
  std::string questions = "[", statements = "[";
  for (int i = 0; i < 20; ++i) {
    const std::string comma = i ? "," : "", picture = "\"" + std::to_string(i % 5) + ".png\"";
    questions += comma + "{\"image\": " + picture + ", \"question\": \"n " + std::to_string(i) +
                 "\", \"answer\": \"x\"}";
    statements += comma + "{\"images\": [" + picture + ", \"0.png\"], \"sentence\": \"n " +
                  std::to_string(i) + "\", \"label\": true}";
  }
  LoaderOptions o = options(10);
  o.by_picture = true;
  const auto vqa = std::make_shared<VqaSet>(folder.write("q.json", questions + "]"));
  VqaLoader loader(vqa, tokenizer(), plain, o);
  std::vector<std::vector<std::int64_t>> orders;
  for (int n = 0; n < 4; ++n) {
    const VqaBatch& batch = loader.next();
    REQUIRE(batch.image_of.size() == 10);
    CHECK(batch.images.size() == batch.image_ids.size() * 48);
    CHECK(batch.image_ids.size() == 3);  // two whole groups of four and half of one
    for (std::size_t i = 0; i < 10; ++i) {
      const auto place = static_cast<std::size_t>(batch.image_of[i]);
      CHECK(batch.images[48 * place] == 10 * (batch.indices[i] % 5));
      if (i > 0 && place != static_cast<std::size_t>(batch.image_of[i - 1]))
        CHECK(batch.image_of[i] == batch.image_of[i - 1] + 1);  // one picture after the other
    }
    orders.push_back(batch.indices);
  }
  CHECK(orders[0] != orders[2]);  // another order in the next epoch
  orders[0].insert(orders[0].end(), orders[1].begin(), orders[1].end());
  std::sort(orders[0].begin(), orders[0].end());
  for (std::size_t i = 0; i < 20; ++i) CHECK(orders[0][i] == static_cast<std::int64_t>(i));

  const auto pairs = std::make_shared<StatementSet>(folder.write("n.json", statements + "]"),
                                                    albef::reasoning_format());
  StatementLoader pair_loader(pairs, tokenizer(), EvalTransform{4},
                              albef::evaluation_options(options(10)));
  const ClassBatch& batch = pair_loader.next();
  CHECK(batch.images.size() == 5 * 48);
  REQUIRE(batch.image_of.size() == 20);
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(batch.image_of[i] == static_cast<std::int32_t>(i % 5));
    CHECK(batch.image_of[10 + i] == 0);
  }
}

TEST_CASE("statements: in an evaluation an unusable record is left out, its batch is smaller") {
  const TemporaryFolder folder;
  write_pictures(folder, 3);
  std::string text = "[";
  for (int i = 0; i < 11; ++i) {
    const bool bad = i == 1 || (i >= 4 && i < 8) || i == 10;
    text += (i ? ",{\"images\": [\"" : "{\"images\": [\"") + std::to_string(i % 3) + ".png\", \"" +
            (bad ? "missing" : std::to_string((i + 1) % 3)) + ".png\"], \"sentence\": \"n " +
            std::to_string(i) + "\", \"label\": " + (i % 2 ? "true" : "false") + "}";
  }
  const auto set =
      std::make_shared<StatementSet>(folder.write("n.json", text + "]"), albef::reasoning_format());
  for (const int workers : {0, 2}) {
    LoaderOptions o = options(4);
    o.workers = workers;
    std::vector<std::string> told;
    o.on_bad_record = [&](const std::string& message) { told.push_back(message); };
    o = albef::evaluation_options(o);
    o.max_bad_share = 0.6;
    StatementLoader loader(set, tokenizer(), EvalTransform{4}, o);
    CHECK(loader.batches_per_epoch() == 3);
    for (int epoch = 0; epoch < 2; ++epoch) {  // the same in every epoch
      std::vector<std::int64_t> seen;
      albef::for_each_batch(loader, [&](const ClassBatch& batch) {
        const auto size = static_cast<std::size_t>(batch.size);
        REQUIRE(batch.image_of.size() == 2 * size);
        REQUIRE(batch.labels.size() == size);
        REQUIRE(batch.indices.size() == size);
        for (std::size_t row = 0; row < size; ++row) {
          const auto index = batch.indices[row];
          const auto level = [&](std::size_t at) {
            return batch.images[48 * static_cast<std::size_t>(batch.image_of[at])];
          };
          CHECK(level(row) == 10 * (index % 3));
          CHECK(level(size + row) == 10 * ((index + 1) % 3));
          CHECK(batch.labels[row] == index % 2);
          CHECK(tokenizer().decode(batch.text.text(static_cast<int>(row)), true) ==
                "n " + std::to_string(index));
        }
        seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
      });
      CHECK(seen == std::vector<std::int64_t>{0, 2, 3, 8, 9});
    }
    CHECK(loader.bad_records() == 6);
    CHECK(told.size() == 6);
    o.max_bad_share = 0.5;
    StatementLoader half(set, tokenizer(), EvalTransform{4}, o);
    CHECK_CONTAINS(error_of([&] { albef::for_each_batch(half, [](const ClassBatch&) {}); }),
                   "6 unusable records of 11, more than the 5 that a share of 0.5 allows");
    o.max_bad_share = 0;
    StatementLoader strict(set, tokenizer(), EvalTransform{4}, o);
    CHECK_CONTAINS(error_of([&] { strict.next(); }), "an unusable record: ");
  }
}

TEST_CASE("statements: an unusable record is replaced and the batch keeps its order") {
  const TemporaryFolder folder;
  write_pictures(folder, 3);
  std::string text = "[";
  for (int i = 0; i < 12; ++i) {
    const std::string second = i == 5 ? "missing" : std::to_string((i + 1) % 3);
    text += (i ? ",{\"images\": [\"" : "{\"images\": [\"") + std::to_string(i % 3) + ".png\", \"" +
            second + ".png\"], \"sentence\": \"n " + std::to_string(i) +
            "\", \"label\": " + (i % 2 ? "true" : "false") + "}";
  }
  const auto set =
      std::make_shared<StatementSet>(folder.write("n.json", text + "]"), albef::reasoning_format());
  LoaderOptions o = options(4);
  o.max_bad_share = 0.2;
  StatementLoader loader(set, tokenizer(), plain, o);
  for (int n = 0; n < 6; ++n) {
    const ClassBatch& batch = loader.next();
    REQUIRE(batch.labels.size() == 4);
    REQUIRE(batch.text.count() == 4);
    for (std::size_t i = 0; i < 4; ++i) {
      const auto index = batch.indices[i];
      CHECK(index != 5);
      CHECK(batch.labels[i] == index % 2);
      CHECK(tokenizer().decode(batch.text.text(static_cast<int>(i)), true) ==
            "n " + std::to_string(index));
      const auto level = [&](std::size_t at) {
        return batch.images[48 * static_cast<std::size_t>(batch.image_of[at])];
      };
      CHECK(level(i) == 10 * (index % 3));
      CHECK(level(4 + i) == 10 * ((index + 1) % 3));
    }
  }
  CHECK(loader.bad_records() == 1);
}

TEST_CASE("grounding: an expression's object, its picture's size and the boxes to choose from") {
  const TemporaryFolder folder;
  const auto boxes = folder.write("i.json", R"({"images": [{"id": 8, "width": 100, "height": 50}],
    "annotations": [{"id": 1, "image_id": 8, "bbox": [10, 5, 20.5, 30], "segmentation": [[1]]}]})");
  const auto refs = folder.write("r.json", R"([
    {"ref_id": 0, "ann_id": 1, "image_id": 8, "split": "val"}])");
  const auto dets = folder.write("d.json", R"({"8": [[0, 0, 100.5, 50, 0.9], [1, 2, 3, 4]],
                                               "9": [[0, 0, 500, 500]]})");
  const albef::GroundingTargets targets(refs, boxes, dets);
  REQUIRE(targets.size() == 1);
  const auto& target = targets["0"];
  CHECK(target.box == albef::RealBox{10, 5, 20.5, 30});
  CHECK(target.width == 100);
  CHECK(target.height == 50);
  CHECK(target.split == "val");
  REQUIRE(target.candidates.size() == 2);
  CHECK(target.candidates[0] == albef::RealBox{0, 0, 100, 50});  // rounding cut off
  CHECK(target.candidates[1] == albef::RealBox{1, 2, 3, 4});

  write_pictures(folder, 1);
  const auto good = albef::grounding_expressions({folder.write("g.json", R"([
    {"image": "0.png", "text": "The Left, one!", "ref_id": 0}])")});
  albef::BadRecords strict(0), bad(0.5, nullptr);
  CHECK(albef::expression_refs(*good, targets, strict) == Strings{"0"});
  albef::Loader loader(good, tokenizer(), EvalTransform{4}, albef::evaluation_options(options(4)));
  CHECK(tokenizer().decode(loader.next().text.text(0), true) == "the left one");

  const auto stray = albef::grounding_expressions({folder.write("h.json", R"([
    {"image": "0.png", "text": "t", "ref_id": 0}, {"image": "0.png", "text": "t", "ref_id": 5}])")});
  CHECK(albef::expression_refs(*stray, targets, bad) == Strings{"0", ""});
  CHECK(bad.has(1));
  CHECK_CONTAINS(error_of([&] { albef::expression_refs(*stray, targets, strict); }),
                 "h.json: record 1 (0.png): field 'ref_id': '5' is not in '");
  const auto without = albef::grounding_expressions({folder.write("k.json", R"([
    {"image": "0.png", "text": "t"}])")});
  CHECK_CONTAINS(error_of([&] { albef::expression_refs(*without, targets, strict); }),
                 "k.json: record 0 (0.png): field 'ref_id' is missing");
}

}  // namespace tasks_test
