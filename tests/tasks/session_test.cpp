// Trained models in use: loading, encoding, evaluation and search.
#include <doctest/doctest.h>

#include <algorithm>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "../train/nano_training.hpp"
#include "albef/checkpoint/npy.hpp"
#include "albef/core/file.hpp"
#include "albef/models/gradcam.hpp"
#include "albef/tasks/features.hpp"
#include "albef/tasks/retrieval.hpp"
#include "albef/tasks/search.hpp"
#include "albef/tasks/ve.hpp"
#include "albef/train/session.hpp"

namespace session_test {

using albef::CheckpointInfo;
using albef::Error;
using train_test::Cpu;
using train_test::Nano;
using train_test::Plane;
using Model = albef::Session<albef::Albef<Nano>>;

namespace {

std::string vocabulary() {
  std::string text;
  for (int i = 0; i < train_test::tokenizer().size(); ++i)
    text += train_test::tokenizer().token(i) + '\n';
  return text;
}

/// A checkpoint with momentum weights (all 0.5), queues and metadata, as a run leaves it.
void save(const std::string& path, const CheckpointInfo& extra) {
  Cpu cpu(1);
  train_test::Training task(cpu, {.seed = 7});
  std::fill_n(task.store().data(Plane::ema), task.store().size(), 0.5f);
  CheckpointInfo info = task.info();
  info.insert(extra.begin(), extra.end());
  task.checkpoint().save(path, info);
}

}  // namespace

TEST_CASE("a model is loaded with its vocabulary, text length and the chosen weights") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  save(path, {{"vocab", vocabulary()}, {"max_text_length", "9"}});
  Cpu cpu(1);
  Model online(cpu, path), momentum(cpu, path, {.momentum = true});
  CHECK(online.tokenizer().size() == train_test::tokenizer().size());
  CHECK(online.tokenizer().id("x") == train_test::tokenizer().id("x"));
  CHECK(online.encoding().max_length == 9);
  CHECK(Model(cpu, path, {.max_text_length = 100}).encoding().max_length ==
        Nano::max_position_embeddings);

  const auto first = [](Model& m, const char* name) {
    return m.store().data(Plane::online)[m.store().find(name).offset];
  };
  CHECK(first(online, "vision_proj.weight") != 0.5f);
  CHECK(first(momentum, "vision_proj.weight") == 0.5f);
  CHECK(first(momentum, "temp") == first(online, "temp"));  // has no momentum twin
}

TEST_CASE("the model of a downstream task is loaded as well, and only that of its own checkpoint") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "ve.safetensors", pretrained = folder / "c.safetensors";
  Cpu cpu(1);
  albef::Training<albef::VisualEntailment<Nano>> task(cpu, {.seed = 7});
  std::fill_n(task.store().data(Plane::ema), task.store().size(), 0.5f);
  CheckpointInfo info = task.info();
  info["vocab"] = vocabulary();
  task.checkpoint().save(path, info);
  using Ve = albef::Session<albef::AlbefVe<Nano>>;
  Ve online(cpu, path), momentum(cpu, path, {.momentum = true});
  for (const auto& p : online.store().params()) {
    const float* v = online.store().data(Plane::online) + p.offset;
    CHECK(std::equal(v, v + p.size, task.store().data(Plane::online) + p.offset));
    CHECK(momentum.store().data(Plane::online)[p.offset] == 0.5f);
  }
  save(pretrained, {{"vocab", vocabulary()}});
  CHECK_THROWS_AS(Ve(cpu, pretrained), Error);
  CHECK_THROWS_AS(Model(cpu, path), Error);
}

