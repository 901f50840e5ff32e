// Visual entailment and the classifier's loss.
#include "albef/tasks/ve.hpp"

#include "../models/micro.hpp"

namespace ve_test {

using namespace model_test;
using Model = albef::AlbefVe<Micro>;
using VeBench = Bench<Micro, Fp64, Model>;

namespace {

albef::ClassBatch class_batch(int pairs, std::vector<std::int32_t> labels) {
  const HostBatch host = random_batch<Micro>(pairs, 3);
  albef::ClassBatch out;
  out.size = pairs;
  out.image_size = Micro::image_res;
  out.images = host.pixels;
  out.text = host.text;
  out.labels = std::move(labels);
  return out;
}
const albef::ClassBatch host = class_batch(3, {2, 0, 1});

auto loss(VeBench& b, double alpha) {
  return classify(b.ctx, b.model, upload(b.ctx, b.model, host), alpha).loss;
}

}  // namespace

TEST_CASE("visual entailment: the gradient agrees with differences, with and without teacher") {
  VeBench b;
  check_gradient(b, [&] { return loss(b, 0.4); });
  VeBench alone(2, Storage::training);  // alpha 0 needs no momentum weights
  check_gradient(alone, [&] { return loss(alone, 0); });
}

TEST_CASE("visual entailment: the loss mixes labels and the momentum model's opinion") {
  VeBench b;
  b.ctx.begin_step(0);
  const auto in = upload(b.ctx, b.model, host);
  const auto rows = [&](Plane plane) {
    return b.ctx.frozen(plane, [&] { return b.ctx.read(b.model.logits(b.ctx, in)); });
  };
  const auto student = rows(Plane::online), teacher = rows(Plane::ema);
  double expected = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    double total = 0, teacher_total = 0;
    for (std::size_t c = 0; c < 3; ++c) {
      total += std::exp(student[3 * i + c]);
      teacher_total += std::exp(teacher[3 * i + c]);
    }
    for (std::size_t c = 0; c < 3; ++c) {
      const double target = 0.4 * std::exp(teacher[3 * i + c]) / teacher_total +
                            (static_cast<int>(c) == host.labels[i] ? 0.6 : 0.0);
      expected -= target * (student[3 * i + c] - std::log(total)) / 3;
    }
  }
  CHECK(b.ctx.item(loss(b, 0.4)) == doctest::Approx(expected).epsilon(1e-12));
}

TEST_CASE("visual entailment: hypotheses about one picture share it") {
  VeBench b;
  auto batch = class_batch(5, {2, 0, 1, 1, 0});
  batch.images.resize(batch.images.size() / 5 * 2);
  batch.image_of = {1, 0, 0, 1, 1};
  check_sharing(b, batch, [&](const albef::ClassBatch& in) {
    return classify(b.ctx, b.model, upload(b.ctx, b.model, in), 0.4).loss;
  });
}

TEST_CASE("visual entailment: batches that do not fit together are refused") {
  VeBench b;
  const auto refused = [&](const albef::ClassBatch& batch, const char* message) {
    CHECK_THROWS_WITH_AS(upload(b.ctx, b.model, batch), message, albef::Error);
  };
  refused(class_batch(3, {0, 3, 1}), "example 1 has label 3, expected 0 to 2");
  refused(class_batch(3, {0, 1}), "got 2 labels for 3 examples");
  auto batch = host;
  batch.images.pop_back();
  batch.image_size = 0;
  refused(batch, "the batch has pictures of 0 pixels");
  batch.image_size = Micro::image_res;
  refused(batch, "got 575 pixel values, expected 3 pictures of 8 x 8 x 3");
  batch = host;
  batch.text.add(std::vector<std::int32_t>{2, 5});
  refused(batch, "got 4 texts for 3 examples");
  batch = host;
  batch.image_of = {0, 1};
  refused(batch, "got 2 numbers of pictures, expected 3");
  batch.image_of = {0, 3, 1};
  refused(batch, "an example shows picture 3 of 3");
  batch = host;
  batch.labels.clear();
  CHECK(upload(b.ctx, b.model, batch).labels == nullptr);  // only asked
}

}  // namespace ve_test
