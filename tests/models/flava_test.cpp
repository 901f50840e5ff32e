// FLAVA: gradients by differences, and the shortcuts of the step against doing it the plain way.
#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "albef/checkpoint/pretrained.hpp"
#include "albef/tasks/flava.hpp"
#include "albef/tasks/retrieval_pool.hpp"
#include "albef/testing/alloc_guard.hpp"
#include "albef/testing/gradcheck.hpp"
#include "albef/train/training.hpp"
#include "micro.hpp"

namespace flava_test {

using namespace model_test;
using namespace albef;
using model_test::Micro;

namespace {

/// Widths of the encoders differ.
struct MicroFlava : Micro {
  static constexpr int hidden_size = 12, num_hidden_layers = 2, fusion_layer = 2;
  static constexpr int multimodal_hidden_size = 16, multimodal_num_hidden_layers = 2;
  static constexpr int multimodal_intermediate_size = 20, image_vocab_size = 9;
  static constexpr float dropout = 0.1f;
};
constexpr int patches = Flava<MicroFlava>::patches;

/// A batch of `size` examples with random contents; all the same for one seed.
FlavaBatch random_flava_batch(FlavaKind kind, int size, std::uint64_t seed) {
  const HostBatch host = random_batch<MicroFlava>(size, seed);
  RandomStream random(seed, 5);
  FlavaBatch batch;
  batch.kind = kind, batch.size = size;
  if (batch.has_images()) {
    batch.image_size = MicroFlava::image_res;
    batch.images = host.pixels;
    for (int i = 0; i < size; ++i) {
      std::array<std::uint8_t, patches> mask{};
      for (auto& m : mask) m = random.bernoulli(0.4f), batch.codes.push_back(random.below(9));
      batch.patches.add(mask);
    }
  }
  if (batch.has_texts()) batch.masked = host.masked;
  if (kind == FlavaKind::pairs) {
    batch.text = host.text;
    for (int i = 0; i < size; ++i) batch.itm_labels.push_back(i % 3 != 1);
  }
  return batch;
}
const std::array kinds{FlavaKind::images, FlavaKind::texts, FlavaKind::pairs};

using FlavaBench = Bench<MicroFlava, Fp64, Flava<MicroFlava>>;

/// Losses by name and the gradient of their sum.
struct Outcome {
  std::map<std::string, double> losses;
  std::vector<double> gradient;
};
template <class Parts>
Outcome pass_of(FlavaBench& b, const FlavaBatch& batch, int padded = 0) {
  b.store.clear_gradients();
  std::fill_n(b.store.data(Plane::grad), b.store.size(), 0.0);
  b.ctx.begin_step(0);
  auto in = upload<MicroFlava>(b.ctx, batch, Parts::parts, padded);
  if (!batch.codes.empty()) take_codes<MicroFlava>(b.ctx, b.ctx.upload(batch.codes), in);
  const auto pass = Parts{}(b.ctx, b.model, in);
  Outcome out;
  out.losses["loss"] = b.ctx.item(pass.loss);
  for (std::size_t i = 0; i < pass.count; ++i)
    out.losses[pass.parts[i].first] = b.ctx.item(pass.parts[i].second);
  b.ctx.backward(pass.loss);
  out.gradient = b.plane(Plane::grad);
  return out;
}

/// The configuration of the golden weights.
struct Official : Nano {
  static constexpr int vision_width = 48, num_hidden_layers = 3, embed_dim = 48;
  static constexpr int multimodal_num_hidden_layers = 2, image_vocab_size = 64;
};

struct Token {
  Param<1, 1, 6> token{init::normal(1)};
  static constexpr void fields(auto& m, auto&& f) { f("token", m.token); }
};

}  // namespace

TEST_CASE("FLAVA: gradients of all objectives, with dropout") {
  Cpu cpu(1);
  for (const auto kind : kinds) {
    const FlavaBatch batch = random_flava_batch(kind, 4, 3);
    CAPTURE(name_of(kind));
    const auto loss = [&](auto& ctx, const auto& model) {
      auto in = upload<MicroFlava>(ctx, batch, FlavaObjectives::parts);
      if (!batch.codes.empty()) take_codes<MicroFlava>(ctx, ctx.upload(batch.codes), in);
      return FlavaObjectives{}(ctx, model, in).loss;
    };
    for (const bool checkpointing : {false, true}) {
      const GradcheckOptions options{
          .entries = 2, .entries_twice = 1, .dropout = true, .checkpointing = checkpointing};
      CHECK(gradcheck(cpu, options, laid_out<Flava<MicroFlava>>(), loss));
    }
  }
}

TEST_CASE("mask_rows and slice: gradients") {
  const std::vector<std::int32_t> kept{0, -1, 2, 3, -1, -1, 6, 7}, masked{1, 4, 5};
  const auto mask = [&](auto& ctx) {
    return RowMask{ctx.upload(kept), {ctx.upload(masked), batch_of(3), ctx.stamp()}};
  };
  CHECK(gradcheck<Cpu>(
      Token{},
      [&](auto& ctx, const auto& m, const auto& x) {
        return mask_rows(ctx, x, m.token, mask(ctx));
      },
      sequences<6>(2, 4)));
  CHECK(gradcheck<Cpu>(
      Token{},
      [&](auto& ctx, const auto& m, const auto& x) {
        const auto both = mask_rows<true>(ctx, x, m.token, mask(ctx));
        return add(ctx, slice(ctx, both, 3, uniform_sequences(2, 4)),
                   slice(ctx, both, 8, uniform_sequences(2, 4)));
      },
      sequences<6>(2, 4)));
}

TEST_CASE("clean and masked pairs encoded together equal each by itself, gradients too") {
  FlavaBench b;
  const FlavaBatch batch = random_flava_batch(FlavaKind::pairs, 5, 4);
  for (const int padded : {0, 7}) {
    const Outcome full = pass_of<FlavaObjectives>(b, batch, padded);
    const Outcome clean = pass_of<FlavaPretrain<flava::Contrastive>>(b, batch, padded);
    Outcome sum =
        pass_of<FlavaPretrain<flava::MmmImage, flava::MmmText, flava::Itm>>(b, batch, padded);
    CHECK(full.losses.size() == 5);
    CHECK(full.losses.at("loss") ==
          doctest::Approx(clean.losses.at("loss") + sum.losses.at("loss")).epsilon(1e-12));
    for (const auto& [name, loss] : full.losses)
      if (name != "loss")
        CHECK(
            loss ==
            doctest::Approx((name == "contrastive" ? clean : sum).losses.at(name)).epsilon(1e-12));
    for (std::size_t i = 0; i < sum.gradient.size(); ++i) sum.gradient[i] += clean.gradient[i];
    CHECK(deviation(full.gradient, sum.gradient) < 1e-11);
  }
}

TEST_CASE("rows that are computed alone equal all rows, then choosing") {
  FlavaBench b;
  const FlavaBatch batch = random_flava_batch(FlavaKind::pairs, 4, 5);
  const Outcome out = pass_of<FlavaObjectives>(b, batch);
  b.ctx.begin_step(0);
  b.ctx.no_grad([&] {
    auto& ctx = b.ctx;
    const auto images = upload_images<MicroFlava>(ctx, batch);
    const auto tokens = upload_tokens<MicroFlava>(ctx, batch.text);
    const auto contrast = contrastive_logits(ctx, b.model.encode_image(ctx, images),
                                             b.model.encode_text(ctx, tokens), b.model.logit_scale);
    // The pairs that match, of which all columns stay.
    double sum = 0;
    for (const auto& logits : {ctx.read(contrast.image_to_text), ctx.read(contrast.text_to_image)})
      for (const int row : {0, 2, 3}) {
        double exponentials = 0;
        for (int j = 0; j < 4; ++j)
          exponentials += std::exp(logits[static_cast<std::size_t>(4 * row + j)]);
        sum += std::log(exponentials) - logits[static_cast<std::size_t>(5 * row)];
      }
    CHECK(out.losses.at("contrastive") == doctest::Approx(sum / 6));

    const RowMask mask = albef::detail::upload_mask<MicroFlava>(ctx, batch.patches, batch.size);
    const auto& encoder = b.model.image_encoder;
    const auto image = b.model.image_for_matching(
        ctx, encoder.hidden(ctx, encoder.embeddings(ctx, images, &mask)));
    const auto text = b.model.text_states(ctx, upload_tokens<MicroFlava>(ctx, batch.masked.text));
    const auto logits = b.model.itm_logits(ctx, text, image, nullptr);
    const auto whole = b.model.image_for_matching(ctx, b.model.image_states(ctx, images));
    const auto pair = b.model.mm_encoder.embeddings(
        ctx, whole, b.model.text_to_mm(ctx, b.model.text_states(ctx, tokens)));
    const auto states = b.model.mm_encoder.normed(ctx, pair);
    CHECK(deviation(ctx.read(b.model.encode_pair(ctx, images, tokens)),
                    ctx.read(first(ctx, states))) < 1e-13);
    CHECK(out.losses.at("itm") ==
          doctest::Approx(ctx.item(label_loss(ctx, logits, ctx.upload(batch.itm_labels)))));
    // One pair at a time: no other's padding, no other's rows.
    const auto together = ctx.read(logits);
    for (int i = 0; i < batch.size; ++i) {
      TextBatch one;
      one.add(batch.masked.text.text(i));
      const std::vector<std::int32_t> index{i};
      const auto alone = ctx.read(
          b.model.itm_logits(ctx, b.model.text_states(ctx, upload_tokens<MicroFlava>(ctx, one)),
                             image, ctx.upload(index)));
      for (std::size_t j = 0; j < 2; ++j)
        CHECK(alone[j] == doctest::Approx(together[2 * static_cast<std::size_t>(i) + j]));
    }
  });
}

TEST_CASE("a retrieval pool compares and matches with FLAVA") {
  FlavaBench b;
  const FlavaBatch batch = random_flava_batch(FlavaKind::pairs, 3, 12);
  RetrievalPool pool(b.ctx, b.model);
  b.ctx.begin_step(0);
  pool.add_images(upload_images<MicroFlava>(b.ctx, batch));
  b.ctx.begin_step(0);
  pool.add_texts(upload_tokens<MicroFlava>(b.ctx, batch.text), batch.text.offsets);
  const std::vector<int> texts{2, 0};
  const auto scores = pool.itm_scores(1, texts);
  b.ctx.begin_step(0);
  b.ctx.no_grad([&] {
    auto& ctx = b.ctx;
    const auto images = b.model.image_for_matching(
        ctx, b.model.image_states(ctx, upload_images<MicroFlava>(ctx, batch)));
    const auto logits = ctx.read(b.model.itm_logits(
        ctx, b.model.text_states(ctx, upload_tokens<MicroFlava>(ctx, batch.text)), images,
        ctx.upload(std::vector<std::int32_t>{1, 1, 1})));
    CHECK(scores.at(0) == doctest::Approx(logits[5]));
    CHECK(scores.at(1) == doctest::Approx(logits[1]));
  });
  const auto similarities = pool.similarities();
  CHECK(similarities.size() == 9);
  const auto ranks = pool.rerank(similarities, 3);
  CHECK(ranks.i2t[1 * 3 + 2] == doctest::Approx(scores.at(0)));
}

TEST_CASE("without padding among the texts, attending to it changes nothing") {
  FlavaBench b;
  FlavaBatch batch = random_flava_batch(FlavaKind::pairs, 1, 6);
  const int length = batch.masked.text.length(0);
  const Outcome packed = pass_of<FlavaObjectives>(b, batch);
  const Outcome padded = pass_of<FlavaObjectives>(b, batch, length);
  CHECK(packed.losses.at("loss") == doctest::Approx(padded.losses.at("loss")).epsilon(1e-12));
  CHECK(deviation(padded.gradient, packed.gradient) < 1e-11);
  const Outcome more = pass_of<FlavaObjectives>(b, batch, length + 1);
  CHECK(more.losses.at("itm") != packed.losses.at("itm"));
  CHECK(more.losses.at("contrastive") == packed.losses.at("contrastive"));
}

TEST_CASE("pairs that do not match count for matching alone; if none matches, all count") {
  FlavaBench b;
  FlavaBatch batch = random_flava_batch(FlavaKind::pairs, 4, 11);
  REQUIRE(batch.patches.offsets[1] < batch.patches.offsets[2]);  // the second, which does not match
  REQUIRE(batch.masked.offsets[1] < batch.masked.offsets[2]);
  const Outcome before = pass_of<FlavaObjectives>(b, batch);
  FlavaBatch other = batch;
  for (std::size_t i = patches; i < 2 * patches; ++i) other.codes[i] = (batch.codes[i] + 1) % 9;
  for (auto m = batch.masked.offsets[1]; m < batch.masked.offsets[2]; ++m)
    other.masked.labels[static_cast<std::size_t>(m)] = 6;
  CHECK(pass_of<FlavaObjectives>(b, other).losses == before.losses);

  for (auto& label : batch.itm_labels) label = 0;
  const Outcome none = pass_of<FlavaObjectives>(b, batch);
  for (auto& label : batch.itm_labels) label = 1;
  const Outcome all = pass_of<FlavaObjectives>(b, batch);
  batch.itm_labels.clear();
  CHECK(pass_of<FlavaObjectives>(b, batch).losses == all.losses);
  for (const char* name : {"mmm_image", "mmm_text", "contrastive"}) {
    CHECK(none.losses.at(name) == all.losses.at(name));
    CHECK(none.losses.at(name) != before.losses.at(name));
  }
  CHECK(none.losses.at("itm") != all.losses.at("itm"));
}

TEST_CASE("empty masks give no loss and no NaN") {
  FlavaBench b;
  for (const auto kind : kinds) {
    FlavaBatch batch = random_flava_batch(kind, 3, 8);
    batch.patches.clear();
    batch.codes.clear();
    auto& masked = batch.masked;
    masked.rows.clear(), masked.labels.clear();
    std::fill(masked.offsets.begin(), masked.offsets.end(), 0);
    const Outcome out = pass_of<FlavaObjectives>(b, batch);
    for (const auto& [name, loss] : out.losses) {
      CAPTURE(name);
      CHECK(std::isfinite(loss));
      if (name.starts_with("m")) CHECK(loss == 0);
    }
    double square = 0;
    for (const double g : out.gradient) square += g * g;
    CHECK(std::isfinite(square));
    CHECK((square > 0) == (kind == FlavaKind::pairs));
  }
}

TEST_CASE("FLAVA learns batches of all kinds by heart; a warm step allocates nothing") {
  Cpu cpu(2);
  Training<FlavaPretraining<MicroFlava>> training(
      cpu, {.seed = 1, .optimizer = {.max_norm = 1}, .dropout = false});
  std::vector<FlavaBatch> batches;
  for (const auto kind : kinds) batches.push_back(random_flava_batch(kind, 4, 9));
  PassLosses losses;
  std::map<std::string, double> first, last;
  std::uint64_t number = 0;
  const auto round = [&](std::map<std::string, double>* out) {
    for (const FlavaBatch& batch : batches) {
      training.accumulate(batch, {.number = number++}, losses);
      training.update(3e-3);
      for (const auto& [name, value] : losses.losses)
        if (out && name != "loss") (*out)[std::string(name)] = value;
    }
  };
  round(&first);
  for (int i = 0; i < 150; ++i) round(nullptr);
  round(&last);
  CHECK(first.size() == 6);
  for (const auto& [name, value] : first) {
    CAPTURE(name);
    CAPTURE(value);
    CHECK(last.at(name) < 0.5 * value);
  }
  const AllocGuard guard;
  round(nullptr);
  CHECK(guard.allocations() == 0);
  CHECK(losses.at("logit_scale") > 0);
  CHECK(training.fitting_examples(batches[2]) == 4);
}

TEST_CASE("FLAVA loads official checkpoints, whose image tokenizer is another model") {
  using Model = Flava<Official>;
  Cpu cpu(1);
  ParamStore<Cpu, Fp32> store(cpu, laid_out<Model>(), Storage::inference);
  const auto report =
      load_pretrained<Model>(store, ALBEF_TEST_DATA "/golden/flava_base_nano/weights.safetensors");
  CHECK(report.missing.empty());
  CHECK(report.unused.empty());
  CHECK(report.loaded == static_cast<int>(store.params().size()));
  CHECK(Model::checkpoint_names("image_codebook.blocks.input.w").empty());
  CHECK(Model::checkpoint_names("model.text_encoder.embeddings.position_ids").empty());
  CHECK(Model::checkpoint_names("model.x") == std::vector<std::string>{"model.x"});
}

TEST_CASE("FLAVA: what does not fit is said in one sentence") {
  Cpu cpu(1);
  Training<FlavaPretraining<MicroFlava>> training(cpu, {.seed = 1});
  const auto error = [&](auto& with, FlavaKind kind, auto&& spoil) {
    FlavaBatch batch = random_flava_batch(kind, 3, 10);
    spoil(batch);
    PassLosses losses;
    try {
      with.accumulate(batch, {}, losses);
    } catch (const Error& e) { return std::string(e.what()); }
    return std::string();
  };
  const auto images = FlavaKind::images, pairs = FlavaKind::pairs;
  CHECK(error(training, images, [](auto& b) { b.codes.clear(); }) ==
        "the batch has no codes of its patches");
  CHECK(error(training, images, [](auto& b) { b.codes[2] = 9; }) ==
        "a patch has code 9, expected 0 to 8");
  CHECK(error(training, images, [](auto& b) { b.patches.rows[0] = 99; }) ==
        "picture 0 hides patch 99, expected 0 to 3");
  CHECK(error(training, pairs, [](auto& b) { b.itm_labels[1] = 2; }) ==
        "pair 1 has matching label 2, expected 0 or 1");
  CHECK(error(training, pairs, [](auto& b) { b.masked.text.ids[0] = 11; }) ==
        "token id 11 is outside the model's vocabulary of 11");
  Training<FlavaPretraining<MicroFlava, FlavaPretrain<flava::Mlm>>> texts(cpu, {.seed = 1});
  CHECK(error(texts, pairs, [](auto&) {}) == "[flava] no objective learns from batches of pairs");
  Training<FlavaPretraining<MicroFlava>> padded(cpu, {.seed = 1}, {.options = {.padded_text = 2}});
  CHECK(error(padded, pairs, [](auto&) {}).find("tokens, expected 1 to 2") != std::string::npos);
  CHECK(error(padded, FlavaKind::texts, [](auto&) {}).empty());
}

}  // namespace flava_test
