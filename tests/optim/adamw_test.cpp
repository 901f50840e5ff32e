// AdamW over a store: groups, step counts, clipping, and the moving average in the same pass.
#include "albef/optim/adamw.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "albef/core/param.hpp"
#include "albef/cpu/memory.hpp"
#include "albef/cpu/optimizer.hpp"

using albef::AdamW;
using albef::Cpu;
using albef::Param;
using albef::Plane;
using albef::Storage;

namespace {

struct Model {
  Param<3, 2> weight{albef::init::normal(1)};
  Param<3> bias{albef::init::normal(1)};
  Param<> scale{albef::init::constant(2)};
  Param<4, 2> other{albef::init::normal(1)};
  static constexpr void fields(auto& m, auto&& f) {
    f("weight", m.weight);
    f("bias", m.bias);
    f("scale", m.scale);
    f("other", m.other);
  }
};
constexpr auto model = albef::laid_out<Model>();
using Store = albef::ParamStore<Cpu, albef::Fp64>;
using Values = std::vector<double>;

/// A device that counts how often the host waits for its values.
struct CountingCpu : Cpu {
  using Cpu::Cpu;
  int waits = 0;
};
template <class T>
void copy_to_host(CountingCpu& cpu, T* to, const T* from, std::int64_t n) {
  ++cpu.waits;
  copy_to_host(static_cast<Cpu&>(cpu), to, from, n);
}

struct Bench {
  Cpu cpu{1};
  Store store{cpu, model, Storage::momentum};

  /// Puts the gradient i + 1 at element i of a parameter.
  void set_gradient(const albef::ParamSpan& p) {
    store.touch(p);
    for (std::int64_t i = 0; i < p.size; ++i)
      store.data(Plane::grad, p)[i] = static_cast<double>(i + 1);
  }
  Values plane(Plane p) const { return {store.data(p), store.data(p) + store.size()}; }
  Values plane(Plane p, const albef::ParamSpan& s) const {
    return {store.data(p, s), store.data(p, s) + s.size};
  }
};

}  // namespace

TEST_CASE("a first step moves by lr against the gradient; decay only where it applies") {
  Bench b;
  const Values before = b.plane(Plane::online);
  for (const albef::ParamSpan p : {albef::ParamSpan(model.weight), albef::ParamSpan(model.bias),
                                   albef::ParamSpan(model.scale)})
    b.set_gradient(p);
  AdamW adamw{{.weight_decay = 0.5}};
  const albef::GradientNorm norm = adamw.step(b.store, 0.1);
  CHECK(norm.read(b.cpu) > 0);  // also without clipping
  const Values after = b.plane(Plane::online);
  for (std::size_t i = 0; i < 10; ++i) {
    const bool decays = i < 6 || i == 9;  // the matrix and the scalar, not the bias
    CHECK(after[i] == doctest::Approx(before[i] * (decays ? 0.95 : 1) - 0.1));
  }
}

TEST_CASE("a parameter without gradient stays as it is, and so does its step count") {
  Bench b;
  AdamW adamw;
  const Values other = b.plane(Plane::online, model.other);
  for (int t = 0; t < 3; ++t) {
    b.set_gradient(model.weight);
    if (t == 2) b.set_gradient(model.other);
    adamw.step(b.store, 0.1);
    CHECK_FALSE(b.store.touched(model.weight.index));
    if (t < 2) CHECK(b.plane(Plane::online, model.other) == other);
  }
  CHECK(adamw.steps() == std::vector<std::int64_t>{3, 0, 0, 1});
  const Values moved = b.plane(Plane::online, model.other);  // a first step, not a third
  CHECK(moved[0] == doctest::Approx(other[0] * (1 - 0.1 * 0.02) - 0.1));
}

TEST_CASE("options and learning rates that are not finite numbers are refused") {
  const double infinite = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(AdamW({.beta1 = 1}), "AdamW: beta1 is 1, expected at least 0 and below 1",
                       albef::Error);
  for (const double bad : {infinite, std::nan(""), -1.0}) {
    CHECK_THROWS_AS(AdamW({.beta2 = bad}), albef::Error);
    CHECK_THROWS_AS(AdamW({.eps = bad}), albef::Error);
    CHECK_THROWS_AS(AdamW({.weight_decay = bad}), albef::Error);
    CHECK_THROWS_AS(AdamW({.max_norm = bad}), albef::Error);
  }
  Bench b;
  b.set_gradient(model.weight);
  const Values before = b.plane(Plane::online);
  AdamW adamw;
  CHECK_THROWS_WITH_AS(adamw.step(b.store, infinite),
                       "AdamW: the learning rate is inf, expected a finite number", albef::Error);
  CHECK(b.plane(Plane::online) == before);
}

