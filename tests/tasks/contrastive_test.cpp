// CLIP and its objective: exact accumulation, limits of the temperature, official names.
#include "albef/tasks/contrastive.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/data/open.hpp"
#include "albef/models/clip.hpp"
#include "albef/text/learn_bpe.hpp"
#include "albef/train/fit.hpp"
#include "albef/train/session.hpp"
#include "train/nano_training.hpp"

namespace contrastive_test {

namespace {

using albef::Cpu;
using albef::PairBatch;
using albef::Plane;

struct NanoClip : albef::Nano {
  static constexpr int num_hidden_layers = 2, vocab_size = 600;
};
using Training = albef::Training<albef::Contrastive<albef::Clip<NanoClip>>>;

const albef::Bpe& bpe() {
  static const albef::Bpe made =
      albef::learn_bpe(albef::clean_captions(*train_test::pictures(24), 0), NanoClip::vocab_size);
  return made;
}

albef::Loader loader(int batch_size) {
  return {train_test::pictures(24),
          bpe(),
          albef::TrainTransform{.size = NanoClip::image_res},
          {.batch_size = batch_size, .workers = 0, .max_words = 0, .mask_probability = 0}};
}

double largest_difference(Training& a, Training& b, Plane plane) {
  double largest = 0;
  for (const auto& p : a.store().params())
    for (std::int64_t i = p.offset; i < p.offset + p.size; ++i)
      largest = std::max(largest, std::fabs(static_cast<double>(a.store().data(plane)[i]) -
                                            b.store().data(plane)[i]));
  return largest;
}

}  // namespace

TEST_CASE("contrastive: accumulated batches are one batch") {
  Cpu cpu(1);
  const albef::TrainingOptions options{.optimizer = {.eps = 1e-4, .max_norm = 1}};
  Training whole(cpu, options), parts(cpu, options);
  albef::Loader all = loader(12), some = loader(4);
  albef::PassLosses losses, part;
  for (int step = 0; step < 3; ++step) {
    whole.accumulate(all.next(), {.number = static_cast<std::uint64_t>(step)}, losses);
    std::vector<PairBatch> batches;
    for (int k = 0; k < 3; ++k) batches.push_back(some.next());
    albef::Step now{.number = static_cast<std::uint64_t>(3 * step)};
    parts.share_features(batches, now);
    for (std::size_t k = 0; k < 3; ++k, ++now.number) {
      parts.start_part(batches, k, now);
      parts.finish(part);
      CHECK(part.at("loss") == doctest::Approx(losses.at("loss")).epsilon(1e-6));
    }
    const auto& grads = parts.store();
    double largest = 0, difference = 0;
    for (const auto& p : grads.params())
      for (std::int64_t i = p.offset; i < p.offset + p.size; ++i) {
        const double want = whole.store().data(Plane::grad)[i];
        largest = std::max(largest, std::fabs(want));
        difference = std::max(difference, std::fabs(grads.data(Plane::grad)[i] / 3.0 - want));
      }
    CHECK(largest > 1e-3);
    CHECK(difference < 2e-5 * std::max(1.0, largest));  // the weights differ by as much
    whole.update(1e-3);
    parts.update(1e-3, 1 / 3.0);
    CHECK(largest_difference(whole, parts, Plane::online) < 2e-5);
  }
}

TEST_CASE("contrastive: fit() accumulates exactly, and goes on exactly") {
  Cpu cpu(1);
  train_test::TemporaryFolder folder;
  const auto run = [&](const std::string& name, int batch, int accumulate, std::int64_t steps,
                       albef::Existing existing) {
    Training training(cpu);
    albef::Loader data = loader(batch);
    albef::fit(training, data,
               {.output = folder / name,
                .existing = existing,
                .epochs = 2,
                .max_steps = steps,
                .accumulate = accumulate,
                .warmup = 0,
                .progress = {.out = std::tmpfile()}});
    const auto* weights = training.store().data(Plane::online);
    return std::vector<float>(weights, weights + training.store().size());
  };
  const auto whole = run("whole", 12, 1, 0, albef::Existing::refuse);
  const auto parts = run("parts", 4, 3, 0, albef::Existing::refuse);
  double difference = 0;
  for (std::size_t i = 0; i < whole.size(); ++i)
    difference = std::max(difference, std::fabs(static_cast<double>(whole[i]) - parts[i]));
  CHECK(difference < 5e-4);  // some steps of 1e-4, where Adam amplifies rounding
  run("stopped", 4, 3, 2, albef::Existing::refuse);
  CHECK(run("stopped", 4, 3, 0, albef::Existing::resume) == parts);
}

TEST_CASE("contrastive: the logit scale stays within its limits, and has no weight decay") {
  Cpu cpu(1);
  Training training(cpu);
  const auto& scale = Training::model.logit_scale;
  auto& store = training.store();
  albef::Loader data = loader(4);
  albef::PassLosses losses;
  for (const float value : {6.0f, -3.0f}) {
    *store.data(Plane::online, scale) = value;
    training.accumulate(data.next(), {}, losses);
    training.update(0);
    CHECK(*store.data(Plane::online, scale) ==
          doctest::Approx(value > 0 ? albef::max_logit_scale : 0.0));
  }
  for (const auto& p : store.params()) CHECK((p.name != "logit_scale" || !p.decay));
}

TEST_CASE("CLIP: a session over a checkpoint has the tokenizer that was learnt") {
  Cpu cpu(1);
  train_test::TemporaryFolder folder;
  Training training(cpu);
  albef::CheckpointInfo info = training.info();
  info.merge(albef::tokenizer_info(bpe(), 12));
  training.model_checkpoint().save(folder / "clip.safetensors", info);
  albef::Session<albef::Clip<NanoClip>> session(cpu, folder / "clip.safetensors");
  CHECK(session.encoding().max_length == 12);
  std::vector<std::int32_t> ids;
  session.text_tokenizer().encode("pic 7 of x", session.encoding(), ids);
  CHECK(ids == bpe().encode("pic 7 of x"));
  CHECK_THROWS_WITH_AS(session.tokenizer(), "the session's tokenizer is no WordPiece",
                       albef::Error);
}

}  // namespace contrastive_test
