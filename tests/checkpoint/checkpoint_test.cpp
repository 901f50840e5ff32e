// Checkpoints: complete and bit-exact, with the official names; what does not fit is named.
#include "albef/checkpoint/checkpoint.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "albef/checkpoint/pretrained.hpp"
#include "albef/cpu/device.hpp"
#include "albef/cpu/memory.hpp"
#include "albef/loss/queue.hpp"
#include "albef/models/albef.hpp"
#include "albef/optim/adamw.hpp"

namespace checkpoint_test {

using albef::AdamW;
using albef::Cpu;
using albef::Error;
using albef::Nano;
using albef::Plane;
using albef::SafeTensors;
using albef::Storage;
using Store = albef::ParamStore<Cpu>;
using Checkpoint = albef::Checkpoint<Cpu, albef::Fp32>;
using Queue = albef::FeatureQueue<Cpu, float>;

namespace {

constexpr auto model = albef::laid_out<albef::Albef<Nano>>();

/// Nano at twice the image size: only the position embeddings differ.
struct Large : Nano {
  static constexpr int image_res = 64;
};
struct Narrow : Nano {
  static constexpr int embed_dim = 16;
};
constexpr auto large = albef::laid_out<albef::Albef<Large>>();
/// How official files call what is ours.
const albef::LoadOptions official{.names = albef::checkpoint_rule<albef::Albef<Nano>>()};
constexpr auto narrow = albef::laid_out<albef::Albef<Narrow>>();

const std::string golden = ALBEF_TEST_DATA "/golden/base_nano/weights.safetensors";

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "albef-io-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name + "/";
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + name; }

 private:
  std::string path_;
};

/// All state of a training run, every plane with values of its own.
struct Run {
  Cpu cpu{1};
  Store store;
  Queue queue;
  AdamW optimizer;

  explicit Run(std::uint64_t seed, int queue_size = 5)
      : store(cpu, model, Storage::momentum, seed), queue(cpu, queue_size, Nano::embed_dim, seed) {
    albef::RandomStream random(seed, 9);
    for (const Plane p : {Plane::exp_avg, Plane::exp_avg_sq, Plane::ema})
      for (std::int64_t i = 0; i < store.size(); ++i) store.data(p)[i] = random.normal();
    std::vector<std::int64_t> steps;
    for (std::size_t i = 0; i < store.params().size(); ++i)
      steps.push_back(static_cast<std::int64_t>(i + seed));
    optimizer.set_steps(steps);
    if (queue_size) queue.set_pointer(static_cast<int>(seed) % queue_size);
  }
  Checkpoint checkpoint() { return Checkpoint(store).with_optimizer(optimizer).with(queue); }
};

bool equal(const Store& a, const Store& b, Plane plane) {
  for (const auto& p : a.params())
    if (std::memcmp(a.data(plane) + p.offset, b.data(plane) + p.offset,
                    static_cast<std::size_t>(p.size) * sizeof(float)) != 0)
      return false;
  return true;
}
/// Whether the momentum copies that exist are equal.
bool twins_equal(const Store& a, const Store& b) {
  for (const auto& p : a.params())
    if (p.twin && std::memcmp(a.data(Plane::ema) + p.offset, b.data(Plane::ema) + p.offset,
                              static_cast<std::size_t>(p.size) * sizeof(float)) != 0)
      return false;
  return true;
}

std::string error_of(auto&& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  FAIL("expected an Error");
  return {};
}

/// Writes a copy of a safetensors file, its tensors renamed by `name` ("" leaves one out).
void rewrite(const std::string& from, const std::string& to, auto name) {
  const auto file = SafeTensors::open(from);
  std::vector<albef::TensorSource> tensors;
  for (const auto& e : file.entries())
    if (const std::string n = name(e.name); !n.empty())
      tensors.emplace_back(albef::source_of(file, e)).name = n;
  albef::write_safetensors(to, tensors, file.metadata());
}

/// Replaces one value of one tensor of a file, by a program that knows of no rule but the format's.
template <class T>
void set_value(const std::string& path, const std::string& name, std::size_t at, T value) {
  const auto file = SafeTensors::open(path);
  auto values = file.read<T>(name);
  values.at(at) = value;
  std::vector<albef::TensorSource> tensors;
  for (const auto& e : file.entries())
    tensors.push_back(e.name == name ? albef::TensorSource{name, e.dtype, e.shape, values.data()}
                                     : albef::source_of(file, e));
  albef::write_safetensors(path, tensors, file.metadata());
}

}  // namespace

