// Frozen parameters: gradients flow through their layers, and nothing is computed or kept for them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "albef/core/context.hpp"
#include "albef/cpu.hpp"
#include "albef/models/config.hpp"
#include "albef/models/vit.hpp"
#include "albef/nn/block.hpp"
#include "albef/ops/elementwise.hpp"
#include "albef/ops/embedding.hpp"
#include "albef/optim/groups.hpp"
#include "albef/testing/alloc_guard.hpp"

namespace frozen_test {

using albef::Cpu;
using albef::Param;
using albef::Plane;
using albef::Storage;
using albef::uniform_sequences;
using Values = std::vector<double>;

namespace {

/// A device that counts the products and sums that make gradients of parameters.
struct CountingCpu : Cpu {
  using Cpu::Cpu;
  int weight_gradients = 0, column_sums = 0;
};
void count(CountingCpu& cpu, const albef::primitive::WeightGradient<double>&) {
  ++cpu.weight_gradients;
}
void count(CountingCpu& cpu, const albef::primitive::ColumnSum<double>&) { ++cpu.column_sums; }
void count(CountingCpu&, const auto&) {}
template <class P>
albef::primitive_result_t<P> run(CountingCpu& cpu, const P& arguments) {
  count(cpu, arguments);
  return run(static_cast<Cpu&>(cpu), arguments);
}

using Store = albef::ParamStore<CountingCpu, albef::Fp64>;
using Ctx = albef::Context<CountingCpu, albef::Fp64>;

/// Two BERT layers, each kept by its input only if the context says so. The first is used twice.
struct Layers {
  static constexpr int width = 8;
  albef::BertLayer<width, 2, 16> first{albef::init::normal(0.3f), 0.0f},
      second{albef::init::normal(0.3f), 0.0f};
  static constexpr void fields(auto& m, auto&& f) {
    f("first", m.first);
    f("second", m.second);
  }
  auto operator()(auto& ctx, const auto& x) const {
    auto h = x;
    for (const auto* layer : {&first, &first, &second})
      h = ctx.checkpoint(h, [c = &ctx, l = layer](const auto& t) { return (*l)(*c, t); });
    return h;
  }
};

/// Images (B, 3, S, S) through a small ViT.
using Vision = albef::Vit<albef::Nano>;

bool matches_any(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const auto& p) { return albef::name_matches(p, name); });
}

/// A model of which some parameters are frozen, run forward and backward.
template <class Model>
struct Bench {
  static constexpr Model model = albef::laid_out<Model>();
  std::vector<std::string> patterns;
  CountingCpu cpu{2};
  Store store;
  Ctx ctx{cpu, store};

  explicit Bench(std::vector<std::string> freeze = {})
      : patterns(std::move(freeze)),
        store(cpu, model,
              {.storage = Storage::momentum, .seed = 5, .frozen = [this](std::string_view name) {
                 return matches_any(patterns, name);
               }}) {
    const auto noise = values(store.size(), 3);  // no layer norm starts with ones
    for (std::size_t i = 0; i < noise.size(); ++i) store.data(Plane::online)[i] += 0.1 * noise[i];
  }
  static Values values(std::int64_t count, std::uint64_t seed) {
    albef::RandomStream random(seed, 1);
    Values out(static_cast<std::size_t>(count));
    for (double& v : out) v = static_cast<double>(random.normal());
    return out;
  }
  /// Two passes, whose gradients add up, from variables or constants; the input's gradient.
  template <int W>
  Values run(albef::Sequences seq, bool constant = false) {
    Values gradient;
    for (int pass = 0; pass < 2; ++pass) {
      ctx.begin_step(static_cast<std::uint64_t>(pass));
      const Values in = values(std::int64_t{seq.rows()} * W, 11 + static_cast<unsigned>(pass));
      const auto x = constant ? ctx.template constant<W>(ctx.upload(in), seq)
                              : ctx.template variable<W>(in, seq);
      const auto y = model(ctx, x);
      ctx.backward(weighted_sum(ctx, y, ctx.upload(values(y.size(), 13))));
      const Values dx = ctx.gradient(x);
      gradient.insert(gradient.end(), dx.begin(), dx.end());
    }
    return gradient;
  }
  Values gradient(std::size_t i) const {
    const auto& p = store.params()[i];
    if (!store.touched(static_cast<int>(i))) return {};
    const double* g = store.data(Plane::grad, p);
    return {g, g + p.size};
  }
};

