// The context: tape, switches, streams, memory, checkpointing.
#include "albef/core/context.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "albef/cpu.hpp"
#include "albef/models/config.hpp"
#include "albef/nn/block.hpp"
#include "albef/nn/linear.hpp"
#include "albef/ops/elementwise.hpp"
#include "albef/ops/gather.hpp"
#include "albef/testing/gradcheck.hpp"

namespace context_test {

using albef::batch_of;
using albef::Cpu;
using albef::Plane;
using albef::Sequences;
using albef::Storage;
using Store = albef::ParamStore<Cpu, albef::Fp64>;
using Ctx = albef::Context<Cpu, albef::Fp64>;
using Values = std::vector<double>;

namespace {

using Layer = albef::Linear<3, 3>;
constexpr auto layer = albef::laid_out<Layer>();

struct Bench {
  Cpu cpu{2};
  Store store{cpu, layer, Storage::momentum};
  Ctx ctx{cpu, store};
  Bench() { ctx.begin_step(0); }
  auto input(const Values& v) {
    return ctx.variable<3>(v, batch_of(static_cast<int>(v.size()) / 3));
  }
  /// A loss that is the sum of all values.
  template <class T>
  auto sum(const T& t) {
    return weighted_sum(ctx, t, ctx.upload(Values(static_cast<std::size_t>(t.size()), 1.0)));
  }
};

const Values three{1, 2, 3}, six{1, 2, 3, 4, 5, 6};

/// Two layers with dropout, each called through checkpoint().
struct Blocks {
  albef::BertLayer<8, 2, 16> first{albef::init::normal(0.02f), 0.3f},
      second{albef::init::normal(0.02f), 0.3f};
  static constexpr void fields(auto& m, auto&& f) {
    f("first", m.first);
    f("second", m.second);
  }
  auto operator()(auto& ctx, const auto& x) const {
    auto h = ctx.checkpoint(x, [c = &ctx, l = &first](const auto& t) { return (*l)(*c, t); });
    h = dropout(ctx, h, 0.2f);
    h = ctx.checkpoint(h, [c = &ctx, l = &second](const auto& t) { return (*l)(*c, t); });
    h = ctx.checkpoint(h, [c = &ctx, l = &second](const auto& t) { return (*l)(*c, t); });
    return add(ctx, h, x);
  }
};
constexpr auto blocks = albef::laid_out<Blocks>();

}  // namespace

TEST_CASE("a value used twice collects both gradients, a value not used gets none") {
  Bench b;
  const auto x = b.input(three), unused = b.input(three);
  b.ctx.backward(b.sum(add(b.ctx, add(b.ctx, x, x), x)));
  CHECK(b.ctx.gradient(x) == Values{3, 3, 3});
  CHECK(b.ctx.gradient(unused) == Values{0, 0, 0});
}

TEST_CASE("backward takes a scale; two backward passes add up in the store") {
  Bench b;
  const auto gradient = [&] {
    const double* g = b.store.data(Plane::grad);
    return Values(g, g + b.store.size());
  };
  b.ctx.backward(b.sum(layer(b.ctx, b.input(six))));
  const Values once = gradient();
  CHECK(b.store.touched(layer.weight.index));
  CHECK(once[0] == 1 + 4);
  CHECK(once[static_cast<std::size_t>(layer.bias.offset)] == 2);
  b.ctx.begin_step(1);
  b.ctx.backward(b.sum(layer(b.ctx, b.input(six))), 2.0);
  for (std::size_t i = 0; i < once.size(); ++i) CHECK(gradient()[i] == 3 * once[i]);
  b.store.clear_gradients();
  b.ctx.begin_step(2);
  b.ctx.backward(b.sum(layer(b.ctx, b.input(six))));
  CHECK(gradient() == once);
}

TEST_CASE("nothing is recorded in no_grad and frozen, and the switches return") {
  Bench b;
  auto& ctx = b.ctx;
  ctx.set_dropout(true);
  const auto x = b.input(three);
  double* ema = b.store.data(Plane::ema);
  std::fill(ema, ema + b.store.size(), 1.0);
  const auto teacher = ctx.frozen(Plane::ema, [&] {
    CHECK_FALSE(ctx.recording());
    CHECK_FALSE(ctx.dropout());
    return layer(ctx, x);
  });
  CHECK(ctx.recording());
  CHECK(ctx.dropout());
  CHECK(ctx.read(teacher) == Values{7, 7, 7});  // 1 + 2 + 3 + 1
  CHECK(teacher.id == -1);
  CHECK(ctx.weight(layer.weight) == b.store.data(Plane::online));
  ctx.frozen(
      Plane::ema, [&] { CHECK(ctx.dropout()); }, true);
  ctx.no_grad([&] {
    CHECK_FALSE(ctx.recording());
    CHECK(ctx.dropout());
    CHECK(ctx.weight(layer.weight) == b.store.data(Plane::online));
  });
  CHECK_THROWS_AS(ctx.no_grad([&] { albef::fail("thrown inside"); }), albef::Error);
  CHECK(ctx.recording());
}

TEST_CASE("a loss that depends on nothing that takes a gradient is refused") {
  Bench b;
  const auto c = b.ctx.constant<3>(three.data(), batch_of(1));
  CHECK_THROWS_WITH_AS(b.ctx.backward(b.sum(c)),
                       "[backward] the loss depends on nothing that takes a gradient",
                       albef::Error);
  // In a store without gradients, parameters take none.
  Store store(b.cpu, layer, Storage::inference);
  Ctx ctx(b.cpu, store);
  const auto y = layer(ctx, ctx.constant<3>(three.data(), batch_of(1)));
  CHECK_THROWS_AS(ctx.backward(weighted_sum(ctx, y, three.data())), albef::Error);
}

TEST_CASE("a gradient reaches inputs of a store without gradients") {
  Bench b;
  Store store(b.cpu, layer, Storage::inference);
  Ctx ctx(b.cpu, store);
  const auto x = ctx.variable<3>(three, batch_of(1));
  ctx.backward(weighted_sum(ctx, layer(ctx, x), Values{1, 0, 0}.data()));
  const double* w = store.data(Plane::online);
  CHECK(ctx.gradient(x) == Values{w[0], w[1], w[2]});
}

TEST_CASE("watch: the gradient of a value in between, also where nothing before it takes one") {
  Bench b;
  Store inference(b.cpu, layer, Storage::inference);
  Ctx ctx(b.cpu, inference);
  ctx.begin_step(0);
  const auto run = [&](auto& c) {
    const auto x = c.no_grad([&] { return c.template variable<3>(six, batch_of(2)); });
    const auto y = c.no_grad([&] { return layer(c, x); });
    CHECK_THROWS_WITH_AS(c.watch(y),
                         "[watch] the tensor is a constant or was computed without recording",
                         albef::Error);
    const auto z = add(c, y, y);  // also where the gradient could be handed on
    c.watch(z);
    c.backward(weighted_sum(c, add(c, z, y), c.upload(six)));
    return c.gradient(z);
  };
  CHECK(run(ctx) == six);
  CHECK(run(b.ctx) == six);
}

TEST_CASE("scoped: nothing is recorded, and memory is used again") {
  Bench b;
  const auto x = b.input(six);
  const auto run = [&] {
    return b.ctx.scoped([&] {
      CHECK_FALSE(b.ctx.recording());
      const auto y = layer(b.ctx, x);
      return std::pair{b.ctx.read(y), y.data};
    });
  };
  const auto first = run(), second = run();
  CHECK(first == second);
  CHECK(b.ctx.recording());
  CHECK(b.ctx.read(x) == six);
}

TEST_CASE("variable refuses a wrong number of values") {
  Bench b;
  CHECK_THROWS_WITH_AS(b.ctx.variable<3>(six, batch_of(3)), "[variable] got 6 values, expected 9",
                       albef::Error);
}

TEST_CASE("streams: the same in every run of a step, different within it and between steps") {
  Bench b;
  const auto draw = [&](std::uint64_t step) {
    b.ctx.begin_step(step);
    const auto next = [&] { return b.ctx.philox().resolve(b.ctx.next_stream()); };
    const auto first = next();
    return std::vector{first, next()};
  };
  const auto first = draw(3);
  CHECK(first[0] != first[1]);
  CHECK(draw(3) == first);
  CHECK(draw(4)[0] != first[0]);
}

TEST_CASE("begin_step recycles memory: the same addresses and size in every warm step") {
  Bench b;
  const auto run = [&](std::uint64_t step) {
    b.ctx.begin_step(step);
    auto x = b.ctx.variable<3>(Values(300000, 0.5), batch_of(100000));
    for (int i = 0; i < 5; ++i) x = layer(b.ctx, x);
    const double* at = x.data;
    b.ctx.backward(b.sum(x));
    return at;
  };
  run(0);
  run(1);
  const double* at = run(2);
  const auto memory = b.ctx.memory();
  for (std::uint64_t step = 3; step < 6; ++step) CHECK(run(step) == at);
  CHECK(b.ctx.memory() == memory);
}

TEST_CASE("checkpointing: bit-equal values and gradients, with dropout, in less memory") {
  Cpu cpu(2);
  struct Result {
    Values y, dx, gradients;
    std::size_t memory;
  };
  albef::RandomStream random(5, 0);
  const Sequences seq = albef::uniform_sequences(3, 700);
  Values input(3 * 700 * 8), weights(input.size());
  for (Values* v : {&input, &weights})
    for (double& x : *v) x = static_cast<double>(random.normal());
  const auto run = [&](bool checkpointing) {
    Store store(cpu, blocks, Storage::training);
    Ctx ctx(cpu, store);
    ctx.set_dropout(true);
    ctx.set_checkpointing(checkpointing);
    Result r;
    for (std::uint64_t step = 0; step < 3; ++step) {  // gradients add up over steps
      ctx.begin_step(step);
      const auto x = ctx.variable<8>(input, seq);
      const auto y = blocks(ctx, x);
      ctx.backward(weighted_sum(ctx, y, weights.data()));
      r.y = ctx.read(y), r.dx = ctx.gradient(x);
    }
    r.gradients.assign(store.data(Plane::grad), store.data(Plane::grad) + store.size());
    r.memory = ctx.memory();
    return r;
  };
  const Result plain = run(false), saved = run(true);
  CHECK(plain.y == saved.y);
  CHECK(plain.dx == saved.dx);
  CHECK(plain.gradients == saved.gradients);
  CHECK(saved.memory < plain.memory);
}

TEST_CASE("checkpointing: gradients by differences") {
  CHECK(albef::gradcheck<Cpu>(albef::GradcheckOptions{.dropout = true, .checkpointing = true},
                              Blocks{}, albef::ragged<8>({3, 1, 4})));
}

TEST_CASE("gradcheck notices a wrong gradient and names the place") {
  const auto wrong = [](auto& ctx, const auto&, const auto& x) {
    const auto y = ctx.like(x);
    run(ctx.device(),
        albef::primitive::Scale<double>{.x = x.mat(), .s = ctx.upload(Values{2.0}), .y = y.mat()});
    ctx.record(y, ctx.from(x), [x, y](auto& bwd) {  // forgets the factor 2 in row 0
      bwd.into(x, [&](auto dx, double beta) {
        run(bwd.device(), albef::primitive::Add<double>{.x = bwd.grad(y), .y = dx, .beta = beta});
        for (int i = 1; i < dx.rows; ++i)
          for (int j = 0; j < dx.cols; ++j) dx.row(i)[j] *= 2;
      });
    });
    return y;
  };
  const auto result = albef::gradcheck<Cpu>(albef::NoParameters{}, wrong, albef::vectors<2>(2));
  CHECK_FALSE(result);
  CHECK(result.worst > 1e5);
  INFO(result.message);
  CHECK((result.message.starts_with("input 0[") ||
         result.message.starts_with("input 0 used twice[")));
}

}  // namespace context_test