TEST_CASE("checkpoint: frozen parameters have no optimizer state in it, and stay the same") {
  TemporaryFolder folder;
  const std::string path = folder / "a.safetensors";
  const auto store_of = [](Cpu& cpu, std::string_view prefix) {
    return Store(cpu, model,
                 {.storage = Storage::momentum, .frozen = [prefix](std::string_view name) {
                    return !prefix.empty() && name.starts_with(prefix);
                  }});
  };
  Cpu cpu(1);
  auto a = store_of(cpu, "visual_encoder."), b = store_of(cpu, "visual_encoder.");
  for (const Plane p : {Plane::online, Plane::exp_avg, Plane::exp_avg_sq, Plane::ema})
    for (std::int64_t i = 0; i < a.size(p); ++i) a.data(p)[i] = static_cast<float>(i % 1009);
  AdamW one, two;
  one.set_steps(std::vector<std::int64_t>(a.params().size(), 3));
  Checkpoint(a).with_optimizer(one).save(path, {});
  const auto file = SafeTensors::open(path);
  CHECK(file.find("optimizer.exp_avg.temp") != nullptr);
  CHECK(file.find("visual_encoder.norm.weight") != nullptr);
  CHECK(file.find("visual_encoder_m.norm.weight") != nullptr);
  CHECK(file.find("optimizer.exp_avg.visual_encoder.norm.weight") == nullptr);
  Checkpoint(b).with_optimizer(two).load(path);
  for (const auto& p : a.params()) {
    CAPTURE(p.name);
    const auto same = [&](Plane plane) {
      return std::equal(a.data(plane, p), a.data(plane, p) + p.size, b.data(plane, p));
    };
    CHECK(same(Plane::online));
    if (p.frozen) continue;
    CHECK(same(Plane::exp_avg));
    CHECK(same(Plane::exp_avg_sq));
  }
  // With other parameters frozen, training cannot go on from it.
  auto more = store_of(cpu, ""), fewer = store_of(cpu, "te");
  CHECK(error_of([&] {
          Checkpoint(more).with_optimizer(two).load(path);
        }).find("the first is 'optimizer.exp_avg.visual_encoder.cls_token'") != std::string::npos);
  CHECK(error_of([&] { Checkpoint(fewer).with_optimizer(two).load(path); }) ==
        path +
            ": 'temp' was trained there and is frozen here: resume with the same frozen "
            "parameters");
}

TEST_CASE("checkpoint: everything comes back bit for bit") {
  TemporaryFolder folder;
  const std::string path = folder / "a.safetensors";
  Run a(1), b(3);
  a.checkpoint().save(path, {{"train.step", "17"}});
  const auto report = b.checkpoint().load(path);
  for (const Plane p : {Plane::online, Plane::exp_avg, Plane::exp_avg_sq})
    CHECK(equal(a.store, b.store, p));
  CHECK(twins_equal(a.store, b.store));
  CHECK(b.optimizer.steps() == a.optimizer.steps());
  CHECK(b.queue.pointer() == 1);
  for (int i = 0; i < 5; ++i)
    for (int j = 0; j < Nano::embed_dim; ++j) {
      CHECK(a.queue.image().row(i)[j] == b.queue.image().row(i)[j]);
      CHECK(a.queue.text().row(i)[j] == b.queue.text().row(i)[j]);
    }
  CHECK(report.info.at("train.step") == "17");
  CHECK(report.missing.empty());
  CHECK(report.unexpected.empty());
  CHECK(report.text().starts_with("loaded "));

  // Saving what was loaded gives the same file.
  b.checkpoint().save(folder / "b.safetensors", report.info);
  CHECK(albef::read_file(path) == albef::read_file(folder / "b.safetensors"));
}

TEST_CASE("checkpoint: identities of the queue are kept where they are known") {
  TemporaryFolder folder;
  const std::string path = folder / "a.safetensors";
  Run a(1), b(3);
  a.checkpoint().save(path, {});
  CHECK(SafeTensors::open(path).find("idx_queue") == nullptr);
  a.queue.identities()[2] = 41;
  a.checkpoint().save(path, {});
  CHECK(SafeTensors::open(path).at("idx_queue").shape == std::vector<std::int64_t>{1, 5});
  b.checkpoint().load(path);
  CHECK(b.queue.identities()[2] == 41);
  CHECK(b.queue.identities()[1] == Queue::no_identity);
  Run other(1, 4);
  CHECK(Checkpoint(other.store).load(path).unexpected.empty());  // not asked for
}