/// With `patterns` frozen, every gradient that remains is that of the whole.
template <class Model, int W>
void check_gradients(const std::vector<std::string>& patterns, albef::Sequences seq,
                     bool checkpointing, bool constant = false) {
  Bench<Model> whole, part(patterns);
  whole.ctx.set_checkpointing(checkpointing);
  part.ctx.set_checkpointing(checkpointing);
  CHECK(part.template run<W>(seq, constant) == whole.template run<W>(seq, constant));
  int frozen = 0;
  for (std::size_t i = 0; i < whole.store.params().size(); ++i) {
    CAPTURE(whole.store.params()[i].name);
    if (part.store.params()[i].frozen) {
      ++frozen;
      CHECK_FALSE(part.store.touched(static_cast<int>(i)));
    } else {
      const Values got = part.gradient(i), expected = whole.gradient(i);
      REQUIRE(got.size() == expected.size());
      double worst = 0, largest = 0;
      for (std::size_t k = 0; k < got.size(); ++k) {
        worst = std::max(worst, std::abs(got[k] - expected[k]));
        largest = std::max(largest, std::abs(expected[k]));
      }
      CHECK(worst <= 1e-13 * largest);
    }
  }
  CHECK(frozen > 0);
  CHECK(frozen == part.store.frozen());
}

}  // namespace

TEST_CASE("gradients flow through frozen layers and are those of the whole") {
  const auto seq = uniform_sequences(2, 3);
  for (const bool checkpointing : {false, true}) {
    for (const auto& patterns : std::vector<std::vector<std::string>>{
             {"first.*"},
             {"second.*"},
             {"*.weight"},             // biases alone
             {"*.bias"},               // weights alone
             {"*.self.query.weight"},  // the first part of one product
             {"*.self.key.*"},         // the middle
             {"*.self.value.weight", "*.self.query.bias"},
             {"*LayerNorm.weight"},
             {"*LayerNorm.bias", "*dense.weight"},
             {"*"}}) {
      CAPTURE(patterns[0]);
      check_gradients<Layers, Layers::width>(patterns, seq, checkpointing);
      if (patterns[0] != "*")
        check_gradients<Layers, Layers::width>(patterns, seq, checkpointing, true);
    }
  }
}

TEST_CASE("the parameters of a ViT can be frozen one by one") {
  constexpr int res = albef::Nano::image_res, pixels = 3 * res * res;
  for (const auto& patterns : std::vector<std::vector<std::string>>{{"cls_token"},
                                                                    {"pos_embed"},
                                                                    {"cls_token", "pos_embed"},
                                                                    {"patch_embed.*"},
                                                                    {"patch_embed.*", "*.0.*"}}) {
    CAPTURE(patterns[0]);
    check_gradients<Vision, pixels>(patterns, albef::batch_of(2), false);
    check_gradients<Vision, pixels>(patterns, albef::batch_of(2), true, true);
  }
}

TEST_CASE("tables of embeddings can be frozen one by one") {
  static constexpr std::int32_t ids[] = {3, 1, 3, 9, 0, 3};
  const auto run = [](const std::vector<std::string>& patterns, CountingCpu& cpu) {
    std::vector<albef::ParamInfo> table(3);
    table[0].name = "word", table[0].shape = {10, 8};
    table[1].name = "position", table[1].shape = {6, 8};
    table[2].name = "type", table[2].shape = {2, 8};
    for (auto& p : table) p.init = albef::init::normal(1);
    for (auto& p : table) p.frozen = matches_any(patterns, p.name);
    Store store(cpu, table, Storage::training);
    Ctx ctx(cpu, store);
    ctx.begin_step(0);
    const auto span = [&](int i) {
      const auto& p = store.params()[static_cast<std::size_t>(i)];
      return albef::ParamSpan{p.offset, p.size, i, 1};
    };
    const auto embedded = [&] {
      return embed<8>(ctx, albef::Tokens{ids, uniform_sequences(2, 3)}, span(0), span(1), span(2));
    };
    std::vector<Values> gradients(3);
    if (patterns.size() == 3) {
      CHECK_FALSE(ctx.needs(embedded()));
      return gradients;
    }
    for (int pass = 0; pass < 2; ++pass) {  // on top of the first
      const auto y = embedded();
      ctx.backward(weighted_sum(ctx, y, ctx.upload(Bench<Layers>::values(y.size(), 2))));
    }
    for (int i = 0; i < 3; ++i)
      if (store.touched(i)) {
        const double* g = store.data(Plane::grad, span(i));
        gradients[static_cast<std::size_t>(i)] = {g, g + span(i).size};
      }
    return gradients;
  };
  CountingCpu cpu(1);
  const auto whole = run({}, cpu);
  for (const Values& g : whole) CHECK_FALSE(g.empty());
  for (const auto& patterns : std::vector<std::vector<std::string>>{{"word"},
                                                                    {"position"},
                                                                    {"type"},
                                                                    {"word", "position"},
                                                                    {"word", "type"},
                                                                    {"position", "type"},
                                                                    {"word", "position", "type"}}) {
    const auto part = run(patterns, cpu);
    const char* names[] = {"word", "position", "type"};
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(part[i] == (matches_any(patterns, names[i]) ? Values{} : whole[i]));
  }
}

