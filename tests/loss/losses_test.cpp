// Contrastive learning and matching: the loss against its formula, queues, negatives, pairs.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/loss/contrastive.hpp"
#include "albef/loss/matching.hpp"
#include "albef/loss/queue.hpp"
#include "albef/testing/gradcheck.hpp"

using albef::batch_of;
using albef::Cpu;
using albef::Mat;
using Values = std::vector<double>;
using Queue = albef::FeatureQueue<Cpu, double>;

namespace {

constexpr int batch = 3, width = 4;

struct Temperature {
  albef::Param<> temp{albef::init::constant(0.4f)};
  static constexpr void fields(auto& m, auto&& f) { f("temp", m.temp); }
};

Values random_values(int n, std::uint64_t seed) {
  albef::RandomStream random(seed, 4);
  Values out(static_cast<std::size_t>(n));
  for (double& v : out) v = static_cast<double>(random.normal());
  return out;
}
double dot(const double* a, const double* b) {
  double sum = 0;
  for (int i = 0; i < width; ++i) sum += a[i] * b[i];
  return sum;
}
/// softmax(x . [keys; queue] / temp) for one feature.
Values probabilities(const double* x, const Values& keys, const Values& queue, double temp) {
  Values p;
  for (const Values* rows : {&keys, &queue})
    for (std::size_t i = 0; i < rows->size(); i += width)
      p.push_back(std::exp(dot(x, rows->data() + i) / temp));
  double total = 0;
  for (const double v : p) total += v;
  for (double& v : p) v /= total;
  return p;
}
/// One direction of equation 6: mean over the batch of H(target, student).
double direction(const Values& student, const Values& teacher, const Values& keys,
                 const Values& queue, double temp, double alpha) {
  double loss = 0;
  for (std::size_t b = 0; b < batch; ++b) {
    const Values p = probabilities(student.data() + b * width, keys, queue, temp);
    const Values q = probabilities(teacher.data() + b * width, keys, queue, temp);
    for (std::size_t j = 0; j < p.size(); ++j)
      loss -= (alpha * q[j] + (1 - alpha) * (j == b)) * std::log(p[j]) / batch;
  }
  return loss;
}

const Values image_m = random_values(batch * width, 1), text_m = random_values(batch * width, 2);

/// itc_loss of image and text features against fixed momentum features and queues of q rows.
auto itc(int q, double alpha) {
  return [q, alpha](auto& ctx, const auto& m, const auto& image, const auto& text) {
    const auto constant = [&](const Values& v) {
      return ctx.template constant<width>(ctx.upload(v), batch_of(batch));
    };
    const auto queue = [&](std::uint64_t seed) {
      return albef::mat(ctx.upload(random_values(q * width, seed)), q, width);
    };
    const albef::ItcFeatures<double, width> f{
        image, text, constant(image_m), constant(text_m), queue(5), queue(6)};
    return albef::itc_loss(ctx, f, albef::itc_similarities(ctx, f, m.temp), m.temp, alpha);
  };
}

}  // namespace

TEST_CASE("itc_loss: both directions of equation 6, with and without queue and distillation") {
  static constexpr auto model = albef::laid_out<Temperature>();
  Cpu cpu(1);
  albef::ParamStore<Cpu, albef::Fp64> store(cpu, model, albef::Storage::training);
  albef::Context<Cpu, albef::Fp64> ctx(cpu, store);
  const Values image = random_values(batch * width, 3), text = random_values(batch * width, 4);
  const double temp = store.data(albef::Plane::online)[0];
  for (const int q : {0, 5})
    for (const double alpha : {0.0, 0.4}) {
      ctx.begin_step(0);
      const auto loss = itc(q, alpha)(ctx, model, ctx.variable<width>(image, batch_of(batch)),
                                      ctx.variable<width>(text, batch_of(batch)));
      const double expected =
          direction(image, image_m, text_m, random_values(q * width, 6), temp, alpha) / 2 +
          direction(text, text_m, image_m, random_values(q * width, 5), temp, alpha) / 2;
      CHECK(ctx.item(loss) == doctest::Approx(expected).epsilon(1e-12));
    }
}

TEST_CASE("itc_loss: gradients of features and, where targets do not contain it, temperature") {
  CHECK(albef::gradcheck<Cpu>(Temperature{}, itc(5, 0.0), albef::vectors<width>(batch),
                              albef::vectors<width>(batch)));
  // With distillation the targets depend on the temperature too, but take no gradient.
  CHECK(albef::gradcheck<Cpu>(albef::GradcheckOptions{.parameters = false}, Temperature{},
                              itc(5, 0.4), albef::vectors<width>(batch),
                              albef::vectors<width>(batch)));
}

