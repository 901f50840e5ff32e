// Fine-tuning heads for classes on an encoder's pictures, texts and pairs.
#include "albef/tasks/fine_tune.hpp"

#include <string>
#include <vector>

#include "../models/micro.hpp"
#include "../train/nano_training.hpp"
#include "albef/train/training.hpp"

namespace fine_tune_test {

using namespace model_test;
using albef::Domain;
using albef::FineTuned;
using albef::FineTuning;

namespace {

template <Domain D>
using Model = FineTuned<albef::Albef<Micro>, D, 6>;
template <Domain D>
using Objective = FineTuning<albef::Albef<Micro>, D, 6>;

albef::ClassBatch class_batch() {
  const HostBatch host = random_batch<Micro>(3, 5);
  albef::ClassBatch out;
  out.size = 3;
  out.image_size = Micro::image_res;
  out.images = host.pixels;
  out.text = host.text;
  out.labels = {2, 0, 1};
  return out;
}

template <Domain D>
void check_domain() {
  CAPTURE(std::string(albef::domain_name(D)));
  Bench<Micro, Fp64, Model<D>> b(2, Storage::training);
  const albef::ClassBatch host = class_batch();
  const Objective<D> three{.classes = 3};
  check_gradient(b, [&] { return three(b.ctx, b.model, host, {}); });

  // Of the head's six columns the first three are classes.
  b.ctx.begin_step(0);
  const auto in = albef::upload_labelled<D, Micro>(b.ctx, host, 3);
  const auto logits = b.ctx.read(b.model.logits(b.ctx, in));
  REQUIRE(logits.size() == 18);
  double expected = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < 3; ++c) sum += std::exp(logits[6 * i + c]);
    expected += (std::log(sum) - logits[6 * i + static_cast<std::size_t>(host.labels[i])]) / 3;
  }
  CHECK(b.ctx.item(three(b.ctx, b.model, host, {})) == doctest::Approx(expected).epsilon(1e-12));
}

/// A table of grey pictures, dark ones of class "x", and texts that say it.
std::string table(const train_test::TemporaryFolder& folder) {
  std::string rows = "image,text,label\n";
  for (int i = 0; i < 16; ++i) {
    const auto bytes =
        albef::encode_png(albef::Image(12, 12, static_cast<std::uint8_t>(i % 2 ? 220 : 20 + i)));
    const std::string name = std::to_string(i) + ".png";
    albef::write_file(folder / name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    rows += name + (i % 2 ? ",b b,y\n" : ",a a,x\n");
  }
  albef::write_file(folder / "a.csv", rows + "gone.png,,x\n");
  return folder / "a.csv";
}

}  // namespace

TEST_CASE("fine-tuning: gradients of every domain, losses over the classes of the data") {
  check_domain<Domain::image>();
  check_domain<Domain::text>();
  check_domain<Domain::multimodal>();
}

TEST_CASE("fine-tuning: the head's names, and what a start may miss") {
  using M = Model<Domain::text>;
  const auto names = albef::names_of(albef::laid_out<M>()).params;
  std::vector<std::string> head;
  for (const auto& p : names)
    if (M::fresh(p.name)) head.push_back(p.name);
  CHECK(head == std::vector<std::string>{"classifier.model.0.weight", "classifier.model.0.bias",
                                         "classifier.model.3.weight", "classifier.model.3.bias"});
  CHECK(M::dispensable("text_encoder.cls.predictions.bias"));
  CHECK(!M::dispensable("classifier.model.3.bias"));
  CHECK(M::checkpoint_names("classifier.model.3.bias") ==
        std::vector<std::string>{"classifier.model.3.bias"});
  CHECK(M::checkpoint_names("idx_queue").empty());
}

TEST_CASE("fine-tuning: batches that do not fit together are refused") {
  Bench<Micro, Fp64, Model<Domain::multimodal>> b(1, Storage::training);
  const auto refused = [&](const albef::ClassBatch& batch, int classes, const char* message) {
    CHECK_THROWS_WITH_AS((albef::upload_labelled<Domain::multimodal, Micro>(b.ctx, batch, classes)),
                         message, albef::Error);
  };
  refused(class_batch(), 2, "example 0 has label 2, expected 0 to 1");
  auto batch = class_batch();
  batch.labels.pop_back();
  refused(batch, 3, "got 2 labels for 3 examples");
  batch = class_batch();
  batch.images.resize(batch.images.size() / 3);
  refused(batch, 3, "got 1 pictures for 3 examples");
  batch = class_batch();
  batch.text.clear();
  refused(batch, 3, "got 0 texts for 3 examples");
}

TEST_CASE("fine-tuning: learns classes from pictures and from texts") {
  const train_test::TemporaryFolder folder;
  const auto set = albef::open_labelled(table(folder));
  Cpu cpu(1);
  const auto learn = [&]<Domain D>() {
    albef::LoaderOptions options{
        .batch_size = 8, .workers = 0, .max_bad_share = 0.2, .on_bad_record = nullptr};
    const albef::LabelledParts parts{D == Domain::image, D == Domain::text};
    albef::LabelledLoader loader(set, parts, &train_test::tokenizer(),
                                 albef::EvalTransform{Nano::image_res}, options);
    albef::Training<FineTuning<albef::Albef<Nano>, D, 4>> training(cpu, {.seed = 3},
                                                                   {.classes = 2});
    albef::Session session(training, train_test::tokenizer());
    albef::PassLosses losses;
    for (std::uint64_t i = 0; i < 12; ++i) {
      training.accumulate(loader.next(), {.number = i}, losses);
      training.update(3e-3);
    }
    albef::LabelledLoader whole(set, parts, &train_test::tokenizer(),
                                albef::EvalTransform{Nano::image_res},
                                albef::whole_set_options(options, Nano::max_position_embeddings));
    return albef::evaluate_fine_tuned(session, *set, whole);
  };
  for (const auto& score : {learn.operator()<Domain::image>(), learn.operator()<Domain::text>()}) {
    CHECK(score.accuracy() == 1);
    CHECK(score.matrix.total() == 16);
    CHECK(score.skipped.skipped == 1);
    CHECK(score.classes == std::vector<std::string>{"x", "y"});
  }
}

TEST_CASE("labelled loader: what is not asked for stays empty") {
  const train_test::TemporaryFolder folder;
  const auto set = albef::open_labelled(table(folder));
  const albef::LoaderOptions options{.batch_size = 4, .workers = 0};
  const auto& words = train_test::tokenizer();
  const albef::EvalTransform transform{8};
  albef::LabelledLoader texts(set, {false, true}, &words, transform, options),
      pictures(set, {true, false}, nullptr, transform, options);
  CHECK(texts.next().images.empty());
  CHECK(texts.next().text.count() == 4);
  const albef::ClassBatch& shown = pictures.next();
  CHECK(shown.images.size() == 4u * 8 * 8 * 3);
  CHECK(shown.text.count() == 0);
  for (std::size_t i = 0; i < 4; ++i) {
    const bool bright = shown.images[i * 8 * 8 * 3] > 100;
    CHECK(shown.labels[i] == (bright ? 1 : 0));
    CHECK(shown.labels[i] == set->label(static_cast<std::size_t>(shown.indices[i])));
  }
  CHECK_THROWS_AS(albef::LabelledLoader(set, {true, true}, nullptr, transform, options),
                  albef::Error);
  CHECK_THROWS_AS(albef::LabelledLoader(set, {false, false}, &words, transform, options),
                  albef::Error);
}

}  // namespace fine_tune_test
