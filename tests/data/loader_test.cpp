#include "albef/data/loader.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "albef/data/annotations.hpp"
#include "albef/data/retrieval_set.hpp"
#include "albef/data/sources.hpp"
#include "data_files.hpp"
#include "letters.hpp"

namespace loader_test {

using albef::Loader;
using albef::LoaderOptions;
using albef::LoaderPosition;
using albef::MemorySource;
using albef::PairBatch;
using albef::Record;
using albef::TrainTransform;
using data_test::error_of;
using data_test::tokenizer;
using Strings = std::vector<std::string>;

namespace {

// Pictures of level 2 i with the caption "n i".
std::shared_ptr<MemorySource> numbered(int size) {
  auto source = std::make_shared<MemorySource>();
  for (int i = 0; i < size; ++i)
    source->add(
        {.key = "k" + std::to_string(i), .captions = {"n " + std::to_string(i)}, .image_id = i},
        data_test::png(static_cast<std::uint8_t>(2 * i)));
  return source;
}

const TrainTransform small{.size = 6};

LoaderOptions options(int batch_size, int workers = 2) {
  LoaderOptions o;
  o.batch_size = batch_size;
  o.workers = workers;
  o.on_bad_record = nullptr;
  return o;
}

// A copy of what a batch says, to compare.
auto content(const PairBatch& b) {
  return std::make_tuple(b.epoch, b.batch, b.size, b.images, b.text.ids, b.text.offsets,
                         b.masked.text.ids, b.masked.rows, b.masked.labels, b.image_ids, b.indices);
}
using Contents = std::vector<decltype(content(PairBatch{}))>;

Contents take(Loader& loader, int batches) {
  Contents out;
  for (int i = 0; i < batches; ++i) out.push_back(content(loader.next()));
  return out;
}

}  // namespace

TEST_CASE("loader: a batch has what it says") {
  Loader loader(numbered(20), tokenizer(),
                albef::TrainTransform{.size = 6, .augment = {.count = 0}}, options(5));
  CHECK(loader.batches_per_epoch() == 4);
  const PairBatch& batch = loader.next();
  CHECK(batch.size == 5);
  CHECK(batch.image_size == 6);
  REQUIRE(batch.images.size() == 5 * 6 * 6 * 3);
  REQUIRE(batch.text.count() == 5);
  REQUIRE(batch.masked.text.count() == 5);
  CHECK(batch.masked.masked() >= 1);
  for (int i = 0; i < 5; ++i) {
    const auto index = batch.indices[static_cast<std::size_t>(i)];
    CHECK(batch.image_ids[static_cast<std::size_t>(i)] == index);
    CHECK(batch.images[static_cast<std::size_t>(i) * 108] == 2 * index);
    const auto ids = batch.text.text(i);
    CHECK(tokenizer().decode(ids, true) == "n " + std::to_string(index));
    CHECK(ids.front() == tokenizer().cls_id());
  }
}

TEST_CASE("loader: the same batches whatever the workers and the prefetch") {
  const auto source = numbered(23);
  LoaderOptions plain = options(4, 0);
  Loader reference(source, tokenizer(), small, plain);
  const Contents expected = take(reference, 17);  // over three epochs
  for (const int workers : {1, 2, 4})
    for (const int prefetch : {1, 3, 8}) {
      CAPTURE(workers);
      CAPTURE(prefetch);
      LoaderOptions o = options(4, workers);
      o.prefetch = prefetch;
      Loader loader(source, tokenizer(), small, o);
      CHECK(take(loader, 17) == expected);
    }
  LoaderOptions other = plain;
  other.seed = 43;
  Loader reseeded(source, tokenizer(), small, other);
  CHECK(take(reseeded, 1) != Contents{expected[0]});
}

TEST_CASE("loader: crops, masks and captions of a record are drawn anew in each epoch") {
  albef::Image gradient(16, 16, 0);
  for (std::size_t p = 0; p < gradient.rgb.size(); ++p)
    gradient.rgb[p] = static_cast<std::uint8_t>(p % 251);
  auto source = std::make_shared<MemorySource>();
  Strings captions;
  for (int c = 0; c < 9; ++c) captions.push_back("a b c d e f g " + std::to_string(c));
  for (int i = 0; i < 4; ++i)
    source->add({.key = "k" + std::to_string(i), .captions = captions, .image_id = i},
                albef::encode_png(gradient));
  LoaderOptions o = options(4);
  o.mask_probability = 0.5;
  Loader loader(source, tokenizer(), small, o);
  std::map<std::int64_t, std::set<std::vector<std::uint8_t>>> pictures;
  std::map<std::int64_t, std::set<std::vector<std::int32_t>>> texts, masks;
  constexpr int epochs = 8;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const PairBatch& batch = loader.next();
    for (int i = 0; i < 4; ++i) {
      const std::int64_t record = batch.indices[static_cast<std::size_t>(i)];
      const auto* pixels = batch.images.data() + i * 108;
      pictures[record].emplace(pixels, pixels + 108);
      const auto text = batch.text.text(i), masked = batch.masked.text.text(i);
      texts[record].emplace(text.begin(), text.end());
      std::vector<std::int32_t> places;
      for (std::size_t t = 0; t < text.size(); ++t) places.push_back(text[t] != masked[t]);
      masks[record].insert(places);
    }
  }
  for (std::int64_t record = 0; record < 4; ++record) {
    CHECK(pictures[record].size() > epochs / 2);
    CHECK(texts[record].size() > epochs / 4);
    CHECK(masks[record].size() > epochs / 2);
  }
}

