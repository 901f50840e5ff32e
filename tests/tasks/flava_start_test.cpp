// FLAVA's encoders that start from other models: the same function as there.
#include "albef/tasks/flava_start.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "../data/data_files.hpp"
#include "albef/cpu.hpp"
#include "albef/models/flava.hpp"
#include "albef/models/vit.hpp"

namespace flava_start_test {

using namespace albef;
using data_test::error_of;

namespace {

struct Small : Nano {
  static constexpr int image_res = 16, patch_size = 8, image_vocab_size = 10;
};
struct Wide : Small {
  static constexpr int vision_width = 128;
};

template <class C>
struct Teacher {
  using Config = C;
  Vit<C> backbone;
  static constexpr void fields(auto& m, auto&& f) { f("backbone", m.backbone); }
};

template <class C>
constexpr auto teacher = laid_out<Teacher<C>>();
constexpr auto model = laid_out<Flava<Small>>();
using Store = ParamStore<Cpu, Fp32>;

/// Writes a vision transformer whose teacher is another one, 4 times its weights.
template <class C>
void save_teacher(Store& store, const std::string& path) {
  for (std::int64_t i = 0; i < store.size(); ++i)
    store.data(Plane::ema)[i] = 4 * store.data(Plane::online)[i];
  Checkpoint(store).save(path, {});
}

template <class M>
std::vector<float> states(Store& store, M&& f) {
  Context<Cpu, Fp32> ctx(store.device(), store);
  ctx.begin_step(0);
  std::vector<float> pixels(2 * 3 * 16 * 16);
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = std::sin(0.1f * static_cast<float>(i));
  ImageTensor<float, Small> images =
      ctx.template constant<3 * 16 * 16>(ctx.upload(pixels), batch_of(2));
  return ctx.no_grad([&] { return ctx.read(f(ctx, images)); });
}

}  // namespace

TEST_CASE("the image encoder is DINO's teacher, and says the same of a picture") {
  const data_test::TemporaryFolder folder;
  Cpu cpu(1);
  Store theirs(cpu, teacher<Small>, {.storage = Storage::momentum, .seed = 3});
  const std::string path = folder / "dino.safetensors";
  save_teacher<Small>(theirs, path);
  Store ours(cpu, model, {.storage = Storage::momentum, .seed = 4});
  const LoadReport report = start_image_encoder(ours, path);
  CHECK(report.loaded == 5 + 2 + Small::vision_depth * 16 - 1);
  CHECK(report.missing == std::vector<std::string>{"model.image_encoder.embeddings.mask_token",
                                                   "model.image_encoder.pooler.dense.weight",
                                                   "model.image_encoder.pooler.dense.bias"});
  std::copy_n(theirs.data(Plane::ema), theirs.size(), theirs.data(Plane::online));
  const auto expected = states(
      theirs, [](auto& ctx, const auto& images) { return teacher<Small>.backbone(ctx, images); });
  const auto got = states(ours, [](auto& ctx, const auto& images) {
    return model.image_encoder.layernorm(ctx, model.image_states(ctx, images));
  });
  REQUIRE(got.size() == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(got[i]) - expected[i]));
  CHECK(worst < 1e-3);  // the norms have other epsilons
}

TEST_CASE("encoders start from checkpoints of FLAVA") {
  const data_test::TemporaryFolder folder;
  Cpu cpu(1);
  Store first(cpu, model, {.storage = Storage::training, .seed = 3});
  const std::string path = folder / "flava.safetensors";
  Checkpoint(first).save(path, {});
  Store second(cpu, model, {.storage = Storage::training, .seed = 4});
  const Store fresh(cpu, model, {.storage = Storage::training, .seed = 4});
  CHECK(start_text_encoder(second, path).missing.empty());
  for (const ParamInfo& p : second.params()) {
    const auto same = [&](const Store& other) {
      return std::equal(second.data(Plane::online, p), second.data(Plane::online, p) + p.size,
                        other.data(Plane::online, p));
    };
    CHECK(same(p.name.starts_with("model.text_encoder.") ? first : fresh));
  }
  CHECK(start_image_encoder(second, path).missing.empty());
}

TEST_CASE("what is no encoder, or one of another size, is refused") {
  const data_test::TemporaryFolder folder;
  Cpu cpu(1);
  Store ours(cpu, model, {.storage = Storage::training, .seed = 4});
  Store wide(cpu, teacher<Wide>, {.storage = Storage::momentum, .seed = 3});
  const std::string path = folder / "wide.safetensors";
  save_teacher<Wide>(wide, path);
  CHECK_CONTAINS(
      error_of([&] { start_image_encoder(ours, path); }),
      "wide.safetensors: tensor 'backbone_m.cls_token' has shape (1, 1, 128), of which the "
      "model's 'model.image_encoder.embeddings.cls_token' expects 64 values");
  CHECK_CONTAINS(error_of([&] { start_text_encoder(ours, path); }), "model.text_encoder.");
  const SafeTensors file = SafeTensors::open(path);
  CHECK(detail::timm_prefix(file) == "backbone_m.");
}

}  // namespace flava_start_test