TEST_CASE("checkpoint: official names and shapes are in the file") {
  TemporaryFolder folder;
  Run a(1, 32);
  a.checkpoint().save(folder / "a.safetensors", albef::config_info<Nano>());
  const auto file = SafeTensors::open(folder / "a.safetensors");
  using Shape = std::vector<std::int64_t>;
  const auto shape = [&](const char* name) { return file.at(name).shape; };
  CHECK(shape("temp").empty());
  CHECK(shape("visual_encoder.blocks.0.attn.qkv.weight") == Shape{192, 64});
  CHECK(shape("visual_encoder_m.blocks.0.attn.qkv.weight") == Shape{192, 64});
  CHECK(shape("text_encoder.cls.predictions.decoder.weight") == Shape{131, 48});
  CHECK(shape("text_encoder.cls.predictions.decoder.bias") == Shape{131});
  CHECK(shape("text_encoder_m.cls.predictions.decoder.weight") == Shape{131, 48});
  CHECK(shape("text_encoder.bert.embeddings.position_ids") == Shape{1, 32});
  CHECK(shape("vision_proj_m.weight") == Shape{24, 64});
  CHECK(shape("image_queue") == Shape{24, 32});
  CHECK(shape("text_queue") == Shape{24, 32});
  CHECK(shape("queue_ptr") == Shape{1});
  CHECK(file.find("itm_head_m.weight") == nullptr);
  CHECK(file.find("temp_m") == nullptr);
  const auto positions = file.read<std::int64_t>("text_encoder.bert.embeddings.position_ids");
  CHECK(positions[31] == 31);
  CHECK(file.read<float>("image_queue")[1] == a.queue.image().row(1)[0]);
  CHECK(file.read<float>("text_encoder.cls.predictions.decoder.weight") ==
        file.read<float>("text_encoder.bert.embeddings.word_embeddings.weight"));
  CHECK(file.metadata().at("config.embed_dim") == "24");
}

