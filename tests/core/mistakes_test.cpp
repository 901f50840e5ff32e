// Mistakes in composing a model, and the sentence each gives. (Those that do not compile are in
// tests/compile_fail.)
#include <doctest/doctest.h>

#include <vector>

#include "albef/cpu.hpp"
#include "albef/nn/block.hpp"
#include "albef/ops/embedding.hpp"
#include "albef/testing/gradcheck.hpp"

namespace mistakes_test {

using albef::batch_of;
using albef::Cpu;
using albef::laid_out;
using albef::Linear;
using albef::Param;
using albef::Plane;
using albef::Storage;
using Store = albef::ParamStore<Cpu, albef::Fp64>;
using Ctx = albef::Context<Cpu, albef::Fp64>;
using Values = std::vector<double>;

namespace {

using Layer = Linear<3, 3>;
constexpr auto layer = laid_out<Layer>();

struct Bench {
  Cpu cpu{1};
  Store store{cpu, layer, Storage::training};
  Ctx ctx{cpu, store};
  Bench() { ctx.begin_step(0); }
  auto input(int rows = 1) {
    return ctx.variable<3>(Values(static_cast<std::size_t>(3 * rows), 0.5), batch_of(rows));
  }
  template <class T>
  auto sum(const T& t) {
    return weighted_sum(ctx, t, ctx.upload(Values(static_cast<std::size_t>(t.size()), 1.0)));
  }
};

/// Names a parameter twice by two ways of the same name.
struct SameNames {
  Param<2> first, second;
  static constexpr void fields(auto& m, auto&& f) {
    f("weight", m.first);
    f("weight", m.second);
  }
};
struct Forgets {
  Layer layer;
  Param<3> scale;
  double eps = 1e-5;
  static constexpr void fields(auto& m, auto&& f) { f("layer", m.layer); }
};
struct Repeats {
  Param<3> scale;
  static constexpr void fields(auto& m, auto&& f) {
    f("scale", m.scale);
    f("gain", m.scale);
  }
};
/// Holds more than parameters, and says so.
struct Table {
  Param<3> scale;
  std::array<double, 16> table{};
  static constexpr void fields(auto& m, auto&& f) {
    f("scale", m.scale);
    f.other(m.table);
  }
};

struct Pair {
  Layer first, second;
  static constexpr void fields(auto& m, auto&& f) {
    f("first", m.first);
    f("second", m.second);
  }
};

}  // namespace

TEST_CASE("fields() that forget or repeat a member, at run time") {
  CHECK_THROWS_WITH_AS(laid_out(Forgets{}),
                       doctest::Contains("Forgets says nothing of 40 of its bytes, room for a "
                                         "parameter: name every Param and layer"),
                       albef::Error);
  CHECK_THROWS_WITH_AS(laid_out(Repeats{}),
                       doctest::Contains("fields() names a member twice: 'gain', which is "),
                       albef::Error);
  const auto scaled = [](auto& ctx, const auto&, const auto& x) { return add(ctx, x, x); };
  CHECK_THROWS_AS(albef::gradcheck<Cpu>(Forgets{}, scaled, albef::vectors<3>(2)), albef::Error);
  CHECK_THROWS_AS(albef::gradcheck<Cpu>(Repeats{}, scaled, albef::vectors<3>(2)), albef::Error);
}

TEST_CASE("large members without parameters are named with other()") {
  static constexpr auto table = laid_out<Table>();
  Cpu cpu(1);
  const Store store(cpu, table, Storage::inference);
  CHECK(store.params().size() == 1);
  CHECK(laid_out(table).scale.offset == 0);  // laid out again
}

TEST_CASE("two fields of one name") {
  Cpu cpu(1);
  CHECK_THROWS_WITH_AS(Store(cpu, laid_out<SameNames>(), Storage::inference),
                       doctest::Contains("SameNames have the name 'weight'"), albef::Error);
}

TEST_CASE("a model that is not laid out, or another model than the store's") {
  Bench b;
  const auto x = b.input();
  CHECK_THROWS_WITH_AS(
      Layer{}(b.ctx, x),
      "a parameter of 9 values was not laid out: make the model with laid_out<M>()", albef::Error);
  static constexpr auto other = laid_out<Linear<3, 2>>();
  CHECK_THROWS_WITH_AS(other(b.ctx, x),
                       "a parameter of albef::Linear<3, 2> is used with a store of "
                       "albef::Linear<3, 3>",
                       albef::Error);
  CHECK_THROWS_AS(b.store.data(Plane::online, other.bias), albef::Error);
  CHECK_THROWS_AS(b.store.touch(other.bias), albef::Error);
  // A part of a model is no model of its own.
  const auto pair = laid_out(Pair{});
  CHECK_THROWS_WITH_AS(Store(b.cpu, pair.second, Storage::inference),
                       doctest::Contains("weight was laid out as parameter 2 of "), albef::Error);
  CHECK_THROWS_AS(Store(b.cpu, pair.first, Storage::inference), albef::Error);
}

TEST_CASE("parameters of the wrong number of values") {
  Bench b;
  const auto x = b.input();
  CHECK_THROWS_WITH_AS(linear<2>(b.ctx, x, layer.weight, layer.bias),
                       "[linear] weight and bias have 9 and 3 values, expected 6 and 2",
                       albef::Error);
  CHECK_THROWS_WITH_AS(layer_norm(b.ctx, x, layer.weight, layer.bias, 1e-5),
                       "[layer_norm] weight and bias have 9 and 3 values, expected 3",
                       albef::Error);
}

TEST_CASE("a tensor or loss of another context") {
  Bench b;
  Ctx other(b.cpu, b.store);
  const auto x = b.input();
  const auto y = layer(b.ctx, x);
  const auto loss = b.sum(y);
  const char* sentence = "a tensor (or tokens, or rows) of another context is used";
  CHECK_THROWS_WITH_AS(layer(other, x), sentence, albef::Error);
  CHECK_THROWS_WITH_AS(add(other, y, y), sentence, albef::Error);
  CHECK_THROWS_WITH_AS(other.backward(loss), sentence, albef::Error);
  CHECK_THROWS_WITH_AS(other.read(y), sentence, albef::Error);
  const auto constant = b.ctx.constant<3>(y.data, y.seq);  // memory its user answers for
  CHECK(layer(other, constant).rows() == 1);
}

TEST_CASE("a tensor after begin_step, and what indexes the memory of an earlier step") {
  Bench b;
  const auto x = b.input(2);
  const auto y = layer(b.ctx, x);
  const auto loss = b.sum(y);
  const auto rows = first_rows(b.ctx, x.seq);
  b.ctx.begin_step(1);
  b.ctx.begin_step(1);
  const char* sentence =
      "a tensor (or tokens, or rows) of an earlier step is used: begin_step, called 2 times since, "
      "gave its memory to others";
  CHECK_THROWS_WITH_AS(layer(b.ctx, y), sentence, albef::Error);
  CHECK_THROWS_WITH_AS(b.ctx.backward(loss), sentence, albef::Error);
  CHECK_THROWS_WITH_AS(b.ctx.item(loss), sentence, albef::Error);
  CHECK_THROWS_WITH_AS(b.ctx.gradient(x), sentence, albef::Error);
  CHECK_THROWS_WITH_AS(gather(b.ctx, b.input(2), rows), sentence, albef::Error);
  CHECK(b.ctx.read(layer(b.ctx, b.input())).size() == 3);
}

TEST_CASE("backward twice, and through values that backward has used up") {
  Bench b;
  const auto x = b.input();
  const auto y = layer(b.ctx, x);
  const auto loss = b.sum(y), second = b.sum(y);
  b.ctx.backward(loss);
  const char* sentence =
      "backward() has been through what the tensor was computed by; compute it anew";
  CHECK_THROWS_WITH_AS(b.ctx.backward(loss), sentence, albef::Error);
  CHECK_THROWS_WITH_AS(b.ctx.backward(second), sentence, albef::Error);
  CHECK_THROWS_WITH_AS(b.sum(y), sentence, albef::Error);
  b.ctx.backward(b.sum(layer(b.ctx, x)));  // from the inputs on, it may begin again
  b.ctx.begin_step(1);
  const auto z = layer(b.ctx, b.input(2));
  CHECK_THROWS_WITH_AS(b.ctx.backward(linear<1>(b.ctx, z, albef::ParamSpan{0, 3, 0, 1, nullptr})),
                       doctest::Contains("was not laid out"), albef::Error);
  const auto losses = b.ctx.tensor<1, double>(batch_of(2));
  CHECK_THROWS_WITH_AS(b.ctx.backward(losses), "[backward] the loss has 2 values, expected 1",
                       albef::Error);
  CHECK_THROWS_WITH_AS(b.ctx.item(albef::Tensor<double, 1>{}),
                       "[item] the tensor has 0 values, expected 1", albef::Error);
}

TEST_CASE("momentum weights of a store without them") {
  Bench b;
  CHECK_THROWS_WITH_AS(b.ctx.frozen(Plane::ema, [] {}),
                       "[frozen] the store has no momentum weights: make it with Storage::momentum",
                       albef::Error);
}

TEST_CASE("gradients that are not kept, and values that are watched too late") {
  Bench b;
  const auto x = b.input();
  const auto y = layer(b.ctx, x);
  b.ctx.backward(b.sum(layer(b.ctx, y)));
  CHECK_THROWS_WITH_AS(
      b.ctx.gradient(y),
      "[gradient] the gradient of the tensor is not kept: watch() it before it is used",
      albef::Error);
  b.ctx.begin_step(1);
  const auto unneeded = b.ctx.tensor<3>(batch_of(1));
  (void)add(b.ctx, unneeded, unneeded);
  CHECK_THROWS_WITH_AS(b.ctx.watch(unneeded), "[watch] the tensor was used before it was watched",
                       albef::Error);
}

TEST_CASE("watch: values whose closures overwrite or hand on their gradient") {
  const Values weights{1, 2, 3};
  for (const bool checkpointing : {false, true}) {
    Bench b;
    b.ctx.set_checkpointing(checkpointing);
    const auto x = b.input();
    const auto y = layer.gelu(b.ctx, x);
    b.ctx.watch(y);
    const auto z = b.ctx.checkpoint(y, [c = &b.ctx](const auto& t) { return layer.gelu(*c, t); });
    b.ctx.watch(z);
    b.ctx.backward(weighted_sum(b.ctx, z, b.ctx.upload(weights)));
    CHECK(b.ctx.gradient(z) == weights);
    const Values dx = b.ctx.gradient(x), dy = b.ctx.gradient(y);
    // The same without watching.
    b.ctx.begin_step(1);
    const auto x2 = b.input();
    const auto y2 = b.ctx.variable<3>(b.ctx.read(layer.gelu(b.ctx, x2)), batch_of(1));
    b.ctx.backward(weighted_sum(b.ctx, layer.gelu(b.ctx, y2), b.ctx.upload(weights)));
    CHECK(b.ctx.gradient(y2) == dy);
    b.ctx.begin_step(2);
    const auto x3 = b.input();
    b.ctx.backward(
        weighted_sum(b.ctx, layer.gelu(b.ctx, layer.gelu(b.ctx, x3)), b.ctx.upload(weights)));
    CHECK(b.ctx.gradient(x3) == dx);
  }
}

TEST_CASE("checkpoint: the dropout switch of the time it was recorded; the identity; the shape") {
  const auto run = [](bool checkpointing, bool later) {
    Bench b;
    b.ctx.set_checkpointing(checkpointing);
    b.ctx.set_dropout(true);
    const auto x = b.input(50);
    const auto y =
        b.ctx.checkpoint(x, [c = &b.ctx](const auto& t) { return dropout(*c, t, 0.5f); });
    b.ctx.set_dropout(later);
    const auto same = b.ctx.checkpoint(y, [](const auto& t) { return t; });
    const auto loss = b.sum(add(b.ctx, add(b.ctx, same, y), x));
    b.ctx.no_grad([&] { b.ctx.backward(loss); });  // the switch of recording is the closure's, too
    return b.ctx.gradient(x);
  };
  const Values expected = run(false, true);
  CHECK(run(true, true) == expected);
  CHECK(run(true, false) == expected);
  Bench b;
  b.ctx.set_checkpointing(true);
  CHECK_THROWS_WITH_AS(
      b.ctx.checkpoint(b.input(2),
                       [c = &b.ctx](const auto&) { return c->template tensor<3>(batch_of(1)); }),
      "[checkpoint] the function maps (2, 3) to (1, 3), expected the same shape", albef::Error);
}

TEST_CASE("gradcheck notices gradients that ignore or invent what was there") {
  // y = 2 x, whose closure treats beta as it likes.
  const auto doubled = [](auto accumulate) {
    return [accumulate](auto& ctx, const auto&, const auto& x) {
      const auto y = add(ctx, x, x);
      const auto z = ctx.like(y);
      copy_on_device(ctx.device(), z.data, y.data, y.size());
      ctx.record(z, ctx.from(x), [x, z, accumulate](auto& bwd) {
        bwd.into(x, [&](auto dx, double beta) {
          const auto dz = bwd.grad(z);
          for (int i = 0; i < dx.rows; ++i)
            for (int j = 0; j < dx.cols; ++j) accumulate(dx.row(i)[j], 2 * dz.row(i)[j], beta);
        });
      });
      return z;
    };
  };
  const auto check = [&](auto accumulate) {
    return albef::gradcheck<Cpu>(albef::NoParameters{}, doubled(accumulate), albef::vectors<2>(2));
  };
  CHECK(check([](double& d, double g, double beta) { d = beta == 0 ? g : g + beta * d; }));
  const auto overwrites = check([](double& d, double g, double) { d = g; });
  CHECK_FALSE(overwrites);
  CHECK(overwrites.message.starts_with("input 0 used twice["));
  CHECK_FALSE(check([](double& d, double g, double) { d += g; }));
  CHECK_FALSE(check([](double& d, double g, double beta) { d = g + beta * d; }));  // 0 * NaN
}

}  // namespace mistakes_test