TEST_CASE("checkpoints that cannot be used are refused") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  Cpu cpu(1);
  const auto message = [&](const CheckpointInfo& extra) {
    save(path, extra);
    try {
      Model model(cpu, path);
    } catch (const Error& error) { return std::string(error.what()); }
    return std::string();
  };
  const auto names = [](const std::string& text, const char* part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  names(message({}), "no vocabulary");
  names(message({{"vocab", "[PAD]\n[UNK]\n[CLS]\n[SEP]"}}), "[MASK]");
  names(message({{"vocab", vocabulary()}, {"max_text_length", "many"}}), "max_text_length");
  std::string large = vocabulary();
  for (int i = 0; i < Nano::vocab_size; ++i) large += "token" + std::to_string(i) + '\n';
  names(message({{"vocab", large}}), "the model 131");
  CHECK(message({{"vocab", vocabulary()}}).empty());
  CHECK_THROWS_AS(Model(cpu, folder / "missing.safetensors"), Error);

  CHECK_THROWS_AS(Model(cpu, path, {.vocab = folder / "missing.txt"}), Error);
  albef::write_file(folder / "other.txt", "[UNK]\n[PAD]\n[CLS]\n[SEP]\n[MASK]\n");
  CHECK_THROWS_AS(Model(cpu, path, {.vocab = folder / "other.txt"}), Error);
}

TEST_CASE("features and evaluation do not depend on the batches") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  save(path, {{"vocab", vocabulary()}});
  Cpu cpu(1);
  Model model(cpu, path);
  const auto source = train_test::pictures(7);
  const auto set = albef::retrieval_set(*source);

  const auto images = albef::image_features(model, *source, set.images, {.batch_size = 3});
  const auto texts = albef::text_features(model, set.texts, {.batch_size = 2});
  const auto result = albef::evaluate_retrieval(model, *source, set, 4, 0, {.workers = 0});
  CHECK(result.images == 7);
  CHECK(result.texts == 7);
  REQUIRE(images.size() == 7 * Nano::embed_dim);
  REQUIRE(texts.size() == 7 * Nano::embed_dim);
  for (std::size_t i = 0; i < 7; ++i)
    for (std::size_t t = 0; t < 7; ++t) {
      double dot = 0;
      for (std::size_t d = 0; d < Nano::embed_dim; ++d)
        dot += static_cast<double>(images[i * Nano::embed_dim + d]) *
               static_cast<double>(texts[t * Nano::embed_dim + d]);
      CHECK(static_cast<double>(result.similarities[i * 7 + t]) ==
            doctest::Approx(dot).epsilon(1e-4));
    }
  const auto ranked = [&](const std::vector<float>& scores) {
    return std::count_if(scores.begin(), scores.end(), [](float s) { return s != -100.0f; });
  };
  CHECK(ranked(result.itm_i2t) == 7 * 4);
  CHECK(ranked(result.itm_t2i) == 7 * 4);
  CHECK_THROWS_AS(albef::evaluate_retrieval(model, *source, set, 0), Error);
  CHECK_THROWS_AS(albef::evaluate_retrieval(model, *source, {}, 4), Error);
}

TEST_CASE(
    "a model in the middle of training is evaluated as its checkpoint, and trains on as if "
    "nobody had looked") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  Cpu cpu(1);
  const albef::TrainingOptions options{.seed = 7, .momentum = 0.9};
  train_test::Training looked_at(cpu, options), alone(cpu, options);
  auto loader = train_test::loader(4);
  const albef::EncodeOptions encoding{.max_length = 9, .add_sep = false};
  albef::Session model(looked_at, train_test::tokenizer(), encoding);
  const auto source = train_test::pictures(7);
  const auto set = albef::retrieval_set(*source);
  for (std::uint64_t number = 0; number < 3; ++number) {
    const albef::Step step{.number = number, .alpha = 0.4};
    const auto& batch = loader.next();
    albef::PassLosses losses;
    looked_at.accumulate(batch, step, losses);
    alone.accumulate(batch, step, losses);
    looked_at.update(1e-2);
    alone.update(1e-2);

    const auto result = albef::evaluate_retrieval(model, *source, set, 4);
    CheckpointInfo info = looked_at.info();
    info.insert({{"vocab", vocabulary()}, {"max_text_length", "9"}});
    looked_at.checkpoint().save(path, info);
    Model saved(cpu, path);
    const auto expected = albef::evaluate_retrieval(saved, *source, set, 4);
    CHECK(result.similarities == expected.similarities);
    CHECK(result.itm_i2t == expected.itm_i2t);

    auto& ctx = model.context();
    ctx.begin_step(0);
    const auto maps = albef::itm_attention(
        ctx, model.model,
        albef::upload_images<Nano>(ctx, std::span<const std::uint8_t>(batch.images)),
        albef::upload_tokens<Nano>(ctx, batch.text), Nano::fusion_layer);
    CHECK(maps.size() == 4);
    model.store().clear_gradients();
  }
  for (const Plane plane : {Plane::online, Plane::ema})
    CHECK(train_test::equal(looked_at, alone, plane));
}