TEST_CASE("clipping: the norm over all gradients, scaled down but never up") {
  const auto run = [](double max_norm, double grad_scale, double* norm) {
    Bench b;
    b.set_gradient(model.weight);
    b.set_gradient(model.bias);
    AdamW adamw{{.max_norm = max_norm}};
    *norm = adamw.step(b.store, 0.1, grad_scale).read(b.cpu);
    return b.plane(Plane::exp_avg, model.weight)[0];
  };
  const double expected = std::sqrt(1.0 + 4 + 9 + 16 + 25 + 36 + 1 + 4 + 9);
  double norm = 0;
  CHECK(run(2, 1, &norm) == doctest::Approx(0.1 * 2 / expected));
  CHECK(norm == doctest::Approx(expected));
  CHECK(run(1000, 1, &norm) == doctest::Approx(0.1));
  CHECK(run(2, 0.5, &norm) == doctest::Approx(0.1 * 2 / expected));
  CHECK(norm == doctest::Approx(expected / 2));
}

TEST_CASE("clipping does not wait for the device; the norm is read when somebody asks") {
  CountingCpu cpu(1);
  albef::ParamStore<CountingCpu, albef::Fp64> store(cpu, model, Storage::training);
  store.touch(model.bias);
  std::fill_n(store.data(Plane::grad, model.bias), 3, 2.0);
  AdamW adamw{{.max_norm = 1}};
  const albef::GradientNorm norm = adamw.step(store, 0.1, 0.5);
  CHECK(cpu.waits == 0);
  CHECK(norm.read(cpu) == doctest::Approx(std::sqrt(3.0)));
  CHECK(cpu.waits == 1);
}

TEST_CASE("grad_scale averages accumulated gradients") {
  Bench a, b;
  a.set_gradient(model.weight);
  b.set_gradient(model.weight);
  for (std::int64_t i = 0; i < 6; ++i) b.store.data(Plane::grad)[i] *= 4;
  AdamW one, two;
  one.step(a.store, 0.1);
  two.step(b.store, 0.1, 0.25);
  CHECK(a.plane(Plane::online) == b.plane(Plane::online));
}

TEST_CASE("the moving average in the optimizer's pass equals a pass of its own") {
  Bench fused, apart;
  AdamW one, two;
  for (int t = 0; t < 4; ++t) {
    for (Bench* b : {&fused, &apart}) {
      b->set_gradient(model.weight);
      if (t % 2 == 0) b->set_gradient(model.bias);  // others have no gradient
    }
    one.step(fused.store, 0.1, 1, 0.9);
    two.step(apart.store, 0.1);
    albef::update_momentum(apart.store, 0.9);
    CHECK(fused.plane(Plane::online) == apart.plane(Plane::online));
    CHECK(fused.plane(Plane::ema) == apart.plane(Plane::ema));
  }
}

TEST_CASE("the average starts as the weights; after a step it has moved by 1 - momentum") {
  Bench b;
  const Values start = b.plane(Plane::online);
  CHECK(b.plane(Plane::ema) == start);
  // The official code averages before the forward pass: with equal weights nothing happens.
  albef::update_momentum(b.store, 0.995);
  for (std::size_t i = 0; i < start.size(); ++i)
    CHECK(b.plane(Plane::ema)[i] == doctest::Approx(start[i]).epsilon(1e-15));
  b.set_gradient(model.weight);
  AdamW{}.step(b.store, 0.1, 1, 0.75);
  const Values weights = b.plane(Plane::online), ema = b.plane(Plane::ema);
  for (std::size_t i = 0; i < start.size(); ++i)
    CHECK(ema[i] == doctest::Approx(0.75 * start[i] + 0.25 * weights[i]));
  b.store.copy_online_to_ema();
  CHECK(b.plane(Plane::ema) == weights);
  b.set_gradient(model.weight);
  AdamW{}.step(b.store, 0.1, 1, 0.0);  // no memory at all
  CHECK(b.plane(Plane::ema) == b.plane(Plane::online));
  CHECK(b.plane(Plane::ema) != weights);
}

