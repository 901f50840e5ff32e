// Settings of runs: defaults by task and model, vocabularies, lists of answers.
#include "albef/tasks/settings.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "../data/data_files.hpp"
#include "albef/checkpoint/safetensors.hpp"
#include "albef/tasks/pair_settings.hpp"
#include "albef/tasks/statement_settings.hpp"
#include "albef/tasks/vqa_settings.hpp"

namespace settings_test {

using albef::CheckpointInfo;
using albef::Recipe;
using albef::TaskSettings;
using data_test::contains;
using data_test::error_of;
using data_test::TemporaryFolder;

namespace {

const Recipe tiny{.epochs = 20, .batch_size = 64, .alpha_epochs = 10, .lr = 1e-3};
const Recipe paper{.epochs = 5, .alpha_epochs = 0, .max_text_length = 25};

}  // namespace

TEST_CASE("what is not set takes the configuration's default") {
  TaskSettings first, second;
  first.complete<albef::Tiny>(tiny, paper);
  CHECK(first.train.epochs == 20);
  CHECK(first.train.lr == 1e-3);
  CHECK(first.max_text_length == 32);
  CHECK(first.flip == 0);
  CHECK(first.distills());

  second.train.lr = 5e-7;
  second.no_distill = true;
  second.complete<albef::Base>(tiny, paper);
  CHECK(second.train.epochs == 5);
  CHECK(second.train.alpha_epochs == 0);
  CHECK(second.train.lr == 5e-7);
  CHECK(second.train.min_lr == 5e-7);  // not above the peak
  CHECK(second.max_text_length == 25);
  CHECK(second.flip == 0.5f);
  CHECK(!second.distills());

  TaskSettings third;
  third.max_text_length = 33;
  CHECK(error_of([&] { third.complete<albef::Tiny>(tiny, paper); }) ==
        "--max-text-length 33: expected 2 to 32, the model's positions");
}

TEST_CASE("a set is trained on in any order and validated on in order, but for unusable ones") {
  TaskSettings settings;
  settings.by_picture = true;
  settings.complete<albef::Tiny>(tiny, paper);
  const auto training = settings.loader();
  const auto validation = albef::whole_set_options(settings.validation_loader(), 17);
  CHECK(training.shuffle);
  CHECK(training.by_picture);
  CHECK(training.batch_size == 64);
  CHECK(training.encode.max_length == 32);
  CHECK(training.mask_probability == 0);
  CHECK(!validation.shuffle);
  CHECK(!validation.drop_last);
  CHECK(!validation.replace_bad);
  CHECK(validation.max_bad_share == 0.5);
  CHECK(validation.encode.max_length == 17);
  settings.max_bad_share = 0;
  CHECK(albef::whole_set_options(settings.validation_loader(), 17).max_bad_share == 0);
}

TEST_CASE("a given vocabulary gets the words it cannot spell, at its end and while there is room") {
  const TemporaryFolder folder;
  TaskSettings args;
  args.vocab = folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\n##s\n");
  const std::vector<std::string> texts{"cats 7", "cat 12 7", "7 cats"};
  const auto all = args.tokenizer(texts, 20);
  CHECK(all.size() == 9);
  CHECK(all.token(5) == "cat");
  CHECK(all.token(7) == "7");  // the most frequent first
  CHECK(all.token(8) == "12");
  CHECK(all.ids("cats 12") == std::vector<std::int32_t>{5, 6, 8});
  CHECK(args.tokenizer(texts, 8).size() == 8);
  CHECK(args.tokenizer({"cats"}, 8).size() == 7);
  CHECK(contains(error_of([&] { args.tokenizer(texts, 6); }),
                 "vocab.txt: 7 tokens, the model has room for 6"));
  args.vocab.clear();
  CHECK(args.tokenizer(texts, 100).contains("12"));
}

TEST_CASE("pre-training from a checkpoint, or going on with one, keeps its vocabulary") {
  const TemporaryFolder folder;
  const auto captions =
      folder.write("captions.json", R"([{"image": "a.png", "caption": "a dog"}])");
  const std::string words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat";
  const std::uint8_t byte = 0;
  const auto save = [&](const std::string& name, const CheckpointInfo& info) {
    albef::write_safetensors(folder / name, {{"x", albef::DType::U8, {1}, &byte}}, info);
    return folder / name;
  };
  albef::PairSettings args;
  args.data = {captions};
  args.vocab_size = 20;
  const auto source = args.source();
  CHECK(args.caption_tokenizer(*source, 20).contains("dog"));
  args.init = save("named.safetensors", {{"vocab", words}});
  CHECK(args.caption_tokenizer(*source, 20).tokens().back() == "cat");
  CHECK_CONTAINS(error_of([&] { args.caption_tokenizer(*source, 3); }),
                 "named.safetensors: 6 tokens");
  args.vocab = folder.write("more.txt", words + "\nowl\n");
  CHECK(args.caption_tokenizer(*source, 20).tokens().back() == "owl");
  args.vocab = folder.write("fewer.txt", words.substr(0, words.rfind('\n')));
  CHECK(args.caption_tokenizer(*source, 20).size() == 5);
  args.vocab = folder.write("other.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nowl\ncat\n");
  CHECK_CONTAINS(error_of([&] { args.caption_tokenizer(*source, 20); }),
                 "other.txt: token 5 is 'owl', that of " + args.init + " is 'cat'");
  args.vocab.clear();
  args.init = save("weights.safetensors", {});  // e.g. of an image encoder alone
  CHECK(args.caption_tokenizer(*source, 20).contains("dog"));
  save("checkpoint.safetensors", {{"vocab", words}});
  args.resume = true;
  args.train.output = folder / "";
  CHECK(args.caption_tokenizer(*source, 20).tokens().back() == "cat");
}

TEST_CASE("the answers to choose from: of a file, else of the training data") {
  const TemporaryFolder folder;
  albef::VqaSettings settings;
  settings.data = {folder.write("train.json", R"([
    {"image": "a.png", "question": "how many?", "answer": ["two", "two", "three"]},
    {"image": "a.png", "question": "What Color?", "answer": "red"},
    {"image": "b.png", "question": "which?", "answer": ["three", "a"]}])")};
  const auto set = settings.questions();
  const auto own = settings.answer_list(*set);
  CHECK(own.answers() == std::vector<std::string>{"three", "a", "red", "two"});
  const auto tokenizer = settings.question_tokenizer(*set, own, 100);
  for (const char* word : {"how", "many", "color", "red", "two"}) CHECK(tokenizer.contains(word));
  settings.answers.file = folder.write("list.json", R"(["red", "blue"])");
  const auto list = settings.answer_list(*set);
  CHECK(list.answers() == std::vector<std::string>{"red", "blue"});

  CHECK(settings.validation_questions(list) == nullptr);
  settings.val = {folder.write("none.json", R"([{"image": "a.png", "question": "how many?"}])")};
  CHECK_CONTAINS(error_of([&] { settings.validation_questions(list); }),
                 "none.json: field 'answer' is missing everywhere");
  settings.val = settings.data;
  CHECK_CONTAINS(error_of([&] { settings.validation_questions(list); }),
                 "'two' is not among the 2 answers");
  CHECK_CONTAINS(error_of([&] { settings.validation_questions(list); }),
                 "; --allow-unlisted counts such questions as wrong");
  settings.answers.allow_unlisted = true;
  CHECK(settings.validation_questions(list)->size() == 3);

  const auto no_answers =
      albef::VqaSet(folder.write("asked.json", R"([{"image": "a.png", "question": "how?"}])"));
  CHECK_CONTAINS(error_of([&] { albef::answers_of(no_answers); }),
                 "field 'answer' is missing, here and everywhere");
}

TEST_CASE("a checkpoint keeps its answers") {
  const albef::AnswerList list(std::vector<std::string>{"a man", "two"});
  const auto info = albef::answer_info(list);
  CHECK(albef::answers_in("c", info).answers() == list.answers());
  CHECK(error_of([&] { albef::answers_in("c", {}); }) == "c: no entry 'answers'");
  CHECK_CONTAINS(error_of([&] {
                   albef::answers_in("c", {{"answers", "{"}});
                 }),
                 "c: entry 'answers' is not a list of answers: ");

  const auto tokenizer =
      albef::WordPiece::from_vocab({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "two"}, "test");
  CHECK(albef::equal_answers(list, tokenizer).empty());
  CHECK(albef::equal_answers(albef::AnswerList({"blue", "two", "red", "Two"}, "list"), tokenizer) ==
        "list: the vocabulary makes 2 answers equal to others, e.g. 'blue' and 'red'");
}

TEST_CASE("statements to train on, and to validate on where there are some") {
  const TemporaryFolder folder;
  albef::StatementSettings settings;
  settings.data = {
      folder.write("train.json",
                   R"([{"image": "a", "sentence": "A dog runs.", "label": "entailment"},
          {"image": "b", "sentence": "...", "label": "neutral"}])")};
  const auto set = settings.statements(albef::entailment_format());
  CHECK(set->size() == 2);
  CHECK(albef::clean_sentences(*set) == std::vector<std::string>{"a dog runs"});
  CHECK(settings.validation_statements(albef::entailment_format()) == nullptr);
  settings.val = settings.data;
  CHECK(settings.validation_statements(albef::entailment_format())->size() == 2);
  CHECK_THROWS_AS(settings.validation_statements(albef::reasoning_format()), albef::Error);
}

}  // namespace settings_test
