// ALBEF's pre-training step: the objectives alone and together, the rows of the paper's ablation,
// who receives gradients, and that results depend neither on threads nor on checkpointing.
#include <array>

#include "../models/micro.hpp"
#include "albef/optim/adamw.hpp"

namespace pretrain_test {

using namespace model_test;
using albef::AdamW;
using albef::AlbefObjectives;
using albef::Distill;
using albef::Hard;
using albef::Itc;
using albef::Itm;
using albef::Mlm;
using albef::Pretrain;
using albef::Uniform;

namespace {

const HostBatch host = random_batch<Micro>(4, 1);
constexpr std::array<std::int32_t, 4> negative_image{1, 2, 3, 0}, negative_text{3, 0, 1, 2};

/// Losses of one pass with given negatives, and the gradient.
struct Pass {
  double loss = 0, itc = 0, itm = 0, mlm = 0;
  std::vector<double> gradient;
};

template <class Objectives>
Pass run(Bench<Micro>& b, double alpha, const albef::PretrainOptions& options = {}) {
  b.store.clear_gradients();
  std::fill_n(b.store.data(Plane::grad), b.store.size(), 0.0);
  b.ctx.begin_step(0);
  auto batch = upload<Micro>(b.ctx, host);
  batch.negatives.image = negative_image.data();
  batch.negatives.text = negative_text.data();
  const auto r = Objectives{options}(b.ctx, b.model, batch, b.queue, alpha);
  b.ctx.backward(r.loss);
  const auto value = [&](const auto& t) { return t.data ? b.ctx.item(t) : 0.0; };
  return {value(r.loss), value(r.loss_itc), value(r.loss_itm), value(r.loss_mlm),
          b.plane(Plane::grad)};
}

/// Central difference of the loss along a random direction in the weights.
template <class Objectives>
double slope(Bench<Micro>& b, const std::vector<double>& direction, double alpha) {
  const auto start = b.plane(Plane::online);
  const auto loss = [&](double h) {
    for (std::size_t i = 0; i < start.size(); ++i)
      b.store.data(Plane::online)[i] = start[i] + h * direction[i];
    b.ctx.begin_step(0);
    return b.ctx.no_grad([&] {
      auto batch = upload<Micro>(b.ctx, host);
      batch.negatives.image = negative_image.data();
      batch.negatives.text = negative_text.data();
      return b.ctx.item(Objectives{}(b.ctx, b.model, batch, b.queue, alpha).loss);
    });
  };
  constexpr double h = 1e-4;
  const double result = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h);
  std::copy(start.begin(), start.end(), b.store.data(Plane::online));
  return result;
}

/// A few training steps in single precision with dropout on.
struct Trained {
  std::vector<float> weights, teacher, losses, image_queue;
};
template <class Objectives>
Trained train(int threads, bool checkpointing, std::uint64_t first_step = 0) {
  Bench<Nano, Fp32> b(threads);
  b.ctx.set_dropout(true);
  b.ctx.set_checkpointing(checkpointing);
  AdamW adamw{{.max_norm = 5}};
  Trained out;
  for (std::uint64_t step = first_step; step < first_step + 3; ++step) {
    const HostBatch data = random_batch<Nano>(6, step, 12);
    b.ctx.begin_step(step);
    const auto batch = upload<Nano>(b.ctx, data);
    const auto r = Objectives{}(b.ctx, b.model, batch, b.queue, 0.4);
    b.ctx.backward(r.loss);
    out.losses.push_back(b.ctx.item(r.loss));
    if (r.image_m.data) b.queue.push(r.image_m.mat(), r.text_m.mat());
    adamw.step(b.store, 1e-3, 1, 0.9);
  }
  out.weights = b.plane(Plane::online);
  out.teacher = b.plane(Plane::ema);
  const auto queue = b.queue.image();
  out.image_queue.assign(queue.data, queue.data + 5 * Nano::embed_dim);
  return out;
}
bool bit_equal(const Trained& a, const Trained& b) {
  return model_test::bit_equal(a.weights, b.weights) &&
         model_test::bit_equal(a.teacher, b.teacher) && model_test::bit_equal(a.losses, b.losses) &&
         model_test::bit_equal(a.image_queue, b.image_queue);
}

}  // namespace

