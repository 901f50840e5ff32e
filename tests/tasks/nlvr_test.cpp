// Reasoning on pairs of images: the paired encoder, its shared keys and values, text assignment.
#include "albef/tasks/nlvr.hpp"

#include "albef/tasks/text_assignment.hpp"

#include <set>

#include "../models/micro.hpp"

namespace nlvr_test {

using namespace model_test;
using Model = albef::AlbefNlvr<Micro>;
using NlvrBench = Bench<Micro, Fp64, Model>;
using AssignBench = Bench<Micro, Fp64, albef::AlbefNlvrPretrain<Micro>>;

namespace {

const HostBatch pictures = random_batch<Micro>(6, 3), texts = random_batch<Micro>(3, 4);

albef::ClassBatch pair_batch(std::vector<std::int32_t> labels = {1, 0, 1}) {
  albef::ClassBatch out;
  out.size = 3;
  out.image_size = Micro::image_res;
  out.images = pictures.pixels;
  out.text = texts.text;
  out.labels = std::move(labels);
  return out;
}

}  // namespace

TEST_CASE("NLVR2: the gradient agrees with differences, with and without teacher") {
  NlvrBench b;
  const auto host = pair_batch();
  for (const double alpha : {0.0, 0.4})
    check_gradient(
        b, [&] { return classify(b.ctx, b.model, upload(b.ctx, b.model, host), alpha).loss; });
}

TEST_CASE("NLVR2: the paired encoder equals its layers one by one, gradients of shared keys too") {
  NlvrBench b;
  const auto& bert = b.model.text_encoder;
  const auto run = [&](bool plain) {
    b.store.clear_gradients();
    b.ctx.begin_step(0);
    const auto images = b.model.visual_encoder(b.ctx, b.images(pictures));
    const auto tokens = b.tokens(texts.text);
    const auto* first = b.ctx.upload(std::vector<std::int32_t>{4, 0, 2});
    const auto* second = b.ctx.upload(std::vector<std::int32_t>{1, 0, 5});
    const auto cls = [&] {
      if (!plain) return bert.cls(b.ctx, tokens, images, first, second);
      auto x = bert.embeddings(b.ctx, tokens);
      for (const auto& layer : bert.text_layers) x = layer(b.ctx, x);
      const auto left = albef::select(b.ctx, images, first, 3);  // as the official code: repeated
      const auto right = albef::select(b.ctx, images, second, 3);
      for (std::size_t i = 0; i < 2; ++i) {
        const auto& shared = bert.first_layers[i].crossattention;
        x = bert.first_layers[i](b.ctx, x, shared.keys_values(b.ctx, left), nullptr);
        x = bert.second_layers[i](b.ctx, x, shared.keys_values(b.ctx, right), nullptr);
      }
      return albef::first(b.ctx, x);
    };
    const auto y = cls();
    b.ctx.backward(weighted_sum(b.ctx, y, b.ctx.read(y).data()));
    return std::pair{b.ctx.read(y), b.plane(Plane::grad)};
  };
  const auto [y, gradient] = run(false);
  const auto [expected, expected_gradient] = run(true);
  CHECK(deviation(y, expected) < 1e-13);
  // Compared where the plain way writes too: unused parameters hold what was there.
  CHECK(deviation(gradient, expected_gradient) < 1e-11);
}

TEST_CASE("NLVR2: statements about the same pictures share them") {
  NlvrBench b;
  auto batch = pair_batch();
  batch.images.resize(batch.images.size() / 6 * 4);
  batch.image_of = {0, 1, 3, 2, 1, 0};
  check_sharing(b, batch, [&](const albef::ClassBatch& in) {
    return classify(b.ctx, b.model, upload(b.ctx, b.model, in), 0.4).loss;
  });
}

TEST_CASE("NLVR2: checkpointing changes neither loss nor gradient") {
  const auto run = [](bool checkpointing) {
    NlvrBench b;
    b.ctx.set_checkpointing(checkpointing);
    b.ctx.set_dropout(true);
    b.ctx.begin_step(5);
    const auto loss = classify(b.ctx, b.model, upload(b.ctx, b.model, pair_batch()), 0.4).loss;
    b.ctx.backward(loss);
    auto out = b.plane(Plane::grad);
    out.push_back(b.ctx.item(loss));
    return out;
  };
  CHECK(bit_equal(run(true), run(false)));
}

TEST_CASE("NLVR2: which picture comes first matters, and a picture may be shown twice") {
  NlvrBench b;
  b.ctx.begin_step(0);
  auto in = upload(b.ctx, b.model, pair_batch());
  const auto logits = b.ctx.read(b.model.logits(b.ctx, in));
  std::swap(in.first, in.second);
  CHECK(deviation(b.ctx.read(b.model.logits(b.ctx, in)), logits) > 1e-3);
  in.second = in.first;
  CHECK(b.ctx.read(b.model.logits(b.ctx, in)).size() == 6);
}

TEST_CASE("NLVR2: official names, shared tensors under both layers of a pair") {
  NlvrBench b(1, Storage::inference);
  CHECK_NOTHROW(b.store.find("text_encoder.encoder.layer.3.attention.self.key.weight"));
  CHECK_NOTHROW(b.store.find("text_encoder.encoder.layer.5.crossattention.self.query.bias"));
  CHECK_THROWS_AS(b.store.find("text_encoder.encoder.layer.5.crossattention.self.key.bias"),
                  albef::Error);
  std::set<std::string> tied;
  for (const auto& t : b.store.tied())
    tied.insert(t.name + " = " + b.store.params()[static_cast<std::size_t>(t.index)].name);
  CHECK(tied.size() == 8);
  CHECK(
      tied.contains("text_encoder.encoder.layer.5.crossattention.self.value.weight = "
                    "text_encoder.encoder.layer.4.crossattention.self.value.weight"));
}

TEST_CASE("NLVR2: wrong batches are refused") {
  NlvrBench b;
  auto batch = pair_batch({0, 2, 1});
  CHECK_THROWS_WITH_AS(upload(b.ctx, b.model, batch), "example 1 has label 2, expected 0 to 1",
                       albef::Error);
  batch = pair_batch();
  batch.images.resize(batch.images.size() / 2);
  CHECK_THROWS_WITH_AS(upload(b.ctx, b.model, batch),
                       "got 576 pixel values, expected 6 pictures of 8 x 8 x 3", albef::Error);
}

TEST_CASE("text assignment: the gradient agrees with differences; vision_proj gets none") {
  AssignBench b(2, Storage::training);
  const HostBatch host = random_batch<Micro>(4, 5);
  const albef::TextAssignment given{{0, 2, 3, 0}, {3, 1, 1, 3}, {0, 1, 2, 1}};
  check_gradient(b, [&] {
    return assign_texts(b.ctx, b.model, b.images(host), b.tokens(host.text), {}, {}, &given).loss;
  });
  for (std::size_t i = 0; i < b.store.params().size(); ++i)
    CHECK(b.store.touched(static_cast<int>(i)) ==
          !b.store.params()[i].name.starts_with("vision_proj"));
}

TEST_CASE("text assignment: weights follow the similarities and leave equal pictures out") {
  const std::vector<double> s{1, 0.5, 0.2, 0.5, 1, 0.9, 0.2, 0.9, 1};
  const std::vector<std::int64_t> ids{1, 2, 1};
  const auto w = albef::assignment_weights(std::span<const double>(s), 3, {},
                                           {.temperature = 0.5, .negatives = {.epsilon = 0}});
  const double total = std::exp(2.0) + std::exp(1.0) + std::exp(0.4);
  CHECK(w[0] == 0);
  CHECK(w[1] == doctest::Approx(std::exp(1.0) / total));
  CHECK(w[2] == doctest::Approx(std::exp(0.4) / total));
  CHECK(albef::assignment_weights(std::span<const double>(s), 3, ids)[2] == 0);
  CHECK(albef::assignment_weights(std::span<const double>(s), 3, ids)[1] > 0);
}

TEST_CASE("text assignment: draws") {
  const std::vector<double> weights{0, 1, 3, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0};
  albef::RandomStream random(1, 2);
  int labels[3] = {}, two_of_three[2] = {}, even[4] = {};
  for (int trial = 0; trial < 3000; ++trial) {
    const auto a = albef::draw_assignments(weights, 4, random);
    for (int i = 0; i < 4; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const int first = a.first[at], second = a.second[at], label = a.labels[at];
      ++labels[label];
      REQUIRE(first != second);
      REQUIRE((first == i) == (label == 0));
      REQUIRE((second == i) == (label == 1));
      if (label == 2) continue;
      const int other = label == 0 ? second : first;
      if (i == 0) REQUIRE(other != 3);  // weight 0
      if (i == 0) ++two_of_three[other - 1];
      if (i == 2) ++even[other];  // no weight left: any other
    }
  }
  for (const int n : labels) CHECK(n == doctest::Approx(4000).epsilon(0.06));
  CHECK(two_of_three[1] == doctest::Approx(1500).epsilon(0.08));  // 3 of 4
  CHECK(even[2] == 0);
  for (const int i : {0, 1, 3}) CHECK(even[i] == doctest::Approx(667).epsilon(0.15));
  CHECK_THROWS_WITH_AS(albef::draw_assignments(std::vector<double>(4), 2, random),
                       "[text assignment] a batch of 2 has no two negatives, expected at least 3",
                       albef::Error);
}

}  // namespace nlvr_test
