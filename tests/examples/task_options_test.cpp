// What the programs of the downstream tasks share: defaults, vocabularies, the best epoch.
#include "common/task_options.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "../data/data_files.hpp"
#include "albef/checkpoint/safetensors.hpp"
#include "common/best_epoch.hpp"
#include "common/train_options.hpp"

using namespace examples;
using data_test::contains;
using data_test::error_of;
using data_test::TemporaryFolder;

namespace {

const RunDefaults tiny{.epochs = 20, .batch_size = 64, .alpha_epochs = 10, .lr = 1e-3};
const RunDefaults paper{.epochs = 5, .alpha_epochs = 0, .max_text_length = 25};

}  // namespace

TEST_CASE("what is not set takes the configuration's default") {
  TaskArguments first, second;
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

  TaskArguments third;
  third.max_text_length = 33;
  CHECK(error_of([&] { third.complete<albef::Tiny>(tiny, paper); }) ==
        "--max-text-length 33: expected 2 to 32, the model's positions");
}

TEST_CASE("a given vocabulary gets the words it cannot spell, at its end and while there is room") {
  const TemporaryFolder folder;
  TaskArguments args;
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

TEST_CASE("the best epoch is found again after an interruption, and not in another run") {
  const TemporaryFolder folder;
  const std::string place = folder / "";
  const auto results = [&] { return Json::parse(albef::read_file(folder / "results.json")); };
  {
    BestEpoch best(place, 0, true);
    CHECK(best.text().empty());
    best.add(1, 10, {0.5, {{"accuracy", 0.5}}});
    best.add(2, 20, {0.7, {{"accuracy", 0.7}}});
    CHECK(!best.is_best(0.7));
    best.add(3, 30, {0.7, {{"accuracy", 0.6}}});
    CHECK(best.text() == "best epoch 2: 70.0 %");
    CHECK(results() == Json{{"epoch", 2}, {"accuracy", 0.7}});
  }
  {
    BestEpoch best(place, 21, true);  // the third epoch is trained again
    CHECK(best.text() == "best epoch 2: 70.0 %");
    best.add(3, 30, {0.6, {}});
    CHECK(best.is_best(0.8));
    best.add(4, 40, {0.8, {{"accuracy", 0.8}}});
    CHECK(results()["epoch"] == 4);
  }
  albef::write_file(folder / "checkpoint_best.safetensors", "old");
  BestEpoch none(place, 0, false);
  CHECK(none.text().empty());
  for (const char* name : {"results.json", "validation.jsonl", "checkpoint_best.safetensors"})
    CHECK(!std::filesystem::exists(folder / name));
}

TEST_CASE("scores of groups") {
  GroupScores groups;
  CHECK(groups.empty());
  groups.add("count", 1);
  groups.add("count", 0);
  groups.add("color", 0.3);
  const Json json = groups.json();
  CHECK(json["count"] == Json{{"accuracy", 0.5}, {"count", 2}});
  CHECK(json["color"]["accuracy"] == 0.3);
}

TEST_CASE("a batch about the user's pictures has one row per text and each picture once") {
  const TemporaryFolder folder;
  const auto file = [&](const char* name, std::uint8_t level) {
    return folder.write(name, data_test::as_text(data_test::png(level)));
  };
  const auto tokenizer = albef::WordPiece::from_vocab(
      {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"}, "test");
  albef::TaskBatch batch;
  fill_batch(batch, {file("1.png", 10), file("2.png", 20)}, {"a", "b a b"}, 4, tokenizer, 3);
  CHECK(batch.size == 2);
  CHECK(batch.image_size == 4);
  REQUIRE(batch.images.size() == 2 * 4 * 4 * 3);
  CHECK(batch.images[0] == 10);
  CHECK(batch.images[47] == 10);
  CHECK(batch.images[48] == 20);
  CHECK(batch.images[95] == 20);
  CHECK(batch.image_of == std::vector<std::int32_t>{0, 0, 1, 1});
  CHECK(batch.text.ids == std::vector<std::int32_t>{2, 5, 2, 6, 5});
}

TEST_CASE("a checkpoint brings its configuration, or is taken as one of another image size") {
  const auto chosen = [](const std::string& name) {
    return with_config(
        "run/checkpoint.safetensors", albef::config_info<albef::Tiny>(), name,
        []<class C>() { return std::string(config_name<C>); },
        ConfigList<albef::Tiny, albef::Tiny96, albef::Small>{});
  };
  CHECK(chosen("") == "tiny");
  CHECK(chosen("tiny96") == "tiny96");
  CHECK_CONTAINS(error_of([&] { chosen("small"); }),
                 "run/checkpoint.safetensors: checkpoint of another configuration: config.");
}

TEST_CASE("pre-training from a checkpoint, or going on with one, keeps its vocabulary") {
  const TemporaryFolder folder;
  const auto captions =
      folder.write("captions.json", R"([{"image": "a.png", "caption": "a dog"}])");
  const std::string words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat";
  const std::uint8_t byte = 0;
  const auto save = [&](const std::string& name, const albef::CheckpointInfo& info) {
    albef::write_safetensors(folder / name, {{"x", albef::DType::U8, {1}, &byte}}, info);
    return folder / name;
  };
  TrainArguments args;
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