TEST_CASE("objectives alone and together give the same losses; the loss is their sum") {
  Bench<Micro> b;
  const Pass all = run<AlbefObjectives>(b, 0.4);
  CHECK(all.loss == doctest::Approx(all.itc + all.itm + all.mlm).epsilon(1e-14));
  const Pass itc = run<Pretrain<Itc<Distill>>>(b, 0.4), itm = run<Pretrain<Itm<Uniform>>>(b, 0.4),
             mlm = run<Pretrain<Mlm<Distill>>>(b, 0.4);
  CHECK(itc.itc == doctest::Approx(all.itc).epsilon(1e-13));
  CHECK(itm.itm == doctest::Approx(all.itm).epsilon(1e-13));
  CHECK(mlm.mlm == doctest::Approx(all.mlm).epsilon(1e-13));
  CHECK(itc.mlm == 0);
  auto sum = itc.gradient;
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += itm.gradient[i] + mlm.gradient[i];
  CHECK(deviation(sum, all.gradient) < 1e-11);
}

TEST_CASE("without distillation, and with alpha 0, targets are the labels alone") {
  Bench<Micro> b;
  const Pass distilled = run<AlbefObjectives>(b, 0.4), off = run<AlbefObjectives>(b, 0.0);
  const Pass plain = run<Pretrain<Itc<>, Itm<Hard>, Mlm<>>>(b, 0.4);
  CHECK(off.loss == plain.loss);
  CHECK(off.gradient == plain.gradient);
  CHECK(distilled.itc != plain.itc);
  CHECK(distilled.mlm != plain.mlm);
  CHECK(distilled.itm == plain.itm);
}

TEST_CASE("the gradient of the full objective agrees with differences") {
  Bench<Micro> b;
  const Pass pass = run<AlbefObjectives>(b, 0.4);
  albef::RandomStream random(8, 8);
  for (int trial = 0; trial < 3; ++trial) {
    std::vector<double> direction(pass.gradient.size());
    double along = 0;
    for (std::size_t i = 0; i < direction.size(); ++i) {
      direction[i] = static_cast<double>(random.normal());
      along += direction[i] * pass.gradient[i];
    }
    // The temperature (parameter 0) enters as 1 / temp and is as small as the steps.
    along -= direction[0] * pass.gradient[0];
    direction[0] = 0;
    // Targets of the momentum model depend on the temperature only, not on other weights.
    CHECK(slope<AlbefObjectives>(b, direction, 0.4) == doctest::Approx(along).epsilon(1e-6));
  }
}

TEST_CASE("the gradient of the temperature, whose targets are constant") {
  Bench<Micro> b;
  const Pass pass = run<Pretrain<Itc<>>>(b, 0);
  std::vector<double> direction(pass.gradient.size());
  direction[0] = 0.01;
  CHECK(slope<Pretrain<Itc<>>>(b, direction, 0) ==
        doctest::Approx(0.01 * pass.gradient[0]).epsilon(1e-7));
}

TEST_CASE("the momentum model receives no gradient and its weights do not change in a pass") {
  Bench<Micro> b;
  const auto teacher = b.plane(Plane::ema), online = b.plane(Plane::online);
  const Pass pass = run<AlbefObjectives>(b, 0.4);
  CHECK(b.plane(Plane::ema) == teacher);
  CHECK(b.plane(Plane::online) == online);
  // With the image encoder's output cut off by zero weights downstream, nothing reaches it: the
  // teacher's path through the same encoder adds nothing.
  for (const auto& p : b.store.params())
    if (p.name.starts_with("vision_proj"))
      std::fill_n(b.store.data(Plane::online) + p.offset, p.size, p.shape.size() == 1 ? 0.1 : 0.0);
  const Pass cut = run<Pretrain<Itc<Distill>>>(b, 0.4);
  const auto& qkv = b.store.find("visual_encoder.blocks.0.attn.qkv.weight");
  const auto largest = [&](const Pass& p) {
    double m = 0;
    for (std::int64_t i = 0; i < qkv.size; ++i)
      m = std::max(m, std::abs(p.gradient[static_cast<std::size_t>(qkv.offset + i)]));
    return m;
  };
  CHECK(largest(pass) > 1e-6);
  CHECK(largest(cut) == 0);
}

TEST_CASE("the teacher's dropout is off unless asked for") {
  Bench<Micro> b;
  b.ctx.set_dropout(true);
  const auto features = [&](bool dropout) {
    b.ctx.begin_step(0);
    const auto batch = upload<Micro>(b.ctx, host);
    const Pretrain<Itc<Distill>> objective{{.negatives = {}, .teacher_dropout = dropout}};
    return b.ctx.read(objective(b.ctx, b.model, batch, b.queue, 0.4).text_m);
  };
  const auto with = features(true), without = features(false);
  b.ctx.set_dropout(false);
  CHECK(features(true) == without);
  CHECK(with != without);
}