TEST_CASE("symmetric_cross_entropy: the mean of rows and columns with the diagonal as target") {
  const auto clip = [](auto& ctx, const auto&, const auto& image, const auto& text) {
    return albef::symmetric_cross_entropy(ctx, albef::matmul_nt(ctx, image, text),
                                          albef::matmul_nt(ctx, text, image));
  };
  Cpu cpu(1);
  static constexpr auto model = albef::laid_out<albef::NoParameters>();
  albef::ParamStore<Cpu, albef::Fp64> store(cpu, model, albef::Storage::training);
  albef::Context<Cpu, albef::Fp64> ctx(cpu, store);
  const double expected = direction(image_m, image_m, text_m, {}, 1, 0) / 2 +
                          direction(text_m, text_m, image_m, {}, 1, 0) / 2;
  CHECK(ctx.item(clip(ctx, model, ctx.variable<width>(image_m, batch_of(batch)),
                      ctx.variable<width>(text_m, batch_of(batch)))) ==
        doctest::Approx(expected).epsilon(1e-12));
  CHECK(albef::gradcheck<Cpu>(albef::NoParameters{}, clip, albef::vectors<width>(batch),
                              albef::vectors<width>(batch)));
}

namespace {

/// Pushes rows with the values first, first + 1, ... (texts: negative).
void push(Queue& queue, int rows, double first) {
  Values image, text;
  for (int r = 0; r < rows; ++r)
    for (int j = 0; j < queue.width(); ++j) {
      image.push_back(first + r);
      text.push_back(-first - r);
    }
  queue.push(albef::mat(static_cast<const double*>(image.data()), rows, queue.width()),
             albef::mat(static_cast<const double*>(text.data()), rows, queue.width()));
}
Values first_column(Mat<double> m) {
  Values out;
  for (int i = 0; i < m.rows; ++i) out.push_back(m.row(i)[0]);
  return out;
}

}  // namespace

TEST_CASE("as many images as texts") {
  albef::Cpu cpu(1);
  static constexpr auto none = albef::laid_out<albef::NoParameters>();
  albef::ParamStore<albef::Cpu, albef::Fp64> store(cpu, none, albef::Storage::training);
  albef::Context<albef::Cpu, albef::Fp64> ctx(cpu, store);
  const auto features = [&](int n) {
    return ctx.variable<2>(std::vector<double>(static_cast<std::size_t>(2 * n), 0.5),
                           albef::batch_of(n));
  };
  const auto image = features(3), text = features(4);
  CHECK_THROWS_WITH_AS(albef::symmetric_cross_entropy(ctx, albef::matmul_nt(ctx, image, text),
                                                      albef::matmul_nt(ctx, text, image)),
                       "[symmetric_cross_entropy] got 3 images and 4 texts", albef::Error);
  albef::ItcFeatures<double, 2> f;
  f.image = image, f.text = text;
  CHECK_THROWS_WITH_AS(albef::itc_similarities(ctx, f, {}), "[itc] got 3 images and 4 texts",
                       albef::Error);
}

TEST_CASE("queue: starts with different random unit vectors, a function of the seed") {
  Cpu cpu(1);
  Queue a(cpu, 6, width, 1), b(cpu, 6, width, 1), c(cpu, 6, width, 2);
  std::set<double> seen;
  for (const auto& m : {a.image(), a.text()})
    for (int i = 0; i < 6; ++i) {
      CHECK(dot(m.row(i), m.row(i)) == doctest::Approx(1));
      seen.insert(m.row(i)[0]);
    }
  CHECK(seen.size() == 12);
  CHECK(first_column(a.text()) == first_column(b.text()));
  CHECK(first_column(a.text()) != first_column(c.text()));
}

TEST_CASE("queue: a batch wraps around the end") {
  Cpu cpu(1);
  Queue queue(cpu, 5, 2);
  push(queue, 3, 1);
  CHECK(queue.pointer() == 3);
  push(queue, 3, 11);
  CHECK(queue.pointer() == 1);
  CHECK(first_column(queue.image()) == Values{13, 2, 3, 11, 12});
  CHECK(first_column(queue.text()) == Values{-13, -2, -3, -11, -12});
}

TEST_CASE("queue: of a batch larger than the queue the last features stay, in order") {
  Cpu cpu(1);
  Queue queue(cpu, 3, 2);
  push(queue, 2, 1);
  push(queue, 8, 11);  // 16, 17, 18 stay
  CHECK(queue.pointer() == 2);
  CHECK(first_column(queue.image()) == Values{17, 18, 16});
  push(queue, 1, 99);
  CHECK(first_column(queue.image()) == Values{17, 18, 99});  // the oldest went
}