TEST_CASE("checkpoint: weights of the official code load strictly") {
  Cpu cpu(1);
  for (const Storage storage : {Storage::inference, Storage::momentum}) {
    Store store(cpu, model, storage);
    const auto report = Checkpoint(store).load(golden, official);
    CHECK(report.unused.size() == 3);  // the queues
    CHECK(report.missing.empty());
    CHECK(report.unexpected.empty());
    const auto expected = SafeTensors::open(golden).read<float>("itm_head.weight");
    const auto& p = store.find("itm_head.weight");
    CHECK(std::memcmp(store.data(Plane::online) + p.offset, expected.data(),
                      expected.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("checkpoint: names of fine-tuned models, which have no .bert. level, are accepted") {
  CHECK(albef::pretrain_name("text_encoder.encoder.layer.0.x") ==
        "text_encoder.bert.encoder.layer.0.x");
  CHECK(albef::pretrain_name("text_encoder_m.embeddings.y") == "text_encoder_m.bert.embeddings.y");
  CHECK(albef::pretrain_name("text_encoder.bert.encoder.x") == "text_encoder.bert.encoder.x");
  CHECK(albef::momentum_name("text_encoder.bert.x") == "text_encoder_m.bert.x");
  CHECK(albef::momentum_name("temp") == "temp_m");
  TemporaryFolder folder;
  const std::string path = folder / "retrieval.safetensors";
  rewrite(golden, path, [](std::string name) {
    const auto at = name.find(".bert.");
    return at == std::string::npos ? name : name.erase(at, 5);
  });
  Cpu cpu(1);
  Store a(cpu, model, Storage::inference), b(cpu, model, Storage::inference, 5);
  Checkpoint(a).load(golden, official);
  CHECK(Checkpoint(b).load(path, official).missing.empty());
  CHECK(equal(a, b, Plane::online));
}

TEST_CASE("checkpoint: missing and unexpected tensors are errors unless allowed") {
  TemporaryFolder folder;
  const std::string path = folder / "a.safetensors";
  Cpu cpu(1);
  Store store(cpu, model, Storage::inference);
  rewrite(golden, path, [](std::string name) {
    return name == "itm_head.bias" ? "" : name == "temp" ? "temperature" : name;
  });
  const std::string missing = error_of([&] { Checkpoint(store).load(path, official); });
  CHECK(missing == path + ": 2 tensors of the model are not in the file, the first is 'temp'");
  const std::string unexpected = error_of(
      [&] { Checkpoint(store).load(path, {.allow_missing = true, .names = official.names}); });
  CHECK(unexpected == path + ": 1 tensors do not belong to the model, the first is 'temperature'");
  const auto report = Checkpoint(store).load(
      path, {.allow_missing = true, .allow_unexpected = true, .names = official.names});
  CHECK(report.missing == std::vector<std::string>{"temp", "itm_head.bias"});
  CHECK(report.unexpected == std::vector<std::string>{"temperature"});
  CHECK(report.text().find("2 missing: temp, itm_head.bias; 1 unexpected: temperature") !=
        std::string::npos);
}

TEST_CASE("checkpoint: a training run asks for the optimizer and the queues") {
  Run a(1), weights_only(1, 32);
  CHECK(error_of([&] {
          weights_only.checkpoint().load(golden);
        }).find("tensors of the model are not in the file, the first is 'optimizer.exp_avg.") !=
        std::string::npos);
  TemporaryFolder folder;
  Run b(1, 7);
  b.checkpoint().save(folder / "b.safetensors", {});
  CHECK(error_of([&] { a.checkpoint().load(folder / "b.safetensors"); }) ==
        folder / "b.safetensors: tensor 'image_queue' has shape (24, 7), expected (24, 5)");
}

TEST_CASE("checkpoint: shapes must agree, position embeddings may be resized on demand") {
  Cpu cpu(1);
  Store other(cpu, narrow, Storage::inference);
  CHECK(error_of([&] { Checkpoint(other).load(golden, official); }) ==
        golden + ": tensor 'vision_proj.weight' has shape (24, 64), the model expects (16, 64)");
  Store store(cpu, large, Storage::inference);
  CHECK(error_of([&] { Checkpoint(store).load(golden, official); }) ==
        golden +
            ": tensor 'visual_encoder.pos_embed' has shape (1, 17, 64), the model expects "
            "(1, 65, 64) (another image size; resizing was not asked for)");
  const auto report =
      Checkpoint(store).load(golden, {.resize_positions = true, .names = official.names});
  REQUIRE(report.reshaped.size() == 1);
  CHECK(report.reshaped[0] == "visual_encoder.pos_embed (1, 17, 64) -> (1, 65, 64)");
  const auto& p = store.find("visual_encoder.pos_embed");
  const auto original = SafeTensors::open(golden).read<float>("visual_encoder.pos_embed");
  const auto expected = albef::interpolate_pos_embed<float>(original, 64, 8);
  CHECK(std::memcmp(store.data(Plane::online) + p.offset, expected.data(),
                    expected.size() * sizeof(float)) == 0);
}

TEST_CASE("checkpoint: weights must be finite") {
  const TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  for (const Plane plane : {Plane::online, Plane::ema}) {
    Run run(1), other(2);
    const auto& parameter = run.store.params()[3];
    REQUIRE(parameter.twin);
    run.checkpoint().save(path, {});
    const std::string name =
        plane == Plane::ema ? albef::momentum_name(parameter.name) : parameter.name;
    set_value(path, name, 2, std::numeric_limits<float>::quiet_NaN());
    CHECK(error_of([&] { other.checkpoint().load(path); }) ==
          path + ": tensor '" + name + "' has the value nan at 2, expected finite values");
  }
}

TEST_CASE("checkpoint: the configuration in the file is compared") {
  const auto info = albef::config_info<Nano>();
  albef::check_config<Nano>("x.safetensors", info);
  albef::check_config<Narrow>("official.safetensors", {});
  CHECK(error_of([&] { albef::check_config<Narrow>("x.safetensors", info); }) ==
        "x.safetensors: checkpoint of another configuration: config.embed_dim is 24, the model has "
        "16");
}

TEST_CASE("checkpoint: a damaged file changes nothing but an error") {
  TemporaryFolder folder;
  const std::string path = folder / "cut.safetensors";
  const std::string bytes = albef::read_file(golden);
  albef::write_file(path, bytes.substr(0, bytes.size() / 2));
  Cpu cpu(1);
  Store store(cpu, model, Storage::inference, 5), fresh(cpu, model, Storage::inference, 5);
  CHECK(error_of([&] { Checkpoint(store).load(path); }).find(path) != std::string::npos);
  CHECK(equal(store, fresh, Plane::online));
  CHECK_THROWS_AS(Checkpoint(store).load(folder / "none.safetensors"), Error);
  CHECK_THROWS_AS(Checkpoint(store).save(folder / "no/such/folder.safetensors", {}), Error);
}

TEST_CASE("checkpoint: what does not fit changes nothing, wherever in the file it is") {
  TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  const auto unchanged = [&](const char* message, auto&& damage) {
    Run(1).checkpoint().save(path, {});
    damage();
    Run other(2), same(2);
    INFO(message);
    const std::string error = error_of([&] { other.checkpoint().load(path); });
    INFO(error);
    CHECK(error.find(message) != std::string::npos);
    for (const Plane p : {Plane::online, Plane::ema, Plane::exp_avg, Plane::exp_avg_sq})
      CHECK(equal(other.store, same.store, p));
    CHECK(other.optimizer.steps() == same.optimizer.steps());
    CHECK(other.queue.pointer() == same.queue.pointer());
  };
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float inf = std::numeric_limits<float>::infinity();
  unchanged("'optimizer.exp_avg.temp' has the value inf at 0, expected finite values",
            [&] { set_value(path, "optimizer.exp_avg.temp", 0, inf); });
  unchanged("'optimizer.exp_avg_sq.itm_head.bias' has the value nan at 1",
            [&] { set_value(path, "optimizer.exp_avg_sq.itm_head.bias", 1, nan); });
  unchanged("'visual_encoder_m.norm.bias' has the value nan at 3",
            [&] { set_value(path, "visual_encoder_m.norm.bias", 3, nan); });
  unchanged("'text_queue' has the value -inf at 7",
            [&] { set_value(path, "text_queue", 7, -inf); });
  unchanged("'optimizer.steps' has the count -5",
            [&] { set_value<std::int64_t>(path, "optimizer.steps", 3, -5); });
  unchanged("'queue_ptr' is 7, expected 0 to 4",
            [&] { set_value<std::int64_t>(path, "queue_ptr", 0, 7); });
  unchanged("tensor 'optimizer.steps' has shape (2), expected", [&] {
    const auto file = SafeTensors::open(path);
    const std::int64_t steps[] = {1, 2};
    std::vector<albef::TensorSource> tensors;
    for (const auto& e : file.entries())
      tensors.push_back(e.name == "optimizer.steps"
                            ? albef::TensorSource{e.name, e.dtype, {2}, steps}
                            : albef::source_of(file, e));
    albef::write_safetensors(path, tensors, file.metadata());
  });
  // A flipped bit of any tensor, whatever it is for.
  const auto names = [&] {
    Run(1).checkpoint().save(path, {});
    const auto file = SafeTensors::open(path);
    std::vector<std::string> all;
    for (const auto& e : file.entries()) all.push_back(e.name);
    return all;
  }();
  for (std::size_t i = 0; i < names.size(); i += 9) {
    const std::string message = "tensor '" + names[i] + "' is damaged";
    unchanged(message.c_str(), [&] {
      const auto place = SafeTensors::open(path).at(names[i]);
      std::string bytes = albef::read_file(path);
      bytes[place.begin + place.bytes / 2] ^= 4;
      albef::write_file(path, bytes);
    });
  }
  Run longer(1);
  rewrite(golden, path, [](const std::string& name) { return name; });
  CHECK_THROWS_AS(longer.checkpoint().load(path), Error);
}

TEST_CASE("checkpoint: momentum weights go through the same checks where they are used alone") {
  TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  Run(1).checkpoint().save(path, {});
  set_value(path, "text_encoder_m.bert.embeddings.LayerNorm.bias", 2,
            std::numeric_limits<float>::quiet_NaN());
  Cpu cpu(1);
  Store store(cpu, model, Storage::inference, 5), fresh(cpu, model, Storage::inference, 5);
  CHECK(error_of([&] { Checkpoint(store).load(path, {.momentum_as_online = true}); }) ==
        path +
            ": tensor 'text_encoder_m.bert.embeddings.LayerNorm.bias' has the value nan at 2, "
            "expected finite values");
  CHECK(equal(store, fresh, Plane::online));
}

TEST_CASE("checkpoint: what is not finite never replaces a file") {
  TemporaryFolder folder;
  const std::string path = folder / "c.safetensors";
  Run(1).checkpoint().save(path, {});
  const std::string before = albef::read_file(path);
  for (const Plane plane : {Plane::online, Plane::ema, Plane::exp_avg, Plane::exp_avg_sq}) {
    Run run(1);
    const auto& p = run.store.find("visual_encoder.blocks.0.mlp.fc1.weight");
    run.store.data(plane)[p.offset + 5] = std::numeric_limits<float>::infinity();
    const std::string error = error_of([&] { run.checkpoint().save(path, {}); });
    CHECK(error.find(".blocks.0.mlp.fc1.weight' is not finite at 5: nothing was saved") !=
          std::string::npos);
  }
  Run run(1);
  run.queue.image().data[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK(error_of([&] {
          run.checkpoint().save(path, {});
        }).find("'image_queue' is not finite at 0") != std::string::npos);
  CHECK(albef::read_file(path) == before);
}

}  // namespace checkpoint_test
