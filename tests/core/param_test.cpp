// The layout of parameters: names, shapes, offsets, groups, ties; the store's planes.
#include "albef/core/param.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "albef/core/param_store.hpp"
#include "albef/cpu.hpp"

namespace param_test {

using albef::Cpu;
using albef::Param;
using albef::Plane;
using albef::Storage;
using Store = albef::ParamStore<Cpu>;

namespace {

static_assert(albef::parameter_count<albef::Albef<albef::Base>>() == 209'937'725);

/// The table of a model without memory for its values.
template <class Model>
struct Table {
  std::vector<std::string> names, tied, ranges;
  std::vector<std::vector<int>> shapes;

  Table() {
    static constexpr Model model = albef::laid_out<Model>();
    const albef::ModelNames found = albef::names_of(model);
    for (const auto& p : found.params) names.push_back(p.name), shapes.push_back(p.shape);
    for (const auto& t : found.tied) tied.push_back(t.name);
    for (const auto& r : found.ranges) ranges.push_back(r.name);
  }
  /// The shape of a parameter as text, "-" if there is none of that name.
  std::string shape(const std::string& name) const {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it == names.end()) return "-";
    std::string out;
    for (const int n : shapes[static_cast<std::size_t>(it - names.begin())])
      out += (out.empty() ? "" : " ") + std::to_string(n);
    return out;
  }
};

using Nano = albef::Nano;
constexpr auto nano = albef::laid_out<albef::Albef<Nano>>();

struct Three {
  Param<2, 3> a{albef::init::normal(0.5f)};
  Param<4, 3> b{albef::init::uniform(0.25f)};
  Param<5> c{albef::init::ones()};
  static constexpr void fields(auto& m, auto&& f) {
    f("a", m.a);
    f("b", m.b);
    f("c", m.c);
  }
};
constexpr auto three = albef::laid_out<Three>();

}  // namespace

TEST_CASE("the parameters of ALBEF have the official names and shapes") {
  const Table<albef::Albef<albef::Base>> table;
  CHECK(table.shape("temp") == "");
  CHECK(table.shape("visual_encoder.cls_token") == "1 1 768");
  CHECK(table.shape("visual_encoder.pos_embed") == "1 257 768");
  CHECK(table.shape("visual_encoder.patch_embed.proj.weight") == "768 3 16 16");
  CHECK(table.shape("visual_encoder.blocks.11.attn.qkv.bias") == "2304");
  CHECK(table.shape("visual_encoder.blocks.0.mlp.fc1.weight") == "3072 768");
  CHECK(table.shape("visual_encoder.norm.weight") == "768");
  CHECK(table.shape("text_encoder.bert.embeddings.word_embeddings.weight") == "30522 768");
  CHECK(table.shape("text_encoder.bert.embeddings.LayerNorm.bias") == "768");
  CHECK(table.shape("text_encoder.bert.encoder.layer.5.attention.self.query.weight") == "768 768");
  CHECK(table.shape("text_encoder.bert.encoder.layer.5.intermediate.dense.weight") == "3072 768");
  CHECK(table.shape("text_encoder.bert.encoder.layer.5.crossattention.self.key.weight") == "-");
  CHECK(table.shape("text_encoder.bert.encoder.layer.6.crossattention.self.key.weight") ==
        "768 768");
  CHECK(table.shape("text_encoder.bert.encoder.layer.11.crossattention.output.LayerNorm.weight") ==
        "768");
  CHECK(table.shape("text_encoder.bert.encoder.layer.12.output.dense.weight") == "-");
  CHECK(table.shape("text_encoder.cls.predictions.transform.dense.weight") == "768 768");
  CHECK(table.shape("text_encoder.cls.predictions.bias") == "30522");
  CHECK(table.shape("vision_proj.weight") == "256 768");
  CHECK(table.shape("itm_head.bias") == "2");
  CHECK(table.tied == std::vector<std::string>{"text_encoder.cls.predictions.decoder.bias",
                                               "text_encoder.cls.predictions.decoder.weight"});
  CHECK(table.ranges == std::vector<std::string>{"text_encoder.bert.embeddings.position_ids"});
  const std::set<std::string> unique(table.names.begin(), table.names.end());
  CHECK(unique.size() == table.names.size());
}

TEST_CASE("parameters lie one after the other, matrices aligned; joined ones form one span") {
  constexpr auto& attention = nano.text_encoder.bert.text_layers[0].attention;
  constexpr auto qkv =
      albef::joined(attention.query.weight, attention.key.weight, attention.value.weight);
  static_assert(qkv.size == 3 * Nano::hidden_size * Nano::hidden_size && qkv.count == 3);
  static_assert(qkv.offset == attention.query.weight.offset);
  static_assert(
      albef::joined(attention.query.bias, attention.key.bias, attention.value.bias).size ==
      3 * Nano::hidden_size);
  constexpr auto& cross = nano.text_encoder.bert.fusion_layers[1].crossattention;
  static_assert(albef::joined(cross.key.weight, cross.value.weight).size ==
                2 * Nano::hidden_size * Nano::vision_width);
  static_assert(albef::joined(cross.key.bias, cross.value.bias).count == 2);
  CHECK_THROWS_WITH_AS(albef::joined(three.a, three.c),
                       "joined: parameter 1 of the list starts at value 18, expected 6: name "
                       "parameters that are joined one after the other in fields()",
                       albef::Error);

  Cpu cpu(1);
  const Store store(cpu, nano, Storage::inference);
  std::int64_t next = 0, values = 0;
  for (const auto& p : store.params()) {
    CHECK(p.offset >= next);
    CHECK(p.offset < next + 64);
    if (p.size % 64 == 0) CHECK(p.offset % 64 == 0);
    next = p.offset + p.size;
    values += p.size;
  }
  CHECK(next == store.size());
  CHECK(values == albef::parameter_count<albef::Albef<Nano>>());
  CHECK(store.params()[static_cast<std::size_t>(qkv.index)].name ==
        "text_encoder.bert.encoder.layer.0.attention.self.query.weight");
}

