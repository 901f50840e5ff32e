// Groups of parameters: patterns, the texts of options, and what the optimizer makes of them.
#include "albef/optim/groups.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "albef/core/context.hpp"
#include "albef/cpu.hpp"
#include "albef/models/albef.hpp"
#include "albef/optim/adamw.hpp"
#include "albef/testing/alloc_guard.hpp"

namespace groups_test {

using albef::AdamW;
using albef::Cpu;
using albef::name_matches;
using albef::OptimizerGroups;
using albef::Param;
using albef::ParamInfo;
using albef::ParamSpan;
using albef::Plane;
using albef::Storage;
using Store = albef::ParamStore<Cpu, albef::Fp64>;
using Values = std::vector<double>;

namespace {

/// Parameters of sizes that are and are not multiples of 64, so that gaps lie between some.
struct Model {
  Param<7, 3> first{albef::init::normal(1)};
  Param<7> bias{albef::init::normal(1)};
  Param<16, 8> second{albef::init::normal(1)};
  Param<16, 8> third{albef::init::normal(1)};
  Param<> scale{albef::init::constant(2)};
  Param<5, 2> last{albef::init::normal(1)};
  static constexpr void fields(auto& m, auto&& f) {
    f("first", m.first);
    f("bias", m.bias);
    f("second", m.second);
    f("third", m.third);
    f("scale", m.scale);
    f("last", m.last);
  }
};
constexpr auto model = albef::laid_out<Model>();

std::vector<ParamInfo> named(const std::vector<std::string>& names) {
  std::vector<ParamInfo> params(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) params[i].name = names[i];
  return params;
}

/// torch.optim.AdamW and clip_grad_norm_ on plain vectors.
struct Reference {
  struct Parameter {
    Values value, m, v, ema;
    int t = 0;
  };
  static void update(Parameter& p, const Values& grad, double lr, double decay, double scale,
                     double momentum) {
    ++p.t;
    for (std::size_t i = 0; i < p.value.size(); ++i) {
      const double g = grad[i] * scale;
      p.value[i] *= 1 - lr * decay;
      p.m[i] = 0.9 * p.m[i] + 0.1 * g;
      p.v[i] = 0.999 * p.v[i] + 0.001 * g * g;
      p.value[i] -= lr * (p.m[i] / (1 - std::pow(0.9, p.t))) /
                    (std::sqrt(p.v[i] / (1 - std::pow(0.999, p.t))) + 1e-8);
    }
    for (std::size_t i = 0; i < p.value.size(); ++i)
      p.ema[i] = momentum * p.ema[i] + (1 - momentum) * p.value[i];
  }
};

double square(const Values& v) {
  double sum = 0;
  for (const double x : v) sum += x * x;
  return sum;
}
double clip(double max_norm, double norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1;
}

struct Bench {
  Cpu cpu{2};
  Store store;

  explicit Bench(const OptimizerGroups& groups = {})
      : store(cpu, model, {.storage = Storage::momentum, .frozen = groups.frozen()}) {}

