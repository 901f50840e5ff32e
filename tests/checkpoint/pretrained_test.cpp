// From a pre-training checkpoint to the models of the downstream tasks.
#include "albef/checkpoint/pretrained.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "albef/cpu/device.hpp"
#include "albef/cpu/memory.hpp"
#include "albef/models/albef.hpp"
#include "albef/models/nlvr.hpp"
#include "albef/models/ve.hpp"
#include "albef/models/vqa.hpp"
#include "albef/tasks/text_assignment.hpp"

namespace pretrained_test {

using albef::Cpu;
using albef::Error;
using albef::Nano;
using albef::Plane;
using albef::Storage;
using Store = albef::ParamStore<Cpu>;
using Values = std::vector<float>;

namespace {

const std::string golden = ALBEF_TEST_DATA "/golden/base_nano/weights.safetensors";

/// Pictures as wide as texts: then the decoder takes over all of the fusion layers.
struct SameWidth : Nano {
  static constexpr int vision_width = 48;
};

/// Twice the image size.
struct Large : Nano {
  static constexpr int image_res = 64;
};
struct MoreHeads : Nano {
  static constexpr int num_attention_heads = 2;
};

template <class M>
struct Loaded {
  static constexpr M model = albef::laid_out<M>();
  Cpu cpu{1};
  Store store{cpu, model, Storage::momentum, 7};
  albef::LoadReport report;