TEST_CASE("recall of any two feature functions; by the model's own it is the evaluation's") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  save(path, {{"vocab", vocabulary()}});
  Cpu cpu(1);
  Model model(cpu, path);
  const auto source = train_test::pictures(7);
  const auto set = albef::retrieval_set(*source);
  const auto whole = albef::evaluate_retrieval(model, *source, set, 4);
  const auto alone = albef::retrieval_recall(model, *source, set);
  CHECK(alone.mean() == whole.itc.mean());
  const auto image = [](auto& ctx, const auto& images) {
    return Model::model.encode_image(ctx, images);
  };
  const auto narrow = [](auto& ctx, const albef::Tokens& tokens) {
    return albef::first(ctx, Model::model.text_encoder.bert.text(ctx, tokens));
  };
  CHECK_THROWS_WITH_AS(albef::retrieval_recall(model, *source, set, image, narrow),
                       "retrieval: features of pictures have 24 values, those of texts 48", Error);
}

TEST_CASE("a checkpoint keeps the tokenizer's options") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  const auto cased = albef::WordPiece::from_vocab(
      train_test::tokenizer().tokens(), "test",
      {.normalization = {.lowercase = false, .strip_accents = false}, .max_word_chars = 7});
  save(path, albef::tokenizer_info(cased, 9));
  Cpu cpu(1);
  const Model model(cpu, path);
  CHECK(model.encoding().max_length == 9);
  CHECK(model.tokenizer().options().max_word_chars == 7);
  for (const char* text : {"Ab", "ab", "abcdefgh", "\xc3\xa4"})
    CHECK(model.tokenizer().ids(text) == cased.ids(text));
  CHECK(model.tokenizer().ids("Ab") != train_test::tokenizer().ids("Ab"));
  train_test::tokenizer().save(folder / "vocab.txt");
  CHECK_THROWS_WITH_AS(Model(cpu, path, {.vocab = folder / "vocab.txt"}),
                       doctest::Contains("lower case is 'yes', that of "), Error);
}

TEST_CASE("a checkpoint keeps gaps, tokens with line breaks and added tokens") {
  auto tokens = train_test::tokenizer().tokens();
  for (const char* token : {"", "a\nb", "[DEC]", "[N]"}) tokens.emplace_back(token);
  albef::WordPieceOptions options{.normalization = {.clean_text = false}};
  options.added_tokens = {{{.content = "[MASK]"},
                           {.content = "[DEC]", .single_word = true, .outside_vocabulary = true},
                           {.content = "[N]", .normalized = true, .special = false}}};
  const auto tokenizer = albef::WordPiece::from_vocab(tokens, "test", options);
  auto info = albef::tokenizer_info(tokenizer, 9);
  const auto kept = albef::tokenizer_for("c.safetensors", info, "");
  CHECK(kept.tokens() == tokenizer.tokens());
  CHECK(kept.options() == tokenizer.options());

  const train_test::TemporaryFolder folder;
  const std::string path = folder / "tokenizer.json";
  albef::save_tokenizer_json(tokenizer, path);
  CHECK(albef::tokenizer_for("c.safetensors", info, path).options() == tokenizer.options());
  options.added_tokens->pop_back();
  albef::save_tokenizer_json(albef::WordPiece::from_vocab(tokens, "test", options), path);
  CHECK_THROWS_WITH_AS(albef::tokenizer_for("c.safetensors", info, path),
                       doctest::Contains("the added token '[N]'"), Error);
  info["tokenizer"] = "[1";
  CHECK_THROWS_WITH_AS(albef::tokenizer_for("c.safetensors", info, ""),
                       doctest::Contains("entry 'tokenizer'"), Error);
}