TEST_CASE("weight decay and momentum copies as in the official code") {
  Cpu cpu(1);
  const Store store(cpu, nano, Storage::inference);
  CHECK(store.find("temp").decay);  // neither one-dimensional nor a bias
  CHECK_FALSE(store.find("temp").twin);
  CHECK_FALSE(store.find("itm_head.weight").twin);
  CHECK(store.find("itm_head.weight").decay);
  CHECK(store.find("vision_proj.weight").twin);
  CHECK_FALSE(store.find("vision_proj.bias").decay);
  CHECK_FALSE(store.find("visual_encoder.norm.weight").decay);
  CHECK(store.find("visual_encoder.pos_embed").decay);
  CHECK_FALSE(store.find("text_encoder.cls.predictions.bias").decay);
  CHECK_THROWS_WITH_AS(store.find("nothing"), "no parameter is called 'nothing'", albef::Error);
}

TEST_CASE("initial values: a function of the seed, of the kind that was asked for") {
  Cpu cpu(1);
  const Store a(cpu, nano, Storage::momentum, 1), b(cpu, nano, Storage::inference, 1),
      c(cpu, nano, Storage::inference, 2);
  const auto values = [](const Store& s, Plane plane, const char* name) {
    const auto& p = s.find(name);
    return std::vector<float>(s.data(plane) + p.offset, s.data(plane) + p.offset + p.size);
  };
  const std::size_t bytes = static_cast<std::size_t>(a.size()) * sizeof(float);
  CHECK(std::memcmp(a.data(Plane::online), b.data(Plane::online), bytes) == 0);
  CHECK(std::memcmp(a.data(Plane::online), a.data(Plane::ema), bytes) == 0);
  CHECK(std::memcmp(a.data(Plane::online), c.data(Plane::online), bytes) != 0);
  CHECK(values(a, Plane::online, "temp") == std::vector{0.07f});
  for (const float v : values(a, Plane::online, "visual_encoder.norm.weight")) CHECK(v == 1);
  for (const float v : values(a, Plane::online, "visual_encoder.norm.bias")) CHECK(v == 0);
  double square = 0;
  const auto word = values(a, Plane::online, "text_encoder.bert.embeddings.word_embeddings.weight");
  for (const float v : word) square += static_cast<double>(v) * static_cast<double>(v);
  CHECK(std::sqrt(square / static_cast<double>(word.size())) ==
        doctest::Approx(0.02).epsilon(0.03));
  const Store uniform(cpu, three, Storage::inference);
  const auto bounded = values(uniform, Plane::online, "b");
  CHECK(std::all_of(bounded.begin(), bounded.end(), [](float v) { return std::abs(v) <= 0.25f; }));
  CHECK(std::set<float>(bounded.begin(), bounded.end()).size() == bounded.size());
}

TEST_CASE("a store has the planes that its use needs") {
  Cpu cpu(1);
  const Store inference(cpu, three, Storage::inference), training(cpu, three, Storage::training),
      momentum(cpu, three, Storage::momentum);
  CHECK(inference.has(Plane::online));
  CHECK_FALSE(inference.has(Plane::grad));
  CHECK(training.has(Plane::exp_avg_sq));
  CHECK_FALSE(training.has(Plane::ema));
  CHECK(momentum.has(Plane::ema));
}

TEST_CASE("a description without offsets is refused") {
  Cpu cpu(1);
  CHECK_THROWS_WITH_AS(Store(cpu, Three{}, Storage::inference),
                       "ParamStore: a has no offset: make the model with laid_out<M>()",
                       albef::Error);
}

TEST_CASE("touch: beta 0 at first, 1 later; parts of a joined span that are new start at zero") {
  Cpu cpu(1);
  Store store(cpu, three, Storage::training);
  constexpr auto both = albef::joined(three.a, three.b);
  float* grad = store.data(Plane::grad);
  const auto stale = [&] { std::fill(grad, grad + store.size(), 99.0f); };

  stale();
  CHECK(store.touch(both) == 0);
  CHECK(grad[0] == 99);  // the caller overwrites it
  CHECK(store.touched(three.a.index));
  CHECK(store.touched(three.b.index));
  CHECK_FALSE(store.touched(three.c.index));
  CHECK(store.touch(both) == 1);
  CHECK(store.touch(three.a) == 1);

  store.clear_gradients();
  CHECK_FALSE(store.touched(three.a.index));
  stale();
  CHECK(store.touch(three.b) == 0);
  CHECK(store.touch(both) == 1);
  for (std::int64_t i = 0; i < three.a.size; ++i) CHECK(grad[three.a.offset + i] == 0);
  for (std::int64_t i = 0; i < three.b.size; ++i) CHECK(grad[three.b.offset + i] == 99);
  CHECK(grad[three.c.offset] == 99);
}

TEST_CASE("a store of parameters known at run time only") {
  Cpu cpu(1);
  std::vector<albef::ParamInfo> params(2);
  params[0].name = "weight", params[0].shape = {2, 3}, params[0].init = albef::init::ones();
  params[1].name = "bias", params[1].shape = {2};
  const Store store(cpu, params, Storage::training);
  CHECK(store.size() == 8);
  CHECK(store.find("bias").offset == 6);
  CHECK(store.data(Plane::online)[5] == 1);
  CHECK(store.data(Plane::online)[6] == 0);
}

}  // namespace param_test