TEST_CASE("queue: what is collected enters at the end of a step, or not at all") {
  Cpu cpu(1);
  Queue queue(cpu, 5, 2);
  push(queue, 4, 1);
  const Values image = first_column(queue.image()), text = first_column(queue.text());
  const auto collect = [&](double first) {
    const Values rows{first, first, first + 1, first + 1};
    const std::vector<std::int64_t> ids{std::int64_t(first), std::int64_t(first) + 1};
    const auto m = albef::mat(rows.data(), 2, 2);
    queue.collect(m, m, ids.data());
  };
  for (const double bad : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    collect(11), collect(21);
    queue.commit(&bad);
    CHECK(queue.pointer() == 4);
    CHECK(first_column(queue.image()) == image);
    CHECK(first_column(queue.text()) == text);
    CHECK(queue.identities()[4] == Queue::no_identity);
  }
  const double good = 3;
  collect(11), collect(21);
  CHECK(first_column(queue.image()) == image);
  queue.commit(&good);
  CHECK(queue.pointer() == 3);
  CHECK(first_column(queue.image()) == Values{12, 21, 22, 4, 11});
  CHECK(queue.identities()[0] == 12);
  CHECK(queue.identities()[4] == 11);
  collect(31), collect(41), collect(51);  // more than there is room for: the last stay
  queue.commit();
  CHECK(queue.pointer() == 4);
  CHECK(first_column(queue.image()) == Values{41, 42, 51, 52, 32});
  queue.commit();
  CHECK(queue.pointer() == 4);
}

TEST_CASE("queue: size 0 and exact fits") {
  Cpu cpu(1);
  Queue none(cpu, 0, 2), two(cpu, 2, 2);
  push(none, 3, 1);
  CHECK(none.image().rows == 0);
  CHECK(none.pointer() == 0);
  push(two, 2, 1);
  CHECK(two.pointer() == 0);
  CHECK(first_column(two.image()) == Values{1, 2});
}

TEST_CASE("negatives and pairs: 3 B pairs with the labels 1, 0, 0") {
  Cpu cpu(1);
  static constexpr auto model = albef::laid_out<albef::NoParameters>();
  albef::ParamStore<Cpu, albef::Fp64> store(cpu, model, albef::Storage::training);
  albef::Context<Cpu, albef::Fp64> ctx(cpu, store);
  ctx.begin_step(0);
  const auto n = albef::draw_negatives(ctx, 4, {}, {}, nullptr, {});
  const auto pairs = albef::itm_pairs(ctx, 4, n);
  REQUIRE(pairs.count == 12);
  for (int b = 0; b < 4; ++b) {
    CHECK(n.image[b] != b);
    CHECK(n.text[b] != b);
    CHECK(pairs.text[b] == b);
    CHECK(pairs.image[b] == b);
    CHECK(pairs.text[4 + b] == b);
    CHECK(pairs.image[4 + b] == n.image[b]);
    CHECK(pairs.text[8 + b] == n.text[b]);
    CHECK(pairs.image[8 + b] == b);
    CHECK(pairs.labels[b] == 1);
    CHECK(pairs.labels[4 + b] + pairs.labels[8 + b] == 0);
  }
  CHECK_THROWS_WITH_AS(albef::draw_negatives(ctx, 1, {}, {}, nullptr, {}),
                       "[itm] a batch of 1 pair has no negatives, expected at least 2",
                       albef::Error);
}

TEST_CASE("hard negatives prefer the most similar") {
  Cpu cpu(1);
  static constexpr auto model = albef::laid_out<albef::NoParameters>();
  albef::ParamStore<Cpu, albef::Fp64> store(cpu, model, albef::Storage::training);
  albef::Context<Cpu, albef::Fp64> ctx(cpu, store);
  Values similarities(4 * 6, 0.0);
  for (std::size_t i = 0; i < 4; ++i) similarities[i * 6 + (i + 1) % 4] = 30;
  const auto m = albef::mat(static_cast<const double*>(similarities.data()), 4, 6);
  for (std::uint64_t step = 0; step < 20; ++step) {
    ctx.begin_step(step);
    const auto n = albef::draw_negatives(ctx, 4, m, m, nullptr, {.epsilon = 0});
    for (int b = 0; b < 4; ++b) {
      CHECK(n.image[b] == (b + 1) % 4);
      CHECK(n.text[b] == (b + 1) % 4);
    }
  }
}

TEST_CASE("plateaus: the losses of models that have learned nothing") {
  CHECK(albef::itm_plateau() == doctest::Approx(0.636514));  // entropy of (1/3, 2/3)
  CHECK(albef::itc_plateau(32, 4) == doctest::Approx(std::log(36.0)));
  const double entropy = -(std::log(1.0 / 3) / 3 + std::log(2.0 / 3) * 2 / 3);
  CHECK(albef::itm_plateau() == doctest::Approx(entropy));
}