TEST_CASE("a search finds what an evaluation ranks first") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  save(path, {{"vocab", vocabulary()}});
  Cpu cpu(1);
  Model model(cpu, path);
  const auto source = train_test::pictures(6);
  const auto set = albef::retrieval_set(*source);
  const auto result = albef::evaluate_retrieval(model, *source, set, 3);

  auto pool = albef::retrieval_pool(model);
  albef::add_images(model, pool, *source, set.images);
  albef::add_texts(model, pool, set.texts);
  albef::add_texts(model, pool, std::vector<std::string>{set.texts[2]});
  albef::add_images(model, pool, *source, std::vector<std::uint32_t>{4});
  const auto same = [](const std::vector<albef::Answer>& got, std::span<const float> scores) {
    const auto expected = albef::best_answers(scores, 3);
    REQUIRE(got.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(got[i].index == expected[i].index);
      CHECK(got[i].score == doctest::Approx(expected[i].score).epsilon(1e-4));
    }
  };
  same(albef::search_images(pool, 6, 6, 3), std::span(result.itm_t2i).subspan(2 * 6, 6));
  same(albef::search_texts(pool, 6, 6, 3), std::span(result.itm_i2t).subspan(4 * 6, 6));
}

TEST_CASE("queries are answered as an evaluation ranks, and printed with names") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  save(path, {{"vocab", vocabulary()}});
  Cpu cpu(1);
  Model model(cpu, path);
  const auto source = train_test::pictures(6);
  const auto set = albef::retrieval_set(*source);
  const auto result = albef::evaluate_retrieval(model, *source, set, 4);
  std::vector<std::uint8_t> picture;
  source->read_image(4, picture);
  albef::write_file(folder / "q.png",
                    {reinterpret_cast<const char*>(picture.data()), picture.size()});

  const std::string files[] = {folder / "q.png"};
  std::istringstream lines("\nPIC  5, of x!\n");
  const auto queries =
      albef::search_queries(std::vector<std::string>{set.texts[2], "-"}, files, lines);
  REQUIRE(queries.texts == std::vector<std::string>{set.texts[2], "pic 5 of x"});
  const auto found = albef::search_data(model, *source, set, queries, {.top = 2, .k = 4});
  REQUIRE(found.by_text.size() == 2);
  REQUIRE(found.by_picture.size() == 1);
  const auto same = [&](const std::vector<albef::Answer>& got, std::span<const float> scores) {
    const auto expected = albef::best_answers(scores, 2);
    REQUIRE(got.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) CHECK(got[i].index == expected[i].index);
  };
  same(found.by_text[0], std::span(result.itm_t2i).subspan(2 * 6, 6));
  same(found.by_text[1], std::span(result.itm_t2i).subspan(5 * 6, 6));
  same(found.by_picture[0], std::span(result.itm_i2t).subspan(4 * 6, 6));
  // `top` counts for `k` as well.
  CHECK(albef::search_data(model, *source, set, queries, {.top = 5, .k = 1}).by_text[0].size() ==
        5);

  const std::string text = albef::search_text(*source, set, queries, found);
  const int first = found.by_text[0][0].index;
  CHECK(text.starts_with(set.texts[2] + "\n  1. match "));
  CHECK(text.find("  p" + std::to_string(first) + "  pic " + std::to_string(first)) !=
        std::string::npos);
  CHECK(text.find(files[0] + "\n  1. match ") != std::string::npos);
  CHECK(std::count(text.begin(), text.end(), '\n') == 3 * (1 + 2));

  const char* const nothing = "nothing to search for: neither a sentence nor a picture";
  CHECK_THROWS_WITH_AS(albef::search_data(model, *source, set, {}), nothing, Error);
  CHECK_THROWS_WITH_AS(albef::search_queries({}, {}, lines), nothing, Error);
  CHECK_THROWS_AS(albef::search_data(model, *source, set, queries, {.top = 0}), Error);
}