  static Values gradient(std::size_t i, int t, std::int64_t size) {
    Values g(static_cast<std::size_t>(size));
    for (std::size_t k = 0; k < g.size(); ++k)
      g[k] = std::sin(static_cast<double>(17 * i + 3 * k) + t) * static_cast<double>(i + 1);
    return g;
  }
  ParamSpan span(std::size_t i) const {
    const auto& p = store.params()[i];
    return {p.offset, p.size, static_cast<int>(i), 1, &albef::model_layout<Model>};
  }
  void put(std::size_t i, const Values& g) {
    store.touch(span(i));
    std::copy(g.begin(), g.end(), store.data(Plane::grad, span(i)));
  }
  Values values(Plane plane, std::size_t i) const {
    const double* p = store.data(plane, span(i));
    return {p, p + span(i).size};
  }
};

double difference(const Values& a, const Values& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

/// Steps of AdamW with `groups` against the formulas, parameter by parameter.
void check_against_reference(const OptimizerGroups& groups, double max_norm) {
  constexpr double lr = 0.05, grad_scale = 0.5, momentum = 0.9, decay = 0.02;
  Bench b(groups);
  AdamW adamw({.weight_decay = decay, .max_norm = max_norm}, groups, b.store);
  const auto& params = b.store.params();
  std::vector<Reference::Parameter> reference(params.size());
  for (std::size_t i = 0; i < params.size(); ++i) {
    auto& p = reference[i];
    p.value = p.ema = b.values(Plane::online, i);
    p.m = p.v = Values(p.value.size());
  }
  for (int t = 1; t <= 4; ++t) {
    double whole = 0, rest = 0;
    std::vector<double> own(groups.size());
    for (std::size_t i = 0; i < params.size(); ++i) {
      if (params[i].frozen || (i == 1 && t == 2)) continue;  // the bias misses a step
      const Values g = Bench::gradient(i, t, params[i].size);
      b.put(i, g);
      const int k = groups.group_of(params[i].name);
      const bool apart = k >= 0 && groups[static_cast<std::size_t>(k)].max_norm > 0;
      (apart ? own[static_cast<std::size_t>(k)] : rest) += square(g);
      whole += square(g);
    }
    const double norm = adamw.step(b.store, lr, grad_scale, momentum).read(b.cpu);
    CHECK(norm == doctest::Approx(grad_scale * std::sqrt(whole)));
    for (std::size_t i = 0; i < params.size(); ++i) {
      CAPTURE(params[i].name);
      auto& p = reference[i];
      const int k = groups.group_of(params[i].name);
      const auto* g = k < 0 ? nullptr : &groups[static_cast<std::size_t>(k)];
      if (!params[i].frozen && i == 1 && t == 2) {  // its average moves alone
        for (std::size_t e = 0; e < p.value.size(); ++e)
          p.ema[e] = momentum * p.ema[e] + (1 - momentum) * p.value[e];
      } else if (!params[i].frozen) {
        const bool apart = g && g->max_norm > 0;
        const double n = std::sqrt(apart ? own[static_cast<std::size_t>(k)] : rest) * grad_scale;
        const double wd = g ? g->weight_decay.value_or(decay) : decay;
        Reference::update(p, Bench::gradient(i, t, params[i].size), lr * (g ? g->lr_factor : 1),
                          params[i].decay ? wd : 0,
                          grad_scale * clip(apart ? g->max_norm : max_norm, n), momentum);
      }
      CHECK(difference(b.values(Plane::online, i), p.value) < 1e-13);
      CHECK(difference(b.values(Plane::ema, i), p.ema) < 1e-13);
      if (params[i].frozen) continue;
      CHECK(difference(b.values(Plane::exp_avg, i), p.m) < 1e-13);
      CHECK(difference(b.values(Plane::exp_avg_sq, i), p.v) < 1e-13);
    }
  }
}

}  // namespace

TEST_CASE("patterns: a star is any run of characters, a question mark is one") {
  CHECK(name_matches("visual_encoder.*", "visual_encoder.blocks.0.attn.qkv.weight"));
  CHECK(name_matches("*.bias", "a.b.bias"));
  CHECK(name_matches("*", ""));
  CHECK(name_matches("a*b*c", "a-b-bb-c"));
  CHECK(name_matches("blocks.?.w", "blocks.3.w"));
  CHECK(name_matches("", ""));
  CHECK(name_matches("**x", "x"));
  CHECK(name_matches("*ab", "aab"));
  CHECK_FALSE(name_matches("blocks.?.w", "blocks.10.w"));
  CHECK_FALSE(name_matches("blocks.?.w", "blocks..w"));
  CHECK_FALSE(name_matches("visual_encoder", "visual_encoder.norm"));
  CHECK_FALSE(name_matches("encoder.*", "visual_encoder.norm"));
  CHECK_FALSE(name_matches("a.b", "axb"));
  CHECK_FALSE(name_matches("a*b", "ab-"));
  CHECK_FALSE(name_matches("?", ""));
  static_assert(name_matches("cls_*.weight", "cls_head.0.weight"));
}

TEST_CASE("the first group that takes a parameter has it; a group of its own predicate") {
  const OptimizerGroups groups{{.name = "second", .lr_factor = 0.5},
                               {.name = "short",
                                .matches = [](std::string_view n) { return n.size() == 4; },
                                .frozen = true},
                               {.name = "s*", .lr_factor = 2}};
  Bench b;
  CHECK(groups.resolve(b.store.params()) == std::vector<int>{-1, 1, 0, -1, 2, 1});
  CHECK_THROWS_WITH_AS(
      OptimizerGroups({{.name = "*", .frozen = true}, {.name = "s*"}}).resolve(b.store.params()),
      "every parameter that 's*' takes belongs to an earlier group: 'second' to '*'", albef::Error);
  CHECK_THROWS_WITH_AS(OptimizerGroups({{.name = "secnod"}}).resolve(b.store.params()),
                       "no parameter matches 'secnod'; the nearest names are 'second'",
                       albef::Error);
  CHECK_THROWS_WITH_AS(
      OptimizerGroups({{.name = "x*", .option = "--freeze x*"}}).resolve(b.store.params()),
      "--freeze x*: no parameter matches 'x*'; the nearest names are 'first', 'bias', 'second', "
      "...",
      albef::Error);
}

TEST_CASE("groups: learning rate, weight decay, clipping and freezing are those of PyTorch") {
  SUBCASE("no groups") { check_against_reference({}, 0); }
  SUBCASE("no groups, clipped") { check_against_reference({}, 3); }
  SUBCASE("learning rates and decays") {
    check_against_reference({{.name = "second", .lr_factor = 0.1, .weight_decay = 0.5},
                             {.name = "*t", .weight_decay = 0.0},
                             {.name = "bias", .lr_factor = 10, .weight_decay = 0.5}},
                            0);
  }
  SUBCASE("frozen: in the middle, at both ends") {
    check_against_reference({{.name = "second", .frozen = true}}, 0);
    check_against_reference({{.name = "first", .frozen = true}, {.name = "last", .frozen = true}},
                            2);
    check_against_reference({{.name = "bias", .frozen = true},
                             {.name = "third", .lr_factor = 3},
                             {.name = "scale", .frozen = true}},
                            0);
  }
  SUBCASE("a norm of their own, with and without one for the rest") {
    const OptimizerGroups groups{{.name = "second", .max_norm = 1.5},
                                 {.name = "*s*e", .lr_factor = 2, .max_norm = 0.25},
                                 {.name = "last", .frozen = true}};
    check_against_reference(groups, 4);
    check_against_reference(groups, 0);
  }
}

TEST_CASE("without groups, or with ones that change nothing, the bits are the same") {
  const auto run = [](const OptimizerGroups& groups) {
    Bench b;
    AdamW adamw({.max_norm = 2}, groups, b.store);
    for (int t = 1; t <= 3; ++t) {
      for (std::size_t i = 0; i < 6; ++i) b.put(i, Bench::gradient(i, t, b.store.params()[i].size));
      adamw.step(b.store, 0.1, 1, 0.9);
    }
    const double* p = b.store.data(Plane::online);
    return Values(p, p + b.store.size());
  };
  CHECK(run({}) == run({{.name = "second", .lr_factor = 1}}));
  CHECK(run({}) != run({{.name = "second", .lr_factor = 1.5}}));
}

TEST_CASE("a gradient that is not finite changes nothing, clipped or not") {
  for (const double bad : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    for (const auto& [own, max_norm] : {std::pair(false, 0.0), {false, 1.0}, {true, 0.0}}) {
      OptimizerGroups groups;
      if (own) groups.add({.name = "second", .max_norm = 1});
      Bench b;
      AdamW adamw({.max_norm = max_norm}, groups, b.store);
      const auto step = [&](double worst) {
        for (std::size_t i = 0; i < 6; ++i) {
          auto g = Bench::gradient(i, 1, b.store.params()[i].size);
          if (i == 2) g[5] = worst;
          b.put(i, g);
        }
        return adamw.step(b.store, 0.1, 1, 0.9).read(b.cpu);
      };
      const auto all = [&] {
        Values out;
        for (const Plane plane : {Plane::online, Plane::exp_avg, Plane::exp_avg_sq, Plane::ema})
          out.insert(out.end(), b.store.data(plane), b.store.data(plane) + b.store.size());
        return out;
      };
      step(1);
      const Values before = all();
      const auto steps = adamw.steps();
      CHECK_FALSE(std::isfinite(step(bad)));
      CHECK(all() == before);
      CHECK(adamw.steps() == steps);
      step(1);
      CHECK(all() != before);
      CHECK(adamw.steps() == std::vector<std::int64_t>(6, 2));
      for (const double v : all()) REQUIRE(std::isfinite(v));
    }
  }
}

TEST_CASE("frozen parameters take no memory for gradient and moments") {
  const OptimizerGroups groups{{.name = "second", .frozen = true}};
  const Bench all, b(groups);
  CHECK(all.store.frozen() == 0);
  CHECK(b.store.frozen() == 1);
  CHECK(all.store.trainable_ranges().size() == 1);
  CHECK(all.store.trainable_ranges()[0].shift == 0);
  CHECK(all.store.trainable_ranges()[0].size == all.store.size());
  CHECK(b.store.trainable_ranges().size() == 2);
  CHECK(b.store.size() == all.store.size());
  CHECK(b.store.size(Plane::ema) == all.store.size());
  for (const Plane plane : {Plane::grad, Plane::exp_avg, Plane::exp_avg_sq})
    CHECK(b.store.size(plane) == all.store.size() - model.second.size);
  CHECK(all.store.bytes() - b.store.bytes() ==
        3 * static_cast<std::size_t>(model.second.size) * sizeof(double));
  CHECK(b.store.data(Plane::grad, model.second) == nullptr);
  CHECK_FALSE(b.store.trainable(model.second.index));
  CHECK(b.store.trainable(model.third.index));
  for (const auto& p : b.store.params()) {  // aligned as in the weights, none over another
    if (p.frozen) continue;
    CHECK((p.offset - p.state_offset) % 64 == 0);
    CHECK(p.state_offset + p.size <= b.store.size(Plane::grad));
  }
  const Bench none(OptimizerGroups{{.name = "*", .frozen = true}});
  CHECK_FALSE(none.store.has(Plane::grad));
  CHECK(none.store.bytes() == 2 * static_cast<std::size_t>(all.store.size()) * sizeof(double));
}

TEST_CASE("a store that trains what a group freezes is refused") {
  Bench b;
  CHECK_THROWS_WITH_AS(AdamW({}, {{.name = "second", .frozen = true}}, b.store),
                       "AdamW: 'second' is frozen by the group 'second', but the store trains it: "
                       "make the store with the same groups",
                       albef::Error);
}

TEST_CASE("a warm step with groups allocates nothing") {
  const OptimizerGroups groups{{.name = "second", .lr_factor = 2, .max_norm = 1},
                               {.name = "bias", .frozen = true}};
  Bench b(groups);
  AdamW adamw({.max_norm = 1}, groups, b.store);
  const auto step = [&] {
    for (std::size_t i = 0; i < 6; ++i)
      if (i != 1) b.store.touch(b.span(i));
    adamw.step(b.store, 0.1, 1, 0.9);
  };
  step();
  albef::AllocGuard guard;
  step();
  CHECK(guard.allocations() == 0);
}

TEST_CASE("options: the texts of --freeze and --lr-scale, and errors that name them") {
  Bench b;
  const auto& params = b.store.params();
  const auto groups = albef::optimizer_groups(
      {.freeze = {"first", "b*"}, .lr_scale = {"second=0.1", "t*=2e1"}}, params);
  CHECK(groups.describe() == "first: frozen\nb*: frozen\nsecond: lr 0.1\nt*: lr 20\n");
  CHECK(groups.frozen("bias"));
  CHECK_FALSE(groups.frozen("second"));
  CHECK(albef::optimizer_groups({}, params).empty());
  const auto message = [&](const albef::GroupOptions& options) -> std::string {
    try {
      albef::optimizer_groups(options, params);
    } catch (const albef::Error& e) { return e.what(); }
    return "";
  };
  CHECK(message({.freeze = {"frist"}}) ==
        "--freeze frist: no parameter matches 'frist'; the nearest names are 'first'");
  CHECK(message({.freeze = {""}}) ==
        "--freeze: the pattern is empty, expected one such as 'visual_encoder.*'");
  CHECK(message({.lr_scale = {"second"}}) ==
        "--lr-scale second: expected PATTERN=FACTOR, such as visual_encoder.*=0.1");
  CHECK(message({.lr_scale = {"second=0,1"}}) ==
        "--lr-scale second=0,1: the factor is '0,1', expected a number above 0");
  CHECK(message({.lr_scale = {"second="}}) ==
        "--lr-scale second=: the factor is '', expected a number above 0");
  CHECK(message({.lr_scale = {"second=0"}}) ==
        "--lr-scale second=0: the factor is '0', expected a number above 0");
  CHECK(message({.lr_scale = {"second=nan"}}) ==
        "--lr-scale second=nan: the factor is 'nan', expected a number above 0");
  CHECK(message({.layer_decay = 0.5}) ==
        "--layer-decay 0.5: the model has no numbered blocks (blocks.N., encoder.layer.N., "
        "layer.N.)");
  CHECK_THROWS_WITH_AS(OptimizerGroups({{.name = "a", .weight_decay = -1.0}}),
                       "the weight decay is -1, expected a finite number that is not negative",
                       albef::Error);
}

TEST_CASE("the text of groups is exact and holds what differs from the default") {
  const OptimizerGroups groups{
      {.name = "a", .lr_factor = 0.1 + 0.2, .weight_decay = 0.0, .max_norm = 1e-3},
      {.name = "b"},
      {.name = "c.*", .lr_factor = 7, .frozen = true}};
  CHECK(groups.describe() ==
        "a: lr 0.30000000000000004, weight_decay 0, max_norm 0.001\nb:\nc.*: frozen\n");
  CHECK(OptimizerGroups().describe().empty());
}

TEST_CASE("layer-wise decay: each tower by its own depth, embeddings lowest, heads 1") {
  const auto params =
      named({"temp", "visual_encoder.cls_token", "visual_encoder.pos_embed",
             "visual_encoder.patch_embed.proj.weight", "visual_encoder.blocks.0.norm1.weight",
             "visual_encoder.blocks.1.attn.qkv.weight", "visual_encoder.blocks.10.mlp.fc1.weight",
             "visual_encoder.norm.weight", "text_encoder.bert.embeddings.word_embeddings.weight",
             "text_encoder.bert.encoder.layer.0.attention.self.query.weight",
             "text_encoder.bert.encoder.layer.2.output.dense.bias",
             "text_encoder.cls.predictions.bias", "vision_proj.weight", "text.layer.0.weight"});
  const auto groups = albef::layer_decay_groups(params, 0.5);
  const auto group = groups.resolve(params);
  std::vector<double> powers;
  for (const int g : group)
    powers.push_back(g < 0 ? 0 : -std::log2(groups[static_cast<std::size_t>(g)].lr_factor));
  CHECK(powers == Values{0, 12, 12, 12, 11, 10, 1, 0, 4, 3, 1, 0, 0, 1});
  // Frozen towers may take all of some groups.
  CHECK(albef::optimizer_groups({.freeze = {"visual_encoder.*"}, .layer_decay = 0.5}, params)
            .frozen("visual_encoder.blocks.1.attn.qkv.weight"));
  CHECK(groups.describe().starts_with("visual_encoder.blocks.0.*: lr 0.00048828125\n"));
}

TEST_CASE("layer-wise decay finds the towers of ALBEF") {
  static constexpr auto nano = albef::laid_out<albef::Albef<albef::Nano>>();
  Cpu cpu(1);
  const albef::ParamStore<Cpu> store(cpu, nano, Storage::inference);
  const auto groups = albef::layer_decay_groups(store.params(), 0.5);
  const auto group = groups.resolve(store.params());
  for (std::size_t i = 0; i < group.size(); ++i) {
    const auto& name = store.params()[i].name;
    CAPTURE(name);
    const bool plain = name == "temp" || name.starts_with("visual_encoder.norm") ||
                       name.find("_proj.") != std::string::npos || name.starts_with("itm_head") ||
                       name.starts_with("text_encoder.cls");
    CHECK((group[i] < 0) == plain);
  }
}

}  // namespace groups_test