  explicit Loaded(const std::string& path) : report(albef::load_pretrained<M>(store, path)) {}
  Values value(const std::string& name, Plane plane = Plane::online) const {
    const auto& p = store.find(name);
    const float* v = store.data(plane) + p.offset;
    return Values(v, v + p.size);
  }
};

Values in_file(const std::string& name) {
  return albef::SafeTensors::open(golden).read<float>(name);
}

struct TemporaryFile {
  std::string path;
  TemporaryFile() {
    std::string name =
        (std::filesystem::temp_directory_path() / "albef-pretrained-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name + "/model.safetensors";
  }
  ~TemporaryFile() { std::filesystem::remove_all(std::filesystem::path(path).parent_path()); }
};

}  // namespace

TEST_CASE("pretrained: visual entailment takes encoders and their momentum copies") {
  const Loaded<albef::AlbefVe<Nano>> m(golden);
  CHECK(m.report.missing == std::vector<std::string>{"cls_head.0.weight", "cls_head.0.bias",
                                                     "cls_head.2.weight", "cls_head.2.bias"});
  CHECK(m.report.unexpected.empty());
  CHECK(std::find(m.report.unused.begin(), m.report.unused.end(), "itm_head.weight") !=
        m.report.unused.end());
  CHECK(m.report.text().find("4 missing: cls_head.0.weight") != std::string::npos);
  const std::string key = "encoder.layer.3.crossattention.self.key.weight";
  CHECK(m.value("text_encoder." + key) == in_file("text_encoder.bert." + key));
  CHECK(m.value("text_encoder." + key, Plane::ema) == in_file("text_encoder_m.bert." + key));
  CHECK(m.value("visual_encoder.pos_embed", Plane::ema) == in_file("visual_encoder_m.pos_embed"));
  CHECK(m.value("cls_head.0.weight", Plane::ema) == m.value("cls_head.0.weight"));
}

TEST_CASE("pretrained: retrieval and grounding use the pre-training model itself") {
  const Loaded<albef::Albef<Nano>> m(golden);
  CHECK(m.report.missing.empty());
  CHECK(m.report.unused.size() == 3);  // the queues
  CHECK(m.value("itm_head.weight") == in_file("itm_head.weight"));
}

TEST_CASE("pretrained: the answer decoder starts as the fusion layers") {
  const Loaded<albef::AlbefVqa<Nano>> m(golden);
  const std::string attention = "attention.self.query.weight", mlp = "output.dense.bias";
  CHECK(m.value("text_decoder.bert.encoder.layer.0." + attention) ==
        in_file("text_encoder.bert.encoder.layer.2." + attention));
  CHECK(m.value("text_decoder.bert.encoder.layer.1." + mlp, Plane::ema) ==
        in_file("text_encoder_m.bert.encoder.layer.3." + mlp));
  CHECK(m.value("text_encoder.encoder.layer.3." + mlp) ==
        in_file("text_encoder.bert.encoder.layer.3." + mlp));
  CHECK(m.value("text_decoder.bert.embeddings.word_embeddings.weight") ==
        in_file("text_encoder.bert.embeddings.word_embeddings.weight"));
  CHECK(m.value("text_decoder.cls.predictions.transform.dense.weight", Plane::ema) ==
        in_file("text_encoder_m.cls.predictions.transform.dense.weight"));
  // Nano's pictures are wider than its texts: cross-attention keys and values stay fresh.
  CHECK(m.report.missing.size() == 8);
  for (const auto& name : m.report.missing) CHECK(albef::AlbefVqa<Nano>::fresh(name));

  const TemporaryFile file;
  Cpu cpu(1);
  Store pretrained(cpu, albef::laid_out<albef::Albef<SameWidth>>(), Storage::momentum, 3);
  albef::Checkpoint(pretrained).save(file.path, {});
  const Loaded<albef::AlbefVqa<SameWidth>> same(file.path);
  CHECK(same.report.missing.empty());
  const auto& key =
      pretrained.find("text_encoder.bert.encoder.layer.3.crossattention.self.key.weight");
  const float* values = pretrained.data(Plane::online) + key.offset;
  CHECK(same.value("text_decoder.bert.encoder.layer.1.crossattention.self.key.weight") ==
        Values(values, values + key.size));
}

TEST_CASE(
    "pretrained: both layers of a pair start as one fusion layer; then from one task to the next") {
  const Loaded<albef::AlbefNlvrPretrain<Nano>> m(golden);
  CHECK(m.report.missing == std::vector<std::string>{"ta_head.weight", "ta_head.bias"});
  const std::string query = "crossattention.self.query.weight";
  const auto fusion = in_file("text_encoder.bert.encoder.layer.3." + query);
  CHECK(m.value("text_encoder.encoder.layer.4." + query) == fusion);
  CHECK(m.value("text_encoder.encoder.layer.5." + query) == fusion);
  CHECK(m.value("vision_proj.weight") == in_file("vision_proj.weight"));

  // Text assignment has no momentum copies in its file: they start as the online weights.
  const TemporaryFile file;
  Store inference(const_cast<Cpu&>(m.cpu), m.model, Storage::inference, 9);
  albef::Checkpoint(inference).save(file.path, {});
  const Loaded<albef::AlbefNlvr<Nano>> next(file.path);
  CHECK(next.report.missing.size() == 4);
  const std::string name = "text_encoder.encoder.layer.5.attention.output.dense.weight";
  const auto& p = inference.find(name);
  const float* values = inference.data(Plane::online) + p.offset;
  CHECK(next.value(name) == Values(values, values + p.size));
  CHECK(next.value(name, Plane::ema) == next.value(name));
  const Loaded<albef::AlbefNlvr<Nano>> direct(golden);
  CHECK(direct.value("text_encoder.encoder.layer.2." + query, Plane::ema) ==
        in_file("text_encoder_m.bert.encoder.layer.2." + query));
}

TEST_CASE("pretrained: a task's own checkpoint loads strictly, another task's is refused") {
  const TemporaryFile file;
  Loaded<albef::AlbefVe<Nano>> m(golden);
  albef::Checkpoint(m.store).save(file.path, {});
  Cpu cpu(1);
  Store again(cpu, m.model, Storage::momentum, 1);
  CHECK(albef::Checkpoint(again).load(file.path).missing.empty());
  Store vqa(cpu, albef::laid_out<albef::AlbefVqa<Nano>>(), Storage::momentum, 1);
  CHECK_THROWS_WITH_AS(
      albef::load_pretrained<albef::AlbefVqa<Nano>>(vqa, file.path),
      doctest::Contains("54 tensors of the model are not in the file, the first is 'text_decoder."),
      Error);
  Store nlvr(cpu, albef::laid_out<albef::AlbefNlvr<Nano>>(), Storage::momentum, 1);
  CHECK_THROWS_WITH_AS(albef::load_pretrained<albef::AlbefNlvr<Nano>>(nlvr, file.path),
                       doctest::Contains("48 tensors of the model are not in the file"), Error);
}

TEST_CASE("pretrained: another image size on demand, reported; no other difference") {
  Cpu cpu(1);
  Store store(cpu, albef::laid_out<albef::AlbefVe<Large>>(), Storage::momentum, 1);
  CHECK_THROWS_WITH_AS(albef::load_pretrained<albef::AlbefVe<Large>>(store, golden),
                       doctest::Contains("another image size; resizing was not asked for"), Error);
  const auto report =
      albef::load_pretrained<albef::AlbefVe<Large>>(store, golden, {.resize_positions = true});
  CHECK(report.reshaped ==
        std::vector<std::string>{"visual_encoder.pos_embed (1, 17, 64) -> (1, 65, 64)",
                                 "visual_encoder_m.pos_embed (1, 17, 64) -> (1, 65, 64)"});
  // Our own files name their configuration.
  const TemporaryFile file;
  Store pretrained(cpu, albef::laid_out<albef::Albef<Nano>>(), Storage::momentum, 3);
  albef::Checkpoint(pretrained).save(file.path, albef::config_info<Nano>());
  CHECK(albef::load_pretrained<albef::AlbefVe<Large>>(store, file.path, {.resize_positions = true})
            .reshaped.size() == 2);
  CHECK_THROWS_WITH_AS(albef::load_pretrained<albef::AlbefVe<Large>>(store, file.path),
                       doctest::Contains("config.image_res is 32, the model has 64"), Error);
  Store heads(cpu, albef::laid_out<albef::AlbefVe<MoreHeads>>(), Storage::momentum, 1);
  CHECK_THROWS_WITH_AS(albef::load_pretrained<albef::AlbefVe<MoreHeads>>(heads, file.path),
                       doctest::Contains("config.num_attention_heads is 4, the model has 2"),
                       Error);
}

TEST_CASE("pretrained: a module is taken whole or not at all, where modules may be missing") {
  const TemporaryFile file;
  const auto source = albef::SafeTensors::open(golden);
  const auto write = [&](auto&& wanted) {
    std::vector<albef::TensorSource> tensors;
    for (const auto& e : source.entries())
      if (wanted(e.name)) tensors.push_back(albef::source_of(source, e));
    albef::write_safetensors(file.path, tensors);
  };
  using M = albef::Albef<Nano>;
  Cpu cpu(1);
  Store store(cpu, albef::laid_out<M>(), Storage::training, 3);
  const auto before = store.data(Plane::online)[store.find("itm_head.weight").offset];
  const auto load = [&] {
    return albef::load_pretrained<M>(store, file.path, {.by_module = true});
  };
  const auto is_image = [](const std::string& n) { return n.starts_with("visual_encoder."); };
  write(is_image);
  CHECK(load().loaded > 20);
  CHECK(store.data(Plane::online)[store.find("itm_head.weight").offset] == before);
  write([&](const std::string& n) { return is_image(n) && n != "visual_encoder.norm.bias"; });
  CHECK_THROWS_WITH_AS(load(),
                       doctest::Contains("tensor 'visual_encoder.norm.bias' of the model is not in "
                                         "the file, which has others of 'visual_encoder'"),
                       Error);
  write([](const std::string& n) { return n == "queue_ptr"; });
  CHECK_THROWS_WITH_AS(
      load(),
      doctest::Contains(": gives 0 % of the model's values, expected at least 10 %: of the model's "
                        "modules ('itm_head', 'temp', 'text_encoder', "),
      Error);
  // One small module is a module, too, but nobody means to start from that.
  write([](const std::string& n) { return n == "temp" || n.starts_with("itm_head"); });
  CHECK_THROWS_WITH_AS(load(), doctest::Contains("it has 'itm_head', 'temp'"), Error);
}

}  // namespace pretrained_test