TEST_CASE("data sets are evaluated by name, with results as JSON") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  save(path, {{"vocab", vocabulary()}});
  Cpu cpu(1);
  Model model(cpu, path);
  const auto write = [&](const std::string& name, int count) {
    const auto source = train_test::pictures(count);
    auto list = nlohmann::json::array();
    for (std::size_t i = 0; i < source->size(); ++i) {
      const std::string file = source->record(i).key + ".png";
      std::vector<std::uint8_t> bytes;
      source->read_image(i, bytes);
      albef::write_file(folder / file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      list.push_back({{"image", file}, {"caption", source->record(i).captions.front()}});
    }
    albef::write_file(folder / name, list.dump());
  };
  write("a.json", 5);
  write("b=c.json", 7);
  const std::vector<std::string> data{"one=" + (folder / "a.json"), folder / "b=c.json"};
  std::vector<std::string> seen;
  std::string rows;
  const auto results = albef::evaluate_retrieval(
      model, data, {.k = 3, .similarity_weight = 2},
      [&](const std::string& name, const auto& source, const auto& found) {
        CHECK(source.size() == found.set.images.size());
        CHECK(found.images == static_cast<int>(source.size()));
        seen.push_back(name);
        rows += albef::retrieval_rows(name, found);
      });
  CHECK(seen == std::vector<std::string>{"one", "b=c"});
  const auto source = train_test::pictures(5);
  const auto alone = albef::evaluate_retrieval(model, *source, albef::retrieval_set(*source), 3, 2);
  REQUIRE(results.size() == 2);
  auto one = results.at("one"), expected = alone.json();
  one.erase("seconds"), expected.erase("seconds");
  CHECK(one == expected);
  CHECK(one.at("pool") == 5);
  CHECK(one.at("texts") == 5);
  CHECK(one.at("k") == 3);
  CHECK(one.at("similarity_weight") == 2);
  CHECK(one.at("itm").at("ir10") == alone.itm.ir10);
  CHECK(results.at("b=c").at("pool") == 7);
  CHECK(rows.starts_with("one                   5  ITC "));
  CHECK(std::count(rows.begin(), rows.end(), '\n') == 4);

  // Without a number of candidates that of the configuration; the same with nobody watching.
  CHECK(albef::evaluate_retrieval(model, std::span(data).first(1)).at("one").at("k") ==
        albef::candidates<Nano>(0));
  const std::vector<std::string> twice{data[0], "one=" + data[1]};
  CHECK_THROWS_WITH_AS(albef::evaluate_retrieval(model, twice),
                       doctest::Contains("two data sets are called 'one': "), Error);
}

