// Fine-tuning for retrieval: several positives by identity in batch and queue.
#include <array>

#include "../models/micro.hpp"

namespace retrieval_step_test {

using namespace model_test;
using albef::RetrievalObjectives;
using Identities = std::vector<std::int64_t>;

namespace {

const HostBatch host = random_batch<Micro>(4, 1);
constexpr std::array<std::int32_t, 4> negative_image{1, 2, 3, 0}, negative_text{3, 0, 1, 2};

/// One pass with given identities, those of the queue (5) included.
template <class Objectives = RetrievalObjectives>
auto pass(Bench<Micro>& b, const Identities& batch_ids, const Identities& queue_ids,
          double alpha = 0.4) {
  std::copy(queue_ids.begin(), queue_ids.end(), b.queue.identities());
  auto batch = upload<Micro>(b.ctx, host);
  batch.identities = b.ctx.upload(batch_ids);
  batch.negatives.image = negative_image.data();
  batch.negatives.text = negative_text.data();
  return Objectives{}(b.ctx, b.model, batch, b.queue, alpha);
}

const Identities none(5, -100);

}  // namespace

TEST_CASE("retrieval step: the gradient agrees with differences") {
  Bench<Micro> b;
  check_gradient(b, [&] { return pass(b, {3, 7, 3, 5}, {7, -100, 3, 9, 7}).loss; });
}

TEST_CASE("retrieval step: with identities all different it is pre-training without MLM") {
  Bench<Micro> b;
  using Plain = albef::Pretrain<albef::Itc<albef::Distill>, albef::Itm<albef::Hard>>;
  b.ctx.begin_step(0);
  const auto by_identity = pass(b, {0, 1, 2, 3}, none);
  const auto plain = pass<Plain>(b, {0, 1, 2, 3}, none);
  CHECK(b.ctx.item(by_identity.loss_itc) ==
        doctest::Approx(b.ctx.item(plain.loss_itc)).epsilon(1e-14));
  CHECK(b.ctx.item(by_identity.loss_itm) == b.ctx.item(plain.loss_itm));
}

TEST_CASE("retrieval step: the hard targets are shared by all keys of the identity") {
  Bench<Micro> b;
  b.ctx.begin_step(0);
  const Identities ids{3, 7, 3, 5}, queue{7, -100, 3, 9, 7};
  const double loss = b.ctx.item(pass(b, ids, queue, 0).loss_itc);
  // The same from the similarities, by the definition.
  auto all = ids;
  all.insert(all.end(), queue.begin(), queue.end());
  const auto image = b.model.visual_encoder(b.ctx, b.images(host));
  const auto text = b.model.text_encoder.bert.text(b.ctx, b.tokens(host.text));
  albef::ItcFeatures<double, Micro::embed_dim> f;
  f.image = b.model.image_feature(b.ctx, image);
  f.text = b.model.text_feature(b.ctx, text);
  f.image_queue = b.queue.image();
  f.text_queue = b.queue.text();
  b.ctx.frozen(Plane::ema, [&] {
    f.image_m = b.model.image_feature(b.ctx, b.model.visual_encoder(b.ctx, b.images(host)));
    f.text_m =
        b.model.text_feature(b.ctx, b.model.text_encoder.bert.text(b.ctx, b.tokens(host.text)));
  });
  const auto s = itc_similarities(b.ctx, f, b.model.temp);
  double expected = 0;
  for (const auto& direction : {s.image_to_text, s.text_to_image}) {
    const auto values = b.ctx.read(direction);
    for (std::size_t i = 0; i < 4; ++i) {
      double total = 0, positives = 0, sum = 0;
      for (std::size_t j = 0; j < 9; ++j) total += std::exp(values[i * 9 + j]);
      for (std::size_t j = 0; j < 9; ++j)
        if (all[j] == ids[i]) positives += 1, sum += std::log(total) - values[i * 9 + j];
      expected += 0.5 * sum / positives / 4;
    }
  }
  CHECK(loss == doctest::Approx(expected).epsilon(1e-12));
}

TEST_CASE("retrieval step: a batch must have identities") {
  Bench<Micro> b;
  auto batch = upload<Micro>(b.ctx, host);
  batch.identities = nullptr;
  CHECK_THROWS_WITH_AS(RetrievalObjectives{}(b.ctx, b.model, batch, b.queue, 0),
                       "[pretrain] the batch has no identities", albef::Error);
}

TEST_CASE("the queue keeps identities beside its features, around its end") {
  Cpu cpu(1);
  albef::FeatureQueue<Cpu, double> queue(cpu, 5, 2);
  const auto ids = [&] { return Identities(queue.identities(), queue.identities() + 5); };
  CHECK(ids() == Identities(5, queue.no_identity));
  const std::vector<double> features(6);
  const auto rows = albef::mat(features.data(), 3, 2);
  const Identities first{1, 2, 3}, second{4, 5, 6};
  queue.push(rows, rows, first.data());
  queue.push(rows, rows, second.data());
  CHECK(ids() == Identities{6, 2, 3, 4, 5});
}

}  // namespace retrieval_step_test