TEST_CASE("no product is computed for frozen weights, and nothing is recorded behind the input") {
  const auto seq = uniform_sequences(2, 3);
  const auto counts = [&](const std::vector<std::string>& patterns, bool constant) {
    Bench<Layers> b(patterns);
    b.run<Layers::width>(seq, constant);
    return std::pair{b.cpu.weight_gradients, b.cpu.column_sums};
  };
  // Per layer: query, key and value together, output, intermediate, output; two passes.
  CHECK(counts({}, false).first == 2 * 3 * 4);
  CHECK(counts({"first.*"}, false).first == 2 * 4);
  CHECK(counts({"first.*"}, true).first == 2 * 4);
  CHECK(counts({"*.weight"}, false).first == 0);
  CHECK(counts({"*"}, false) == std::pair{0, 0});
  CHECK(counts({"*.self.key.*"}, false).first == 2 * 3 * 4);  // the whole, for the other parts

  for (const bool checkpointing : {false, true}) {
    Bench<Layers> b({"first.*"});
    b.ctx.set_checkpointing(checkpointing);
    b.ctx.begin_step(0);
    const Values in(6 * Layers::width, 0.5);
    const auto x = b.ctx.constant<Layers::width>(in.data(), seq);
    const auto h = b.ctx.checkpoint(
        x, [c = &b.ctx](const auto& t) { return Bench<Layers>::model.first(*c, t); });
    CHECK_FALSE(b.ctx.needs(h));
    CHECK(b.ctx.needs(b.model.second(b.ctx, h)));
  }
}

TEST_CASE(
    "a checkpointed block of frozen layers hands on the gradient of what it holds besides x") {
  // f reads a tensor that was computed from trainable parameters; its x takes no gradient.
  Bench<Layers> b({"first.*"});
  const auto gradient = [&](bool checkpointing) {
    b.ctx.set_checkpointing(checkpointing);
    b.ctx.begin_step(0);
    b.store.clear_gradients();
    const Values in = Bench<Layers>::values(6 * Layers::width, 4);
    const auto x = b.ctx.constant<Layers::width>(in.data(), uniform_sequences(2, 3));
    const auto held = b.model.second(b.ctx, x);
    const auto y = b.ctx.checkpoint(x, [c = &b.ctx, held](const auto& t) {
      return Bench<Layers>::model.first(*c, add(*c, t, held));
    });
    REQUIRE(b.ctx.needs(y));
    b.ctx.backward(weighted_sum(b.ctx, y, b.ctx.upload(Bench<Layers>::values(y.size(), 6))));
    Values all;
    for (std::size_t i = 0; i < b.store.params().size(); ++i) {
      const Values g = b.gradient(i);
      all.insert(all.end(), g.begin(), g.end());
    }
    return all;
  };
  const Values plain = gradient(false);
  CHECK_FALSE(plain.empty());
  CHECK(gradient(true) == plain);
}

TEST_CASE("a warm step with parts of a product frozen allocates nothing") {
  Bench<Layers> b({"*.self.key.weight", "second.*"});
  const auto step = [&] {
    b.ctx.begin_step(0);
    const auto x =
        b.ctx.constant<Layers::width>(b.store.data(Plane::online), uniform_sequences(2, 3));
    const auto y = b.model(b.ctx, x);
    b.ctx.backward(weighted_sum(b.ctx, y, static_cast<const double*>(y.data)));
  };
  for (int i = 0; i < 3; ++i) step();
  albef::AllocGuard guard;
  step();
  CHECK(guard.allocations() == 0);
}

}  // namespace frozen_test