TEST_CASE("the temperature is clamped before it is used") {
  Bench<Micro> b;
  for (const auto& [value, expected] : {std::pair{7.0, 0.5}, {-1.0, 0.001}, {0.2, 0.2}}) {
    b.store.data(Plane::online, b.model.temp)[0] = value;
    run<Pretrain<Itc<>>>(b, 0);
    CHECK(b.store.data(Plane::online, b.model.temp)[0] == doctest::Approx(expected));
  }
}

TEST_CASE("hard negatives come from the similarities of the batch, never the pair itself") {
  Bench<Micro> b;
  b.ctx.begin_step(3);
  auto batch = upload<Micro>(b.ctx, host);
  const std::vector<std::int64_t> identities{7, 8, 7, 9};
  batch.identities = identities.data();
  const auto r =
      AlbefObjectives{{.negatives = {.epsilon = 0}}}(b.ctx, b.model, batch, b.queue, 0.4);
  for (std::size_t i = 0; i < 4; ++i)
    for (const auto* index : {r.negatives.image, r.negatives.text}) {
      CHECK(index[i] >= 0);
      CHECK(index[i] < 4);
      CHECK(identities[static_cast<std::size_t>(index[i])] != identities[i]);
    }
  CHECK(r.negatives.image_weights.row(0)[0] == 0);
  CHECK(r.negatives.image_weights.row(0)[2] == 0);
  CHECK(r.negatives.image_weights.row(0)[1] > 0);
  const auto off = AlbefObjectives{{.negatives = {.epsilon = 0, .exclude_same_identity = false}}}(
      b.ctx, b.model, batch, b.queue, 0.4);
  CHECK(off.negatives.image_weights.row(0)[2] > 0);
}

TEST_CASE("ITM refuses a batch of one pair; images and texts must agree in number") {
  Bench<Micro> b;
  const HostBatch one = random_batch<Micro>(1, 1);
  CHECK_THROWS_WITH_AS(
      Pretrain<Itm<Uniform>>{}(b.ctx, b.model, upload<Micro>(b.ctx, one), b.queue, 0),
      "[itm] a batch of 1 pair has no negatives, expected at least 2", albef::Error);
  auto batch = upload<Micro>(b.ctx, host);
  batch.image = b.images(one);
  CHECK_THROWS_WITH_AS(AlbefObjectives{}(b.ctx, b.model, batch, b.queue, 0),
                       "[pretrain] got 1 images and 4 texts", albef::Error);
}

TEST_CASE("a batch without masked tokens has an MLM loss of 0 and still trains") {
  Bench<Micro> b;
  HostBatch unmasked = host;
  unmasked.masked.rows.clear();
  unmasked.masked.labels.clear();
  unmasked.masked.offsets.assign(5, 0);
  unmasked.masked.text = host.text;
  b.ctx.begin_step(0);
  const auto r = AlbefObjectives{}(b.ctx, b.model, upload<Micro>(b.ctx, unmasked), b.queue, 0.4);
  b.ctx.backward(r.loss);
  CHECK(b.ctx.item(r.loss_mlm) == 0);
  for (const double g : b.plane(Plane::grad)) REQUIRE(std::isfinite(g));
}

TEST_CASE_TEMPLATE("each row of the paper's ablation trains, and twice to the same bits",
                   Objectives, Pretrain<Itm<Uniform>, Mlm<>>, Pretrain<Itc<>, Itm<Uniform>, Mlm<>>,
                   Pretrain<Itc<>, Itm<Hard>, Mlm<>>, Pretrain<Itc<Distill>, Itm<Hard>, Mlm<>>,
                   Pretrain<Itc<Distill>, Itm<Hard>, Mlm<Distill>>) {
  const Trained once = train<Objectives>(2, false);
  for (const float loss : once.losses) CHECK(std::isfinite(loss));
  CHECK(bit_equal(once, train<Objectives>(2, false)));
  CHECK_FALSE(model_test::bit_equal(once.weights, train<Objectives>(2, false, 7).weights));
}

TEST_CASE("the number of threads and checkpointing do not change a bit") {
  const Trained one = train<AlbefObjectives>(1, false);
  CHECK(bit_equal(one, train<AlbefObjectives>(2, false)));
  CHECK(bit_equal(one, train<AlbefObjectives>(3, false)));
  CHECK(bit_equal(one, train<AlbefObjectives>(2, true)));
}

}  // namespace pretrain_test