TEST_CASE("pictures that cannot be read are left out of evaluations, searches and features") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  save(path, {{"vocab", vocabulary()}});
  Cpu cpu(1);
  Model model(cpu, path);
  const auto good = train_test::pictures(5);
  albef::MemorySource
      mixed;  // record 2 is damaged, 4 has no words: 0, 1, 3, 5, 6 are the good ones
  for (std::size_t i = 0, at = 0; i < 7; ++i) {
    std::vector<std::uint8_t> bytes;
    albef::Record record = good->record(i == 2 || i == 4 ? 0 : at);
    if (i == 4) record.captions = {"..."};
    if (i == 2) record.key = "damaged", record.captions = {"a", "b"};
    if (i != 2) good->read_image(i == 4 ? 0 : at, bytes);
    if (i != 2 && i != 4) ++at;
    record.image_id = static_cast<std::int64_t>(i);
    mixed.add(record, bytes);
  }
  std::vector<std::string> told;
  const auto note = [&](const std::string& message) { told.push_back(message); };
  const auto whole = albef::retrieval_set(*good);
  const auto set = albef::retrieval_set(mixed, albef::BadRecords(0.5, note));
  CHECK(set.images.size() == 6);
  const auto expected = albef::evaluate_retrieval(model, *good, whole, 3);
  for (const int workers : {0, 2}) {
    const auto result = albef::evaluate_retrieval(model, mixed, set, 3, 0, {2, workers});
    CHECK(result.images == 5);
    CHECK(result.texts == 5);
    CHECK(result.set.images == std::vector<std::uint32_t>{0, 1, 3, 5, 6});
    CHECK(result.set.texts == whole.texts);
    CHECK(result.itm.tr1 == expected.itm.tr1);
    CHECK(result.itc.ir5 == expected.itc.ir5);
    REQUIRE(result.similarities.size() == expected.similarities.size());
    for (std::size_t i = 0; i < expected.similarities.size(); ++i)
      CHECK(result.similarities[i] == doctest::Approx(expected.similarities[i]).epsilon(1e-4));
    const auto json = result.json();
    CHECK(json.at("records") == 7);
    CHECK(json.at("skipped") == 2);
    CHECK(json.at("skipped_texts") == 3);
    const std::string rows = albef::retrieval_rows("mixed", result);
    CHECK(rows.ends_with("  skipped 2 of 7 records (28.6 %), 3 texts\n"));
  }
  REQUIRE(told.size() == 3);  // the damaged one in each evaluation of the same set
  CHECK(told[0] == "record 4 (p0): the caption is empty after clean-up, expected words");
  CHECK(told[1].starts_with("record 2 (damaged): "));
  CHECK(albef::retrieval_recall(model, mixed, set).tr1 ==
        albef::retrieval_recall(model, *good, whole).tr1);
  CHECK(albef::validate_retrieval(model, mixed, set, 3).results["skipped"] == 2);

  albef::SearchQueries queries{whole.texts, {}};
  const auto found = albef::search_data(model, mixed, set, queries, {.top = 3, .k = 4});
  const auto same = albef::search_data(model, *good, whole, queries, {.top = 3, .k = 4});
  CHECK(found.skipped == 2);
  const int place[] = {0, 1, 3, 4, 5};  // among the pictures of the set
  for (std::size_t q = 0; q < 5; ++q)
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(found.by_text[q][i].index == place[static_cast<std::size_t>(same.by_text[q][i].index)]);

  const auto features = albef::named_image_features(model, mixed, set);
  CHECK(features.names == std::vector<std::string>{"p0", "p1", "p2", "p3", "p4"});
  CHECK(features.values.size() == 5 * static_cast<std::size_t>(Nano::embed_dim));
  CHECK(features.skipped == 2);
  CHECK_THROWS_WITH_AS(albef::image_features(model, mixed, set.images),
                       doctest::Contains("record 2 (damaged): "), Error);
  CHECK_THROWS_WITH_AS(albef::retrieval_set(mixed, albef::evaluation_records(true)),
                       doctest::Contains("an unusable record: record 4 (p0)"), Error);
}

TEST_CASE("features are written with the names of their rows") {
  train_test::TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  save(path, {{"vocab", vocabulary()}});
  Cpu cpu(1);
  Model model(cpu, path);
  const auto source = train_test::pictures(4);
  const auto set = albef::retrieval_set(*source);
  const auto images = albef::named_image_features(model, *source, set, {.batch_size = 3});
  const auto texts = albef::named_text_features(model, set);
  CHECK(images.names == std::vector<std::string>{"p0", "p1", "p2", "p3"});
  CHECK(texts.names == set.texts);
  images.save(folder / "f.image");
  const auto read = albef::read_npy<float>(folder / "f.image.npy");
  CHECK(read.shape == std::vector<std::int64_t>{4, Nano::embed_dim});
  CHECK(read.values == albef::image_features(model, *source, set.images));
  CHECK(albef::read_file(folder / "f.image.txt") == "p0\np1\np2\np3\n");
  CHECK(texts.values == albef::text_features(model, set.texts));
  const albef::NamedFeatures none{.width = 3};
  none.save(folder / "none");
  CHECK(albef::read_npy<float>(folder / "none.npy").shape == std::vector<std::int64_t>{0, 3});
}

TEST_CASE("best answers") {
  const std::vector<float> scores{0.1f, 0.9f, -1.0f, 0.5f};
  const auto best = albef::best_answers(scores, 2);
  REQUIRE(best.size() == 2);
  CHECK(best[0].index == 1);
  CHECK(best[1].index == 3);
  CHECK(albef::best_answers(scores, 9).size() == 4);
  CHECK(albef::best_answers({}, 3).empty());
}

}  // namespace session_test