TEST_CASE("loader: an epoch visits every record once, in another order each time") {
  for (const bool shuffle : {true, false}) {
    LoaderOptions o = options(4);
    o.drop_last = false;
    o.shuffle = shuffle;
    Loader loader(numbered(10), tokenizer(), small, o);
    CHECK(loader.batches_per_epoch() == 3);
    std::vector<std::vector<std::int64_t>> epochs(2);
    for (int i = 0; i < 6; ++i) {
      const PairBatch& batch = loader.next();
      CHECK(batch.epoch == i / 3);
      CHECK(batch.batch == i % 3);
      CHECK(batch.size == (i % 3 == 2 ? 2 : 4));
      CHECK(batch.text.count() == batch.size);
      auto& seen = epochs[static_cast<std::size_t>(batch.epoch)];
      seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
    }
    CHECK((epochs[0] != epochs[1]) == shuffle);
    for (auto& seen : epochs) {
      CHECK(std::is_sorted(seen.begin(), seen.end()) == !shuffle);
      std::sort(seen.begin(), seen.end());
      CHECK(seen == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    }
  }
}

TEST_CASE("loader: a run goes on where another stopped") {
  const auto source = numbered(23);
  Loader whole(source, tokenizer(), small, options(4));
  const Contents expected = take(whole, 14);
  for (const int stop : {0, 3, 5, 11}) {
    Loader first(source, tokenizer(), small, options(4));
    take(first, stop);
    const LoaderPosition position = first.position();
    CHECK(position == LoaderPosition{stop / 5, stop % 5});
    Loader second(source, tokenizer(), small, options(4, 1));
    take(second, 2);  // wherever it was before
    second.seek(position);
    CHECK(second.position() == position);
    CHECK(take(second, 14 - stop) == Contents(expected.begin() + stop, expected.end()));
  }
  const auto message = error_of([&] { whole.seek({1, 5}); });
  CHECK_CONTAINS(message, "batch 5, expected a batch below 5");
}

TEST_CASE("loader: the batches' memory is used again") {
  LoaderOptions o = options(4);
  o.prefetch = 3;
  Loader loader(numbered(24), tokenizer(), small, o);
  std::set<const std::uint8_t*> buffers;
  for (int i = 0; i < 40; ++i) buffers.insert(loader.next().images.data());
  CHECK(buffers.size() <= 3);
}

TEST_CASE("loader: captions are drawn anew for each access, masks can be left out") {
  auto source = std::make_shared<MemorySource>();
  source->add({.key = "a", .captions = {"a", "b", "c", "..."}}, data_test::png(1));
  LoaderOptions o = options(1);
  o.mask_probability = 0;
  Loader loader(source, tokenizer(), small, o);
  std::map<std::string, int> drawn;
  for (int i = 0; i < 200; ++i) {
    const PairBatch& batch = loader.next();
    CHECK(batch.masked.text.count() == 0);
    ++drawn[tokenizer().decode(batch.text.text(0), true)];
  }
  CHECK(drawn.size() == 3);  // the one without words is passed over
  for (const auto& [text, count] : drawn) CHECK(count > 20);
  CHECK(loader.bad_records() == 0);
}

TEST_CASE("loader: unusable records are replaced, named once and counted") {
  auto source = numbered(100);
  const std::string whole = data_test::as_text(data_test::png(7, 64));
  const auto add = [&](const char* key, Strings captions, std::string_view picture) {
    source->add({.key = key, .captions = std::move(captions)},
                std::vector<std::uint8_t>(picture.begin(), picture.end()));
  };
  add("truncated", {"a"}, whole.substr(0, whole.size() / 2));
  add("zero-byte", {"a"}, "");
  add("no-picture", {"a"}, "GIF89a......");
  add("empty-caption", {""}, whole);
  add("punctuation", {" .?! -- \xe2\x80\xa6 $"}, whole);
  add("not-utf8", {"caf\xe9"}, whole);
  add("no-caption", {}, whole);
  source->add({.key = "unreadable", .error = "field 'caption' is missing"}, {});
  add("huge", {"a"}, whole);

  std::vector<Strings> logs;
  std::vector<Contents> runs;
  for (const int workers : {0, 1, 3}) {
    LoaderOptions o = options(10, workers);
    o.max_bad_share = 0.2;
    o.decode.max_pixels = 63 * 64;
    Strings& log = logs.emplace_back();
    o.on_bad_record = [&](const std::string& message) { log.push_back(message); };
    Loader loader(source, tokenizer(), small, o);
    runs.push_back(take(loader, 30));
    CHECK(loader.bad_records() == 9);
  }
  CHECK(logs[1] == logs[0]);
  CHECK(logs[2] == logs[0]);
  CHECK(runs[1] == runs[0]);
  CHECK(runs[2] == runs[0]);
  for (const auto& batch : runs[0]) {
    CHECK(std::get<2>(batch) == 10);
    const std::set<std::int64_t> indices(std::get<10>(batch).begin(), std::get<10>(batch).end());
    CHECK(*indices.rbegin() < 100);
  }

  REQUIRE(logs[0].size() == 9);
  const auto reason = [&](std::string_view key) {
    for (const std::string& line : logs[0])
      if (data_test::contains(line, key)) return line;
    return std::string("not reported");
  };
  CHECK_CONTAINS(reason("(truncated)"), "record 100 (truncated): cannot decode");
  CHECK_CONTAINS(reason("(zero-byte)"), "empty");
  CHECK_CONTAINS(reason("(no-picture)"), "GIF");
  CHECK_CONTAINS(reason("(empty-caption)"), "the caption is empty");
  CHECK_CONTAINS(reason("(punctuation)"), "empty after clean-up");
  CHECK_CONTAINS(reason("(not-utf8)"), "UTF-8");
  CHECK_CONTAINS(reason("(no-caption)"), "no caption");
  CHECK_CONTAINS(reason("(unreadable)"), "field 'caption' is missing");
  CHECK_CONTAINS(reason("(huge)"), "max_pixels");
}

TEST_CASE("loader: the run stops when too many records are unusable") {
  const auto run = [](int good, int bad, double share, int batches) {
    auto source = numbered(good);
    for (int i = 0; i < bad; ++i)
      source->add({.key = "bad" + std::to_string(i), .captions = {"a"}}, {});
    LoaderOptions o = options(10);
    o.max_bad_share = share;
    Loader loader(source, tokenizer(), small, o);
    for (int i = 0; i < batches; ++i) loader.next();
  };
  run(99, 1, 0.01, 40);
  run(19, 1, 0.01, 10);  // one is allowed in the smallest set
  run(90, 10, 0.1, 40);
  const auto message = error_of([&] { run(90, 10, 0.05, 40); });
  CHECK(std::stoi(message) > 5);
  CHECK_CONTAINS(message, " unusable records of 100, more than the 5 that a share of 0.05");
  CHECK_CONTAINS(message, "(bad");
  CHECK_CONTAINS(error_of([&] { run(99, 1, 0, 40); }), "an unusable record: ");
  CHECK_CONTAINS(error_of([&] { run(0, 30, 0.5, 1); }), "unusable records of 30");
  CHECK_CONTAINS(error_of([&] { run(0, 10, 1, 1); }), "10 unusable records of 10");
}

TEST_CASE("loader: what the system refuses is no fault of a record") {
  struct Refused : MemorySource {
    void read_image(std::size_t index, std::vector<std::uint8_t>&) const override {
      if (index == 3) throw std::bad_alloc();
      throw albef::SystemError("too many open files");
    }
  };
  auto source = std::make_shared<Refused>();
  for (int i = 0; i < 4; ++i) source->add({.key = "k", .captions = {"a"}}, data_test::png(0));
  for (const int workers : {0, 2}) {
    LoaderOptions o = options(2, workers);
    o.max_bad_share = 1;
    Loader loader(source, tokenizer(), small, o);
    CHECK_THROWS_AS(loader.next(), albef::SystemError);
    o.shuffle = false;
    o.replace_bad = false;
    o.max_bad_share = 0;
    Loader last(source, tokenizer(), small, o);
    last.seek({0, 1});
    CHECK_THROWS_AS(last.next(), albef::SystemError);
  }
  CHECK_CONTAINS(error_of([&] {
                   const albef::BadRecords none(0);
                   none.tell(albef::problem_of([] { throw std::bad_alloc(); }));
                 }),
                 "an unusable record: the memory does not suffice");
  CHECK_CONTAINS(error_of([] {
                   albef::at_place([] { return "a.tar: record 1"; },
                                   [] { throw std::bad_alloc(); });
                 }),
                 "a.tar: record 1: the memory does not suffice");
}

TEST_CASE("loader: options out of range are named with what was expected") {
  const auto make = [](LoaderOptions o, int size = 6) {
    return error_of([&] { Loader(numbered(5), tokenizer(), TrainTransform{.size = size}, o); });
  };
  const auto message = make(options(6));
  CHECK_CONTAINS(message, "batch_size is 6");
  CHECK_CONTAINS(message, "only 5 records");
  CHECK_CONTAINS(make(options(0)), "batch_size is 0");
  CHECK_CONTAINS(make(options(2, -1)), "workers is -1");
  CHECK_CONTAINS(make(options(2), 0), "size 0");
  LoaderOptions o = options(2);
  o.prefetch = 0;
  CHECK_CONTAINS(make(o), "prefetch is 0");
  o = options(2);
  o.max_bad_share = 1.5;
  CHECK_CONTAINS(make(o), "max_bad_share");
}

TEST_CASE("loader: what a worker throws arrives at the reader; threads end at once") {
  struct Broken {
    int size = 6;
    void operator()(const albef::Image&, albef::RandomStream&, std::span<std::uint8_t>,
                    albef::TransformBuffers&) const {
      throw std::runtime_error("broken transform");
    }
  };
  for (const int workers : {0, 2}) {
    Loader loader(numbered(9), tokenizer(), Broken{}, options(3, workers));
    CHECK_THROWS_WITH_AS(loader.next(), "broken transform", std::runtime_error);
    CHECK_THROWS_AS(loader.next(), std::runtime_error);
  }
  for (int i = 0; i < 20; ++i) {  // destroyed while the workers are busy
    Loader loader(numbered(9), tokenizer(), small, options(3, 3));
    loader.next();
  }
}

TEST_CASE("sources: a filter keeps what matches and what could not be read") {
  auto source = std::make_shared<MemorySource>();
  source->add({.key = "a", .captions = {"a"}, .fields = {{"split", {"val"}}}}, {1});
  source->add({.key = "b", .captions = {"b"}, .fields = {{"split", {"train"}}}}, {2});
  source->add({.key = "c", .error = "damaged"}, {3});
  source->add({.key = "d", .captions = {"d"}}, {4});
  const albef::FilteredSource train(source, "split", "train");
  REQUIRE(train.size() == 2);
  CHECK(train.record(0).key == "b");
  CHECK(train.record(1).key == "c");
  CHECK(train.describe(0) == "record 1 (b)");
  std::vector<std::uint8_t> bytes;
  train.read_image(0, bytes);
  CHECK(bytes == std::vector<std::uint8_t>{2});
  CHECK_CONTAINS(error_of([&] { albef::FilteredSource(source, "split", "test"); }), "'test'");
}

TEST_CASE("sources: a mixture gives each part its share and repeats nothing early") {
  const auto a = numbered(30), b = numbered(7);
  const albef::Mixture mixture({{a, 1}, {b, 2}}, 31);
  CHECK(mixture.size() == 37);
  CHECK(mixture.epoch_size() == 31);
  CHECK(mixture.shares() == std::vector<std::size_t>{10, 21});
  CHECK(mixture.record(30).key == "k0");
  CHECK(mixture.record(30).image_id == 30);
  CHECK(mixture.describe(33) == "record 3 (k3)");

  std::vector<int> seen(37, 0);
  std::vector<std::uint32_t> previous;
  for (int epoch = 0; epoch < 3; ++epoch) {
    const auto order = mixture.epoch_order(5, epoch);
    REQUIRE(order.size() == 31);
    CHECK(std::count_if(order.begin(), order.end(), [](auto i) { return i < 30; }) == 10);
    CHECK(order != previous);
    CHECK(order == mixture.epoch_order(5, epoch));
    previous = order;
    for (const auto i : order) ++seen[i];
  }
  // Three epochs: 30 of the first part, each once; 63 of the second, each nine times.
  for (std::size_t i = 0; i < 37; ++i) CHECK(seen[i] == (i < 30 ? 1 : 9));

  const albef::Mixture plain({{a}, {b}});
  CHECK(plain.epoch_size() == 37);
  CHECK(plain.shares() == std::vector<std::size_t>{19, 18});
  CHECK_CONTAINS(error_of([&] { albef::Mixture({{a, 0}}); }), "weight 0");
  CHECK_CONTAINS(error_of([&] { albef::Mixture({}); }), "no source");

  auto shared = std::make_shared<albef::Mixture>(mixture);
  Contents contents[2];
  for (const int i : {0, 1}) {
    Loader loader(shared, tokenizer(), small, options(10, i * 3));
    CHECK(loader.batches_per_epoch() == 3);
    contents[i] = take(loader, 7);
  }
  CHECK(contents[0] == contents[1]);
}

TEST_CASE("retrieval set: pictures once, all captions, in order") {
  const data_test::TemporaryFolder folder;
  for (const int i : {0, 1, 2})
    folder.write(std::to_string(i) + ".png",
                 data_test::as_text(data_test::png(static_cast<std::uint8_t>(10 * i))));
  const albef::JsonAnnotations source(folder.write("d.json", R"([
    {"image": "0.png", "caption": ["A cat.", "cats"]}, {"image": "1.png", "caption": "Dog!"},
    {"image": "0.png", "caption": "third"}, {"image": "2.png", "caption": "owl"}])"));
  const albef::RetrievalSet set = albef::retrieval_set(source);
  CHECK(set.images == std::vector<std::uint32_t>{0, 1, 3});
  CHECK(set.texts == Strings{"a cat", "cats", "dog", "third", "owl"});
  CHECK(set.text_image == std::vector<std::int32_t>{0, 0, 1, 0, 2});
  const albef::TextBatch text = albef::encode_texts(tokenizer(), set.texts);
  CHECK(text.count() == 5);
  CHECK(tokenizer().decode(text.text(2), true) == "dog");

  CHECK(set.records == 4);
  CHECK(set.bad.count() == 0);
  CHECK(set.skipped_texts == 0);
}

TEST_CASE("retrieval set: what cannot be used is named and left out, with the texts of pictures") {
  const data_test::TemporaryFolder folder;
  for (const int i : {0, 1, 2})
    folder.write(std::to_string(i) + ".png",
                 data_test::as_text(data_test::png(static_cast<std::uint8_t>(10 * i))));
  const albef::JsonAnnotations source(folder.write("e.json", R"([
    {"image": "0.png", "caption": "fine"}, {"image": "1.png", "caption": ["fine", "?!"]},
    {"image": "gone.png", "caption": ["lost", "lost, too"]}, {"image": "2.png", "caption": "..."},
    {"image": "2.png", "caption": "last"}, {"image": "2.png"}, {"image": "0.png", "caption": "x"},
    {"image": "1.png", "caption": "y"}])"));
  Strings told;
  const auto note = [&](const std::string& message) { told.push_back(message); };
  albef::RetrievalSet set = albef::retrieval_set(source, albef::BadRecords(0.5, note));
  CHECK(set.images == std::vector<std::uint32_t>{0, 1, 2, 4});
  CHECK(set.texts == Strings{"fine", "fine", "lost", "lost too", "last", "x", "y"});
  CHECK(set.bad.count() == 2);
  CHECK(set.skipped_texts == 2);
  REQUIRE(told.size() == 3);
  CHECK_CONTAINS(told[0], "e.json: record 1 (1.png): a caption: ");
  CHECK_CONTAINS(told[1], "e.json: record 3 (2.png): ");
  CHECK_CONTAINS(told[2], "e.json: record 5");
  albef::check_pictures(source, set);
  CHECK(set.images == std::vector<std::uint32_t>{0, 1, 4});
  CHECK(set.texts == Strings{"fine", "fine", "last", "x", "y"});
  CHECK(set.text_image == std::vector<std::int32_t>{0, 1, 2, 0, 1});
  CHECK(set.records == 8);
  CHECK(set.bad.count() == 3);
  CHECK(set.skipped_texts == 4);
  REQUIRE(told.size() == 4);
  CHECK_CONTAINS(told[3], "e.json: record 2 (gone.png): cannot open");

  const auto strict = [&](const albef::Source& from) {
    return error_of([&] { albef::retrieval_set(from, albef::evaluation_records(true)); });
  };
  CHECK_CONTAINS(strict(source), "an unusable record: ");
  CHECK_CONTAINS(strict(source), "e.json: record 1 (1.png)");
  const albef::JsonAnnotations mixed(folder.write("f.json", R"([
    {"image": "0.png", "image_id": 7, "caption": "one"},
    {"image": "1.png", "image_id": 7, "caption": "another"}])"));
  const std::string message = strict(mixed);
  CHECK_CONTAINS(message, "f.json: record 1 (1.png): has the image_id of another picture");
  CHECK_CONTAINS(message, "f.json: record 0 (0.png)");
}

TEST_CASE("retrieval set: pictures are read in order by any number of threads") {
  const auto source = numbered(50);
  const std::vector<std::uint32_t> records{7, 3, 3, 40, 41, 42, 0, 1, 2, 49, 48};
  for (const int workers : {0, 1, 3}) {
    std::vector<int> levels;
    std::vector<std::size_t> firsts;
    albef::for_each_image_batch(
        *source, records, {.size = 5}, 3, workers, [&](const albef::ImageBatch& batch) {
          firsts.push_back(batch.places.front());
          REQUIRE(batch.images.size() == static_cast<std::size_t>(batch.size) * 75);
          for (std::size_t i = 0; i < batch.images.size(); i += 75)
            levels.push_back(batch.images[i] / 2);
        });
    CHECK(firsts == std::vector<std::size_t>{0, 3, 6, 9});
    CHECK(levels == std::vector<int>(records.begin(), records.end()));
  }
  auto damaged = numbered(4);
  damaged->add({.key = "cut", .captions = {"a"}}, {0x89, 'P', 'N', 'G'});
  const std::vector<std::uint32_t> all{0, 1, 2, 3, 4};
  const auto message = error_of(
      [&] { albef::for_each_image_batch(*damaged, all, {.size = 5}, 2, 2, [](const auto&) {}); });
  CHECK_CONTAINS(message, "record 4 (cut)");

  for (const int workers : {0, 2}) {
    albef::BadRecords bad(0.5, nullptr);
    std::vector<std::size_t> places;
    const std::vector<std::uint32_t> some{1, 4, 0, 4, 4, 3};
    albef::for_each_image_batch(
        *damaged, some, {.size = 5}, 2, workers,
        [&](const albef::ImageBatch& batch) {
          CHECK(batch.images.size() == batch.places.size() * 75);
          CHECK(batch.sizes.size() == batch.places.size());
          for (std::size_t i = 0; i < batch.places.size(); ++i)
            CHECK(batch.images[75 * i] == 2 * some[batch.places[i]]);
          places.insert(places.end(), batch.places.begin(), batch.places.end());
        },
        {}, &bad);
    CHECK(places == std::vector<std::size_t>{0, 2, 5});
    CHECK(bad.count() == 1);
    CHECK(bad.has(4));
  }
}

}  // namespace loader_test