TEST_CASE("step counts can be restored: a resumed optimizer goes on bit for bit") {
  Bench a, b;
  AdamW one, two;
  for (int t = 0; t < 2; ++t) {
    a.set_gradient(model.weight);
    one.step(a.store, 0.1, 1, 0.9);
  }
  for (const Plane p : {Plane::online, Plane::exp_avg, Plane::exp_avg_sq, Plane::ema})
    std::copy_n(a.store.data(p), a.store.size(), b.store.data(p));
  two.set_steps(one.steps());
  for (Bench* bench : {&a, &b}) bench->set_gradient(model.weight);
  one.step(a.store, 0.1, 1, 0.9);
  two.step(b.store, 0.1, 1, 0.9);
  CHECK(a.plane(Plane::online) == b.plane(Plane::online));
  CHECK(a.plane(Plane::ema) == b.plane(Plane::ema));
}

TEST_CASE("clipping each parameter by its own norm; groups may have their own limit") {
  Bench b;
  b.set_gradient(model.weight);
  b.set_gradient(model.bias);
  b.set_gradient(model.scale);
  AdamW adamw({.max_norm = 2, .clip_each = true}, {{.name = "bias", .max_norm = 3}}, b.store);
  const double weight = std::sqrt(1.0 + 4 + 9 + 16 + 25 + 36), bias = std::sqrt(14.0);
  const albef::GradientNorm norm = adamw.step(b.store, 0.1, 0.5);
  CHECK(norm.read(b.cpu) == doctest::Approx(std::sqrt(weight * weight + 14 + 1) / 2));
  CHECK(b.plane(Plane::exp_avg, model.weight)[0] == doctest::Approx(0.1 * 2 / weight));
  CHECK(b.plane(Plane::exp_avg, model.bias)[0] == doctest::Approx(0.1 * 0.5));  // 1.87 is below 3
  CHECK(b.plane(Plane::exp_avg, model.scale)[0] == doctest::Approx(0.1 * 0.5));
  b.set_gradient(model.bias);
  adamw.step(b.store, 0.1, 10);
  CHECK(b.plane(Plane::exp_avg, model.bias)[0] == doctest::Approx(0.9 * 0.05 + 0.1 * 3 / bias));
  CHECK(adamw.steps() == std::vector<std::int64_t>{1, 2, 1, 0});
}

TEST_CASE(
    "a step whose gradient is not finite changes nothing, with each parameter's own norm too") {
  Bench b;
  const Values before = b.plane(Plane::online);
  b.set_gradient(model.weight);
  b.set_gradient(model.bias);
  b.store.data(Plane::grad, model.bias)[1] = std::numeric_limits<double>::infinity();
  AdamW adamw({.max_norm = 2, .clip_each = true});
  CHECK_FALSE(std::isfinite(adamw.step(b.store, 0.1).read(b.cpu)));
  CHECK(b.plane(Plane::online) == before);
  CHECK(adamw.steps() == std::vector<std::int64_t>{0, 0, 0, 0});
}

TEST_CASE("a group that is trained from an epoch on: no update, no count; its average moves") {
  Bench b;
  AdamW adamw({.weight_decay = 0}, {{.name = "bias", .first_epoch = 2}}, b.store);
  const Values before = b.plane(Plane::online, model.bias);
  std::fill_n(b.store.data(Plane::ema, model.bias), 3, 0.0);
  for (const double epoch : {0.0, 1.9}) {
    b.set_gradient(model.weight);
    b.set_gradient(model.bias);
    adamw.step(b.store, {.lr = 0.1, .momentum = 0.5, .epoch = epoch});
    CHECK(b.plane(Plane::online, model.bias) == before);
  }
  CHECK(b.plane(Plane::ema, model.bias)[0] == doctest::Approx(0.75 * before[0]));
  CHECK(adamw.steps() == std::vector<std::int64_t>{2, 0, 0, 0});
  b.set_gradient(model.bias);
  adamw.step(b.store, {.lr = 0.1, .epoch = 2});
  CHECK(b.plane(Plane::online, model.bias)[0] == doctest::Approx(before[0] - 0.1));  // a first step
  CHECK(albef::OptimizerGroups{{.name = "bias", .first_epoch = 2}}.describe() ==
        "bias: from epoch 2\n");
}

TEST_CASE("a step's own weight decay is that of what has none of its group's") {
  Bench b;
  AdamW adamw({.weight_decay = 0.5}, {{.name = "other", .weight_decay = 0.25}}, b.store);
  const Values before = b.plane(Plane::online);
  b.set_gradient(model.weight);
  b.set_gradient(model.other);
  adamw.step(b.store, {.lr = 0.1, .weight_decay = 1});
  const Values other = b.plane(Plane::online, model.other);
  const auto start = static_cast<std::size_t>(model.other.offset);
  CHECK(b.plane(Plane::online)[0] == doctest::Approx(before[0] * 0.9 - 0.1));
  CHECK(other[0] == doctest::Approx(before[start] * 0.975 - 0.1));
}
